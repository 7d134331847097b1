"""A state file that cannot be written: nothing leaves, all goes on being served, said once."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from exporter.errors import StorageError
from exporter.state.storage import Storage
from tests.polling_support import INBOUND, NEARLY, OFFERED, USED, Stage, gaps, operation
from tests.virtual import ok, refusal, row

WRITABLE = "wolkvox_exporter_storage_writable"


@dataclass(slots=True)
class Disk:
    """A disk that a test fills: `full`, or full for one step only, by its number."""

    full: bool = False
    refuse: set[int] = field(default_factory=set)
    steps: int = 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk below every state file of a test."""
    disk, transact = Disk(), Storage.transact

    def failing(self: Storage, steps: Sequence[Callable[[Any], Any]]) -> list[Any]:
        disk.steps += 1
        if disk.full or disk.steps in disk.refuse:
            raise StorageError(f"{self.path}: database or disk is full")
        return transact(self, steps)

    monkeypatch.setattr(Storage, "transact", failing)
    return disk


async def test_a_full_disk(stage: Stage, caplog: pytest.LogCaptureFixture, disk: Disk) -> None:
    """No request leaves until it can be written down; then everything goes on as before."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.grow()
    async with stage.run(operation("4173 4174"), until="10:06") as running:
        assert running.value(WRITABLE) == 1
        asked = len(stage.api.seen)
        disk.full = True
        await stage.until("10:14")
        assert len(stage.api.seen) == asked == 4
        assert running.value(WRITABLE) == 0
        assert running.value(INBOUND, skill_id="4173") == 130
        assert running.operations.healthy()
        disk.full = False
        await stage.until("10:15")
        assert running.value(WRITABLE) == 1
        assert len(stage.api.seen) == 6
        assert running.value(INBOUND, skill_id="4173") == 150
        assert running.value(USED) == 6
    said = [record.message for record in caplog.records]
    assert said == [
        "the state cannot be written: no request leaves until it can",
        "the state can be written again",
    ]
    for skill in ("4173", "4174"):
        assert min(gaps(stage.seen(skill))) >= 300 - NEARLY


async def test_a_result_that_cannot_be_saved_is_not_shown(stage: Stage, disk: Disk) -> None:
    """What a kill could take back is not shown: the last saved values stay."""
    stage.grow()
    async with stage.run(until="10:01") as running:
        before = disk.steps
        disk.refuse = {before + 2}  # the attempt is written, its result is not
        await stage.until("10:06")
        assert len(stage.api.seen) == 2
        assert running.value(INBOUND) == 110
        assert running.value(OFFERED) == 0
        await stage.until("10:11")
        assert running.value(INBOUND) == 130
        assert running.value(OFFERED) == 20
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY


async def test_a_failure_that_cannot_be_saved_shows(stage: Stage, disk: Disk) -> None:
    """A failed attempt takes nothing away, so `up` tells it whether or not it is saved."""
    async with stage.run(until="10:01") as running:
        stage.api.answer = lambda seen: refusal("oops", 500)
        disk.refuse = {disk.steps + 2}
        await stage.until("10:06")
        assert running.value("wolkvox_up") == 0
        assert running.value(INBOUND) == 100


@pytest.mark.parametrize("full", [False, True])
async def test_an_attempt_that_cannot_be_taken_back(
    stage: Stage, disk: Disk, full: bool
) -> None:
    """It stays counted, its failure shows, and it is tried again early."""

    def refused(seen: object) -> httpx.Response:
        disk.full, disk.refuse = full, {disk.steps + 1}
        raise httpx.ConnectError("refused")

    async with stage.run(until="10:01") as running:
        stage.api.answer = refused
        await stage.until("10:05:01")
        stage.api.answer = lambda seen: ok(row())
        assert running.value("wolkvox_api_requests_total") == 2
        failures = running.value("wolkvox_api_request_failures_total", reason="connect")
        assert failures == running.value("wolkvox_consecutive_failures") == 1
        assert running.value("wolkvox_up") == 0
        assert running.value(WRITABLE) == (0 if full else 1)
        disk.full = False
        await stage.until("10:16")
        assert running.value("wolkvox_up") == 1
        assert running.value("wolkvox_consecutive_failures") == 0
        used = running.value(USED)
    first, unmade, *later = stage.api.seen
    assert used == len(stage.api.seen)
    assert later[0].monotonic - unmade.monotonic < 60
    assert min(gaps([first, *later])) >= 300 - NEARLY


async def test_counters_survive_a_reload_on_a_full_disk(stage: Stage, disk: Disk) -> None:
    """A reload without the state is refused whole: no loop begins with empty counters."""
    stage.grow()
    async with stage.run(until="10:11") as running:
        assert running.value(OFFERED) == 20
        disk.full = True
        with pytest.raises(StorageError, match="full"):
            await stage.reload(running, operation("4173", stale_after="1h"))
        await stage.until("10:20")
        assert running.value(WRITABLE) == 0
        assert running.value(OFFERED) == 20
        assert running.operations.healthy()
        disk.full = False
        await stage.until("10:21")
        assert running.value(WRITABLE) == 1
        assert running.value(OFFERED) == 30
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY


async def test_skills_found_while_the_disk_fills_up(stage: Stage, disk: Disk) -> None:
    """A list of skills that cannot be kept is asked for again at its next slot."""
    found = ok({"skill_id": "4173", "skill_name": "Ventas"})
    stage.api.answer = lambda seen: found if seen.report == "skills" else ok(row())
    stage.api.seconds = 10.0
    async with stage.run(operation("discover"), until="10:00:05") as running:
        disk.full = True
        await stage.until("10:01")
        assert running.value(WRITABLE) == 0
        disk.full = False
        await stage.until("10:06")
        assert running.value("wolkvox_up", skill_id="4173") == 1
    assert stage.clock_times(report="skills") == ["10:00:00", "10:05:00"]


async def test_what_can_be_read_can_not_be_written_yet(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload on a full disk finds all it needs, and the disk is as full as before."""
    caplog.set_level(logging.INFO, logger="exporter")

    def full(self: Storage, attempt: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with stage.run(operation(), until="10:04") as running:
        with monkeypatch.context() as patched:
            patched.setattr(Storage, "begin_attempt", full)
            await stage.until("10:06")
            assert running.value(WRITABLE) == 0
            await stage.reload(running, operation(labels="{site: cali}"))
            await stage.until("10:08")
            assert running.value(WRITABLE) == 0
        await stage.until("10:11")
        assert running.value(WRITABLE) == 1
    said = [record.message for record in caplog.records]
    assert said.count("the state can be written again") == 1
