"""Columns of report skill_11: the one table behind reading, state, metrics, page and tools.

A new column is a field of `ChannelFigures` with its `_column`, and its headings in
`messages.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What a column measures: a number of interactions, a share from 0 to 1, or a time."""

    COUNT = "count"
    RATIO = "ratio"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `field` is its name in the API, `attribute` the one in `ChannelFigures`.

    `state` is its name in the state file; it never changes, or figures would be lost.
    `weight` is the count by which values of one channel are averaged; counts have none, they
    are added up. `family` is the gauge that shows it, `help` what the gauge means, `within`
    the threshold of a service level in seconds.
    """

    field: str
    kind: Kind
    state: str
    family: str
    help: str
    weight: str | None = None
    within: int | None = None
    attribute: str = ""


def _column(*args: Any, **more: Any) -> Any:
    return field(default=None, metadata={"column": Column(*args, **more)})


def _level(within: int) -> Any:
    return _column(
        f"service_level_{within}seg",
        Kind.RATIO,
        f"service_level_{within}",
        "wolkvox_skill_service_level_ratio",
        "Share of the inbound interactions answered within threshold_seconds, 0 to 1",
        weight="inbound_calls",
        within=within,
    )


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One channel of one answer; None = not in the answer or not readable.

    Ratios are 0-1 (more where the API says more than 100 %), times are seconds.
    """

    channel: str
    # fmt: off
    inbound: int | None = _column("inbound_calls", Kind.COUNT, "inbound", "wolkvox_skill_inbound_interactions", "Interactions that came in")
    answered: int | None = _column("answer_calls", Kind.COUNT, "answered", "wolkvox_skill_answered_interactions", "Interactions answered by an agent")
    abandoned: int | None = _column("abandon_calls", Kind.COUNT, "abandoned", "wolkvox_skill_abandoned_interactions", "Interactions that hung up before an answer")
    service_level_10: float | None = _level(10)
    service_level_20: float | None = _level(20)
    service_level_30: float | None = _level(30)
    abandonment: float | None = _column("abandon", Kind.RATIO, "abandonment", "wolkvox_skill_abandonment_ratio", "Share of the inbound interactions that were abandoned, 0 to 1", weight="inbound_calls")
    asa: float | None = _column("asa", Kind.SECONDS, "asa", "wolkvox_skill_asa_seconds", "Average speed of answer: mean wait of the answered in seconds", weight="answer_calls")
    ata: float | None = _column("ata", Kind.SECONDS, "ata", "wolkvox_skill_ata_seconds", "Average time to abandonment: mean wait of the abandoned in seconds", weight="abandon_calls")
    # fmt: on


_made = ((one.metadata["column"], one.name) for one in fields(ChannelFigures) if one.metadata)
COLUMNS: Final[tuple[Column, ...]] = tuple(replace(one, attribute=name) for one, name in _made)
# Where something unreadable may stand: a whole row, its channel, or a column.
FIELDS: Final = ("row", "type_interaction", *(column.field for column in COLUMNS))


def without_row(channel: str) -> ChannelFigures:
    """The figures of a channel that an answer leaves out for lack of traffic."""
    # No interactions, so no ratio and no average.
    return ChannelFigures(channel, *(0 if one.kind is Kind.COUNT else None for one in COLUMNS))
