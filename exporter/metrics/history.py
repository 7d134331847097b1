"""Past days as OpenMetrics with timestamps, family by family; reads no file, asks nothing.

The exporter's page has no timestamps; here each gauge of a finished day is written at many
moments, so that a time-series database has it as if it had been scraped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from exporter.metrics.families import QUERY, SKILL_FAMILIES
from exporter.metrics.query import day_lines
from exporter.metrics.render import header, labels
from exporter.wolkvox.columns import ChannelFigures


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
