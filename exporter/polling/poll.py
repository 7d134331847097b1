"""The poll loop of one operation: `Poller.poll` is the way of a request on one screen.

Below it stand its steps in the order of their use.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.config import Operation
from exporter.config.hours import OpenHours
from exporter.config.plan import Load, other_calls
from exporter.errors import Reason, StorageError, WolkvoxError
from exporter.polling import limits
from exporter.polling.choice import choose_window
from exporter.polling.limits import HeldBack, Pause, Why
from exporter.polling.request import CALLS, TOKEN_INFO, Request, Requests, Token, read_token
from exporter.polling.status import PollStatus, StorageHealth
from exporter.polling.tasks import PollTask, TaskList
from exporter.state import models
from exporter.state.models import OperationStatus, QueryKey, QueryMemory
from exporter.state.storage import Storage
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import DAY_SECONDS, Window, day_so_far, local_day, next_day_start

if TYPE_CHECKING:
    from exporter.metrics.operation import OperationTelemetry

LONGEST_IDLE = 15.0  # seconds: how late a changed token or clock is noticed at most
STORAGE_RETRY = 30.0
_TICK = 1e-4  # seconds: moments that are nearer to each other are the same
T = TypeVar("T")


class Poller:
    """Polls the queries of one operation, one after the other, each at its slot.

    `grace` is added to the slots that a process before left, in seconds.
    """

    def __init__(
        self,
        operation: Operation,
        requests: Requests,
        telemetry: OperationTelemetry,
        health: StorageHealth,
        *,
        rng: random.Random,
        grace: float,
    ) -> None:
        self.operation, self.requests = operation, requests
        self.budget, self._clock = requests.budget, requests.clock
        self._row = requests.identity.id
        self._source, self._token = operation.token, Token()
        self._rng, self._health, self._telemetry = rng, health, telemetry
        self.hours = OpenHours(operation.poll_hours, operation.timezone)
        self._tasks = TaskList(operation, requests, grace)
        self._status = PollStatus(operation, requests, telemetry)
        self._pause: Pause | None = None
        self._pause_ends = 0.0
        self._retired = False
        self._asleep: asyncio.Task[Any] | None = None
        self._beat = self._clock.monotonic()
        self.restored = asyncio.Event()
        self.standing = OperationStatus(operation.interval, 0, self.budget.ceiling, 0.0)

    # The loop ----------------------------------------------------------------------------

    async def run(self, old: Collection[asyncio.Task[None]], begin: Callable[[], None]) -> None:
        """Wait for the old loops, call `begin`, and poll until retired, whatever fails."""
        if old:
            await asyncio.wait(old)
        begin()
        async with self.requests.client:
            while not self._retired and not await self._restore():
                self._beat = self._clock.monotonic()
                await self._idle(LONGEST_IDLE)
            self.restored.set()
            while not self._retired:
                self._beat = self._clock.monotonic()
                if self._pause is not None:
                    await self._end_pause(self._pause)
                self.standing = self._status.look(self._pause, self.hours)
                task = self._tasks.next(paused=self._pause is not None)
                wait = max(task.slot, self._pause_ends) - self._beat if task else LONGEST_IDLE
                if task is None or wait > 0:
                    await self._idle(min(wait, LONGEST_IDLE))
                    continue
                try:
                    await self.poll(task)
                except StorageError as error:
                    self._health.refused(error)
                    self._put_off(task, min(STORAGE_RETRY, task.interval))
                except Exception:  # noqa: BLE001 - the one place: a defect must not stop the polling
                    self._defect(task)

    async def poll(self, task: PollTask) -> None:
        """Poll a query: may I, window, attempt, fetch, read, count, save, publish.

        Raises StorageError, and then no request left.
        """
        token = self._token = read_token(self._source, self._token)
        try:
            async with self.requests.gate.hold(token.digest):
                now = self._clock.now()  # waiting for the turn takes its time
                window = self._may_ask(task, token, now)
                gap, known_at = max(task.interval, task.limits.lasting), task.stored.last_at
                memory = models.tried(task.memory, window, now, self.operation.timezone)
                request = await self.requests.begin(
                    task.skill_id, now, window, token, gap=gap, known_at=known_at, memory=memory
                )
                self._begun(task, request)
                answer = await self.requests.fetch(request, token, CALLS[task.report])
        except HeldBack as held:
            await self._held_back(task, held, token)
        except WolkvoxError as error:  # from `fetch` alone: there is a request
            self._count(task, request, error)
            await self._failed(task, request, error)
        else:
            self._count(task, request, None)
            await self._answered(task, request, answer)

    # May I? ------------------------------------------------------------------------------

    def _may_ask(self, task: PollTask, token: Token, now: datetime) -> Window:
        """Return the window to ask for now; raises HeldBack where nothing may be asked."""
        self._stretch(now, task)
        zone, monotonic = self.operation.timezone, self._clock.monotonic()
        if task.is_query:
            months = self.operation.month and monotonic >= self.budget.months_from
            months, stored = months and self._pause is None, task.stored
            window = choose_window(stored, task.memory, now, zone, task.asked, months=months)
        else:
            window = day_so_far(now, zone)  # it has no use for it
        facts = limits.Facts(
            interval=task.interval,
            age=None if task.started is None else monotonic - task.started,
            budget=self.budget,
            hours=self.hours,
            zone=zone,
            token=token.digest or None,
            limits=task.limits,
            pause=self._pause,
            pause_left=self._pause_ends - monotonic,
            closing=window.closing,
        )
        if (wait := limits.may_ask(facts, now)) is not None:
            raise HeldBack(wait, token.error)
        return window

    def _stretch(self, now: datetime, *tasks: PollTask) -> None:
        """Take over the limits that the budget sets to these at this moment, if to any."""
        if queries := [task for task in tasks if task.is_query]:
            found = self.budget.limits(now)
            for task in queries:
                task.limits = found
            self._status.stretched(found, self._tasks.by_id.values())

    async def _held_back(self, task: PollTask, held: HeldBack, token: Token) -> None:
        """Look again when the reason to wait is gone."""
        wait, now = held.wait, self._clock.now()
        until, why, last_at = wait.until, wait.why, wait.last_at
        if why is Why.TOKEN:
            await self._not_sent(task, held.detail, token)
            return
        if why is Why.HOURS:  # at midnight one more request closes the day
            until = min(until, next_day_start(now, self.operation.timezone).timestamp())
        elif why is Why.BUDGET:
            self._status.spent(local_day(now, self.budget.zone))
        elif last_at is not None:  # another process asked
            monotonic = self._clock.monotonic()
            task.stored = replace(task.stored, spaced_from=last_at)
            task.started = limits.started_before(last_at, now.timestamp(), monotonic)
        task.slot = self._clock.monotonic() + max(_TICK, until - now.timestamp())
        if why is Why.RECENT:  # what is shown lives longer with a longer interval
            self._status.publish(task)

    async def _not_sent(self, task: PollTask, why: str, token: Token) -> None:
        """Pause without a request: the token cannot be read, or is a foreign one."""
        kind, why = "foreign" if token.text else None, f"{why}; nothing was sent"
        error = WolkvoxError(Reason.UNAUTHORIZED, why, reached=False, kind=kind)
        self._telemetry.refused(task.report, error.reason)
        task.unsent = True
        task.slot = self._clock.monotonic() + task.limits.interval(task.interval)
        await self._pause_after(task, error, self._clock.now(), token.digest)
        await self._save_failure(task, error)

    # The attempt -------------------------------------------------------------------------

    def _begun(self, task: PollTask, request: Request) -> None:
        """Record the attempt once it is on the disk, before the request leaves: no await."""
        started = request.started
        task.lag = max(0.0, started - task.slot)
        task.before, task.started = task.started, started
        task.tried_at, task.stored, task.unsent = request.attempt.at, request.stored, False
        task.memory = request.attempt.memory or task.memory
        if not request.window.closing and not request.window.month:
            task.asked = request.window.end
        if self.budget.ceiling is not None:  # one request less is left
            self._stretch(request.asked_at, task)
        task.slot = task.limits.slot(started, task.interval, started)
        self._telemetry.requested(task.report)

    def _count(self, task: PollTask, request: Request, error: WolkvoxError | None) -> None:
        """Count how a request ended, how long it took and how late it was."""
        self._telemetry.answered(task.report, request.seconds, error.reason if error else None)
        task.stored = request.stored
        task.slot += request.started - (task.started or request.started)  # it left that late
        task.started = request.started
        name = self.operation.name
        if request.window.month:  # which once a day may take long
            self.budget.took_month(request.seconds, task.interval, self._clock.monotonic())
        else:
            self.budget.taken[name, task.skill_id] = Load(task.interval, request.seconds)
        if task.is_query:
            self._status.timing(task, request.started)

    # The outcome -------------------------------------------------------------------------

    async def _failed(self, task: PollTask, request: Request, error: WolkvoxError) -> None:
        if not error.reached:  # it was no attempt
            task.started = task.before
        task.unmade = task.unmade + 1 if error.reason is Reason.CONNECT else 0
        if task.unmade:
            interval = task.limits.interval(task.interval)
            wait = limits.early_retry(task.unmade, interval, self._rng.random())
            task.slot = self._clock.monotonic() + wait
        await self._pause_after(task, error, request.asked_at, request.attempt.token)
        if request.window.month and error.reason not in limits.PAUSING:
            # It says nothing about the day's figures, and may be the fault of the long range.
            self._status.month_refused(task, request.window, error)
            memory = models.refused_month(task.memory, request.window, error.reason)
            await self._save(task, memory)
            return
        await self._save_failure(task, error)
        if request.window.closing and error.reached:
            self._status.not_closed(task)

    async def _save_failure(self, task: PollTask, error: WolkvoxError) -> None:
        self._status.failed(task, error)
        task.error = (error.kind, error.detail)
        task.memory = models.failed(task.memory)  # holds nothing that a kill could take back
        await self._save(task, task.memory)

    async def _answered(self, task: PollTask, request: Request, answer: object) -> None:
        task.unmade, task.error = 0, None
        if self._pause is not None:
            await self._pause_after(task, None, request.asked_at, request.attempt.token)
        if isinstance(answer, SkillReport):
            answer = models.limit_channels(answer, task.memory.ledger)
            memory = models.apply_report(task.memory, request.window, answer, request.ended_at)
        else:
            memory = replace(task.memory, last_success_at=request.ended_at, failures=0)
        self._status.answered(task, answer, memory)
        await self._save(task, memory)
        if isinstance(answer, tuple):
            await self._discovered(answer)
            task.interval = DAY_SECONDS
            task.slot = request.started + DAY_SECONDS

    async def _save(self, task: PollTask, memory: QueryMemory) -> None:
        """Save, then show: what is not on the disk is not shown, so no kill takes it back."""
        row, skill_id = self._row, task.skill_id
        if await self._write(lambda storage: storage.save_memory(row, skill_id, memory)):
            task.memory = memory
        self._status.publish(task)

    async def _write(self, step: Callable[[Storage], T]) -> T | None:
        """Run a step of the state; None where it cannot be written."""
        try:
            result = await self.requests.state.write(step)
        except StorageError as error:
            self._health.refused(error)
            return None
        if not self._health.writable:
            self._health.accepted()
        return result

    async def _discovered(self, found: tuple[Any, ...]) -> None:
        """Poll the skills that were found, and show those that are gone no longer."""
        changed, gone = await self._tasks.discovered(found)
        for task in gone:
            self._telemetry.forget(QueryKey(self.operation.name, task.skill_id))
        self._plan()
        self._stretch(self._clock.now(), *changed)
        for task in changed:
            self._status.publish(task)
        if found:
            row, pairs = self._row, [[task.skill_id, task.name] for task in self._tasks.queries]
            await self._write(lambda storage: storage.save_fact(row, "skills", pairs))

    def _defect(self, task: PollTask) -> None:
        self._status.defect(task)
        task.memory = models.failed(task.memory)
        task.error = (Reason.INTERNAL, "a defect of the exporter; see the log")
        self._put_off(task, task.interval)
        with contextlib.suppress(Exception):  # the defect may be in showing it
            self._status.publish(task)

    def _put_off(self, task: PollTask, seconds: float) -> None:
        """Give a task whose turn did not end a later slot, unless it has one."""
        now = self._clock.monotonic()
        if task.slot <= now:
            task.slot = now + seconds

    # Pauses ------------------------------------------------------------------------------

    async def _pause_after(
        self, task: PollTask, error: WolkvoxError | None, asked: datetime, digest: str | None
    ) -> None:
        """Begin, lengthen or end the pause after an attempt of that moment."""
        now, day = self._clock.epoch(), local_day(asked, self.operation.timezone)
        interval = task.limits.interval(task.interval)
        pause = limits.pause_after(self._pause, error, now, day, interval, digest)
        # token_info is optional: nothing else depends on it.
        if pause is not self._pause and task.report != TOKEN_INFO:
            await self._set_pause(pause)

    async def _end_pause(self, pause: Pause) -> None:
        """End the pause if its reason is gone; what was not sent is due at once."""
        today = local_day(self._clock.now(), self.operation.timezone)
        if pause.over(today, self._source.digest()):
            await self.resume()
            for task in self._tasks.by_id.values():
                if task.unsent:
                    task.slot = self._clock.monotonic()

    async def resume(self) -> None:
        """End a pause, whatever its reason: a simulator's quota comes back by a switch."""
        if self._pause is not None:
            await self._set_pause(None)

    async def _set_pause(self, pause: Pause | None) -> None:
        self._status.paused(self._pause, pause)
        self._hold(pause)
        row, data = self._row, pause.to_json() if pause else None
        await self._write(lambda storage: storage.save_fact(row, "pause", data))

    def _hold(self, pause: Pause | None) -> None:
        left = pause.wait(self._clock.epoch()) if pause is not None else 0.0
        self._pause, self._pause_ends = pause, self._clock.monotonic() + left

    # The start, the end, and what others look at -------------------------------------------

    async def _restore(self) -> bool:
        """Take everything up from the state; False where it cannot be read just now.

        Beginning without it would let counters start again at 0.
        """
        now, row, account = self._clock.now(), self._row, self.budget.account
        today = local_day(now, self.budget.zone)
        try:
            await self._tasks.restore()
            used, data = await self.requests.state.write(
                lambda storage: (storage.used(account, today), storage.load_fact(row, "pause"))
            )
        except StorageError as error:
            self._health.refused(error)
            return False
        self._hold(Pause.from_json(data))
        self._status.paused(self._pause, self._pause, anew=False)
        self.budget.counted = used, today
        self._plan()
        self._status.begun()
        self._telemetry.retain({task.skill_id for task in self._tasks.queries})
        self._stretch(now, *self._tasks.queries)
        for task in self._tasks.queries:
            self._status.publish(task)
        return True

    def _plan(self) -> None:
        """Enter the operation's requests into the budget: at the start, after a discovery."""
        operation, name = self.operation, self.operation.name
        intervals = tuple(task.interval for task in self._tasks.queries)
        self.budget.demands[name] = limits.Demand(intervals, other_calls(operation), self.hours)
        self.budget.keep_taken(name, self._tasks.by_id)

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

    def retire(self) -> None:
        """End the loop after the request that may be under way; it asks for nothing more."""
        self._retired = True
        self.budget.demands.pop(self.operation.name, None)
        self.budget.keep_taken(self.operation.name, ())
        if self._asleep is not None:
            self._asleep.cancel()

    def alive(self) -> bool:
        """Whether the loop moved within what its longest wait explains."""
        sharing = max(1, len(self.budget.demands))
        patience = 60.0 + LONGEST_IDLE + sharing * (self.operation.timeout + 10.0)
        return self._clock.monotonic() - self._beat < patience

    def held_back(self, now: datetime) -> bool:
        """Whether a pause, the budget or the hours keep the operation from asking."""
        return self._pause is not None or self.budget.spent(now) or self.hours.wait(now) > 0
