"""Restarts, crash loops and clocks that are set: no early request, no counter that falls."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.polling_support import INBOUND, NEARLY, OFFERED, Stage, gaps, moment, operation
from tests.state_support import change
from tests.virtual import ok, row

AN_HOUR = timedelta(hours=1)


async def test_a_clock_set_back_before_a_restart(stage: Stage) -> None:
    """An attempt recorded in the future delays the next one by one interval at most."""
    await stage.live("10:01")
    stage.world.shift = -AN_HOUR
    restarted = asyncio.get_running_loop().time()
    async with stage.run():
        await asyncio.sleep(700)
    second, third = stage.api.seen[1], stage.api.seen[2]
    assert gaps(stage.api.seen)[0] >= 300 - NEARLY
    assert second.monotonic - restarted == pytest.approx(300, abs=1)
    assert third.monotonic - second.monotonic == pytest.approx(300, abs=1)


@pytest.mark.parametrize("shift", [-AN_HOUR, timedelta(days=1)])
async def test_a_clock_set_while_running(stage: Stage, shift: timedelta) -> None:
    """Slots are kept in real seconds: a clock that is set moves none of them."""
    async with stage.run(operation("4173 4174")) as running:
        await asyncio.sleep(700)
        stage.world.shift = shift
        await asyncio.sleep(2000)
        stage.world.shift = timedelta()
        await asyncio.sleep(2000)
        assert running.value("wolkvox_up", skill_id="4173") == 1
    for skill in ("4173", "4174"):
        assert len(stage.seen(skill)) == 16
        assert gaps(stage.seen(skill)) == pytest.approx([300.0] * 15, abs=1)
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


async def test_a_suspended_laptop_and_small_steps(stage: Stage) -> None:
    """Sleep in which only the wall clock goes on, and steps of seconds, bring nothing early."""
    stage.grow()
    seen = []
    async with stage.run(operation(stale_after="1h")) as running:
        for hours in (8, 72, 0, 8):
            for seconds in (5, -10, 5):
                stage.world.shift += timedelta(seconds=seconds)
                await asyncio.sleep(600)
                seen.append(running.value(OFFERED))
            stage.world.shift += timedelta(hours=hours)
        await asyncio.sleep(600)
        assert running.value("wolkvox_up") == 1
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY
    assert max(gaps(stage.api.seen)) <= 600 + 2
    assert seen == sorted(seen, key=lambda value: value or 0)


async def test_a_clock_set_back_over_midnight(stage: Stage) -> None:
    """A day that is lived through twice costs no early request and no counter that falls."""
    stage.begin("23:50")
    stage.grow()
    seen = []
    async with stage.run(operation(stale_after="1h")) as running:
        for minute in range(0, 180, 5):
            stage.world.shift = -AN_HOUR if minute >= 20 else timedelta()
            await asyncio.sleep(300)
            seen.append(running.value(OFFERED))
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY
    assert None not in seen
    assert seen == sorted(seen, key=lambda value: value or 0)


async def test_an_attempt_of_another_process_moves_the_slot(stage: Stage) -> None:
    """The next request leaves one interval after it, not one more."""
    async with stage.run(until="10:10:00") as running:
        asked = stage.world.now().timestamp()
        change(running.storage, "UPDATE attempts SET at = ?", asked)
        await stage.until("10:30")
        assert running.value("wolkvox_up") == 1
    later = [seen.at for seen in stage.api.seen if seen.at > asked]
    assert 300 - NEARLY <= later[0] - asked < 302
    assert len(later) == 3


async def test_restored_values_are_shown_at_once(stage: Stage) -> None:
    """A restart shows what is younger than stale_after, before anything was asked."""
    async with stage.run(until="10:01") as running:
        before = running.page.render()
        assert running.operations.ready()
    stage.api.seconds = 30.0
    async with stage.run() as running:
        await asyncio.sleep(0)
        await stage.until("10:01:01")
        assert len(stage.api.seen) == 1
        assert running.value(INBOUND) == 100
        assert running.value("wolkvox_up") == 1
        assert running.operations.ready()
        after = running.page.render()
    assert figures(after) == figures(before)


async def test_restored_values_that_are_too_old_wait_for_a_success(stage: Stage) -> None:
    """Values older than stale_after come back with the first answer only, counters included."""
    stage.grow()
    async with stage.run(until="10:06") as running:
        assert running.value(OFFERED) == 10
    stage.api.seconds = 30.0
    await stage.until("10:25")
    async with stage.run(until="10:25:10") as running:
        assert running.value(INBOUND) is None
        assert running.value(OFFERED) is None
        assert running.value("wolkvox_up") is not None
        await stage.until("10:26")
        assert running.value(INBOUND) == 130
        assert running.value(OFFERED) == 20


async def test_failures_in_a_row_are_counted_over_a_restart(stage: Stage) -> None:
    """A restart does not make a failing query look well."""
    stage.api.answer = lambda seen: httpx.Response(500)
    await stage.live("10:06")
    async with stage.run(until="10:07") as running:
        assert running.value("wolkvox_up") == 0
        assert running.value("wolkvox_consecutive_failures") == 2


async def test_readiness_waits_for_every_query(state_directory: Path) -> None:
    """Ready is when each query has an ended attempt, failed ones included."""
    stage = Stage(state_directory, seconds=10.0)
    stage.api.answer = lambda seen: ok(row()) if seen.skill == "4173" else httpx.Response(500)
    async with stage.run(operation("4173 4174"), until="10:00:15") as running:
        assert not running.operations.ready()
        assert running.operations.healthy()
        await stage.until("10:00:25")
        assert running.operations.ready()


def figures(page: bytes) -> list[str]:
    """The lines of the data series."""
    return [line for line in page.decode().splitlines() if line.startswith("wolkvox_skill_")]


async def test_a_defect_elsewhere_ends_a_loop_that_waits(stage: Stage) -> None:
    """A loop that is cancelled while it waits, and was not told to end, does not go on; nobody
    who ends one waits for its next slot.
    """
    await stage.live("10:00:30")
    assert stage.world.now() == moment("2026-11-18 10:00:30")
    async with stage.run(until="10:01"):
        (loop,) = [one for one in asyncio.all_tasks() if one.get_name() == "poll acme"]
        loop.cancel()
        await asyncio.wait({loop})
        assert loop.cancelled()
    assert stage.world.now() == moment("2026-11-18 10:01")
