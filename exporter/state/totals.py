"""One row of an answer -> its totals of the day, and what two of them differ by.

Knows neither days nor files nor corrections. Wolkvox rounds a service level to two decimals
of a percent: below 10,000 interactions a day service level x inbound is within 0.5 of the
true count, so rounding gives it back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from exporter.wolkvox.columns import ChannelFigures

# No channel has a billion interactions (or seconds, or a ratio of that size) in a day. A
# number beyond it would hold the counters still for the rest of the day, or overflow.
LARGEST_FIGURE = 1_000_000_000
ROUNDED = 10_000  # interactions a day from which two decimals no longer give a count back

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one (skill, channel): none ever falls; waits in seconds."""

    offered: int = 0
    within_10: int = 0
    within_20: int = 0
    within_30: int = 0
    answered: int = 0
    answer_wait_sum: float = 0.0
    abandoned: int = 0
    abandon_wait_sum: float = 0.0


@dataclass(frozen=True, slots=True)
class DayTotals:
    """The same figures since the start of a day; None = not known.

    The first five are known together or not at all: a service level of a window is a
    bucket over `offered`, and half an update would read as a collapse.
    """

    offered: int | None = None
    within_10: int | None = None
    within_20: int | None = None
    within_30: int | None = None
    answered: int | None = None
    answer_wait_sum: float | None = None
    abandoned: int | None = None
    abandon_wait_sum: float | None = None


NO_COUNTERS = Counters()
ZERO_TOTALS = DayTotals(0, 0, 0, 0, 0, 0.0, 0, 0.0)
UNKNOWN_TOTALS = DayTotals()

_figures = attrgetter(
    *("offered", "within_10", "within_20", "within_30", "answered", "answer_wait_sum"),
    *("abandoned", "abandon_wait_sum"),
)
_exact_counts = attrgetter("offered", "answered", "abandoned")
_rounded_counts = attrgetter("within_10", "within_20", "within_30")


def day_totals(row: ChannelFigures) -> DayTotals:
    """What a row says of its day: counts, and waits as average x count.

    Nothing of a row is known where inbound, answered or a service level is not: the
    abandoned wait with the rest, since abandonment is over inbound. Without asa only the
    answer wait is unknown, without ata the abandon wait, without abandoned both of its
    figures. An average of nothing is blank in the answer, and its sum is 0.
    """
    offered, answered = _plausible(row.inbound), _plausible(row.answered)
    if offered is None or answered is None:
        return UNKNOWN_TOTALS
    buckets = _buckets(row, offered, answered)
    if buckets is None:
        return UNKNOWN_TOTALS
    within_10, within_20, within_30 = buckets
    abandoned = _plausible(row.abandoned)
    return DayTotals(
        offered=offered,
        within_10=within_10,
        within_20=within_20,
        within_30=within_30,
        answered=answered,
        answer_wait_sum=_wait_sum(answered, row.asa),
        abandoned=abandoned,
        abandon_wait_sum=_wait_sum(abandoned, row.ata),
    )


def fell(since: DayTotals, seen: DayTotals) -> bool:
    """Whether a count of `seen` is below the one of `since`, by more than rounding explains.

    The waits are no counts: made of averages in whole seconds, they fall by themselves.
    """
    offered = seen.offered or 0
    rounding = offered // ROUNDED + 1 if offered >= ROUNDED else 0
    return any(
        _growth(now, before) > allowed
        for counts, allowed in ((_exact_counts, 0), (_rounded_counts, rounding))
        for before, now in zip(counts(since), counts(seen), strict=True)
    )


def advanced(counters: Counters, since: DayTotals, seen: DayTotals) -> Counters:
    """The counters after a day's totals went from `since` to `seen`; what fell holds still."""
    figures = zip(_figures(counters), _figures(since), _figures(seen), strict=True)
    return Counters(*[counter + _growth(before, now) for counter, before, now in figures])


def raised(since: DayTotals, seen: DayTotals) -> DayTotals:
    """The higher of each figure, so that what rounding takes is not counted again.

    The unknown changes nothing. The higher of ordered buckets are ordered.
    """
    figures = zip(_figures(since), _figures(seen), strict=True)
    return DayTotals(*[_higher(before, now) for before, now in figures])


def cumulative(counters: Counters) -> Counters:
    """The counters as buckets of one histogram: each at most the next wider one.

    Where a correction moved interactions into a narrower bucket it waits for the wider one,
    which catches up. None falls: the least of counters that rise rises.
    """
    within_30 = min(counters.within_30, counters.answered)
    within_20 = min(counters.within_20, within_30)
    within_10 = min(counters.within_10, within_20)
    return replace(counters, within_10=within_10, within_20=within_20, within_30=within_30)


def _buckets(row: ChannelFigures, offered: int, answered: int) -> tuple[int, int, int] | None:
    if offered == 0:
        return 0, 0, 0  # a service level of nothing says nothing, whatever stands there
    level_10 = _plausible(row.service_level_10)
    level_20 = _plausible(row.service_level_20)
    level_30 = _plausible(row.service_level_30)
    if level_10 is None or level_20 is None or level_30 is None:
        return None
    within_30 = min(_share(level_30, offered), answered)
    within_20 = min(_share(level_20, offered), within_30)
    return min(_share(level_10, offered), within_20), within_20, within_30


def _share(level: float, offered: int) -> int:
    """Rounded half up; the six decimals take a product like 0.4999999 x n to its half."""
    return math.floor(round(level * offered, 6) + 0.5)


def _wait_sum(count: int | None, average: float | None) -> float | None:
    if count == 0:
        return 0.0
    average = _plausible(average)
    return None if count is None or average is None else float(count * average)


def _plausible(figure: Number | None) -> Number | None:
    """The figure, or None where it is negative, not a number, or beyond all measure."""
    if figure is None or not 0 <= figure <= LARGEST_FIGURE:
        return None
    return figure


def _growth(before: Number | None, now: Number | None) -> Number:
    return 0 if before is None or now is None else max(0, now - before)


def _higher(before: Number | None, now: Number | None) -> Number | None:
    if before is None or now is None:
        return now if before is None else before
    return max(before, now)
