"""What opening hours mean: by the notation's reference, an oracle of minutes, and the laws."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.config.holidays import holiday_test
from exporter.config.hours import OpenHours
from exporter.config.values import Invalid

A_DAY, A_MINUTE = timedelta(days=1), timedelta(minutes=1)
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
# Made with opening_hours 3.15 of npm and TZ set to the zone: new OpeningHours(expression,
# {address: {country_code: "br", state: "São Paulo"}}).getState(moment), every 15 minutes for 61
# {address: {country_code: "br", state: "São Paulo"}}).getState(moment), each 15 minutes for 61
# an hour, closed and open in turn; `4*56+40` stands for four such pairs. Left out is what the
# documentation says to differ (ranges past midnight before a day with a rule of its own), and
# one expression on a day without midnight, where it closes an hour late.
REFERENCE = json.loads((Path(__file__).parent / "data" / "hours.json").read_text("utf-8"))


def test_hours_are_those_of_the_reference() -> None:
    """A hundred expressions are open when the notation's own implementation has them open."""
    compared = 0
    for name, said in REFERENCE.items():
        zone, holidays = ZoneInfo(name), set(map(date.fromisoformat, said["PH"]))
        start = datetime.fromisoformat(said["from"]).replace(tzinfo=zone).timestamp()
        for expression, runs in said["runs"].items():
            hours = OpenHours(expression, zone, holidays.__contains__)
            assert quarters(hours, start, 61 * 96) == lengths(runs), (name, expression)
            compared += 1
    assert compared >= 150


def lengths(runs: str) -> list[int]:
    """Read `3*56+40 16` as lengths of closed and open runs in turn."""
    found: list[int] = []
    for run in runs.split():
        times, _, pair = run.rpartition("*")
        found += list(map(int, pair.split("+"))) * int(times or 1)
    return found


def quarters(hours: OpenHours, start: float, count: int) -> list[int]:
    """Lengths of closed and open runs in turn, in quarters of an hour."""
    found, at, was_open = [0], start, False
    while at < (end := start + 900 * count):
        is_open, until = hours.state(at)
        if is_open != was_open:
            found.append(0)
        until = min(until or end, end)
        found[-1] += round((until - at) / 900)
        at, was_open = until, is_open
    return found


# An oracle that knows nothing but minutes ----------------------------------------------------

OracleRule = tuple[set[int], bool, list[tuple[int, int]], str]


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, OracleRule]:
    """A rule as text and as weekdays, whether PH is named, minutes, and what it does."""
    first, length = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    weekdays = {(first + ahead) % 7 for ahead in range(length + 1)}
    named = f"{DAYS[first]}-{DAYS[(first + length) % 7]}" if length else DAYS[first]
    holidays = draw(st.booleans())
    does = draw(st.sampled_from(["replaces", "replaces", "closes", "cuts"]))
    spans = []
    if does != "closes":
        for _ in range(draw(st.integers(1, 2))):
            begin = draw(st.integers(0, 95)) * 15
            last = 1440 if does == "cuts" else min(begin + 1440, 2880)
            spans.append((begin, draw(st.integers(begin // 15 + 1, last // 15)) * 15))
    times = ",".join(
        "{:02}:{:02}-{:02}:{:02}".format(*divmod(a, 60), *divmod(b, 60)) for a, b in spans
    )
    words = [named + ",PH" * holidays, times, "" if does == "replaces" else "off"]
    return " ".join(filter(None, words)), (weekdays, holidays, spans, does)


def minutes_open(day: date, meant: list[OracleRule], holidays: set[date]) -> set[int]:
    """The minutes that belong to a day, counted from its midnight."""
    found: set[int] = set()
    for weekdays, named, spans, does in meant:
        if day.weekday() in weekdays or (named and day in holidays):
            minutes = {minute for begin, end in spans for minute in range(begin, end)}
            found = (
                minutes if does == "replaces" else found - minutes if does == "cuts" else set()
            )
    return found


@given(
    written=st.lists(rules(), min_size=1, max_size=3),
    place=st.sampled_from(  # with a day on which the clocks change, two of them at midnight
        [
            ("America/Santiago", date(2027, 9, 5)),
            ("Africa/Cairo", date(2027, 4, 30)),
            ("America/New_York", date(2027, 11, 7)),
            ("America/Lima", date(2027, 12, 31)),
        ]
    ),
    ahead=st.integers(0, 3 * 1440),
    holiday=st.integers(-2, 2),
)
def test_hours_agree_with_an_oracle_of_minutes(
    written: list[tuple[str, OracleRule]], place: tuple[str, date], ahead: int, holiday: int
) -> None:
    """Open seconds and the next change are those of a count of the minutes the clocks show."""
    zone, change_day = ZoneInfo(place[0]), place[1]
    holidays = {change_day + holiday * A_DAY}
    try:
        hours = OpenHours("; ".join(one for one, _ in written), zone, holidays.__contains__)
    except Invalid:
        assume(False)
    around = [change_day + days * A_DAY for days in range(-5, 5)]
    meant = {day: minutes_open(day, [one for _, one in written], holidays) for day in around}
    middle = datetime(change_day.year, change_day.month, change_day.day, 12, tzinfo=UTC)
    begin = middle - 3 * A_DAY + ahead * A_MINUTE
    shown = []
    for number in range(2 * 1440):
        local = (begin + number * A_MINUTE).astimezone(zone)
        minute, day = 60 * local.hour + local.minute, local.date()
        shown.append(minute in meant[day] or minute + 1440 in meant[day - A_DAY])
    assert hours.open_seconds(begin, begin + 2 * A_DAY) == 60 * sum(shown)
    is_open, until = hours.state(begin.timestamp())
    assert is_open == shown[0]
    change = next((number for number, one in enumerate(shown) if one != shown[0]), len(shown))
    assert change == len(shown) or until == (begin + change * A_MINUTE).timestamp()
    assert hours.wait(begin) == min(86_400, 0 if is_open else 60 * change)


# Holidays ------------------------------------------------------------------------------------

EASTER = (date(2026, 4, 5), date(2027, 3, 28), date(2028, 4, 16))
# Days of every year, days from Easter, days of single years, and ordinary days that seem none.
LAWS: dict[str, tuple[str, tuple[int, ...], str, str]] = {
    # Ley 51 de 1983 (Emiliani) moves to Monday, Ascensión, Corpus and Sagrado Corazón too.
    "CO": (
        "01-01 05-01 07-20 08-07 12-08 12-25",
        (-3, -2, 43, 64, 71),
        "2026-01-12 2026-03-23 2026-06-29 2026-08-17 2026-10-12 2026-11-02 2026-11-16"
        " 2027-01-11 2027-03-22 2027-07-05 2027-08-16 2027-10-18 2027-11-01 2027-11-15"
        " 2028-01-10 2028-03-20 2028-07-03 2028-08-21 2028-10-16 2028-11-06 2028-11-13",
        "2026-01-06 2026-03-19 2026-08-15 2027-06-29 2027-10-12 2028-11-01",
    ),
    # Ley Federal del Trabajo, artículo 74: Mondays of February, March and November.
    "MX": (
        "01-01 05-01 09-16 12-25",
        (),
        "2026-02-02 2026-03-16 2026-11-16 2027-02-01 2027-03-15 2027-11-15"
        " 2028-02-07 2028-03-20 2028-11-20",
        "2026-02-05 2026-03-21 2026-11-20 2027-02-05 2027-03-21 2027-11-20 2026-04-03",
    ),
    # Decreto Legislativo 713, leyes 31381 (9 Dec), 31530 (6 Aug), 31788 (7 Jun), 31822.
    "PE": (
        "01-01 05-01 06-07 06-29 07-23 07-28 07-29 08-06 08-30 10-08 11-01 12-08 12-09 12-25",
        (-3, -2),
        "",
        "2026-05-25 2027-07-27 2028-10-12",
    ),
    # Leyes 2.977, 19.668 (to Monday), 20.299 (31 Oct), 20.983 (17 Sep), 21.357 (solstice).
    "CL": (
        "01-01 05-01 05-21 07-16 08-15 09-18 09-19 11-01 12-08 12-25",
        (-2, -1),
        "2026-06-21 2026-06-29 2026-10-12 2026-10-31 2027-06-21 2027-06-28 2027-09-17"
        " 2027-10-11 2027-10-31 2028-06-20 2028-06-26 2028-10-09 2028-10-27",
        "2026-09-17 2027-06-29 2027-10-12 2028-06-29 2028-10-12 2028-10-31 2028-06-21",
    ),
    # Código del Trabajo, artículo 65, reformed in 2016: a Tuesday to Monday, a Thursday to
    # Friday. The library keeps the day itself beside the one it was moved to.
    "EC": (
        "01-01 12-25",
        (-48, -47, -2),
        "2026-05-01 2026-05-25 2026-08-10 2026-10-09 2026-11-02 2026-11-03 2027-04-30"
        " 2027-05-24 2027-08-09 2027-10-08 2027-11-01 2028-05-01 2028-05-26 2028-08-11"
        " 2028-10-09 2028-11-03",
        "2026-04-02 2027-07-24 2028-12-06",
    ),
    # Código de Trabajo, artículo 190, and decretos 399 (10 May) and 208 (17 Jun).
    "SV": ("01-01 05-01 05-10 06-17 08-06 09-15 11-02 12-25", (-3, -2, -1), "", "2026-10-12"),
    # Ley 139-97: a Tuesday or Wednesday to the Monday before, a Thursday or Friday to the next.
    "DO": (
        "01-01 01-21 02-27 09-24 12-25",
        (-2, 60),
        "2026-01-05 2026-01-26 2026-05-04 2026-08-16 2026-11-09 2027-01-04 2027-01-25"
        " 2027-08-16 2028-01-10 2028-01-24 2028-05-01 2028-08-16 2028-11-06",
        "2026-01-06 2026-05-01 2026-11-06 2027-01-06 2027-01-26 2028-01-06 2028-01-26",
    ),
    # Ley 27.399: 17 Aug and 12 Oct move to a Monday.
    "AR": (
        "01-01 03-24 04-02 05-01 05-25 06-20 07-09 12-08 12-25",
        (-48, -47, -2),
        "2026-06-15 2026-08-17 2026-10-12 2026-11-23 2027-06-21 2027-08-16 2027-10-11"
        " 2028-08-21 2028-10-16 2028-11-20",
        "2027-08-17 2027-10-12 2028-10-12",
    ),
    # Leis 662/1949, 6.802/1980, 9.093/1995 and 14.759/2023 (20 Nov); carnival is no holiday.
    "BR": (
        "01-01 04-21 05-01 09-07 10-12 11-02 11-15 11-20 12-25",
        (-2,),
        "",
        "2026-02-17 2027-02-09 2028-07-09",
    ),
    # A holiday of the state of São Paulo alone: lei estadual 9.497/1997.
    "BR-SP": ("07-09 11-20 12-25", (-2,), "", ""),
    # Código de Trabajo, artículo 46 (a Sunday to Monday), and ley 291 of 2022 (20 Dec).
    "PA": (
        "01-01 01-09 05-01 11-03 11-05 11-10 11-28 12-08 12-20 12-25",
        (-47, -2),
        "2026-12-21 2027-11-29 2028-01-10 2028-11-06",
        "2026-11-02 2027-11-04",
    ),
    # Código de Trabajo, artículo 148: holidays with pay.
    "CR": ("01-01 04-11 05-01 07-25 08-15 09-15 12-25", (-3, -2), "", "2026-10-12 2027-10-12"),
    # Código de Trabajo, artículo 127, and decreto 19-2018: the day of the army on a Monday.
    "GT": (
        "01-01 05-01 09-15 11-01 12-25",
        (-3, -2, -1),
        "2026-06-29 2027-06-28 2028-07-03",
        "2026-06-30 2027-06-30 2028-06-30",
    ),
    # Ley 12.590: the holidays with pay alone.
    "UY": ("01-01 05-01 07-18 08-25 12-25", (), "", "2026-04-03 2026-06-19 2027-11-02"),
    # Ley 8/90 and its reforms.
    "PY": (
        "01-01 05-01 05-14 05-15 06-12 08-15 09-29 12-08 12-25",
        (-3, -2),
        "2027-03-01 2028-03-01",
        "2026-10-12",
    ),
    # Decreto supremo 21060 and leyes since: carnival, Corpus, 22 Jan, 21 Jun.
    "BO": (
        "01-01 01-22 05-01 06-21 08-06 11-02 12-25",
        (-48, -47, -2, 60),
        "2026-06-22 2028-08-07",
        "2026-10-12 2027-07-16",
    ),
    # Código del Trabajo, artículo 339, and decreto 78-2015: Wednesday to Friday in October.
    "HN": (
        "01-01 04-14 05-01 09-15 12-25",
        (-3, -2, -1),
        "2026-10-07 2026-10-08 2026-10-09 2027-10-06 2027-10-08 2028-10-04 2028-10-06",
        "2026-10-12 2026-10-21",
    ),
    # Código del Trabajo, artículo 66.
    "NI": ("01-01 05-01 07-19 09-14 09-15 12-08 12-25", (-3, -2), "", "2026-08-01 2027-08-10"),
    # LOTTT, artículo 184.
    "VE": (
        "01-01 04-19 05-01 06-24 07-05 07-24 10-12 12-24 12-25 12-31",
        (-48, -47, -3, -2),
        "",
        "2026-03-19 2027-11-01",
    ),
}


def test_holidays_are_those_of_the_law() -> None:
    """Three years of the countries where contact centres use Wolkvox, moved days included."""
    for country, (yearly, from_easter, single, none) in LAWS.items():
        is_holiday: Callable[[date], bool] = holiday_test(country)
        expected = [
            date.fromisoformat(f"{easter.year}-{day}")
            for easter in EASTER
            for day in yearly.split()
        ]
        expected += [easter + timedelta(days=days) for easter in EASTER for days in from_easter]
        expected += map(date.fromisoformat, single.split())
        assert not [str(day) for day in expected if not is_holiday(day)], country
        ordinary = map(date.fromisoformat, none.split())
        assert not [str(day) for day in ordinary if is_holiday(day)], country
