"""The daily ceiling: never passed, the interval stretched in time, the day's end its own."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pytest

from exporter.state.models import Attempt, Granted
from exporter.state.storage import Storage
from tests.polling_support import IN_FORCE, INBOUND, NEARLY, USED, Stage, gaps, operation
from tests.state_support import row_of
from tests.virtual import Exporter, refusal

pytestmark = pytest.mark.usefixtures("rare_wakeups")

FOUR = "4170 4171 4172 4173"
STRETCHED = "interval stretched to keep within daily_requests"
LIMIT = "wolkvox_daily_requests_limit"


def per_day(stage: Stage) -> Counter[date]:
    """Requests of every kind by local day."""
    return Counter(
        datetime.fromtimestamp(seen.at, stage.zone).date() for seen in stage.api.seen
    )


def spend(running: Exporter, stage: Stage, calls: int, skill: str = "9999") -> None:
    """Let another process (a probe) use up calls of the day on the same account."""
    now, row = stage.world.now(), row_of(running.storage, "acme")
    for number in range(calls):
        attempt = Attempt(
            operation=row,
            skill_id=f"{skill}-{number}",
            at=now.timestamp(),
            known_at=None,
            gap=300.0,
            account=(row,),
            day=now.astimezone(stage.zone).date(),
            ceiling=None,
        )
        steps = [functools.partial(Storage.begin_attempt, attempt=attempt)]
        (granted,) = running.storage.transact(steps)
        assert isinstance(granted, Granted)


async def test_a_plan_over_the_ceiling_is_stretched(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Four skills with 1,152 planned calls keep within 100 a day, evenly, and say it once."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.begin("00:00")
    async with stage.run(operation(FOUR, daily_requests=100), until="02:00") as running:
        assert running.value(IN_FORCE) == pytest.approx(3456, rel=0.05)
        assert running.value(LIMIT) == 100
        await stage.until("23:59:59")
        assert running.value(USED) == per_day(stage)[date(2026, 11, 18)]
        assert running.value(INBOUND, skill_id="4170") == 100
        await stage.until("2026-11-19 03:00")
    days = per_day(stage)
    assert 96 <= days[date(2026, 11, 18)] <= 100
    assert 12 <= days[date(2026, 11, 19)] <= 16
    for skill in FOUR.split():
        apart = gaps(stage.seen(skill))
        assert min(apart) >= 3456 - NEARLY
        assert max(apart) < 4000
    assert [record.message for record in caplog.records].count(STRETCHED) == 1


async def test_stretching_after_a_costly_morning(stage: Stage) -> None:
    """What others used up by noon is spread over what is left of the day, until midnight."""
    stage.begin("12:00")
    async with stage.run(operation("4173 4174", daily_requests=600), until="12:01") as running:
        assert running.value(IN_FORCE) == 300
        spend(running, stage, 498)
        await stage.until("12:11")
        # About 98 calls are left for twice 43,200 s.
        assert running.value(IN_FORCE) == pytest.approx(2 * 43200 / 98, rel=0.03)
        await stage.until("23:59:59")
        used = running.value(USED)
        assert used is not None
        assert 590 <= used <= 600
        await stage.until("2026-11-19 02:00")
        assert running.value(IN_FORCE) == 300
    for skill in ("4173", "4174"):
        today = [seen for seen in stage.seen(skill) if seen.at > at(stage, "2026-11-19 00:00")]
        assert today[0].at - at(stage, "2026-11-19 00:00") < 305
        assert len(today) == pytest.approx(24, abs=1)
        assert min(gaps(today)) >= 300 - NEARLY


def at(stage: Stage, text: str) -> float:
    """A local moment in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=stage.zone).timestamp()


async def test_a_day_whose_budget_is_spent_ends_at_midnight(stage: Stage) -> None:
    """Nothing leaves once the ceiling is reached; right after midnight the day is closed."""
    stage.begin("20:00")
    async with stage.run(operation("4173 4174", daily_requests=576), until="20:01") as running:
        spend(running, stage, 574)
        await stage.until("23:59:59")
        assert len(stage.api.seen) == 2
        await stage.until("2026-11-19 00:00:10")
        assert running.value(USED) == 2
        await stage.until("2026-11-19 01:00")
        assert running.value("wolkvox_up", skill_id="4173") == 1
        assert running.value(INBOUND, skill_id="4173", window="today") == 100
    assert stage.windows("4173")[1] == ("20261118000000", "20261118235959")
    assert len(stage.seen("4173")) == 1 + 12
    assert min(gaps(stage.seen("4173"))) >= 300 - NEARLY


async def test_the_ceiling_holds_whoever_spent_it(stage: Stage) -> None:
    """Calls of another process count at the moment of the request, whatever was planned."""
    stage.begin("20:00")
    async with stage.run(operation(daily_requests=300)) as running:
        for hour in (20, 21, 22):
            await stage.until(f"{hour}:30")
            spend(running, stage, 90, skill=f"probe-{hour}")
        await stage.until("23:59:59")
        used = running.value(USED)
    own = per_day(stage)[date(2026, 11, 18)]
    assert own + 270 <= 300
    assert used == own + 270


async def test_operations_with_one_token_share_one_count(stage: Stage) -> None:
    """Their calls together keep under the ceiling that both state, and both show them."""
    stage.begin("00:00")
    loaded = stage.configure(
        operation("4173", name="one", daily_requests=96),
        operation("5101", name="two", port=2, token=1, daily_requests=96),
        tokens=("canary-same", "canary-same"),
    )
    async with stage.start(loaded, until="12:00") as running:
        assert running.value(IN_FORCE, operation="one") == pytest.approx(1800, rel=0.02)
        await stage.until("23:59:59")
        used = running.samples(USED)
    total = per_day(stage)[date(2026, 11, 18)]
    assert 92 <= total <= 96
    assert len(stage.seen("4173")) == pytest.approx(len(stage.seen("5101")), abs=2)
    assert max(used.values()) == total
    assert min(used.values()) >= total - 1


async def test_zones_apart_with_one_token(stage: Stage) -> None:
    """Where operations of one token lie in different zones, the ceiling holds and recovers."""
    stage.begin("15:00")
    loaded = stage.configure(
        operation("4173", name="one", daily_requests=100),
        operation(
            "5101", name="two", port=2, token=1, daily_requests=100, timezone="Europe/Madrid"
        ),
        tokens=("canary-same", "canary-same"),
    )
    async with stage.start(loaded):
        await stage.until("2026-11-20 01:00")
    for day in (18, 19):
        assert per_day(stage)[date(2026, 11, day)] <= 100
    assert per_day(stage)[date(2026, 11, 19)] >= 95
    for skill in ("4173", "5101"):
        assert max(gaps(stage.seen(skill))) < 2200


async def test_poll_hours(stage: Stage) -> None:
    """Outside them nothing leaves but the poll that closes the day, at midnight."""
    stage.begin("21:50")
    hours = '"Mo-Su 06:00-22:00"'
    async with stage.run(
        operation("4173 4174", poll_hours=hours, token_info="true")
    ) as running:
        await stage.until("2026-11-19 05:59:59")
        assert running.value(INBOUND, skill_id="4173") is None
        quiet = [each for each in stage.clock_times() if not "06:00" <= each < "22:00"]
        assert quiet == ["00:00:00", "00:00:00"]
        assert stage.clock_times(report="token_info") == ["21:50:01"]
        await stage.until("2026-11-19 06:11")
        assert running.value("wolkvox_poll_lag_seconds") == pytest.approx(0, abs=3)
    assert stage.clock_times("4173") == [
        *("21:50:00", "21:55:00", "00:00:00", "06:00:00", "06:05:00", "06:10:00")
    ]
    assert stage.windows("4173")[2] == ("20261118000000", "20261118235959")


async def test_a_closing_poll_that_fails_outside_poll_hours(stage: Stage) -> None:
    """It is tried at the next slots, three in all, and then it is quiet until the morning."""
    stage.begin("21:56")
    async with stage.run(operation(poll_hours='"Mo-Su 06:00-22:00"'), until="21:58"):
        stage.api.answer = lambda seen: refusal("oops", 500)
        await stage.until("2026-11-19 06:06")
    assert stage.clock_times()[1:] == [
        *("00:00:00", "00:05:00", "00:10:00", "06:00:00", "06:05:00")
    ]
    assert [window[1][8:] for window in stage.windows()[1:4]] == ["235959"] * 3


async def test_a_turn_that_comes_after_the_hours_is_not_taken(state_directory: Path) -> None:
    """A query that waited for its token until polling closed makes no request."""
    stage = Stage(state_directory, "2026-11-18 21:47:35", seconds=55.0)
    hours = '"Mo-Su 06:00-22:00"'
    operations = [
        operation("4173 4174 4175", poll_hours=hours),
        operation("4176 4177 4178 4179", name="twin", poll_hours=hours),  # the same token
    ]
    async with stage.run(*operations, until="22:30") as running:
        assert len(stage.seen()) > 7
        assert max(stage.clock_times()) < "22:00:00"
        assert set(running.samples("wolkvox_up").values()) == {1}
        await stage.until("2026-11-19 00:30")
        assert [window[1] for window in stage.windows()[-7:]] == ["20261118235959"] * 7


async def test_a_plan_that_just_fits_is_not_stretched(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the plan is as large as the ceiling, the interval stays as configured all day."""
    caplog.set_level(logging.INFO, logger="exporter")
    stage.begin("00:00")
    exact = operation("4173 4174", interval="1h", daily_requests=72, token_info="true")
    async with stage.run(exact) as running:
        for hour in range(24):
            await stage.until(f"{hour:02}:31")
            assert running.value(IN_FORCE) == 3600, hour
        await stage.until("23:59:59")
        assert running.value(USED) == 72
    assert STRETCHED not in [record.message for record in caplog.records]


async def test_the_interval_in_force_outlives_a_restart(stage: Stage) -> None:
    """A restart asks no query before the stretched interval has passed, and shows it."""
    stage.begin("00:00")
    stretched = operation(FOUR, daily_requests=200)  # 1,728 s
    await stage.live("00:02", stretched)
    await stage.until("00:25")
    async with stage.run(stretched, until="00:25:30") as running:
        assert len(stage.api.seen) == 4
        assert running.value(IN_FORCE) == pytest.approx(1728, rel=0.02)
        # Younger than three intervals in force, so restored and shown.
        assert running.value(INBOUND, skill_id="4170") == 100
        await stage.until("00:40")
    for skill in FOUR.split():
        assert gaps(stage.seen(skill)) == pytest.approx([1740], rel=0.02)
