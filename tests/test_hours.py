"""Opening hours: how long to wait for them, how much of a span they leave, until when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.hours import OpenHours
from exporter.wolkvox.windows import day_start
from tests.days_support import HALF_HOUR, Change, days_of, wall, zones
from tests.polling_support import SANTIAGO, moment

A_DAY = timedelta(days=1)
# Expressions, and whether they are open at an hour and half hour of the clock.
CLOCKS: dict[str, Callable[[float], bool]] = {
    "Mo-Su 06:00-22:00": lambda hour: 6 <= hour < 22,
    "Mo-Su 22:00-06:00": lambda hour: hour >= 22 or hour < 6,
    "Mo-Su 00:30-23:30": lambda hour: 0.5 <= hour < 23.5,
    "Mo-Su 23:30-24:30": lambda hour: hour >= 23.5 or hour < 0.5,
    "24/7": lambda hour: True,
    "24/7 off": lambda hour: False,
}
# One year of them in `make test`, ten in `make test-slow`.
years = pytest.mark.parametrize(
    "years",
    [
        pytest.param(range(2027, 2028), id="one-year"),
        pytest.param(range(2025, 2036), id="all-years", marks=pytest.mark.slow),
    ],
)


def changes_of(years: range) -> list[tuple[ZoneInfo, Change]]:
    """The changes of the clocks in these years, in every zone."""
    found = [(zone, change) for zone, changes in zones().items() for change in changes]
    return [(zone, change) for zone, change in found if change.at.year in years]


def open_at(expression: str, moment: datetime, zone: ZoneInfo) -> bool:
    """Whether it is open by the clocks of the zone: half hours tell, as nothing is shorter."""
    local = wall(moment, zone)
    return CLOCKS[expression](local.hour + local.minute / 60)


def half_hours(start: datetime, end: datetime) -> list[datetime]:
    """The beginnings of the half hours of a span."""
    return [start + number * HALF_HOUR for number in range((end - start) // HALF_HOUR)]


@years
@pytest.mark.parametrize("expression", CLOCKS)
def test_days_of_every_change_of_the_clocks_are_measured(expression: str, years: range) -> None:
    """In every zone the day of a change and its neighbours are open as the clocks show it."""
    for zone, change in changes_of(years):
        hours = OpenHours(expression, zone)
        days = days_of(change)
        starts = [day_start(day, zone) for day in (*days, days[-1] + A_DAY)]
        for start, end in pairwise(starts):
            shown = sum(open_at(expression, one, zone) for one in half_hours(start, end))
            measured = hours.open_seconds(start, end)
            assert measured == shown * 1800, (zone.key, start)
        whole = hours.open_seconds(starts[0], starts[-1])
        assert whole == sum(hours.open_seconds(*day) for day in pairwise(starts))


@years
@pytest.mark.parametrize("expression", CLOCKS)
def test_the_state_around_a_change_of_the_clocks(expression: str, years: range) -> None:
    """What is said to come next comes then: opening, closing, and no change in between."""
    # Where no change is near, the search for it is long.
    for zone, change in changes_of(years)[:: 5 if expression.startswith("24/7") else 1]:
        hours = OpenHours(expression, zone)
        for now in half_hours(change.at - 3 * HALF_HOUR, change.at + 3 * HALF_HOUR):
            is_open, until = hours.state(now.timestamp())
            assert is_open == open_at(expression, now, zone)
            opens = now.timestamp() if is_open else until or float("inf")
            assert hours.wait(now) == min(86400, opens - now.timestamp())
            if until is None:
                assert expression.startswith("24/7")
                continue
            end = datetime.fromtimestamp(until, UTC)
            assert open_at(expression, end, zone) != is_open, (zone.key, now)
            same = {open_at(expression, one, zone) for one in half_hours(now, end)}
            assert same == {is_open}, (zone.key, now)


@given(
    change=st.deferred(lambda: st.sampled_from(changes_of(range(2025, 2036)))),
    expression=st.sampled_from(list(CLOCKS)),
    seconds=st.lists(st.floats(-200_000, 200_000), min_size=3, max_size=3).map(sorted),
)
def test_a_span_is_the_sum_of_its_parts(
    change: tuple[ZoneInfo, Change], expression: str, seconds: list[float]
) -> None:
    """Wherever it is cut: within a second, or in an hour that the clocks show twice."""
    zone, at = change[0], change[1].at
    hours = OpenHours(expression, zone)
    first, middle, last = (at + timedelta(seconds=one) for one in seconds)
    parts = hours.open_seconds(first, middle) + hours.open_seconds(middle, last)
    assert hours.open_seconds(first, last) == pytest.approx(parts, abs=1e-5)
    assert hours.open_seconds(last, first) == 0
    assert 0 <= parts <= (last - first).total_seconds() + 1e-5


def test_the_next_change_may_be_far() -> None:
    """The state lasts for days or for good; a time that does not exist is at the jump."""
    for expression, now, state in (
        (None, "2027-09-04 12:00", (True, None)),
        ("24/7", "2027-09-04 12:00", (True, None)),
        ("2028 Mo-Su 08:00-18:00", "2027-09-04 12:00", (False, "2028-01-01 08:00")),
        ("2020 Mo-Su 08:00-18:00", "2027-09-04 12:00", (False, None)),
        ("2027 Sep 05 00:30-08:00", "2027-08-01 12:00", (False, "2027-09-05 01:00")),
        ("9999 Dec 31 20:00-22:00", "2027-09-04 12:00", (False, None)),
        ("Mo-Fr 08:00-18:00", "2027-09-03 18:00", (False, "2027-09-06 08:00")),
    ):
        found = OpenHours(expression, SANTIAGO).state(moment(now, SANTIAGO).timestamp())
        until = state[1] and moment(state[1], SANTIAGO).timestamp()
        assert found == (state[0], until), expression
