"""Days of polling over clock changes, slow answers and shared tokens: the spacing holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from exporter.simulator import SimulatedOperation, SimulatedSkill, Simulator
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
from tests.virtual import Seen, VirtualWorld, configuration, exporter, in_virtual_time

pytest_plugins = ("tests.polling_fixtures",)

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


@pytest.mark.usefixtures("rare_wakeups")
@pytest.mark.parametrize(
    "start", ["2026-04-04 12:00", pytest.param("2026-09-05 12:00", marks=pytest.mark.slow)]
)
@in_virtual_time
async def test_two_days_over_a_clock_change(state_directory: Path, start: str) -> None:
    """Midnights that come twice or never leave spacing, windows and turns as they are."""
    stage = Stage(state_directory, start, SANTIAGO)
    here = operation("4173", name="here", timezone="America/Santiago", interval="10m")
    there = operation("5101", name="there", port=2, token=1, interval="15m")
    async with stage.run(here, there) as running:
        await stage.until(str((moment(start) + 2 * DAY).replace(tzinfo=None)))
        assert running.value("wolkvox_up", skill_id="4173") == 1
    for skill, interval, zone in (("4173", 600, SANTIAGO), ("5101", 900, BOGOTA)):
        seen = stage.seen(skill)
        assert min(gaps(seen)) >= interval - NEARLY
        assert max(gaps(seen)) < interval + 5
        assert [one.window for one in seen] == expected_windows(seen, zone)
        days = Counter(datetime.fromtimestamp(one.at, zone).date() for one in seen)
        hours = 25 if start.startswith("2026-04") and zone is SANTIAGO else 24
        assert max(days.values()) <= hours * 3600 / interval
    assert stage.api.most_in_flight == 1


@pytest.mark.slow
@pytest.mark.usefixtures("rare_wakeups")
@in_virtual_time
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


@in_virtual_time
async def test_slow_answers_never_overlap_and_are_not_caught_up(state_directory: Path) -> None:
    """Eight skills of 50 s each lag behind their slots; afterwards there is no burst."""
    stage = Stage(state_directory, seconds=50.0)
    ids = " ".join(str(4170 + number) for number in range(8))
    async with stage.run(operation(ids)) as running:
        await stage.until("2026-11-18 11:00")
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
        await stage.until("2026-11-18 12:00")
        assert running.value("wolkvox_poll_lag_seconds") == pytest.approx(0.0, abs=4)
    assert len(stage.api.seen) - quick <= 8 * 13
    for skill in ids.split():
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


@in_virtual_time
async def test_spacing_is_what_the_server_sees(stage: Stage) -> None:
    """A slow connection before a quick one brings two requests no nearer to each other."""
    stage.api.connecting = cycle([20.0, 0.1, 5.0]).__next__
    async with stage.run() as running:
        await stage.until("2026-11-18 12:00:00")
        lag = running.value("wolkvox_poll_lag_seconds")

    assert min(gaps(stage.seen())) >= 300 - NEARLY
    assert lag is not None
    assert lag < 1


@in_virtual_time
async def test_a_skill_with_an_interval_of_its_own(stage: Stage) -> None:
    """A slower skill keeps its own interval and does not slow the others down."""
    async with stage.run(operation("[{id: 4173}, {id: 4190, interval: 15m}]")) as running:
        await stage.until("2026-11-18 12:01")
        assert running.value("wolkvox_poll_interval_seconds") == 300
    assert gaps(stage.seen("4173")) == pytest.approx([300.0] * 24, abs=1)
    assert gaps(stage.seen("4190")) == pytest.approx([900.0] * 8, abs=1)
    assert min(gaps(stage.seen("4190"))) >= 900 - NEARLY


@in_virtual_time
async def test_operations_with_one_token_take_turns(state_directory: Path) -> None:
    """Two operations with the same token never have two requests under way at once."""
    stage = Stage(state_directory, seconds=20.0)
    loaded = stage.configure(
        operation("4173 4174", name="one"),
        operation("5101 5102", name="two", port=2, token=1),
        tokens=("canary-same", "canary-same"),
    )
    async with stage.start(loaded):
        await stage.until("2026-11-18 11:00")
    assert stage.api.most_in_flight == 1
    for skill in ("4173", "4174", "5101", "5102"):
        assert len(stage.seen(skill)) == 12
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


@in_virtual_time
async def test_operations_with_different_tokens_do_not_wait(state_directory: Path) -> None:
    """Each operation is polled on its own: a slow one holds up nobody else."""
    stage = Stage(state_directory, seconds=40.0)
    slow = operation("4173 4174 4175", name="one")
    async with stage.run(slow, operation("5101", name="two", port=2, token=1)):
        await stage.until("2026-11-18 10:01")
    assert stage.clock_times() == ["10:00:00", "10:00:00", "10:00:40"]


@in_virtual_time
async def test_the_first_round_begins_at_once(stage: Stage) -> None:
    """Queries that were never asked are due at once, one after the other."""
    async with stage.run(operation("4173 4174 4175")):
        await stage.until("2026-11-18 10:00:10")
    assert len(stage.api.seen) == 3
    assert stage.api.seen[-1].monotonic < 3
