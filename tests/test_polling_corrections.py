"""Corrections and glitches of Wolkvox through the real poll loop: counted, held, logged."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.polling_support import INBOUND, OFFERED, Stage
from tests.virtual import Exporter, Seen, in_virtual_time, no_rows, ok, row, run_virtual

pytest_plugins = ("tests.polling_fixtures",)

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


@pytest.mark.parametrize("restarts", [False, True])
def test_a_row_that_fell_waits_for_the_next_answer(
    state_directory: Path, restarts: bool
) -> None:
    """It is held back as a whole, also over restarts, until the next answer decides."""

    async def live(directory: Path, totals: Sequence[Total]) -> tuple[object, float]:
        stage = Stage(directory)
        answers(stage, totals)
        held, lives = 0.0, len(totals) if restarts else 1
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
        found = run_virtual(live(state_directory / str(number), totals))
        figures = (counted, counted * 0.9, counted * 0.6, counted * 0.9 * 12)
        assert found == (figures, held), totals


def test_the_closing_answer_decides_and_the_new_day_begins_at_zero(
    state_directory: Path,
) -> None:
    """What waited is counted by it or not at all: nothing of it reaches into the new day."""

    async def live(directory: Path, waiting: int, closing: int) -> list[float | None]:
        stage = Stage(directory, "2026-11-18 23:45:30")
        answers(stage, (0, 100, waiting, closing, 10, 30))
        counted = []
        async with stage.run() as running:
            for moment in ("00:01", "00:11"):
                await stage.until(f"2026-11-19 {moment}")
                counted.append(running.value(OFFERED))
        ends = [end for _, end in stage.windows()]
        assert ends[3] == "20261118235959"
        assert ends[4] > "20261119"
        return counted

    cases = {(100, 70): 100, (100, 130): 130, (70, 70): 100, (70, 90): 120, (70, 130): 130,
             (70, 60): 100}  # fmt: skip
    for number, (totals, counted) in enumerate(cases.items()):
        found = run_virtual(live(state_directory / str(number), *totals))
        assert found == [counted, counted + 30], totals


@in_virtual_time
async def test_a_channel_that_is_missing_twice_is_a_row_of_zeros(stage: Stage) -> None:
    """Once it is a glitch; a second time it is believed, and what comes then is new."""
    chat = [0, 50, None, 60, None, None, 20]

    def answer(seen: Seen) -> httpx.Response:
        total = chat[min(len(stage.seen()), len(chat)) - 1]
        return ok(row(), *([] if total is None else [row("chat-web", total, total)]))

    stage.api.answer = answer
    offered = []
    async with stage.run() as running:
        for number, _ in enumerate(chat):
            await stage.world.clock().sleep(301 if number else 1)
            offered.append(running.value(OFFERED, type_interaction="chat-web"))
        assert running.value(HELD) == 2
    assert offered == [0, 50, 50, 60, 60, 60, 80]


@in_virtual_time
async def test_empty_answers_are_doubted_then_held_then_believed(stage: Stage) -> None:
    """A day's totals do not vanish, unless three answers in a row say so."""
    held = []
    async with stage.run() as running:
        await stage.world.clock().sleep(1)
        stage.api.answer = lambda seen: no_rows()
        for _ in range(3):
            await stage.world.clock().sleep(301)
            held.append(running.value(HELD))
        stage.api.answer = lambda seen: ok(row(inbound=7, answered=7))
        await stage.world.clock().sleep(301)
        assert running.value(OFFERED) == 7
    assert held == [0, 1, 1]


@in_virtual_time
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
