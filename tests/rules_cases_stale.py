"""Scenes of old data: failing, hanging, and not polled because it is not the hour."""

from __future__ import annotations

from tests.rules_centre import (
    ALL_STALE,
    LEVEL,
    STALE_DATA,
    Built,
    case,
    centre,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import PAIR, Part, counters
from tests.rules_support import WEEK, Check


@case
def stale() -> Built:
    """Without answers the alerts on the service give way to one on the data, and come back."""
    scene = centre(Part(240, 4, 0.7, answered=0.97), outage=range(60, 151))
    scene.silence(72, 151, "wolkvox_skill")
    scene.silence(72, 151, "wolkvox_sla")
    return scene, [
        *fires(LEVEL, 60),
        *silent(LEVEL, 90, 150),
        *fires(LEVEL, 200),
        *silent(STALE_DATA, 60, 74),
        *fires(STALE_DATA, 80, 149),
        *silent(STALE_DATA, 153, 230),
    ]


@case
def late_but_not_expired() -> Built:
    """Values that are still shown but old alert nobody, even where they look bad."""
    scene = reached(180)
    scene.operation()
    scene.query([1, 6, 11], attempts=range(1, 180, 5))
    # Another exporter's counters go on: only the age says that nothing is known.
    parts = [Part(30, 4, 0.96, answered=0.97), Part(150, 4, 0.0, answered=0.0)]
    scene.pair(counters(parts, range(1, 180, 5), 180))
    scene.targets()
    scene.today(inbound=100)
    asa = steps((30, 12.0), (150, 90.0))
    scene.add("wolkvox_skill_asa_seconds", asa, **PAIR, window="today")
    return scene, fires(STALE_DATA, 60, 179)


@case
def never_succeeded() -> Built:
    """A query that never succeeded is stale; one that was never asked is not."""
    scene = reached(90)
    scene.operation()
    scene.query([], attempts=range(2, 60, 5))
    scene.query([], attempts=[], skill_id="4180", skill="Soporte")
    return scene, [*silent(STALE_DATA, 5), *fires(STALE_DATA, 10, 60, 89)]


@case
def full_disk() -> Built:
    """State that cannot be written stops the polling: that is no idleness."""
    scene = reached(120)
    scene.add("wolkvox_exporter_storage_writable", steps((30, 1.0), (60, 0.0), (30, 1.0)))
    scene.operation()
    scene.query([*range(1, 30, 5), *range(91, 120, 5)])
    return scene, [*fires(STALE_DATA, 60, 89), *silent(STALE_DATA, 93, 119)]


@case
def one_failed_poll() -> Built:
    """A single failure, and two, alert nobody."""
    return centre(Part(120, 4, 0.95), outage=(31, 61, 66)), []


@case
def hung_while_polling_is_allowed() -> Built:
    """Where polling is allowed, three intervals without a poll are stale in any case."""
    scene = reached(120)
    scene.operation(polling=[1.0] * 120)
    scene.query([*range(1, 30, 5), *range(91, 120, 5)])
    return scene, [
        *silent(STALE_DATA, 30, 45),
        *fires(STALE_DATA, 50, 70, 89),
        *silent(STALE_DATA, 93, 119),
    ]


@case
def closed_over_night() -> Built:
    """While polling is not allowed data are old, and attempts may have failed: no alert."""
    scene = reached(240)
    polling = steps((60, 1.0), (120, 0.0), (60, 1.0))
    scene.operation(polling=polling)
    # A finished day is closed at midnight, minute 120.
    by_day = [*range(1, 60, 5), *range(181, 240, 5)]
    scene.query([*by_day, 121])
    scene.query(by_day, attempts=[*by_day, 121], skill_id="4180", skill="Soporte")
    scene.operation("globex", polling=polling)
    polls = [one for one in by_day if one != 56]
    scene.query(polls, attempts=by_day, operation="globex")
    return scene, []


@case
def not_polled_after_the_opening() -> Built:
    """Opened, a query is given three intervals: then failing and hanging are stale."""
    scene = reached(240)
    polling = steps((60, 1.0), (120, 0.0), (60, 1.0))
    scene.operation(polling=polling)
    scene.query(range(1, 60, 5))
    scene.operation("globex", polling=polling)
    attempts = [*range(1, 60, 5), *range(181, 240, 5)]
    scene.query(range(1, 60, 5), attempts=attempts, operation="globex")
    scene.query([], attempts=attempts, operation="globex", skill_id="4180", skill="Soporte")
    return scene, [
        *fires(STALE_DATA, 40, 58),
        *silent(STALE_DATA, 63, 120, 179, 182, 197),
        *fires(STALE_DATA, 205, 239, count=3),
        *silent(ALL_STALE, 197),
        *fires(ALL_STALE, 205, 239),
    ]


@case
def hung_after_a_night() -> Built:
    """A night without polls does not make a query one that is polled slowly."""
    scene = reached(300)
    scene.operation(polling=steps((60, 1.0), (70, 0.0), (170, 1.0)))
    scene.query([*range(1, 60, 5), *range(131, 230, 5)])
    return scene, [*silent(STALE_DATA, 131, 244), *fires(STALE_DATA, 252, 299)]


@case
def a_slower_skill() -> Built:
    """A skill that is polled every half-hour is stale after three of these."""
    scene = reached(300)
    scene.operation(polling=[1.0] * 300)
    scene.query(range(1, 300, 5))
    scene.query(range(1, 125, 30), pace=1800, skill_id="4180", skill="Soporte")
    return scene, [*silent(STALE_DATA, 60, 210), *fires(STALE_DATA, 220, 299)]


@case
def stale_while_closed() -> Built:
    """Old data of a closed operation are a warning, and a page once it was to open."""
    minutes = WEEK + 240
    scene = reached(minutes)
    # Closed for the last ten minutes that are known, and last week until minute 150 from then.
    opened = steps((60, 1.0), (90, 0.0), (WEEK - 100, 1.0), (190, 0.0))
    part, outage = Part(minutes, 4, 0.96), range(WEEK + 60, minutes)
    for skill in ("4173", "4180"):
        centre(part, scene=scene, opened=opened, outage=outage, skill_id=skill)
    scene.silence(WEEK + 70, minutes, "wolkvox_skill")
    scene.silence(WEEK + 70, minutes, "wolkvox_sla")
    warning, page = (f',severity="{one}"' for one in ("warning", "critical"))
    return scene, [
        *silent(ALL_STALE, WEEK + 70),
        *silent(STALE_DATA, WEEK + 74),
        *(
            Check(alert, WEEK + minute, count * (severity == now), severity)
            for alert, count in ((ALL_STALE, 1), (STALE_DATA, 2))
            for minute, now in ((90, warning), (140, warning), (160, page))
            for severity in (warning, page)
        ),
    ]
