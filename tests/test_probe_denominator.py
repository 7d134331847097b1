"""What the service level is a share of, told by figures alone."""

from __future__ import annotations

import random

from exporter.tools.probe import Finding, find_denominator
from exporter.wolkvox.columns import ChannelFigures


def figures(inbound: int, answered: int, *levels: float | None) -> ChannelFigures:
    """A channel with these service levels for 10, 20 and 30 s."""
    ten, twenty, thirty = (*levels, None, None, None)[:3]
    return ChannelFigures(
        "inbound", inbound, answered, inbound - answered, ten, twenty, thirty, None, None, None
    )


def centre(over: str, seed: int, sizes: tuple[int, int]) -> list[ChannelFigures]:
    """A few channels whose levels are rounded to two decimals of a percentage."""
    rng = random.Random(seed)
    rows = []
    for _ in range(5):
        inbound = rng.randint(*sizes)
        answered = max(1, int(inbound * rng.uniform(0.7, 0.95)))
        of = inbound if over == "inbound" else answered
        counts = sorted(rng.randint(1, answered) for _ in range(3))
        rows.append(figures(inbound, answered, *(round(n / of, 4) for n in counts)))
    return rows


def test_the_denominator_is_found() -> None:
    """A few channels of ordinary size tell it; days of many thousands tell nothing."""
    for over in ("inbound", "answered"):
        for seed in range(20):
            found = find_denominator(centre(over, seed, (20, 1500)))
            assert (found.denominator, found.telling >= 3) == (over, True), seed
        assert find_denominator(centre(over, 1, (5000, 90000))) == Finding("unknown", 0)


def test_too_little_to_tell() -> None:
    """Nobody lost, nobody or everybody in time, or one figure alone: no claim."""
    for row in (
        figures(0, 0, 0.5),
        figures(50, 50, 0.42, 0.5, 0.6),
        figures(50, 40, 0.0, 1.0, None),
        figures(67, 66, 0.6567),
        ChannelFigures("x", None, 3, None, 0.5, 0.6, 0.7, None, None, None),
        ChannelFigures("x", 3, None, None, 0.5, 0.6, 0.7, None, None, None),
    ):
        assert find_denominator([row]).denominator == "unknown", row


def test_contradictions_are_told() -> None:
    """Figures of both kinds, or of neither, agree with no one formula."""
    mixed = [*centre("inbound", 3, (20, 1500)), *centre("answered", 3, (20, 1500))]
    assert find_denominator(mixed).denominator == "neither"
    wild = figures(101, 90, 0.1234, 0.3333, 0.5555)
    assert find_denominator([wild]) == Finding("neither", 3)


def test_levels_that_are_cut_off() -> None:
    """A service level cut off after two decimals instead of rounded is understood too."""
    assert find_denominator([figures(67, 61, 0.4029, 0.6567, 0.8059)]) == Finding("inbound", 3)
