"""One question of a tool under the exporter's own rules; decides what to ask of nobody.

Beside a running exporter or without one: an attempt is on the disk before its request
leaves, a query keeps its interval, a token one request at a time, a day its ceiling; pauses
and polling hours hold a tool back as they hold the exporter. What is held back is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exporter.config import Operation, Skill
from exporter.config.hours import OpenHours
from exporter.errors import Reason, WolkvoxError
from exporter.polling import limits
from exporter.polling.limits import Budget, Facts, HeldBack, Pause, Wait, Why, day_to_close
from exporter.polling.request import Call, Requests, Token, read_token
from exporter.polling.tasks import remembered_skills
from exporter.runtime import Clock
from exporter.state.identity import Identity
from exporter.state.locks import TokenGate
from exporter.state.models import QueryMemory, Stored
from exporter.state.storage import State
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.windows import day_so_far, day_start, local_day

_MARGIN = 0.005  # seconds: the clock of the file and that of the sleep differ by less


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


class Desk:
    """Where a tool asks one operation; made by `session.desks`, used inside its `client`."""

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
        gate = TokenGate(means.directory, means.clock)
        self._requests = Requests(identity, self.client, state, gate, budget, means.clock)

    async def ask(
        self, skill_id: str, gap: float, call: Call, *, not_before: float = 0.0
    ) -> Reply | Held:
        """Ask once, `gap` seconds after the query's last attempt at the earliest.

        The token's turn is taken a moment early and held until `not_before` (epoch seconds):
        an exporter that is due at the same moment then comes second, instead of always
        first. Raises StorageError, and then nothing was sent.
        """
        token = read_token(self.operation.token)
        moment = max(self._clock.epoch(), not_before)
        try:
            await self._require(skill_id, gap, token, moment)
            async with self._requests.gate.hold(token.digest):
                wait = not_before + _MARGIN - self._clock.epoch()
                if not_before and wait > 0:
                    await self._clock.sleep(wait)
                now = self._clock.now()
                await self._require(skill_id, gap, token, now.timestamp())
                window = day_so_far(now, self.operation.timezone)
                request = await self._requests.begin(skill_id, now, window, token, gap=gap)
                answer = await self._requests.fetch(request, token, call)
        except HeldBack as held:
            return await self._held(skill_id, held)
        except WolkvoxError as error:  # from `fetch` alone: there is a request
            await self._note_pause(error, token, request.asked_at)
            return Reply(None, error, request.seconds)
        await self._note_pause(None, token, request.asked_at)
        return Reply(answer, None, request.seconds)

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

    # What holds a request back -----------------------------------------------------------

    async def _require(self, skill_id: str, gap: float, token: Token, moment: float) -> None:
        """Raise HeldBack where the query may not be asked at that moment (epoch seconds)."""
        now = datetime.fromtimestamp(moment, UTC)
        known, pause = await self.known(skill_id), await self._pause()
        await self.used_today()
        last_at = known.stored.last_at
        facts = Facts(
            interval=gap,
            age=None if last_at is None else moment - last_at,
            budget=self.budget,
            hours=self._hours,
            zone=self.operation.timezone,
            token=token.digest or None,
            pause=pause,
            pause_left=pause.wait(moment) if pause is not None else 0.0,
            exporter_first=self._exporter_first(skill_id, gap, known, now),
        )
        verdict = limits.may_ask(facts, now)
        if isinstance(verdict, Wait):
            raise HeldBack(verdict, token.error)

    def _exporter_first(self, skill_id: str, gap: float, known: Known, now: datetime) -> float:
        """Seconds after midnight in which a running exporter closes the day by its request."""
        zone, memory = self.operation.timezone, known.memory or QueryMemory()
        if skill_id.startswith("#") or day_to_close(known.stored, memory, now, zone) is None:
            return 0.0
        midnight = day_start(local_day(now, zone), zone)
        left = (midnight - now) / timedelta(seconds=1) + 2 * gap
        return left if left > 0 and self.exporter_runs() else 0.0

    async def _held(self, skill_id: str, held: HeldBack) -> Reply | Held:
        wait = held.wait
        if wait.why is Why.TOKEN:
            error = WolkvoxError(Reason.UNAUTHORIZED, held.detail, reached=False)
            return Reply(None, error, 0.0)
        recent = wait.why is Why.RECENT
        last_at = (await self.attempted([skill_id]))[skill_id] if recent else None
        return Held(wait.why, max(0.0, wait.until - self._clock.epoch()), last_at)

    async def _note_pause(
        self, error: WolkvoxError | None, token: Token, asked: datetime
    ) -> None:
        """Begin, lengthen or end the pause, as the exporter does after each attempt."""
        before, now = await self._pause(), self._clock.epoch()
        day, interval = local_day(asked, self.operation.timezone), self.operation.interval
        pause = limits.pause_after(before, error, now, day, interval, token.digest)
        if pause is not before:
            await self.save_fact("pause", pause.to_json() if pause is not None else None)

    async def _pause(self) -> Pause | None:
        return Pause.from_json(await self.load_fact("pause"))
