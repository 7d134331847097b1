"""The hours of polling: how long to wait for them, and how much of a span they leave."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from exporter.polling.hours import PollHours
from tests.polling_support import BOGOTA, SANTIAGO, moment

WEEKDAYS = "Mo-Fr 07:00-19:00; Sa 08:00-13:00"
NIGHT = "Mo-Su 20:00-04:00"


@pytest.mark.parametrize(
    ("expression", "now", "wait"),
    [
        (None, "2026-11-18 03:00", 0),
        ("24/7", "2026-11-18 03:00", 0),
        (WEEKDAYS, "2026-11-18 07:00", 0),
        (WEEKDAYS, "2026-11-18 06:59:50", 10),
        (WEEKDAYS, "2026-11-18 18:59:59", 0),
        (WEEKDAYS, "2026-11-18 19:00", 12 * 3600),
        (WEEKDAYS, "2026-11-21 14:00", 86400),  # Saturday: Monday is more than a day away
        (WEEKDAYS, "2026-11-22 12:00", 19 * 3600),
        (NIGHT, "2026-11-18 02:00", 0),
        (NIGHT, "2026-11-18 04:00", 16 * 3600),
        ("Mo-Su off", "2026-11-18 04:00", 86400),
    ],
)
def test_wait(expression: str | None, now: str, wait: float) -> None:
    """Seconds until polling is allowed: 0 while it is, a day at most."""
    assert PollHours(expression, BOGOTA).wait(moment(now)) == pytest.approx(wait, abs=1e-3)


@pytest.mark.parametrize(
    ("now", "wait"),
    [
        # The clock jumps from 24:00 to 01:00 on 6 September: an hour less to wait.
        ("2026-09-05 23:00", 6 * 3600),
        # It goes back from 24:00 to 23:00 on 4 April: an hour more.
        ("2026-04-04 22:00", 9 * 3600 + 3600),
    ],
)
def test_wait_over_a_clock_change(now: str, wait: float) -> None:
    """Waiting is in real seconds."""
    hours = PollHours("Mo-Su 06:00-08:00" if "09" in now[:7] else "Mo-Su 07:00-08:00", SANTIAGO)
    assert hours.wait(moment(now, SANTIAGO)) == pytest.approx(wait, abs=1e-3)


@pytest.mark.parametrize(
    ("expression", "start", "end", "seconds"),
    [
        (None, "2026-11-18 00:00", "2026-11-19 00:00", 86400),
        (WEEKDAYS, "2026-11-18 00:00", "2026-11-19 00:00", 12 * 3600),
        (WEEKDAYS, "2026-11-18 18:00", "2026-11-19 00:00", 3600),
        (WEEKDAYS, "2026-11-18 19:00", "2026-11-19 00:00", 0),
        (WEEKDAYS, "2026-11-21 00:00", "2026-11-22 00:00", 5 * 3600),
        (WEEKDAYS, "2026-11-22 00:00", "2026-11-23 00:00", 0),
        (NIGHT, "2026-11-18 00:00", "2026-11-19 00:00", 8 * 3600),
        (None, "2026-11-19 00:00", "2026-11-18 00:00", 0),
    ],
)
def test_open_seconds(expression: str | None, start: str, end: str, seconds: float) -> None:
    """How much of a span is open."""
    hours = PollHours(expression, BOGOTA)
    assert hours.open_seconds(moment(start), moment(end)) == seconds


@pytest.mark.parametrize(
    ("day", "following", "seconds"),
    [("2026-09-05", "2026-09-06", 86400), ("2026-04-04", "2026-04-05", 90000)],
)
def test_open_seconds_over_a_clock_change(day: str, following: str, seconds: float) -> None:
    """A day may have 25 hours; what is open in it is counted in real seconds."""
    start, end = moment(f"{day} 00:00", SANTIAGO), moment(f"{following} 12:00", SANTIAGO)
    always, never = PollHours(None, SANTIAGO), PollHours("Mo-Su off", SANTIAGO)
    noon = {86400: 11 * 3600, 90000: 12 * 3600}[int(seconds)]
    real = end.astimezone(ZoneInfo("UTC")), start.astimezone(ZoneInfo("UTC"))
    assert always.open_seconds(real[1], real[0]) == seconds + noon
    assert PollHours("24/7", SANTIAGO).open_seconds(start, end) == seconds + noon
    assert never.open_seconds(start, end) == 0
