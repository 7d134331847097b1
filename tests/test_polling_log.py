"""The log of the poll loops: one line for each change of state, none for each poll."""

from __future__ import annotations

import pytest

from tests.polling_support import Stage, operation
from tests.virtual import in_virtual_time, ok, refusal, row

pytest_plugins = ("tests.polling_fixtures",)


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    """Every line from info on is kept."""
    caplog.set_level("INFO", logger="exporter")


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, object]]:
    """The fields of every record with this message."""
    return [
        getattr(record, "fields", {})
        for record in caplog.records
        if record.getMessage().startswith(message)
    ]


@in_virtual_time
async def test_an_outage_is_two_lines(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A failure and its end are said once each, with the number of failed attempts."""
    stage.api.answer = lambda seen: refusal("maintenance")
    async with stage.run():
        await stage.until("2026-11-18 10:16")
        stage.api.answer = lambda seen: ok(row())
        await stage.until("2026-11-18 10:26")
    said = [(record.levelname, record.message) for record in caplog.records]
    assert said == [("WARNING", "no answer"), ("INFO", "answers again")]
    assert [one["reason"] for one in lines(caplog, "no answer")] == ["forbidden"]
    assert [one["failures"] for one in lines(caplog, "answers again")] == [4]


@in_virtual_time
async def test_a_pause_is_told_at_both_ends(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The quota's pause begins and ends with a line each."""
    stage.begin("2026-11-18 23:30")
    stage.api.answer = lambda seen: refusal("TOKEN LIMIT EXCEEDED")
    async with stage.run():
        await stage.until("2026-11-18 23:59")
        stage.api.answer = lambda seen: ok(row())
        await stage.until("2026-11-19 00:30")
    assert [one["reason"] for one in lines(caplog, "operation paused")] == ["quota"]
    assert [one["reason"] for one in lines(caplog, "operation no longer paused")] == ["quota"]


@in_virtual_time
async def test_a_day_that_could_not_be_closed_is_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Three failed closing polls lose what came late in the day: one warning, once."""
    stage.begin("2026-11-18 23:30")
    async with stage.run():
        await stage.until("2026-11-18 23:59")
        stage.api.answer = lambda seen: refusal("maintenance")
        await stage.until("2026-11-19 01:00")
    said = lines(caplog, "a finished day could not be closed")
    assert [str(one["day"]) for one in said] == ["2026-11-18"]


@in_virtual_time
async def test_a_spent_budget_is_said_once_a_day(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A ceiling that is reached stops the polling: said once, not at each look."""
    stage.begin("2026-11-18 23:30")
    async with stage.run(operation("4173 4174 4175", daily_requests=1)):
        await stage.until("2026-11-18 23:59")
        assert len(lines(caplog, "daily_requests are used up")) == 1
        await stage.until("2026-11-19 02:00")
    assert len(lines(caplog, "daily_requests are used up")) == 2
