"""One question of a tool under the exporter's own rules; decides what to ask of nobody.

Beside a running exporter or without one: an attempt is on the disk before its request
leaves, a query keeps its interval, a token one request at a time, a day its ceiling; pauses
and polling hours hold a tool back as they hold the exporter. What is held back is a value.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from exporter.config import (
    Operation,
    Skill,
    TokenUnreadable,
    token_digest,
)
from exporter.config.hours import OpenHours
from exporter.errors import Reason, WolkvoxError
from exporter.logs import SECRETS
from exporter.polling import schedule
from exporter.polling.attempt import Attempts, Call, Closed, Departure, Order
from exporter.polling.budget import Budget
from exporter.polling.observer import Observer
from exporter.polling.roster import remembered_skills
from exporter.polling.schedule import Pause
from exporter.polling.task import open_day
from exporter.state.identity import Identity
from exporter.state.locks import TokenGate
from exporter.state.models import ForeignToken, QueryMemory, Spent, Stored, TooEarly
from exporter.state.storage import State
from exporter.times import Clock
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.windows import day_start, local_day, next_day_start

PAUSING = (Reason.UNAUTHORIZED, Reason.QUOTA)
_MARGIN = 0.005  # seconds: the clock of the file and that of the sleep differ by less


class Why(StrEnum):
    """What holds a question back."""

    RECENT = "recent"
    CLOSING = "closing"
    HOURS = "hours"
    BUDGET = "budget"
    QUOTA = "quota"
    UNAUTHORIZED = "unauthorized"


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing was sent: why, for how many seconds yet, and when it was asked last (epoch)."""

    why: Why
    wait: float
    last_at: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A question that was sent (or had no token to be sent with), and how it ended.

    `seconds` is how long the answer took.
    """

    answer: object | None
    error: WolkvoxError | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the state file says of one query."""

    stored: Stored
    memory: QueryMemory | None


Connect = Callable[[Operation, Clock], WolkvoxClient]


@dataclass(frozen=True, slots=True)
class Means:
    """What a tool is given: the clock, how to connect, and the exporter's state directory.

    `exporter_runs` tells whether an exporter lives on that directory.
    """

    clock: Clock
    connect: Connect
    directory: Path
    exporter_runs: Callable[[], bool]


class Unheard(Observer):
    """An observer that nobody listens to: a tool shows no metrics."""


def _no_closing(now: datetime) -> date | None:
    """A tool never closes a day: only the exporter keeps what the answer says."""
    return None


def _departed(departure: Departure) -> None:
    """Take no note of a request that leaves: its answer is waited for."""


class Turn(TokenGate):
    """The token's turn, taken a moment early and held until `not_before` (epoch seconds).

    An exporter that is due at the same moment then comes second, instead of always first.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory, clock)
        self._now = clock.epoch
        self._sleep = clock.sleep
        self.not_before = 0.0

    @asynccontextmanager
    async def hold(self, digest: str) -> AsyncIterator[None]:
        """Wait for the token's turn, then for the moment; raises StorageError."""
        async with super().hold(digest):
            wait = self.not_before - self._now()
            if wait > 0:
                await self._sleep(wait)
            yield


class Desk:
    """Where a tool asks one operation; made by `opening.desks`, used inside its `client`."""

    def __init__(
        self,
        operation: Operation,
        identity: Identity,
        budget: Budget,
        state: State,
        means: Means,
    ) -> None:
        self.operation = operation
        self.identity = identity
        self.budget = budget
        self.client = means.connect(operation, means.clock)
        self.exporter_runs = means.exporter_runs
        self._state = state
        self._clock = means.clock
        self._hours = OpenHours(operation.poll_hours, operation.timezone)
        self._turn = Turn(means.directory, means.clock)
        self._attempts = Attempts(
            operation=identity.id,
            zone=operation.timezone,
            hours=self._hours,
            client=self.client,
            state=state,
            gate=self._turn,
            budget=budget,
            clock=means.clock,
            observer=Unheard(),  # type: ignore[abstract]  # its bodies are empty on purpose
        )

    async def ask(
        self, report: str, skill_id: str, gap: float, call: Call, *, not_before: float = 0.0
    ) -> Reply | Held:
        """Ask once, `gap` seconds after the query's last attempt at the earliest.

        The token's turn is held until `not_before` (epoch seconds). Raises StorageError,
        and then nothing was sent.
        """
        known = await self.known(skill_id)
        held = await self._held(skill_id, gap, known, not_before)
        if held is not None:
            return held
        try:
            secret = self.operation.token.read()
        except TokenUnreadable as error:
            return Reply(None, WolkvoxError(Reason.UNAUTHORIZED, str(error), reached=False), 0)
        token, digest = secret.get_secret_value(), token_digest(secret)
        SECRETS.add(token)
        order = Order(report, skill_id, None, gap, _no_closing, _departed)
        self._turn.not_before = not_before + _MARGIN if not_before else 0.0
        started = self._clock.monotonic()
        outcome = await self._attempts.send(token, digest, order, call)
        if isinstance(outcome, TooEarly):
            left = outcome.last_at + gap - self._clock.epoch()
            return Held(Why.RECENT, max(0.0, left), outcome.last_at)
        if isinstance(outcome, Closed):
            return Held(Why.HOURS, outcome.wait)
        if isinstance(outcome, ForeignToken):
            return Reply(
                None, WolkvoxError(Reason.UNAUTHORIZED, str(outcome), reached=False), 0
            )
        if isinstance(outcome, Spent):
            return Held(Why.BUDGET, self._until_next_day(self.budget))
        await self._note_pause(outcome.error, digest, outcome.started_at)
        seconds = self._clock.monotonic() - max(started, outcome.started)
        return Reply(outcome.answer, outcome.error, seconds)

    async def known(self, skill_id: str) -> Known:
        """What the state file says of a query now."""
        row = self.identity.id
        return await self._state.write(
            lambda db: Known(db.stored(row, skill_id), db.memory(row, skill_id))
        )

    async def attempted(self, skill_ids: Iterable[str]) -> dict[str, float | None]:
        """When each query was asked last, by whomever (epoch seconds)."""
        row, wanted = self.identity.id, tuple(skill_ids)
        return await self._state.write(
            lambda db: {one: db.stored(row, one).last_at for one in wanted}
        )

    async def used_today(self) -> int:
        """The calls of the token's day so far."""
        account = self.budget.account
        today = local_day(self._clock.now(), self.budget.zone)
        used = await self._state.write(lambda db: db.used(account, today))
        self.budget.note(used, today)
        return used

    async def load_fact(self, name: str) -> Any:
        """A small fact about the operation that was kept; None where there is none."""
        row = self.identity.id
        return await self._state.write(lambda db: db.load_fact(row, name))

    async def save_fact(self, name: str, data: Any) -> None:
        """Keep a small fact about the operation."""
        row = self.identity.id
        await self._state.write(lambda db: db.save_fact(row, name, data))

    async def skills(self) -> tuple[Skill, ...]:
        """The configured skills, or those that were discovered before."""
        if not self.operation.discover:
            return self.operation.skills
        return await self.discovered()

    async def discovered(self) -> tuple[Skill, ...]:
        """The skills of the last discovery, by whomever; none where there was none."""
        return tuple(remembered_skills(await self.load_fact("skills")))

    # What holds a question back ----------------------------------------------------------

    async def _held(
        self, skill_id: str, gap: float, known: Known, not_before: float
    ) -> Held | None:
        now, at = self._clock.now(), known.stored.last_at
        moment = max(now.timestamp(), not_before)
        if paused := await self._paused():
            return paused
        if (recent := schedule.wait_after_restart(at, moment, gap)) > 0:
            return Held(Why.RECENT, recent, at)
        if (closed := self._hours.wait(now)) > 0:
            return Held(Why.HOURS, closed)
        return self._exporter_closes(skill_id, gap, known, now)

    def _exporter_closes(
        self, skill_id: str, gap: float, known: Known, now: datetime
    ) -> Held | None:
        """After midnight a running exporter asks first: it closes the day by that call."""
        if self._closing(skill_id, known, now) is None:
            return None
        zone = self.operation.timezone
        midnight = day_start(local_day(now, zone), zone)
        left = (midnight - now) / timedelta(seconds=1) + 2 * gap
        return Held(Why.CLOSING, left) if left > 0 and self.exporter_runs() else None

    def _closing(self, skill_id: str, known: Known, now: datetime) -> date | None:
        """The finished day that the exporter is yet to close by a call of its own."""
        if skill_id.startswith("#"):
            return None
        zone = self.operation.timezone
        memory = known.memory or QueryMemory()
        return open_day(known.stored, memory, local_day(now, zone), zone)

    async def _paused(self) -> Held | None:
        pause = await self._pause()
        if pause is None or pause.over(self._today(), self.operation.token.digest()):
            return None
        wait = pause.wait(self._clock.epoch())
        return Held(Why(str(pause.reason)), wait) if wait > 0 else None

    async def _note_pause(self, error: WolkvoxError | None, digest: str, asked: float) -> None:
        """Begin, lengthen or end the pause, as the exporter does after each attempt.

        A refusal belongs to the day in which the request left (`asked`, epoch seconds).
        """
        before = await self._pause()
        if error is None and before is None:
            return
        data = None
        if error is not None:
            paused = before.reason if before is not None else None
            reason = error.reason if error.reason in PAUSING else paused
            if reason is None or not error.reached:
                return
            now, interval = self._clock.epoch(), self.operation.interval
            day = local_day(datetime.fromtimestamp(asked, UTC), self.operation.timezone)
            data = schedule.next_pause(before, reason, now, day, interval, digest).to_json()
        await self.save_fact("pause", data)

    async def _pause(self) -> Pause | None:
        return Pause.from_json(await self.load_fact("pause"))

    def _today(self) -> date:
        return local_day(self._clock.now(), self.operation.timezone)

    def _until_next_day(self, budget: Budget) -> float:
        now = self._clock.now()
        return (next_day_start(now, budget.zone) - now) / timedelta(seconds=1)
