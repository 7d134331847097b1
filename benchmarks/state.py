"""What an exporter finds when it starts: its configuration, tokens and a filled state."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.api import CHANNELS
from benchmarks.processes import LOOPBACK
from exporter.state import counters
from exporter.state.identity import Claim
from exporter.state.models import Attempt, QueryMemory, Result
from exporter.state.storage import Storage
from exporter.wolkvox.columns import ChannelFigures

SERIES_PER_SKILL = 18 * len(CHANNELS)  # nine gauges of the day and nine of the counters
FIRST_SKILL = 4000


@dataclass(frozen=True, slots=True)
class Centre:
    """An operation to poll: so many skills, asked every so many seconds."""

    name: str
    skills: int
    interval: float
    api_port: int

    @property
    def base_url(self) -> str:
        """Where its API is; an operation has a path of its own."""
        return f"http://{LOOPBACK}:{self.api_port}/{self.name}/api/v2/"

    @property
    def skill_ids(self) -> list[str]:
        """The numbers of its skills."""
        return [str(FIRST_SKILL + number) for number in range(self.skills)]


def zone_at_noon(now: datetime) -> ZoneInfo:
    """A zone in which it is about noon, so that no midnight falls into a measurement."""
    return ZoneInfo(f"Etc/GMT{now.astimezone(UTC).hour - 12:+d}")


def configure(directory: Path, centres: Sequence[Centre]) -> Path:
    """Write the configuration and a token for each operation; returns the file."""
    zone = zone_at_noon(datetime.now(UTC))
    lines = ["operations:"]
    for number, centre in enumerate(centres):
        token = directory / f"{centre.name}.token"
        token.touch(mode=0o600)
        token.write_text(f"7b{number:048x}", encoding="utf-8")
        skills = [f"{{id: {skill}, name: Ventas {skill}}}" for skill in centre.skill_ids]
        lines += [
            f"  - name: {centre.name}",
            f"    url: {centre.base_url}",
            f"    token_file: {token.name}",
            f"    timezone: {zone}",
            f"    interval: {centre.interval:g}s",
            f"    skills: [{', '.join(skills)}]",
        ]
    file = directory / "wolkvox.yml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def fill(directory: Path, centre: Centre, *, landing: bool) -> None:
    """Write a state with a good answer of each query.

    With `landing` the next polls fall due evenly over the interval from now on; without,
    none falls due before the interval is over.
    """
    moment = datetime.now(UTC)
    now, day = moment.timestamp(), moment.astimezone(zone_at_noon(moment)).date()
    rng = random.Random(1)  # the same figures in each run
    storage = Storage.open(directory, lambda: now)
    claim = Claim(centre.name, centre.base_url, None)
    (claimed,) = storage.transact([lambda db: db.claim([claim])])
    steps: list[Callable[[Storage], object]] = []
    for number, skill in enumerate(centre.skill_ids):
        age = centre.interval * (1 - number / centre.skills) if landing else 0.0
        steps += _steps(claimed[centre.name].id, skill, now - age, day, rng)
    try:
        storage.transact(steps)
    finally:
        storage.close()


def _steps(
    operation: int, skill: str, at: float, day: date, rng: random.Random
) -> Iterator[Callable[[Storage], object]]:
    """An attempt of one query and its answer."""
    attempt = Attempt(operation, skill, at, None, 0.0, (operation,), day, None)
    memory = _memory(day, at, rng)
    yield lambda storage: storage.begin_attempt(attempt)
    yield lambda storage: storage.save_memory(operation, skill, memory)


def _memory(day: date, at: float, rng: random.Random) -> QueryMemory:
    rows = tuple(_figures(channel, rng) for channel in CHANNELS)
    ledger = counters.observe(None, day, ())
    for _ in range(2):  # a channel's first figures show as 0, the next time as they are
        ledger = counters.observe(ledger, day, rows)
    return QueryMemory(last_success_at=at, today=Result(day, rows, at), ledger=ledger)


def _figures(channel: str, rng: random.Random) -> ChannelFigures:
    inbound = rng.randint(20, 900)
    abandoned = rng.randint(0, inbound // 5)
    within_10, within_20, within_30 = sorted(rng.randint(2000, 9500) / 1e4 for _ in range(3))
    return ChannelFigures(
        channel, inbound, inbound - abandoned, abandoned, within_10, within_20, within_30,
        round(abandoned / inbound, 4), float(rng.randint(3, 60)), float(rng.randint(5, 90)),
    )  # fmt: skip
