"""What answers do to what is shown: doubt, known pairs, expiry, and fields that are no use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from tests.polling_support import INBOUND, OFFERED, Stage, operation
from tests.virtual import Exporter, Seen, no_rows, ok, refusal, row, run_virtual

LEVEL = "wolkvox_skill_service_level_ratio"


def in_turn(stage: Stage, *responses: httpx.Response) -> Callable[[Seen], httpx.Response]:
    """These answers, one a poll; the last one from then on."""
    return lambda seen: responses[min(len(stage.api.seen), len(responses)) - 1]


def data_series(running: Exporter) -> set[str]:
    """The names of the data series on the page."""
    lines = running.page.render().decode().splitlines()
    return {line.split("{")[0] for line in lines if line.startswith("wolkvox_skill_")}


async def test_an_empty_answer_is_doubted_once(stage: Stage) -> None:
    """No rows after rows of the same day: the values stay once, then the answer is believed.
    Doubt outlives restarts; rows between two empty answers make the second doubtful again.
    """
    rows = ok(row(inbound=35))
    stage.api.answer = in_turn(stage, rows, no_rows(), rows, no_rows(), no_rows())
    for minute, inbound in ((1, 35), (6, 35), (11, 35), (16, 35), (21, 0)):
        async with stage.run(until=f"10:{minute:02}") as running:
            assert running.value("wolkvox_up") == 1
            assert running.value(INBOUND) == inbound
            shown = {*running.samples(LEVEL, threshold_seconds="20").values()}
            assert shown == ({0.6} if inbound else set())


async def test_late_and_expired(stage: Stage) -> None:
    """Failures keep the values until stale_after; then they vanish, and `up` stays."""
    stage.api.answer = in_turn(stage, ok(row(inbound=100)), refusal("oops", 500))
    async with stage.run(operation(stale_after="20m"), until="10:20:00") as running:
        assert running.value(INBOUND) == 100
        assert running.value("wolkvox_up") == 0
        await stage.until("10:20:01")
        assert data_series(running) == set()
        assert running.value("wolkvox_up") == 0
        assert running.value("wolkvox_consecutive_failures") == 4
        assert running.value("wolkvox_last_success_timestamp_seconds") == pytest.approx(
            stage.api.seen[0].at + 0.5, abs=0.1
        )
        stage.api.answer = lambda seen: ok(row(inbound=170))
        await stage.until("10:26")
        # Back at once with what happened meanwhile: no burst for a rate to see.
        assert running.value(INBOUND) == 170
        assert running.value(OFFERED) == 70


async def test_values_live_three_intervals_in_force(stage: Stage) -> None:
    """Where the budget stretches the interval, values do not expire between two polls."""
    stage.begin("00:00")
    stretched = operation("4173 4174 4175", daily_requests=72)  # every 3,600 s
    async with stage.run(stretched) as running:
        for minute in range(50, 180, 10):
            await stage.until(f"{minute // 60:02}:{minute % 60:02}")
            for skill in ("4173", "4174", "4175"):
                assert running.value(INBOUND, skill_id=skill) == 100


async def test_a_field_that_cannot_be_read(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs its own sample, is counted at every poll and said once."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.api.answer = lambda seen: ok(row(asa="soon", service_level_20seg="65,67 %"))
    async with stage.run(until="10:11") as running:
        assert running.value("wolkvox_up") == 1
        assert running.value(INBOUND) == 100
        assert running.samples("wolkvox_skill_asa_seconds") == {}
        assert running.samples(LEVEL, threshold_seconds="20") == {}
        assert running.value(LEVEL, threshold_seconds="10") == 0.4
        assert running.value("wolkvox_parse_errors_total", field="asa") == 3
        assert running.value("wolkvox_parse_errors_total", field="service_level_20seg") == 3
        assert running.value("wolkvox_parse_errors_total", field="ata") == 0
    assert len(caplog.records) == 2


HELD = "wolkvox_held_answers_total"
WAIT = "wolkvox_skill_answer_wait_seconds"
Total = int | None  # of the day; None: a row whose service level is blank


def answers(stage: Stage, totals: Sequence[Total]) -> None:
    """Give one answer after the other, the last one again and again."""

    def answer(seen: Seen) -> httpx.Response:
        total = totals[min(len(stage.seen()), len(totals)) - 1]
        if total is None:
            return ok(row(inbound=100, service_level_20seg=""))
        return ok(row(inbound=total, answered=total * 9 // 10))

    stage.api.answer = answer


def shown(running: Exporter) -> tuple[float | None, ...]:
    """Offered, answered, within 20 s and the wait of the answered."""
    return (
        running.value(OFFERED),
        running.value(f"{WAIT}_count"),
        running.value(f"{WAIT}_bucket", le="20.0"),
        running.value(f"{WAIT}_sum"),
    )


CORRECTIONS: dict[tuple[Total, ...], tuple[int, int]] = {
    (0, 100, 70, 100): (100, 1),
    (0, 100, 70, 120): (120, 1),
    (0, 100, 70, 80): (110, 1),
    (0, 100, 70, 60, 80): (120, 2),
    (0, 100, 70, 60, 50, 40, 60): (120, 3),
    (0, 100, None, 70, None, 80): (110, 1),
}


def test_a_row_that_fell_waits_for_the_next_answer(state_directory: Path) -> None:
    """It is held back as a whole, also over restarts, until the next answer decides."""

    async def live(directory: Path, totals: Sequence[Total], lives: int) -> object:
        stage = Stage(directory)
        answers(stage, totals)
        held = 0.0
        for _ in range(lives):
            async with stage.run() as running:
                await stage.world.clock().sleep(301 * len(totals) / lives)
                held += running.value(HELD) or 0
                last = shown(running)
                gauge = running.value(INBOUND, window="today")
        assert len(stage.seen()) >= len(totals)
        assert gauge == totals[-1], "the gauges show what the API says"
        return last, held

    for number, (totals, (counted, held)) in enumerate(CORRECTIONS.items()):
        lives = len(totals) if number % 2 else 1
        found = run_virtual(live(state_directory / str(number), totals, lives))
        figures = (counted, counted * 0.9, counted * 0.6, counted * 0.9 * 12)
        assert found == (figures, held), totals


async def test_a_channel_whose_counters_stand_still_is_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """With the third answer that has interactions but no service level; over restarts too."""
    stage.api.answer = lambda seen: ok(
        row(),
        row("chat-web", service_level_10seg=""),
        row("mail", 0, 0, service_level_10seg=""),
    )
    records: list[logging.LogRecord] = []
    while len(stage.seen()) < 7:
        async with stage.run():
            await stage.world.clock().sleep(301)
        records = [one for one in caplog.records if "inconsistent" in one.message]
        assert len(records) == (len(stage.seen()) > 3)  # a first observation counts nothing
    assert records[0].levelno == logging.WARNING
    assert vars(records[0])["fields"]["channel"] == "chat-web"
