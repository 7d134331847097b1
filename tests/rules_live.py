"""Scenes from the real exporter and the simulated centre, in virtual time.

Nothing is written by hand here: what Prometheus scrapes is the exporter's own page, every
minute, and the truth is the simulator's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation
from tests.rules_scene import Scene
from tests.rules_support import shipped
from tests.virtual import VirtualWorld, configuration, exporter, run_virtual


@dataclass(frozen=True, slots=True)
class Site:
    """One operation of a live scene: what is simulated, and its keys in the configuration."""

    simulated: SimulatedOperation
    keys: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name, in the simulator and in the configuration."""
        return self.simulated.name

    def yaml(self) -> str:
        """The operation as the configuration has it."""
        skills = ", ".join(
            f"{{id: {one.id}, name: {one.name}}}" for one in self.simulated.skills
        )
        keys = {
            "name": self.name,
            "url": f"http://127.0.0.1:1/{self.name}/api/v2/",
            "token": self.simulated.token,
            "timezone": str(self.simulated.timezone),
            "month": "false",  # it would take the place of a poll
            "skills": f"[{skills}]",
            **self.keys,
        }
        return "  - {" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}\n"


Event = tuple[float, Callable[[Simulator], None]]  # seconds from the start, and what happens


@dataclass(frozen=True, slots=True)
class Play:
    """What is played: sites from a moment on, events, and minutes without the exporter."""

    start: datetime
    minutes: int
    sites: Sequence[Site]
    events: Sequence[Event] = ()
    down: range = range(0)

    def scene(self, directory: Path) -> Scene:
        """Let it happen; returns what was scraped."""
        return run_virtual(self._run(directory))

    async def _run(self, directory: Path) -> Scene:
        world = VirtualWorld(self.start)
        simulator = Simulator(
            [site.simulated for site in self.sites], seed=1, now=world.now, sleep=asyncio.sleep
        )
        transport = httpx.ASGITransport(app=simulator.app)
        text = "operations:\n" + "".join(site.yaml() for site in self.sites)
        loaded = configuration(directory, text)
        scene = Scene(self.minutes)
        happening = asyncio.ensure_future(self._happen(simulator))
        minute = 0
        for end in sorted({self.down.start or self.minutes, self.minutes}):
            async with exporter(loaded, directory, world, transport) as running:
                while minute < end:
                    await self._until(minute * 60 + 30)
                    self._scrape(scene, minute, running.page.render().decode())
                    minute += 1
            while minute in self.down:
                await self._until(minute * 60 + 30)
                self._scrape(scene, minute, None)
                minute += 1
        await happening
        return scene

    def _scrape(self, scene: Scene, minute: int, text: str | None) -> None:
        scene.scrape(minute, text, wanted(), self.start.astimezone(UTC).timestamp())

    async def _happen(self, simulator: Simulator) -> None:
        for at, event in sorted(self.events, key=lambda one: one[0]):
            await self._until(at)
            event(simulator)

    async def _until(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds - asyncio.get_running_loop().time()))


def wanted() -> frozenset[str]:
    """The metrics that the rules read."""
    words = " ".join(rule.expr for rule in shipped())
    return frozenset(
        word for word in _words(words) if word.startswith(("wolkvox_", "process_"))
    )


def _words(text: str) -> list[str]:
    return "".join(one if one.isalnum() or one == "_" else " " for one in text).split()
