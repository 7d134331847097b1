"""Whether something grows: a least squares line with its standard error, and levels; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line: its slope and how sure that is, in units of y for one of x."""

    slope: float
    error: float

    @property
    def surely(self) -> float:
        """What it rises at least, to one standard error."""
        return self.slope - self.error


def fit(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Least squares; a slope of 0 and an error of 0 where there are fewer than three points."""
    if len(xs) < 3:
        return Line(0.0, 0.0)
    middle_x, middle_y = fmean(xs), fmean(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum(
        (y - middle_y - slope * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True)
    )
    return Line(slope, math.sqrt(left / (len(xs) - 2) / spread))


def thirds(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The middle third and the last: what was before is warming up."""
    third = len(values) // 3
    return values[third : 2 * third], values[2 * third :]


def rise(values: Sequence[float]) -> float:
    """By how much the floor of the last third lies above that of the middle one.

    The floor is what one value in ten lies below: what is leaked raises it, and what comes
    and goes with the requests of a moment does not.
    """
    middle, last = thirds(values)
    return _floor(last) - _floor(middle) if middle else 0.0


def _floor(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 10]


def second_half(values: Sequence[float]) -> float:
    """The growth over the second half: the median of its last fifth above its first fifth's."""
    half = values[len(values) // 2 :]
    fifth = max(1, len(half) // 5)
    return median(half[-fifth:]) - median(half[:fifth])
