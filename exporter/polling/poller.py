"""The poll loop of one operation: due, ask, keep, publish; knows no metric and no HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from exporter.config import Operation
from exporter.config.tokens import TokenUnreadable, token_digest
from exporter.errors import Reason, StorageError, WolkvoxError
from exporter.logs import SECRETS, say
from exporter.polling import schedule
from exporter.polling.attempt import Attempts, Call, Order, Outcome
from exporter.polling.budget import Budget, Demand
from exporter.polling.hours import PollHours
from exporter.polling.keeper import Keeper
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO, Observer, Timing
from exporter.polling.pauses import PAUSING, Pauses
from exporter.polling.roster import DAY, Roster
from exporter.polling.task import Rounds, Task
from exporter.state.absorb import absorb, failed
from exporter.state.journal import State
from exporter.state.snapshot import QueryKey, QueryMemory, QueryStatus
from exporter.state.storage import Spent, TooEarly
from exporter.times import Clock
from exporter.wolkvox.information import TokenInfo
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import local_day, next_day_start

log = logging.getLogger(__name__)

LONGEST_IDLE = 15.0  # seconds: how late a changed token or clock is noticed at most
STORAGE_RETRY = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a poll loop is given from outside; `member` names it in the state file."""

    attempts: Attempts
    state: State
    budget: Budget
    clock: Clock
    rng: random.Random
    observer: Observer
    member: str


class Poller:
    """Polls the queries of one operation, one after the other, each at its slot."""

    def __init__(self, operation: Operation, around: Surroundings) -> None:
        clock, observer = around.clock, around.observer
        self.operation = operation
        self.beat = clock.monotonic()
        self._clock = clock
        self._observer = observer
        self._attempts = around.attempts
        self._budget = around.budget
        self._rng = around.rng
        self._hours = PollHours(operation.poll_hours, operation.timezone)
        self._keeper = Keeper(operation.name, around.state, observer)
        self._pauses = Pauses(operation, around.member, clock, self._keeper, observer)
        self._roster = Roster(operation, around.member, clock, self._keeper)
        self._rounds = Rounds()
        self._timing = Timing(operation.interval)
        self._stretched = False
        self._unreadable: set[str] = set()
        self._retired = False
        self._sleep: asyncio.Future[None] | None = None

    # The loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until retired; nothing that the API or the disk does ends it."""
        await self._restore()
        while not self._retired:
            self.beat = self._clock.monotonic()
            if self._pauses.over():
                self._wake_unsent()
            task = self._roster.next()
            wait = self._pauses.wait() or (task.slot - self.beat if task else LONGEST_IDLE)
            if task is None or wait > 0:
                await self._idle(min(wait, LONGEST_IDLE))
                continue
            try:
                await self._turn(task)
            except Exception:  # noqa: BLE001 - the one place: a defect must not stop the polling
                self._defect(task)

    def retire(self) -> None:
        """End the loop after the request that may be under way."""
        self._retired = True
        if self._sleep is not None:
            self._sleep.cancel()

    async def _idle(self, seconds: float) -> None:
        self._sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({self._sleep})
        finally:
            self._sleep.cancel()
            self._sleep = None

    async def _restore(self) -> None:
        await self._roster.restore()
        today, members = self._today(self._clock.now()), self._budget.members
        used = await self._keeper.write(lambda storage: storage.used(members, today))
        self._budget.note(used or 0, today)
        self._observer.timing(self._timing)
        await self._pauses.restore()
        self._set_demand()
        self._tell_budget()
        for task in self._roster.queries:
            self._publish(task)

    # One turn ----------------------------------------------------------------------------

    async def _turn(self, task: Task) -> None:
        now = self._clock.now()
        interval = self._interval(task, now)
        if self._too_soon(task, interval) or self._held(task, now):
            return
        try:
            secret = self.operation.token.read()
        except TokenUnreadable as error:
            await self._unsent(task, interval, error)
            return
        token, digest = secret.get_secret_value(), token_digest(secret)
        SECRETS.add(token)
        order = Order(
            task.report,
            task.skill_id,
            task.stored.attempt_at,
            interval,
            self._closing(task, now),
        )
        due = task.slot
        try:
            outcome = await self._attempts.send(token, digest, order, _CALLS[task.report](task))
        except StorageError as error:
            self._keeper.refused(error)
            task.slot = self._clock.monotonic() + min(STORAGE_RETRY, interval)
            return
        self._keeper.accepted()
        if isinstance(outcome, TooEarly):
            self._another_asked(task, outcome, interval)
        elif isinstance(outcome, Spent):
            task.slot = self._clock.monotonic() + self._until_next_day(now)
            self._tell_budget()
        else:
            task.lag = max(0.0, outcome.started - due)
            await self._ended(task, outcome, interval, digest)

    async def _ended(self, task: Task, outcome: Outcome, interval: float, digest: str) -> None:
        error = outcome.error
        task.started, task.tried_at = outcome.started, outcome.started_at
        task.stored = outcome.stored
        task.unsent = False
        if error is not None and error.reason is Reason.CONNECT:
            task.unmade += 1
            wait = schedule.early_retry(task.unmade, interval, self._rng.random())
            task.slot = self._clock.monotonic() + wait
        else:
            task.unmade = 0
            task.slot = outcome.started + interval
        self._tell_timing(task)
        if error is None:
            await self._pauses.succeeded()
            await self._succeeded(task, outcome)
        else:
            # token_info is optional: its failure disturbs nothing else.
            if error.reason in PAUSING and task.report != TOKEN_INFO:
                await self._pauses.refused(error.reason, interval, digest)
            await self._failed(task, error)
        self._tell_budget()

    async def _succeeded(self, task: Task, outcome: Outcome) -> None:
        answer, at = outcome.answer, outcome.completed_at
        if task.error is not None:
            failures = task.memory.failures
            self._say(logging.INFO, "answers again", task, failures=failures)
        task.error = None
        if isinstance(answer, SkillReport):
            self._tell_unreadable(task, answer)
            await self._keep(task, absorb(task.memory, outcome.window, answer, at))
            return
        await self._keep(task, replace(task.memory, last_success_at=at, failures=0))
        if isinstance(answer, TokenInfo):
            self._observer.token_info(answer)
        elif isinstance(answer, tuple):
            task.interval = DAY
            task.slot = outcome.started + DAY
            for changed in await self._roster.discovered(answer, self._gone):
                self._publish(changed)
            self._set_demand()

    async def _failed(self, task: Task, error: WolkvoxError) -> None:
        # The same failure again is news for nobody: it counts in the metrics.
        known = task.error is not None and task.error[0] is error.reason
        level = logging.DEBUG if known else logging.WARNING
        self._say(level, "no answer", task, reason=str(error.reason), detail=error.detail)
        task.error = (error.reason, error.detail)
        await self._keep(task, failed(task.memory))

    async def _keep(self, task: Task, memory: QueryMemory) -> None:
        """Save, then show: what is not on the disk is not shown, so no kill takes it back."""
        base_url, skill_id = self.operation.base_url, task.skill_id
        saved = await self._keeper.write(
            lambda storage: storage.save_memory(base_url, skill_id, memory)
        )
        if saved:
            task.memory = memory
        self._publish(task)

    async def _unsent(self, task: Task, interval: float, error: TokenUnreadable) -> None:
        self._observer.refused(task.report, Reason.UNAUTHORIZED)
        task.unsent = True
        task.slot = self._clock.monotonic() + interval
        await self._pauses.refused(Reason.UNAUTHORIZED, interval, None)
        await self._failed(
            task, WolkvoxError(Reason.UNAUTHORIZED, f"{error}; nothing was sent")
        )

    def _another_asked(self, task: Task, early: TooEarly, interval: float) -> None:
        task.stored = replace(task.stored, attempt_at=early.last_at)
        left = early.last_at + interval - self._clock.epoch()
        task.slot = self._clock.monotonic() + max(0.05, min(interval, left))

    def _defect(self, task: Task) -> None:
        log.exception(
            "a defect of the exporter: please report this traceback",
            extra={"fields": {"operation": self.operation.name, "skill_id": task.skill_id}},
        )
        self._observer.refused(task.report, Reason.INTERNAL)
        task.memory = failed(task.memory)
        task.error = (Reason.INTERNAL, "a defect of the exporter; see the log")
        task.slot = self._clock.monotonic() + task.interval
        self._publish(task)

    # What holds a request back -----------------------------------------------------------

    def _interval(self, task: Task, now: datetime) -> float:
        if not task.is_query:
            return task.interval
        shortest = self._budget.shortest_interval(now)
        stretched = shortest > self.operation.interval
        if stretched and not self._stretched:
            say(
                log,
                logging.WARNING,
                "interval stretched to keep within daily_requests",
                operation=self.operation.name,
                interval_seconds=round(shortest),
                daily_requests=self._budget.ceiling,
            )
        self._stretched = stretched
        self._timing = replace(self._timing, interval=max(self.operation.interval, shortest))
        return max(task.interval, shortest)

    def _too_soon(self, task: Task, interval: float) -> bool:
        """Whether the interval in force has grown since the slot was set."""
        if task.started is None or task.unmade:
            return False
        task.slot = max(task.slot, task.started + interval)
        return task.slot > self._clock.monotonic()

    def _held(self, task: Task, now: datetime) -> bool:
        hold = 0.0
        if self._budget.spent(now):
            hold = self._until_next_day(now)
        elif self._closing(task, now) is None and (closed := self._hours.wait(now)) > 0:
            # At midnight even a closed operation asks once more: for the finished day.
            hold = min(closed, self._until_next_day(now))
        if hold > 0:
            task.slot = self._clock.monotonic() + hold
        return hold > 0

    def _closing(self, task: Task, now: datetime) -> date | None:
        zone = self.operation.timezone
        return task.closing(local_day(now, zone), zone)

    def _until_next_day(self, now: datetime) -> float:
        left = next_day_start(now, self.operation.timezone) - now
        return max(0.05, left / timedelta(seconds=1))

    def _wake_unsent(self) -> None:
        for task in self._roster.tasks.values():
            if task.unsent:
                task.slot = self._clock.monotonic()

    # Telling -----------------------------------------------------------------------------

    def _gone(self, task: Task) -> None:
        self._observer.forget(QueryKey(self.operation.name, task.skill_id))

    def _publish(self, task: Task) -> None:
        if not task.is_query:
            return
        live_until = None
        if task.memory.last_success_at is not None:
            interval = max(task.interval, self._timing.interval)
            stale = schedule.stale_after_in_force(self.operation.stale_after, interval)
            live_until = task.memory.last_success_at + stale
        wait = max(0.0, task.slot - self._clock.monotonic())
        self._observer.publish(
            QueryStatus(
                key=QueryKey(self.operation.name, task.skill_id),
                skill=task.name,
                memory=task.memory,
                last_attempt_at=task.tried_at,
                next_slot_at=self._clock.epoch() + wait,
                live_until=live_until,
                error=task.error,
            )
        )

    def _tell_timing(self, task: Task) -> None:
        if task.is_query and task.started is not None:
            cycle = self._rounds.attempt(task.skill_id, task.started)
            cycle = self._timing.cycle if cycle is None else cycle
            self._timing = replace(self._timing, cycle=cycle, lag=task.lag)
            self._observer.timing(self._timing)

    def _tell_budget(self) -> None:
        used = self._budget.used(self._today(self._clock.now()))
        self._observer.budget(used, self._budget.ceiling)

    def _tell_unreadable(self, task: Task, report: SkillReport) -> None:
        self._observer.read(report)
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
            operation=self.operation.name,
            report=task.report,
            skill_id=task.skill_id if task.is_query else None,
            **fields,
        )

    def _set_demand(self) -> None:
        intervals = tuple(task.interval for task in self._roster.queries)
        other = 24 * self.operation.token_info + self.operation.discover
        self._budget.set_demand(self.operation.name, Demand(intervals, other, self._hours))

    def _today(self, now: datetime) -> date:
        return local_day(now, self._budget.zone)


def _skill_11(task: Task) -> Call:
    return lambda client, token, window: client.skill_11(token, task.skill_id, window)


def _token_info(task: Task) -> Call:
    return lambda client, token, window: client.token_info(token)


def _skills(task: Task) -> Call:
    return lambda client, token, window: client.skills(token)


_CALLS = {SKILL_11: _skill_11, TOKEN_INFO: _token_info, SKILLS: _skills}
