"""A changed configuration on running operations: nothing lost, nothing asked twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.state.storage import Storage
from tests.polling_support import (
    IN_FORCE,
    INBOUND,
    NEARLY,
    OFFERED,
    USED,
    Stage,
    gaps,
    operation,
)
from tests.virtual import Exporter

REQUESTS = "wolkvox_api_requests_total"


def lines_of(running: Exporter, text: str) -> list[str]:
    """The lines of the page that hold a text."""
    return [line for line in running.page.render().decode().splitlines() if text in line]


async def test_nothing_changed(stage: Stage) -> None:
    """The same configuration again leaves slots, results and counters alone."""
    stage.grow()
    async with stage.run(operation("4173 4174"), until="10:06") as running:
        before = running.page.render()
        for _ in range(10):
            await stage.reload(running, operation("4173 4174"))
            await asyncio.sleep(1)
        assert running.page.render() == before
        await stage.until("10:11")
    assert stage.clock_times("4173") == ["10:00:00", "10:05:00", "10:10:00"]


async def test_other_operations_keep_everything(stage: Stage) -> None:
    """An added, changed or removed operation is no business of the others."""
    stage.grow()
    one, two = operation("4173", name="one"), operation("5101", name="two", port=2, token=1)
    changed = operation("5101", name="two", port=2, token=1, interval="15m")
    async with stage.run(one) as running:
        for minute, text in ((2, [one, two]), (7, [one, changed]), (12, [one])):
            await stage.until(f"10:{minute:02}")
            before = lines_of(running, 'operation="one"')
            await stage.reload(running, *text)
            await asyncio.sleep(1)
            assert lines_of(running, 'operation="one"') == before
        await stage.until("10:16")
        assert lines_of(running, 'operation="two"') == []
        assert running.operations.ready()
    assert gaps(stage.seen("4173")) == pytest.approx([300.0] * 3, abs=1)
    assert stage.clock_times("5101") == ["10:02:00"]


async def test_a_skill_is_removed_and_another_added(stage: Stage) -> None:
    """The removed one's series vanish at once, the added one is due at once, the rest stays."""
    stage.grow()
    async with stage.run(operation("4173 4174"), until="10:07") as running:
        counted = running.value(OFFERED, skill_id="4173")
        requests = running.value(REQUESTS)
        await stage.reload(running, operation("4173 4175"))
        await stage.until("10:07:02")
        assert lines_of(running, 'skill_id="4174"') == []
        assert running.value(OFFERED, skill_id="4173") == counted
        assert running.value("wolkvox_up", skill_id="4175") == 1
        assert running.value(REQUESTS) == 1 + (requests or 0)
        assert running.value(USED) == 5
        await stage.until("10:11")
    assert stage.clock_times("4173") == ["10:00:00", "10:05:00", "10:10:00"]
    assert len(stage.seen("4174")) == 2


async def test_a_reload_in_the_middle_of_a_request(state_directory: Path) -> None:
    """The request under way ends first; its answer is kept and nothing is asked twice."""
    stage = Stage(state_directory, seconds=20.0)
    stage.grow()
    async with stage.run(until="10:05:10") as running:
        await stage.reload(running, operation("4173", stale_after="1h"))
        await stage.until("10:05:30")
        assert running.value(INBOUND) == 120
        await stage.until("10:11")
    assert stage.clock_times() == ["10:00:00", "10:05:00", "10:10:00"]
    assert stage.api.most_in_flight == 1


async def test_a_changed_interval(stage: Stage) -> None:
    """Slots are counted from the last attempt, with the interval now in force."""
    async with stage.run(until="10:02") as running:
        await stage.reload(running, operation(interval="15m"))
        await stage.until("10:03")
        assert running.value(IN_FORCE) == 900
        await stage.until("10:22")
        await stage.reload(running, operation(interval="5m"))
        await stage.until("10:26")
        assert running.value(IN_FORCE) == 300
    assert stage.clock_times() == ["10:00:00", "10:15:00", "10:22:00"]


async def test_renamed_in_the_middle_of_a_request(state_directory: Path) -> None:
    """Two names of one query never ask within one interval."""
    stage = Stage(state_directory, seconds=20.0)
    async with stage.run(until="10:05:10") as running:
        await stage.reload(running, operation("4173", name="bank"))
        await stage.until("10:16")
        assert running.value("wolkvox_up", operation="bank") == 1
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY
    assert stage.api.most_in_flight == 1
    assert len(stage.api.seen) == 4


async def test_a_renamed_skill(stage: Stage) -> None:
    """The series go on under the new name, the old ones are gone."""
    stage.grow()
    async with stage.run(operation("[{id: 4173, name: Ventas}]"), until="10:06") as running:
        await stage.reload(running, operation("[{id: 4173, name: Sales}]"))
        await stage.until("10:07")
        assert lines_of(running, "Ventas") == []
        assert running.value(OFFERED, skill="Sales") == 10
    assert len(stage.api.seen) == 2


async def test_a_lower_ceiling_holds_at_once(stage: Stage) -> None:
    """The calls of the day so far count against the new ceiling."""
    stage.begin("20:00")
    async with stage.run(until="21:01") as running:
        await stage.reload(running, operation("4173", daily_requests=20))
        await stage.until("23:59:59")
        assert running.value("wolkvox_daily_requests_limit") == 20
        used = running.value(USED)
        assert used is not None
        assert 13 < used <= 20
    assert len(stage.api.seen) == used


async def test_another_time_zone_changes_the_day_of_the_budget(stage: Stage) -> None:
    """With the zone the day changes: windows and the count of calls follow it."""
    stage.begin("20:00")
    async with stage.run(operation("4173", daily_requests=300), until="20:31") as running:
        assert running.value(USED) == 7
        madrid = operation("4173", daily_requests=300, timezone="Europe/Madrid")
        await stage.reload(running, madrid)
        await stage.until("20:32")
        # In Madrid it is the 19th already.
        assert running.value(USED) == 0
        await stage.until("20:36")
        assert running.value(USED) == 1
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY


async def test_a_configuration_that_cannot_be_used_changes_nothing(stage: Stage) -> None:
    """Whole or not at all: a client that cannot be made leaves the old one in force."""
    async with stage.run(until="10:02") as running:
        broken = stage.configure(
            operation("4173", interval="15m"), operation("5101", name="two", port=2, token=1)
        )
        running.refuse.add("two")
        with pytest.raises(ConfigError):
            await running.operations.apply(broken)
        await stage.until("10:11")
        assert lines_of(running, 'operation="two"') == []
        assert running.value(IN_FORCE) == 300
    assert stage.clock_times() == ["10:00:00", "10:05:00", "10:10:00"]


async def test_operations_that_come_to_share_a_token(stage: Stage) -> None:
    """From then on they take turns and share one count, which holds what was used before."""
    one = operation("4173", name="one", daily_requests=900)
    two = operation("5101", name="two", port=2, token=1, daily_requests=900)
    async with stage.run(one, two, until="10:11") as running:
        assert running.value(USED, operation="one") == 3
        shared = stage.configure(one, two, tokens=("canary-same", "canary-same"))
        await running.operations.apply(shared)
        await stage.until("10:16")
        used = set(running.samples(USED).values())
        assert used == {5}
    for skill in ("4173", "5101"):
        assert gaps(stage.seen(skill)) == pytest.approx([300.0] * 3, abs=2)


async def test_an_operation_that_returns_within_its_request(state_directory: Path) -> None:
    """The request of before ends first, so that its answer is not forgotten again."""
    stage = Stage(state_directory, seconds=20.0)
    stage.grow()
    async with stage.run(until="10:05:05") as running:
        await stage.reload(running, operation("5101", name="two", port=2))
        await stage.reload(running)
        await stage.until("10:09")
        assert running.value(INBOUND, operation="acme") == 120
        assert running.value(OFFERED, operation="acme") == 10
        assert lines_of(running, 'operation="two"') == []
    assert stage.clock_times("4173") == ["10:00:00", "10:05:00"]
    assert stage.api.most_in_flight == 1


@pytest.mark.parametrize(
    "changed",
    [operation("4173", interval="15m"), operation("4173", name="bank")],
    ids=["interval", "name"],
)
async def test_a_stop_waits_for_no_request(state_directory: Path, changed: str) -> None:
    """After a reload too, a stop ends what is under way at once while the API hangs."""
    stage = Stage(state_directory, seconds=3600.0)
    async with stage.run(until="10:00:05") as running:
        await stage.reload(running, changed)
        await stage.until("10:00:10")
    assert asyncio.get_running_loop().time() < 11


async def test_a_loop_that_waits_makes_room_at_once(stage: Stage) -> None:
    """A changed operation goes on without waiting for the sleep of the one before it."""
    async with stage.run(operation("4173")) as running:
        # Out of step with the naps of a loop that waits for its slot.
        await stage.until("10:01:07")
        await stage.reload(running, operation("4173 4174"))
        await stage.until("10:01:08")
        assert stage.clock_times("4174") == ["10:01:07"]


async def test_a_loop_that_cannot_begin_makes_room_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where it is told to end while the state cannot be read."""
    tries: list[int] = []
    applying: list[asyncio.Task[None]] = []
    used = Storage.used

    def refuse(storage: Storage, account: Sequence[int], day: date) -> int:
        tries.append(1)
        if len(tries) > 1:
            return used(storage, account, day)
        applying.append(asyncio.create_task(stage.reload(running, operation("4173 4174"))))
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Storage, "used", refuse)
    async with stage.run(operation("4173")) as running:
        await stage.until("10:00:05")
        assert stage.seen("4174")
