"""The calls beside skill_11: what is said of the token, and which skills there are."""

from __future__ import annotations

import httpx
import pytest

from tests.polling_support import INBOUND, OFFERED, USED, Stage, gaps, operation
from tests.state_support import change
from tests.virtual import Seen, ok, refusal, row

pytestmark = pytest.mark.usefixtures("rare_wakeups")

TOKEN = {
    "description": "exporter",
    "token_limit": "1000",
    "token_use_today": "35",
    "all_token_today": "50",
    "available_consumption_options": "950",
}
FAILURES = "wolkvox_api_request_failures_total"


class Centre:
    """An API whose skills a test changes."""

    def __init__(self, stage: Stage) -> None:
        self.skills = {"4173": "Ventas", "4180": "Cobranza"}
        self.token_info = ok(TOKEN)
        stage.api.answer = self.answer

    def answer(self, seen: Seen) -> httpx.Response:
        if seen.report == "token_info":
            return self.token_info
        if seen.report == "skills":
            rows = [{"skill_id": key, "skill_name": name} for key, name in self.skills.items()]
            return ok(*rows)
        return ok(row(inbound=int(seen.skill)))


async def test_token_info_once_an_hour(stage: Stage) -> None:
    """What the platform says of the token is asked for once an hour and shown."""
    Centre(stage)
    async with stage.run(operation(token_info="true"), until="13:01") as running:
        assert running.value("wolkvox_token_limit") == 1000
        assert running.value("wolkvox_token_used_today") == 35
        assert running.value("wolkvox_token_used_today_all_tokens") == 50
        assert running.value("wolkvox_token_available") == 950
        assert running.value(USED) == len(stage.api.seen)
        assert running.value("wolkvox_api_requests_total", report="token_info") == 4
    asked = stage.seen(report="token_info")
    assert gaps(asked) == pytest.approx([3600.0] * 3, abs=1)
    assert min(gaps(asked)) >= 3600 - 1e-3
    assert len(stage.seen()) == 37


async def test_an_unreadable_count_of_token_info_is_left_out_and_counted(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """As a field of a report is: the others are shown, one line names it; blank is absent."""
    unreadable = TOKEN | {"token_limit": "unlimited", "token_use_today": " "}
    Centre(stage).token_info = ok(unreadable)
    errors = "wolkvox_parse_errors_total"
    async with stage.run(operation(token_info="true"), until="12:01") as running:
        assert running.value("wolkvox_token_limit") is None
        assert running.value("wolkvox_token_used_today") is None
        assert running.value("wolkvox_token_available") == 950
        assert running.value(errors, field="token_limit") == 3
        assert running.value(errors, field="token_use_today") == 0
    told = [one for one in caplog.records if "cannot be read" in one.message]
    assert len(told) == 1


async def test_token_info_keeps_its_hour_over_restarts(stage: Stage) -> None:
    """A crash loop asks for it no more often either."""
    Centre(stage)
    for _ in range(6):
        async with stage.run(operation(token_info="true")):
            await stage.world.clock().sleep(500)
    assert len(stage.seen(report="token_info")) == 1


async def test_token_info_that_fails_disturbs_nothing(stage: Stage) -> None:
    """skill_11 goes on at its slots; the failure is counted under its own report."""
    centre = Centre(stage)
    failures = [
        refusal("PLEASE VALIDATE TOKEN"),
        refusal("TOKEN LIMIT EXCEEDED"),
        refusal("oops", 500),
        httpx.Response(200, text="<html>"),
    ]
    async with stage.run(operation(token_info="true")) as running:
        for number, centre.token_info in enumerate(failures, start=1):
            await stage.world.clock().sleep(3590)
            assert running.value("wolkvox_up") == 1
            assert sum(running.samples("wolkvox_paused").values()) == 0
            assert sum(running.samples(FAILURES, report="token_info").values()) == number
        assert sum(running.samples(FAILURES, report="skill_11").values()) == 0
        assert running.value("wolkvox_token_limit") is None
    assert len(stage.seen()) == 48


async def test_skills_are_discovered_and_asked_at_once(stage: Stage) -> None:
    """The first answer names the queries; all of them are due right away."""
    Centre(stage)
    async with stage.run(operation("discover", interval="1h", stale_after="4h")) as running:
        assert not running.operations.ready()
        await stage.until("10:00:10")
        assert running.operations.ready()
        assert running.value(INBOUND, skill_id="4173", skill="Ventas") == 4173
        assert running.value(INBOUND, skill_id="4180", skill="Cobranza") == 4180
        await stage.until("2026-11-19 09:59")
        assert len(stage.seen(report="skills")) == 1


async def test_a_list_of_skills_that_cannot_be_read_is_asked_for_again(stage: Stage) -> None:
    """Whatever stands in the state file, an operation has its skills an interval later."""
    Centre(stage)
    for minute, junk in enumerate(("[5]", '[[5, "x"], ["", "y"]]', "true"), start=1):
        async with stage.run(operation("discover", interval="60s")) as running:
            await stage.until(f"10:{minute:02}:30")
            assert running.value("wolkvox_up", skill_id="4180") == 1, junk
            assert len(stage.seen(report="skills")) == minute, junk
            change(running.storage, "UPDATE facts SET fact = ? WHERE name = 'skills'", junk)


async def test_skills_that_come_go_and_change_their_name(stage: Stage) -> None:
    """A day later a new skill is polled at once, a removed one and an old name are gone."""
    centre = Centre(stage)
    async with stage.run(operation("discover", interval="1h", stale_after="4h")) as running:
        await stage.until("12:00")
        centre.skills = {"4173": "Ventas 2", "4200": "Nueva"}
        await stage.until("2026-11-19 09:59")
        assert running.value("wolkvox_up", skill_id="4180") == 1
        await stage.until("2026-11-19 10:01")
        assert len(stage.seen(report="skills")) == 2
        assert running.value(INBOUND, skill_id="4200", window="today") == 4200
        assert running.samples("wolkvox_up", skill_id="4180") == {}
        assert running.samples(INBOUND, skill_id="4180") == {}
        assert running.samples(OFFERED, skill_id="4180") == {}
        names = {dict(labels)["skill"] for labels in running.samples("wolkvox_up")}
        assert names == {"Ventas 2", "Nueva"}
        asked = len(stage.seen("4180"))
        await stage.until("2026-11-19 13:00")
        assert len(stage.seen("4180")) == asked


async def test_a_discovery_that_fails_is_tried_at_its_next_slot(stage: Stage) -> None:
    """Without any skill known it is asked for again an interval later."""
    Centre(stage)
    answer, stage.api.answer = stage.api.answer, lambda seen: refusal("oops", 500)
    async with stage.run(operation("discover"), until="10:06") as running:
        assert running.value(FAILURES, report="skills", reason="http") == 2
        assert not running.operations.ready()
        assert running.operations.healthy()
        stage.api.answer = answer
        await stage.until("10:11")
        assert running.operations.ready()
    assert gaps(stage.seen(report="skills")) == pytest.approx([300.0] * 2, abs=1)


async def test_an_empty_list_of_skills_is_not_believed(stage: Stage) -> None:
    """An operation does not lose all of its skills: an empty answer changes nothing."""
    centre = Centre(stage)
    async with stage.run(operation("discover", interval="1h", stale_after="4h")) as running:
        await stage.until("12:00")
        centre.skills = {}
        await stage.until("2026-11-19 11:30")
        assert len(stage.seen(report="skills")) == 2
        assert running.value("wolkvox_up", skill_id="4173") == 1
    async with stage.run(operation("discover", interval="1h", stale_after="4h")) as running:
        await stage.until("2026-11-19 11:31")
        assert running.value("wolkvox_up", skill_id="4173") == 1


async def test_a_skill_that_returns_goes_on_where_it_was(stage: Stage) -> None:
    """The counters of a skill that was gone for a day do not begin again at 0."""
    stage.begin("09:00")
    centre = Centre(stage)
    async with stage.run(operation("discover", interval="1h", stale_after="4h")) as running:
        await stage.until("2026-11-19 08:59")
        counted = running.value(OFFERED, skill_id="4180")
        assert counted is not None
        assert counted > 0
        centre.skills = {"4173": "Ventas"}
        await stage.until("2026-11-20 08:59")
        assert running.value(OFFERED, skill_id="4180") is None
        centre.skills = {"4173": "Ventas", "4180": "Cobranza"}
        await stage.until("2026-11-20 09:30")
        again = running.value(OFFERED, skill_id="4180")
        assert again is not None
        assert again >= counted
