"""One call per configured query and a verdict for each; shows nothing itself.

A query that was asked less than its interval ago is not asked again: where the exporter's
own answer is in the state file, that one is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from exporter.config import Operation, Skill
from exporter.errors import Reason, WolkvoxError
from exporter.polling.limits import Why
from exporter.polling.request import SKILL_11
from exporter.times import Clock
from exporter.tools.asking import Desk, Held, Known
from exporter.tools.denominator import Finding, find_denominator
from exporter.tools.recording import Recorder
from exporter.tools.skills import Listing, list_skills
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import ChannelFigures, SkillReport, read_report
from exporter.wolkvox.secrets import scrub
from exporter.wolkvox.windows import Window, day_so_far, local_day

NO_REPORT = SkillReport((), (), 0)
PAUSE = 1.0  # seconds between two calls on one token; none on loopback
# What makes every further call of the operation end the same way.
_HOPELESS = (Reason.CONNECT, Reason.UNAUTHORIZED, Reason.QUOTA)


@dataclass(frozen=True, slots=True)
class Probed:
    """One query and its verdict; `good` where it is fine or empty.

    `verdict` is a key below `verdict` in messages.toml. `rows` are as sent, without the
    token. Times are seconds: `seconds` the answer took, `ago` since the last request, `wait`
    until the next one may leave.
    """

    operation: str
    server: str
    skill: Skill
    verdict: str
    good: bool = False
    asked: bool = False
    report: SkillReport = NO_REPORT
    rows: tuple[object, ...] = ()
    window: Window | None = None
    reason: Reason | None = None
    detail: str = ""
    seconds: float | None = None
    ago: float | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """All queries, and what the service level of their rows is a share of."""

    queries: tuple[Probed, ...]
    service_level: Finding

    @property
    def good(self) -> bool:
        """Whether every query is fine or empty."""
        return all(one.good for one in self.queries)


Told = Callable[[str], None]
"""Is told each query as its turn comes."""


class Prober:
    """Asks every query of some desks, one after the other for each token."""

    def __init__(self, clock: Clock, recorder: Recorder | None, told: Told) -> None:
        self._clock = clock
        self._recorder = recorder
        self._told = told

    async def run(self, desks: Iterable[Desk]) -> Result:
        """Ask; raises StorageError where an attempt cannot be noted."""
        tokens: dict[tuple[int, ...], list[Desk]] = {}
        order = []
        for desk in desks:
            order.append(desk.operation.name)
            tokens.setdefault(desk.budget.account, []).append(desk)
        found: dict[str, list[Probed]] = {}
        async with asyncio.TaskGroup() as group:
            for sharing in tokens.values():
                group.create_task(self._token(sharing, found))
        queries = tuple(probed for name in order for probed in found[name])
        told = [row for one in queries for row in _single_rows(one.rows)]
        return Result(queries, find_denominator(told))

    async def _token(self, desks: Sequence[Desk], found: dict[str, list[Probed]]) -> None:
        for desk in desks:
            async with desk.client:
                found[desk.operation.name] = await self._operation(desk)

    async def _operation(self, desk: Desk) -> list[Probed]:
        operation = desk.operation
        skills = await desk.skills()
        if not skills:
            skills, failed = await self._discover(desk)
            if failed is not None:
                return [failed]
        found: list[Probed] = []
        hopeless: Probed | None = None
        for skill in skills:
            if hopeless is not None:
                found.append(replace(hopeless, skill=skill, asked=False, verdict="after"))
                continue
            self._told(f"{operation.name} {skill.name}")
            found.append(await self._query(desk, skill))
            if found[-1].reason in _HOPELESS:
                hopeless = found[-1]
            if found[-1].asked and not operation.loopback:
                await self._clock.sleep(PAUSE)
        return found

    async def _discover(self, desk: Desk) -> tuple[tuple[Skill, ...], Probed | None]:
        operation = desk.operation
        self._told(operation.name)
        now = self._clock.epoch()
        listing = await list_skills(desk, now)
        none = Skill("", "(skills)")
        if isinstance(listing, Held):
            return (), held_back(operation, none, listing, now)
        if isinstance(listing, Listing) and listing.skills:
            return tuple(Skill(one.id, one.name) for one in listing.skills), None
        if isinstance(listing, Listing):
            listing = WolkvoxError(Reason.NOT_FOUND, "the operation has no skills")
        return (), failed(operation, none, listing)

    async def _query(self, desk: Desk, skill: Skill) -> Probed:
        operation = desk.operation
        asked: list[Window] = []

        async def call(client: WolkvoxClient, token: str, _: Window) -> object:
            # Always today's figures, also where the exporter would close yesterday.
            asked.append(day_so_far(self._clock.now(), operation.timezone))
            with self._recorded(client, operation, skill, asked[0]):
                rows = await client.skill_11_rows(token, skill.id, asked[0])
            return rows, tuple(_as_sent(row, token) for row in rows)

        gap = skill.interval or operation.interval
        reply = await desk.ask(SKILL_11, skill.id, gap, call)
        if isinstance(reply, Held):
            return await self._not_asked(desk, skill, reply)
        if reply.error is not None or not isinstance(reply.answer, tuple):
            error = reply.error or WolkvoxError(Reason.INTERNAL, "no answer")
            return replace(
                failed(operation, skill, error), asked=bool(asked), seconds=reply.seconds
            )
        rows, shown = reply.answer
        report = read_report(rows)
        verdict = "unreadable" if report.errors else "fine" if report.channels else "no_rows"
        return Probed(
            operation.name,
            operation.server,
            skill,
            verdict,
            good=True,
            asked=True,
            report=report,
            rows=shown,
            window=asked[0],
            seconds=reply.seconds,
        )

    @contextmanager
    def _recorded(
        self, client: WolkvoxClient, operation: Operation, skill: Skill, window: Window
    ) -> Iterator[None]:
        if self._recorder is None:
            yield
            return
        entry = self._recorder.begin(operation, skill, window)
        client.witness = entry.saw
        try:
            yield
        except WolkvoxError as error:
            entry.reason = error.reason
            raise

    async def _not_asked(self, desk: Desk, skill: Skill, held: Held) -> Probed:
        now = self._clock.epoch()
        back = held_back(desk.operation, skill, held, now)
        known = await desk.known(skill.id)
        if held.why is Why.RECENT and _answers(known):
            assert known.memory is not None  # noqa: S101 - `_answers` looked
            today = local_day(self._clock.now(), desk.operation.timezone)
            result = known.memory.today
            channels = result.channels if result is not None and result.day == today else ()
            report = SkillReport(channels, (), 0)
            return replace(back, verdict="known", good=True, report=report)
        return back


def _answers(known: Known) -> bool:
    """Whether the last attempt is one of the exporter's, and succeeded."""
    memory, at = known.memory, known.stored.attempt_at
    if memory is None or memory.last_success_at is None or at is None:
        return False
    return memory.failures == 0 and memory.last_success_at >= at


def held_back(operation: Operation, skill: Skill, held: Held, now: float) -> Probed:
    """The verdict on a query that was not asked."""
    paused = held.why in (Why.QUOTA, Why.UNAUTHORIZED)
    return Probed(
        operation.name,
        operation.server,
        skill,
        f"held.{held.why}" if paused else str(held.why),
        reason=Reason(str(held.why)) if paused else None,
        wait=held.wait,
        ago=None if held.last_at is None else max(0.0, now - held.last_at),
    )


def failed(operation: Operation, skill: Skill, error: WolkvoxError) -> Probed:
    """The verdict on a query that gave no answer."""
    return Probed(
        operation.name,
        operation.server,
        skill,
        error.kind,
        reason=error.reason,
        detail=error.detail,
    )


def _as_sent(row: object, token: str) -> object:
    """A row without anything of the token; what is nested in it is only named."""
    if isinstance(row, Mapping):
        return {scrub(str(key), token): _cell(value, token) for key, value in row.items()}
    return _cell(row, token)


def _cell(value: object, token: str) -> object:
    if isinstance(value, str):
        return scrub(value, token)
    if isinstance(value, dict):
        return "[an object]"
    return "[a list]" if isinstance(value, list) else value


def _single_rows(rows: Iterable[object]) -> Iterable[ChannelFigures]:
    """Each row by itself: merged rows would no longer be what the API computed."""
    for row in rows:
        yield from read_report([row]).channels
