"""Whether something grows: a least squares line with its standard error; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean


def fit(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """The slope and its standard error; 0 and 0 where there are fewer than three points."""
    if len(xs) < 3:
        return 0.0, 0.0
    middle_x, middle_y = fmean(xs), fmean(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum(
        (y - middle_y - slope * (x - middle_x)) ** 2 for x, y in zip(xs, ys, strict=True)
    )
    return slope, math.sqrt(left / (len(xs) - 2) / spread)


def surely(line: tuple[float, float]) -> float:
    """What a line rises at least, to one standard error."""
    return line[0] - line[1]
