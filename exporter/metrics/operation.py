"""The exporter's metrics about one operation: what its poll loop counts and reports.

Numbers are kept here and rendered at the next scrape: a poll changes some of them twice.
Results are rendered when they come.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate

from exporter.config import Operation
from exporter.config.hours import OpenHours
from exporter.errors import Reason
from exporter.metrics.page import Block, MetricsPage, encoded, labels, line
from exporter.metrics.query import PARTS, QueryRenderer
from exporter.metrics.sla import Targets
from exporter.polling.limits import PAUSING
from exporter.polling.request import SKILL_11, SKILLS, TOKEN_INFO
from exporter.state.counters import remember
from exporter.state.models import QueryKey, QueryStatus
from exporter.wolkvox.columns import FIELDS
from exporter.wolkvox.report import TOKEN_COUNTS, FieldError

DURATION_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUNDS = (*(str(bound) for bound in DURATION_BOUNDS), "+Inf")
_HOURS = "#hours"  # the scope that follows the clock; skill ids are digits or `all`
_REQUESTS, _FAILURES = "api_requests_total", "api_request_failures_total"
_DURATION = "api_request_duration_seconds"


@dataclass(slots=True)
class _Requests:
    """The requests of one report; `durations` counts them by bucket, the last is `+Inf`."""

    sent: int = 0
    failed: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    durations: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))
    seconds: float = 0.0


class OperationTelemetry:
    """Counts and shows what an operation's poll loop reports; nothing before `configure`."""

    def __init__(
        self, name: str, page: MetricsPage, snapshot: dict[QueryKey, QueryStatus]
    ) -> None:
        self._name, self._page, self._snapshot = name, page, snapshot
        self._label = labels({"operation": name})
        self._requests: dict[str, _Requests] = {}
        self._unreadable = Counter(dict.fromkeys(FIELDS, 0))
        self._rows = Counter(series_dropped_total=0, held_answers_total=0)
        self._values: dict[str, float | None] = {"daily_requests_used": 0}
        self._paused: Reason | None = None
        self._reports: tuple[str, ...] = ()
        self._info = ""
        self._renderer: QueryRenderer | None = None
        # Rendered at the next scrape.
        self._changed = partial(page.stale.update, {(name,): self._block})

    def configure(self, operation: Operation, targets: Targets) -> None:
        """Take over a changed configuration; counters of reports in use go on."""
        zone = operation.timezone
        own = {"operation": self._name, "server": operation.server, "timezone": str(zone)}
        # The exporter's own labels go above the user's.
        self._info = labels({**operation.labels, **own, "team": operation.team or ""})
        self._renderer = QueryRenderer(zone, targets, operation.month)
        optional = {TOKEN_INFO: operation.token_info, SKILLS: operation.discover}
        self._reports = (SKILL_11, *(report for report, used in optional.items() if used))
        for report in self._reports:
            self._requests.setdefault(report, _Requests())
        if operation.token_info:
            self._unreadable.update(dict.fromkeys(TOKEN_COUNTS.values(), 0))
        else:
            self.show(**dict.fromkeys(TOKEN_COUNTS))
        self._changed()
        clock = self._clock(OpenHours(operation.poll_hours, zone), self._page.epoch())
        self._page.put((self._name, _HOURS), clock)

    def publish(self, status: QueryStatus, now: float) -> None:
        """Render a query's new status, as it is shown from epoch `now` on, and swap it in."""
        before, memory = self._snapshot.get(status.key), status.memory
        recent = before.recent if before else ()
        anew = before is None or not memory.failures
        if anew and memory.last_success_at and memory.ledger:
            interval = status.interval or 0.0
            recent = remember(recent, memory.last_success_at, memory.ledger, interval)
        status = self._snapshot[status.key] = replace(status, recent=recent)
        if self._renderer is not None:
            for scope, block in self._renderer.blocks(status, now).items():
                self._page.put(scope, block)

    def forget(self, key: QueryKey) -> None:
        """Drop a query's series and status."""
        self._snapshot.pop(key, None)
        for part in PARTS:
            self._page.drop((key.operation, key.skill_id, part))

    def retain(self, skill_ids: Collection[str]) -> None:
        """Drop the queries that are not among these."""
        for key in [*self._snapshot]:
            if key.operation == self._name and key.skill_id not in skill_ids:
                self.forget(key)

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

    def read(self, errors: Sequence[FieldError], dropped: int, held: int) -> None:
        """Count what could not be read, and the rows that were dropped and held back."""
        self._unreadable.update(error.field for error in errors)
        self._rows.update(series_dropped_total=dropped, held_answers_total=held)
        self._changed()

    def show(self, **values: float | None) -> None:
        """Take over gauges by their names; None: there is none."""
        self._values |= values
        self._changed()

    def paused(self, reason: Reason | None) -> None:
        """Show why the operation waits, if it does."""
        self._paused = reason
        self._changed()

    # Rendering, at a scrape ----------------------------------------------------------------

    def _block(self) -> Block:
        own, values = self._label, self._values | self._rows
        samples = [(name, own, value) for name, value in values.items()]
        samples.append(("operation_info", self._info, 1))
        for reason in PAUSING:
            samples.append(("paused", f'{own},reason="{reason}"', reason is self._paused))
        for name, count in self._unreadable.items():
            samples.append(("parse_errors_total", f'field="{name}",{own}', count))
        for report in self._reports:
            one, of = self._requests[report], f'report="{report}"'
            samples.append((_REQUESTS, f"{own},{of}", one.sent))
            for failure, count in one.failed.items():
                samples.append((_FAILURES, f'{own},reason="{failure}",{of}', count))
            for bound, count in zip(_BOUNDS, accumulate(one.durations), strict=True):
                samples.append((f"{_DURATION}_bucket", f'le="{bound}",{own},{of}', count))
            samples.append((f"{_DURATION}_count", f"{own},{of}", sum(one.durations)))
            samples.append((f"{_DURATION}_sum", f"{own},{of}", one.seconds))
        lines = defaultdict[str, str](str)
        for name, within, value in samples:
            if value is not None:
                family = _DURATION if name.startswith(_DURATION) else name
                lines[f"wolkvox_{family}"] += line(f"wolkvox_{name}", within, value)
        return Block(encoded(lines))

    def _clock(self, hours: OpenHours, now: float) -> Block:
        """What changes with the time alone; clocks are put back and forward at quarters."""
        is_open, until = hours.state(now)
        offset = datetime.fromtimestamp(now, hours.zone).utcoffset() or timedelta()
        values = {
            "wolkvox_poll_open": is_open,
            "wolkvox_operation_utc_offset_seconds": offset.total_seconds(),
        }
        lines = {name: line(name, self._label, value) for name, value in values.items()}
        quarter = now - now % 900 + 900
        until = quarter if until is None else min(until, quarter)
        return Block(encoded(lines), until, now, partial(self._clock, hours))
