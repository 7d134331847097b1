"""The board of the exporter itself: whether the figures can be trusted, and what they cost."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import figures
from scripts.dashboards import queries as q
from scripts.dashboards.boards import Board
from scripts.dashboards.exporter_health import checks, process
from scripts.dashboards.parts import (
    BAD,
    GOOD,
    WARN,
    About,
    Query,
    columns,
    dashed,
    fixed,
    label,
    lines,
    number,
    plain,
    states,
    value_map,
)
from scripts.dashboards.tables import column, grid

RATE = "$__rate_interval"
YES_NO = value_map(_1=("yes", GOOD), _0=("no", BAD))
OK_FAILED = value_map(_1=("OK", GOOD), _0=("failed", BAD))
EACH_QUERY = "operation, skill, skill_id"


def exporter() -> Board:
    """The board `wolkvox-exporter`."""
    return Board(
        name="exporter",
        title="Wolkvox · Exporter",
        description="Whether the figures can be trusted: polling, requests, budget, process.",
        panels=[*_stats(), *_polling(), *_calls(), *_timing(), *process(), *checks()],
        by_skill=False,
    )


def _stats() -> list[Any]:
    up = f"count(up{{{q.JOB}}} == 1) / count(up{{{q.JOB}}})"
    polled = f"avg({q.once(f'wolkvox_up{{{q.QUERY}}}')})"
    part = ((None, BAD), (1, GOOD))
    return [
        number(
            About(
                "Exporters up",
                "Exporters that Prometheus could scrape last time, of those it knows.",
                (0, 0, 3, 4),
                "percentunit",
                0,
            ),
            Query(up, "Up"),
            steps=part,
        ),
        number(
            About(
                "Queries answered",
                "Queries whose last attempt succeeded, of those configured.",
                (3, 0, 4, 4),
                "percentunit",
                0,
            ),
            Query(polled, "Answered"),
            steps=((None, BAD), (0.5, WARN), (1, GOOD)),
        ),
        figures.data_age((7, 0, 4, 4)),
        label(
            About("Version", "Version and revision that run.", (11, 0, 4, 4)),
            Query(
                f"count by (version, revision) ({q.raw('exporter_build_info')})",
                "{{version}} {{revision}}",
            ),
        ),
        number(
            About("Uptime", "Time since the last start of the process.", (15, 0, 3, 4), "s"),
            Query(f"min(time() - process_start_time_seconds{{{q.JOB}}})", "Uptime"),
        ),
        *_health(),
    ]


def _health() -> list[Any]:
    loaded = q.raw("exporter_config_last_reload_successful")
    return [
        number(
            About(
                "State can be written",
                "No: no request leaves, since the spacing of the polls could not be kept.",
                (18, 0, 3, 4),
            ),
            Query(f"min({q.raw('exporter_storage_writable')})", "Writable"),
            mappings=[YES_NO],
        ),
        number(
            About(
                "Configuration loaded",
                "No: the last reload failed and the configuration before it stays in force.",
                (21, 0, 3, 4),
            ),
            Query(f"min({loaded})", "Loaded"),
            mappings=[YES_NO],
        ),
    ]


def _polling() -> list[Any]:
    success = q.once(f"wolkvox_last_success_timestamp_seconds{{{q.QUERY}}}")
    attempt = q.once(f"wolkvox_last_attempt_timestamp_seconds{{{q.QUERY}}}")
    failures = q.once(f"wolkvox_consecutive_failures{{{q.QUERY}}}")
    up = q.once(f"wolkvox_up{{{q.QUERY}}}")
    return [
        states(
            About(
                "Last result of each query",
                "Green while the last attempt succeeded, red while it failed; a gap where "
                "Prometheus has no sample.",
                (0, 4, 12, 8),
            ),
            Query(f"max by ({EACH_QUERY}) ({up})", "{{operation}} · {{skill}}"),
            mappings=[OK_FAILED],
        ),
        grid(
            About(
                "Queries",
                "Each query: its last attempt, the age of its data, failures in a row.",
                (12, 4, 12, 8),
                "none",
            ),
            Query(f"max by ({EACH_QUERY}) ({up})"),
            Query(f"max by ({EACH_QUERY}) (time() - {success})"),
            Query(f"max by ({EACH_QUERY}) (time() - {attempt})"),
            Query(f"max by ({EACH_QUERY}) ({failures})"),
            columns=[
                column("operation", "Operation"),
                column("skill", "Skill"),
                column("skill_id", "Id"),
                column("Value #A", "Last result", mappings=plain(OK_FAILED)),
                column(
                    "Value #B",
                    "Age of the data",
                    "s",
                    decimals=0,
                    steps=((None, GOOD), (600, WARN), (900, BAD)),
                ),
                column("Value #C", "Last attempt", "s", decimals=0),
                column("Value #D", "Failures in a row", "none", decimals=0),
            ],
            sort="Age of the data",
        ),
    ]


def _calls() -> list[Any]:
    used = f"max by (operation) ({q.raw('daily_requests_used', q.OPERATION)})"
    limit = f"max by (operation) ({q.raw('daily_requests_limit', q.OPERATION)})"
    counted = q.raw("daily_requests_used", q.OPERATION)
    # Over midnight the count falls and a line through it says nothing.
    steady = f"predict_linear({counted}[1h], 4 * 3600) and resets({counted}[1h]) == 0"
    predicted = f"max by (operation) ({steady})"
    requests = _rate("api_requests_total", "operation, report")
    failed = _rate("api_request_failures_total", "operation, report")
    reasons = _rate("api_request_failures_total", "operation, reason")
    return [
        lines(
            About(
                "Requests of the day and the budget",
                "The exporter's own count since midnight, where it will be in four hours at "
                "this pace, and dashed the ceiling where one is configured.",
                (0, 12, 8, 8),
                "none",
            ),
            Query(used, "{{operation}}"),
            Query(predicted, "{{operation}} in 4 h"),
            Query(limit, "Budget {{operation}}"),
            fixes=(dashed("C", BAD),),
        ),
        columns(
            About(
                "API requests an hour by outcome",
                "Requests sent to the API, as a rate per hour: answered, and failed.",
                (8, 12, 8, 8),
                "none",
            ),
            Query(f"clamp_min({requests} - {failed}, 0)", "{{operation}} {{report}}: answered"),
            Query(failed, "{{operation}} {{report}}: failed"),
            fixes=(fixed("B", BAD),),
            interval="10m",
        ),
        columns(
            About(
                "Failures an hour by reason",
                "Failed requests by reason, as a rate per hour. `connect`: the address may not "
                "be on Wolkvox's allow list; `quota` and `unauthorized` pause the operation.",
                (16, 12, 8, 8),
                "none",
            ),
            Query(q.if_any(reasons, "operation"), "{{operation}} {{reason}}"),
            interval="10m",
        ),
    ]


def _rate(name: str, by: str) -> str:
    return f"3600 * sum by ({by}) (rate({q.raw(name, q.OPERATION)}[{RATE}]))"


def _timing() -> list[Any]:
    info = q.raw("operation_info", q.OPERATION)
    buckets = q.raw("api_request_duration_seconds_bucket", q.OPERATION)
    per_bucket = f"sum by (operation, le) (rate({buckets}[{RATE}]))"
    return [
        lines(
            About(
                "API latency",
                "How long requests took: half of them, and 95 % of them, were faster. Failed "
                "ones count.",
                (0, 20, 7, 8),
                "s",
            ),
            Query(f"histogram_quantile(0.5, {per_bucket})", "{{operation}} p50"),
            Query(f"histogram_quantile(0.95, {per_bucket})", "{{operation}} p95"),
            interval="30m",
        ),
        lines(
            About(
                "Poll interval, cycle and lag",
                "The interval in force, the time from the first to the last attempt of a "
                "round, and how late the last attempt was against its slot.",
                (7, 20, 7, 8),
                "s",
            ),
            *(
                Query(
                    f"max by (operation) ({q.raw(f'poll_{name}_seconds', q.OPERATION)})",
                    legend,
                )
                for name, legend in (
                    ("interval", "{{operation}} interval"),
                    ("cycle", "{{operation}} cycle"),
                    ("lag", "{{operation}} lag"),
                )
            ),
        ),
        grid(
            About(
                "Operations",
                "Each operation: server, time zone, whether it may poll now, why it is paused, "
                "and the day's requests by the platform's own count where `token_info` is on.",
                (14, 20, 10, 8),
                "none",
            ),
            Query(f"max by (operation, server, timezone) ({info})"),
            Query(f"max by (operation) ({q.raw('poll_open', q.OPERATION)})"),
            Query(f"sum by (operation) ({_paused()})"),
            *(Query(f"max by (operation) ({q.raw(name, q.OPERATION)})") for name in _TOKEN),
            columns=_operation_columns(),
            drop=("Time", "Value #A"),
        ),
    ]


_TOKEN = ("token_used_today", "token_used_today_all_tokens", "token_available", "token_limit")


def _paused() -> str:
    return f"max by (operation, reason) ({q.raw('paused', q.OPERATION)})"


def _operation_columns() -> list[Any]:
    paused = plain(value_map(_0=("no", GOOD), _1=("yes", BAD)))
    return [
        column("operation", "Operation"),
        column("server", "Server"),
        column("timezone", "Time zone"),
        column("Value #B", "May poll", mappings=plain(YES_NO)),
        column("Value #C", "Paused", mappings=paused),
        column("Value #D", "Token used", "none", decimals=0),
        column("Value #E", "All tokens used", "none", decimals=0),
        column("Value #F", "Left", "none", decimals=0),
        column("Value #G", "Token limit", "none", decimals=0),
    ]
