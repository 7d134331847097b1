"""What hand-written scenes are made of: a queue that is polled, and names for what must come.

Times are minutes of the scene. A poll in minute p shows what happened until p; promtool
evaluates the rules at every minute.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from tests.rules_scene import QUERY, Part, Scene, Value, counters
from tests.rules_support import Case, Check

LEVEL, COLLAPSE = "WolkvoxServiceLevelBelowTarget", "WolkvoxServiceLevelCollapse"
NOBODY, STALE_DATA = "WolkvoxNobodyAnswers", "WolkvoxDataStale"
ABANDONED, VANISHED = "WolkvoxAbandonmentHigh", "WolkvoxTrafficVanished"
SPIKE, DOWN = "WolkvoxTrafficSpike", "WolkvoxExporterDown"
SMALL, LOST_TRAFFIC = "WolkvoxSmallQueueBelowTarget", "WolkvoxTrafficLost"
BLIND, ALL_VANISHED = "WolkvoxBucketsMissing", "WolkvoxOperationTrafficVanished"
ALL_STALE, SLOW = "WolkvoxOperationStale", "WolkvoxAnswerSlow"
LOW, PREDICTED = "WolkvoxQuotaLow", "WolkvoxQuotaPredicted"
EXHAUSTED, FAILING = "WolkvoxQuotaExhausted", "WolkvoxApiFailing"

GOOD, LOST = Part(60, 4, 0.96, answered=0.97), Part(90, 4, 0.0, answered=0.05)
CASES: list[Case] = []
Built = tuple[Scene, Sequence[Check]]


def case(make: Callable[[], Built]) -> Callable[[], Built]:
    """Take up a case; its name is the function's, its docstring says the behaviour."""
    scene, checks = make()
    alone = make.__name__ in {"all_exporters_down", "exporter_absent", "watchdog"}
    CASES.append(Case(make.__name__, scene, tuple(checks), alone))
    return make


def fires(alert: str, *minutes: int, count: int = 1) -> list[Check]:
    """The alert fires in each of these minutes, and in those beside it (see `questions`)."""
    return [Check(alert, minute, count) for minute in minutes]


def silent(alert: str, *minutes: int) -> list[Check]:
    """The alert does not fire in any of these minutes."""
    return fires(alert, *minutes, count=0)


def reached(minutes: int) -> Scene:
    """A scene of an exporter that Prometheus reaches all the time."""
    scene = Scene(minutes)
    scene.exporter()
    return scene


def centre(
    *parts: Part,
    every: int = 5,
    scene: Scene | None = None,
    operation: str = "acme",
    opened: Sequence[Value] | None = None,
    targets: bool = True,
    level: float = 0.8,
    outage: Container[int] = (),
    **labels: str,
) -> Scene:
    """A scene of one pair that is polled every so many minutes, with these parts of traffic.

    What is asked in the minutes of an outage fails.
    """
    if scene is None:
        scene = reached(sum(part.minutes for part in parts))
    attempts = range(1, scene.minutes, every)
    polls = [minute for minute in attempts if minute not in outage]
    labels = {"operation": operation} | labels
    scene.operation(operation, every * 60)
    query = {name: value for name, value in labels.items() if name in QUERY}
    scene.query(polls, attempts, pace=every * 60, **query)
    scene.pair(counters(parts, polls, scene.minutes), **labels)
    if targets:
        scene.targets(opened=opened, level=level, **labels)
    return scene


def steps(*parts: tuple[int, Value]) -> list[Value]:
    """So many minutes of each value."""
    return [value for minutes, value in parts for _ in range(minutes)]


def climb(*parts: tuple[int, float], start: float = 0.0) -> list[Value]:
    """A counter that rises so much a minute, for so many minutes each."""
    values: list[Value] = []
    for minutes, slope in parts:
        for _ in range(minutes):
            values.append(round(start, 3))
            start += slope
    return values
