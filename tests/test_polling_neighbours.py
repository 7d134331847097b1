"""Other processes on the same state (a probe beside the exporter): attempts are shared."""

from __future__ import annotations

from pathlib import Path

from exporter.state.models import Attempt, Granted, Refused
from exporter.state.storage import Storage
from tests.polling_support import INBOUND, NEARLY, USED, Stage
from tests.state_support import change, row_of
from tests.virtual import in_virtual_time, ok, row

pytest_plugins = ("tests.polling_fixtures",)

WHOLE_18TH = ("20261118000000", "20261118235959")


def probe(storage: Storage, stage: Stage, skill: str = "4173") -> Granted | Refused:
    """Note an attempt as another process would, which knows of no attempt so far."""
    now = stage.world.now()
    attempt = Attempt(
        operation=row_of(storage, "acme"),
        skill_id=skill,
        at=now.timestamp(),
        known_at=None,
        gap=300.0,
        account=(row_of(storage, "acme"),),
        day=now.astimezone(stage.zone).date(),
        ceiling=None,
    )

    def begin(opened: Storage) -> object:
        return opened.begin_attempt(attempt)

    (result,) = storage.transact([begin])
    assert isinstance(result, Granted | Refused)
    return result


@in_virtual_time
async def test_a_probe_within_the_interval_is_too_early(stage: Stage) -> None:
    """What the exporter asked a moment ago is not asked again by a neighbour."""
    async with stage.run() as running:
        await stage.until("2026-11-18 10:04")
        assert probe(running.storage, stage) == Refused(last_at=stage.api.seen[0].at)


@in_virtual_time
async def test_the_exporter_keeps_its_distance_to_a_probe(stage: Stage) -> None:
    """An attempt of another process moves the slot: one interval after it, not one more."""
    async with stage.run() as running:
        await stage.until("2026-11-18 10:06")
        probe(running.storage, stage, "4180")  # another query is no matter
        await stage.until("2026-11-18 10:10:00")
        # A probe that would be told it is too early is let through.
        change(running.storage, "DELETE FROM attempts WHERE skill_id = '4173'")
        assert isinstance(probe(running.storage, stage), Granted)
        probed = stage.world.now().timestamp()
        await stage.until("2026-11-18 10:30")
        assert running.value("wolkvox_up") == 1
        assert running.value(USED) == len(stage.api.seen) + 2
    later = [seen.at for seen in stage.api.seen if seen.at > probed]
    assert 300 - NEARLY <= later[0] - probed < 302
    assert len(later) == 3


@in_virtual_time
async def test_a_probe_after_midnight_does_not_keep_the_day_open(stage: Stage) -> None:
    """The finished day is closed by the exporter's next slot, whoever asked in between."""
    stage.begin("2026-11-18 23:57")
    stage.api.answer = lambda seen: ok(row(inbound=100 + len(stage.api.seen)))
    async with stage.run() as running:
        await stage.until("2026-11-19 00:01:50")
        # A probe that would be told it is too early is let through.
        change(running.storage, "DELETE FROM attempts WHERE skill_id = '4173'")
        probe(running.storage, stage)
        await stage.until("2026-11-19 00:13")
        assert running.value(INBOUND, window="yesterday") == 102
    assert stage.windows()[1] == WHOLE_18TH
    assert stage.windows().count(WHOLE_18TH) == 1


@in_virtual_time
async def test_a_probe_before_a_start_does_not_keep_the_day_open(state_directory: Path) -> None:
    """Nor where the exporter was down when somebody probed the new day."""
    stage = Stage(state_directory, "2026-11-18 23:50")
    async with stage.run():
        await stage.until("2026-11-18 23:51")
    await stage.until("2026-11-19 00:30")
    storage = Storage.open(state_directory / "state", stage.world.clock().epoch)
    try:
        probe(storage, stage)
    finally:
        storage.close()
    async with stage.run():
        await stage.until("2026-11-19 00:46")
    assert stage.windows()[1:] == [WHOLE_18TH, *stage.windows()[2:]]
    assert stage.windows().count(WHOLE_18TH) == 1
