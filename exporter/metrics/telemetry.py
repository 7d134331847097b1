"""The exporter's metrics about one operation and about itself; told by the poll loops.

Numbers are kept here; those that changed are rendered at the next scrape. Nothing here asks
or waits.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate

from exporter.config.hours import OpenHours
from exporter.errors import Reason
from exporter.metrics.exposition import Exposition, Scoped
from exporter.metrics.families import BY_NAME
from exporter.metrics.query import PARTS, QueryRenderer
from exporter.metrics.render import Block
from exporter.polling.status import Timing
from exporter.state.models import QueryKey, QueryStatus, Snapshot
from exporter.wolkvox.columns import FIELDS
from exporter.wolkvox.information import TokenInfo
from exporter.wolkvox.report import SkillReport

DURATION_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_HOURS = "#hours"  # the scope that follows the clock; skill ids are digits or `all`
PAUSE_REASONS = (Reason.QUOTA, Reason.UNAUTHORIZED)


class _Durations:
    """A histogram of one report's requests; the last slot is `+Inf`."""

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(DURATION_BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        names = [*(str(bound) for bound in DURATION_BOUNDS), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class OperationTelemetry:
    """Implements `polling.status.Observer` for one operation: counts, and shows it.

    Nothing is shown before `configure`; afterwards each report in use has every failure
    reason from the start with 0.
    """

    def __init__(
        self,
        name: str,
        page: Exposition,
        snapshot: Snapshot,
    ) -> None:
        self._name = name
        self._page = page
        self._snapshot = snapshot
        self._requests: dict[str, int] = {}
        self._failures: dict[tuple[str, Reason], int] = {}
        self._durations: dict[str, _Durations] = {}
        self._unreadable = dict.fromkeys(FIELDS, 0)
        self._dropped = 0
        self._held = 0
        self._timing: Timing | None = None
        self._paused: Reason | None = None
        self._budget: tuple[int, int | None] = (0, None)
        self._token: TokenInfo | None = None
        self._reports: tuple[str, ...] = ()
        self._info: dict[str, str] = {}
        self._renderer: QueryRenderer | None = None
        self._lines: dict[str, bytes] = {}
        self._pending: dict[Callable[[], Iterable[Block]], None] = {}

    def configure(
        self,
        info: Mapping[str, str],
        reports: tuple[str, ...],
        renderer: QueryRenderer,
        hours: OpenHours,
    ) -> None:
        """Take over a changed configuration; counters of reports in use go on."""
        self._info, self._renderer = dict(info), renderer
        for report in reports:
            self._requests.setdefault(report, 0)
            self._durations.setdefault(report, _Durations())
            for reason in Reason:
                self._failures.setdefault((report, reason), 0)
        self._reports = reports
        if "token_info" not in reports:
            self._token = None
        self._lines.clear()
        self._changed(
            self._show_info,
            self._show_requests,
            self._show_failures,
            self._show_durations,
            self._show_reading,
            self._show_paused,
            self._show_timing,
            self._show_budget,
            self._show_token,
        )
        # Judged at the first scrape: nothing here knows the time.
        renew = partial(_poll_open, self._name, hours)
        self._page.put((self._name, _HOURS), Scoped({}, 0.0, renew))

    def publish(self, status: QueryStatus) -> None:
        """Render a query's new status and swap it in."""
        self._snapshot.publish(status)
        if self._renderer is not None:
            for scope, shown in self._renderer.scopes(status):
                self._page.put(scope, shown)

    def forget(self, key: QueryKey) -> None:
        """Drop a query's series and status."""
        self._snapshot.forget(key)
        if self._renderer is not None:
            self._renderer.forget(key.skill_id)
        for part in PARTS:
            self._page.drop((key.operation, key.skill_id, part))

    def retain(self, skill_ids: Collection[str]) -> None:
        """Drop the queries that are not among these."""
        for key in self.queries():
            if key.skill_id not in skill_ids:
                self.forget(key)

    def queries(self) -> list[QueryKey]:
        """The queries that are shown."""
        return [status.key for status in self._snapshot if status.key.operation == self._name]

    def end(self) -> None:
        """Drop everything of an operation that the configuration no longer names."""
        self.retain(())
        self._page.drop((self._name,))
        self._page.drop((self._name, _HOURS))

    def requested(self, report: str) -> None:
        """Count a request that leaves."""
        self._requests[report] += 1
        self._changed(self._show_requests)

    def answered(self, report: str, seconds: float, reason: Reason | None) -> None:
        """Count how it ended and how long it took."""
        self._durations[report].observe(seconds)
        self._changed(self._show_durations)
        if reason is not None:
            self.refused(report, reason)

    def refused(self, report: str, reason: Reason) -> None:
        """Count a failure for which nothing was sent."""
        self._failures[report, reason] += 1
        self._changed(self._show_failures)

    def read(self, report: SkillReport, held: int) -> None:
        """Count what could not be read, and the rows that were dropped and held back."""
        for error in report.errors:
            self._unreadable[error.field] = self._unreadable.get(error.field, 0) + 1
        self._dropped += report.dropped
        self._held += held
        if report.errors or report.dropped or held:
            self._changed(self._show_reading)

    def timing(self, timing: Timing) -> None:
        """Take over the interval in force, the cycle and the lag."""
        self._timing = timing
        self._changed(self._show_timing)

    def paused(self, reason: Reason | None) -> None:
        """Show why the operation waits, if it does."""
        if reason is not self._paused:
            self._paused = reason
            self._changed(self._show_paused)

    def budget(self, used: int, limit: int | None) -> None:
        """Take over the calls of the day."""
        self._budget = (used, limit)
        self._changed(self._show_budget)

    def token_info(self, info: TokenInfo | None) -> None:
        """Take over what the platform says of the token, or forget it."""
        self._token = info
        self._changed(self._show_token)

    # Rendering: at a scrape, and only the families that changed ----------------------------

    def _changed(self, *show: Callable[[], Iterable[Block]]) -> None:
        """Have families rendered at the next scrape: a poll changes some of them twice."""
        self._pending.update(dict.fromkeys(show))
        self._page.put_later((self._name,), self._rendered)

    def _rendered(self) -> Scoped:
        for show in self._pending:
            for block in show():
                lines = block.lines()
                if lines:
                    self._lines[block.family.name] = lines
                else:
                    self._lines.pop(block.family.name, None)
        self._pending.clear()
        return Scoped(dict(self._lines))

    def _show_info(self) -> Iterable[Block]:
        block = Block(BY_NAME["wolkvox_operation_info"])
        own = {key: self._info[key] for key in ("server", "timezone")}
        more = {key: value for key, value in self._info.items() if key not in own}
        block.add_info((self._name, own["server"], own["timezone"]), more)
        return (block,)

    def _show_requests(self) -> Iterable[Block]:
        block = Block(BY_NAME["wolkvox_api_requests_total"])
        for report in self._reports:
            block.add((self._name, report), self._requests[report])
        return (block,)

    def _show_failures(self) -> Iterable[Block]:
        block = Block(BY_NAME["wolkvox_api_request_failures_total"])
        for report in self._reports:
            for reason in Reason:
                block.add((self._name, report, reason), self._failures[report, reason])
        return (block,)

    def _show_durations(self) -> Iterable[Block]:
        block = Block(BY_NAME["wolkvox_api_request_duration_seconds"])
        for report in self._reports:
            observed = self._durations[report]
            block.add_histogram((self._name, report), observed.buckets(), observed.total)
        return (block,)

    def _show_reading(self) -> Iterable[Block]:
        unreadable = Block(BY_NAME["wolkvox_parse_errors_total"])
        for field, count in self._unreadable.items():
            unreadable.add((self._name, field), count)
        dropped = Block(BY_NAME["wolkvox_series_dropped_total"])
        dropped.add((self._name,), self._dropped)
        held = Block(BY_NAME["wolkvox_held_answers_total"])
        held.add((self._name,), self._held)
        return unreadable, dropped, held

    def _show_paused(self) -> Iterable[Block]:
        block = Block(BY_NAME["wolkvox_paused"])
        for reason in PAUSE_REASONS:
            block.add((self._name, reason), float(reason is self._paused))
        return (block,)

    def _show_timing(self) -> Iterable[Block]:
        timing = self._timing
        return self._gauges(
            ("poll_interval_seconds", timing.interval if timing else None),
            ("poll_cycle_seconds", timing.cycle if timing else None),
            ("poll_lag_seconds", timing.lag if timing else None),
        )

    def _show_budget(self) -> Iterable[Block]:
        used, limit = self._budget
        return self._gauges(("daily_requests_used", used), ("daily_requests_limit", limit))

    def _show_token(self) -> Iterable[Block]:
        token = self._token
        return self._gauges(
            ("token_limit", token.limit if token else None),
            ("token_used_today", token.used if token else None),
            ("token_used_today_all_tokens", token.used_all if token else None),
            ("token_available", token.available if token else None),
        )

    def _gauges(self, *values: tuple[str, float | None]) -> Iterator[Block]:
        for name, value in values:
            block = Block(BY_NAME[f"wolkvox_{name}"])
            if value is not None:
                block.add((self._name,), value)
            yield block


def _poll_open(name: str, hours: OpenHours, now: float) -> Scoped:
    is_open, until = hours.state(now)
    block = Block(BY_NAME["wolkvox_poll_open"])
    block.add((name,), float(is_open))
    lines = {block.family.name: block.lines()}
    return Scoped(lines, until, partial(_poll_open, name, hours))
