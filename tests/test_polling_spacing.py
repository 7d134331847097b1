"""Days of polling over clock changes, slow answers and shared tokens: the spacing holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, SimulatedSkill
from exporter.wolkvox.windows import day_start
from tests.days_support import changes, days_of, wall
from tests.polling_support import (
    BOGOTA,
    INBOUND,
    NEARLY,
    SANTIAGO,
    Stage,
    gaps,
    moment,
    operation,
)
from tests.virtual import Seen, VirtualWorld, configuration, exporter

pytestmark = pytest.mark.usefixtures("rare_wakeups")

DAY = timedelta(days=1)


def expected_windows(seen: Sequence[Seen], zone: ZoneInfo) -> list[tuple[str, str]]:
    """What the rules ask for: the day so far, but the whole of yesterday right after it."""
    windows: list[tuple[str, str]] = []
    before = None
    for one in seen:
        now = datetime.fromtimestamp(one.at, zone)
        if before is not None and now.date() != before:
            windows.append((f"{before:%Y%m%d}000000", f"{before:%Y%m%d}235959"))
        else:
            # In a repeated hour the end stands still.
            last = windows[-1][1] if windows and windows[-1][1][:8] == f"{now:%Y%m%d}" else ""
            windows.append((f"{now:%Y%m%d}000000", max(last, f"{now:%Y%m%d%H%M%S}")))
        before = now.date()
    return windows


@pytest.mark.parametrize(
    "start", ["2026-04-04 12:00", pytest.param("2026-09-05 12:00", marks=pytest.mark.slow)]
)
async def test_two_days_over_a_clock_change(state_directory: Path, start: str) -> None:
    """Midnights that come twice or never leave spacing, windows and turns as they are."""
    stage = Stage(state_directory, start, SANTIAGO)
    here = operation("4173", name="here", timezone="America/Santiago", interval="30m")
    there = operation("5101", name="there", port=2, token=1, interval="45m")
    async with stage.run(here, there) as running:
        await stage.until(str((moment(start) + 2 * DAY).replace(tzinfo=None)))
        assert running.value("wolkvox_up", skill_id="4173") == 1
    for skill, interval, zone in (("4173", 1800, SANTIAGO), ("5101", 2700, BOGOTA)):
        seen = stage.seen(skill)
        assert min(gaps(seen)) >= interval - NEARLY
        assert max(gaps(seen)) < interval + 5
        assert [one.window for one in seen] == expected_windows(seen, zone)
        days = Counter(datetime.fromtimestamp(one.at, zone).date() for one in seen)
        hours = 25 if start.startswith("2026-04") and zone is SANTIAGO else 24
        assert max(days.values()) <= hours * 3600 / interval
    assert stage.api.most_in_flight == 1


@pytest.mark.slow
async def test_three_days_against_the_simulator(state_directory: Path) -> None:
    """The look-alike of the API refuses nothing in three days and agrees on the figures."""
    start = moment("2026-04-03 12:00", SANTIAGO)
    world = VirtualWorld(start)
    simulated = [
        SimulatedOperation(
            name=f"wv000{number}",
            token=f"canary{number}",
            timezone=zone,
            skills=(SimulatedSkill("4173", "Ventas", {"inbound": 60}),),
            daily_limit=120,
        )
        for number, zone in enumerate((BOGOTA, SANTIAGO))
    ]
    clock = world.clock()
    simulator = Simulator(simulated, seed=3, now=clock.now, sleep=clock.sleep)
    text = "\n".join(
        operation(
            name=one.name,
            token=number,
            timezone=one.timezone,
            url=f"http://127.0.0.1:1/{one.name}/api/v2/",
            interval="15m",
        )
        for number, one in enumerate(simulated)
    )
    loaded = configuration(state_directory, f"operations:\n{text}", ["canary0", "canary1"])
    transport = httpx.ASGITransport(app=simulator.app)
    async with exporter(loaded, state_directory, world, transport) as running:
        await clock.sleep(3 * 86400)
        for one in simulated:
            assert_true_figures(running.samples(INBOUND, operation=one.name), simulator, one)
    records = simulator.requests()
    assert records["max_in_flight"] == {"wv0000": 1, "wv0001": 1}
    requests = records["requests"]
    assert isinstance(requests, list)
    for one in simulated:
        own = [request for request in requests if request["operation"] == one.name]
        starts = [request["start"] for request in own]
        assert {request["status"] for request in own} <= {200, 404}
        assert len(own) == pytest.approx(3 * 96, abs=2)
        apart = [later - earlier for earlier, later in pairwise(starts)]
        assert min(apart) >= 900 - NEARLY


def assert_true_figures(
    shown: dict[tuple[tuple[str, str], ...], float],
    simulator: Simulator,
    simulated: SimulatedOperation,
) -> None:
    """Compare `yesterday` with what really happened on that day."""
    yesterday = {value for labels, value in shown.items() if ("window", "yesterday") in labels}
    midnight = datetime(2026, 4, 5, tzinfo=simulated.timezone)
    day_after = datetime(2026, 4, 6, tzinfo=simulated.timezone)
    truth = simulator.truth(
        simulated.name, "4173", midnight.astimezone(UTC), day_after.astimezone(UTC)
    )
    assert yesterday == {truth["inbound"]["inbound"]}


async def test_slow_answers_never_overlap_and_are_not_caught_up(state_directory: Path) -> None:
    """Eight skills of 50 s each lag behind their slots; afterwards there is no burst."""
    stage = Stage(state_directory, seconds=50.0)
    ids = " ".join(str(4170 + number) for number in range(8))
    async with stage.run(operation(ids), until="11:00") as running:
        assert stage.api.most_in_flight == 1
        assert gaps(stage.seen("4173"))[1:] == pytest.approx([400.0] * 7, abs=1)
        # Each is late by what eight answers take beyond the interval.
        assert running.value("wolkvox_poll_lag_seconds") == pytest.approx(100.0, abs=1)
        assert running.value("wolkvox_poll_cycle_seconds") == pytest.approx(350.0, abs=1)
        for interval in ("wolkvox_poll_interval_seconds", "wolkvox_query_interval_seconds"):
            found = [*running.samples(interval).values()]
            assert found == pytest.approx([400.0] * len(found), abs=1)
        stage.api.seconds = 0.5
        quick = len(stage.api.seen)
        await stage.until("12:00")
        assert running.value("wolkvox_poll_lag_seconds") == pytest.approx(0.0, abs=4)
    assert len(stage.api.seen) - quick <= 8 * 13
    for skill in ids.split():
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


async def test_spacing_is_what_the_server_sees(stage: Stage) -> None:
    """A slow connection before a quick one brings two requests no nearer to each other."""
    stage.api.connecting = cycle([20.0, 0.1, 5.0]).__next__
    async with stage.run(until="12:00:00") as running:
        lag = running.value("wolkvox_poll_lag_seconds")

    assert min(gaps(stage.seen())) >= 300 - NEARLY
    assert lag is not None
    assert lag < 1


async def test_a_skill_with_an_interval_of_its_own(stage: Stage) -> None:
    """A slower skill keeps its own interval and does not slow the others down."""
    async with stage.run(operation("[{id: 4173}, {id: 4190, interval: 15m}]")) as running:
        await stage.until("12:01")
        assert running.value("wolkvox_poll_interval_seconds") == 300
    assert gaps(stage.seen("4173")) == pytest.approx([300.0] * 24, abs=1)
    assert gaps(stage.seen("4190")) == pytest.approx([900.0] * 8, abs=1)
    assert min(gaps(stage.seen("4190"))) >= 900 - NEARLY


async def test_operations_with_one_token_take_turns(state_directory: Path) -> None:
    """Two operations with the same token never have two requests under way at once."""
    stage = Stage(state_directory, seconds=20.0)
    loaded = stage.configure(
        operation("4173 4174", name="one"),
        operation("5101 5102", name="two", port=2, token=1),
        tokens=("canary-same", "canary-same"),
    )
    async with stage.start(loaded):
        await stage.until("11:00")
    assert stage.api.most_in_flight == 1
    for skill in ("4173", "4174", "5101", "5102"):
        assert len(stage.seen(skill)) == 12
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


async def test_operations_with_different_tokens_do_not_wait(state_directory: Path) -> None:
    """Each operation is polled on its own: a slow one holds up nobody else."""
    stage = Stage(state_directory, seconds=40.0)
    slow = operation("4173 4174 4175", name="one")
    await stage.live("10:01", slow, operation("5101", name="two", port=2, token=1))
    assert stage.clock_times() == ["10:00:00", "10:00:00", "10:00:40"]


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
        ZoneInfo, ("America/Santiago", "America/Havana", "Africa/Cairo", "America/Nuuk")
    )
    for change in changes(zone)
    if change.at.year == 2027
]


@pytest.mark.parametrize(("zone", "at"), NEAR)
async def test_the_eve_and_the_day_are_polled_within_hours_and_budget(
    state_directory: Path, zone: ZoneInfo, at: datetime
) -> None:
    """16 hours are polled, the day before is closed once, and the ceiling holds each day."""
    eve = min(days_of(next(one for one in changes(zone) if one.at == at)))
    start, last = (day_start(eve + ahead * DAY, zone) for ahead in (0, 3))
    stage = Stage(state_directory, f"{wall(start, zone)}", zone)
    acme = operation(
        interval="20m", timezone=zone.key, poll_hours=f'"{HOURS}"', daily_requests=50
    )
    async with stage.run(acme, until=f"{wall(last, zone)}") as running:
        assert running.samples(FAILURES, reason="internal")
        assert set(running.samples(FAILURES).values()) == {0}
    days = by_day(stage, last)
    assert len(days) == 3
    for day, requests in days.items():
        closing = [one for one in requests if one.window[1].endswith("235959")]
        assert [one.window[0] for one in closing] == (
            [f"{day - DAY:%Y%m%d}000000"] if day > eve else []
        )
        hours = [wall(datetime.fromtimestamp(one.at, UTC), zone).hour for one in requests]
        assert all(6 <= hour < 22 for hour in hours[len(closing) :])
        assert 48 <= len(requests) <= 50
    assert min(gaps(stage.seen())) >= 1200


def by_day(stage: Stage, end: datetime) -> dict[date, list[Seen]]:
    """The requests before `end`, by the day of the stage's zone."""
    days: dict[date, list[Seen]] = {}
    for seen in stage.api.seen:
        moment = datetime.fromtimestamp(seen.at, UTC)
        if moment < end:
            days.setdefault(wall(moment, stage.zone).date(), []).append(seen)
    return days


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
