"""What the status page is told, and how each query is judged; pure: words come later.

The moment is an argument in epoch seconds, as are all times here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from exporter.errors import Reason
from exporter.metrics.query import complete
from exporter.metrics.sla import Target, Targets
from exporter.state.snapshot import QueryStatus
from exporter.wolkvox.report import ChannelFigures
from exporter.wolkvox.windows import local_day

WHOLE = "all"


@dataclass(frozen=True, slots=True)
class Pause:
    """The operation waits because a request was refused: why, and when it asks again."""

    reason: Reason
    next_at: float


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation as its poll loop stands.

    `interval` is in force, `configured` as written, both in seconds; `used` and `limit` are
    the calls of the day, which ends at `day_ends_at`; `hours_open` says whether the
    `poll_hours` allow polling now, and until when (None: for good). `skills`: their ids in
    the order of the configuration.
    """

    name: str
    server: str
    zone: ZoneInfo
    interval: float
    configured: float
    used: int
    limit: int | None
    day_ends_at: float
    pause: Pause | None
    poll_hours: str | None
    hours_open: tuple[bool, float | None]
    targets: Targets
    skills: tuple[str, ...] = ()

    @property
    def spent(self) -> bool:
        """Whether no call of the day is left."""
        return self.limit is not None and self.used >= self.limit


@dataclass(frozen=True, slots=True)
class ExporterView:
    """The exporter about itself; `reloaded_at` is when the configuration in force was read."""

    version: str
    revision: str
    storage_writable: bool
    reload_failed: bool
    reloaded_at: float
    telemetry_path: str


class QueryState(StrEnum):
    """How far a query's figures can be trusted; the value is the end of its text's key."""

    FRESH = "fresh"
    LATE = "late"
    EXPIRED = "expired"
    WAITING = "waiting"
    PAUSED = "paused"
    CLOSED = "closed"

    @property
    def calm(self) -> bool:
        """Whether nobody has to look at it."""
        return self in (QueryState.FRESH, QueryState.CLOSED, QueryState.WAITING)


def live(status: QueryStatus, now: float) -> bool:
    """Whether the figures are young enough to be shown."""
    return status.live_until is not None and now < status.live_until


def state_of(status: QueryStatus, operation: OperationView, now: float) -> QueryState:
    """Judge one query; a pause of its operation goes before everything else.

    Outside the poll hours figures grow old by design: that is no alarm.
    """
    if operation.pause is not None:
        return QueryState.PAUSED
    if status.up and live(status, now):
        return QueryState.FRESH
    if operation.spent:
        return QueryState.PAUSED
    if not operation.hours_open[0] and status.error is None:
        return QueryState.CLOSED
    if not status.settled:
        return QueryState.WAITING
    return QueryState.LATE if live(status, now) else QueryState.EXPIRED


def figures_today(
    status: QueryStatus, zone: ZoneInfo, now: float
) -> Sequence[ChannelFigures] | None:
    """The rows to show, zeros for known channels included; None: too old, or of no day yet."""
    result = status.memory.today
    today = local_day(datetime.fromtimestamp(now, UTC), zone)
    if result is None or result.day != today or not live(status, now):
        return None
    return tuple(complete(result, status.memory.ledger))


class Verdict(StrEnum):
    """A figure against its target."""

    MET = "met"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Goal:
    """The target of one figure: ratio or seconds, a least (`floor`) or a most value."""

    value: float
    floor: bool

    def verdict(self, figure: float) -> Verdict:
        """Judge a figure; one that is absent is not judged."""
        met = figure >= self.value if self.floor else figure <= self.value
        return Verdict.MET if met else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Goals:
    """The targets of one pair; `level` goes with the service level of `within` seconds."""

    within: int | None = None
    level: Goal | None = None
    abandonment: Goal | None = None
    asa: Goal | None = None

    def level_at(self, within: int) -> Goal | None:
        """The target of the service level at so many seconds."""
        return self.level if within == self.within else None


NO_GOALS = Goals()


def goals_of(target: Target | None) -> Goals:
    """What a pair's target asks of its figures."""
    if target is None:
        return NO_GOALS
    level, abandonment, asa = target.service_level, target.abandonment_max, target.asa_max
    return Goals(
        within=level.within if level else None,
        level=Goal(level.target, floor=True) if level else None,
        abandonment=None if abandonment is None else Goal(abandonment, floor=False),
        asa=None if asa is None else Goal(asa, floor=False),
    )


def in_order(statuses: Iterable[QueryStatus], operation: OperationView) -> list[QueryStatus]:
    """An operation's queries as its configuration lists them, discovered ones by name."""
    place = {skill_id: number for number, skill_id in enumerate(operation.skills)}
    last = len(place)

    def key(status: QueryStatus) -> tuple[int, str, str]:
        skill_id = status.key.skill_id
        return place.get(skill_id, last), status.skill.casefold(), skill_id

    return sorted(statuses, key=key)
