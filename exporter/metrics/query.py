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

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from exporter.metrics.exposition import Scope, Scoped
from exporter.metrics.families import BY_NAME
from exporter.metrics.render import BUCKET_BOUNDS, Block, lines, number, series
from exporter.metrics.sla import Target, Targets
from exporter.state.ledger import QueryLedger, exposed, known_channels
from exporter.state.snapshot import QueryStatus, Result
from exporter.wolkvox.report import ChannelFigures
from exporter.wolkvox.windows import day_start

Labels = tuple[str, ...]
Pairs = list[tuple[Labels, Target]]
Row = tuple[tuple[str, str], ...]
"""Family and series of each sample of a row."""
Gathered = dict[str, list[tuple[str, str]]]
"""Series and values by family: what `_Blocks` holds, for series that are known beforehand."""
_ABSENT = (None,) * 6


class _Blocks:
    """The families of one scope, created as samples come."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}

    def __getitem__(self, name: str) -> Block:
        if name not in self.blocks:
            self.blocks[name] = Block(BY_NAME[name])
        return self.blocks[name]

    def gauge(self, name: str, labels: Labels, value: float | None) -> None:
        """Add a sample, or nothing where the value is absent."""
        if value is not None:
            self[name].add(labels, value)

    def scoped(self, until: float | None = None) -> Scoped:
        return Scoped({name: block.lines() for name, block in self.blocks.items()}, until)


PARTS = ("status", "today", "yesterday", "counters", "sla", "sla-open")


@dataclass(frozen=True, slots=True)
class QueryRenderer:
    """Renders the queries of one operation, whose time zone says when its days end.

    A row has the same series in each poll, and putting them together costs more than their
    values: those of a query's last rendering are kept.
    """

    zone: ZoneInfo
    targets: Targets
    _rows: dict[str, dict[Labels, Row]] = field(default_factory=dict, repr=False)

    def scopes(self, status: QueryStatus) -> Iterator[tuple[Scope, Scoped]]:
        """Every scope of the query with what it shows; an empty one shows nothing."""
        key = status.key
        labels = (key.operation, key.skill_id, status.skill)
        yield (key.operation, key.skill_id, "status"), self._status(labels, status)
        memory, live = status.memory, status.live_until
        rows = _Rows(self._rows.get(key.skill_id, {}))
        today = self._window(labels, "today", memory.today, memory.ledger, live, rows)
        yield (key.operation, key.skill_id, "today"), today
        yesterday = self._window(
            labels, "yesterday", memory.yesterday, memory.ledger, live, rows
        )
        yield (key.operation, key.skill_id, "yesterday"), yesterday
        counters = self._counters(labels, status, rows)
        self._rows[key.skill_id] = rows.used
        yield (key.operation, key.skill_id, "counters"), counters
        pairs = self._pairs(labels, status)
        yield (key.operation, key.skill_id, "sla"), _sla(pairs, status.live_until)
        opening = self._opening(pairs, status.live_until)
        yield (key.operation, key.skill_id, "sla-open"), opening

    def forget(self, skill_id: str) -> None:
        """Keep nothing of a query that is shown no more."""
        self._rows.pop(skill_id, None)

    def _status(self, labels: Labels, status: QueryStatus) -> Scoped:
        blocks = _Blocks()
        blocks.gauge("wolkvox_up", labels, float(status.up))
        for name, value in (
            ("wolkvox_last_attempt_timestamp_seconds", status.last_attempt_at),
            ("wolkvox_last_success_timestamp_seconds", status.memory.last_success_at),
            ("wolkvox_consecutive_failures", status.memory.failures),
        ):
            blocks.gauge(name, labels, value)
        return blocks.scoped()

    def _window(
        self,
        labels: Labels,
        window: str,
        result: Result | None,
        ledger: QueryLedger | None,
        live_until: float | None,
        rows: _Rows,
    ) -> Scoped:
        if result is None or live_until is None:
            return Scoped({}, 0.0)
        gathered: Gathered = {}
        for row in complete(result, ledger):
            figures = [value for _, _, value in day_gauges(row)]
            _gather(gathered, rows.of((*labels, row.channel, window), _day_series), figures)
        # A day's own gauges end at its midnight; yesterday's live for one day more.
        days = 1 if window == "today" else 2
        ends = day_start(result.day + timedelta(days=days), self.zone).timestamp()
        return _scoped(gathered, min(live_until, ends))

    def _counters(self, labels: Labels, status: QueryStatus, rows: _Rows) -> Scoped:
        ledger = status.memory.ledger
        if ledger is None or status.live_until is None:
            return Scoped({}, 0.0)
        gathered: Gathered = {}
        for channel in known_channels(ledger, ledger.day):
            counters = exposed(ledger.channels[channel])
            figures = (
                counters.offered,
                *(counters.within_10, counters.within_20, counters.within_30),
                *(counters.answered, counters.answered, counters.answer_wait_sum),
                *(counters.abandoned, counters.abandon_wait_sum),
            )
            _gather(gathered, rows.of((*labels, channel), _counter_series), figures)
        return _scoped(gathered, status.live_until)

    def _pairs(self, labels: Labels, status: QueryStatus) -> Pairs:
        """The live pairs that have a target."""
        ledger = status.memory.ledger
        if ledger is None:
            return []
        known = known_channels(ledger, ledger.day)
        targets = ((one, self.targets.of(status.key.skill_id, one)) for one in known)
        return [((*labels, channel), target) for channel, target in targets if target]

    def _opening(self, pairs: Pairs, live_until: float | None) -> Scoped:
        if not pairs or live_until is None:
            return Scoped({}, 0.0)

        def at(now: float) -> Scoped:
            blocks, until = _Blocks(), live_until
            if now < live_until:
                for pair, target in pairs:
                    is_open, change = self.targets.open(target, now)
                    blocks.gauge("wolkvox_sla_open", pair, float(is_open))
                    until = until if change is None else min(until, change)
            return replace(blocks.scoped(until), renew=at if until < live_until else None)

        # Judged at the first scrape: nothing here knows the time.
        return Scoped({}, 0.0, at)


def _sla(pairs: Pairs, live_until: float | None) -> Scoped:
    if not pairs or live_until is None:
        return Scoped({}, 0.0)
    blocks = _Blocks()
    for pair, target in pairs:
        level = target.service_level
        if level is not None:
            labels = (*pair, str(level.within))
            blocks.gauge("wolkvox_sla_service_level_target_ratio", labels, level.target)
        blocks.gauge("wolkvox_sla_abandonment_limit_ratio", pair, target.abandonment_max)
        blocks.gauge("wolkvox_sla_asa_limit_seconds", pair, target.asa_max)
        blocks.gauge("wolkvox_sla_min_interactions", pair, target.min_interactions)
    return blocks.scoped(live_until)


def complete(result: Result, ledger: QueryLedger | None) -> Iterable[ChannelFigures]:
    """The rows of a result, and a row of zero counts for each known channel it lacks.

    The API leaves out channels without traffic. Absent is 0 for a count and never for a
    ratio or an average, which stay absent.
    """
    rows = {row.channel: row for row in result.channels}
    for channel in known_channels(ledger, result.day):
        if channel not in rows:
            rows[channel] = ChannelFigures(channel, 0, 0, 0, *_ABSENT)
    return [rows[channel] for channel in sorted(rows)]


class _Rows:
    """The series of one rendering, those of the one before taken up."""

    def __init__(self, before: Mapping[Labels, Row]) -> None:
        self._before = before
        self.used: dict[Labels, Row] = {}

    def of(self, labels: Labels, make: Callable[[Labels], Row]) -> Row:
        """The series of a row, made where they were not there before."""
        found = self._before.get(labels)
        row = self.used[labels] = make(labels) if found is None else found
        return row


def _day_series(labels: Labels) -> Row:
    """Family and series of each gauge of a row, in the order of `day_gauges`."""
    empty = ChannelFigures("", None, None, None, *_ABSENT)
    return tuple(
        (name, series(BY_NAME[name], (*labels, *more))) for name, more, _ in day_gauges(empty)
    )


def _counter_series(labels: Labels) -> Row:
    """Family and series of a pair's counters: offered, the histogram, the summary."""
    offered, wait, abandon = (
        BY_NAME["wolkvox_skill_offered_interactions_total"],
        BY_NAME["wolkvox_skill_answer_wait_seconds"],
        BY_NAME["wolkvox_skill_abandon_wait_seconds"],
    )
    bounds = (*BUCKET_BOUNDS, "+Inf")
    return (
        (offered.name, series(offered, labels)),
        *((wait.name, series(wait, labels, "_bucket", le=bound)) for bound in bounds),
        *((wait.name, series(wait, labels, suffix)) for suffix in ("_count", "_sum")),
        *((abandon.name, series(abandon, labels, suffix)) for suffix in ("_count", "_sum")),
    )


def _gather(gathered: Gathered, row: Row, figures: Iterable[float | None]) -> None:
    """Add a row's samples; an absent value is left out."""
    for (family, name), value in zip(row, figures, strict=True):
        if value is not None:
            gathered.setdefault(family, []).append((name, number(value)))


def _scoped(gathered: Gathered, until: float) -> Scoped:
    return Scoped({name: lines(samples) for name, samples in gathered.items()}, until)


def day_gauges(row: ChannelFigures) -> Iterator[tuple[str, Labels, float | None]]:
    """The gauges of a window: family, labels behind the window's, value (None: absent)."""
    yield "wolkvox_skill_inbound_interactions", (), row.inbound
    yield "wolkvox_skill_answered_interactions", (), row.answered
    yield "wolkvox_skill_abandoned_interactions", (), row.abandoned
    yield "wolkvox_skill_abandonment_ratio", (), row.abandonment
    yield "wolkvox_skill_asa_seconds", (), row.asa
    yield "wolkvox_skill_ata_seconds", (), row.ata
    yield "wolkvox_skill_service_level_ratio", ("10",), row.service_level_10
    yield "wolkvox_skill_service_level_ratio", ("20",), row.service_level_20
    yield "wolkvox_skill_service_level_ratio", ("30",), row.service_level_30
