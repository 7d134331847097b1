"""Scenes of the service level: slow and fast, few and many, open and closed."""

from __future__ import annotations

from tests.rules_centre import (
    ABANDONED,
    COLLAPSE,
    GOOD,
    LEVEL,
    LOST,
    NOBODY,
    SMALL,
    Built,
    case,
    centre,
    climb,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import PAIR, Part, counters
from tests.rules_support import Check


@case
def healthy() -> Built:
    """Nothing fires on a good day, with every figure there is."""
    scene = centre(Part(180, 4, 0.93, answered=0.97))
    scene.today(level=0.93, asa=12, inbound=2000, answered=1940, abandoned=60)
    scene.add(
        "wolkvox_api_requests_total", climb((180, 0.2)), operation="acme", report="skill_11"
    )
    scene.constant(
        "wolkvox_api_request_failures_total",
        0,
        operation="acme",
        report="skill_11",
        reason="timeout",
    )
    return scene, []


@case
def slow_burn() -> Built:
    """Some points under the target warn after a while and do not page; it resolves."""
    scene = centre(GOOD, Part(90, 4, 0.7, answered=0.97), Part(90, 4, 0.96, answered=0.97))
    return scene, [
        *silent(LEVEL, 60, 80, 88),
        *fires(LEVEL, 105, 145),
        *silent(LEVEL, 190),
        *silent(COLLAPSE, 100, 149),
    ]


@case
def collapse() -> Built:
    """A collapse right after a poll pages within 20 minutes, and resolves."""
    # The last healthy poll is that of minute 61; the collapse begins there.
    scene = centre(Part(61, 4, 0.96, answered=0.97), LOST, Part(90, 4, 0.96, answered=0.97))
    return scene, [
        *silent(COLLAPSE, 61, 65),
        *fires(COLLAPSE, 75, 81, 120, 160),
        *silent(COLLAPSE, 195),
        *fires(LEVEL, 85),
        *silent(LEVEL, 210),
        *fires(ABANDONED, 85),
        *silent(ABANDONED, 215),
    ]


@case
def collapse_that_one_window_shows() -> Built:
    """All of few too late show in 12 minutes, two of three in 20, a little over half in 30."""
    scene = reached(180)
    centre(GOOD, Part(120, 0.9, 0.0, answered=1.0), scene=scene, operation="brief")
    short = Part(22, 0.75, 0.32, answered=1.0), Part(98, 0.75, 0.95)
    centre(Part(60, 1.5, 1.0), *short, scene=scene, operation="short")
    middle = Part(60, 1.0, 0.82), Part(120, 1.0, 0.425, answered=1.0)
    centre(*middle, scene=scene, operation="middle")
    return scene, [
        *fires(COLLAPSE, 74),
        *fires(COLLAPSE, 83, 150, count=2),
        *fires(LEVEL, 95, count=3),
    ]


@case
def collapse_of_a_low_target() -> Built:
    """Below a target of two thirds a collapse is half the target; more is a bad day."""
    scene, last = reached(180), Part(60, 20, 0.7, answered=0.97)
    for operation, level in (("acme", 0.2), ("better", 0.35)):
        bad = Part(60, 20, level, answered=0.97)
        centre(GOOD, bad, last, scene=scene, operation=operation, level=0.5)
    return scene, [
        *fires(COLLAPSE, 100),
        *silent(COLLAPSE, 165),
        *fires(LEVEL, 100, count=2),
        *silent(LEVEL, 175),
    ]


@case
def one_bad_poll_on_a_tight_quota() -> Built:
    """Ten and twenty minutes mean nothing where polls are 14 minutes apart."""
    return centre(
        Part(127, 4, 1.0), Part(14, 4, 0.25, answered=1.0), Part(99, 4, 1.0), every=14
    ), []


@case
def collapse_of_a_small_queue() -> Built:
    """A queue above the minimum pages in time, though few are counted at the beginning."""
    scene = centre(
        Part(62, 0.95, 0.96),
        Part(15, 0.4, 0.0, answered=0.1),
        Part(63, 0.95, 0.1, answered=0.2),
    )
    return scene, [
        *silent(COLLAPSE, 62, 72),
        *fires(COLLAPSE, 105, 139),
        *fires(LEVEL, 139),
        *fires(ABANDONED, 139),
    ]


@case
def four_late_of_four() -> Built:
    """Four of four are no collapse, however few and however high the target."""
    scene = centre(
        Part(61, 1.2, 1.0), Part(10, 0.4, 0.0, answered=1.0), Part(59, 1.2, 1.0), level=0.99
    )
    return scene, fires(LEVEL, 88)


@case
def ten_bad_minutes_after_a_rush() -> Built:
    """Ten bad minutes of little traffic are no collapse while twenty are on target."""
    return centre(Part(61, 12, 0.97), Part(10, 1, 0.0, answered=1.0), Part(59, 12, 1.0)), []


@case
def low_volume() -> Built:
    """Below the minimum volume no half hour's ratio alerts, however bad: two hours of it do."""
    scene = centre(Part(180, 0.5, 0.0, answered=0.3))
    return scene, [*silent(SMALL, 20), *fires(SMALL, 60, 120, 179)]


@case
def steady_volume_at_the_minimum() -> Built:
    """A steady flow at the minimum does not flap, though polls read 18 or 23 of it."""
    scene = centre(Part(180, 0.7, 0.55, answered=0.97), every=7)
    return scene, fires(LEVEL, 60, 75, 90, 93, 96, 99, 120, 150, 179)


@case
def quiet_after_rush() -> Built:
    """Volume that falls below the minimum ends the alert."""
    scene = centre(Part(60, 3, 0.72, answered=0.97), Part(120, 0.3, 0.72, answered=0.97))
    return scene, [*fires(LEVEL, 60, 80), *silent(LEVEL, 140)]


@case
def flapping() -> Built:
    """A ratio around the target neither fires at each dip nor resolves between them."""
    waves = [
        Part(10, 8, share, answered=0.97) for _ in range(4) for share in (0.63, 0.63, 0.97)
    ]
    scene = centre(GOOD, *waves)
    dips = [Part(5, 4, 0.55, answered=0.97), Part(45, 4, 0.96, answered=0.97)] * 3
    centre(GOOD, *dips, scene=scene, operation="globex")
    return scene, [
        *silent(LEVEL, 60, 70),
        *fires(LEVEL, *range(95, 180, 5)),
    ]


@case
def a_little_below_the_target() -> Built:
    """What chance explains in two hours as well warns nobody."""
    return centre(Part(150, 2, 0.79, answered=0.97)), []


@case
def a_long_burn_and_its_end() -> Built:
    """What only two hours show warns, until two hours are on target again."""
    scene = centre(Part(150, 2, 0.77, answered=0.97), Part(150, 2, 0.82, answered=0.97))
    return scene, [*fires(LEVEL, 149, 200), *silent(LEVEL, 60, 290)]


@case
def kept_over_one_good_poll() -> Built:
    """The warning is kept for ten minutes: one good poll does not resolve it."""
    scene = centre(Part(90, 4, 0.7, answered=0.97), Part(90, 4, 1.0))
    return scene, [*fires(LEVEL, 90, 104, 109), *silent(LEVEL, 120)]


@case
def collapse_is_kept() -> Built:
    """The page is kept for a quarter of an hour."""
    scene = centre(
        Part(61, 4, 0.96, answered=0.97), Part(60, 4, 0.3, answered=0.97), Part(60, 4, 1.0)
    )
    return scene, [
        *fires(COLLAPSE, 110, 134, 147),
        *silent(COLLAPSE, 153),
        *fires(LEVEL, 110),
        *silent(LEVEL, 180),
    ]


@case
def collapse_every_seven_minutes() -> Built:
    """Polled more seldom, half an hour tells it; or, every 20 minutes, two polls."""
    scene = centre(Part(64, 4, 0.96, answered=0.97), LOST, every=7)
    part = Part(154, 8, 0.0, answered=0.05)
    centre(part, scene=scene, every=20, operation="seldom")
    found = [*fires(LEVEL, 110, count=2), *fires(ABANDONED, 110, count=2)]
    return scene, [*fires(COLLAPSE, 60), *fires(COLLAPSE, 95, count=2), *found]


@case
def collapse_ends_near_the_target() -> Built:
    """It goes on while chance does not explain what is left of it, and no longer."""
    bad, better = Part(40, 4, 0.3, answered=0.97), Part(40, 4, 0.7, answered=0.97)
    last = Part(60, 4, 0.78, answered=0.97)
    scene = centre(Part(61, 4, 0.96, answered=0.97), bad, better, last)
    return scene, [*fires(COLLAPSE, 95, 138), *silent(COLLAPSE, 185), *fires(LEVEL, 138)]


@case
def closing_ends_the_page() -> Built:
    """Nobody is called for a queue that is closed by now."""
    opened = steps((100, 1.0), (51, 0.0))
    scene = centre(Part(61, 4, 0.96, answered=0.97), LOST, opened=opened)
    found = [*fires(LEVEL, 95), *fires(ABANDONED, 95)]
    return scene, [*fires(COLLAPSE, 90), *silent(COLLAPSE, 118), *found]


@case
def half_late_of_few() -> Built:
    """Where chance may explain the half that is late somebody looks, and nobody is called."""
    scene = centre(Part(60, 0.8, 0.96), Part(90, 0.8, 0.5, answered=0.97))
    return scene, [*silent(COLLAPSE, 110), *fires(LEVEL, 149)]


@case
def five_late_of_a_high_target() -> Built:
    """A few late ones are no collapse, however high the target."""
    scene = centre(
        Part(60, 0.8, 1.0, answered=1.0), Part(90, 0.8, 0.7, answered=0.97), level=0.95
    )
    return scene, [*silent(COLLAPSE, 110), *fires(LEVEL, 149)]


@case
def closed() -> Built:
    """What happens while the skill is closed alerts nobody."""
    scene = centre(Part(180, 4, 0.0, answered=0.0), opened=[0.0] * 180)
    scene.today(level=0.9, asa=90, inbound=100, answered=97, abandoned=3)
    return scene, []


@case
def just_opened() -> Built:
    """Closed hours inside the window do not page at opening."""
    scene = centre(
        Part(90, 4, 0.0, answered=0.0),
        Part(90, 4, 0.96, answered=0.97),
        opened=steps((90, 0.0), (90, 1.0)),
    )
    return scene, []


@case
def bad_from_the_opening_on() -> Built:
    """A team that does not come is told half an hour after the opening."""
    scene = centre(Part(180, 4, 0.0, answered=0.0), opened=steps((60, 0.0), (120, 1.0)))
    return scene, [
        *silent(COLLAPSE, 60, 63),
        *silent(NOBODY, 60, 72),
        *fires(NOBODY, 82, 97),
        *fires(COLLAPSE, 95),
        *fires(LEVEL, 102),
        *fires(ABANDONED, 102),
    ]


@case
def few_from_the_opening_on() -> Built:
    """Where few come, two polls that nobody answered are enough after the opening."""
    opened = steps((60, 0.0), (60, 1.0))
    scene = centre(Part(120, 0.6, 0.0, answered=0.0), opened=opened)
    part = Part(120, 0.15, 0.0, answered=0.0)
    centre(part, scene=scene, operation="fewer", opened=opened)
    return scene, [*silent(NOBODY, 72), *fires(NOBODY, 90), *fires(SMALL, 119)]


@case
def few_later_in_the_day() -> Built:
    """Two polls are enough in the first hour alone."""
    good = Part(90, 0.6, 0.96), Part(16, 0.6, 0.0, answered=0.0), Part(54, 0.6, 0.96)
    return centre(*good, opened=steps((10, 0.0), (150, 1.0))), []


@case
def closing() -> Built:
    """At closing time nothing begins to fire any more."""
    scene = centre(
        Part(60, 4, 0.96, answered=0.97),
        Part(120, 4, 0.0, answered=0.0),
        opened=steps((62, 1.0), (118, 0.0)),
    )
    return scene, []


@case
def just_opened_on_a_tight_quota() -> Built:
    """Where an hour is looked at, closed hours within that hour count."""
    scene = centre(
        Part(120, 4, 0.0, answered=0.0),
        Part(120, 4, 0.96, answered=0.97),
        every=14,
        opened=steps((120, 0.0), (120, 1.0)),
    )
    return scene, []


@case
def target_of_100_percent() -> Built:
    """A target that allows nothing late has no variance, and is missed all the same."""
    scene = centre(Part(120, 4, 0.9, answered=0.97), level=1.0)
    return scene, [*fires(LEVEL, 60, 119), *fires(COLLAPSE, 60, 119)]


@case
def lunch() -> Built:
    """What is lost while a skill is closed at noon is in no window after it."""
    lunch = Part(60, 4, 0.0, answered=0.0)
    opened = steps((60, 1.0), (60, 0.0), (90, 1.0))
    scene = centre(GOOD, lunch, Part(90, 4, 0.96, answered=0.97), opened=opened)
    parts = [Part(60, 0.3, 0.96), Part(60, 0.6, 0.0, answered=0.0), Part(90, 0.3, 0.96)]
    centre(*parts, scene=scene, operation="few", opened=opened)
    return scene, []


@case
def a_few_all_day() -> Built:
    """So few that two hours say nothing are told by their day, if it still goes on."""
    scene = reached(240)
    for operation, now, day, opened in (
        ("acme", 0.0, 0.1, None),
        # What the night left goes on no more; a day is judged two hours after the opening.
        ("night", 1.0, 0.1, None),
        ("early", 0.0, 0.1, steps((200, 0.0), (40, 1.0))),
        ("fair", 0.0, 0.75, None),
    ):
        parts = [Part(240, 0.06, now, answered=now)]
        centre(*parts, scene=scene, operation=operation, opened=opened)
        labels = PAIR | {"operation": operation, "window": "today"}
        level = "wolkvox_skill_service_level_ratio"
        scene.constant(level, day, **labels, threshold_seconds="20")
        inbound = [float(6 + minute // 15) for minute in range(240)]
        scene.add("wolkvox_skill_inbound_interactions", inbound, **labels)
    only = ',operation=~".*acme"'
    return scene, [
        *silent(SMALL, 60),
        *fires(SMALL, 100, 239),
        *(Check(SMALL, minute, 1, only) for minute in (100, 239)),
    ]


@case
def a_few_recover() -> Built:
    """The warning about a few is kept for half an hour after two hours of them are fine."""
    scene = centre(Part(180, 0.5, 0.0, answered=0.3), Part(130, 0.5, 1.0))
    return scene, [*fires(SMALL, 240, 268), *silent(SMALL, 300)]


@case
def mail_over_night() -> Built:
    """Mail without a target may lie; a chat may not, nor mail that is promised something."""
    scene = centre(Part(120, 4, 0.96, answered=0.97))
    shown = counters([Part(120, 0.8, 0.0, answered=0.0)], range(1, 120, 5), 120)
    for channel in ("omni-email", "chat-email", "chat-web"):
        scene.pair(shown, type_interaction=channel)
    scene.pair(shown, type_interaction="omni-promised")
    scene.targets(type_interaction="omni-promised")
    told = [check for name in (LEVEL, COLLAPSE, ABANDONED) for check in fires(name, 119)]
    return scene, [*fires(NOBODY, 60, 119, count=2), *told]
