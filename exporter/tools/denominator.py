"""Whether the API's service level is a share of inbound or of answered; pure arithmetic.

A service level has two decimals, so that it gives its count back: 65.67 % of 67 inbound are
43.999, nearly whole; of 66 answered they would be 43.342. Figures that are nearly whole
both ways, or too large for two decimals, decide nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from exporter.wolkvox.columns import ChannelFigures

# Rounded or cut off after two decimals of a percentage: off by less than this.
_STEP = 1e-4
# So many interactions blur a count by a fifth: chance would pass too often.
_LARGEST = 2000
_ENOUGH = 3


class Denominator(StrEnum):
    """What the service level is a share of; unknown: too little volume to decide."""

    INBOUND = "inbound"
    ANSWERED = "answered"
    NEITHER = "neither"
    UNKNOWN = "unknown"


# Whether it gives a whole count of inbound, and of answered.
_BY_FIT = {
    (True, True): Denominator.UNKNOWN,
    (True, False): Denominator.INBOUND,
    (False, True): Denominator.ANSWERED,
    (False, False): Denominator.NEITHER,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The denominator, and how many figures decided it."""

    denominator: Denominator
    telling: int


def find_denominator(rows: Iterable[ChannelFigures]) -> Finding:
    """The denominator of some rows; figures that contradict each other agree with neither."""
    found = Counter(one for row in rows for one in _of_row(row))
    del found[Denominator.UNKNOWN]
    if found.total() < _ENOUGH:
        return Finding(Denominator.UNKNOWN, found.total())
    return Finding(next(iter(found)) if len(found) == 1 else Denominator.NEITHER, found.total())


def _of_row(row: ChannelFigures) -> Iterator[Denominator]:
    inbound, answered = row.inbound, row.answered
    if not inbound or answered is None or inbound == answered or inbound > _LARGEST:
        return
    for level in (row.service_level_10, row.service_level_20, row.service_level_30):
        if level is not None and 0 < level < 1:
            fits = _whole(level * inbound, inbound), _whole(level * answered, answered)
            yield _BY_FIT[fits]


def _whole(count: float, of: int) -> bool:
    return abs(count - round(count)) <= of * _STEP + 1e-9
