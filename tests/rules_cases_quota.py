"""Scenes of the day's requests: planned, eaten, used up."""

from __future__ import annotations

from tests.rules_centre import (
    EXHAUSTED,
    LOW,
    PREDICTED,
    STALE_DATA,
    Built,
    case,
    climb,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import (
    Scene,
    Value,
)


def _quota(scene: Scene, used: list[Value], limit: float = 1000, **more: str) -> None:
    who = {"operation": "acme"} | more
    scene.add("wolkvox_daily_requests_used", used, **who)
    scene.constant("wolkvox_daily_requests_limit", limit, **who)


def _planned(minutes: int, polling: list[Value] | None = None) -> Scene:
    """One query that needs 6 requests an hour."""
    scene = reached(minutes)
    scene.operation("acme", 600, polling=polling)
    scene.query(range(1, 240, 10), pace=600)
    return scene


@case
def quota_as_planned() -> Built:
    """A plan that uses up its ceiling exactly at midnight alerts at no hour of the day."""
    scene = reached(300)
    for operation in ("acme", "twin"):
        # Each has 5 queries every 10 minutes; they share one token and its count.
        scene.operation(operation, 600)
        for skill in range(5):
            scene.query(range(1, 300, 10), pace=600, operation=operation, skill_id=str(skill))
        # 60 an hour, up to the ceiling at midnight (minute 240), then anew.
        values = climb((240, 1.0), start=1200) + climb((60, 1.0))
        _quota(scene, values, limit=1440, operation=operation)
    return scene, []


@case
def quota_spent_by_the_closing_of_polling() -> Built:
    """Hours of polling that end with the last request leave nothing to alert about."""
    scene = _planned(420, steps((232, 1.0), (188, 0.0)))
    _quota(scene, [*climb((240, 0.1), start=976), *steps((180, 1000.0))])
    return scene, []


@case
def quota_low() -> Built:
    """More than nine tenths used ahead of the plan warn, then critically when all is used."""
    scene = _planned(240)
    # Somebody takes 200 an hour with the same token.
    _quota(scene, [*climb((120, 3.3), start=560), *steps((120, 1000.0))])
    return scene, [
        *silent(LOW, 105),
        *fires(LOW, 118),
        *fires(PREDICTED, 90),
        *silent(PREDICTED, 200),
        *silent(EXHAUSTED, 118),
        *fires(EXHAUSTED, 121, 200),
    ]


@case
def quota_low_without_knowing_the_plan() -> Built:
    """Where nothing is known of the plan, nine tenths warn."""
    scene = reached(60)
    _quota(scene, steps((20, 900.0), (20, 901.0), (20, 3.0)))
    return scene, [*silent(LOW, 28), *fires(LOW, 32, 38), *silent(LOW, 41)]


@case
def quota_low_and_standing_still() -> Built:
    """A count that stands still is no plan kept: polls go on without it, or fail.

    Where polling is not allowed it is.
    """
    scene = reached(120)
    for operation in ("acme", "failing", "shut"):
        scene.operation(operation, 600, polling=[float(operation != "shut")] * 120)
        _quota(scene, [950.0] * 120, operation=operation)
    scene.query(range(1, 120, 10), pace=600)
    scene.query(range(1, 20, 10), attempts=range(1, 120, 10), pace=600, operation="failing")
    scene.query([], pace=600, operation="shut")
    return scene, [*fires(LOW, 75, 119, count=2), *fires(STALE_DATA, 75)]


@case
def quota_refused() -> Built:
    """The platform's refusal pages at once, until the next day."""
    scene = reached(60)
    paused = steps((20, 0.0), (20, 1.0), (20, 0.0))
    scene.add("wolkvox_paused", paused, operation="acme", reason="quota")
    scene.constant("wolkvox_paused", 0, operation="acme", reason="unauthorized")
    return scene, [*silent(EXHAUSTED, 18), *fires(EXHAUSTED, 21, 38), *silent(EXHAUSTED, 41)]


@case
def quota_eaten_by_others() -> Built:
    """The platform grants less than the plan still needs: told long before it runs out."""
    scene = _planned(240)
    _quota(scene, climb((240, 0.1), start=100))
    available = steps((60, 900.0), (60, 700.0), (60, 300.0), (60, 90.0))
    scene.add("wolkvox_token_available", available, operation="acme")
    scene.constant("wolkvox_token_limit", 1000, operation="acme")
    return scene, [
        *silent(PREDICTED, 60),
        *fires(PREDICTED, 80, 239),
        *silent(LOW, 179),
        *fires(LOW, 195),
    ]


@case
def platform_count_of_yesterday() -> Built:
    """Right after midnight the platform's count is still yesterday's: no alert."""
    scene = _planned(240)
    _quota(scene, [*climb((120, 0.1), start=988), *climb((120, 0.1))])
    # Asked once an hour, the last time at 23:20.
    scene.add(
        "wolkvox_token_available",
        steps((20, 16.0), (60, 10.0), (60, 4.0), (100, 998.0)),
        operation="acme",
    )
    scene.constant("wolkvox_token_limit", 1000, operation="acme")
    return scene, []
