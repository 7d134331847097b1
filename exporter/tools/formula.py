"""Whether the API's service level is over inbound or over answered; pure arithmetic.

A service level has two decimals, so that it gives its count back: 65.67 % of 67 inbound are
43.999, nearly whole; of 66 answered they would be 43.342. Figures that are nearly whole
both ways, or too large for two decimals, tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.wolkvox.report import ChannelFigures

# Rounded or cut off after two decimals of a percentage: off by less than this.
_STEP = 1e-4
# So many interactions blur a count by a fifth: chance would pass too often.
_LARGEST = 2000
_ENOUGH = 3


class Denominator(StrEnum):
    """What the service level is a share of; unknown: too little volume to tell."""

    INBOUND = "inbound"
    ANSWERED = "answered"
    NEITHER = "neither"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The formula, and how many figures told it."""

    denominator: Denominator
    telling: int


def check_formula(rows: Iterable[ChannelFigures]) -> Finding:
    """What the rows say of the formula; one contradiction is enough to doubt it."""
    told = [verdict for row in rows for verdict in _verdicts(row)]
    telling = [one for one in told if one is not Denominator.UNKNOWN]
    if len(telling) < _ENOUGH:
        return Finding(Denominator.UNKNOWN, len(telling))
    kinds = set(telling)
    return Finding(kinds.pop() if len(kinds) == 1 else Denominator.NEITHER, len(telling))


def _verdicts(row: ChannelFigures) -> Iterable[Denominator]:
    inbound, answered = row.inbound, row.answered
    if not inbound or answered is None or inbound == answered or inbound > _LARGEST:
        return
    for level in (row.service_level_10, row.service_level_20, row.service_level_30):
        if level is not None and 0 < level < 1:
            yield _verdict(level, inbound, answered)


def _verdict(level: float, inbound: int, answered: int) -> Denominator:
    over_inbound, over_answered = _whole(level, inbound), _whole(level, answered)
    if over_inbound and over_answered:
        return Denominator.UNKNOWN
    if over_inbound:
        return Denominator.INBOUND
    return Denominator.ANSWERED if over_answered else Denominator.NEITHER


def _whole(level: float, of: int) -> bool:
    count = level * of
    return abs(count - round(count)) <= of * _STEP + 1e-9
