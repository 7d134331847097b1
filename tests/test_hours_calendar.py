"""What opening hours mean: by the notation's reference, an oracle of minutes, and the laws."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.config.hours import OpenHours, holiday_test
from exporter.config.values import Invalid

A_DAY, A_MINUTE = timedelta(days=1), timedelta(minutes=1)
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
# Made with opening_hours 3.15 of npm and TZ set to the zone: new OpeningHours(expression,
# {address: {country_code: "br", state: "São Paulo"}}).getState(moment), each 15 minutes for 61
# an hour, closed and open in turn; `4*56+40` stands for four such pairs. Left out is what the
# documentation says to differ (ranges past midnight before a day with a rule of its own), and
# one expression on a day without midnight, where it closes an hour late.
DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "hours.json").read_text("utf-8"))


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
LAWS = yaml.safe_load((DATA / "holidays.yml").read_text("utf-8"))


def test_holidays_are_those_of_the_law() -> None:
    """Three years of the countries where contact centres use Wolkvox, moved days included."""
    for country, law in LAWS.items():
        is_holiday: Callable[[date], bool] = holiday_test(country)
        expected = [
            date.fromisoformat(f"{easter.year}-{day}")
            for easter in EASTER
            for day in law["yearly"].split()
        ]
        from_easter = map(timedelta, law.get("easter", ()))
        expected += [easter + days for days in from_easter for easter in EASTER]
        expected += map(date.fromisoformat, law.get("single", "").split())
        assert not [str(day) for day in expected if not is_holiday(day)], country
        ordinary = map(date.fromisoformat, law.get("ordinary", "").split())
        assert not [str(day) for day in ordinary if is_holiday(day)], country
