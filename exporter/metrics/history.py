"""Past days as OpenMetrics with timestamps, family by family; reads no file, asks nothing.

The exporter's page has no timestamps; here each gauge of a finished day is written at many
moments, so that a time-series database has it as if it had been scraped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from exporter.metrics import render
from exporter.metrics.families import SKILL_FAMILIES, Family
from exporter.metrics.rows import day_gauges
from exporter.wolkvox.columns import ChannelFigures

Series = tuple[str, tuple[str, ...]]


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
        header = render.header_openmetrics(family)
        for query in queries:
            for series, values in sorted(_values(family, query).items()):
                for day, value in values:
                    sample = _sample(family, query, series, value, target)
                    piece = b"".join(b"%b %d\n" % (sample, at) for at in stamps(day))
                    yield header + piece if piece else b""
                    header = b"" if piece else header
    yield b"# EOF\n"


def _values(family: Family, query: QueryHistory) -> dict[Series, list[tuple[date, float]]]:
    """The family's series by channel and further labels: its value on each day it has one."""
    found: dict[Series, list[tuple[date, float]]] = {}
    for day, rows in query.days:
        for row in rows:
            for name, more, value in day_gauges(row):
                if name == family.name and value is not None:
                    found.setdefault((row.channel, more), []).append((day, float(value)))
    return found


def _sample(
    family: Family,
    query: QueryHistory,
    series: Series,
    value: float,
    target: Mapping[str, str],
) -> bytes:
    """Name, labels and value, without the end of the line."""
    channel, more = series
    named = render.series(family, (*query.labels, channel, "yesterday", *more), **target)
    return render.lines([(named, render.number(value))]).removesuffix(b"\n")
