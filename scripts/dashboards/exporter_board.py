"""The board of the exporter itself: what its operator asks at night."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import figures
from scripts.dashboards import queries as q
from scripts.dashboards.boards import Board
from scripts.dashboards.parts import (
    BAD,
    GOOD,
    MUTED,
    WARN,
    Query,
    columns,
    dashed,
    described,
    lines,
    number,
    states,
    value_map,
)
from scripts.dashboards.tables import column, grid

EACH_QUERY = "operation, skill, skill_id"
OWN_ALERTS = "exporter|config|data|api|token|quota|shards"
_LAST = q.raw("last_success_timestamp_seconds", q.QUERY)
_AGE = f"(time() - max by ({EACH_QUERY}) ({_LAST}))"
_FAILURES = f"max by ({EACH_QUERY}) ({q.raw('consecutive_failures', q.QUERY)})"
_PACE = f"max by ({EACH_QUERY}) ({q.raw('query_interval_seconds', q.QUERY)})"
# Three polls behind, as in the rules; or without any answer so far.
_STALE = f"({_AGE} > 3 * {_PACE} or ({_FAILURES} > 0 unless {_AGE}))"


def exporter() -> Board:
    """The board `wolkvox-exporter`."""
    return Board(
        name="exporter",
        title="Wolkvox · Exporter",
        description="Whether the figures can be trusted, and if not, why.",
        panels=[*_first(), *_operations(), *_queries(), *_requests()],
        by_skill=False,
    )


def _first() -> list[Any]:
    up = f"up{{{q.JOB}}}"
    own = f'{q.JOB}, operation=~"$operation|", sli=~"{OWN_ALERTS}"'
    since = f'ALERTS_FOR_STATE{{alertname=~"Wolkvox.+", {own}}}'
    here = f"max by (job, instance, version) ({q.raw('exporter_build_info')})"
    started, memory = (
        f"max by (job, instance) (process_{name}{{{q.JOB}}})"
        for name in ("start_time_seconds", "resident_memory_bytes")
    )
    loaded, writable = (
        f"max by (job, instance) ({q.raw(f'exporter_{name}')})"
        for name in ("config_last_reload_successful", "storage_writable")
    )
    return [
        number(
            described("Exporters up", (0, 0, 4, 4)),
            Query(f"count({up} == 1) / count({up})", "Up"),
            steps=((None, BAD), (1, GOOD)),
        ),
        number(
            described("Stale queries", (0, 4, 4, 4)),
            Query(f"count({_STALE}) or 0 * count({up})", "Stale"),
            steps=((None, GOOD), (1, BAD)),
        ),
        grid(
            described("Exporters", (4, 0, 10, 8)),
            Query(f"{here} or max by (job, instance) ({up} == 0)"),
            Query(f"time() - {started}"),
            Query(memory),
            Query(f"1 - {loaded} + on (job, instance) 2 * (1 - {writable})"),
            columns=[
                column("instance", "Exporter"),
                column("version", "Version", width=80),
                _words("Value #A", "Running", _1=("yes", GOOD), _0=("no", BAD)),
                column("Value #B", "Uptime", "s", decimals=0, width=90),
                column("Value #C", "Memory", "bytes", decimals=0, width=90),
                _words(
                    "Value #D",
                    "State",
                    _0=("OK", GOOD),
                    _1=("reload failed", WARN),
                    _2=("cannot write", BAD),
                    _3=("cannot write, reload failed", BAD),
                ),
            ],
            drop=("Time", "job"),
        ),
        figures.firing(
            (14, 0, 10, 8),
            f"{since} * 1000 and ignoring (alertstate) ALERTS{{{q.ALERT}, {own}}}",
        ),
    ]


def _words(field: str, heading: str, **words: tuple[str, str]) -> Any:
    """A column whose values are said in words."""
    return column(field, heading, mappings=[value_map(**words)])


def _operations() -> list[Any]:
    def most(name: str, by: str = "operation", more: str = "") -> str:
        return f"max by ({by}) ({q.raw(name, q.OPERATION + more)})"

    quota, token = (
        most("paused", more=f', reason="{reason}"') for reason in ("quota", "unauthorized")
    )
    used = q.raw("daily_requests_used", q.OPERATION)
    # Over midnight the count falls and a line through it says nothing.
    ahead = f"predict_linear({used}[1h], 4 * 3600) and resets({used}[1h]) == 0"
    return [
        grid(
            described("Operations", (0, 8, 12, 7)),
            Query(most("operation_info", "operation, server, timezone")),
            Query(f"1 - {most('poll_open')} + 2 * {quota} + 4 * {token}"),
            Query(most("token_available")),
            columns=[
                column("operation", "Operation"),
                column("server", "Server", width=90),
                column("timezone", "Time zone"),
                _words(
                    "Value #B",
                    "State",
                    _0=("polls", GOOD),
                    _1=("outside its hours", MUTED),
                    **dict.fromkeys(("_2", "_3"), ("no requests left", BAD)),
                    **dict.fromkeys(("_4", "_5", "_6", "_7"), ("token refused", BAD)),
                ),
                column("Value #C", "Left", "none", decimals=0, width=90),
            ],
            drop=("Time", "Value #A"),
        ),
        lines(
            described("Requests of the day and the ceiling", (12, 8, 12, 7)),
            Query(most("daily_requests_used"), "{{operation}}"),
            Query(f"max by (operation) ({ahead})", "{{operation}} in 4 h"),
            Query(most("daily_requests_limit"), "Ceiling {{operation}}"),
            fixes=(dashed("C", BAD),),
        ),
    ]


def _queries() -> list[Any]:
    up = q.raw("up", q.QUERY)
    return [
        grid(
            described("Queries in trouble", (0, 15, 12, 7)),
            Query(f"{_AGE} and ({_FAILURES} > 0 or {_STALE})"),
            Query(f"{_FAILURES} > 0 or {_FAILURES} and {_STALE}"),
            columns=[
                column("operation", "Operation"),
                column("skill", "Skill"),
                column("skill_id", "Id", width=80),
                column("Value #A", "Age of the data", "s", decimals=0),
                column("Value #B", "Failures in a row", "none", decimals=0),
            ],
            sort="Age of the data",
        ),
        states(
            described("Queries that failed", (12, 15, 12, 7)),
            Query(f"max by ({EACH_QUERY}) ({up}) == 0", "{{operation}} · {{skill}}"),
            mappings=[value_map(_0=("failed", BAD))],
        ),
    ]


def _requests() -> list[Any]:
    failures = q.raw("api_request_failures_total", q.OPERATION)
    reasons = f"3600 * sum by (operation, reason) (rate({failures}[$__rate_interval]))"
    seconds = q.raw("api_request_duration_seconds_bucket", q.OPERATION)
    slow = f"histogram_quantile(0.95, sum by (operation, le) (rate({seconds}[1h])))"
    lag = f"max by (operation) ({q.raw('poll_lag_seconds', q.OPERATION)})"
    uncounted = " + ".join(
        f"sum by (operation) (increase({q.raw(name, q.OPERATION)}[1h]))"
        for name in ("parse_errors_total", "series_dropped_total", "held_answers_total")
    )
    return [
        columns(
            described("Failures an hour by reason", (0, 22, 6, 7)),
            Query(q.if_any(reasons, "operation"), "{{operation}} {{reason}}"),
        ),
        _curve("Lag of the polls", 6, lag),
        _curve("API latency", 12, slow),
        _curve("What could not be counted", 18, uncounted),
    ]


def _curve(title: str, x: int, expr: str) -> Any:
    """A curve for each operation in the last row."""
    return lines(described(title, (x, 22, 6, 7)), Query(expr, "{{operation}}"))
