"""The poll loop of one operation: due, ask, keep, publish; knows no metric and no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from exporter.config import Operation
from exporter.config.tokens import TokenUnreadable, token_digest
from exporter.errors import Reason, StorageError, WolkvoxError
from exporter.logs import SECRETS
from exporter.polling import schedule
from exporter.polling.attempt import Attempts, Call, Closed, Departure, Order, Outcome
from exporter.polling.budget import Budget, Limits
from exporter.polling.keeper import Disk, Keeper
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO, Observer
from exporter.polling.pace import Pace
from exporter.polling.pauses import PAUSING, Pauses
from exporter.polling.roster import DAY, Roster
from exporter.polling.task import Task
from exporter.polling.teller import Teller
from exporter.state.identity import Identity
from exporter.state.models import (
    ForeignToken,
    QueryMemory,
    Spent,
    TooEarly,
    apply_report,
    failed,
    limit_channels,
)
from exporter.state.storage import State
from exporter.times import Clock
from exporter.wolkvox.information import TokenInfo
from exporter.wolkvox.report import SkillReport

LONGEST_IDLE = 15.0  # seconds: how late a changed token or clock is noticed at most
STORAGE_RETRY = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a poll loop is given from outside.

    `identity` names it in the state file; `grace` seconds are added to the slots that an
    earlier process left.
    """

    attempts: Attempts
    state: State
    budget: Budget
    clock: Clock
    rng: random.Random
    observer: Observer
    identity: Identity
    disk: Disk
    grace: float


class Poller:
    """Polls the queries of one operation, one after the other, each at its slot."""

    def __init__(self, operation: Operation, around: Surroundings) -> None:
        clock, observer = around.clock, around.observer
        self.operation = operation
        self.beat = clock.monotonic()
        self._clock = clock
        self._observer = observer
        self._attempts = around.attempts
        self._account = around.budget.account
        self._rng = around.rng
        self._row = around.identity.id
        self._keeper = Keeper(around.state, observer, around.disk)
        self._pauses = Pauses(operation, self._row, clock, self._keeper, observer)
        self._roster = Roster(operation, self._row, clock, self._keeper, around.grace)
        self._pace = Pace(operation, self._roster, around.budget, clock, observer)
        self._teller = Teller(operation, clock, observer)
        self.restored = asyncio.Event()
        self._retired = False
        self._asleep: asyncio.Task[Any] | None = None

    # The loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until retired; nothing that the API or the disk does ends it."""
        while not self._retired and not await self._restored():
            self.beat = self._clock.monotonic()
            await self._idle(LONGEST_IDLE)
        self.restored.set()
        while not self._retired:
            self.beat = self._clock.monotonic()
            self._pace.tell_budget()
            if self._pauses.over():
                self._wake_unsent()
            task = self._roster.next(paused=self._pauses.reason is not None)
            wait = self._pauses.wait() or (task.slot - self.beat if task else LONGEST_IDLE)
            if task is None or wait > 0:
                await self._idle(min(wait, LONGEST_IDLE))
                continue
            try:
                await self._turn(task)
            except StorageError as error:
                self._keeper.refused(error)
                self._put_off(task, min(STORAGE_RETRY, task.interval))
            except Exception:  # noqa: BLE001 - the one place: a defect must not stop the polling
                self._defect(task)

    @property
    def interval(self) -> float:
        """The interval in force of the operation, in seconds."""
        return self._pace.interval

    @property
    def pause(self) -> tuple[Reason, float] | None:
        """Why the operation is paused and when it asks again, in epoch seconds."""
        reason = self._pauses.reason
        return None if reason is None else (reason, self._clock.epoch() + self._pauses.wait())

    def held_back(self, now: datetime) -> bool:
        """Whether a pause, the budget or the hours keep the operation from asking."""
        return self._pauses.reason is not None or self._pace.held_back(now)

    def retire(self) -> None:
        """End the loop after the request that may be under way."""
        self._retired = True
        if self._asleep is not None:
            self._asleep.cancel()

    async def _idle(self, seconds: float) -> None:
        if self._retired:
            return
        task = self._asleep = asyncio.current_task()
        try:
            await self._clock.sleep(seconds)
        except asyncio.CancelledError:
            # Retired; or ended with everything else, which may come on top.
            if not self._retired or task is None or task.uncancel() > 0:
                raise
        finally:
            self._asleep = None

    async def _restored(self) -> bool:
        """Take everything up from the state; False where it cannot be read just now.

        Beginning without it would let counters start again at 0.
        """
        today, account = self._pace.today(self._clock.now()), self._account
        try:
            await self._roster.restore()
            used = await self._keeper.need(lambda storage: storage.used(account, today))
            await self._pauses.restore()
        except StorageError as error:
            self._keeper.refused(error)
            return False
        self._pace.begin(used, today)
        self._observer.retain({task.skill_id for task in self._roster.queries})
        for task in self._roster.queries:
            self._publish(task)
        return True

    # One turn ----------------------------------------------------------------------------

    async def _turn(self, task: Task) -> None:
        now = self._clock.now()
        limits = self._pace.limits(task, now)
        if self._too_soon(task, limits):
            return
        if (hold := self._pace.hold(task, now)) > 0:
            task.slot = self._clock.monotonic() + hold
            return
        interval = limits.interval(task.interval)
        try:
            secret = self.operation.token.read()
        except TokenUnreadable as error:
            await self._unsent(task, interval, str(error), None)
            return
        token, digest = secret.get_secret_value(), token_digest(secret)
        SECRETS.add(token)
        order = Order(
            task.report,
            task.skill_id,
            task.stored.last_at,
            max(task.interval, limits.lasting),
            lambda moment: self._pace.closing(task, moment),
            lambda departure: self._departed(task, departure),
        )
        outcome = await self._attempts.send(token, digest, order, _CALLS[task.report](task))
        if isinstance(outcome, Outcome):
            self._keeper.accepted()
        if isinstance(outcome, TooEarly):
            self._another_asked(task, outcome, order.gap)
        elif isinstance(outcome, Spent):
            task.slot = self._clock.monotonic() + self._pace.until_next_day(now)
            self._pace.tell_budget()
        elif isinstance(outcome, Closed):
            task.slot = self._clock.monotonic() + self._pace.hold(task, self._clock.now())
        elif isinstance(outcome, ForeignToken):
            await self._unsent(task, interval, str(outcome), digest)
        else:
            await self._ended(task, outcome, interval, digest)

    def _departed(self, task: Task, departure: Departure) -> None:
        """Take over an attempt as soon as it is on the disk, whatever becomes of it."""
        task.lag = max(0.0, departure.started - task.slot)
        task.started, task.tried_at = departure.started, departure.started_at
        task.stored = departure.stored
        task.unsent = False
        limits, now = self._pace.limits(task, self._clock.now()), self._clock.monotonic()
        task.slot = limits.slot(departure.started, task.interval, now)

    async def _ended(self, task: Task, outcome: Outcome, interval: float, digest: str) -> None:
        error = outcome.error
        seconds = self._clock.monotonic() - (task.started or outcome.started)
        task.stored = outcome.stored
        task.left(outcome.started)
        if error is not None and error.reason is Reason.CONNECT:
            task.unmade += 1
            wait = schedule.early_retry(task.unmade, interval, self._rng.random())
            task.slot = self._clock.monotonic() + wait
        else:
            task.unmade = 0
        self._pace.tell_attempt(task, seconds)
        if task.report != TOKEN_INFO:  # it is optional: nothing else depends on it
            asked = datetime.fromtimestamp(outcome.started_at, UTC)
            await self._tell_pauses(error, interval, digest, asked)
        if error is None:
            await self._succeeded(task, outcome)
        else:
            await self._failed(task, error)
            if outcome.window.closing and error.reached:
                self._teller.not_closed(task)
        self._pace.tell_budget()

    async def _tell_pauses(
        self, error: WolkvoxError | None, interval: float, digest: str, asked: datetime
    ) -> None:
        if error is None:
            await self._pauses.succeeded()
        elif error.reason in PAUSING:
            await self._pauses.refused(error.reason, interval, digest, asked)
        elif error.reached and self._pauses.reason is not None:
            # Whatever else went wrong, it was the attempt that the pause allows.
            await self._pauses.refused(self._pauses.reason, interval, digest, asked)

    async def _succeeded(self, task: Task, outcome: Outcome) -> None:
        answer, at = outcome.answer, outcome.completed_at
        self._teller.answers_again(task)
        task.error = None
        if isinstance(answer, SkillReport):
            answer = limit_channels(answer, task.memory.ledger)
            memory = apply_report(task.memory, outcome.window, answer, at)
            self._teller.read(task, answer, memory.ledger)
            await self._keep(task, memory)
            return
        await self._keep(task, replace(task.memory, last_success_at=at, failures=0))
        if isinstance(answer, TokenInfo):
            self._observer.token_info(answer)
        elif isinstance(answer, tuple):
            for changed in await self._roster.discovered(answer, self._teller.gone):
                self._publish(changed)
            self._pace.plan()
            task.interval = DAY
            task.slot = outcome.started + DAY

    async def _failed(self, task: Task, error: WolkvoxError) -> None:
        self._teller.failed(task, error)
        task.error = (error.kind, error.detail)
        task.memory = failed(task.memory)  # holds nothing that a kill could take back
        await self._keep(task, task.memory)

    async def _keep(self, task: Task, memory: QueryMemory) -> None:
        """Save, then show: what is not on the disk is not shown, so no kill takes it back."""
        row, skill_id = self._row, task.skill_id
        saved = await self._keeper.write(
            lambda storage: storage.save_memory(row, skill_id, memory)
        )
        if saved:
            task.memory = memory
        self._publish(task)

    async def _unsent(
        self, task: Task, interval: float, error: str, digest: str | None
    ) -> None:
        """Pause without a request: no token, or the one of this digest is foreign."""
        self._observer.refused(task.report, Reason.UNAUTHORIZED)
        task.unsent = True
        task.slot = self._clock.monotonic() + interval
        await self._pauses.refused(Reason.UNAUTHORIZED, interval, digest)
        await self._failed(
            task, WolkvoxError(Reason.UNAUTHORIZED, f"{error}; nothing was sent")
        )

    def _another_asked(self, task: Task, early: TooEarly, interval: float) -> None:
        task.stored = replace(task.stored, spaced_from=early.last_at)
        left = early.last_at + interval - self._clock.epoch()
        task.slot = self._clock.monotonic() + max(0.05, min(interval, left))

    def _defect(self, task: Task) -> None:
        self._teller.defect(task)
        task.memory = failed(task.memory)
        task.error = (Reason.INTERNAL, "a defect of the exporter; see the log")
        self._put_off(task, task.interval)
        with contextlib.suppress(Exception):  # the defect may be in showing it
            self._publish(task)

    # What holds a request back -----------------------------------------------------------

    def _put_off(self, task: Task, seconds: float) -> None:
        """Give a task whose turn did not end a later slot, unless it has one."""
        now = self._clock.monotonic()
        if task.slot <= now:
            task.slot = now + seconds

    def _too_soon(self, task: Task, limits: Limits) -> bool:
        """Whether the interval in force has grown since the slot was set."""
        if task.started is None or task.unmade:
            return False
        now = self._clock.monotonic()
        task.slot = max(task.slot, limits.slot(task.started, task.interval, now))
        if task.slot <= now:
            return False
        self._publish(task)  # what is shown lives longer with a longer interval
        return True

    def _wake_unsent(self) -> None:
        for task in self._roster.tasks.values():
            if task.unsent:
                task.slot = self._clock.monotonic()

    def _publish(self, task: Task) -> None:
        self._teller.publish(task, self._pace.interval_of(task))


def _skill_11(task: Task) -> Call:
    return lambda client, token, window: client.skill_11(token, task.skill_id, window)


def _token_info(task: Task) -> Call:
    return lambda client, token, window: client.token_info(token)


def _skills(task: Task) -> Call:
    return lambda client, token, window: client.skills(token)


_CALLS = {SKILL_11: _skill_11, TOKEN_INFO: _token_info, SKILLS: _skills}
