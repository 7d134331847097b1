"""Midnight: the finished day is asked for once more as a whole, and the gauges change over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.polling_support import INBOUND, OFFERED, SANTIAGO, USED, Stage, by_window, operation
from tests.virtual import Seen, no_rows, ok, refusal, row

WHOLE_18TH = ("20261118000000", "20261118235959")


async def test_the_first_slot_after_midnight_closes_the_day(stage: Stage) -> None:
    """It asks for the whole finished day at no extra call; the next slot begins the new day."""
    stage.begin("23:53")
    await stage.live("2026-11-19 00:14")
    assert stage.windows() == [
        ("20261118000000", "20261118235300"),
        ("20261118000000", "20261118235800"),
        WHOLE_18TH,
        ("20261119000000", "20261119000800"),
        ("20261119000000", "20261119001300"),
    ]
    assert stage.clock_times()[2] == "00:03:00"


@pytest.mark.parametrize("defect", [False, True])
async def test_a_failed_closing_poll_is_tried_three_times(
    stage: Stage, caplog: pytest.LogCaptureFixture, defect: bool
) -> None:
    """It is tried again at the next slots, three in all, and a defect of the exporter too:
    then the new day comes, and the log says once what is lost.
    """
    stage.begin("23:58")

    def answer(seen: Seen) -> httpx.Response:
        if defect and seen.window == WHOLE_18TH:
            raise RuntimeError("a defect")
        return refusal("oops", 500) if seen.window == WHOLE_18TH else ok(row())

    stage.api.answer = answer
    async with stage.run(until="2026-11-19 00:24") as running:
        assert running.value(INBOUND, window="yesterday") is None
        assert running.value(INBOUND, window="today") == 100
    assert stage.windows()[1:] == [
        *[WHOLE_18TH] * 3,
        ("20261119000000", "20261119001800"),
        ("20261119000000", "20261119002300"),
    ]
    lost = [one for one in caplog.records if "day could not be closed" in one.message]
    assert [str(vars(one)["fields"]["day"]) for one in lost] == ["2026-11-18"] * (not defect)


async def test_a_day_that_is_not_closed_is_tried_once_an_hour_until_noon(stage: Stage) -> None:
    """After the new day's first answer, in the place of a poll, over restarts too; an empty
    answer then closes nothing, and one with rows ends it.
    """
    stage.begin("23:58")

    def answer(seen: Seen) -> httpx.Response:
        if seen.window != WHOLE_18TH:
            return ok(row())
        hour = datetime.fromtimestamp(seen.at, stage.zone).hour
        return no_rows() if hour == 3 else refusal("oops", 500)

    stage.api.answer = answer
    for until in ("2026-11-19 02:30", "2026-11-19 03:30", "2026-11-19 06:30"):
        async with stage.run(until=until) as running:
            assert running.value(INBOUND, window="yesterday") is None
            assert running.value(INBOUND, window="today") == 100
    assert [one[:2] for one in tries_for_the_18th(stage)] == [
        *["00"] * 3, "01", "02", "03", "04", "05", "06"
    ]  # fmt: skip
    stage.api.answer = lambda seen: ok(row())
    async with stage.run(until="2026-11-19 08:00") as running:
        assert running.value(INBOUND, window="yesterday") == 100
    assert [one[:2] for one in tries_for_the_18th(stage)][9:] == ["07"]


def tries_for_the_18th(stage: Stage) -> list[str]:
    """When the whole of the 18th was asked for."""
    asked = zip(stage.clock_times(), stage.windows(), strict=True)
    return [at for at, window in asked if window == WHOLE_18TH]


async def test_tries_of_a_closing_poll_are_counted_over_restarts(stage: Stage) -> None:
    """A crash loop cannot ask for the finished day more than three times."""
    stage.begin("23:58")
    await stage.live("23:59")
    stage.api.answer = lambda seen: refusal("oops", 500)
    for minute in range(3, 25, 2):
        await stage.live(f"2026-11-19 00:{minute:02}")
    assert stage.windows()[1:4] == [WHOLE_18TH] * 3
    assert WHOLE_18TH not in stage.windows()[4:]
    assert len(stage.windows()) == 5


async def test_a_line_that_is_down_over_midnight(stage: Stage) -> None:
    """Connections never made are no tries: the first request that is made closes the day."""
    stage.begin("23:53")
    down = True

    def answer(seen: Seen) -> httpx.Response:
        if down and len(stage.api.seen) > 1:
            raise httpx.ConnectError("no route")
        return ok(row())

    stage.api.answer = answer
    async with stage.run(until="2026-11-19 02:00") as running:
        assert stage.windows()[-1] == WHOLE_18TH
        assert stage.windows().count(WHOLE_18TH) > 3
        assert running.value(USED) == 0
        down = False
        await stage.until("2026-11-19 02:20")
        assert running.value(INBOUND, window="yesterday") == 100
    assert [window[1] for window in stage.windows()[-4:]].count("20261118235959") == 1


@pytest.mark.usefixtures("rare_wakeups")
async def test_the_gauges_change_over_at_midnight(stage: Stage) -> None:
    """`today` ends at midnight; `yesterday` lives from its closing poll to the next one."""
    stage.begin("23:58")

    def answer(seen: Seen) -> httpx.Response:
        counts = {WHOLE_18TH[1]: 500, "20261118235800": 490}
        return ok(row(inbound=counts.get(seen.window[1], 7), answered=7))

    stage.api.answer = answer
    async with stage.run(operation(interval="1h"), until="23:59:59.9") as running:
        assert by_window(running) == {"today": 490}
        assert running.value(OFFERED) == 0
        await stage.until("2026-11-19 00:00:00")
        assert by_window(running) == {}
        assert running.value("wolkvox_up") == 1
        await stage.until("2026-11-19 00:57:59")
        assert by_window(running) == {}
        await stage.until("2026-11-19 00:59:00")
        assert by_window(running) == {"yesterday": 500}
        assert running.value(OFFERED) == 10
        await stage.until("2026-11-19 01:59:00")
        assert by_window(running) == {"yesterday": 500, "today": 7}
        assert running.value(OFFERED) == 17
        await stage.until("2026-11-19 23:59:59.9")
        assert by_window(running) == {"yesterday": 500, "today": 7}
        await stage.until("2026-11-20 00:00:00")
        assert by_window(running) == {}
        names = {
            name
            for name in running.page.render().decode().split()
            if name.startswith("wolkvox_skill_") and "window=" in name
        }
        assert names == set()


@pytest.mark.parametrize(
    ("start", "last", "gone"),
    [
        # The clocks go from 24:00 to 01:00: the day ends as usual.
        ("2026-09-05 23:58", "2026-09-06T03:59:59+00:00", "2026-09-06T04:00:00+00:00"),
        # They go from 24:00 back to 23:00: 23:58 comes twice before the day ends.
        ("2026-04-04 23:58", "2026-04-05T03:59:59+00:00", "2026-04-05T04:00:00+00:00"),
    ],
)
async def test_the_gauges_of_days_whose_clock_changes(
    state_directory: Path, start: str, last: str, gone: str
) -> None:
    """The day ends at its real last instant, also where midnight is jumped over or repeated."""
    stage = Stage(state_directory, start, SANTIAGO)
    async with stage.run(operation(timezone="America/Santiago")) as running:
        await until_utc(stage, last)
        assert by_window(running) == {"today": 100}
        await until_utc(stage, gone)
        assert by_window(running) == {}
        await until_utc(stage, gone, minutes=4)
        assert by_window(running) == {"yesterday": 100}


async def until_utc(stage: Stage, text: str, minutes: int = 0) -> None:
    """Sleep until an instant that is given with its offset."""
    instant = datetime.fromisoformat(text) + timedelta(minutes=minutes)
    await asyncio.sleep((instant - stage.world.now()).total_seconds())


async def test_a_turn_that_comes_after_midnight_closes_the_day(stage: Stage) -> None:
    """A request that waits for its token's turn over midnight asks for the finished day too."""
    stage.begin("23:54:30")
    loaded = stage.configure(
        operation("4173", name="one"),
        operation("5101", name="two", port=2, token=1),
        tokens=("canary-same", "canary-same"),
    )
    async with stage.start(loaded, until="23:59"):
        stage.api.seconds = 50.0
        await stage.until("2026-11-19 00:20")
    # The second one was due before midnight, and its turn came after it.
    assert stage.clock_times("5101")[1:2] == ["00:00:20"]
    assert stage.windows("5101")[1:2] == [WHOLE_18TH]
    assert stage.windows("4173").count(WHOLE_18TH) == 1


@pytest.mark.usefixtures("rare_wakeups")
async def test_a_target_without_data_in_a_week_is_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for each skill and channel, after seven whole days, restarts in between."""
    channels = "[inbound, chat-web, omni-email]"
    sla = f"[{{channels: {channels}, asa: {{max: 30s}}}}, {{channels: [out_pre], hours: 24/7}}]"
    stage.begin("09:00")
    stage.api.answer = lambda seen: ok(row("inbound"), *[row("chat-web")] * (seen.skill == "2"))
    acme = operation("1 2", interval="1h", sla=sla)
    await stage.live("2026-11-24 12:00", acme)
    assert "target" not in caplog.text
    await stage.live("2026-11-27 12:00", acme)
    told = [vars(one)["fields"] for one in caplog.records if "target" in one.message]
    assert {one.levelname for one in caplog.records if "target" in one.message} == {"WARNING"}
    assert [(one["operation"], one["skill_id"], one["channel"]) for one in told] == [
        ("acme", "1", "chat-web"), ("acme", "1", "omni-email"), ("acme", "2", "omni-email")
    ]  # fmt: skip
