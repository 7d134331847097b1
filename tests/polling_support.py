"""What the tests of polling share: a scripted API, an exporter to start again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx

from exporter.config import Configuration
from tests.virtual import (
    Exporter,
    ScriptedApi,
    Seen,
    VirtualWorld,
    configuration,
    exporter,
    ok,
    row,
)

BOGOTA = ZoneInfo("America/Bogota")
SANTIAGO = ZoneInfo("America/Santiago")
NEARLY = 1e-3  # seconds: floats of epoch size are that exact after days of additions

OFFERED = "wolkvox_skill_offered_interactions_total"
INBOUND = "wolkvox_skill_inbound_interactions"
USED = "wolkvox_daily_requests_used"
IN_FORCE = "wolkvox_poll_interval_seconds"


def moment(text: str, zone: ZoneInfo = BOGOTA) -> datetime:
    """A local wall-clock time as an aware moment; `10:00` alone is that of 2026-11-18."""
    day = "" if "-" in text else "2026-11-18 "
    return datetime.fromisoformat(day + text).replace(tzinfo=zone)


def operation(
    skills: str = "4173", *, name: str = "acme", port: int = 1, token: int = 0, **keys: object
) -> str:
    """One operation in YAML; `skills` are ids with blanks between, a YAML list, or discover.

    It asks for no month: `month="true"` does.
    """
    if skills != "discover" and not skills.startswith("["):
        skills = f"[{', '.join(f'{{id: {skill}}}' for skill in skills.split())}]"
    lines = {
        "url": f"http://127.0.0.1:{port}/api/v2/",
        "token_file": f"{{token{token}}}",
        "skills": skills,
        "month": "false",
        **keys,
    }
    return "\n".join(
        [f"  - name: {name}", *(f"    {key}: {value}" for key, value in lines.items())]
    )


class Stage:
    """A state directory, a world and a scripted API: what stays while exporters come and go."""

    def __init__(
        self,
        directory: Path,
        start: str = "2026-11-18 10:00",
        zone: ZoneInfo = BOGOTA,
        seconds: float = 0.5,
    ) -> None:
        self.directory = directory
        self.zone = zone
        self.world = VirtualWorld(moment(start, zone))
        self.api = ScriptedApi(self.world, lambda seen: ok(row()), seconds)

    def begin(self, start: str) -> None:
        """Begin at another local moment; before anything has run."""
        self.world.start = moment(start, self.zone)

    def grow(self) -> None:
        """Let every answer say 10 more than the one before."""
        self.api.answer = lambda seen: ok(row(inbound=100 + 10 * len(self.api.seen)))

    def configure(
        self, *operations: str, tokens: Sequence[str] = ("canary", "canary-2")
    ) -> Configuration:
        """Load these operations; without any, the one that `operation()` describes."""
        text = "\n".join(["operations:", *(operations or (operation(),))])
        return configuration(self.directory / "config", text, tokens)

    def run(self, *operations: str, until: str = "") -> AbstractAsyncContextManager[Exporter]:
        """An exporter on the directory that has run until a local time, else just begins;
        leaving ends it as a kill would, state and all.
        """
        return self.start(self.configure(*operations), until)

    @asynccontextmanager
    async def start(self, loaded: Configuration, until: str = "") -> AsyncIterator[Exporter]:
        """The same for a configuration that is loaded already."""
        async with exporter(loaded, self.directory / "state", self.world, self.api) as begun:
            if until:
                await self.until(until)
            yield begun

    async def live(self, until: str, *operations: str) -> None:
        """Run an exporter until a local time, and no longer."""
        async with self.run(*operations, until=until):
            pass

    async def reload(self, running: Exporter, *operations: str) -> None:
        """Put other operations in force."""
        await running.operations.apply(self.configure(*operations))

    def token_file(self, number: int = 0) -> Path:
        """The file from which the token is read."""
        return self.directory / "config" / f"token{number}"

    async def until(self, text: str) -> None:
        """Sleep until the world's clock shows a local time."""
        await asyncio.sleep((moment(text, self.zone) - self.world.now()) / timedelta(seconds=1))

    def seen(self, skill: str | None = None, report: str = "skill_11") -> list[Seen]:
        """The requests that reached the API: of one skill, or all of a report."""
        return [
            seen
            for seen in self.api.seen
            if seen.report == report and skill in (None, seen.skill)
        ]

    def clock_times(self, skill: str | None = None, report: str = "skill_11") -> list[str]:
        """When they started, as local `HH:MM:SS`."""
        return [
            datetime.fromtimestamp(seen.at, self.zone).strftime("%H:%M:%S")
            for seen in self.seen(skill, report)
        ]

    def windows(self, skill: str | None = None) -> list[tuple[str, str]]:
        """What they asked for: date_ini and date_end."""
        return [seen.window for seen in self.seen(skill)]

    def day(self) -> str:
        """The world's local day, as the API writes it."""
        return self.world.now().astimezone(self.zone).strftime("%Y%m%d")


def gaps(seen: Sequence[Seen]) -> list[float]:
    """Real seconds between the starts of requests, whatever the clock did."""
    return [later.monotonic - earlier.monotonic for earlier, later in pairwise(seen)]


def by_window(running: Exporter) -> dict[str, float]:
    """The inbound gauge by window."""
    return {dict(labels)["window"]: value for labels, value in running.samples(INBOUND).items()}


def raising(error: Exception) -> Callable[[Seen], httpx.Response]:
    """An answer that never comes."""

    def answer(seen: Seen) -> httpx.Response:
        raise error

    return answer
