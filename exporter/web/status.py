"""What the status page at `/` shows, as plain values; pure.

The moment is an argument; it and all other times are epoch seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import ceil, floor, sqrt
from typing import Final, Literal

from exporter.config import Operation
from exporter.config.values import ALL_SKILLS
from exporter.metrics.sla import Figure, Targets, goals, judge
from exporter.state.counters import NO_COUNTERS, STUCK_ANSWERS, WINDOW, Sample
from exporter.state.models import WEEK, OperationStatus, QueryStatus
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Kind
from exporter.wolkvox.text import one_line

MOST_ROWS: Final = 2000  # of figures on the whole page; the metrics hold the rest
_line: Final = partial(one_line, limit=200)


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation as it is configured, and its poll loop as it stands."""

    operation: Operation
    server: str
    targets: Targets
    status: OperationStatus

    @property
    def spent(self) -> bool:
        """Whether no request of the day is left."""
        return self.status.limit is not None and self.status.used >= self.status.limit


QueryState = Literal["fresh", "late", "expired", "silent", "waiting", "paused", "closed"]
_TROUBLE: Final = ("late", "expired", "silent", "paused")
_OF_A_TOKEN: Final = ("unauthorized", "foreign")
_COUNTS: Final = tuple(one for one in COLUMNS if one.kind is Kind.COUNT)
_OTHERS: Final = tuple(one for one in COLUMNS if one.weight and one.within is None)
HEADS: Final = (
    *(one.attribute for one in _COUNTS),
    *("recent", "today", "month"),
    *(one.attribute for one in _OTHERS),
)
"""The columns of the table."""
_LEVELS: Final = {one.within: one for one in COLUMNS}
_THRESHOLD: Final = 20  # seconds, where no target names one
_SLACK: Final = 300.0  # seconds by which a window may differ from half an hour unsaid
_CHANCE: Final = 3.5  # standard deviations below a target that chance does not explain
_LONG: Final = 24  # an operation with more lines has the whole width
_TABLE: Final = 16  # lines of each of its tables, about
_LISTED: Final = 12  # channels that the list of what is wrong names
_ORDER: Final = {"recent": 0, "month": 2}
_FINE: Final = (3, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One channel: its figures in the order of HEADS, and those of them that miss a target.

    `number` is its place among the query's. Its service levels are those `within` so many
    seconds, and `goal` is their target; `few` are the interactions of the half hour, where they
    are too few to judge by. `lost`: how many were late today and how many may be, where the
    day cannot reach its target any more. `stuck`: its figures make no sense to the counters,
    which hold still. `rank`: a bad half hour goes first and a bad month last, and what is the
    farthest from its target before the others.
    """

    number: int
    channel: str
    within: int | None
    goal: float | None
    few: int | None
    lost: tuple[int, int] | None
    cells: Sequence[Figure]
    missed: Sequence[Figure]
    stuck: bool
    rank: tuple[int, float]


@dataclass(frozen=True, slots=True)
class Query:
    """One skill; `age` of its data and `wait` for its next request are in seconds.

    `reason` is the verdict where it needs attention. `channels` is the number of its channels,
    None where there are no current figures; `rows` are those that are shown, `wrong` those of
    them that need attention, `unseen` the channels that have a target and no figures. `busy`:
    something came in today. `since`: when the window of the half hour began, where that is not
    the usual one. `month_error`: why there was no answer for the month, a verdict.
    """

    name: str
    skill_id: str
    state: QueryState
    age: float | None
    wait: float | None
    error: tuple[str, str] | None
    reason: str | None
    channels: int | None
    rows: Sequence[Row]
    wrong: Sequence[Row]
    unseen: Sequence[str]
    busy: bool
    since: float | None
    month_error: str


@dataclass(frozen=True, slots=True)
class Part:
    """One operation: its skills in `tables`, the worst first, and `quiet` ones of a line each.

    `whole` is the query of all skills together; `trouble` are the queries that need attention,
    by the reason; `failing` counts queries by the kind of their failure; `unseen` are skills
    and channels that have a target and no figures. `long`: it has more lines than stand well
    in one column.
    """

    view: OperationView
    tables: Sequence[Sequence[Query]]
    quiet: Sequence[Query]
    whole: Sequence[Query]
    trouble: Mapping[str, Sequence[Query]]
    failing: Mapping[str, int]
    unseen: Sequence[tuple[str, str]]
    counts: Counter[str]
    long: bool


def build_page(
    operations: Sequence[OperationView], statuses: Iterable[QueryStatus], now: float
) -> dict[str, object]:
    """What the template shows at a moment; a query of another operation is left out.

    `zone` is that of every operation, or UTC where they are in several. `pairs` are the
    channels that need attention the most, the worst first.
    """
    found = defaultdict[str, list[QueryStatus]](list)
    for status in statuses:
        found[status.key.operation].append(status)
    places = iter(range(MOST_ROWS))
    parts, pairs = list[Part](), list[tuple[OperationView, Query, Row]]()
    for view in operations:
        # As the configuration lists them, discovered ones by name.
        place = {one.id: number for number, one in enumerate(view.operation.skills)}
        by_name = found[view.operation.name]
        by_name.sort(key=lambda one: (one.skill.casefold(), one.key))
        ordered = sorted(by_name, key=lambda one: place.get(one.key.skill_id, len(place)))
        queries = [_query(status, view, now, places) for status in ordered]
        parts.append(_part(view, queries, alone=len(operations) == 1))
        pairs += [(view, query, row) for query in queries for row in query.wrong]
    worst = sorted(pairs, key=lambda pair: pair[2].rank)[:_LISTED]
    zones = {str(view.operation.timezone): view.operation.timezone for view in operations}
    return {
        "now": now,
        "iso": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "zone": UTC if len(zones) != 1 else zones.popitem()[1],
        "parts": sorted(parts, key=lambda part: not part.counts["wrong"]),
        "pairs": worst,
        "unlisted": len(pairs) - len(worst),
        "listed": {
            (view.operation.name, query.skill_id, row.number) for view, query, row in worst
        },
        "counts": sum((part.counts for part in parts), Counter[str]()),
    }


def _part(view: OperationView, queries: Sequence[Query], *, alone: bool) -> Part:
    trouble = defaultdict[str, list[Query]](list)
    busy, quiet, whole = list[Query](), list[Query](), list[Query]()
    for query in sorted(
        queries,
        key=lambda one: (not one.reason, min((row.rank for row in one.wrong), default=_FINE)),
    ):
        if query.reason:
            trouble[query.reason].append(query)
        if query.skill_id == ALL_SKILLS:
            whole.append(query)
        elif query.reason or query.wrong or query.busy:
            busy.append(query)
        else:
            quiet.append(query)
    lines = sum(1 + len(query.rows) + bool(query.error) for query in busy)
    long = alone or lines > _LONG
    each = ceil(len(busy) * min(_TABLE / lines, 0.5)) if long and busy else len(busy) or 1
    tables = [busy[at : at + each] for at in range(0, len(busy), each)]
    failing = Counter(query.error[0] for query in queries if query.error is not None)
    if view.status.pause is not None:  # it is of all queries, whichever met it
        failing[view.status.pause[0]] = 0
    rows = [row for query in queries for row in query.rows]
    counts = Counter(
        queries=len(queries),
        trouble=sum(map(len, trouble.values())),
        waiting=sum(query.state == "waiting" for query in queries),
        judged=sum(cell.missed is not None for row in rows for cell in row.cells),
        # The half hour and the day have one target.
        missed=sum(len({cell.least or cell.head for cell in row.missed}) for row in rows),
        stuck=sum(row.stuck for row in rows),
        hidden=sum(query.channels or 0 for query in queries) - len(rows),
    )
    counts["wrong"] = counts["trouble"] + counts["missed"] + counts["stuck"]
    unseen = [(query.name, channel) for query in queries for channel in query.unseen]
    return Part(view, tables, quiet, whole, trouble, failing, unseen, counts, long)


def _query(status: QueryStatus, view: OperationView, now: float, room: Iterator[int]) -> Query:
    result, at, error = status.memory.today, status.memory.last_success_at, status.error
    if error and error[0] in _OF_A_TOKEN and view.status.pause is None:
        error = None  # there is another token, and the query waits for its interval
    live = status.live_until is not None and now < status.live_until
    skill_id = status.key.skill_id
    today = datetime.fromtimestamp(now, view.operation.timezone).date()
    figures, unseen = None, list[str]()
    if live and result is not None and result.day == today:
        figures = status.figures
        others = view.targets.channels.difference(one.channel for one in figures)
        unseen = [one for one in sorted(others) if view.targets.of(skill_id, one)]
    month = status.memory.month.result if view.operation.month else None
    of_this_month = month is not None and month.day.replace(day=1) == today.replace(day=1)
    months = {one.channel: one for one in month.rows} if month and of_this_month else {}
    shown = enumerate(zip(figures or (), room, strict=False), 1)
    last_week = status.memory.week.get(today - WEEK, {})
    rows = [
        _row(number, one, months.get(one.channel), last_week.get(one.channel), status, view)
        for number, (one, _) in shown
    ]
    state, reason, samples = _state(status, view, live), None, status.recent
    usual = not samples or abs(samples[-1].at - samples[0].at - WINDOW) <= _SLACK
    if state in _TROUBLE:
        reason = error[0] if error else state
        if state == "paused":
            reason = view.status.pause[0] if view.status.pause else "budget"
    return Query(
        name=_line(status.skill),
        skill_id=skill_id,
        state=state,
        age=None if at is None else now - at,
        wait=_wait(status, view, now),
        error=error and (error[0], _line(error[1])),
        reason=reason,
        channels=None if figures is None else len(figures),
        rows=sorted(rows, key=lambda row: row.rank),
        wrong=[row for row in rows if row.stuck or row.missed],
        unseen=unseen,
        since=None if usual else samples[0].at,
        month_error=status.month_error if view.operation.month else "",
        busy=len(rows) < len(figures or ()) or any(row.cells[0].value != 0 for row in rows),
    )


def _state(status: QueryStatus, view: OperationView, live: bool) -> QueryState:
    """Judge one query; a pause of its operation goes before everything else.

    Outside the poll hours figures grow old by design: that needs no attention.
    """
    failures, operation = status.memory.failures, view.status
    if operation.pause is not None:
        return "paused"
    if live and not failures:
        return "fresh"
    if view.spent:
        return "paused"
    if not operation.hours_open[0] and status.error is None:
        return "closed"
    if live:
        return "late"
    if status.memory.last_success_at is not None:
        return "expired"
    return "silent" if failures else "waiting"


def _wait(status: QueryStatus, view: OperationView, now: float) -> float | None:
    """Until the next request: its slot, or later where the operation is held back."""
    moments, operation = [status.next_slot_at], view.status
    if operation.pause is not None:
        moments.append(operation.pause[1])
    elif view.spent:
        moments.append(operation.day_ends_at)
    elif not operation.hours_open[0]:
        moments.append(operation.hours_open[1])
    return max((at - now for at in moments if at is not None), default=None)


def _row(
    number: int,
    figures: ChannelFigures,
    of_month: ChannelFigures | None,
    last_week: int | None,
    status: QueryStatus,
    view: OperationView,
) -> Row:
    """The figures of a channel, each judged by the target of its pair."""
    channel, ledger = figures.channel, status.memory.ledger
    entry = view.targets.of(status.key.skill_id, channel)
    level, targets = entry and entry.service_level, goals(entry)
    column = _LEVELS[level.within if level else _THRESHOLD]
    goal = targets.get(column.attribute)
    recent, offered = _recent(status.recent, channel, column.within)
    few = None
    if entry is not None and goal is not None and recent is not None:
        deviation = sqrt(goal * (1.0 - goal) / offered)
        if offered < (entry.min_interactions or 0) and goal - recent <= _CHANCE * deviation:
            few = offered
    today, month = (getattr(one, column.attribute, None) for one in (figures, of_month))
    lost = None
    if goal is not None and last_week is not None and figures.inbound and today is not None:
        # As much comes as on the same weekday of last week, or no more than came already.
        allowed = floor((1.0 - goal) * max(figures.inbound, last_week) + 0.0001)
        late = figures.inbound - round(today * figures.inbound)
        lost = (late, allowed) if late > allowed else None
    cells = [
        judge(one, getattr(figures, one.attribute), targets.get(one.attribute))
        for one in (*_COUNTS, *_OTHERS)
    ]
    cells[len(_COUNTS) : len(_COUNTS)] = (
        judge(column, recent, goal if few is None else None, "recent"),
        judge(column, today, goal, "today"),
        judge(column, month, goal, "month"),
    )
    missed = [cell for cell in cells if cell.missed]
    known = ledger.channels.get(channel) if ledger else None
    return Row(
        number=number,
        channel=_line(channel),
        within=column.within,
        goal=goal,
        few=few,
        lost=lost,
        cells=cells,
        missed=missed,
        stuck=known is not None and known.unmoved >= STUCK_ANSWERS,
        rank=(
            min((_ORDER.get(cell.head, 1) for cell in missed), default=2),
            -max((cell.gap for cell in missed), default=0.0),
        ),
    )


def _recent(
    samples: Sequence[Sample], channel: str, within: int | None
) -> tuple[float | None, int]:
    """The service level of the last half hour, as far as it is known, and of how many."""
    if not samples:
        return None, 0
    first, last = (samples[at].channels.get(channel, NO_COUNTERS) for at in (0, -1))
    offered, name = last.offered - first.offered, f"within_{within}"
    if offered <= 0:
        return None, 0
    return min(1.0, (getattr(last, name) - getattr(first, name)) / offered), offered
