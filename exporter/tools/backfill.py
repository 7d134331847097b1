"""Past days of one operation, one call per skill and day; writes no output, shows nothing.

A call for a past day is an attempt of its query like any other: at least the interval lies
between it and the exporter's own polls of that skill. Beside a running exporter it takes
the place of one poll, and the exporter has the next turn of that skill; so the day costs no
more calls than the exporter's plan, and no skill misses two polls in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from exporter.config import Skill
from exporter.errors import Reason, WolkvoxError
from exporter.polling.limits import Why
from exporter.polling.request import SKILL_11
from exporter.times import Clock
from exporter.tools.asking import Desk, Held, Reply
from exporter.tools.backfill_progress import Progress
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import Window, next_day_start, whole_day

DEFAULT_PACE = 300.0
TRIES = 3
FAILURES_IN_A_ROW = 5
_AHEAD = 2.0  # seconds before its moment at which a call queues for the token
_LOOK = 60.0  # seconds after which a wait is thought over: the exporter may have polled
_ENDING = (Why.BUDGET, Why.QUOTA, Why.UNAUTHORIZED)


@dataclass(frozen=True, slots=True)
class Call:
    """One skill on one day."""

    skill: Skill
    day: date


def calls_for(skills: Sequence[Skill], days: Sequence[date], progress: Progress) -> list[Call]:
    """What is still to be asked, day by day, so that no skill comes twice in a row."""
    return [
        Call(skill, day)
        for day in days
        for skill in skills
        if (skill.id, day) not in progress.done
    ]


def days_between(first: date, last: date) -> list[date]:
    """Both ends included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill costs: seconds, and calls against what is left of today's budget.

    `today` is how many calls fit into what is left of the day at the pace; `room` how many
    the budget still allows (None: no ceiling is configured); `next_day` when there is a new
    budget.
    """

    calls: int
    pace: float
    used: int
    ceiling: int | None
    today: int
    next_day: datetime

    @property
    def seconds(self) -> float:
        """How long it takes at the least."""
        return max(0, self.calls - 1) * self.pace

    @property
    def room(self) -> int | None:
        """Calls that are left of the day's budget."""
        return None if self.ceiling is None else max(0, self.ceiling - self.used)

    @property
    def fits(self) -> bool:
        """Whether the budget holds what would be asked today."""
        return self.room is None or min(self.calls, self.today) <= self.room


async def make_plan(desk: Desk, calls: int, pace: float, now: datetime) -> Plan:
    """The plan at this moment; raises StorageError."""
    following = next_day_start(now, desk.budget.zone)
    left = (following - now) / timedelta(seconds=1)
    today = calls if pace == 0 else int(left // pace) + 1
    used = await desk.used_today()
    zone = desk.operation.timezone
    return Plan(calls, pace, used, desk.budget.ceiling, today, following.astimezone(zone))


class End(StrEnum):
    """How a run ended."""

    DONE = "done"
    STOPPED = "stopped"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ended:
    """How, and for HELD and FAILED why; `missing` calls had no answer after three tries."""

    end: End
    held: Held | None = None
    error: WolkvoxError | None = None
    missing: tuple[Call, ...] = ()


Told = Callable[[str, int], None]
"""Is told what happens, and how many calls are left."""


@dataclass(slots=True)
class Backfill:
    """One run over the calls that are pending; `stopping` ends it after the call under way."""

    desk: Desk
    progress: Progress
    pace: float
    clock: Clock
    stopping: asyncio.Event
    told: Told
    pending: list[Call]
    _next: float = 0.0
    _in_a_row: int = 0
    _tries: dict[Call, int] = field(default_factory=dict)
    _ours: dict[str, float | None] = field(default_factory=dict)
    _missing: list[Call] = field(default_factory=list)

    async def run(self) -> Ended:
        """Ask until all is answered or something ends it; raises StorageError."""
        self._next = min(self.progress.last_at, self.clock.epoch()) + self.pace
        while self.pending and not self.stopping.is_set():
            call, moment = await self._choose()
            wait = moment - self.clock.epoch()
            if wait > _AHEAD:
                self.told("waiting", len(self.pending))
                await self._pause(min(wait - _AHEAD, _LOOK))
                continue
            if ended := await self._ask(call, moment):
                return ended
        end = End.STOPPED if self.pending else End.FAILED if self._missing else End.DONE
        return Ended(end, missing=tuple(self._missing))

    async def _choose(self) -> tuple[Call, float]:
        """The call that may be made first, and its moment in epoch seconds."""
        first: dict[str, Call] = {}
        for call in self.pending:
            first.setdefault(call.skill.id, call)
        attempted = await self.desk.attempted(first)
        beside = self.desk.exporter_runs()
        now = self.clock.epoch()
        moments = {
            call: max(now, self._next, self._ready(call.skill, attempted[skill_id], beside))
            for skill_id, call in first.items()
        }
        return min(moments.items(), key=lambda one: one[1])

    def _ready(self, skill: Skill, at: float | None, beside: bool) -> float:
        """When the query may be asked again; after our own call the exporter has its turn."""
        if at is None:
            return 0.0
        gap = self._gap(skill)
        if beside and self._ours.get(skill.id) == at and gap >= self._interval(skill):
            limits = self.desk.budget.limits(self.clock.now())
            return at + 2 * limits.interval(gap) + _LOOK
        return at + gap

    def _interval(self, skill: Skill) -> float:
        return skill.interval or self.desk.operation.interval

    def _gap(self, skill: Skill) -> float:
        interval = self._interval(skill)
        return min(interval, self.pace) if self.desk.operation.loopback else interval

    async def _ask(self, call: Call, moment: float) -> Ended | None:
        async def ask(client: WolkvoxClient, token: str, _: Window) -> SkillReport:
            return await client.skill_11(token, call.skill.id, whole_day(call.day))

        skill = call.skill
        reply = await self.desk.ask(
            SKILL_11, skill.id, self._gap(skill), ask, not_before=moment
        )
        if isinstance(reply, Held):
            return await self._held(reply)
        at = (await self.desk.attempted([skill.id]))[skill.id]
        self._ours[skill.id] = at
        asked_at = at or self.clock.epoch()  # a connection never made is on no record
        self._next = asked_at + self.pace
        return self._ended(call, reply, asked_at)

    async def _held(self, held: Held) -> Ended | None:
        if held.why in _ENDING:
            return Ended(End.HELD, held=held)
        if held.why is not Why.RECENT:  # that is looked up again by `_choose`
            self.told(str(held.why), len(self.pending))
            await self._pause(min(held.wait, _LOOK))
        return None

    def _ended(self, call: Call, reply: Reply, at: float) -> Ended | None:
        self.pending.remove(call)
        if isinstance(reply.answer, SkillReport):
            self._in_a_row = 0
            self.progress.add(call.skill.id, call.day, at, reply.answer.channels)
            text = "fine" if reply.answer.channels else "no rows"
            self.told(f"{call.skill.id} {call.day} {text}", len(self.pending))
            return None
        error = reply.error or WolkvoxError(Reason.INTERNAL, "no answer")
        self._in_a_row += 1
        self._tries[call] = self._tries.get(call, 0) + 1
        again = self.pending if self._tries[call] < TRIES else self._missing
        again.append(call)
        self.told(f"{call.skill.id} {call.day} {error.reason}", len(self.pending))
        hopeless = error.reason in (Reason.QUOTA, Reason.UNAUTHORIZED)
        if hopeless or self._in_a_row >= FAILURES_IN_A_ROW:
            return Ended(End.FAILED, error=error, missing=tuple(self._missing))
        return None

    async def _pause(self, seconds: float) -> None:
        """Sleep, or return as soon as the run is to stop."""
        waits = {
            asyncio.ensure_future(self.clock.sleep(seconds)),
            asyncio.ensure_future(self.stopping.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
