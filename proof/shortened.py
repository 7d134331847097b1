"""What did not hold, for a table: the first sentences, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 12


def shortened(problems: Sequence[str]) -> tuple[str, ...]:
    """The first ones; the rest is counted, never dropped in silence."""
    if len(problems) <= SHOWN:
        return tuple(problems)
    return (*problems[:SHOWN], f"and {len(problems) - SHOWN} more")
