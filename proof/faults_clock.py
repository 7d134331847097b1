"""Clocks that jump, in virtual time: the wall clock of one process cannot be moved for real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from proof.faults_scene import Found
from tests.polling_support import NEARLY, OFFERED, Stage, gaps, operation
from tests.virtual import Exporter, Seen, ok, row, run_virtual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INTERVAL = 300.0
Play = Callable[[Stage, "Watch"], Awaitable[None]]


class Watch:
    """Sleeps on behalf of a play, and notes the counter that must never fall."""

    def __init__(self) -> None:
        self.running: Exporter | None = None
        self.counted: list[float] = []
        self.up: float | None = None

    async def sleep(self, seconds: float) -> None:
        """Let time pass, with a look at the counter every five minutes."""
        for _ in range(int(seconds // 300)):
            await asyncio.sleep(300)
            if self.running is None:
                continue
            self.up = self.running.value("wolkvox_up")
            value = self.running.value(OFFERED)
            if value is not None:
                self.counted.append(value)


def _jump(shift: timedelta) -> Play:
    async def play(stage: Stage, watch: Watch) -> None:
        async with stage.run(operation(stale_after="1h")) as watch.running:
            await watch.sleep(1800)
            stage.world.shift = shift
            await watch.sleep(3600)
            stage.world.shift = timedelta()
            await watch.sleep(3600)

    return play


def _restart(shift: timedelta) -> Play:
    async def play(stage: Stage, watch: Watch) -> None:
        async with stage.run(operation(stale_after="1h")) as watch.running:
            await watch.sleep(1800)
        stage.world.shift = shift
        async with stage.run(operation(stale_after="1h")) as watch.running:
            await watch.sleep(3600)

    return play


def _suspend(hours: int) -> Play:
    """The laptop sleeps: the wall clock goes on, the monotonic one stands still."""

    async def play(stage: Stage, watch: Watch) -> None:
        async with stage.run(operation(stale_after="1h")) as watch.running:
            for _ in range(3):
                await watch.sleep(1800)
                stage.world.shift += timedelta(hours=hours)
            await watch.sleep(1800)

    return play


async def _steps(stage: Stage, watch: Watch) -> None:
    """The clock is set by up to 5 s, to and fro, every five minutes."""
    chance = random.Random(1)
    async with stage.run(operation(stale_after="1h")) as watch.running:
        for _ in range(100):
            await watch.sleep(300)
            stage.world.shift = timedelta(seconds=chance.uniform(-5, 5))


PLAYS: dict[str, Play] = {
    "clock an hour ahead, then right again": _jump(HOUR),
    "clock an hour back, then right again": _jump(-HOUR),
    "clock a day ahead, then right again": _jump(DAY),
    "clock a day back, then right again": _jump(-DAY),
    "clock an hour back over a restart": _restart(-HOUR),
    "clock a day ahead over a restart": _restart(DAY),
    "laptop suspended, three times for 8 h": _suspend(8),
    "laptop suspended, three times for 3 days": _suspend(72),
    "clock set by up to 5 s, 100 times": _steps,
}


def clock(directory: Path) -> Found:
    """Play them all; each takes some seconds at most."""
    directory.mkdir()
    result = Found()
    for number, (name, play) in enumerate(PLAYS.items()):
        place = directory / f"play-{number}"
        place.mkdir()
        run_virtual(_try(place, name, play, result))
    return result


async def _try(directory: Path, name: str, play: Play, result: Found) -> None:
    stage, watch = Stage(directory, "2026-11-18 10:00"), Watch()

    def more(seen: Seen) -> object:
        return ok(row(inbound=100 + 10 * len(stage.api.seen)))

    stage.api.answer = more  # type: ignore[assignment]
    await play(stage, watch)
    seen, between = stage.api.seen, gaps(stage.api.seen)
    seconds = seen[-1].monotonic - seen[0].monotonic
    due = int(seconds / INTERVAL) + 1
    early = [gap for gap in between if gap < INTERVAL - NEARLY]
    # A process that is new knows the recorded time only: a clock set back lets it wait.
    late = [gap for gap in between if gap > 2 * INTERVAL + 2]
    result.check(not early, f"{name}: asked again after {early}")
    result.check(not late, f"{name}: not asked for {late} s")
    text = f"{name}: the offered counter fell"
    result.check(watch.counted == sorted(watch.counted) and bool(watch.counted), text)
    result.check(watch.up == 1, f"{name}: not up at last")
    effect = (
        f"gaps of {min(between):.0f} to {max(between):.0f} s, no counter fell (virtual time)"
    )
    requests = f"{len(seen)} of {due} due"
    result.rows.append((name, effect, requests, "—", "at the next slot"))
