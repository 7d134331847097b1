"""The log of the poll loops: one line for each change of state, none for each poll."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.virtual import (
    ScriptedApi,
    Seen,
    VirtualWorld,
    configuration,
    exporter,
    ok,
    refusal,
    row,
    run_virtual,
)

YAML = """
operations:
  - name: acme
    url: http://127.0.0.1:1/api/v2/
    token_file: {token0}
    timezone: America/Bogota
    skills: [{id: 4173, name: Ventas}]
"""
EVENING = datetime(2026, 11, 19, 4, 30, tzinfo=UTC)  # 23:30 in Bogota


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, object]]:
    """The fields of every record with this message."""
    return [
        getattr(record, "fields", {})
        for record in caplog.records
        if record.getMessage().startswith(message)
    ]


def test_outage_is_two_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A failure and its end are said once each, with the number of failed attempts."""
    world = VirtualWorld(EVENING)
    broken = True

    def answer(seen: Seen) -> object:
        return refusal("maintenance") if broken else ok(row())

    async def main() -> None:
        nonlocal broken
        api = ScriptedApi(world, answer)  # type: ignore[arg-type]
        async with exporter(configuration(tmp_path, YAML), tmp_path / "s", world, api):
            await asyncio.sleep(1000)
            broken = False
            await asyncio.sleep(600)

    caplog.set_level("INFO", logger="exporter")
    run_virtual(main())
    assert [one["reason"] for one in lines(caplog, "no answer")] == ["forbidden"]
    assert [one["failures"] for one in lines(caplog, "answers again")] == [4]


def test_pause_is_told_at_both_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The quota's pause begins and ends with a line each."""
    world = VirtualWorld(EVENING)

    def answer(seen: Seen) -> object:
        late = world.now() >= datetime(2026, 11, 19, 5, 0, tzinfo=UTC)
        return ok(row()) if late else refusal("TOKEN LIMIT EXCEEDED")

    async def main() -> None:
        api = ScriptedApi(world, answer)  # type: ignore[arg-type]
        async with exporter(configuration(tmp_path, YAML), tmp_path / "s", world, api):
            await asyncio.sleep(3600)

    caplog.set_level("INFO", logger="exporter")
    run_virtual(main())
    assert [one["reason"] for one in lines(caplog, "operation paused")] == ["quota"]
    assert [one["reason"] for one in lines(caplog, "operation no longer paused")] == ["quota"]


def test_day_that_could_not_be_closed_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three failed closing polls lose what came late in the day: one warning, once."""
    world = VirtualWorld(EVENING)

    def answer(seen: Seen) -> object:
        late = world.now() >= datetime(2026, 11, 19, 5, 0, tzinfo=UTC)
        return refusal("maintenance") if late else ok(row())

    async def main() -> None:
        api = ScriptedApi(world, answer)  # type: ignore[arg-type]
        async with exporter(configuration(tmp_path, YAML), tmp_path / "s", world, api):
            await asyncio.sleep(3 * 3600)

    caplog.set_level("INFO", logger="exporter")
    run_virtual(main())
    said = lines(caplog, "a finished day could not be closed")
    assert [str(one["day"]) for one in said] == ["2026-11-18"]


def test_spent_budget_is_said_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A ceiling that is reached stops the polling: said once, not at each look."""
    world = VirtualWorld(EVENING)

    async def main() -> None:
        api = ScriptedApi(world, lambda seen: ok(row()))
        text = YAML.replace("    skills", "    daily_requests: 1\n    skills")
        async with exporter(configuration(tmp_path, text), tmp_path / "s", world, api):
            await asyncio.sleep(86400)

    caplog.set_level("INFO", logger="exporter")
    run_virtual(main())
    assert len(lines(caplog, "daily_requests are used up")) <= 2
