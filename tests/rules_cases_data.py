"""Scenes of the data: corrected, doubled, renamed, seldom polled."""

from __future__ import annotations

from tests.rules_centre import (
    ABANDONED,
    BLIND,
    COLLAPSE,
    GOOD,
    LEVEL,
    LOST,
    NOBODY,
    SMALL,
    Built,
    case,
    centre,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import (
    PAIR,
    STALE,
    Part,
    Scene,
    Value,
    counters,
)


@case
def midnight() -> Built:
    """Gauges of the day that vanish and begin anew, while counters go on, alert nobody."""
    scene = centre(Part(180, 4, 0.93, answered=0.97))
    for name, before, after in (
        ("inbound", 3000.0, 8.0),
        ("answered", 2950.0, 7.0),
        ("abandoned", 50.0, 1.0),
    ):
        values = steps((90, before), (1, STALE), (9, None), (80, after))
        scene.add(f"wolkvox_skill_{name}_interactions", values, **PAIR, window="today")
    levels = steps((90, 0.93), (1, STALE), (9, None), (80, 0.6))
    name = "wolkvox_skill_service_level_ratio"
    scene.add(name, levels, **PAIR, window="today", threshold_seconds="20")
    asa = steps((90, 12.0), (1, STALE), (9, None), (80, 55.0))
    scene.add("wolkvox_skill_asa_seconds", asa, **PAIR, window="today")
    # The whole of yesterday was bad: that is over.
    scene.constant(name, 0.1, **PAIR, window="yesterday", threshold_seconds="20")
    scene.constant("wolkvox_skill_inbound_interactions", 3000, **PAIR, window="yesterday")
    scene.constant("wolkvox_skill_asa_seconds", 99, **PAIR, window="yesterday")
    return scene, []


@case
def correction_downward() -> Built:
    """A correction holds the counters still until it is made up: no alert."""
    scene = centre(GOOD, Part(12, 0), Part(108, 4, 0.93, answered=0.97))
    return scene, []


@case
def new_pair() -> Built:
    """A channel that joins begins at 0 and is no burst; it alerts like the others then."""
    scene = centre(Part(240, 4, 0.96, answered=0.97))
    polls = range(61, 240, 5)
    shown = counters([Part(60, 0), Part(180, 5, 0.5, answered=0.97)], polls, 240, start=0)
    scene.pair(shown, type_interaction="chat-web")
    scene.targets(type_interaction="chat-web")
    return scene, [*silent(LEVEL, 65), *fires(LEVEL, 100), *fires(COLLAPSE, 100)]


@case
def two_exporters() -> Built:
    """Two exporters of one operation count once, however their polls lie."""
    scene = Scene(180)
    for instance, first in (("a:19655", 1), ("b:19655", 3)):
        scene.instance = instance
        scene.exporter()
        scene.operation()
        polls = range(first, 180, 5)
        scene.query(polls)
        # Half the minimum volume each: added up they would alert.
        scene.pair(counters([Part(180, 0.5, 0.0, answered=0.3)], polls, 180, start=first))
        scene.targets()
        scene.pair(
            counters([Part(180, 4, 0.7, answered=0.97)], polls, 180, start=first),
            type_interaction="chat-web",
        )
        scene.targets(type_interaction="chat-web")
    return scene, [*fires(LEVEL, 60, 120, 179), *fires(SMALL, 120, 179)]


@case
def one_of_two_exporters_lags() -> Built:
    """The fresher of two exporters speaks for the query."""
    scene = Scene(120)
    for instance, polls in (("a:19655", [1, 6, 11]), ("b:19655", [*range(3, 120, 5)])):
        scene.instance = instance
        scene.exporter()
        scene.operation()
        scene.query(polls, attempts=range(1, 120, 5) if instance < "b" else polls)
        scene.pair(counters([Part(120, 4, 0.7, answered=0.97)], polls, 120))
        scene.targets()
    return scene, [*fires(LEVEL, 60, 119)]


@case
def renamed_skill() -> Built:
    """A new name for a skill breaks no join; the alert carries it."""
    scene = reached(180)
    scene.operation()
    shown = counters([Part(180, 4, 0.7, answered=0.97)], range(1, 180, 5), 180)
    for name, begin, end in (("Ventas", 0, 90), ("Ventas Perú", 90, 180)):
        part = Scene(180)
        part.query(range(1, 180, 5), skill=name)
        part.pair(shown, skill=name)
        part.targets(skill=name)
        for series, values in part.series.items():
            cut: list[Value] = [None] * begin + values[begin:end] + [STALE]
            scene.series[series] = cut[:180]
    return scene, [*fires(LEVEL, 60, 105, 120, 179)]


@case
def all_beside_single_skills() -> Built:
    """The operation as a whole alerts where it is polled alone, or has a target of its own."""
    scene = reached(180)
    for operation, beside, targets in (
        ("acme", True, False),
        ("own", True, True),
        ("globex", False, True),
        ("alone", False, False),
    ):
        if beside:
            centre(GOOD, GOOD, GOOD, scene=scene, operation=operation)
        lost = Part(180, 4, 0.0, answered=0.0)
        centre(lost, scene=scene, operation=operation, targets=targets, skill_id="all")
    found = [
        check for name in (LEVEL, COLLAPSE, ABANDONED) for check in fires(name, 60, count=2)
    ]
    return scene, [*fires(NOBODY, 60, count=3), *fires("WolkvoxSkillWithoutTarget", 70), *found]


@case
def stretched() -> Built:
    """Polled every 14 minutes an hour is looked at: healthy is silent, a collapse alerts."""
    scene = centre(Part(300, 4, 0.93, answered=0.97), every=14)
    centre(
        Part(120, 4, 0.96, answered=0.97), LOST, Part(90, 4, 0.96, answered=0.97),
        every=14, scene=scene, operation="globex",
    )  # fmt: skip
    # 30 in an hour are 15 in half an hour: below the minimum, so that two hours count.
    centre(Part(300, 0.5, 0.0, answered=0.3), every=14, scene=scene, operation="initech")
    return scene, [
        *silent(COLLAPSE, 120, 130),
        *fires(COLLAPSE, 175, 210),
        *fires(LEVEL, 175),
        *silent(LEVEL, 299),
        *fires(ABANDONED, 175),
        *silent(ABANDONED, 299),
        *fires(SMALL, 150, 299),
    ]


@case
def restart_on_a_tight_quota() -> Built:
    """After a restart the configured interval is shown for a while: nothing flaps."""
    scene = centre(Part(240, 4, 0.86, answered=0.97), every=14)
    name = "wolkvox_poll_interval_seconds"
    scene.add(name, steps((120, 864.0), (14, 300.0), (106, 864.0)), operation="acme")
    return scene, []


@case
def buckets_vanish() -> Built:
    """Offered without buckets is told and is no collapse, nor is their return."""
    scene = centre(Part(180, 4, 0.96, answered=0.97))
    centre(Part(180, 0.5, 0.96), scene=scene, operation="free", targets=False)
    scene.silence(90, 130, "wolkvox_skill_answer_wait_seconds")
    return scene, [
        *silent(BLIND, 90, 100),
        *fires(BLIND, 108, 128),
        *silent(BLIND, 132),
        *fires("WolkvoxSkillWithoutTarget", 70),
    ]
