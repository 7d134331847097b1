"""A query's status as the lines of its families; pure: the moment is an argument.

Six scopes a query, since they change or vanish on their own:

    status      the wolkvox_up family                    always
    today       gauges of the running day                until stale or local midnight
    yesterday   gauges of the finished day               until stale or the next midnight
    counters    what was accumulated over the days       until stale
    sla         targets of the pairs                     until stale
    sla-open    whether it is opening time               until that changes, or stale

The labels of a line stand in the order of their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from exporter.config import SlaEntry
from exporter.metrics.families import COUNTER_FAMILIES, QUERY, SKILL_FAMILIES
from exporter.metrics.page import ESCAPES, Block, Scope, encoded, header, labels, line
from exporter.metrics.sla import Targets
from exporter.state.counters import Counters, exposed, known_channels
from exporter.state.models import QueryStatus, Result, complete
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.windows import day_start

PARTS = ("status", "today", "yesterday", "counters", "sla", "sla-open")
NOTHING = Block({})
Goals = Sequence[tuple[str, SlaEntry]]
"""The channels that have a target, by their label, with the target."""


@dataclass(frozen=True, slots=True)
class QueryRenderer:
    """Renders the queries of one operation, whose time zone says when its days end."""

    zone: ZoneInfo
    targets: Targets

    def blocks(self, status: QueryStatus, now: float) -> dict[Scope, Block]:
        """Every scope of the query with what it shows at epoch `now` and later."""
        key, memory, live = status.key, status.memory, status.live_until
        query = labels(
            {"operation": key.operation, "skill_id": key.skill_id, "skill": status.skill}
        )
        blocks = dict.fromkeys(PARTS, NOTHING)
        blocks["status"] = Block(encoded(status_lines(query, status)))
        if live is not None:
            ledger = memory.ledger
            blocks["today"] = self._window(query, "today", memory.today, status.figures, live)
            rows = complete(memory.yesterday, ledger)
            blocks["yesterday"] = self._window(query, "yesterday", memory.yesterday, rows, live)
            known = known_channels(ledger, ledger.day) if ledger else {}
            if ledger:
                counters = {name: exposed(one) for name, one in known.items()}
                blocks["counters"] = Block(encoded(counter_lines(query, counters)), live)
            targets = (
                (one.translate(ESCAPES), self.targets.of(key.skill_id, one)) for one in known
            )
            goals = [(channel, target) for channel, target in targets if target]
            blocks["sla"] = Block(encoded(target_lines(query, goals)), live)
            blocks["sla-open"] = self._open(query, goals, live, now)
        return {(key.operation, key.skill_id, part): block for part, block in blocks.items()}

    def _window(
        self,
        query: str,
        window: str,
        result: Result | None,
        rows: Iterable[ChannelFigures],
        live: float,
    ) -> Block:
        if result is None:
            return NOTHING
        # A day's own gauges end at its midnight; yesterday's live for one day more.
        days = 1 if window == "today" else 2
        ends = day_start(result.day + timedelta(days=days), self.zone).timestamp()
        return Block(encoded(day_lines(query, window, rows)), min(live, ends))

    def _open(self, query: str, goals: Goals, live: float, now: float) -> Block:
        if not goals or now >= live:
            return NOTHING
        lines, until = "", live
        for channel, target in goals:
            is_open, change = self.targets.open(target, now)
            lines += line("wolkvox_sla_open", pair_of(query, channel), is_open)
            until = until if change is None else min(until, change)
        renew = partial(self._open, query, goals, live)
        return Block(encoded({"wolkvox_sla_open": lines}), until, now, renew)


def status_lines(query: str, status: QueryStatus) -> dict[str, str]:
    """The query itself: up, last attempt and success, interval, failures in a row."""
    values = {
        "wolkvox_up": status.up,
        "wolkvox_last_attempt_timestamp_seconds": status.last_attempt_at,
        "wolkvox_last_success_timestamp_seconds": status.memory.last_success_at,
        "wolkvox_query_interval_seconds": status.interval,
        "wolkvox_consecutive_failures": status.memory.failures,
    }
    return {
        name: line(name, query, value) for name, value in values.items() if value is not None
    }


def day_lines(query: str, window: str, rows: Iterable[ChannelFigures]) -> defaultdict[str, str]:
    """The gauges of a window; what is absent has no line."""
    lines = defaultdict[str, str](str)
    for row in rows:
        channel = f'type_interaction="{row.channel.translate(ESCAPES)}",window="{window}"'
        for column in COLUMNS:
            value = getattr(row, column.attribute)
            if value is not None:
                within = f'threshold_seconds="{column.within}",' if column.within else ""
                lines[column.family] += line(column.family, f"{query},{within}{channel}", value)
    return lines


def counter_lines(query: str, channels: dict[str, Counters]) -> dict[str, str]:
    """The counters of each channel: offered, a histogram of the answered, a summary."""
    offered, wait, abandon = (family.name for family in COUNTER_FAMILIES)
    lines = {offered: "", wait: "", abandon: ""}
    for channel, one in channels.items():
        pair = pair_of(query, channel.translate(ESCAPES))
        lines[offered] += line(offered, pair, one.offered)
        for bound, count in (
            *(("10.0", one.within_10), ("20.0", one.within_20), ("30.0", one.within_30)),
            ("+Inf", one.answered),
        ):
            lines[wait] += line(f"{wait}_bucket", f'le="{bound}",{pair}', count)
        lines[wait] += line(f"{wait}_count", pair, one.answered)
        lines[wait] += line(f"{wait}_sum", pair, one.answer_wait_sum)
        lines[abandon] += line(f"{abandon}_count", pair, one.abandoned)
        lines[abandon] += line(f"{abandon}_sum", pair, one.abandon_wait_sum)
    return lines


def target_lines(query: str, goals: Goals) -> dict[str, str]:
    """The targets of each channel that has any."""
    lines = defaultdict[str, str](str)
    for channel, target in goals:
        pair, level = pair_of(query, channel), target.service_level
        if level:
            name, within = "wolkvox_sla_service_level_target_ratio", level.within
            threshold = pair_of(f'{query},threshold_seconds="{within}"', channel)
            lines[name] += line(name, threshold, level.target)
        for name, limit in (
            ("wolkvox_sla_abandonment_limit_ratio", target.abandonment_max),
            ("wolkvox_sla_asa_limit_seconds", target.asa_max),
            ("wolkvox_sla_min_interactions", target.min_interactions),
        ):
            if limit is not None:
                lines[name] += line(name, pair, limit)
    return lines


def pair_of(query: str, channel: str) -> str:
    """The labels of a pair from those of its query and the channel, escaped already."""
    return f'{query},type_interaction="{channel}"'


# Past days, for a time-series database ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueryHistory:
    """The finished days of one query, in order; `labels`: operation, skill id, skill."""

    labels: tuple[str, str, str]
    days: Sequence[tuple[date, Sequence[ChannelFigures]]]


def history(
    queries: Sequence[QueryHistory],
    stamps: Callable[[date], Sequence[int]],
    target: Mapping[str, str],
) -> Iterator[bytes]:
    """The `yesterday` gauges of each day at each of its moments (epoch seconds).

    Grouped by family and series with rising timestamps, as OpenMetrics demands; `target`
    are the labels that a scrape would add (job, instance). A piece is one series of a day.
    """
    for family in SKILL_FAMILIES:
        head = header(family, openmetrics=True)
        for query in queries:
            own = labels({**target, **dict(zip(QUERY, query.labels, strict=True))})
            series = defaultdict[bytes, list[tuple[bytes, date]]](list)
            for day, rows in query.days:
                lines = day_lines(own, "yesterday", rows)[family.name]
                for sample in lines.encode("utf-8", "replace").splitlines():
                    series[sample.rpartition(b" ")[0]].append((sample, day))
            for name in sorted(series):
                for sample, day in series[name]:
                    piece = b"".join(b"%b %d\n" % (sample, at) for at in stamps(day))
                    yield head + piece if piece else b""
                    head = b"" if piece else head
    yield b"# EOF\n"
