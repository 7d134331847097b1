"""The values that are kept of each query, their text, and what an answer changes; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from exporter.errors import Reason
from exporter.state import counters
from exporter.state.counters import Count, Day, QueryLedger, Sample, known_channels
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, without_row
from exporter.wolkvox.report import MAX_CHANNEL_LENGTH, MAX_CHANNELS, SkillReport
from exporter.wolkvox.text import printable
from exporter.wolkvox.windows import Window, local_day

WEEK: Final = timedelta(days=7)
# Epoch seconds up to the year 5138: far from where dates and time zones end.
Moment = Annotated[float, Field(ge=0, le=1e11)]


@dataclass(frozen=True, slots=True, order=True)
class QueryKey:
    """One query as people know it: the operation's name and the skill id (or `all`)."""

    operation: str
    skill_id: str


@dataclass(frozen=True, slots=True)
class Result:
    """The totals of one good answer, whole `at` that moment; `day` is its window's last."""

    day: Day
    rows: tuple[ChannelFigures, ...]
    at: Moment


@dataclass(frozen=True, slots=True)
class MonthTries:
    """The tries for a month since its last answer: `count` of them on `day`, the last `at`.

    `month` is its first day, `days` on how many days it was tried; `reason` says why the last
    try had no answer.
    """

    month: Day
    day: Day
    at: Moment
    count: Count = 1
    days: Count = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MonthMemory:
    """The last answer for the window of a month, and the tries since that had none."""

    result: Result | None = None
    tries: MonthTries | None = None

    @property
    def asked_at(self) -> list[float]:
        """The moments of the last answer and of the last try."""
        return [one.at for one in (self.result, self.tries) if one is not None]


NO_MONTH = MonthMemory()


@dataclass(frozen=True, slots=True)
class QueryMemory:
    """What survives a restart of one query, besides the time of its last attempt.

    `failures` counts failed attempts in a row; `doubted` is true while an answer without
    rows contradicts rows of the same day; `closed` is the last day asked for as a whole.
    `month` and `last_month` are the windows of those names; `months_with_rows` holds the first
    days of the two months in which rows were seen last; `closing_at` is when a finished day
    was last asked for; `since` is the day of the first answer; `week` holds what came in by
    channel on those of the last seven days that were closed.
    """

    last_success_at: Moment | None = None
    failures: Count = 0
    today: Result | None = None
    yesterday: Result | None = None
    doubted: bool = False
    closed: Day | None = None
    ledger: QueryLedger | None = None
    month: MonthMemory = NO_MONTH
    last_month: MonthMemory = NO_MONTH
    months_with_rows: tuple[Day, ...] = ()
    closing_at: Moment | None = None
    since: Day | None = None
    week: Mapping[Day, Mapping[str, Count]] = field(default_factory=dict)


# What an answer changes ------------------------------------------------------------------


def apply_report(
    memory: QueryMemory, window: Window, report: SkillReport, completed_at: float
) -> QueryMemory:
    """Return the memory after a good answer, whole at epoch `completed_at`.

    An answer without rows after rows of the same day is doubtful, since a day's totals do
    not vanish: the first such answer is a success that changes no value, a second in a row
    is believed: its channels count as zeros. A closing answer fills `yesterday` and closes
    its day. One for a month fills its window and changes nothing else.
    """
    if window.month:
        answered = MonthMemory(Result(window.day, report.channels, completed_at))
        return _with_month(memory, window, answered)
    succeeded = replace(memory, last_success_at=completed_at, failures=0)
    last = memory.today
    had_rows = last is not None and last.day == window.day and bool(last.rows)
    if had_rows and not report.channels and not memory.doubted:
        return replace(succeeded, doubted=True)
    if window.closing and last is not None and last.day > window.day and not report.channels:
        return succeeded  # come late: nothing tells any more whether the day had rows
    result = Result(window.day, report.channels, completed_at)
    whole = not report.dropped
    ledger = counters.observe(memory.ledger, window.day, report.channels, whole=whole)
    months, since = _months_with_rows(memory, result), memory.since or window.day
    new = replace(succeeded, doubted=False, ledger=ledger, months_with_rows=months, since=since)
    if window.closing:
        week = {day: came for day, came in memory.week.items() if day > window.day - WEEK}
        rows = complete(result, ledger)
        week[window.day] = {one.channel: one.inbound for one in rows if one.inbound is not None}
        return replace(new, yesterday=result, closed=window.day, week=week)
    return replace(new, today=result)


def _months_with_rows(memory: QueryMemory, result: Result) -> tuple[date, ...]:
    """The two months in which rows were seen last, the latest one behind."""
    months = [*memory.months_with_rows]
    if not months:  # a file of an earlier version: its channels tell
        channels = memory.ledger.channels.values() if memory.ledger else ()
        months = sorted({one.day.replace(day=1) for one in channels})
    if result.rows:
        month = result.day.replace(day=1)
        months = [*(one for one in months if one != month), month]
    return tuple(months[-2:])


def _with_month(memory: QueryMemory, window: Window, month: Any) -> QueryMemory:
    return replace(memory, **{window.month: month})


def tried(
    memory: QueryMemory, window: Window, at: datetime, zone: ZoneInfo
) -> QueryMemory | None:
    """Return the memory with one more try for a finished day or a month, else None."""
    if window.closing:
        return replace(memory, closing_at=at.timestamp())
    if not window.month:
        return None
    held: MonthMemory = getattr(memory, window.month)
    first, today = window.day.replace(day=1), local_day(at, zone)
    tries, before = MonthTries(first, today, at.timestamp()), held.tries
    if before is not None and before.month == first:
        again = before.day == today
        count, days = before.count + 1 if again else 1, before.days + (not again)
        tries = replace(tries, count=count, days=days, reason=before.reason)
    return _with_month(memory, window, replace(held, tries=tries))


def refused_month(memory: QueryMemory, window: Window, reason: Reason) -> QueryMemory:
    """Return the memory after a try for a month that had no answer."""
    held: MonthMemory = getattr(memory, window.month)
    if held.tries is None:
        return memory
    tries = replace(held.tries, reason=str(reason))
    return _with_month(memory, window, replace(held, tries=tries))


def limit_channels(report: SkillReport, ledger: QueryLedger | None) -> SkillReport:
    """Return the report without the channels beyond the 64th that the query has had lately.

    An answer is limited already; without this, new names in each answer would still make
    series without end. Channels known of late go before new ones.
    """
    known = known_channels(ledger, ledger.day) if ledger is not None else {}
    new = [row.channel for row in report.channels if row.channel not in known]
    beyond = {*new[max(0, MAX_CHANNELS - len(known)) :]}
    if not beyond:
        return report
    kept = tuple(row for row in report.channels if row.channel not in beyond)
    return replace(report, channels=kept, dropped=report.dropped + len(beyond))


def failed(memory: QueryMemory) -> QueryMemory:
    """Return the memory after an attempt without an answer: the last good values stay."""
    return replace(memory, failures=memory.failures + 1)


# The text that the file keeps of a query -----------------------------------------------------

# The names in the file are those of the fields and, for the figures of a row, the `state` names
# of their columns: none may ever change. An unknown name is ignored and a missing one means the
# default, so that the file may be older or newer than the code that reads it.
_CONFIG = ConfigDict(strict=True, allow_inf_nan=False)
_STATE_NAMES: Final = {one.attribute: one.state for one in COLUMNS}
_ROWS = ConfigDict(**_CONFIG, alias_generator=lambda name: _STATE_NAMES.get(name, name))
with_config(_ROWS)(ChannelFigures)
_MEMORY = TypeAdapter(with_config(_CONFIG)(QueryMemory))
_figures = attrgetter(*(one.attribute for one in COLUMNS))
_known_together = attrgetter("offered", "within_10", "within_20", "within_30", "answered")


def write_memory(memory: QueryMemory) -> str:
    """Return the text that the state file keeps of a query."""
    return _MEMORY.dump_json(memory, by_alias=True).decode()


def read_memory(text: str) -> QueryMemory:
    """Read what `write_memory` wrote; raises ValueError for what it cannot have written."""
    try:
        memory = _MEMORY.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check_rows(memory)
    if memory.ledger is not None:
        _check_ledger(memory.ledger)
    return memory


def _check_rows(memory: QueryMemory) -> None:
    months = (memory.month.result, memory.last_month.result)
    for result in filter(None, (memory.today, memory.yesterday, *months)):
        for row in result.rows:
            _check_channel(row.channel)
            figures = (one for one in _figures(row) if one is not None)
            if not all(0 <= one <= counters.LARGEST_COUNT for one in figures):
                raise ValueError(f"rows.{row.channel}: a figure is out of range")
        if len({row.channel for row in result.rows}) < len(result.rows):
            raise ValueError("rows: a channel stands twice")


def _check_ledger(ledger: QueryLedger) -> None:
    for name, channel in ledger.channels.items():
        _check_channel(name)
        if channel.day > ledger.day:
            raise ValueError(f"ledger.{name}: a row after the day of the ledger")
        for totals in filter(None, (channel.base, channel.candidate)):
            known = [figure for figure in _known_together(totals) if figure is not None]
            if len(known) not in (0, 5):
                raise ValueError(f"ledger.{name}: the counts are known only in part")
            if known[1:] != sorted(known[1:]):
                raise ValueError(f"ledger.{name}: the buckets are not cumulative")


def _check_channel(name: str) -> None:
    if not 0 < len(name) <= MAX_CHANNEL_LENGTH or printable(name) != name:
        raise ValueError(f"{name[:40]!r} is no name of a channel")


# Attempts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request about to leave: whose, when, on which account, and under which limits.

    `operation` is the id of its row; `token` the digest of the token it is sent with.
    `known_at` is the last attempt this process knows of; a newer one on disk was made by
    another process, and `gap` seconds must have passed since. `account` are the rows that
    share the token's count of requests; `ceiling` is its daily limit, where there is one.
    `memory` is what the query remembers from this attempt on, where that is something new.
    """

    operation: int
    skill_id: str
    at: float
    known_at: float | None
    gap: float
    account: tuple[int, ...]
    day: date
    ceiling: int | None
    token: str | None = None
    closing: date | None = None
    memory: QueryMemory | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The last attempt of one query, and how often its last finished day was asked for.

    `spaced_from` is an attempt that is not the operation's own (of one that is gone, or that
    a lost file may have held): the interval to it is kept, and it means nothing else.
    """

    attempt_at: float | None = None
    closing_day: date | None = None
    closing_tries: int = 0
    spaced_from: float | None = None

    @property
    def last_at(self) -> float | None:
        """The moment from which the interval to the next attempt counts."""
        moments = [at for at in (self.attempt_at, self.spaced_from) if at is not None]
        return max(moments, default=None)


@dataclass(frozen=True, slots=True)
class Granted:
    """The attempt is on disk as `after`; `before` is what stood there, for `take_back`.

    `rotated` says that the token is another one than the last accepted: see `accept`.
    """

    used: int
    before: Stored
    after: Stored
    rotated: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt must not be made.

    Another process asked the same query at `last_at`; or the requests of the day are `used`
    up; or, with neither, the token is that of another operation, whose figures it would bring.
    """

    last_at: float | None = None
    used: int | None = None


# What is published -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """One operation as its poll loop stands.

    `interval` is in force, in seconds; `used` and `limit` are the requests of the day, which
    ends at `day_ends_at`; `pause`: why it waits after a refused request, and when it tries
    again; `hours_open`: whether the `poll_hours` allow polling, until when (None: for good).
    """

    interval: float
    used: int
    limit: int | None
    day_ends_at: float
    pause: tuple[Reason, float] | None = None
    hours_open: tuple[bool, float | None] = (True, None)


@dataclass(frozen=True)
class QueryStatus:
    """One query as it is published: its memory, its last attempt and its next slot.

    Times are epoch seconds. `interval` is the one in force, in seconds. `live_until` is the
    moment at which the values are too old to be shown (None: never succeeded); `error` the
    last failure with its text for people; `recent` the counters of the last half hour.
    """

    key: QueryKey
    skill: str
    memory: QueryMemory
    last_attempt_at: float | None = None
    next_slot_at: float | None = None
    interval: float | None = None
    live_until: float | None = None
    error: tuple[str, str] | None = None
    recent: tuple[Sample, ...] = ()

    @cached_property
    def figures(self) -> tuple[ChannelFigures, ...]:
        """The rows of the day, the known channels among them."""
        return complete(self.memory.today, self.memory.ledger)

    @property
    def up(self) -> bool:
        """Whether the last attempt succeeded; false before the first one ended."""
        return self.memory.failures == 0 and self.memory.last_success_at is not None

    @property
    def month_error(self) -> str:
        """Why the last try for a month had no answer, a `Reason`; empty where it had one."""
        tries = self.memory.last_month.tries or self.memory.month.tries
        return tries.reason if tries else ""

    @property
    def settled(self) -> bool:
        """Whether an attempt ended or a result was restored: what readiness waits for."""
        return self.memory.failures > 0 or self.memory.last_success_at is not None


def complete(result: Result | None, ledger: QueryLedger | None) -> tuple[ChannelFigures, ...]:
    """A result's rows, and rows of zeros for the known channels it lacks: see `without_row`."""
    if result is None:
        return ()
    rows = {row.channel: row for row in result.rows}
    for channel in known_channels(ledger, result.day):
        if channel not in rows:
            rows[channel] = without_row(channel)
    return tuple(rows[channel] for channel in sorted(rows))
