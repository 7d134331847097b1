"""Session of a tool with an operation: requests under the rules of the exporter.

Beside a running exporter or without one: an attempt is on the disk before its request
leaves, a query keeps its interval, a token one request at a time, a day its ceiling; pauses
and polling hours hold a tool back as they hold the exporter.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from exporter.config import Configuration, Operation, Skill
from exporter.config.hours import OpenHours
from exporter.errors import Reason, StartError, WolkvoxError
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.operations import connect
from exporter.polling import limits
from exporter.polling.choice import day_to_close
from exporter.polling.limits import Budget, Facts, HeldBack, Pause, Wait, Why
from exporter.polling.request import Request, Requests, Token, read_token
from exporter.polling.tasks import remembered_skills
from exporter.runtime import Clock
from exporter.state.identity import claims_of
from exporter.state.locks import DirectoryLock, TokenGate
from exporter.state.models import QueryMemory
from exporter.state.storage import FILE_NAME, State, Storage
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.text import one_line
from exporter.wolkvox.windows import day_so_far, day_start, local_day

_MARGIN = 0.005  # seconds: the clock of the file and that of the sleep differ by less
T = TypeVar("T")
Connect = Callable[[Operation, Clock], WolkvoxClient]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a query stands: `key` is a key below `verdict` in messages.toml.

    `unreadable` counts cells. Times are seconds: `ago` since the last request, `wait` until
    the next one may leave.
    """

    key: str
    good: bool = False
    reason: Reason | None = None
    detail: str = ""
    unreadable: int = 0
    ago: float | None = None
    wait: float | None = None

    def texts(self, words: Words) -> tuple[str, str]:
        """The message, and the advice, which may be empty."""
        values = {
            "count": self.unreadable,
            "ago": words.age(self.ago or 0.0),
            "wait": words.span(self.wait or 0.0),
            "reason": self.reason and words.text(f"verdict.{self.reason}"),
        }
        return words.text(f"verdict.{self.key}", **values), words.advice(self.key, **values)

    def sentence(self, words: Words) -> str:
        """The message, the advice, and what the server or the machine answered."""
        parts = [*self.texts(words)]
        if self.detail and self.key != "after":
            parts.append(f"({shown(self.detail, 300)})")
        return ". ".join(part.removesuffix(".") for part in parts if part)


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """How a request ended; without `request` nothing was sent, without `answer` it failed."""

    verdict: Verdict
    request: Request | None = None
    answer: T | None = None


@dataclass(frozen=True, slots=True)
class Session(Requests):
    """Requests of a tool to one operation, judged as the exporter's own are."""

    operation: Operation
    directory: Path

    async def ask(
        self,
        skill_id: str,
        gap: float,
        call: Callable[[WolkvoxClient, str, Request], Awaitable[T]],
        *,
        not_before: float = 0.0,
    ) -> Reply[T]:
        """Send one request, `gap` seconds after the query's last attempt at the earliest.

        The token's turn is taken a moment early and held until `not_before` (epoch seconds):
        an exporter that is due at the same moment then comes second, instead of always
        first. Raises StorageError, and then nothing was sent.
        """
        token, clock = read_token(self.operation.token), self.clock
        try:
            await self._require(skill_id, gap, token, max(clock.epoch(), not_before))
            async with self.gate.hold(token.digest):
                wait = not_before + _MARGIN - clock.epoch()
                if not_before and wait > 0:
                    await clock.sleep(wait)
                now = clock.now()
                await self._require(skill_id, gap, token, now.timestamp())
                window = day_so_far(now, self.operation.timezone)
                request = await self.begin(skill_id, now, window, token, gap=gap)
                answer = await self.fetch(request, token, call)
        except HeldBack as held:
            return Reply(self._why_not(held))
        except WolkvoxError as error:  # from `fetch` alone: there is a request
            await self._note_pause(error, token, request)
            verdict = Verdict(error.kind, reason=error.reason, detail=error.detail)
            return Reply(verdict, request)
        await self._note_pause(None, token, request)
        return Reply(Verdict("fine", good=True), request, answer)

    def exporter_runs(self) -> bool:
        """Whether an exporter runs on the state directory; raises StartError, StorageError."""
        return DirectoryLock.is_held(self.directory)

    async def used_today(self) -> int:
        """Count the requests of the token's day so far."""
        account, today = self.budget.account, local_day(self.clock.now(), self.budget.zone)
        used = await self.state.write(lambda db: db.used(account, today))
        self.budget.counted = used, today
        return used

    async def known_skills(self) -> tuple[Skill, ...]:
        """The configured skills, or those of the last discovery; none where there was none."""
        if not self.operation.discover:
            return self.operation.skills
        found = await self.state.write(lambda db: db.load_fact(self.identity.id, "skills"))
        return tuple(remembered_skills(found))

    async def _require(self, skill_id: str, gap: float, token: Token, moment: float) -> None:
        """Raise HeldBack where the query may not be asked at that moment (epoch seconds)."""
        row, zone = self.identity.id, self.operation.timezone
        now = datetime.fromtimestamp(moment, UTC)
        stored, memory, noted = await self.state.write(
            lambda db: (
                db.stored(row, skill_id),
                db.memory(row, skill_id) or QueryMemory(),
                db.load_fact(row, "pause"),
            )
        )
        await self.used_today()
        pause, exporter_first = Pause.from_json(noted), 0.0
        # After midnight a running exporter closes the day by its request.
        if not skill_id.startswith("#") and day_to_close(stored, memory, now.astimezone(zone)):
            since = (now - day_start(local_day(now, zone), zone)) / timedelta(seconds=1)
            if since < 2 * gap and self.exporter_runs():
                exporter_first = 2 * gap - since
        facts = Facts(
            interval=gap,
            age=None if stored.last_at is None else moment - stored.last_at,
            budget=self.budget,
            hours=OpenHours(self.operation.poll_hours, zone),
            zone=zone,
            token=token.digest or None,
            pause=pause,
            pause_left=pause.wait(moment) if pause is not None else 0.0,
            exporter_first=exporter_first,
        )
        verdict = limits.may_ask(facts, now)
        if isinstance(verdict, Wait):
            raise HeldBack(replace(verdict, last_at=stored.last_at), token.error)

    def _why_not(self, held: HeldBack) -> Verdict:
        """The verdict on a request that did not leave."""
        why, last_at, now = held.wait.why, held.wait.last_at, self.clock.epoch()
        left = max(0.0, held.wait.until - now)
        if why is Why.TOKEN:
            return Verdict("unauthorized", reason=Reason.UNAUTHORIZED, detail=held.detail)
        if why in (Why.QUOTA, Why.UNAUTHORIZED):
            return Verdict(f"held.{why}", reason=Reason(str(why)), wait=left)
        ago = None if last_at is None or why is not Why.RECENT else max(0.0, now - last_at)
        return Verdict(str(why), ago=ago, wait=left)

    async def _note_pause(
        self, error: WolkvoxError | None, token: Token, request: Request
    ) -> None:
        """Begin, lengthen or end the pause, as the exporter does after each attempt."""
        now, interval = self.clock.epoch(), self.operation.interval
        day = local_day(request.asked_at, self.operation.timezone)

        def note(db: Storage) -> None:
            row = self.identity.id
            before = Pause.from_json(db.load_fact(row, "pause"))
            pause = limits.pause_after(before, error, now, day, interval, token.digest)
            if pause is not before:
                db.save_fact(row, "pause", pause and pause.to_json())

        await self.state.write(note)


@asynccontextmanager
async def sessions(
    configuration: Configuration, directory: Path, clock: Clock, connect: Connect = connect
) -> AsyncIterator[Mapping[str, Session]]:
    """Open a session with each operation, by name, on the exporter's state directory.

    Raises ConfigError (a proxy that cannot be used), StartError and StorageError.
    """
    check_owner(directory)
    if DirectoryLock.is_held(directory) and not (directory / FILE_NAME).exists():
        raise StartError("missing", path=directory / FILE_NAME)
    budgets: dict[tuple[int, ...], Budget] = {}
    opened: dict[str, Session] = {}
    gate = TokenGate(directory, clock)
    with closing(Storage.open(directory, clock.epoch)) as storage:
        claims, state = claims_of(configuration), State(storage)
        identities = await state.write(lambda db: db.claim(claims))
        async with AsyncExitStack() as clients:
            for one in configuration.operations:
                identity, client = identities[one.name], connect(one, clock)
                await clients.enter_async_context(client)
                new = Budget(identity.account, one.daily_requests, one.timezone)
                budget = budgets.setdefault(identity.account, new)
                own = identity, client, state, gate, budget, clock
                opened[one.name] = Session(*own, one, directory)
            yield opened


def check_owner(directory: Path) -> None:
    """Refuse to work as root on another user's state: files of root would lock it out."""
    try:
        owner = directory.stat().st_uid
    except OSError:
        return
    if os.geteuid() == 0 and owner != 0:
        raise StartError("owner", directory=directory, owner=owner)


def shown(text: str, limit: int) -> str:
    """Foreign text on one line, fit for a terminal, without any token."""
    return one_line(SECRETS.scrub(text), limit)


def titled(skill: Skill, *before: str) -> str:
    """A skill's id and, where it has one, its name, on one line."""
    names = (skill.id,) if skill.name == skill.id else (skill.id, skill.name)
    return shown(" ".join((*before, *names)), 200)
