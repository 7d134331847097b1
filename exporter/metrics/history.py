"""Past days as OpenMetrics with timestamps, family by family; reads no file, asks nothing.

The exporter's page has no timestamps; here each gauge of a finished day is written at many
moments, so that a time-series database has it as if it had been scraped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from exporter.metrics.families import SKILL_FAMILIES
from exporter.metrics.render import header_openmetrics, labels, number
from exporter.wolkvox.columns import COLUMNS, ChannelFigures


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
        header = header_openmetrics(family)
        for query in queries:
            for series, values in sorted(_series(family.name, query, target).items()):
                for day, value in values:
                    sample = f"{series} {number(value)}".encode("utf-8", "replace")
                    piece = b"".join(b"%b %d\n" % (sample, at) for at in stamps(day))
                    yield header + piece if piece else b""
                    header = b"" if piece else header
    yield b"# EOF\n"


def _series(
    family: str, query: QueryHistory, target: Mapping[str, str]
) -> dict[str, list[tuple[date, float]]]:
    """The family's series, each with its value on the days on which it has one."""
    found = defaultdict[str, list[tuple[date, float]]](list)
    own = dict(zip(("operation", "skill_id", "skill"), query.labels, strict=True))
    for column in COLUMNS:
        if column.family != family:
            continue
        within = {"threshold_seconds": str(column.within)} if column.within else {}
        for day, rows in query.days:
            for row in rows:
                value = getattr(row, column.attribute)
                if value is not None:
                    pair = {"type_interaction": row.channel, "window": "yesterday"}
                    name = labels({**target, **own, **within, **pair})
                    found[f"{family}{{{name}}}"].append((day, value))
    return found
