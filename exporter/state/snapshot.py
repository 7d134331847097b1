"""What is known of each query: immutable values, one a query; no I/O and no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from exporter.state.ledger import QueryLedger
from exporter.wolkvox.columns import ChannelFigures


@dataclass(frozen=True, slots=True, order=True)
class QueryKey:
    """One query as people know it: the operation's name and the skill id (or `all`)."""

    operation: str
    skill_id: str


@dataclass(frozen=True, slots=True)
class Result:
    """The day totals of one good answer; `completed_at` in epoch seconds."""

    day: date
    channels: tuple[ChannelFigures, ...]
    completed_at: float


@dataclass(frozen=True, slots=True)
class QueryMemory:
    """What survives a restart of one query, besides the time of its last attempt.

    `failures` counts failed attempts in a row; `doubted` is true while an answer without
    rows contradicts rows of the same day; `closed` is the last day asked for as a whole.
    """

    last_success_at: float | None = None
    failures: int = 0
    today: Result | None = None
    yesterday: Result | None = None
    doubted: bool = False
    closed: date | None = None
    ledger: QueryLedger | None = None


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """One query as it is told: its memory, its last attempt and its next slot.

    Times are epoch seconds. `interval` is the one in force, in seconds. `live_until` is the
    moment at which the values are too old to be shown (None: never succeeded); `error` the
    last failure with its text for people.
    """

    key: QueryKey
    skill: str
    memory: QueryMemory
    last_attempt_at: float | None = None
    next_slot_at: float | None = None
    interval: float | None = None
    live_until: float | None = None
    error: tuple[str, str] | None = None

    @property
    def up(self) -> bool:
        """Whether the last attempt succeeded; false before the first one ended."""
        return self.memory.failures == 0 and self.memory.last_success_at is not None

    @property
    def settled(self) -> bool:
        """Whether an attempt ended or a result was restored: what readiness waits for."""
        return self.memory.failures > 0 or self.memory.last_success_at is not None


@dataclass(slots=True)
class Snapshot:
    """The latest status of every query; iterating gives those of this moment."""

    _statuses: dict[QueryKey, QueryStatus] = field(default_factory=dict)

    def publish(self, status: QueryStatus) -> None:
        """Replace one query's status."""
        self._statuses[status.key] = status

    def forget(self, key: QueryKey) -> None:
        """Drop a query that the configuration no longer names."""
        self._statuses.pop(key, None)

    def __iter__(self) -> Iterator[QueryStatus]:
        return iter([*self._statuses.values()])
