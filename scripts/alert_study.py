"""What the shipped alerts make of chance and of trouble: `make alert-study`.

Queues are drawn by seeded chance, polled as the exporter polls, and judged by the shipped rules
in a real Prometheus, at the rules' own intervals. The table goes to docs/alerts-study.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from random import Random
from statistics import median

from tests.rules_collapse import HOURS
from tests.rules_history import Firing, firing
from tests.rules_scene import PAIR, Scene

ALERTS = (
    "WolkvoxServiceLevelCollapse", "WolkvoxNobodyAnswers",
    "WolkvoxServiceLevelBelowTarget", "WolkvoxSmallQueueBelowTarget",
)  # fmt: skip
EVERY = {"critical": 1, "warning": 4}  # minutes between two evaluations
# Minutes: two hours to fill the windows, ten that count. Trouble begins within the hour after.
WARM, COUNTED = 120, 600
MINUTES = WARM + COUNTED
# Correlated: interactions come in bunches of this mean, and one fate befalls all of a bunch, so
# that counts scatter as those of a queue two thirds as large would.
BUNCH = 1.25


@dataclass(frozen=True, slots=True)
class Row:
    """One situation of so many queues, each polled at a phase of its own.

    `volume` come in per half hour, of which `level` are in time (and half of the others are
    answered late) against `target`; from the beginning of the trouble on `then`, of which
    `answered` are answered at all. `closed` are minutes in which all are lost.
    """

    what: str
    target: float
    level: float
    volume: float
    then: float | None = None
    answered: float = 0.0
    pace: int = 5
    closed: range = range(0)
    correlated: bool = False
    share: float = 1.0
    daily: bool = False  # busy at noon, quiet in the morning

    def name(self, number: int) -> str:
        """The operation of one queue."""
        kind = "c" if self.correlated else "i"
        shown = f"{self.what}-{self.target:g}-{self.level:g}-{self.volume:g}-{self.pace}{kind}"
        return f"{shown}-{number}".replace(" ", "_")


def healthy(correlated: bool) -> Iterator[Row]:
    """Queues that nobody may be paged for."""
    for target, level, volume in (
        (0.80, 0.85, 6), (0.80, 0.85, 22), (0.80, 0.85, 40), (0.80, 0.85, 100),
        (0.80, 0.80, 22), (0.80, 0.80, 40), (0.90, 0.90, 22), (0.90, 0.93, 22),
        (0.90, 0.93, 60), (0.95, 0.95, 22), (0.95, 0.97, 22), (0.95, 0.97, 40),
        (0.99, 0.995, 40), (1.0, 0.998, 40),
    ):  # fmt: skip
        what = "on target" if target == level else "healthy"
        # What comes near its limit needs many queues to be told from it.
        near = correlated and target == level
        share = (16 if (target, volume) == (0.80, 22) else 4) if near else 1
        yield Row(what, target, level, volume, correlated=correlated, share=share)
    yield Row("lunch", 0.8, 0.85, 40, closed=range(300, 360), correlated=correlated)
    yield Row("night", 0.8, 0.9, 2, correlated=correlated)
    yield Row("holiday", 0.8, 0.85, 6, closed=range(MINUTES), correlated=correlated)
    yield Row("month end", 0.8, 0.86, 150, correlated=correlated, share=0.3)


def model_day() -> Iterator[Row]:
    """Sixty healthy skills, six of each row, from seven in the morning to seven at night."""
    for volume in (4, 8, 15, 22, 30, 40, 60, 80, 100, 150):
        yield Row("model day", 0.8, 0.86, volume, daily=True)


def troubled() -> Iterator[Row]:
    """Queues that somebody must be told about."""
    yield Row("slow burn", 0.8, 0.85, 40, then=0.7, answered=0.95, share=4)
    for target, level in ((0.8, 0.86), (0.9, 0.94), (0.95, 0.97)):
        for volume in (22, 40, 100):
            yield Row("collapse", target, level, volume, then=0.15, answered=0.5)
    for volume in (15, 9, 6):
        yield Row("dead queue", 0.8, 0.88, volume, then=0.0, answered=0.3)
    yield Row("dead queue", 0.8, 0.88, 25 / 24, then=0.0, answered=0.3)
    for pace in (5, 15, 30, 60):
        yield Row("lasting breach", 0.8, 0.88, 40, then=0.35, answered=0.6, pace=pace)


@dataclass(slots=True)
class Queue:
    """What came of one queue: its series, and when its trouble began."""

    row: Row
    name: str
    begin: float

    def totals(self, chance: Random) -> Iterator[tuple[int, int, int]]:
        """Offered, answered and in time, minute by minute."""
        offered = answered = within = 0
        row, rate = self.row, self.row.volume / 30 / (BUNCH if self.row.correlated else 1)
        for minute in range(MINUTES):
            good, answer = row.level, (1 + row.level) / 2
            if row.then is not None and minute >= self.begin:
                good, answer = row.then, row.answered
            if minute in row.closed:
                good = answer = 0.0
            busy = HOURS[7 + minute // 60] if row.daily else 1.0
            for _ in range(_poisson(chance, rate * busy)):
                luck, size = chance.random(), 1
                while row.correlated and chance.random() > 1 / BUNCH:
                    size += 1
                offered, answered = offered + size, answered + size * (luck < answer)
                within += size * (luck < good)
            yield offered, answered, within

    def into(self, scene: Scene, chance: Random) -> None:
        """Add what Prometheus scrapes of it."""
        row, pace = self.row, self.row.pace
        phase = chance.randrange(pace)
        polls = range(phase, MINUTES, pace)
        who = PAIR | {"operation": self.name}
        totals = list(self.totals(chance))
        held = [
            totals[max(phase, minute - (minute - phase) % pace)] for minute in range(MINUTES)
        ]
        scene.operation(self.name, pace * 60)
        scene.query(polls, operation=self.name)
        query = {key: who[key] for key in ("operation", "skill_id", "skill")}
        scene.constant("wolkvox_query_interval_seconds", pace * 60, **query)
        offered, answered, within = ([float(one[n]) for one in held] for n in range(3))
        lost = [one - two for one, two in zip(offered, answered, strict=True)]
        counts = {"offered": offered, "answered": answered, "within": within, "abandoned": lost}
        scene.pair(counts, operation=self.name)
        opened = [float(minute not in row.closed) for minute in range(MINUTES)]
        scene.targets(opened=opened, level=row.target, operation=self.name)
        # The day began when the queue did.
        shown = [one / two if two else None for one, two in zip(within, offered, strict=True)]
        scene.add("wolkvox_skill_inbound_interactions", offered, **who, window="today")
        name = "wolkvox_skill_service_level_ratio"
        scene.add(name, shown, **who, window="today", threshold_seconds="20")


def _poisson(chance: Random, rate: float) -> int:
    count, waited = 0, chance.expovariate(1)
    while waited < rate:
        count, waited = count + 1, waited + chance.expovariate(1)
    return count


def drawn(queues: Iterable[Queue], seed: str) -> Scene:
    """What Prometheus scrapes of some queues."""
    scene = Scene(MINUTES)
    scene.exporter()
    for queue in queues:
        queue.into(scene, Random(f"{seed} {queue.name}"))
    return scene


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: false or true episodes, and the delays of those that were told."""

    row: Row
    critical: float
    warning: float
    queues: int
    delays: Sequence[float]
    paged: Sequence[float]

    def cells(self) -> Sequence[str]:
        """Its cells in the table."""
        row = self.row
        of = f"{100 * row.target:g} / {100 * row.level:g}"
        if row.then is not None:
            of += f" → {100 * row.then:g}"
        kind = f"{row.what}, polled every {row.pace} min" if row.pace != 5 else row.what
        numbers = [f"{self.critical:.2f}", f"{self.warning:.2f}"]
        if row.then is not None:
            soon = sum(delay <= 120 for delay in self.delays)
            numbers.append(f"{len(self.delays)} of {self.queues}, {soon} in two hours")
            numbers += [_spread(self.delays), _spread(self.paged)]
        return [kind, of, f"{row.volume:.3g}", *numbers]


def _spread(delays: Sequence[float]) -> str:
    return f"{median(delays):.0f} ({max(delays):.0f})" if delays else "–"


def outcomes(rows: Sequence[Row], seed: str, count: int) -> Iterator[Outcome]:
    """Let all rows happen with one seed, each to about so many queues."""
    # Some hundreds of queues at a time: memory is not endless.
    for first in range(0, len(rows), 10):
        queues = {
            row: [
                Queue(row, name, WARM + 1 + 59 * Random(f"begin {seed} {name}").random())
                for name in map(row.name, range(ceil(row.share * count)))
            ]
            for row in rows[first : first + 10]
        }
        with tempfile.TemporaryDirectory() as directory:
            scene = drawn([one for some in queues.values() for one in some], seed)
            found = firing(scene, ALERTS, Path(directory))
        for row, mine in queues.items():
            yield _outcome(row, mine, found)


def _outcome(row: Row, queues: Sequence[Queue], found: Firing) -> Outcome:
    episodes = dict.fromkeys(EVERY, 0)
    delays, paged = [], []
    for queue in queues:
        firsts = {}
        for severity, step in EVERY.items():
            each = [one for key, one in found.items() if key[1:] == (severity, queue.name)]
            fires = set[int]().union(*each)
            episodes[severity] += sum(one - step not in fires for one in fires if one >= WARM)
            firsts[severity] = min((one for one in fires if one >= queue.begin), default=inf)
        paged.append(firsts["critical"] - queue.begin)
        delays.append(min(firsts.values()) - queue.begin)
    critical, warning = (episodes[one] / len(queues) for one in EVERY)
    told, pages = ([one for one in some if one < inf] for some in (delays, paged))
    return Outcome(row, critical, warning, len(queues), told, pages)


def main() -> None:
    """Print a table of each seed; `-n` queues a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--queues", type=int, default=30, help="of each row")
    parser.add_argument("seeds", nargs="*", default=["1", "2", "3"])
    asked = parser.parse_args()
    for seed in asked.seeds:
        rows = [*healthy(False), *healthy(True), *troubled()]
        print(f"seed {seed}")
        for one in outcomes(rows, seed, asked.queues):
            print(" | ".join(["c" if one.row.correlated else "i", *one.cells()]), flush=True)
        day = [*outcomes([*model_day()], seed, 6)]
        pages, warnings = (
            sum(getattr(one, kind) * one.queues for one in day)
            for kind in ("critical", "warning")
        )
        print(f"60 healthy skills: {pages:.0f} pages, {warnings:.0f} warnings in a day")


if __name__ == "__main__":
    main()
