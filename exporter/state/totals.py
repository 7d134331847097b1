"""One row of an answer -> what it says of its day so far, and how much that is more than
before; knows neither days nor files nor what is shown.

Wolkvox rounds a service level to two decimals of a percent: service level x inbound is
within 0.5 of the true count below 10,000 interactions a day, so rounding gives it back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from exporter.wolkvox.report import ChannelFigures

# No channel has a billion interactions (or seconds, or a ratio of that size) in a day. A
# number beyond it would hold the counters still for the rest of the day, or overflow.
LARGEST_FIGURE = 1_000_000_000

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one (skill, channel): none ever falls; waits in seconds.

    `within_10` <= `within_20` <= `within_30` <= `answered` always holds: they are the
    buckets of a cumulative histogram and its count.
    """

    offered: int
    within_10: int
    within_20: int
    within_30: int
    answered: int
    answer_wait_sum: float
    abandoned: int
    abandon_wait_sum: float


@dataclass(frozen=True, slots=True)
class DayTotals:
    """The same figures since the start of a day; None = not known.

    The first five are known together or not at all: a service level of a window is a
    bucket over `offered`, and half an update would read as a collapse.
    """

    offered: int | None
    within_10: int | None
    within_20: int | None
    within_30: int | None
    answered: int | None
    answer_wait_sum: float | None
    abandoned: int | None
    abandon_wait_sum: float | None


NO_COUNTERS = Counters(0, 0, 0, 0, 0, 0.0, 0, 0.0)
ZERO_TOTALS = DayTotals(0, 0, 0, 0, 0, 0.0, 0, 0.0)
UNKNOWN_TOTALS = DayTotals(None, None, None, None, None, None, None, None)


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


def advanced(counters: Counters, base: DayTotals, seen: DayTotals) -> Counters:
    """The counters after a day's totals went from `base` to `seen`; what fell holds still.

    The buckets stay in order even where `base` did not begin with the day and a correction
    moved interactions between buckets: the narrower one then waits for the wider one.
    """
    answered = counters.answered + _growth(base.answered, seen.answered)
    within_30 = min(counters.within_30 + _growth(base.within_30, seen.within_30), answered)
    within_20 = min(counters.within_20 + _growth(base.within_20, seen.within_20), within_30)
    within_10 = min(counters.within_10 + _growth(base.within_10, seen.within_10), within_20)
    return Counters(
        offered=counters.offered + _growth(base.offered, seen.offered),
        within_10=within_10,
        within_20=within_20,
        within_30=within_30,
        answered=answered,
        answer_wait_sum=counters.answer_wait_sum
        + _growth(base.answer_wait_sum, seen.answer_wait_sum),
        abandoned=counters.abandoned + _growth(base.abandoned, seen.abandoned),
        abandon_wait_sum=counters.abandon_wait_sum
        + _growth(base.abandon_wait_sum, seen.abandon_wait_sum),
    )


def raised(base: DayTotals, seen: DayTotals) -> DayTotals:
    """The highest totals of the day, each figure on its own; the unknown changes nothing.

    The highest of ordered buckets are ordered: each is at most the next one's highest.
    """
    return DayTotals(
        offered=_highest(base.offered, seen.offered),
        within_10=_highest(base.within_10, seen.within_10),
        within_20=_highest(base.within_20, seen.within_20),
        within_30=_highest(base.within_30, seen.within_30),
        answered=_highest(base.answered, seen.answered),
        answer_wait_sum=_highest(base.answer_wait_sum, seen.answer_wait_sum),
        abandoned=_highest(base.abandoned, seen.abandoned),
        abandon_wait_sum=_highest(base.abandon_wait_sum, seen.abandon_wait_sum),
    )


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


def _growth(base: Number | None, seen: Number | None) -> Number:
    if base is None or seen is None or seen <= base:
        return 0
    return seen - base


def _highest(base: Number | None, seen: Number | None) -> Number | None:
    if base is None or seen is None:
        return seen if base is None else base
    return max(base, seen)
