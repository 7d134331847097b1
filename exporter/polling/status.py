"""What a poll loop shows and logs: metrics at each step, a line at each change of state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import date
from typing import TYPE_CHECKING

from exporter.config import Operation
from exporter.config.hours import OpenHours
from exporter.errors import Reason, StorageError, WolkvoxError
from exporter.logs import say
from exporter.messages import here
from exporter.polling.choice import CLOSING_TRIES
from exporter.polling.limits import Limits, Pause
from exporter.polling.request import Requests
from exporter.polling.tasks import PollTask
from exporter.state.counters import STUCK_ANSWERS, known_channels, what_changed
from exporter.state.models import OperationStatus, QueryKey, QueryMemory, QueryStatus
from exporter.wolkvox.report import SkillReport, TokenInfo
from exporter.wolkvox.windows import Window, local_day, next_day_start

if TYPE_CHECKING:  # no door upward: a loop is given the telemetry that shows its operation
    from exporter.metrics.operation import OperationTelemetry

log = logging.getLogger(__name__)
DAYS_WITHOUT_DATA = 7


class StorageHealth:
    """Whether the state can be written, logged once for all operations that write to it."""

    def __init__(self, show: Callable[[bool], None]) -> None:
        self._show = show
        self.writable = True

    def refused(self, error: StorageError) -> None:
        """Note that a write failed: no request leaves until one succeeds."""
        if self.writable:
            message = "the state cannot be written: no request leaves until it can"
            say(log, logging.ERROR, message, error=str(error))
            self.writable = False
            self._show(False)

    def accepted(self) -> None:
        """Log that writing succeeds again."""
        say(log, logging.INFO, "the state can be written again")
        self.writable = True
        self._show(True)


class PollStatus:
    """Shows and logs what happens to the tasks of one operation."""

    def __init__(
        self, operation: Operation, requests: Requests, telemetry: OperationTelemetry
    ) -> None:
        self._operation, self._telemetry = operation, telemetry
        self._budget, self._clock = requests.budget, requests.clock
        self._interval = operation.interval
        self._round: dict[str, float] = {}  # when each query was asked in it
        self._requests: tuple[int, int | None] | None = None
        self._stretched_on: date | None = None
        self._logged: set[tuple[object, ...]] = set()
        self._hinted: set[str] = set()

    def look(self, pause: Pause | None, hours: OpenHours) -> OperationStatus:
        """How the operation stands; show the requests of the day where they changed."""
        now = self._clock.now()
        at = now.timestamp()
        requests = self._budget.used(now), self._budget.ceiling
        if self._requests != requests:  # as they do at midnight
            self._requests = used, limit = requests
            self._telemetry.show(daily_requests_used=used, daily_requests_limit=limit)
        return OperationStatus(
            self._interval,
            *requests,
            day_ends_at=next_day_start(now, self._budget.zone).timestamp(),
            pause=(pause.reason, at + pause.wait(at)) if pause else None,
            hours_open=hours.state(at) if self._operation.poll_hours else (True, None),
        )

    def publish(self, task: PollTask) -> None:
        """Show a query as it stands; values live three intervals in force at least."""
        if not task.is_query:
            return
        interval, live_until = task.limits.interval(task.interval), None
        if task.memory.last_success_at is not None:
            stale_after = max(self._operation.stale_after, 3 * interval)
            live_until = task.memory.last_success_at + stale_after
        wait, now = task.slot - self._clock.monotonic(), self._clock.now().timestamp()
        self._telemetry.publish(
            QueryStatus(
                key=QueryKey(self._operation.name, task.skill_id),
                skill=task.name,
                memory=task.memory,
                last_attempt_at=task.tried_at,
                next_slot_at=now + max(0.0, wait),
                interval=interval,
                live_until=live_until,
                error=task.error,
            ),
            now,
        )

    def stretched(self, limits: Limits, queries: Iterable[PollTask]) -> None:
        """Show the interval in force, and log when it begins to be stretched."""
        interval = limits.interval(self._operation.interval)
        if interval != self._interval:
            self._interval = interval
            self._telemetry.show(poll_interval_seconds=interval)
        if not limits.lasting and not limits.today:
            return
        shortest = min((task.interval for task in queries if task.is_query), default=0.0)
        stretched, ceiling = limits.interval(shortest), self._budget.ceiling
        if stretched > shortest:
            today = local_day(self._clock.now(), self._budget.zone)
            before, self._stretched_on = self._stretched_on, today
            if before is None or (today - before).days > 1:
                message = "interval stretched to keep within daily_requests"
                fields = {"interval_seconds": round(stretched), "daily_requests": ceiling}
                self._log(logging.WARNING, message, **fields)

    def begun(self) -> None:
        """Show the interval, before any request."""
        timing = {"poll_interval_seconds": self._interval}
        self._telemetry.show(**timing, poll_cycle_seconds=None, poll_lag_seconds=None)

    def timing(self, task: PollTask, started: float) -> None:
        """Show how late an attempt was, and how long the round took that it ended.

        A round lasts from the first to the last attempt before a query comes again.
        """
        self._telemetry.show(poll_lag_seconds=task.lag)
        if task.skill_id in self._round:
            starts = self._round.values()
            self._telemetry.show(poll_cycle_seconds=max(starts) - min(starts))
            self._round.clear()
        self._round[task.skill_id] = started

    def spent(self, today: date) -> None:
        """Log once a day that no request is left."""
        if self._first("spent", today):
            message = "daily_requests are used up: no request leaves before the next day"
            self._log(logging.WARNING, message, daily_requests=self._budget.ceiling)

    def paused(self, before: Pause | None, pause: Pause | None, *, anew: bool = True) -> None:
        """Show a pause; log that it begins, ends, or (not `anew`) goes on after a restart."""
        self._telemetry.paused(pause.reason if pause else None)
        if pause is None:
            if before is not None:
                self._log(logging.INFO, "operation no longer paused", reason=str(before.reason))
            return
        wait = round(pause.wait(self._clock.epoch()))
        fields = {"reason": str(pause.reason), "next_attempt_seconds": wait}
        if not anew:
            hint = here().advice(pause.reason)
            self._log(logging.WARNING, "operation still paused", **fields, hint=hint)
        elif before is None or before.reason is not pause.reason:
            self._log(logging.WARNING, "operation paused", **fields)

    def answered(self, task: PollTask, answer: object, after: QueryMemory) -> None:
        """Show and log an answer, the first after failures as well; `after` is the new memory.

        What cannot be read or believed is counted, and logged once for each field or channel.
        """
        self._hinted.clear()
        if task.memory.failures:
            self._log(logging.INFO, "answers again", task, failures=task.memory.failures)
        if isinstance(answer, TokenInfo):
            self._telemetry.show(**answer.counts)
        elif not isinstance(answer, SkillReport):
            return
        held, inconsistent = what_changed(task.memory.ledger, after.ledger)
        dropped = answer.dropped if isinstance(answer, SkillReport) else 0
        if held or dropped or answer.errors:
            self._telemetry.read(answer.errors, dropped, held)
        for channel in inconsistent:
            message = "the figures of a channel are inconsistent: its counters stand still"
            self._log(logging.WARNING, message, task, channel=channel, answers=STUCK_ANSWERS)
        for error in answer.errors:
            if self._first("unreadable", error.field):
                message = "a field cannot be read; it is left out"
                fields = {"channel": error.channel, "field": error.field, "text": error.text}
                self._log(logging.WARNING, message, task, **fields)
        if after.closed and after.closed != task.memory.closed:
            self._idle_targets(task, after, after.closed)

    def _idle_targets(self, task: PollTask, memory: QueryMemory, day: date) -> None:
        """Log once which targets of a query have had no figures in a week, once it is over."""
        since, skill_id = memory.since, task.skill_id
        if since is None or (day - since).days < DAYS_WITHOUT_DATA:
            return
        named = {one for entry in self._operation.sla for one in entry.channels or ()}
        for channel in sorted(named.difference(known_channels(memory.ledger, day))):
            target = self._operation.sla_of(skill_id, channel)
            if target.has_target and self._first("idle", skill_id, channel):
                message = (
                    "a target had no figures in a week and cannot alert: compare channels and"
                    " skills under sla with the channels on the status page"
                )
                self._log(logging.WARNING, message, task, channel=channel)

    def failed(self, task: PollTask, error: WolkvoxError) -> None:
        """Log why there is no answer, the same again at debug; advice once until an answer."""
        known = task.error is not None and task.error[0] == error.kind
        hint = None if known or error.kind in self._hinted else here().advice(error.kind)
        said = {"reason": str(error.reason), "detail": error.detail, "hint": hint}
        level, failures = logging.DEBUG if known else logging.WARNING, task.memory.failures + 1
        self._log(level, "no answer", task, **said, failures=failures)
        self._hinted.add(error.kind)

    def not_closed(self, task: PollTask) -> None:
        """Log once that the tries in a row to close a finished day failed."""
        if task.stored.closing_tries == CLOSING_TRIES:
            message = (
                "a finished day could not be closed: it is tried once an hour until noon, else"
                " what came after its last poll is lost"
            )
            self._log(logging.WARNING, message, task, day=task.stored.closing_day)

    def month_refused(self, task: PollTask, window: Window, error: WolkvoxError) -> None:
        """Log why there is no answer for a month: once for all skills, the rest at debug."""
        tries = getattr(task.memory, window.month).tries
        known = not self._first("month", window.end) or (tries and tries.reason)
        level = logging.DEBUG if known else logging.WARNING
        message = "no answer for a month; the figures of the day go on"
        said = {"reason": str(error.reason), "detail": error.detail}
        self._log(level, message, task, date_ini=window.start, date_end=window.end, **said)

    def defect(self, task: PollTask) -> None:
        """Log, inside of `except`, that the exporter itself is at fault: one traceback."""
        self._telemetry.refused(task.report, Reason.INTERNAL)
        known = task.error is not None and task.error[0] == Reason.INTERNAL
        log.log(
            logging.DEBUG if known else logging.ERROR,
            "a defect of the exporter: please report this traceback",
            exc_info=True,
            extra={"fields": {"operation": self._operation.name, "skill_id": task.skill_id}},
        )

    def _first(self, *what: object) -> bool:
        """Whether this is to be logged for the first time."""
        known = what in self._logged
        self._logged.add(what)
        return not known

    def _log(
        self, level: int, message: str, task: PollTask | None = None, /, **fields: object
    ) -> None:
        if task is not None:
            skill_id = task.skill_id if task.is_query else None
            fields = {"report": task.report, "skill_id": skill_id, **fields}
        say(log, level, message, operation=self._operation.name, **fields)
