"""The contact centre of an operation: who arrives when and who waits how long, by the seed.

Repeatable: the same seed, switches and corrections give the same figures, and a scenario
changes nothing that happened before it. Moments are epoch seconds.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from heapq import heappop, heappush, heapreplace
from operator import itemgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

ALL = "all"
DAY = timedelta(1)
_STEP = 1800.0
# Weight of each local hour: mornings and afternoons busy, a dip at lunch, quiet nights.
_HOURS = (
    0.16, 0.12, 0.10, 0.10, 0.12, 0.20, 0.35, 0.60, 0.95, 1.30, 1.45, 1.35,
    1.00, 0.90, 1.20, 1.30, 1.25, 1.00, 0.80, 0.65, 0.50, 0.40, 0.30, 0.22,
)  # fmt: skip
_WEEKDAYS = (1.12, 1.0, 1.0, 1.0, 0.96, 0.6, 0.3)
# The part of the agents that stays in a collapse: hardly anybody is answered in time.
_COLLAPSED = 0.15


class Scenario(StrEnum):
    """What can be made to happen to everything, one operation or one skill."""

    HEALTHY = "healthy"
    COLLAPSE = "collapse"
    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    QUOTA = "quota"
    SLOW = "slow"
    UNAUTHORIZED = "unauthorized"
    SHORT_RANGES = "short-ranges"  # refuses what is longer than a day

    @property
    def is_fault(self) -> bool:
        """Whether it changes the API's answers only and leaves the contact centre alone."""
        return self not in {Scenario.HEALTHY, Scenario.COLLAPSE, Scenario.SILENCE}


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSkill:
    """One skill: its traffic and its staff.

    `channels` maps a channel to its mean number of interactions on a normal weekday.
    `agents` scales the staff: 1 is what the expected load needs, 0.8 a fifth too few.
    """

    id: str
    name: str
    channels: Mapping[str, float]
    agents: float = 1.0


@dataclass(frozen=True, slots=True)
class SimulatedOperation:
    """One customer operation, open around the clock.

    `name` is the first part of its own URL; below `/api/v2/` all operations share one URL
    and the token tells them apart. `used_elsewhere` is what other tokens of the operation
    have used of `daily_limit` today.
    """

    name: str
    token: str
    timezone: ZoneInfo
    skills: tuple[SimulatedSkill, ...]
    daily_limit: int = 1000
    used_elsewhere: int = 0

    def select(self, skill_id: str) -> tuple[SimulatedSkill, ...]:
        """Return the skills that an id means: every skill for `all`, or none."""
        return tuple(skill for skill in self.skills if skill_id in {ALL, skill.id})


class Figures(NamedTuple):
    """The interactions whose wait ended in a window; waits are summed in seconds.

    `within_10`, `within_20` and `within_30` count the answered that waited at most so long.
    """

    inbound: int = 0
    answered: int = 0
    abandoned: int = 0
    within_10: int = 0
    within_20: int = 0
    within_30: int = 0
    answer_wait_seconds: float = 0.0
    abandon_wait_seconds: float = 0.0


# When a wait ended, its seconds, and whether it was answered; of a day in their order.
_Waits = list[tuple[float, float, bool]]


def _count(waits: _Waits, start: float = -math.inf, end: float = math.inf) -> Figures:
    """Return the figures of what ended in [start, end)."""
    ended = waits[bisect_left(waits, (start,)) : bisect_left(waits, (end,))]
    answered = [wait for _, wait, is_answered in ended if is_answered]
    abandoned = [wait for _, wait, is_answered in ended if not is_answered]
    ten, twenty, thirty = (sum(wait <= most for wait in answered) for most in (10, 20, 30))
    counts = len(ended), len(answered), len(abandoned), ten, twenty, thirty
    return Figures(*counts, math.fsum(answered), math.fsum(abandoned))


class Centre:
    """Counts the interactions of one operation, with what was switched and corrected."""

    def __init__(self, operation: SimulatedOperation, seed: int) -> None:
        self.operation, self._seed = operation, seed
        # Each with its moment: the switches, and by channel and day the numbers taken back.
        self._switches: list[tuple[float, Scenario, str]] = []
        self._drops: dict[tuple[str, str, date], list[tuple[float, int]]] = {}
        # Today and yesterday are kept in detail, the other days of a month as totals.
        channels = sum(len(skill.channels) for skill in operation.skills)
        self._detail = lru_cache(2 * channels)(self._draw)
        self._total = lru_cache(40 * channels)(lambda *day: _count(self._draw(*day)))

    def switch(self, at: float, scenario: Scenario, skill_id: str) -> None:
        """Switch a skill, or `all`, to a scenario; for a skill the latest switch counts.

        A fault of the API leaves the contact centre as it was; any of the centre's own
        scenarios ends the fault.
        """
        self._switches.append((at, scenario, skill_id))
        self.forget()

    def fault(self, skill_id: str) -> Scenario | None:
        """Return the API's fault for a skill, or for requests about `all`."""
        covering = [one for _, one, switched in self._switches if switched in {ALL, skill_id}]
        return covering[-1] if covering and covering[-1].is_fault else None

    def drop(self, skill: SimulatedSkill, channel: str, count: int, before: float) -> int:
        """Take back the last interactions before a moment, of its day; return how many."""
        day = self._day(before)
        there = bisect_left(self._detail(skill, channel, day), (before,))
        self._drops.setdefault((skill.id, channel, day), []).append((before, count))
        self.forget()
        return min(count, there)

    def figures(
        self, skills: Iterable[SimulatedSkill], start: float, end: float
    ) -> Iterator[tuple[str, Figures]]:
        """Yield the figures of [start, end) by channel, one skill and day at a time."""
        day, last = self._day(start), self._day(end)
        while day <= last:
            begin, finish = _bounds(day, self.operation.timezone)
            for skill in skills:
                for channel in skill.channels:
                    if start <= begin and finish <= end:
                        yield channel, self._total(skill, channel, day)
                    else:
                        yield channel, _count(self._detail(skill, channel, day), start, end)
            day += DAY

    def last_use(self, skill: SimulatedSkill, before: float) -> float | None:
        """Return when a wait last ended in a skill, today or yesterday."""
        for day in (self._day(before), self._day(before) - DAY):
            channels = (self._detail(skill, one, day) for one in skill.channels)
            found = [w[at - 1][0] for w in channels if (at := bisect_left(w, (before,)))]
            if found:
                return max(found)
        return None

    def forget(self) -> None:
        """Free the memory of the days computed so far; they are computed anew when needed."""
        self._detail.cache_clear()
        self._total.cache_clear()

    def _day(self, at: float) -> date:
        return datetime.fromtimestamp(at, self.operation.timezone).date()

    def _draw(self, skill: SimulatedSkill, channel: str, day: date) -> _Waits:
        """Draw the arrivals of a day and serve them, first in, first out.

        Everything is drawn on arrival, needed or not, so that a scenario does not shift the
        draws of later arrivals. Waits end before midnight: each day can be computed alone.
        """
        name, zone = f"{self._seed}/{self.operation.name}", self.operation.timezone
        seed = f"{name}/{skill.id}/{channel}/{day}"
        rng = random.Random(seed)  # noqa: S311 - it has to be repeatable, not secret
        kind, closing = _kind(channel), _bounds(day, zone)[1]
        changes = [
            (at, scenario)
            for at, scenario, switched in self._switches
            if switched in {ALL, skill.id} and not scenario.is_fault
        ]
        waits: _Waits = []
        free: list[float] = []  # when each agent is free again
        for at, agents in _arrivals(skill, channel, day, zone, rng):
            patience = min(rng.expovariate(1 / kind.patience), 0.999 * (closing - at))
            pickup = kind.pickup * rng.uniform(0.3, 1.7)
            talk = kind.talk * rng.uniform(0.0, 2.0)
            place = bisect_right(changes, at, key=itemgetter(0))
            scenario = changes[place - 1][1] if place else Scenario.HEALTHY
            if scenario is Scenario.SILENCE:
                continue
            on_duty = int(agents * _COLLAPSED) if scenario is Scenario.COLLAPSE else agents
            while len(free) > on_duty:
                heappop(free)
            while len(free) < on_duty:
                heappush(free, at)
            queued = max(0.0, free[0] - at) if free else math.inf
            answered = queued + pickup <= patience
            wait = queued + pickup if answered else patience
            if queued < patience:
                heapreplace(free, at + wait + talk * answered)
            waits.append((at + wait, wait, answered))
        waits.sort()
        for before, count in self._drops.get((skill.id, channel, day), ()):
            end = bisect_left(waits, (before,))
            del waits[max(0, end - count) : end]
        return waits


class _Kind(NamedTuple):
    """How a kind of channel behaves, in mean seconds."""

    talk: float
    patience: float
    pickup: float  # from a free agent to the first word: a ring, or the reading of a message
    cushion: float  # the staff beyond the mean load, in standard deviations of the load


def _kind(channel: str) -> _Kind:
    if channel in {"inbound", "internalcall_que", "out_pre"}:
        return _Kind(talk=240, patience=240, pickup=7.5, cushion=1.6)
    if channel.startswith("omni-") or channel == "chat-email":
        return _Kind(talk=400, patience=6 * 3600, pickup=700, cushion=0.8)
    return _Kind(talk=420, patience=1500, pickup=18, cushion=1.4)


def _arrivals(
    skill: SimulatedSkill, channel: str, day: date, zone: ZoneInfo, rng: random.Random
) -> Iterator[tuple[float, int]]:
    """Yield the arrivals of a Poisson process that follows the hours, with the agents then.

    The agents follow the square-root rule for the mean load; one stays in any case.
    """
    kind, volume = _kind(channel), skill.channels[channel]
    mood = min(max(rng.gauss(1.0, 0.06), 0.85), 1.15)
    start, end = _bounds(day, zone)
    while volume and start < end:
        each_second = volume * _share(datetime.fromtimestamp(start + _STEP / 2, zone))
        load = each_second * (kind.talk + kind.pickup)
        agents = round(skill.agents * (load + kind.cushion * math.sqrt(load)) + 0.4)
        at = start + rng.expovariate(each_second * mood)
        start += _STEP
        while at < start:
            yield at, max(1, agents)
            at += rng.expovariate(each_second * mood)


def _share(at: datetime) -> float:
    """Return the share of a weekday's volume that arrives in a second of this moment."""
    # Linear between the middles of the hours, so that no rate jumps at the full hour.
    before, part = divmod(at.hour + at.minute / 60 - 0.5, 1)
    weight = _HOURS[int(before) % 24] * (1 - part) + _HOURS[(int(before) + 1) % 24] * part
    return weight / sum(_HOURS) * _WEEKDAYS[at.weekday()] / 3600


@lru_cache(64)
def _bounds(day: date, zone: ZoneInfo) -> tuple[float, float]:
    """Return the instants at which a local day begins and ends."""
    first, last = (datetime.combine(one, time.min, zone) for one in (day, day + DAY))
    return first.timestamp(), last.timestamp()


# The demo ----------------------------------------------------------------------------------

# By server: a skill's id and name, and the interactions of a weekday by channel.
_SKILLS = {
    "wv0013": (
        ("4173", "Ventas", {"inbound": 1500, "chat-whatsapp": 800, "chat-web": 350}),
        (
            "4180",
            "Atención al cliente",
            {"inbound": 2200, "chat-whatsapp": 1100, "chat-facebook": 320},
        ),
        ("4190", "Cobranza", {"inbound": 900, "omni-email": 240}),
    ),
    "wv0042": (
        ("5101", "Soporte técnico", {"inbound": 1300, "chat-web": 500, "omni-email": 180}),
        (
            "5102",
            "Señal y reconexión",
            {"inbound": 700, "chat-whatsapp": 850, "chat-instagram": 400},
        ),
    ),
}


def demo_operations(*zones: ZoneInfo) -> tuple[SimulatedOperation, ...]:
    """Return both, in these zones; their quota allows a request every second.

    Their tokens look real.
    """
    return tuple(
        SimulatedOperation(
            name,
            "7b" + name[2:] * 13,
            zone,
            tuple(SimulatedSkill(*one) for one in skills),
            1_000_000,
        )
        for (name, skills), zone in zip(_SKILLS.items(), zones, strict=True)
    )
