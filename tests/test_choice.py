"""What a query asks for at its slot: a finished day, today or a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from exporter.polling.choice import choose_window, day_to_close, month_to_ask
from exporter.state.models import MonthMemory, MonthTries, QueryMemory, Result, Stored
from exporter.wolkvox.windows import Window
from tests.polling_support import BOGOTA, moment
from tests.statuses import VOICE

TODAY, YESTERDAY, BEFORE = date(2026, 11, 18), date(2026, 11, 17), date(2026, 11, 16)
NOVEMBER, OCTOBER = date(2026, 11, 1), date(2026, 10, 1)
NOON = moment("12:00")


def test_day_to_close() -> None:
    """Only yesterday, only once, only after a recorded attempt, and three times at most."""
    cases: dict[str, tuple[date | None, date | None, date | None, int, date | None]] = {
        "a fresh query": (None, None, None, 0, None),
        "the first slot after midnight": (YESTERDAY, None, None, 0, YESTERDAY),
        "as on the day before": (YESTERDAY, BEFORE, BEFORE, 1, YESTERDAY),
        "two midnights without a poll": (BEFORE, None, None, 0, YESTERDAY),
        "long ago": (date(2026, 1, 1), None, None, 0, YESTERDAY),
        "asked today, nothing tried": (TODAY, None, None, 0, None),
        "closed": (TODAY, YESTERDAY, YESTERDAY, 1, None),
        "tried once": (TODAY, None, YESTERDAY, 1, YESTERDAY),
        "tried twice": (TODAY, None, YESTERDAY, 2, YESTERDAY),
        "tried three times": (TODAY, None, YESTERDAY, 3, None),
        "asked today, the day before closed": (TODAY, BEFORE, BEFORE, 1, None),
        "the day before given up": (YESTERDAY, None, BEFORE, 3, YESTERDAY),
        "the clock was set back": (YESTERDAY, TODAY, None, 0, None),
    }
    for what, (last, closed, tried, tries, closes) in cases.items():
        at = moment(f"{last} 12:00").timestamp() if last else None
        stored, memory = Stored(at, tried, tries), QueryMemory(closed=closed)
        assert day_to_close(stored, memory, NOON.astimezone(BOGOTA)) == closes, what
    answered = QueryMemory(last_success_at=moment(f"{YESTERDAY} 12:00").timestamp())
    probed = Stored(moment(f"{TODAY} 00:01").timestamp())
    assert day_to_close(probed, answered, NOON.astimezone(BOGOTA)) == YESTERDAY


def test_a_day_is_closed_late_once_an_hour() -> None:
    """After three tries: until noon, an hour after the last, once the day had an answer."""
    for what, at, polled, tried_at, late in (
        ("an hour ago", "09:00", TODAY, "08:00", True),
        ("a second less", "09:00", TODAY, "08:00:01", False),
        ("an earlier version noted no time", "09:00", TODAY, None, True),
        ("the clock was set back", "09:00", TODAY, "09:30", True),
        ("no answer of the day yet", "09:00", YESTERDAY, "08:00", False),
        ("the last minute", "11:59", TODAY, "10:00", True),
        ("noon", "12:00", TODAY, "10:00", False),
    ):
        memory = QueryMemory(
            today=Result(polled, (), 0.0),
            closing_at=None if tried_at is None else moment(tried_at).timestamp(),
        )
        stored = Stored(moment("08:55").timestamp(), YESTERDAY, 3)
        closes = day_to_close(stored, memory, moment(at))
        assert closes == (YESTERDAY if late else None), what


# The month -------------------------------------------------------------------------------


def polled(day: date = TODAY, **more: Any) -> QueryMemory:
    """A query that had its first answer of a day, and rows in its month."""
    memory = QueryMemory(
        today=Result(day, (VOICE,), 0.0), months_with_rows=(day.replace(day=1),)
    )
    return replace(memory, **more)


def held(day: date, at: str = "2026-11-01 00:10") -> MonthMemory:
    """An answer to the end of a day."""
    return MonthMemory(Result(day, (), moment(at).timestamp()))


def tries(day: date, at: str, count: int = 1, days: int = 1) -> MonthMemory:
    """Tries for November that had no answer."""
    return MonthMemory(tries=MonthTries(NOVEMBER, day, moment(at).timestamp(), count, days))


def asked(memory: QueryMemory, at: str = "12:00") -> str:
    """The window of a month to ask for, as its name and last day."""
    window = month_to_ask(memory, moment(at))
    return f"{window.month} {window.day}" if window else ""


def test_a_month_to_ask_for() -> None:
    """Once a day after its first answer; the last month first where its rows were seen."""
    both = (OCTOBER, NOVEMBER)
    weekly = MonthMemory(tries=MonthTries(OCTOBER, TODAY, moment("00:10").timestamp(), 1, 9))
    october, second = held(date(2026, 10, 31)), date(2026, 11, 2)
    for what, memory, at, expected in (
        ("nothing polled", QueryMemory(), "12:00", ""),
        ("no answer of today", polled(YESTERDAY), "12:00", ""),
        ("the last attempt failed", polled(failures=1), "12:00", ""),
        ("never asked", polled(), "12:00", "month 2026-11-17"),
        ("held", polled(month=held(YESTERDAY)), "12:00", ""),
        ("held to the day before", polled(month=held(BEFORE)), "12:00", "month 2026-11-17"),
        ("the last one is missing", polled(months_with_rows=both), "12:00",
         "last_month 2026-10-31"),
        ("the last one is held", polled(months_with_rows=both, last_month=october), "12:00",
         "month 2026-11-17"),
        ("the last one came today", polled(last_month=held(date(2026, 10, 31), "11:00")),
         "12:00", ""),
        ("the last one was tried today", polled(last_month=weekly), "12:00", ""),
        ("the first of the month", polled(NOVEMBER), "2026-11-01 12:00", ""),
        ("the second", polled(second), "2026-11-02 12:00", "month 2026-11-01"),
        ("the second of a year", polled(date(2027, 1, 2)), "2027-01-02 12:00",
         "month 2027-01-01"),
    ):  # fmt: skip
        assert asked(memory, at) == expected, what
    for first, last in (
        ("2026-11-01", "2026-10-31"), ("2026-12-01", "2026-11-30"),
        ("2027-01-01", "2026-12-31"), ("2027-03-01", "2027-02-28"),
        ("2028-03-01", "2028-02-29"),
    ):  # fmt: skip
        seen = (date.fromisoformat(last).replace(day=1),)
        over = polled(date.fromisoformat(first), months_with_rows=seen)
        assert asked(over, f"{first} 12:00") == f"last_month {last}"


def test_tries_for_a_month() -> None:
    """Three a day, an hour apart; after three days once a week; a new month begins anew."""
    for what, month, at, due in (
        ("an hour ago", tries(TODAY, "11:00"), "12:00", True),
        ("a second less", tries(TODAY, "11:00:01"), "12:00", False),
        ("the clock was set back", tries(TODAY, "13:00"), "12:00", True),
        ("twice today", tries(TODAY, "10:00", 2), "12:00", True),
        ("three times today", tries(TODAY, "10:00", 3), "12:00", False),
        ("on the third day", tries(TODAY, "10:00", 1, 3), "12:00", True),
        ("on a fourth", tries(TODAY, "10:00", 1, 4), "12:00", False),
        ("three times yesterday", tries(YESTERDAY, "2026-11-17 23:30", 3), "00:10", True),
        ("two days", tries(YESTERDAY, "2026-11-17 10:00", 3, 2), "12:00", True),
        ("three days", tries(YESTERDAY, "2026-11-17 10:00", 3, 3), "12:00", False),
        ("six days ago", tries(date(2026, 11, 12), "2026-11-12 10:00", 3, 3), "12:00", False),
        ("a week ago", tries(date(2026, 11, 11), "2026-11-11 10:00", 3, 3), "12:00", True),
        ("the day was set back", tries(date(2026, 11, 20), "2026-11-20 10:00", 3, 3), "12:00",
         True),
    ):  # fmt: skip
        assert bool(asked(polled(month=month), at)) == due, what
    december = polled(date(2026, 12, 2), month=tries(TODAY, "10:00", 3, 9))
    assert asked(december, "2026-12-02 12:00") == "month 2026-12-01"


def test_a_month_with_rows_cannot_be_empty() -> None:
    """A window of a month in which rows were seen has some, but for a first day without."""
    second = date(2026, 11, 2)
    empty, full = (Result(NOVEMBER, rows, 0.0) for rows in ((), (VOICE,)))
    for what, memory, at, expected in (
        ("rows were seen", polled(), "12:00", True),
        ("none were", polled(months_with_rows=()), "12:00", False),
        ("an empty first day", polled(second, yesterday=empty), "2026-11-02 12:00", False),
        ("a full one", polled(second, yesterday=full), "2026-11-02 12:00", True),
        ("the last month", polled(months_with_rows=(OCTOBER,)), "12:00", True),
    ):
        window = month_to_ask(memory, moment(at))
        assert window is not None, what
        assert window.rows_seen == expected, what


def test_the_order_of_the_windows() -> None:
    """The day to close comes first, then the month, then today."""

    def chosen(stored: Stored, memory: QueryMemory, *, months: bool = True) -> Window:
        return choose_window(stored, memory, NOON, BOGOTA, "", months=months)

    yesterday, now = (Stored(moment(f"{one} 11:00").timestamp()) for one in (YESTERDAY, TODAY))
    assert chosen(yesterday, polled()).closing
    assert chosen(now, polled()) == Window(
        YESTERDAY, "20261101000000", "20261117235959", False, "month", rows_seen=True
    )
    for off in (
        chosen(now, polled(), months=False),
        chosen(now, polled(month=held(YESTERDAY))),
    ):
        assert (off.start, off.end, off.month) == ("20261118000000", "20261118120000", "")
