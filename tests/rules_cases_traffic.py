"""Scenes of the other indicators, and of traffic against last week's."""

from __future__ import annotations

from tests.rules_centre import (
    ABANDONED,
    ALL_VANISHED,
    GOOD,
    LOST_TRAFFIC,
    NOBODY,
    SLOW,
    SMALL,
    SPIKE,
    STALE_DATA,
    VANISHED,
    Built,
    case,
    centre,
    climb,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import (
    PAIR,
    QUERY,
    Part,
    Scene,
    counters,
)
from tests.rules_support import WEEK, Check


@case
def abandonment() -> Built:
    """Too many who give up warn, though those who stay are served in time."""
    scene = centre(GOOD, Part(90, 4, 0.88, answered=0.88), Part(90, 4, 0.97, answered=0.97))
    return scene, [
        *silent(ABANDONED, 60, 86),
        *fires(ABANDONED, 105, 149, 171),
        *silent(ABANDONED, 195),
    ]


@case
def abandonment_below_the_volume() -> Built:
    """The rate of the few is none."""
    return centre(Part(150, 0.5, 0.82, answered=0.82)), []


@case
def answered_slowly() -> Built:
    """An average of two hours over the limit warns, of enough answers and in opening hours."""
    scene = reached(300)
    for operation, inbound, opened in (
        ("acme", 4.0, 1.0),
        ("few", 0.1, 1.0),
        ("shut", 4.0, 0.0),
    ):
        parts = [Part(300, inbound, 0.93, answered=1.0)]
        centre(*parts, scene=scene, operation=operation, opened=[opened] * 300)
        waits = climb((60, 20 * inbound), (90, 60 * inbound), (150, 15 * inbound))
        held = [waits[max(1, minute - (minute - 1) % 5)] for minute in range(300)]
        scene.pair({"waited": held}, operation=operation)
    only = ',operation=~".*acme"'
    told = [Check(SLOW, minute, 1, only) for minute in (120, 150)]
    return scene, [*silent(SLOW, 60, 75, 88), *fires(SLOW, 120, 150), *told, *silent(SLOW, 280)]


@case
def nobody_answers() -> Built:
    """Ten who came and none who was answered page, whatever the targets; one answer ends it."""
    scene = centre(
        GOOD, Part(60, 0.5, 0.0, answered=0.0), Part(60, 4, 0.95, answered=0.96), targets=False
    )
    centre(Part(180, 0.3, 0.0, answered=0.0), scene=scene, operation="few")
    return scene, [
        *silent(NOBODY, 60, 85, 93),
        *fires(NOBODY, 101, 119),
        *silent(NOBODY, 127),
        *fires("WolkvoxSkillWithoutTarget", 70),
        *fires(SMALL, 120),
    ]


@case
def breached_day() -> Built:
    """A day below its target is told, of at least 50 interactions, until it recovers."""
    scene = centre(Part(180, 4, 0.93, answered=0.97))
    level = "wolkvox_skill_service_level_ratio"
    opened = steps((40, 1.0), (20, 0.0), (120, 1.0))
    for operation, inbound in (("acme", 50), ("few", 49), ("less", 9), ("early", 50)):
        labels = PAIR | {"operation": operation, "window": "today"}
        if operation != "acme":
            hours = opened if operation == "early" else None
            part = Part(180, 4, 0.93, answered=0.97)
            centre(part, scene=scene, operation=operation, opened=hours)
        levels = steps((30, 0.85), (90, 0.7), (60, 0.81))
        scene.add(level, levels, **labels, threshold_seconds="20")
        # That of another threshold is nobody's target.
        scene.constant(level, 0.2, **labels, threshold_seconds="10")
        scene.constant("wolkvox_skill_inbound_interactions", inbound, **labels)
    name = "WolkvoxServiceLevelDayBreached"
    return scene, [*silent(name, 30, 43), *fires(name, 47, 118), *silent(name, 121)]


@case
def without_target() -> Built:
    """A voice channel without targets is named after an hour; chats and closed ones are not."""
    scene = centre(Part(180, 4, 0.0, answered=0.2), targets=False)
    shown = counters([Part(180, 4, 0.0, answered=0.2)], range(1, 180, 5), 180)
    scene.pair(shown, type_interaction="chat-web")
    centre(Part(180, 0.3, 0.95), scene=scene, operation="globex")
    # An operation that is polled as a whole alone is such a skill as well.
    centre(Part(180, 4, 0.95), scene=scene, operation="whole", targets=False, skill_id="all")
    name = "WolkvoxSkillWithoutTarget"
    return scene, [*silent(name, 59), *fires(name, 65, 179, count=2)]


@case
def vanished() -> Built:
    """Silence where last week was traffic warns in opening hours, and nowhere else."""
    before, after = Part(WEEK, 2, 0.95), [Part(60, 2, 0.95), Part(90, 0), Part(60, 2, 0.95)]
    scene = centre(before, *after)
    for operation, few in (("quiet", 0.5), ("still", 0.4)):
        parts = [Part(WEEK + 60, few, 0.95), Part(90, 0), Part(60, few, 0.95)]
        centre(*parts, scene=scene, operation=operation)
    minutes = scene.minutes
    centre(before, *after, scene=scene, operation="shut", opened=[0.0] * minutes)
    return scene, [
        *silent(VANISHED, WEEK + 90, WEEK + 103),
        *fires(VANISHED, WEEK + 115, WEEK + 149),
        *silent(VANISHED, WEEK + 158),
    ]


@case
def vanished_needs_last_week() -> Built:
    """Without last week's figures silence is no news."""
    return centre(GOOD, Part(70, 0)), []


@case
def spike() -> Built:
    """More than twice last week's traffic is told; the same share of little is not."""
    before, after = (
        Part(WEEK, 2, 0.95),
        [Part(60, 2, 0.95), Part(90, 5, 0.95), Part(60, 2, 0.95)],
    )
    scene = centre(before, *after)
    centre(Part(WEEK, 0.5, 0.95), Part(210, 1.5, 0.95), scene=scene, operation="small")
    centre(Part(WEEK, 3, 0.95), *after, scene=scene, operation="usual")
    return scene, [
        *silent(SPIKE, WEEK + 60, WEEK + 80, WEEK + 88),
        *fires(SPIKE, WEEK + 110, WEEK + 149),
        *silent(SPIKE, WEEK + 185),
    ]


@case
def traffic_after_a_gap() -> Built:
    """What comes in with the first answer after an outage is neither burst nor silence."""
    # Twice as much as last week shows in half an hour for a while, or nothing at all.
    part = Part(WEEK + 210, 4, 0.95, answered=0.97)
    scene = centre(part, outage=range(WEEK + 60, WEEK + 110))
    return scene, [*fires(STALE_DATA, WEEK + 85), *silent(STALE_DATA, WEEK + 115)]


@case
def traffic_after_a_gap_last_week() -> Built:
    """Where nothing was known at this time last week, as much as always is no burst."""
    scene = centre(Part(WEEK + 150, 4, 0.95, answered=0.97), outage=range(60, 150))
    return scene, [*fires(STALE_DATA, 85), *silent(STALE_DATA, 160)]


@case
def silence_after_a_gap() -> Built:
    """Silence is news only where all of the last hour is known."""
    parts = [Part(WEEK + 35, 2, 0.95), Part(95, 0), Part(20, 2, 0.95)]
    scene = centre(*parts, outage=range(WEEK + 40, WEEK + 90))
    centre(*parts, scene=scene, operation="unreached")
    scene.silence(WEEK + 40, WEEK + 75, '.*"unreached"')
    return scene, [*fires(STALE_DATA, WEEK + 65), *silent(STALE_DATA, WEEK + 100)]


@case
def silence_of_the_seldom_polled() -> Built:
    """Polled more seldom than every 15 minutes, all of the last four hours must be known."""
    scene = reached(WEEK + 85)
    scene.operation()
    polls = [*range(1, WEEK, 5), *range(WEEK + 1, scene.minutes, 30)]
    scene.query(polls)
    pace = steps((WEEK, 300.0), (85, 1800.0))
    scene.add("wolkvox_query_interval_seconds", pace, **QUERY)
    scene.pair(counters([Part(polls[29], 2, 0.95), Part(1, 0)], polls, scene.minutes))
    scene.targets()
    return scene, [*silent(VANISHED, WEEK + 55), *fires(VANISHED, WEEK + 75)]


def stretched(
    scene: Scene, operation: str, every: int, change: int, first: int, after: float
) -> None:
    """Add a queue whose interval grows in a minute, with so much traffic from then on."""
    polls = [*range(1, change, 5), *range(first, scene.minutes, every)]
    scene.operation(operation)
    scene.query(polls, operation=operation)
    pace = steps((change, 300.0), (scene.minutes - change, 60.0 * every))
    scene.add("wolkvox_query_interval_seconds", pace, **QUERY | {"operation": operation})
    parts = [Part(polls[change // 5 - 1], 2, 0.95), Part(scene.minutes, after, 0.95)]
    scene.pair(counters(parts, polls, scene.minutes), operation=operation)
    scene.targets(operation=operation)


@case
def traffic_polled_more_seldom() -> Built:
    """In the first hours of a longer interval few polls are neither silence nor a loss.

    Nor is what comes a week after them a burst.
    """
    change = WEEK + 60
    scene = reached(WEEK + 240)
    for every, first in ((30, 29), (45, 44), (60, 1), (60, 30), (60, 59), (60, 119)):
        stretched(scene, f"{every}.{first}", every, change, change + first, 2)
    stretched(scene, "before", 60, WEEK, WEEK + 45, 4)
    return scene, []


@case
def silence_polled_more_seldom() -> Built:
    """Where the interval grows, silence is one that a whole interval of the new ones shows."""
    change = WEEK + 60
    scene = reached(WEEK + 240)
    for every, first in ((30, 29), (45, 44), (60, 1), (60, 59)):
        stretched(scene, f"{every}.{first}", every, change, change + first, 0)
    told = [
        Check(VANISHED, change + minute, firing, f',operation=~".*{who}"')
        for who, minute, firing in (
            ("30.29", 70, 0), ("30.29", 80, 1), ("45.44", 100, 0), ("45.44", 110, 1),
            ("60.1", 72, 0), ("60.1", 80, 1), ("60.59", 130, 0), ("60.59", 140, 1),
        )
    ]  # fmt: skip
    return scene, told


@case
def silence_after_a_long_gap() -> Built:
    """Series that come back have no increase until the next poll: an hour later that counts."""
    minutes = WEEK + 240
    scene = reached(minutes)
    scene.operation(interval=3600)
    gap = range(WEEK + 20, WEEK + 91)
    polls = [minute for minute in range(1, minutes, 60) if minute not in gap]
    scene.query(polls, pace=3600)
    scene.pair(counters([Part(minutes, 2, 0.95)], polls, minutes))
    scene.targets()
    scene.silence(gap.start, gap.stop)
    return scene, []


@case
def traffic_lost() -> Built:
    """A small part of last week's traffic warns while it lasts; a small part of little not."""
    few = Part(120, 0.15, 0.95)
    scene = centre(Part(WEEK + 60, 3, 0.95), few, Part(60, 3, 0.95))
    centre(Part(WEEK + 60, 0.2, 0.95), Part(120, 0.04, 0.95), Part(60, 0.2, 0.95),
           scene=scene, operation="small")  # fmt: skip
    return scene, [
        *silent(LOST_TRAFFIC, WEEK + 60, WEEK + 90),
        *fires(LOST_TRAFFIC, WEEK + 130, WEEK + 150),
        *silent(LOST_TRAFFIC, WEEK + 230),
    ]


@case
def traffic_of_all_skills_vanishes() -> Built:
    """Most skills without traffic are one alert, unless the operation as a whole has some."""
    minutes = WEEK + 180
    scene = reached(minutes)
    for operation, skills, lost, whole in (
        ("acme", 3, 2, None),
        ("one", 3, 1, None),
        ("other", 3, 2, 2.0),
        ("dead", 3, 0, 0.0),
        ("only", 0, 0, 0.0),
    ):
        flows = {str(number): 0.0 if number < lost else 2.0 for number in range(skills)}
        if whole is not None:
            flows["all"] = whole
        for skill, after in flows.items():
            parts = [Part(WEEK + 60, 2, 0.95), Part(120, after, 0.95)]
            has = skill != "all" or not skills
            centre(*parts, scene=scene, operation=operation, targets=has, skill_id=skill)
    return scene, [
        *silent(ALL_VANISHED, WEEK + 100),
        *fires(ALL_VANISHED, WEEK + 120, WEEK + 140, count=2),
        *fires(VANISHED, WEEK + 120, count=6),
    ]


@case
def traffic_after_a_long_gap() -> Built:
    """What begins anew after an hour without data is no loss of traffic."""
    minutes = WEEK + 240
    scene = reached(minutes)
    gap = range(WEEK + 60, WEEK + 130)
    parts = [Part(gap.stop, 6, 0.95, answered=0.97), Part(110, 2.5, 0.95, answered=0.97)]
    for operation, lost in (("acme", "wolkvox_skill"), ("down", "wolkvox_")):
        centre(*parts, scene=scene, operation=operation, outage=gap)
        scene.silence(gap.start + 16, gap.stop, f'{lost}.*"{operation}"')
    return scene, fires(STALE_DATA, gap.start + 20)
