"""The exporter's metrics about one operation: what its poll loop counts and reports.

Numbers are kept here and rendered at the next scrape: a poll changes some of them twice.
Results are rendered when they come.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

from exporter.config.hours import OpenHours
from exporter.errors import Reason
from exporter.metrics.page import Block, MetricsPage
from exporter.metrics.query import PARTS, QueryRenderer
from exporter.metrics.render import labels, number
from exporter.polling.limits import PAUSING
from exporter.polling.status import Timing
from exporter.state.models import QueryKey, QueryStatus
from exporter.wolkvox.columns import FIELDS
from exporter.wolkvox.information import TokenInfo
from exporter.wolkvox.report import SkillReport

DURATION_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUNDS = (*(str(bound) for bound in DURATION_BOUNDS), "+Inf")
_HOURS = "#hours"  # the scope that follows the clock; skill ids are digits or `all`
_REQUESTS = "wolkvox_api_requests_total"
_FAILURES = "wolkvox_api_request_failures_total"
_DURATION = "wolkvox_api_request_duration_seconds"


@dataclass(slots=True)
class _Requests:
    """The requests of one report; `durations` counts them by bucket, the last is `+Inf`."""

    sent: int = 0
    failed: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    durations: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))
    seconds: float = 0.0


class OperationTelemetry:
    """Counts and shows what the poll loop of one operation reports; every call returns at once.

    Nothing is shown before `configure`; afterwards each report in use has every failure
    reason from the start with 0.
    """

    def __init__(
        self,
        name: str,
        page: MetricsPage,
        snapshot: dict[QueryKey, QueryStatus],
    ) -> None:
        self._name = name
        self._label = labels({"operation": name})
        self._page = page
        self._snapshot = snapshot
        self._requests: dict[str, _Requests] = {}
        self._unreadable = dict.fromkeys(FIELDS, 0)
        self._dropped = 0
        self._held = 0
        self._timing: Timing | None = None
        self._paused: Reason | None = None
        self._budget: tuple[int, int | None] = (0, None)
        self._token: TokenInfo | None = None
        self._reports: tuple[str, ...] = ()
        self._info = ""
        self._renderer: QueryRenderer | None = None

    def configure(
        self,
        info: Mapping[str, str],
        reports: tuple[str, ...],
        renderer: QueryRenderer,
        hours: OpenHours,
    ) -> None:
        """Take over a changed configuration; counters of reports in use go on."""
        self._info = labels({**info, "operation": self._name})
        self._renderer = renderer
        self._reports = reports
        for report in reports:
            self._requests.setdefault(report, _Requests())
        if "token_info" not in reports:
            self._token = None
        self._changed()
        self._page.put((self._name, _HOURS), self._poll_open(hours, self._page.epoch()))

    def publish(self, status: QueryStatus) -> None:
        """Render a query's new status and swap it in."""
        self._snapshot[status.key] = status
        if self._renderer is not None:
            for scope, block in self._renderer.blocks(status, self._page.epoch()).items():
                self._page.put(scope, block)

    def forget(self, key: QueryKey) -> None:
        """Drop a query's series and status."""
        self._snapshot.pop(key, None)
        for part in PARTS:
            self._page.drop((key.operation, key.skill_id, part))

    def retain(self, skill_ids: Collection[str]) -> None:
        """Drop the queries that are not among these."""
        for key in self.queries():
            if key.skill_id not in skill_ids:
                self.forget(key)

    def queries(self) -> list[QueryKey]:
        """The queries that are shown."""
        return [key for key in self._snapshot if key.operation == self._name]

    def end(self) -> None:
        """Drop everything of an operation that the configuration no longer names."""
        self.retain(())
        self._page.drop((self._name,))
        self._page.drop((self._name, _HOURS))

    def requested(self, report: str) -> None:
        """Count a request that leaves."""
        self._requests[report].sent += 1
        self._changed()

    def answered(self, report: str, seconds: float, reason: Reason | None) -> None:
        """Count how it ended and how long it took."""
        requests = self._requests[report]
        requests.durations[bisect.bisect_left(DURATION_BOUNDS, seconds)] += 1
        requests.seconds += seconds
        if reason is not None:
            requests.failed[reason] += 1
        self._changed()

    def refused(self, report: str, reason: Reason) -> None:
        """Count a failure for which nothing was sent."""
        self._requests[report].failed[reason] += 1
        self._changed()

    def read(self, report: SkillReport, held: int) -> None:
        """Count what could not be read, and the rows that were dropped and held back."""
        for error in report.errors:
            self._unreadable[error.field] = self._unreadable.get(error.field, 0) + 1
        self._dropped += report.dropped
        self._held += held
        self._changed()

    def timing(self, timing: Timing) -> None:
        """Take over the interval in force, the cycle and the lag."""
        self._timing = timing
        self._changed()

    def paused(self, reason: Reason | None) -> None:
        """Show why the operation waits, if it does."""
        self._paused = reason
        self._changed()

    def budget(self, used: int, limit: int | None) -> None:
        """Take over the calls of the day."""
        self._budget = (used, limit)
        self._changed()

    def token_info(self, info: TokenInfo | None) -> None:
        """Take over what the platform says of the token, or forget it."""
        self._token = info
        self._changed()

    # Rendering, at a scrape ----------------------------------------------------------------

    def _changed(self) -> None:
        if self._renderer is not None:
            self._page.mark_stale((self._name,), self._block)

    def _block(self) -> Block:
        lines = {
            name: f"{name}{{{self._label}}} {number(value)}\n"
            for name, value in self._values().items()
            if value is not None
        }
        lines["wolkvox_operation_info"] = f"wolkvox_operation_info{{{self._info}}} 1.0\n"
        lines["wolkvox_paused"] = "".join(
            f'wolkvox_paused{{{self._label},reason="{one}"}} {number(one is self._paused)}\n'
            for one in PAUSING
        )
        lines["wolkvox_parse_errors_total"] = "".join(
            f'wolkvox_parse_errors_total{{field="{name}",{self._label}}} {number(count)}\n'
            for name, count in self._unreadable.items()
        )
        return Block(lines | self._request_lines())

    def _values(self) -> dict[str, float | None]:
        """The metrics with no further label; None: not known, or not in use."""
        used, limit = self._budget
        values: dict[str, float | None] = {
            "wolkvox_daily_requests_used": used,
            "wolkvox_daily_requests_limit": limit,
            "wolkvox_series_dropped_total": self._dropped,
            "wolkvox_held_answers_total": self._held,
        }
        if timing := self._timing:
            values |= {
                "wolkvox_poll_interval_seconds": timing.interval,
                "wolkvox_poll_cycle_seconds": timing.cycle,
                "wolkvox_poll_lag_seconds": timing.lag,
            }
        if token := self._token:
            values |= {
                "wolkvox_token_limit": token.limit,
                "wolkvox_token_used_today": token.used,
                "wolkvox_token_used_today_all_tokens": token.used_all,
                "wolkvox_token_available": token.available,
            }
        return values

    def _request_lines(self) -> dict[str, str]:
        sent, failures, durations = [], [], []
        for report in self._reports:
            one = self._requests[report]
            own, label = self._label, f'{self._label},report="{report}"'
            sent.append(f"{_REQUESTS}{{{label}}} {number(one.sent)}\n")
            failures += [
                f'{_FAILURES}{{{own},reason="{reason}",report="{report}"}} {number(count)}\n'
                for reason, count in one.failed.items()
            ]
            durations += [
                f'{_DURATION}_bucket{{le="{bound}",{label}}} {number(count)}\n'
                for bound, count in zip(_BOUNDS, accumulate(one.durations), strict=True)
            ]
            durations += [
                f"{_DURATION}_count{{{label}}} {number(sum(one.durations))}\n",
                f"{_DURATION}_sum{{{label}}} {number(one.seconds)}\n",
            ]
        return {
            _REQUESTS: "".join(sent),
            _FAILURES: "".join(failures),
            _DURATION: "".join(durations),
        }

    def _poll_open(self, hours: OpenHours, now: float) -> Block:
        is_open, until = hours.state(now)
        line = f"wolkvox_poll_open{{{self._label}}} {number(is_open)}\n"
        renew = partial(self._poll_open, hours)
        until = math.inf if until is None else until
        return Block({"wolkvox_poll_open": line}, until, now, renew)
