"""What a poll loop shows and logs of its tasks: one line a change of state; decides nothing."""

from __future__ import annotations

import logging

from exporter.config import Operation
from exporter.errors import Reason, WolkvoxError
from exporter.logs import say
from exporter.messages import Words
from exporter.polling import schedule
from exporter.polling.observer import Observer
from exporter.polling.task import Task
from exporter.state.counters import STUCK_ANSWERS, QueryLedger, what_changed
from exporter.state.models import QueryKey, QueryStatus
from exporter.times import Clock
from exporter.wolkvox.report import SkillReport

log = logging.getLogger(__name__)
_WORDS = Words("en")


class Teller:
    """Publishes the queries of one operation and says what happens to them."""

    def __init__(self, operation: Operation, clock: Clock, observer: Observer) -> None:
        self._operation = operation
        self._clock = clock
        self._observer = observer
        self._unreadable: set[str] = set()

    def publish(self, task: Task, interval: float) -> None:
        """Show a query as it stands; `interval` is the one in force of it."""
        if not task.is_query:
            return
        live_until = None
        if task.memory.last_success_at is not None:
            stale = schedule.stale_after_in_force(self._operation.stale_after, interval)
            live_until = task.memory.last_success_at + stale
        wait = max(0.0, task.slot - self._clock.monotonic())
        self._observer.publish(
            QueryStatus(
                key=QueryKey(self._operation.name, task.skill_id),
                skill=task.name,
                memory=task.memory,
                last_attempt_at=task.tried_at,
                next_slot_at=self._clock.epoch() + wait,
                interval=interval,
                live_until=live_until,
                error=task.error,
            )
        )

    def gone(self, task: Task) -> None:
        """Show a query no longer."""
        self._observer.forget(QueryKey(self._operation.name, task.skill_id))

    def answers_again(self, task: Task) -> None:
        """Say that a task that failed answers; nothing where it did not fail."""
        if task.memory.failures:
            self._say(logging.INFO, "answers again", task, failures=task.memory.failures)

    def failed(self, task: Task, error: WolkvoxError) -> None:
        """Say why there is no answer; the same reason again counts in the metrics only."""
        known = task.error is not None and task.error[0] == error.kind
        level = logging.DEBUG if known else logging.WARNING
        self._say(
            level,
            "no answer",
            task,
            reason=str(error.reason),
            detail=error.detail,
            hint=None if known else _WORDS.advice(error.kind),
            failures=task.memory.failures + 1,
        )

    def not_closed(self, task: Task) -> None:
        """Say that the last try to close a finished day failed."""
        if task.stored.closing_tries >= schedule.CLOSING_TRIES:
            self._say(
                logging.WARNING,
                "a finished day could not be closed: what came after its last poll is lost",
                task,
                day=task.stored.closing_day,
            )

    def defect(self, task: Task) -> None:
        """Say, inside of `except`, that the exporter itself is at fault: one traceback."""
        known = task.error is not None and task.error[0] == Reason.INTERNAL
        log.log(
            logging.DEBUG if known else logging.ERROR,
            "a defect of the exporter: please report this traceback",
            exc_info=True,
            extra={"fields": {"operation": self._operation.name, "skill_id": task.skill_id}},
        )
        self._observer.refused(task.report, Reason.INTERNAL)

    def read(self, task: Task, report: SkillReport, ledger: QueryLedger | None) -> None:
        """Report what of an answer could not be read or believed; `ledger` is the new one.

        Each field is logged once, and a channel whose figures stay inconsistent once.
        """
        held, inconsistent = what_changed(task.memory.ledger, ledger)
        self._observer.read(report, held)
        for channel in inconsistent:
            self._say(
                logging.WARNING,
                "the figures of a channel are inconsistent: its counters stand still",
                task,
                channel=channel,
                answers=STUCK_ANSWERS,
            )
        for error in report.errors:
            if error.field not in self._unreadable:
                self._unreadable.add(error.field)
                self._say(
                    logging.WARNING,
                    "a field cannot be read; it is left out",
                    task,
                    channel=error.channel,
                    field=error.field,
                    text=error.text,
                )

    def _say(self, level: int, message: str, task: Task, **fields: object) -> None:
        say(
            log,
            level,
            message,
            operation=self._operation.name,
            report=task.report,
            skill_id=task.skill_id if task.is_query else None,
            **fields,
        )
