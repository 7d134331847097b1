"""The table of every metric: name, type, labels, help, source; holds no values.

`docs/metrics.md` is generated from it, the exposition takes its order and its HELP lines
from it, and a sample whose family does not stand here cannot be rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from exporter.wolkvox.columns import COLUMNS, Column, Kind

OPERATION = ("operation",)
QUERY = ("operation", "skill_id", "skill")
PAIR = (*QUERY, "type_interaction")
WINDOW = (*PAIR, "window")
REPORT = ("operation", "report")

_POLLED = "From a poll every interval (wolkvox_poll_interval_seconds), not from the scrape."
_DAY = f"Total of the window: today so far, yesterday, the month to the end of yesterday, or last_month. {_POLLED}"
_NO_SUM = "Never add skill_id all to single skills."
_WINDOWS = "Figures of the day and the month"
_DAYS, _SLA, _STATE = "Counters over the days", "Targets", "State of the polling"
_API, _SELF = "Requests to the API", "The exporter"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family as it is documented.

    `name` is the name in the text format, `_total` of counters included; `source` says for
    the reference page where the value comes from; `group` is its heading there.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    source: str
    group: str

    @property
    def base(self) -> str:
        """The name without `_total`, as OpenMetrics and prometheus_client call a counter."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


def _skill(columns: Sequence[Column]) -> Family:
    """The gauge of one column, or of several that differ in their threshold."""
    first = columns[0]
    names = ", ".join(column.field for column in columns)
    more = f" {_NO_SUM}" if first.kind is Kind.COUNT else ""
    return Family(
        first.family,
        "gauge",
        WINDOW if first.within is None else (*WINDOW, "threshold_seconds"),
        f"{first.help} (skill_11 field {names}).{more} {_DAY}",
        ", ".join(f"`{column.field}`" for column in columns),
        _WINDOWS,
    )


def _own(name: str, kind: str, labels: tuple[str, ...], text: str, group: str) -> Family:
    return Family(f"wolkvox_{name}", kind, labels, text, "the exporter itself", group)


SKILL_FAMILIES = tuple(_skill([*same]) for _, same in groupby(COLUMNS, attrgetter("family")))

WINDOW_END = Family("wolkvox_skill_window_end_timestamp_seconds", "gauge", (*QUERY, "window"), "Midnight that ends what window yesterday, month or last_month covers, as a Unix time.", "the window of the request", _WINDOWS)  # fmt: skip

COUNTER_FAMILIES = (
    Family("wolkvox_skill_offered_interactions_total", "counter", PAIR, f"Interactions that came in (skill_11 field inbound_calls), accumulated over the days from the differences between polls. {_NO_SUM} {_POLLED}", "`inbound_calls`, accumulated", _DAYS),
    Family("wolkvox_skill_answer_wait_seconds", "histogram", PAIR, f"Wait of the answered interactions: buckets from service_level_10/20/30seg x inbound_calls, count from answer_calls, sum from asa x answer_calls. The service level is a bucket over wolkvox_skill_offered_interactions_total, not over _count. {_POLLED}", "buckets: `service_level_NNseg` x `inbound_calls`; count: `answer_calls`; sum: `asa` x `answer_calls`", _DAYS),
    Family("wolkvox_skill_abandon_wait_seconds", "summary", PAIR, f"Wait of the abandoned interactions: count from abandon_calls, sum from ata x abandon_calls. {_POLLED}", "count: `abandon_calls`; sum: `ata` x `abandon_calls`", _DAYS),
)  # fmt: skip


def _sla(name: str, labels: tuple[str, ...], text: str, key: str) -> Family:
    whole = f"{text}, from the configuration, for each skill and channel that has data."
    return Family(f"wolkvox_sla_{name}", "gauge", labels, whole, f"the key `{key}`", _SLA)


SLA_FAMILIES = (
    _sla("service_level_target_ratio", (*PAIR, "threshold_seconds"), "Least share of the inbound interactions to be answered within threshold_seconds, 0 to 1", "sla.service_level"),
    _sla("abandonment_limit_ratio", PAIR, "Largest share of the inbound interactions that may be abandoned, 0 to 1", "sla.abandonment"),
    _sla("asa_limit_seconds", PAIR, "Longest average speed of answer in seconds", "sla.asa"),
    _sla("min_interactions", PAIR, "Interactions in 30 minutes below which no alert on a ratio fires", "sla.min_interactions"),
    _sla("open", PAIR, "1 in the opening hours of the target in the operation's time zone, else 0, judged at the scrape; 1 without hours", "sla.hours"),
)  # fmt: skip

QUERY_FAMILIES = (
    _own("up", "gauge", QUERY, "1 if the last attempt of the query succeeded (no rows is a success), else 0.", _STATE),
    _own("last_attempt_timestamp_seconds", "gauge", QUERY, "Start of the query's last attempt, as a Unix time.", _STATE),
    _own("last_success_timestamp_seconds", "gauge", QUERY, "Moment at which the query's last good answer was whole, as a Unix time.", _STATE),
    _own("query_interval_seconds", "gauge", QUERY, "Interval in force between two attempts of the query: as configured, or stretched as wolkvox_poll_interval_seconds is.", _STATE),
    _own("consecutive_failures", "gauge", QUERY, "Failed attempts of the query since its last success.", _STATE),
)  # fmt: skip

OPERATION_FAMILIES = (
    Family("wolkvox_operation_info", "gauge", (*OPERATION, "server", "timezone", "team"), "Always 1; the labels tell the operation's server, its time zone, its team (empty where none is given) and the configured labels.", "the configuration", _STATE),
    _own("poll_interval_seconds", "gauge", OPERATION, "Interval in force between two attempts of one query: as configured, or longer where daily_requests asks for it or the requests on a token take longer than the interval.", _STATE),
    _own("poll_cycle_seconds", "gauge", OPERATION, "Time from the first to the last attempt of the last whole round of queries.", _STATE),
    _own("poll_lag_seconds", "gauge", OPERATION, "How late the last attempt was against its slot.", _STATE),
    _own("poll_open", "gauge", OPERATION, "1 while poll_hours allow polling, else 0, judged at the scrape; 1 without poll_hours.", _STATE),
    _own("operation_utc_offset_seconds", "gauge", OPERATION, "Seconds by which the operation's clocks are ahead of UTC just now, judged at the scrape.", _STATE),
    _own("paused", "gauge", (*OPERATION, "reason"), "1 while the operation waits because its daily quota is used up or its token is refused, else 0.", _STATE),
    _own("api_requests_total", "counter", REPORT, "Requests sent to the API, connections that were never made included.", _API),
    _own("api_request_failures_total", "counter", (*REPORT, "reason"), "Requests to the API that gave no answer, by reason.", _API),
    _own("api_request_duration_seconds", "histogram", REPORT, "Duration of the requests to the API, failed ones included.", _API),
    _own("daily_requests_used", "gauge", OPERATION, "Requests of the day in the operation's time zone by the exporter's own count, which survives restarts.", _API),
    _own("daily_requests_limit", "gauge", OPERATION, "Ceiling of requests a day, where daily_requests is configured.", _API),
    Family("wolkvox_token_limit", "gauge", OPERATION, "Requests a day that the platform grants the token (token_info field token_limit), asked once an hour where enabled.", "`token_limit`", _API),
    Family("wolkvox_token_used_today", "gauge", OPERATION, "Requests of the token today by the platform's count (token_info field token_use_today).", "`token_use_today`", _API),
    Family("wolkvox_token_used_today_all_tokens", "gauge", OPERATION, "Requests of all tokens of the operation today by the platform's count (token_info field all_token_today).", "`all_token_today`", _API),
    Family("wolkvox_token_available", "gauge", OPERATION, "Requests left to the token today by the platform's count (token_info field available_consumption_options).", "`available_consumption_options`", _API),
    _own("parse_errors_total", "counter", (*OPERATION, "field"), "Fields of answers that could not be read and were left out.", _API),
    _own("series_dropped_total", "counter", OPERATION, "Rows of answers beyond 64 channels a query, or with a channel name over 128 characters.", _API),
    _own("held_answers_total", "counter", OPERATION, "Rows of answers below what was counted already, held back until the next answer tells a correction of Wolkvox from a glitch.", _API),
)  # fmt: skip

EXPORTER_FAMILIES = (
    _own("exporter_storage_writable", "gauge", (), "1 if the state can be written, else 0; while it is 0 no request leaves.", _SELF),
    _own("exporter_tls_handshake_failures_total", "counter", (), "TLS handshakes with the exporter's own server that failed: refused, broken off or not finished in time; each has a log line of level debug.", _SELF),
    _own("exporter_log_lines_dropped_total", "counter", (), "Log lines that were dropped because standard error did not take them.", _SELF),
    _own("exporter_build_info", "gauge", ("version", "revision", "python_version"), "Always 1; the labels tell what is running.", _SELF),
    _own("exporter_shard_index", "gauge", (), "Which shard this exporter is, from 0 (--shard.index).", _SELF),
    _own("exporter_shards", "gauge", (), "Among how many exporters the operations are divided (--shard.total); 1 where they are not.", _SELF),
    _own("exporter_config_last_reload_successful", "gauge", (), "1 if the last attempt to load the configuration succeeded, else 0.", _SELF),
    _own("exporter_config_last_reload_success_timestamp_seconds", "gauge", (), "When the configuration was last loaded successfully, as a Unix time.", _SELF),
)  # fmt: skip

TABLE = (*SKILL_FAMILIES, WINDOW_END, *COUNTER_FAMILIES, *SLA_FAMILIES, *QUERY_FAMILIES, *OPERATION_FAMILIES, *EXPORTER_FAMILIES)  # fmt: skip
