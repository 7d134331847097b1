"""The operations of the long run in virtual time: ten kinds, each behind its own simulator.

Every operation meets every scenario of the simulator, three hours a day, at hours that fall
on midnights too. Zones with a day of 23 hours, one of 25, and one without a midnight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from exporter.simulator import Scenario, SimulatedOperation, SimulatedSkill, Simulator
from tests.virtual import VirtualWorld

# Madrid goes forward on the first day, Santiago back on the seventh, and Cairo forward at the
# midnight before the 27th, which then does not exist. Bogotá never changes.
START = datetime(2026, 3, 29, tzinfo=UTC)
ZONES = ("Europe/Madrid", "America/Bogota", "America/Santiago", "Africa/Cairo")
FAULT_HOURS = 3
PAUSING = (Scenario.QUOTA, Scenario.UNAUTHORIZED)
# Nobody calls these operations for so many days: their pairs are forgotten, and return.
SILENT_DAYS = range(3, 14)
_SKILLS = (
    SimulatedSkill("4173", "Ventas", {"inbound": 120, "chat-web": 60}),
    SimulatedSkill("4190", "Cobranza", {"inbound": 80}, agents=0.9),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an operation is like; `keys` are its YAML keys."""

    name: str
    keys: str
    interval: float = 900.0
    renamed: bool = False
    silent: bool = False


_ONE = "skills: [{id: 4173}]"
PLAIN = Kind("5 minutes", f"interval: 5m, {_ONE}", 300.0)
KINDS = (
    PLAIN,
    Kind(
        "stretched by daily_requests",
        "interval: 5m, daily_requests: 150, skills: [{id: 4173}, {id: all}]",
        300.0,
    ),
    Kind("another channel every day", f"interval: 15m, {_ONE}", renamed=True),
    PLAIN,
    Kind("discovers its skills", "interval: 15m, skills: discover, token_info: true"),
    PLAIN,
    Kind("poll_hours", f"interval: 15m, poll_hours: 'Mo-Sa 06:00-22:00', {_ONE}"),
    Kind("asks for token_info", f"interval: 15m, token_info: true, {_ONE}"),
    Kind("eleven days of silence", f"interval: 15m, {_ONE}", silent=True),
    Kind("times out when it is slow", f"interval: 15m, timeout: 10s, {_ONE}"),
)


@dataclass(frozen=True, slots=True)
class Member:
    """One operation: what it is like, where it is, and the simulator behind it."""

    number: int
    kind: Kind
    zone: ZoneInfo
    simulator: Simulator
    token: str

    @property
    def name(self) -> str:
        """The name in the configuration and in the URL."""
        return f"op{self.number}"

    def yaml(self) -> str:
        """Its entry in the configuration; the token stands in a file."""
        return (
            f"  - {{name: {self.name}, url: 'http://127.0.0.1:1/{self.name}/api/v2/', "
            f"token_file: {{token{self.number}}}, timezone: {self.zone}, {self.kind.keys}}}\n"
        )

    def scenario(self, hour: int) -> Scenario | None:
        """What begins for it at an hour of the run: a scenario, or health again."""
        day, of_day = divmod(hour, 24)
        begins = (self.number * 5) % (24 - FAULT_HOURS)
        silent = self.kind.silent and day in SILENT_DAYS
        if of_day == begins:
            return _of(self.number + day) if not silent else Scenario.SILENCE
        if of_day == begins + FAULT_HOURS:
            return Scenario.SILENCE if silent else Scenario.HEALTHY
        return None

    def forget(self) -> None:
        """Drop what the simulator keeps of past days: its memory is not what is measured."""
        self.simulator.forget()


def _of(number: int) -> Scenario:
    return list(Scenario)[number % len(Scenario)]


def members(count: int, world: VirtualWorld, seed: int) -> list[Member]:
    """So many operations, the kinds and the zones in turn."""
    return [_member(number, world, seed) for number in range(count)]


def _member(number: int, world: VirtualWorld, seed: int) -> Member:
    # Every kind comes to every zone.
    zone = ZoneInfo(ZONES[(number + number // len(KINDS)) % len(ZONES)])
    token = f"7b{number:048x}"
    operation = SimulatedOperation(f"op{number}", token, zone, _SKILLS, daily_limit=10_000)
    simulator = Simulator(
        [operation], seed=seed + number, now=world.now, sleep=asyncio.sleep, latency=0.4
    )
    return Member(number, KINDS[number % len(KINDS)], zone, simulator, token)


def mixture(chosen: Sequence[Member]) -> str:
    """How many operations poll at which interval, for people."""
    fast = sum(one.kind.interval == PLAIN.interval for one in chosen)
    return f"{len(chosen)} operations: {fast} at 5 min, {len(chosen) - fast} at 15 min"
