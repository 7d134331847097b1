"""What is known of each query: immutable values, one a query; no I/O and no clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from exporter.errors import Reason
from exporter.state import ledger as ledgers
from exporter.state.ledger import LARGEST_COUNT, QueryLedger
from exporter.wolkvox.report import MAX_CHANNEL_LENGTH, ChannelFigures
from exporter.wolkvox.text import printable


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
    error: tuple[Reason, str] | None = None

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


_FIGURES = ChannelFigures.__slots__
_COUNTS = frozenset({"inbound", "answered", "abandoned"})
LAST_MOMENT = 1e11  # the year 5138: far from where dates and time zones end


def result_to_json(result: Result | None) -> Any:
    """A result as JSON data: day, moment, and one list of figures per channel."""
    if result is None:
        return None
    rows = [[getattr(row, name) for name in _FIGURES] for row in result.channels]
    return {"day": result.day.isoformat(), "at": result.completed_at, "rows": rows}


def result_from_json(data: Any) -> Result | None:
    """The reverse of `result_to_json`; raises ValueError, TypeError or KeyError."""
    if data is None:
        return None
    rows = tuple(_row(row) for row in data["rows"])
    if len({row.channel for row in rows}) < len(rows):
        raise ValueError("rows: a channel stands twice")
    return Result(ledgers.a_day(data["day"], "day"), rows, float(_moment(data["at"])))


def _row(data: Any) -> ChannelFigures:
    figures = dict(zip(_FIGURES, data, strict=True))
    channel = figures["channel"]
    if not isinstance(channel, str) or printable(channel) != channel:
        raise ValueError("rows: a channel is no printable text")
    if not 0 < len(channel) <= MAX_CHANNEL_LENGTH:
        raise ValueError("rows: a channel is empty or too long")
    for name, figure in figures.items():
        if name == "channel" or figure is None:
            continue
        if not _is_figure(figure) or (name in _COUNTS and not isinstance(figure, int)):
            raise ValueError(f"rows: {name} is no figure")
    return ChannelFigures(**figures)


def _is_figure(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= LARGEST_COUNT and math.isfinite(value)


def _moment(value: object) -> int | float:
    if not _is_figure(value) or value > LAST_MOMENT:  # type: ignore[operator]
        raise ValueError("a moment is none")
    return value  # type: ignore[return-value]


def memory_to_json(memory: QueryMemory) -> dict[str, Any]:
    """A memory as JSON data, the form in which the state file keeps it."""
    return {
        "last_success_at": memory.last_success_at,
        "failures": memory.failures,
        "today": result_to_json(memory.today),
        "yesterday": result_to_json(memory.yesterday),
        "doubted": memory.doubted,
        "closed": memory.closed.isoformat() if memory.closed else None,
        "ledger": ledgers.to_json(memory.ledger) if memory.ledger else None,
    }


def memory_from_json(data: Mapping[str, Any]) -> QueryMemory:
    """The reverse of `memory_to_json`; raises ValueError, TypeError or KeyError."""
    closed, ledger, succeeded = data["closed"], data["ledger"], data["last_success_at"]
    failures = data["failures"]
    if not _is_figure(failures) or not isinstance(failures, int):
        raise ValueError("failures: no count")
    return QueryMemory(
        last_success_at=None if succeeded is None else _moment(succeeded),
        failures=failures,
        today=result_from_json(data["today"]),
        yesterday=result_from_json(data["yesterday"]),
        doubted=bool(data["doubted"]),
        closed=ledgers.a_day(closed, "closed") if closed else None,
        ledger=ledgers.from_json(ledger) if ledger else None,
    )
