"""A query's status as the lines of its families; pure: the moment is an argument.

Eight scopes a query, since they change or vanish on their own:

    status      the wolkvox_up family                    always
    today       gauges of the running day                until stale or local midnight
    yesterday   gauges of the finished day               until stale or the next midnight
    month       gauges of the month to yesterday         three days, or the month's end
    last_month  gauges of the month before               three days, or the next month's
    counters    what was accumulated over the days       until stale
    sla         targets of the pairs                     until stale
    sla-open    whether it is opening time               until that changes, or stale

The labels of a line stand in the order of their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from exporter.config.hours import OpenHours
from exporter.metrics.families import COUNTER_FAMILIES, QUERY, SKILL_FAMILIES, WINDOW_END
from exporter.metrics.page import ESCAPES, Block, Scope, encoded, header, labels, line
from exporter.metrics.sla import Targets, goals
from exporter.state.counters import Counters, exposed, known_channels
from exporter.state.models import QueryStatus, Result, complete
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.windows import DAY, LAST_MONTH, MONTH, day_start, month_after

PARTS = ("status", "today", "yesterday", MONTH, LAST_MONTH, "counters", "sla", "sla-open")
MONTHS_LIVE = timedelta(days=3)  # without a success
ENDS: Mapping[str, Callable[[date], date]] = {
    "today": lambda day: day + DAY,
    "yesterday": lambda day: day + 2 * DAY,
    MONTH: month_after,
    # Until the next one's first answer, which may be some days late.
    LAST_MONTH: lambda day: month_after(month_after(day)) + MONTHS_LIVE,
}
"""The local day with which the gauges of a window end, by the last day that it covers."""
NOTHING = Block({})
T = TypeVar("T")
Rows = Sequence[ChannelFigures]


@dataclass(frozen=True, slots=True)
class QueryRenderer:
    """Renders the queries of one operation; what no answer changed is not rendered again."""

    zone: ZoneInfo
    targets: Targets
    months: bool = True
    _kept: dict[Scope, tuple[object, Any]] = field(default_factory=dict)

    def blocks(self, status: QueryStatus, now: float) -> dict[Scope, Block]:
        """Every scope of the query with what it shows at epoch `now` and later."""
        key, memory, live = status.key, status.memory, status.live_until
        own = {"operation": key.operation, "skill_id": key.skill_id, "skill": status.skill}
        query = labels(own)
        blocks = dict.fromkeys(PARTS, NOTHING)
        values = {
            "wolkvox_up": status.up,
            "wolkvox_last_attempt_timestamp_seconds": status.last_attempt_at,
            "wolkvox_last_success_timestamp_seconds": memory.last_success_at,
            "wolkvox_query_interval_seconds": status.interval,
            "wolkvox_consecutive_failures": memory.failures,
        }
        rows = {name: line(name, query, one) for name, one in values.items() if one is not None}
        blocks["status"] = Block(encoded(rows))
        for window, result, figures, until in self._windows(status):
            scope = (key.operation, key.skill_id, window)
            lines = self._once(scope, self._lines, query, window, result.day, figures)
            ends = day_start(ENDS[window](result.day), self.zone).timestamp()
            blocks[window] = Block(lines, min(until, ends))
        ledger = memory.ledger
        if live is not None and ledger is not None:
            channels = known_channels(ledger, ledger.day)
            counters = {name: exposed(one) for name, one in channels.items()}
            blocks["counters"] = Block(encoded(counter_lines(query, counters)), live)
            scope = (key.operation, key.skill_id, "sla")
            facts = (self.targets, query, key.skill_id, tuple(channels))
            targets, hours = self._once(scope, goals_of, *facts)
            blocks["sla"] = Block(targets, live)
            if hours:
                blocks["sla-open"] = open_block(hours, live, now)
        return {(key.operation, key.skill_id, part): block for part, block in blocks.items()}

    def _windows(self, status: QueryStatus) -> Iterator[tuple[str, Result, Rows, float]]:
        """Each window with an answer, its rows, and until when they are fresh enough."""
        memory, live = status.memory, status.live_until
        if live is not None and memory.today is not None:
            yield "today", memory.today, status.figures, live
        if live is not None and memory.yesterday is not None:
            rows = complete(memory.yesterday, memory.ledger)
            yield "yesterday", memory.yesterday, rows, live
        if self.months and memory.last_success_at is not None:
            live = memory.last_success_at + MONTHS_LIVE.total_seconds()
            for window, one in ((MONTH, memory.month), (LAST_MONTH, memory.last_month)):
                if one.result is not None:
                    yield window, one.result, one.result.rows, live

    def _lines(self, query: str, window: str, day: date, rows: Rows) -> dict[str, bytes]:
        lines = day_lines(query, window, rows)
        if window != "today":
            ended = day_start(day + DAY, self.zone).timestamp()
            lines[WINDOW_END.name] = line(WINDOW_END.name, f'{query},window="{window}"', ended)
        return encoded(lines)

    def _once(self, scope: Scope, make: Callable[..., T], *facts: object) -> T:
        """What was made of the same facts the last time, else what is made of these."""
        made = self._kept.get(scope)
        if made is None or made[0] != facts:
            made = self._kept[scope] = facts, make(*facts)
        return cast("T", made[1])


def _channel(name: str) -> str:
    return f'type_interaction="{name.translate(ESCAPES)}"'


def day_lines(query: str, window: str, rows: Iterable[ChannelFigures]) -> defaultdict[str, str]:
    """The gauges of a window; what is absent has no line."""
    lines = defaultdict[str, str](str)
    for row in rows:
        channel = f'{_channel(row.channel)},window="{window}"'
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
        pair = f"{query},{_channel(channel)}"
        lines[offered] += line(offered, pair, one.offered)
        within = (one.within_10, one.within_20, one.within_30, one.answered)
        for bound, count in zip(("10.0", "20.0", "30.0", "+Inf"), within, strict=True):
            lines[wait] += line(f"{wait}_bucket", f'le="{bound}",{pair}', count)
        lines[wait] += line(f"{wait}_count", pair, one.answered)
        lines[wait] += line(f"{wait}_sum", pair, one.answer_wait_sum)
        lines[abandon] += line(f"{abandon}_count", pair, one.abandoned)
        lines[abandon] += line(f"{abandon}_sum", pair, one.abandon_wait_sum)
    return lines


Hours = Sequence[tuple[str, OpenHours]]
"""When the targets of pairs hold, by the labels of the pair."""
Goals = tuple[Mapping[str, bytes], Hours]


def goals_of(targets: Targets, query: str, skill_id: str, channels: tuple[str, ...]) -> Goals:
    """The targets of a query's channels as lines, and the hours of those that have any."""
    lines, hours = defaultdict[str, str](str), []
    for channel in channels:
        target = targets.of(skill_id, channel)
        if target is None:
            continue
        pair = f"{query},{_channel(channel)}"
        found = goals(target)
        values = {
            "abandonment_limit_ratio": found.get("abandonment"),
            "asa_limit_seconds": found.get("asa"),
            "min_interactions": target.min_interactions,
        }
        if (open_hours := targets.hours(target)) is not None:
            hours.append((pair, open_hours))
        else:
            values["open"] = True
        if level := target.service_level:
            name = "wolkvox_sla_service_level_target_ratio"
            within = f'{query},threshold_seconds="{level.within}",{_channel(channel)}'
            lines[name] += line(name, within, level.target)
        for name, value in values.items():
            if value is not None:
                lines[f"wolkvox_sla_{name}"] += line(f"wolkvox_sla_{name}", pair, value)
    return encoded(lines), hours


def open_block(hours: Hours, live: float, now: float) -> Block:
    """Whether it is opening time for each pair whose target has hours, until that changes."""
    if now >= live:
        return NOTHING
    lines, until = "", live
    for pair, one in hours:
        is_open, change = one.state(now)
        lines += line("wolkvox_sla_open", pair, is_open)
        until = until if change is None else min(until, change)
    renew = partial(open_block, hours, live)
    return Block(encoded({"wolkvox_sla_open": lines}), until, now, renew)


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
    window: str = "yesterday",
) -> Iterator[bytes]:
    """The gauges of a window by its last day, at each of that day's moments (epoch seconds).

    Grouped by family and series with rising timestamps, as OpenMetrics demands; `target`
    are the labels that a scrape would add (job, instance). A piece is one series of a day.
    """
    for family in SKILL_FAMILIES:
        head = header(family, openmetrics=True)
        for query in queries:
            own = labels({**target, **dict(zip(QUERY, query.labels, strict=True))})
            series = defaultdict[bytes, list[tuple[bytes, date]]](list)
            for day, rows in query.days:
                lines = day_lines(own, window, rows)[family.name]
                for sample in lines.encode("utf-8", "replace").splitlines():
                    series[sample.rpartition(b" ")[0]].append((sample, day))
            for name in sorted(series):
                for sample, day in series[name]:
                    piece = b"".join(b"%b %d\n" % (sample, at) for at in stamps(day))
                    yield head + piece if piece else b""
                    head = b"" if piece else head
    yield b"# EOF\n"
