"""What is too often, too late or too much: how the faults are judged by numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from proof.faults_scene import INTERVAL, Plot
from proof.faults_server import Place, Visit

MEMORY_MIB, LARGE_MIB = 64.0, 16.0
"""What faults together may take above what the healthy process has; what a large answer may
take beside: its cap twice, as it comes and as it is read."""


def memory_bound(plots: Sequence[Plot]) -> float:
    """MiB that the process may take beside what it had before."""
    large = [plot for plot in plots if any(fault.large for fault in plot.faults)]
    return MEMORY_MIB + LARGE_MIB * len(large)


def enough(rounds: int, due: int, *, strict: bool) -> bool:
    """Whether so many polls are enough; where the machine may be slow, one is."""
    return rounds >= (due / 2 if strict else 1)


def crowded(visits: Sequence[Visit]) -> str:
    """What shows that requests of one query came too often; nothing where they did not.

    Each request names the second in which the exporter began it (`date_end`): those must be
    an interval apart however late a busy machine delivers them. How many arrived in all is
    the second witness.
    """
    # A closing poll names the end of the day before instead.
    named = [one for one in visits if one.until and not one.until.endswith("235959")]
    gaps = [later.begun - earlier.begun for earlier, later in pairwise(named)]
    if any(gap < int(INTERVAL) for gap in gaps):
        return f"gaps of {', '.join(f'{gap:g}' for gap in gaps)} s"
    span = visits[-1].at - visits[0].at if visits else 0.0
    if len(visits) - 1 > (span + INTERVAL) / INTERVAL:
        return f"{len(visits)} requests in {span:.1f} s"
    return ""


def good_since(place: Place, skill: str, since: float) -> float | None:
    """The seconds until the first request that was well received; None where there is none."""
    visits = [one for one in place.of(skill, since) if one.fault is None]
    return visits[0].at - since if visits else None
