"""Statuses -> the status page in words, in one language; renders nothing.

What can be long is bounded here: the page has one row for each query, and at most MOST_ROWS
rows of figures; the metrics hold the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Final

from exporter.state.snapshot import QueryStatus
from exporter.web.status import ExporterView, OperationView, QueryState
from exporter.web.status_format import Words, count, foreign, moment
from exporter.web.status_model import Fact, OperationPart, PageView, Query
from exporter.web.status_part import PartBuilder, Tally
from exporter.web.texts import catalogue

MOST_ROWS: Final = 2000


def page_view(
    exporter: ExporterView,
    operations: Sequence[OperationView],
    statuses: Iterable[QueryStatus],
    now: float,
    language: str,
) -> PageView:
    """The page at a moment in epoch seconds, in one of the languages of `texts`."""
    words = Words(catalogue(language))
    found: dict[str, list[QueryStatus]] = {view.name: [] for view in operations}
    for status in statuses:
        found.get(status.key.operation, []).append(status)  # what is ending has no view
    tally = Tally(MOST_ROWS)
    parts = tuple(
        PartBuilder(words, view, now, tally).build(found[view.name]) for view in operations
    )
    zone = _common_zone(operations)
    notice = "" if exporter.storage_writable else words["not_writable_notice"]
    trouble = sum(part.trouble for part in parts)
    return PageView(
        language=language,
        summary=_summary(words, parts, tally.missed),
        calm=not (notice or trouble or tally.missed),
        as_of=moment(now, zone, now),
        as_of_zone=str(zone),
        notice=notice,
        operations=parts,
        cut=words.say("cut_rows", count=count(tally.cut)) if tally.cut else "",
        facts=_exporter_facts(words, exporter, zone, now),
        links=_links(words, exporter.telemetry_path),
    )


def _common_zone(operations: Sequence[OperationView]) -> tzinfo:
    """The zone of every operation, or UTC where they are in several."""
    zones = {str(view.zone): view.zone for view in operations}
    return next(iter(zones.values())) if len(zones) == 1 else UTC


def _summary(words: Words, parts: Sequence[OperationPart], missed: int) -> str:
    """The state of everything in one sentence, without its full stop."""
    queries: list[Query] = [one for part in parts for one in (*part.skills, *part.whole)]
    trouble = sum(part.trouble for part in parts)
    if not queries:
        return words["starting"] if parts else words["no_operations"]
    if trouble:
        first = words.counted("attention", trouble, total=count(len(queries)))
    elif any(query.state is QueryState.WAITING for query in queries):
        first = words["starting"]
    else:
        first = words["all_fine"]
    if missed:
        return f"{first}, {words.counted('missed', missed)}"
    judged = any(cell.note for one in queries for row in one.rows for cell in row.cells)
    return f"{first}, {words['targets_fine']}" if judged else first


def _exporter_facts(
    words: Words, exporter: ExporterView, zone: tzinfo, now: float
) -> tuple[Fact, ...]:
    version = f"{exporter.version} ({exporter.revision})"
    loaded = moment(exporter.reloaded_at, zone, now).text
    return (
        Fact(words["version"], foreign(version if exporter.revision else exporter.version)),
        Fact(
            words["state"], words["writable" if exporter.storage_writable else "not_writable"]
        ),
        Fact(
            words["configuration"],
            words.say("not_reloaded" if exporter.reload_failed else "loaded", loaded),
        ),
    )


def _links(words: Words, telemetry_path: str) -> tuple[tuple[str, str], ...]:
    """The other pages, relative to this one: a proxy may serve them below a prefix."""
    return (
        (f".{telemetry_path}", words["link_metrics"]),
        ("./config", words["link_config"]),
        ("./docs", words["link_docs"]),
        ("./-/healthy", words["link_healthy"]),
        ("./-/ready", words["link_ready"]),
    )
