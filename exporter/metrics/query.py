"""A query's status as the lines of its families; pure: what is live is decided by moments.

Six scopes a query, since they change or vanish on their own:

    status      the wolkvox_up family                    always
    today       gauges of the running day                until stale or local midnight
    yesterday   gauges of the finished day               until stale or the next midnight
    counters    what was accumulated over the days       until stale
    sla         targets of the pairs                     until stale
    sla-open    whether it is opening time               until that changes, or stale
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from exporter.metrics.exposition import Scope, Scoped
from exporter.metrics.families import BY_NAME
from exporter.metrics.render import Block
from exporter.metrics.rows import (
    Labels,
    Row,
    Rows,
    counter_figures,
    counter_row,
    day_figures,
    day_row,
    filled,
    status_row,
)
from exporter.metrics.sla import Target, Targets
from exporter.state.counters import QueryLedger, exposed, known_channels
from exporter.state.models import QueryStatus, Result
from exporter.wolkvox.columns import ChannelFigures, without_row
from exporter.wolkvox.windows import day_start

Pairs = list[tuple[Labels, Target]]


PARTS = ("status", "today", "yesterday", "counters", "sla", "sla-open")


@dataclass(frozen=True, slots=True)
class QueryRenderer:
    """Renders the queries of one operation, whose time zone says when its days end.

    A row has the same series and the same targets in each poll, and putting them together
    costs more than the values: those of a query's last rendering are kept.
    """

    zone: ZoneInfo
    targets: Targets
    _rows: dict[str, dict[Labels, Row]] = field(default_factory=dict, repr=False)
    _goals: dict[str, _Goals] = field(default_factory=dict, repr=False)

    def scopes(self, status: QueryStatus) -> Iterator[tuple[Scope, Scoped]]:
        """Every scope of the query with what it shows; an empty one shows nothing."""
        key = status.key
        labels = (key.operation, key.skill_id, status.skill)
        rows = Rows(self._rows.get(key.skill_id, {}))
        yield (key.operation, key.skill_id, "status"), _status(labels, status, rows)
        memory, live = status.memory, status.live_until
        today = self._window(labels, "today", memory.today, memory.ledger, live, rows)
        yield (key.operation, key.skill_id, "today"), today
        yesterday = self._window(
            labels, "yesterday", memory.yesterday, memory.ledger, live, rows
        )
        yield (key.operation, key.skill_id, "yesterday"), yesterday
        known = known_channels(memory.ledger, memory.ledger.day) if memory.ledger else ()
        yield (key.operation, key.skill_id, "counters"), _counters(labels, known, status, rows)
        self._rows[key.skill_id] = rows.used
        goals = self._goals_of(labels, known)
        yield (key.operation, key.skill_id, "sla"), _sla(goals, live)
        yield (key.operation, key.skill_id, "sla-open"), self._opening(goals.pairs, live)

    def forget(self, skill_id: str) -> None:
        """Keep nothing of a query that is shown no more."""
        self._rows.pop(skill_id, None)
        self._goals.pop(skill_id, None)

    def _window(
        self,
        labels: Labels,
        window: str,
        result: Result | None,
        ledger: QueryLedger | None,
        live_until: float | None,
        rows: Rows,
    ) -> Scoped:
        if result is None or live_until is None:
            return Scoped({}, 0.0)
        lines = filled(
            (rows.of((*labels, row.channel, window), day_row), day_figures(row))
            for row in complete(result, ledger)
        )
        # A day's own gauges end at its midnight; yesterday's live for one day more.
        days = 1 if window == "today" else 2
        ends = day_start(result.day + timedelta(days=days), self.zone).timestamp()
        return Scoped(lines, min(live_until, ends))

    def _goals_of(self, labels: Labels, known: tuple[str, ...]) -> _Goals:
        _, skill_id, _ = labels
        goals = self._goals.get(skill_id)
        if goals is None or (goals.labels, goals.known) != (labels, known):
            targets = ((one, self.targets.of(skill_id, one)) for one in known)
            pairs = [((*labels, channel), target) for channel, target in targets if target]
            goals = self._goals[skill_id] = _Goals(labels, known, pairs, _limits(pairs))
        return goals

    def _opening(self, pairs: Pairs, live_until: float | None) -> Scoped:
        if not pairs or live_until is None:
            return Scoped({}, 0.0)

        def at(now: float) -> Scoped:
            block, until = Block(BY_NAME["wolkvox_sla_open"]), live_until
            if now < live_until:
                for pair, target in pairs:
                    is_open, change = self.targets.open(target, now)
                    block.add(pair, float(is_open))
                    until = until if change is None else min(until, change)
            lines = {block.family.name: block.lines()} if now < live_until else {}
            return Scoped(lines, until, at if until < live_until else None)

        # Judged at the first scrape: nothing here knows the time.
        return Scoped({}, 0.0, at)


def _status(labels: Labels, status: QueryStatus, rows: Rows) -> Scoped:
    memory = status.memory
    figures = (
        float(status.up),
        status.last_attempt_at,
        memory.last_success_at,
        status.interval,
        memory.failures,
    )
    return Scoped(filled([(rows.of(labels, status_row), figures)]))


def _counters(labels: Labels, known: Iterable[str], status: QueryStatus, rows: Rows) -> Scoped:
    ledger = status.memory.ledger
    if ledger is None or status.live_until is None:
        return Scoped({}, 0.0)
    lines = filled(
        (
            rows.of((*labels, channel), counter_row),
            counter_figures(exposed(ledger.channels[channel])),
        )
        for channel in known
    )
    return Scoped(lines, status.live_until)


def _sla(goals: _Goals, live_until: float | None) -> Scoped:
    if not goals.pairs or live_until is None:
        return Scoped({}, 0.0)
    return Scoped(goals.lines, live_until)


def _limits(pairs: Pairs) -> Mapping[str, bytes]:
    names = ("service_level_target_ratio", "abandonment_limit_ratio", "asa_limit_seconds",
             "min_interactions")  # fmt: skip
    level, abandonment, asa, least = (Block(BY_NAME[f"wolkvox_sla_{one}"]) for one in names)
    for pair, target in pairs:
        if target.service_level is not None:
            within, ratio = target.service_level.within, target.service_level.target
            level.add((*pair, str(within)), ratio)
        for block, limit in (
            (abandonment, target.abandonment_max),
            (asa, target.asa_max),
            (least, target.min_interactions),
        ):
            if limit is not None:
                block.add(pair, limit)
    blocks = (level, abandonment, asa, least)
    return {block.family.name: lines for block in blocks if (lines := block.lines())}


def complete(result: Result, ledger: QueryLedger | None) -> Iterable[ChannelFigures]:
    """The rows of a result, and a row of zero counts for each known channel it lacks.

    The API leaves out channels without traffic. Absent is 0 for a count and never for a
    ratio or an average, which stay absent.
    """
    rows = {row.channel: row for row in result.channels}
    for channel in known_channels(ledger, result.day):
        if channel not in rows:
            rows[channel] = without_row(channel)
    return [rows[channel] for channel in sorted(rows)]


@dataclass(frozen=True, slots=True)
class _Goals:
    """The live pairs of a query that have a target, and the lines of those targets."""

    labels: Labels
    known: tuple[str, ...]
    pairs: Pairs
    lines: Mapping[str, bytes]
