"""An operation that is refused holds still: until the new day, or until the token is right."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from exporter.messages import Words
from tests.polling_support import NEARLY, USED, Stage, gaps, operation
from tests.virtual import Exporter, Seen, ok, refusal, row

QUOTA = refusal("TOKEN LIMIT EXCEEDED")
WRONG_TOKEN = refusal("PLEASE VALIDATE TOKEN")
FAILURES = "wolkvox_api_request_failures_total"


def paused(running: Exporter) -> dict[str, float]:
    """`wolkvox_paused` by reason."""
    found = running.samples("wolkvox_paused")
    return {dict(labels)["reason"]: value for labels, value in found.items()}


async def test_a_used_up_quota_pauses_until_the_next_day(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """One attempt an hour for the whole operation until the day ends in its zone."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.begin("19:10")
    async with stage.run(operation("4173 4174 4175"), until="19:12") as running:
        assert paused(running) == {"quota": 0, "unauthorized": 0}
        stage.api.answer = lambda seen: QUOTA
        await stage.until("19:16")
        assert paused(running) == {"quota": 1, "unauthorized": 0}
        await stage.until("23:59:59")
        hourly = stage.seen()[3:]
        assert len(hourly) == 5
        assert gaps(hourly) == pytest.approx([3600.0] * 4, abs=20)
        assert min(gaps(hourly)) >= 3600 - NEARLY
        assert running.value(USED) == 8
        assert running.value("wolkvox_up", skill_id=hourly[-1].skill) == 0
        stage.api.answer = lambda seen: ok(row())
        await stage.until("2026-11-19 00:01")
        assert paused(running) == {"quota": 0, "unauthorized": 0}
        assert running.value(USED) == 3
    assert [window[1] for window in stage.windows()[8:]] == ["20261118235959"] * 3
    said = [(record.message, vars(record)["fields"].get("reason")) for record in caplog.records]
    for message in ("operation paused", "operation no longer paused"):
        assert said.count((message, "quota")) == 1, message


async def test_a_refusal_that_comes_after_midnight_pauses_the_day_it_was_asked_on(
    state_directory: Path,
) -> None:
    """The quota of the finished day says nothing about the new one: its first slot is kept."""
    stage = Stage(state_directory, "2026-11-18 23:59:50", seconds=20.0)
    stage.api.answer = lambda seen: QUOTA
    async with stage.run(until="2026-11-19 00:00:05") as running:
        stage.api.answer = lambda seen: QUOTA if len(stage.api.seen) == 1 else ok(row())
        await stage.until("2026-11-19 00:06")
        assert paused(running) == {"quota": 0, "unauthorized": 0}
    assert stage.clock_times() == ["23:59:50", "00:04:50"]


@pytest.mark.parametrize("status", [200, 401, 503])
async def test_the_hourly_attempt_stays_one_whatever_comes_of_it(
    stage: Stage, status: int
) -> None:
    """Another failure is the hour's attempt too; only an answer ends the pause early."""
    stage.api.answer = lambda seen: QUOTA
    async with stage.run(operation("4173 4174 4175", token_info="true")) as running:
        await stage.until("10:30")
        assert len(stage.seen()) == 1
        stage.api.answer = lambda seen: ok(row()) if status == 200 else httpx.Response(status)
        await stage.until("11:00:30")
        if status == 200:
            assert len(stage.seen()) == 4
            assert sum(paused(running).values()) == 0
        else:
            assert len(stage.api.seen) == 2
            assert sum(paused(running).values()) == 1
            assert paused(running)["unauthorized"] == (status == 401)


async def test_a_quota_pause_survives_a_restart(stage: Stage) -> None:
    """A restart neither ends the pause nor begins its hour anew."""
    stage.api.answer = lambda seen: QUOTA
    await stage.live("10:05", operation("4173 4174"))
    async with stage.run(operation("4173 4174"), until="10:20") as running:
        assert paused(running)["quota"] == 1
        await stage.until("10:59")
        assert len(stage.api.seen) == 1
        await stage.until("11:01")
        assert len(stage.api.seen) == 2
    await stage.until("2026-11-19 00:10")
    async with stage.run(operation("4173 4174"), until="2026-11-19 00:10:10") as running:
        assert len(stage.api.seen) == 3


async def test_token_info_does_not_disturb_a_pause(stage: Stage) -> None:
    """While paused token_info is not asked, so the hour has one attempt in all."""

    def answer(seen: Seen) -> httpx.Response:
        return QUOTA if seen.report == "skill_11" else ok({"token_limit": "1000"})

    stage.api.answer = answer
    async with stage.run(operation(token_info="true"), until="14:30") as running:
        assert paused(running)["quota"] == 1
    assert [seen.report for seen in stage.api.seen].count("skill_11") == 5
    assert len(stage.api.seen) <= 6


async def test_a_wrong_token_backs_off(stage: Stage) -> None:
    """From the interval doubling to an hour, for the whole operation."""
    stage.api.answer = lambda seen: WRONG_TOKEN
    async with stage.run(operation("4173 4174"), until="16:00") as running:
        assert paused(running) == {"quota": 0, "unauthorized": 1}
        assert running.value(FAILURES, reason="unauthorized") == len(stage.api.seen)
    expected = [300, 600, 1200, 2400, 3600, 3600, 3600, 3600]
    assert gaps(stage.api.seen) == pytest.approx(expected, abs=20)
    assert all(gap >= least for gap, least in zip(gaps(stage.api.seen), expected, strict=True))


async def test_a_start_in_a_pause_says_what_to_do(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the language of the terminal, with the seconds to the next attempt."""
    monkeypatch.setenv("LC_ALL", "es_CO.UTF-8")
    stage.api.answer = lambda seen: WRONG_TOKEN
    for _ in range(2):
        await stage.live("10:02")
    said = {one.message: vars(one).get("fields", {}) for one in caplog.records}
    assert said["no answer"]["hint"] == Words("es").advice("unauthorized")
    still = said["operation still paused"]
    assert still["hint"] == said["no answer"]["hint"]
    assert 0 < still["next_attempt_seconds"] <= 300


async def test_a_changed_token_ends_the_backoff_not_the_spacing(stage: Stage) -> None:
    """A new token is used as soon as a query is due, and no sooner."""
    stage.api.answer = lambda seen: ok(row()) if seen.token == "fresh" else WRONG_TOKEN
    async with stage.run(operation("4173 4174"), until="10:36") as running:
        assert len(stage.api.seen) == 4
        before = stage.api.seen[-1]
        stage.token_file().write_text("fresh", encoding="utf-8")
        await stage.until("10:37")
        # The other query is due since long; this one waits for its slot.
        other = [seen for seen in stage.api.seen[4:] if seen.skill != before.skill]
        assert len(other) == 1
        assert len(stage.api.seen) == 5
        assert paused(running) == {"quota": 0, "unauthorized": 0}
        await stage.until("10:45")
        assert {seen.token for seen in stage.api.seen[4:]} == {"fresh"}
        assert running.value("wolkvox_up", skill_id="4173") == 1
    for skill in ("4173", "4174"):
        assert min(gaps(stage.seen(skill)), default=300) >= 300 - NEARLY


async def test_a_token_file_that_is_gone(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent without a token: `unauthorized`, and back soon after the file is."""
    async with stage.run(until="10:01") as running:
        stage.token_file().unlink()
        await stage.until("12:00")
        assert len(stage.api.seen) == 1
        assert running.value(USED) == 1
        assert paused(running) == {"quota": 0, "unauthorized": 1}
        assert running.value("wolkvox_up") == 0
        assert running.value("wolkvox_api_requests_total") == 1
        failures = running.value(FAILURES, reason="unauthorized")
        assert failures is not None
        assert failures >= 1
        stage.token_file().write_text("canary", encoding="utf-8")
        await stage.until("12:01")
        assert len(stage.api.seen) == 2
        assert running.value("wolkvox_up") == 1
        assert paused(running) == {"quota": 0, "unauthorized": 0}
    assert "canary" not in caplog.text


async def test_a_token_file_that_is_gone_for_a_moment(stage: Stage) -> None:
    """A file that is back before the next slot is not even missed; nor is the spacing lost."""
    async with stage.run(until="10:04:55") as running:
        stage.token_file().rename(stage.token_file().with_name("away"))
        await stage.until("10:05:10")
        assert running.value("wolkvox_up") == 0
        stage.token_file().with_name("away").rename(stage.token_file())
        await stage.until("10:05:30")
        assert running.value("wolkvox_up") == 1
    assert len(stage.api.seen) == 2
    assert min(gaps(stage.api.seen)) >= 300 - NEARLY


async def test_a_spent_budget_is_said_once_a_day(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A ceiling that is reached stops the polling: said once, not at each look."""
    stage.begin("23:30")
    async with stage.run(operation("4173 4174 4175", daily_requests=1)):
        for until, days in (("2026-11-18 23:59", 1), ("2026-11-19 02:00", 2)):
            await stage.until(until)
            assert caplog.text.count("daily_requests are used up") == days
