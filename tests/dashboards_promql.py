"""PromQL of the boards taken apart: selectors with what stands around them, label names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import promql_parser as promql

from exporter.metrics.families import TABLE, Family
from tests.dashboards_support import recording_rules

BY_NAME = {family.name: family for family in TABLE}
SUFFIXES = ("_bucket", "_sum", "_count")
# What Prometheus itself and the client library add.
FOREIGN = {
    "up": (),
    "scrape_duration_seconds": (),
    "scrape_samples_scraped": (),
    "ALERTS": ("alertname", "alertstate", "severity", "sli"),
    "ALERTS_FOR_STATE": ("alertname", "severity", "sli"),
    "process_start_time_seconds": (),
    "process_resident_memory_bytes": (),
    "process_cpu_seconds_total": (),
    "process_open_fds": (),
}
RECORDS = recording_rules()
RECORD_LABELS = ("operation", "skill_id", "type_interaction", "threshold_seconds", "window")
TARGET_LABELS = frozenset({"job", "instance", "pod", "__name__"})


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: its metric ("" where a matcher names it), matchers, function and range."""

    metric: str
    matchers: dict[str, tuple[str, ...]]
    function: str | None
    span: timedelta | None


def selectors(node: object, function: str | None = None) -> Iterator[Selector]:
    """Every selector of an expression."""
    match node:
        case promql.VectorSelector():
            yield _selector(node, function, None)
        case promql.MatrixSelector():
            yield _selector(node.vector_selector, function, node.range)
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument, node.func.name)
        case promql.BinaryExpr():
            yield from selectors(node.lhs, function)
            yield from selectors(node.rhs, function)
        case (
            promql.AggregateExpr()
            | promql.ParenExpr()
            | promql.UnaryExpr()
            | promql.SubqueryExpr()
        ):
            yield from selectors(node.expr, function)


def _selector(
    node: promql.VectorSelector, function: str | None, span: timedelta | None
) -> Selector:
    matchers: dict[str, tuple[str, ...]] = {}
    for one in node.matchers.matchers:
        matchers[one.name] = (*matchers.get(one.name, ()), one.value)
    return Selector(node.name or "", matchers, function, span)


def grouped_labels(node: object) -> Iterator[str]:
    """The labels in by, without, on, ignoring and group_left."""
    match node:
        case promql.AggregateExpr():
            yield from node.modifier.labels if node.modifier else ()
            yield from grouped_labels(node.expr)
        case promql.BinaryExpr():
            if node.modifier is not None:
                yield from node.modifier.matching.labels if node.modifier.matching else ()
                yield from node.modifier.group_labels or ()
            yield from grouped_labels(node.lhs)
            yield from grouped_labels(node.rhs)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from grouped_labels(node.expr)
        case promql.Call():
            for argument in node.args:
                yield from grouped_labels(argument)


def averages(node: object) -> Iterator[object]:
    """What stands inside an `avg`."""
    match node:
        case promql.AggregateExpr():
            if str(node.op) == "avg":
                yield node.expr
            yield from averages(node.expr)
        case promql.BinaryExpr():
            yield from averages(node.lhs)
            yield from averages(node.rhs)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from averages(node.expr)
        case promql.Call():
            for argument in node.args:
                yield from averages(argument)


def family_of(metric: str) -> Family | None:
    """The family a metric belongs to, its `_bucket`, `_sum` and `_count` included."""
    if metric in BY_NAME:
        return BY_NAME[metric]
    for suffix in SUFFIXES:
        found = BY_NAME.get(metric.removesuffix(suffix))
        if metric.endswith(suffix) and found and found.kind in {"histogram", "summary"}:
            return found
    return None


def is_known(metric: str) -> bool:
    """Whether the exporter, the rules, Prometheus or the client library has it."""
    return family_of(metric) is not None or metric in RECORDS or metric in FOREIGN


def made_labels(expr: object) -> set[str]:
    """The labels that an expression makes itself."""
    return {"column", *re.findall(r'count_values[^"]*"(\w+)"', str(expr))}


def is_counter(metric: str) -> bool:
    """Whether a metric may only be read by rate or increase."""
    family = family_of(metric)
    if family is None:
        return metric.endswith(("_total", ":total", "within:offered"))
    return family.kind in {"counter", "histogram", "summary"}


def labels_of(metric: str) -> frozenset[str]:
    """The labels that a metric can have, those of its scrape included."""
    family = family_of(metric)
    own = FOREIGN.get(metric, RECORD_LABELS) if family is None else family.labels
    if metric.startswith("ALERTS"):
        own = (*own, "operation", "skill_id", "skill", "type_interaction", "threshold_seconds")
    if metric.startswith("wolkvox:within:"):  # picked out of the exporter's own counters
        own = (*own, "skill")
    return TARGET_LABELS | set(own) | ({"le"} if metric.endswith("_bucket") else set())
