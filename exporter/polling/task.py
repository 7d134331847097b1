"""One thing an operation asks again and again, with its slot; no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from exporter.polling.schedule import day_to_close
from exporter.state.models import QueryMemory, Stored
from exporter.wolkvox.windows import local_day


@dataclass(slots=True)
class Task:
    """A query, or one of the operation's other calls (`#token_info`, `#skills`).

    `slot` and `started` are monotonic seconds; `stored` mirrors the state file; `tried_at`
    is the epoch time of the last try, connections that were never made included.
    """

    report: str
    skill_id: str
    name: str
    interval: float
    slot: float
    stored: Stored = field(default_factory=Stored)
    memory: QueryMemory = field(default_factory=QueryMemory)
    tried_at: float | None = None
    started: float | None = None
    unmade: int = 0
    lag: float = 0.0
    unsent: bool = False
    error: tuple[str, str] | None = None

    @property
    def is_query(self) -> bool:
        """Whether the task asks for figures; the others never close a day."""
        return not self.skill_id.startswith("#")

    def left(self, started: float) -> None:
        """Take over when the request really left: its slot is so much later as well."""
        late = max(0.0, started - (self.started or started))
        self.started = started
        self.slot += late

    def closing(self, today: date, zone: ZoneInfo) -> date | None:
        """The finished day to ask for as a whole, if it is its turn."""
        return open_day(self.stored, self.memory, today, zone) if self.is_query else None


def open_day(stored: Stored, memory: QueryMemory, today: date, zone: ZoneInfo) -> date | None:
    """The finished day that a query is yet to ask for as a whole, by what is kept of it."""
    # A probe may have asked since midnight: the last answer then tells of the day before.
    moments = [at for at in (stored.attempt_at, memory.last_success_at) if at]
    at = datetime.fromtimestamp(min(moments), UTC) if moments else None
    last = local_day(at, zone) if at is not None else None
    return day_to_close(today, last, memory.closed, stored.closing_day, stored.closing_tries)


@dataclass(slots=True)
class Rounds:
    """How long a round of an operation takes: from its first to its last attempt."""

    _seen: set[str] = field(default_factory=set)
    _first: float = 0.0
    _last: float = 0.0

    def attempt(self, skill_id: str, started: float) -> float | None:
        """Note an attempt; returns the length of the round that it ended, if it ended one."""
        length = None
        if skill_id in self._seen:
            length = self._last - self._first
            self._seen.clear()
        if not self._seen:
            self._first = started
        self._seen.add(skill_id)
        self._last = started
        return length
