"""How soon a collapse pages: many small queues in the simulated centre, and when each is told.

The truth is the simulator's: how many came in, had the team stayed. A collapse above the
minimum volume is one with that many arrivals in the half-hour before it and in the half-hour
that ends when 25 minutes are over.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, SimulatedSkill
from tests.rules_live import Event, Play, Site
from tests.rules_scene import Scene
from tests.rules_support import Rule, needed, promtool, question, shipped

# Weight of each hour in the simulated day: volumes are chosen for a given half-hour.
HOURS = (
    0.16, 0.12, 0.10, 0.10, 0.12, 0.20, 0.35, 0.60, 0.95, 1.30, 1.45, 1.35,
    1.00, 0.90, 1.20, 1.30, 1.25, 1.00, 0.80, 0.65, 0.50, 0.40, 0.30, 0.22,
)  # fmt: skip
START = datetime(2026, 11, 18, 6, 0, tzinfo=UTC)
COLLAPSE = "WolkvoxServiceLevelCollapse"
# Minutes: before the collapse, until it must be told, and watched in all after it.
WARM, WITHIN, WATCHED = 60, 25, 40
MINIMUM = 20
# Polls begin with minute 0 and every fifth after it; the team leaves 5 s after a minute began:
# in phase 0 just too late to be seen by the poll of that minute.
LEAVES = 5.0
# Pages are scraped 30 s after a minute began: that is when the rules see them.
SCRAPED = 30.0


@dataclass(frozen=True, slots=True)
class Collapse:
    """A queue of about so many interactions in half an hour, which collapses.

    It is `hour` o'clock there, and `phase` minutes (and 5 s) since the last poll began.
    """

    volume: float
    hour: int
    phase: int
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of its operation; the chances are drawn by it."""
        return f"v{self.volume:.0f}h{self.hour:02d}p{self.phase}r{self.seed}"

    @property
    def second(self) -> float:
        """When the team leaves, from the start of the scene on."""
        return (WARM + self.phase) * 60 + LEAVES

    def site(self) -> Site:
        """Its operation: staffed a third above what the mean load needs."""
        offset = (self.hour - (START + timedelta(minutes=WARM)).hour + 12) % 24 - 12
        volume = self.volume * 2 * sum(HOURS) / HOURS[self.hour]
        skill = SimulatedSkill("4173", "Ventas", {"inbound": volume}, agents=1.3)
        zone = ZoneInfo(f"Etc/GMT{-offset:+d}")
        token = "7b" + self.name.encode().hex() * 3
        simulated = SimulatedOperation(self.name, token, zone, (skill,), daily_limit=10**6)
        sla = "[{channels: [inbound], service_level: {within: 20s, target: 80%}}]"
        # The request for the month would take the place of the second poll.
        return Site(simulated, {"interval": "5m", "month": "false", "sla": sla})

    def arrived(self, *windows: tuple[float, float]) -> list[int]:
        """How many come in windows of seconds of the scene, by a twin whose team stays.

        It counts ends of waits, which come seconds after the arrivals.
        """
        operation, later = self.site().simulated, START + timedelta(days=2)
        twin = Simulator([operation], seed=1, now=lambda: later, sleep=asyncio.sleep)
        found = [
            twin.truth(self.name, "all", *(START + timedelta(seconds=at) for at in window))
            for window in windows
        ]
        return [int(sum(one["inbound"] for one in each.values())) for each in found]

    def around(self) -> tuple[int, int]:
        """How many come in the half-hour before it, and in the one that ends at the limit."""
        limit = self.second + WITHIN * 60
        before, during = self.arrived((self.second - 1800, self.second), (limit - 1800, limit))
        return before, during


def play(collapses: Sequence[Collapse], directory: Path) -> Scene:
    """Let them happen, side by side; what Prometheus scraped of it."""

    def leave(name: str, simulator: Simulator) -> None:
        simulator.set_scenario("collapse", name)

    events: list[Event] = [(one.second, partial(leave, one.name)) for one in collapses]
    sites = [one.site() for one in collapses]
    return Play(START, WARM + 5 + WATCHED, sites, events).scene(directory)


def told(scene: Scene, directory: Path, rules: Iterable[Rule] = ()) -> dict[str, int]:
    """The first minute in which each operation is paged, by operation."""
    firing = f'ALERTS{{alertname="{COLLAPSE}",alertstate="firing"}}'
    end = scene.minutes - 1
    expr = f"min by (operation) (min_over_time((0 * {firing} + time())[{end}m:1m]))"
    test = {
        "interval": "1m",
        "input_series": scene.as_input(),
        # No answer is expected: promtool then says what it is.
        "promql_expr_test": [question(expr, end)],
    }
    chosen = tuple(rules) or needed(shipped(), COLLAPSE)
    said = promtool(directory, chosen, [test]) or ""
    found = re.findall(r'operation=\\?"([^"\\]+)\\?"\} ([0-9.E+]+)', said)
    assert bool(said) == bool(found), said
    return {name: round(float(seconds) / 60) for name, seconds in found}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a collapse: minutes until the page, and how many arrived around it."""

    collapse: Collapse
    minutes: float | None
    before: int
    during: int

    @property
    def above(self) -> bool:
        """Whether it was above the minimum volume, by the truth."""
        return min(self.before, self.during) >= MINIMUM

    @property
    def late(self) -> bool:
        """Whether nobody was told in time."""
        return self.minutes is None or self.minutes > WITHIN

    @property
    def early(self) -> bool:
        """Whether somebody was paged before anything happened."""
        return self.minutes is not None and self.minutes < 0


def judge(collapses: Iterable[Collapse], found: dict[str, int]) -> Iterator[Verdict]:
    """Compare what was told with what happened."""
    for one in collapses:
        minute = found.get(one.name)
        passed = None if minute is None else (minute * 60 + SCRAPED - one.second) / 60
        yield Verdict(one, passed, *one.around())
