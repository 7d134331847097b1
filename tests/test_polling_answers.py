"""What answers do to what is shown: doubt, known pairs, expiry, and fields that are no use."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from tests.polling_support import INBOUND, OFFERED, Stage, operation
from tests.virtual import Exporter, Seen, in_virtual_time, no_rows, ok, refusal, row

pytest_plugins = ("tests.polling_fixtures",)

LEVEL = "wolkvox_skill_service_level_ratio"
EMPTY = httpx.Response(
    200, json={"code": 200, "error": None, "msg": " records were found", "data": []}
)


def in_turn(stage: Stage, *responses: httpx.Response) -> Callable[[Seen], httpx.Response]:
    """These answers, one a poll; the last one from then on."""
    return lambda seen: responses[min(len(stage.api.seen), len(responses)) - 1]


def data_series(running: Exporter) -> set[str]:
    """The names of the data series on the page."""
    lines = running.page.render().decode().splitlines()
    return {line.split("{")[0] for line in lines if line.startswith("wolkvox_skill_")}


@pytest.mark.parametrize("nothing", [no_rows(), EMPTY])
@in_virtual_time
async def test_no_rows_is_a_success(stage: Stage, nothing: httpx.Response) -> None:
    """A window without interactions is no failure, and not worth a word in the log."""
    stage.api.answer = in_turn(stage, nothing)
    async with stage.run() as running:
        await stage.until("2026-11-18 10:06")
        assert running.value("wolkvox_up") == 1
        assert running.value("wolkvox_consecutive_failures") == 0
        assert sum(running.samples("wolkvox_api_request_failures_total").values()) == 0
        assert data_series(running) == set()


@in_virtual_time
async def test_an_empty_answer_is_doubted_once(stage: Stage) -> None:
    """No rows after rows of the same day: the values stay once, then the answer is believed.
    Doubt outlives restarts; rows between two empty answers make the second doubtful again.
    """
    rows = ok(row(inbound=35))
    stage.api.answer = in_turn(stage, rows, no_rows(), rows, no_rows(), no_rows())
    for minute, inbound in ((1, 35), (6, 35), (11, 35), (16, 35), (21, 0)):
        async with stage.run() as running:
            await stage.until(f"2026-11-18 10:{minute:02}")
            assert running.value("wolkvox_up") == 1
            assert running.value(INBOUND) == inbound
            shown = {*running.samples(LEVEL, threshold_seconds="20").values()}
            assert shown == ({0.6} if inbound else set())


@in_virtual_time
async def test_a_new_day_without_rows_is_not_doubted(stage: Stage) -> None:
    """Nothing has happened yet just after midnight: known pairs show 0 at once."""
    stage.begin("2026-11-18 23:58")
    stage.api.answer = in_turn(stage, ok(row(inbound=35)), ok(row(inbound=36)), no_rows())
    async with stage.run() as running:
        await stage.until("2026-11-19 00:09")
        assert running.value(INBOUND, window="today") == 0
        assert running.value(INBOUND, window="yesterday") == 36


@in_virtual_time
async def test_an_empty_closing_answer_is_doubted_too(stage: Stage) -> None:
    """The day had rows: it is asked for once more before the empty answer is believed."""
    stage.begin("2026-11-18 23:58")
    stage.api.answer = in_turn(stage, ok(row()), no_rows(), ok(row(inbound=140)))
    async with stage.run() as running:
        await stage.until("2026-11-19 00:09")
        assert running.value(INBOUND, window="yesterday") == 140
    assert [window[1] for window in stage.windows()[1:]] == ["20261118235959"] * 2


@in_virtual_time
async def test_a_known_pair_that_is_missing_counts_0(stage: Stage) -> None:
    """A channel of the last days that an answer lacks has counts of 0 and nothing else."""
    both = ok(row("inbound"), row("chat-web"))
    stage.api.answer = in_turn(stage, both, ok(row("inbound")))
    async with stage.run() as running:
        await stage.until("2026-11-18 10:06")
        pair = {"type_interaction": "chat-web", "window": "today"}
        for name in ("inbound", "answered", "abandoned"):
            assert running.value(f"wolkvox_skill_{name}_interactions", **pair) == 0
        for name in ("abandonment_ratio", "asa_seconds", "ata_seconds", "service_level_ratio"):
            assert running.samples(f"wolkvox_skill_{name}", **pair) == {}
        assert running.value(OFFERED, type_interaction="chat-web") == 0


@in_virtual_time
async def test_a_pair_is_known_for_eight_days(stage: Stage) -> None:
    """Eight days after its last row a channel is still shown; on the ninth it is forgotten."""
    stage.begin("2026-11-10 12:00")
    both = ok(row("inbound"), row("chat-web"))
    stage.api.answer = in_turn(stage, both, both, ok(row("inbound")))
    async with stage.run():
        await stage.until("2026-11-10 12:06")
    for start in ("2026-11-15 23:50", "2026-11-18 23:50"):
        await stage.until(start)
        async with stage.run() as running:
            await stage.until(start.replace("23:50", "23:57"))
            assert running.value(INBOUND, type_interaction="chat-web", window="today") == 0
            assert running.value(OFFERED, type_interaction="chat-web") is not None
    async with stage.run() as running:
        await stage.until("2026-11-19 00:07")
        assert running.value(INBOUND, type_interaction="chat-web", window="today") is None
        assert running.value(OFFERED, type_interaction="chat-web") is None
        assert running.value(INBOUND, type_interaction="inbound", window="today") == 100


@in_virtual_time
async def test_a_channel_that_appears_later_begins_at_0(stage: Stage) -> None:
    """Its counters show 0 until the next poll and then hold all of it."""
    stage.api.answer = in_turn(
        stage,
        ok(row("inbound", 10, 8)),
        ok(row("inbound", 12, 9), row("chat-web", 5, 5)),
        ok(row("inbound", 12, 9), row("chat-web", 6, 6)),
    )
    async with stage.run() as running:
        await stage.until("2026-11-18 10:01")
        assert running.value(OFFERED, type_interaction="inbound") == 0
        await stage.until("2026-11-18 10:06")
        assert running.value(OFFERED, type_interaction="inbound") == 2
        assert running.value(OFFERED, type_interaction="chat-web") == 0
        await stage.until("2026-11-18 10:11")
        assert running.value(OFFERED, type_interaction="chat-web") == 6


@in_virtual_time
async def test_late_and_expired(stage: Stage) -> None:
    """Failures keep the values until stale_after; then they vanish, and `up` stays."""
    stage.api.answer = in_turn(stage, ok(row(inbound=100)), refusal("oops", 500))
    async with stage.run(operation(stale_after="20m")) as running:
        await stage.until("2026-11-18 10:20:00")
        assert running.value(INBOUND) == 100
        assert running.value("wolkvox_up") == 0
        await stage.until("2026-11-18 10:20:01")
        assert data_series(running) == set()
        assert running.value("wolkvox_up") == 0
        assert running.value("wolkvox_consecutive_failures") == 4
        assert running.value("wolkvox_last_success_timestamp_seconds") == pytest.approx(
            stage.api.seen[0].at + 0.5, abs=0.1
        )
        stage.api.answer = lambda seen: ok(row(inbound=170))
        await stage.until("2026-11-18 10:26")
        # Back at once with what happened meanwhile: no burst for a rate to see.
        assert running.value(INBOUND) == 170
        assert running.value(OFFERED) == 70


@in_virtual_time
async def test_values_live_three_intervals_in_force(stage: Stage) -> None:
    """Where the budget stretches the interval, values do not expire between two polls."""
    stage.begin("2026-11-18 00:00")
    stretched = operation("4173 4174 4175", daily_requests=72)  # every 3,600 s
    async with stage.run(stretched) as running:
        for minute in range(50, 180, 10):
            await stage.until(f"2026-11-18 {minute // 60:02}:{minute % 60:02}")
            for skill in ("4173", "4174", "4175"):
                assert running.value(INBOUND, skill_id=skill) == 100


@in_virtual_time
async def test_a_field_that_cannot_be_read(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs its own sample, is counted at every poll and said once."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.api.answer = lambda seen: ok(row(asa="soon", service_level_20seg="65,67 %"))
    async with stage.run() as running:
        await stage.until("2026-11-18 10:11")
        assert running.value("wolkvox_up") == 1
        assert running.value(INBOUND) == 100
        assert running.samples("wolkvox_skill_asa_seconds") == {}
        assert running.samples(LEVEL, threshold_seconds="20") == {}
        assert running.value(LEVEL, threshold_seconds="10") == 0.4
        assert running.value("wolkvox_parse_errors_total", field="asa") == 3
        assert running.value("wolkvox_parse_errors_total", field="service_level_20seg") == 3
        assert running.value("wolkvox_parse_errors_total", field="ata") == 0
    assert len(caplog.records) == 2


@in_virtual_time
async def test_rows_beyond_the_limits_are_counted(stage: Stage) -> None:
    """A channel name without end and the 65th channel are dropped, and counted."""
    rows = [row(f"channel-{number:02}") for number in range(66)]
    stage.api.answer = lambda seen: ok(row("x" * 129), *rows)
    async with stage.run() as running:
        await stage.until("2026-11-18 10:01")
        assert running.value("wolkvox_series_dropped_total") == 3
        assert len(running.samples(INBOUND)) == 64
