"""The arithmetic of the day's calls: what the ceiling demands now, and from tomorrow on."""

from __future__ import annotations

from datetime import date

import pytest

from exporter.config.hours import OpenHours
from exporter.polling.limits import NO_LIMITS, Budget, Demand, Limits
from exporter.wolkvox.windows import DAY_SECONDS as DAY
from tests.polling_support import BOGOTA, SANTIAGO, moment

TODAY, TOMORROW = date(2026, 11, 18), date(2026, 11, 19)
ALWAYS = OpenHours(None, BOGOTA)


def budget(
    ceiling: int | None,
    *intervals: float,
    other: int = 0,
    hours: OpenHours = ALWAYS,
    used: int = 0,
) -> Budget:
    """A budget with one operation's demand."""
    made = Budget((1,), ceiling, BOGOTA)
    made.demands["acme"] = Demand(intervals, other, hours)
    made.counted = used, TODAY
    return made


def test_what_whole_days_need() -> None:
    """The shortest interval with which a full day keeps under the ceiling."""
    cases = [
        (None, [300.0] * 100, 24, 0),
        (1000, [300.0] * 3, 24, 0),
        (864, [300.0] * 3, 0, 0),  # as large as the ceiling
        (863, [300.0] * 3, 0, 3 * DAY / 863),
        (1000, [300.0] * 10, 0, 864),
        (1024, [300.0] * 10, 24, 864),
        (1000, [300.0] * 2 + [3600.0] * 2, 0, 0),
        (600, [300.0] * 2 + [3600.0] * 2, 0, 2 * DAY / 552),  # the slow ones keep theirs
        (10, [300.0] * 10, 0, DAY),
        (10, [300.0] * 10, 24, DAY),  # nothing is left for queries
    ]
    for ceiling, intervals, other, lasting in cases:
        limits = budget(ceiling, *intervals, other=other).limits(moment("2026-11-18 00:00"))
        assert limits.lasting == pytest.approx(lasting), (ceiling, intervals, other)
        assert limits.left == (DAY if ceiling else 0), "without a ceiling it does not matter"


def test_what_is_left_of_a_costly_day() -> None:
    """What is left of the budget is spread over what is left of the day."""
    cases = [
        ("12:00", 0, 0),
        ("12:00", 290, 0),  # 286 of 576 left, for twice 143 after the slot of noon
        ("12:00", 291, 86400 / 285),
        ("12:00", 476, 864),
        ("18:00", 566, 4320),
        ("18:00", 575, 43200),  # longer than the day: for both the last call
        ("18:00", 576, DAY),
        ("18:00", 9999, DAY),
        ("23:59", 575, 0),  # one call is all that is left to make
    ]
    for now, used, today in cases:
        limits = budget(576, 300.0, 300.0, used=used).limits(moment(f"2026-11-18 {now}"))
        assert limits.today == pytest.approx(today), (now, used)
        assert limits.lasting == 0


def test_poll_hours_are_part_of_the_plan() -> None:
    """Closed hours cost nothing, except for the calls that close the day."""
    half = OpenHours("Mo-Su 08:00-20:00", BOGOTA)
    midnight = moment("2026-11-18 00:00")
    assert budget(290, 300.0, 300.0, hours=half).limits(midnight).lasting == 0
    assert budget(289, 300.0, 300.0, hours=half).limits(midnight).lasting > 300
    evening = moment("2026-11-18 19:00")
    assert budget(290, 300.0, 300.0, hours=half, used=266).limits(evening).today == 0
    assert budget(290, 300.0, 300.0, hours=half, used=278).limits(evening).today == 600
    late = moment("2026-11-18 21:00")
    assert budget(290, 300.0, 300.0, hours=half, used=290).limits(late).today == 0


def test_days_of_23_and_25_hours() -> None:
    """The plan is for the seconds that the day really has."""
    made = Budget((1,), 288, SANTIAGO)
    made.demands["acme"] = Demand((300.0,), 0, OpenHours(None, SANTIAGO))
    assert made.limits(moment("2026-04-04 00:00", SANTIAGO)).lasting == 90000 / 288
    # The day that begins at 01:00.
    start = moment("2026-09-06 01:00", SANTIAGO)
    assert made.limits(start).lasting == 0
    assert made.limits(start).left == 23 * 3600


def test_the_interval_in_force_and_the_next_slot() -> None:
    """The longest of what is configured, what days need and what is left of today; tomorrow
    begins with a budget of its own, and its polls wait for no limit of today.
    """
    cases = [
        (NO_LIMITS, 300.0, 300.0, 1300.0),
        (Limits(864.0, 0.0, 5000.0), 300.0, 864.0, 1864.0),
        (Limits(864.0, 0.0, 5000.0), 900.0, 900.0, 1900.0),
        (Limits(864.0, 2000.0, 5000.0), 300.0, 2000.0, 3000.0),
        (Limits(864.0, DAY, 5000.0), 300.0, 5000.0, 6100.0),  # no longer than today lasts
        (Limits(864.0, DAY, 10.0), 300.0, 864.0, 1864.0),
        (Limits(0.0, DAY, 0.0), 300.0, 300.0, 1300.0),
    ]
    for limits, configured, interval, slot in cases:
        assert limits.interval(configured) == interval, limits
        assert limits.slot(1000.0, configured, now=1100.0) == slot, limits
