"""One request, whole: the token's turn, the attempt on disk, the call; schedules nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from exporter.config.hours import OpenHours
from exporter.errors import StorageError, WolkvoxError
from exporter.polling.budget import Budget
from exporter.polling.observer import Observer
from exporter.state.locks import TokenGate
from exporter.state.models import Attempt, ForeignToken, Granted, Spent, Stored, TooEarly
from exporter.state.storage import State
from exporter.times import Clock
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.windows import Window, day_so_far, local_day, whole_day


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask: a report of a skill (or `#token_info`), and the limits it stands under.

    `closing` says which finished day to ask for as a whole, if any, once the turn has come;
    `departed` is told that the attempt is on the disk, before the request leaves.
    """

    report: str
    skill_id: str
    known_at: float | None
    gap: float
    closing: Callable[[datetime], date | None]
    departed: Callable[[Departure], None]


@dataclass(frozen=True, slots=True)
class Departure:
    """A request about to leave: monotonic and epoch seconds, and what the state file says."""

    started: float
    started_at: float
    stored: Stored


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: an answer or an error, and what stands in the state file.

    `started` is monotonic, and the moment at which the request left; `started_at` (as it
    stands in the state) and `completed_at` are epoch seconds.
    """

    answer: object | None
    error: WolkvoxError | None
    window: Window
    started: float
    started_at: float
    completed_at: float
    stored: Stored


@dataclass(frozen=True, slots=True)
class Closed:
    """The token's turn came outside of the polling hours: nothing was sent."""

    wait: float


Call = Callable[[WolkvoxClient, str, Window], Awaitable[object]]


class Attempts:
    """Sends the requests of one operation by the rules that hold for every one of them.

    One request at a time per token, in this process and beside others; outside of the polling
    hours none but the one that closes a day; the time of the attempt is on the disk before
    the request leaves; a connection that was never made is taken back, since the server
    cannot have seen it.
    """

    def __init__(
        self,
        *,
        operation: int,
        zone: ZoneInfo,
        hours: OpenHours,
        client: WolkvoxClient,
        state: State,
        gate: TokenGate,
        budget: Budget,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._operation = operation
        self._zone = zone
        self._hours = hours
        self._client = client
        self._state = state
        self._gate = gate
        self._budget = budget
        self._clock = clock
        self._observer = observer

    async def send(
        self, token: str, digest: str, order: Order, call: Call
    ) -> Outcome | Closed | TooEarly | Spent | ForeignToken:
        """Ask once, in the turn of the token with this digest.

        Raises StorageError, and then no request left.
        """
        async with self._gate.hold(digest):
            now = self._clock.now()
            closing = order.closing(now)
            if closing is None and (wait := self._hours.wait(now)) > 0:
                return Closed(wait)
            window = whole_day(closing) if closing else day_so_far(now, self._zone)
            attempt = self._attempt(order, digest, now, closing)
            granted = await self._state.write(lambda storage: storage.begin_attempt(attempt))
            if not isinstance(granted, Granted):
                if isinstance(granted, Spent):
                    self._budget.note(granted.used, attempt.day)
                return granted
            return await self._ask(token, order, call, window, attempt, granted)

    def _attempt(
        self, order: Order, digest: str, now: datetime, closing: date | None
    ) -> Attempt:
        return Attempt(
            operation=self._operation,
            skill_id=order.skill_id,
            at=now.timestamp(),
            known_at=order.known_at,
            gap=order.gap,
            account=self._budget.account,
            day=local_day(now, self._budget.zone),
            ceiling=self._budget.ceiling,
            token=digest,
            closing=closing,
        )

    async def _ask(
        self,
        token: str,
        order: Order,
        call: Call,
        window: Window,
        attempt: Attempt,
        granted: Granted,
    ) -> Outcome:
        answer, error, stored = None, None, granted.after
        started = self._clock.monotonic()
        self._budget.note(granted.used, attempt.day)
        order.departed(Departure(started, attempt.at, stored))
        self._observer.requested(order.report)
        try:
            answer = await call(self._client, token, window)
        except WolkvoxError as failure:
            error = failure
        seconds = self._clock.monotonic() - started
        # Connecting takes its time: what the server sees is when the request left.
        started = max(started, self._client.left_at or started)
        self._observer.answered(order.report, seconds, error.reason if error else None)
        if error is not None and not error.reached:
            # Where it cannot be taken back it stays counted: the failure shows all the same.
            with contextlib.suppress(StorageError):
                used = await self._state.write(
                    lambda storage: storage.take_back(attempt, granted.before)
                )
                self._budget.note(used, attempt.day)
                stored = granted.before
        if error is None and granted.rotated and attempt.token is not None:
            row, accepted = attempt.operation, attempt.token
            with contextlib.suppress(StorageError):  # the next answer accepts it
                await self._state.write(lambda storage: storage.accept(row, accepted))
        return Outcome(answer, error, window, started, attempt.at, self._clock.epoch(), stored)
