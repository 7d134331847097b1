"""Days on which the clocks change, near midnight above all: they are polled as any other."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.config.plan import plan, render_plan
from exporter.wolkvox.windows import day_start
from tests.days_support import changes, days_of, wall, zones
from tests.polling_support import Stage, gaps, operation
from tests.virtual import Seen, configuration, in_virtual_time

A_DAY = timedelta(days=1)
FAILURES = "wolkvox_api_request_failures_total"
HOURS = "Mo-Su 06:00-22:00"
# A change at midnight or across it, forward and back, of each zone that has one: two of them
# in `make test`, all in `make test-slow`.
QUICK = {("America/Havana", 3), ("America/Santiago", 4)}
NEAR = [
    pytest.param(
        zone,
        change.at,
        id=f"{zone.key}-{change.at:%Y-%m-%d}",
        marks=() if (zone.key, change.at.month) in QUICK else pytest.mark.slow,
    )
    for zone in map(
        ZoneInfo,
        ("America/Santiago", "America/Havana", "Africa/Cairo", "America/Nuuk"),
    )
    for change in changes(zone)
    if change.at.year == 2027
]


@pytest.mark.usefixtures("rare_wakeups")
@pytest.mark.parametrize(("zone", "at"), NEAR)
@in_virtual_time
async def test_the_eve_and_the_day_are_polled_within_hours_and_budget(
    state_directory: Path, zone: ZoneInfo, at: datetime
) -> None:
    """16 hours are polled, the day before is closed once, and the ceiling holds each day."""
    eve = min(days_of(next(one for one in changes(zone) if one.at == at)))
    start, last = (day_start(eve + ahead * A_DAY, zone) for ahead in (0, 3))
    stage = Stage(state_directory, f"{wall(start, zone)}", zone)
    acme = operation(
        interval="10m", timezone=zone.key, poll_hours=f'"{HOURS}"', daily_requests=100
    )
    async with stage.run(acme) as running:
        await stage.until(f"{wall(last, zone)}")
        assert running.samples(FAILURES, reason="internal")
        assert set(running.samples(FAILURES).values()) == {0}
    days = by_day(stage, last)
    assert len(days) == 3
    for day, requests in days.items():
        closing = [one for one in requests if one.window[1].endswith("235959")]
        assert [one.window[0] for one in closing] == (
            [f"{day - A_DAY:%Y%m%d}000000"] if day > eve else []
        )
        hours = [wall(datetime.fromtimestamp(one.at, UTC), zone).hour for one in requests]
        assert all(6 <= hour < 22 for hour in hours[len(closing) :])
        assert 96 <= len(requests) <= 100
    assert min(gaps(stage.seen())) >= 600


@pytest.mark.usefixtures("rare_wakeups")
@pytest.mark.parametrize(("zone", "at"), NEAR)
@pytest.mark.parametrize("ahead", [-1, 0])
@in_virtual_time
async def test_after_a_costly_morning_the_rest_lasts_until_midnight(
    state_directory: Path, zone: ZoneInfo, at: datetime, ahead: int
) -> None:
    """What is left of the ceiling is spread over what is really left of the day."""
    change = next(one for one in changes(zone) if one.at == at)
    # The change is the first moment of its day, or near its last.
    first = min(change.before, change.after).date() + ahead * A_DAY
    last = day_start(first + 2 * A_DAY, zone)
    stage = Stage(state_directory, f"{first} 06:00", zone)
    async with stage.run(operation(interval="10m", timezone=zone.key)):
        await stage.until(f"{first} 18:00")  # 72 requests
    acme = operation(
        interval="10m",
        timezone=zone.key,
        daily_requests=90,
        token_info="true",
        stale_after="4h",
    )
    async with stage.run(acme):
        await stage.until(f"{wall(last, zone)}")
    days = by_day(stage, last)
    assert list(days) == [first, first + A_DAY]
    assert all(84 <= len(requests) <= 90 for requests in days.values())
    assert days[first][-1].at > day_start(first + A_DAY, zone).timestamp() - 3600
    assert days[first + A_DAY][-1].at > last.timestamp() - 1800


def by_day(stage: Stage, end: datetime) -> dict[date, list[Seen]]:
    """The requests before `end`, by the day of the stage's zone."""
    days: dict[date, list[Seen]] = {}
    for seen in stage.api.seen:
        moment = datetime.fromtimestamp(seen.at, UTC)
        if moment < end:
            days.setdefault(wall(moment, stage.zone).date(), []).append(seen)
    return days


@pytest.mark.parametrize(
    "first_zone", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2, 3))]
)
def test_the_plan_is_made_on_every_day(tmp_path: Path, first_zone: int) -> None:
    """The plan of --config.check is made in every zone, around every change of the clocks."""
    for number, (zone, found) in enumerate([*zones().items()][first_zone::4]):
        text = "\n".join(
            [
                "operations:",
                operation(timezone=zone.key, poll_hours=f'"{HOURS}"', interval="10m"),
                operation(
                    "4174", name="night", timezone=zone.key, poll_hours='"Mo-Su 22:00-06:00"'
                ),
            ]
        )
        loaded = configuration(tmp_path / str(number), text)
        for first in {min(days_of(change)) for change in found} or {date(2027, 9, 4)}:
            for ahead in (1, -5):
                planned = plan(loaded, day_start(first + ahead * A_DAY, zone))
                day, night = (one.calls for token in planned for one in token.operations)
                # On Easter Island 21:00 to 22:00 may come twice.
                assert day == 97 or (day, zone.key) == (103, "Chile/EasterIsland")
                # The first poll of a day closes the one before; two more hours at the most.
                assert 96 <= night <= 96 + 24
                assert zone.key in render_plan(planned)


@in_virtual_time
async def test_a_repeated_hour_asks_for_no_earlier_time(state_directory: Path) -> None:
    """Madrid shows 02:00 to 03:00 twice: the second time the end asked for stands still."""
    madrid = ZoneInfo("Europe/Madrid")
    stage = Stage(state_directory, "2026-10-25 02:00", madrid)
    async with stage.run(operation(timezone="Europe/Madrid")):
        await asyncio.sleep(90 * 60)
    ends = [end[8:12] for _, end in stage.windows()]
    assert ends[:12] == [f"02{minute:02}" for minute in range(0, 60, 5)]
    assert ends[12:] == ["0255"] * 6
    await asyncio.sleep(5 * 60)
    async with stage.run(
        operation(timezone="Europe/Madrid")
    ):  # a restart has the time of the last attempt alone
        await asyncio.sleep(40 * 60)
    ends = [end for _, end in stage.windows()]
    assert ends == sorted(ends)
    assert ends[18:20] == ["20261025025959"] * 2
    assert ends[-1] > "20261025030000"
