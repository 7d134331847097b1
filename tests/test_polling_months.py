"""The month: asked for once a day in the place of a poll, and as a whole after its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, SimulatedSkill
from tests.polling_support import (
    BOGOTA,
    INBOUND,
    NEARLY,
    OFFERED,
    USED,
    Stage,
    by_window,
    gaps,
    operation,
    raising,
)
from tests.virtual import Exporter, Seen, no_rows, ok, refusal, row

pytestmark = [pytest.mark.no_cover, pytest.mark.usefixtures("rare_wakeups")]

LEVEL = "wolkvox_skill_service_level_ratio"
END = "wolkvox_skill_window_end_timestamp_seconds"
REFUSED = "no answer for a month; the figures of the day go on"
HOURLY = operation(month="true", interval="1h")
Reply = Callable[[Seen], httpx.Response]


def is_long(seen: Seen) -> bool:
    """Whether a request asks for more than one day."""
    return seen.window[0][:8] != seen.window[1][:8]


def months(stage: Stage, skill: str | None = None) -> list[str]:
    """The months that were asked for, as `local moment: first..last`.

    On the second of a month its window is that of the closing request, which came first.
    """
    found, closed = [], set()
    for seen in stage.seen(skill):
        start, end = seen.window
        day = f"{datetime.fromtimestamp(seen.at, stage.zone):%Y%m%d}"
        if is_long(seen) or (end[:8] < day and (seen.skill, end) in closed):
            at = datetime.fromtimestamp(seen.at, stage.zone)
            found.append(f"{at:%m-%d %H:%M}: {start[4:8]}..{end[4:8]}")
        closed.add((seen.skill, end))
    return found


def scripted(stage: Stage, month: Reply | None = None) -> None:
    """Let a day have 10 interactions for each of its number, and a window their sum."""

    def answer(seen: Seen) -> httpx.Response:
        if month is not None and is_long(seen):
            return month(seen)
        first, last = (date.fromisoformat(text[:8]) for text in seen.window)
        days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
        return ok(row(inbound=sum(10 * day.day for day in days), answered=0))

    stage.api.answer = answer


def taking(seconds: float) -> Callable[[Seen], Awaitable[httpx.Response]]:
    """A row for everything; a month takes so many seconds."""

    async def answer(seen: Seen) -> httpx.Response:
        await asyncio.sleep(seconds if is_long(seen) else 0)
        return ok(row())

    return answer


def ends(running: Exporter, stage: Stage) -> dict[str, str]:
    """When the windows end, by window, as local text."""
    return {
        dict(labels)["window"]: f"{datetime.fromtimestamp(at, stage.zone):%Y-%m-%d %H:%M}"
        for labels, at in running.samples(END).items()
    }


async def test_a_first_start_asks_for_the_month_after_the_first_answer(stage: Stage) -> None:
    """The second slot asks from the first to the end of yesterday; the last month is unseen."""
    scripted(stage)
    async with stage.run(operation(month="true"), until="10:04") as running:
        assert by_window(running) == {"today": 180}
        await stage.until("10:11")
        assert by_window(running) == {"today": 180, "month": 10 * sum(range(18))}
        assert ends(running, stage) == {"month": "2026-11-18 00:00"}
        assert running.value(OFFERED) == 0
        assert running.value(USED) == 3
    assert stage.windows() == [
        ("20261118000000", "20261118100000"),
        ("20261101000000", "20261117235959"),
        ("20261118000000", "20261118101000"),
    ]


async def test_the_month_follows_the_closed_day_and_the_first_answer_of_the_new_one(
    stage: Stage,
) -> None:
    """Every day by one request in the place of a poll, so that the day costs no more."""
    stage.begin("20:02")
    scripted(stage)
    polled = operation(month="true", interval="15m")
    async with stage.run(polled, until="2026-11-19 00:31") as running:
        assert by_window(running)["month"] == 10 * sum(range(18))
        await stage.until("2026-11-19 00:33")
        assert by_window(running) == {
            "yesterday": 180, "today": 190, "month": 10 * sum(range(19))
        }  # fmt: skip
        assert ends(running, stage) == dict.fromkeys(("yesterday", "month"), "2026-11-19 00:00")
        await stage.until("2026-11-20 00:00")
        assert running.value("wolkvox_up") == 1
    assert months(stage) == ["11-18 20:17: 1101..1117", "11-19 00:32: 1101..1118"]
    per_day = Counter(datetime.fromtimestamp(one.at, BOGOTA).date() for one in stage.seen())
    assert per_day[date(2026, 11, 19)] == 96
    assert min(gaps(stage.seen())) >= 900 - NEARLY


async def test_a_correction_of_a_past_day_reaches_the_month_alone(stage: Stage) -> None:
    """Wolkvox takes back what it counted days ago: no counter moves, nothing is held back."""
    taken = 0

    def answer(seen: Seen) -> httpx.Response:
        return ok(row(inbound=500 - taken if is_long(seen) else 20))

    stage.api.answer = answer
    async with stage.run(HOURLY, until="12:00") as running:
        assert by_window(running) == {"today": 20, "month": 500}
        taken = 30
        await stage.until("2026-11-19 05:00")
        assert by_window(running)["month"] == 470
        assert running.value(OFFERED) == 20
        assert running.value("wolkvox_held_answers_total") == 0


@pytest.mark.parametrize(
    ("zone", "start", "asked", "sums"),
    [
        ("America/Bogota", "2026-11-29 22:30",
         ["11-29 23:30: 1101..1128", "12-01 02:30: 1101..1130", "12-02 02:30: 1201..1201"],
         (sum(range(31)), 1)),
        pytest.param(
            "America/Bogota", "2027-12-30 22:30",
            ["12-30 23:30: 1201..1229", "01-01 02:30: 1201..1231", "01-02 02:30: 0101..0101"],
            (sum(range(32)), 1), marks=pytest.mark.slow),
        pytest.param(
            "America/Bogota", "2028-02-28 22:30",
            ["02-28 23:30: 0201..0227", "03-01 02:30: 0201..0229", "03-02 02:30: 0301..0301"],
            (sum(range(30)), 1), marks=pytest.mark.slow),
        # The clocks skip midnight: the first of October begins at 01:00.
        ("America/Asuncion", "2023-09-29 22:30",
         ["09-29 23:30: 0901..0928", "10-01 03:30: 0901..0930", "10-02 02:30: 1001..1001"],
         (sum(range(31)), 1)),
    ],
)  # fmt: skip
async def test_a_finished_month_is_asked_for_as_a_whole(
    stage: Stage, zone: str, start: str, asked: list[str], sums: tuple[int, int]
) -> None:
    """On the first of a month the one before, on the second the new one; the gauges of the
    month end with it, those of the last month begin with its answer.
    """
    stage.zone = ZoneInfo(zone)
    stage.begin(start)
    scripted(stage)
    first = (datetime.fromisoformat(start) + timedelta(days=4)).strftime("%Y-%m-01")
    second = first[:-2] + "02"
    polled = operation(timezone=zone, month="true", interval="1h")
    async with stage.run(polled, until=f"{first} 02:00") as running:
        assert "month" not in by_window(running)
        await stage.until(f"{first} 04:00")
        assert by_window(running)["last_month"] == 10 * sums[0]
        assert "month" not in by_window(running)
        await stage.until(f"{second} 04:00")
        assert by_window(running)["month"] == 10 * sums[1]
        assert by_window(running)["last_month"] == 10 * sums[0]
        assert ends(running, stage)["month"] == f"{second} 00:00"
        midnight = "01:00" if zone == "America/Asuncion" else "00:00"
        assert ends(running, stage)["last_month"] == f"{first} {midnight}"
        assert running.value("wolkvox_consecutive_failures") == 0
    found = months(stage)
    assert [found[0], *found[-2:]] == asked


async def test_a_refused_month_is_logged_once_for_all_skills_of_an_operation(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The server refuses the range and not the skill."""
    scripted(stage, lambda seen: refusal("THE RANGE IS TOO LONG", 400))
    await stage.live("11:30", operation("1 2 3", month="true", interval="1h"))
    assert len(months(stage)) == 3
    assert [one.getMessage() for one in caplog.records].count(REFUSED) == 1


@pytest.mark.slow
async def test_a_refused_month_is_tried_three_times_a_day_and_later_once_a_week(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour apart, over restarts too, and said once; the first answer ends it."""
    stage.begin("2026-11-05 10:02")
    scripted(stage, lambda seen: refusal("THE RANGE IS TOO LONG", 400))
    for until in ("2026-11-05 11:30", "2026-11-06 02:30", "2026-11-15 00:00"):
        await stage.live(until, HOURLY)
    assert months(stage) == [
        *("11-05 11:02: 1101..1104", "11-05 12:02: 1101..1104", "11-05 13:02: 1101..1104"),
        *("11-06 02:02: 1101..1105", "11-06 03:02: 1101..1105", "11-06 04:02: 1101..1105"),
        *("11-07 02:02: 1101..1106", "11-07 03:02: 1101..1106", "11-07 04:02: 1101..1106"),
        "11-14 02:02: 1101..1113",
    ]
    assert [one.getMessage() for one in caplog.records].count(REFUSED) == 1
    scripted(stage)
    await stage.live("2026-11-22 12:00", HOURLY)
    assert [one[:11] for one in months(stage)[10:]] == ["11-21 02:02", "11-22 02:02"]


async def test_a_month_without_an_answer_changes_nothing_of_the_day(stage: Stage) -> None:
    """Whatever the failure: `up`, failures in a row, last success, figures and counters stand;
    requests and failures count it, and the next slot asks for the day. Quota and token errors
    act as always: they pause the operation.
    """
    faults: dict[str, Reply] = {
        "bad_request": lambda seen: refusal("THE RANGE IS TOO LONG", 400),
        "malformed": lambda seen: httpx.Response(200, text="<html>"),
        "not_found": lambda seen: no_rows(),
        "timeout": raising(httpx.ReadTimeout("slow")),
        "connect": raising(httpx.ConnectError("no route")),
        "quota": lambda seen: refusal("TOKEN LIMIT EXCEEDED"),
        "unauthorized": lambda seen: refusal("PLEASE VALIDATE TOKEN"),
    }

    def answer(seen: Seen) -> httpx.Response:
        return faults[seen.token.replace("-", "_")](seen) if is_long(seen) else ok(row())

    stage.api.answer = answer
    operations = [
        operation(name=one, token=number, month="true") for number, one in enumerate(faults)
    ]
    tokens = [one.replace("_", "-") for one in faults]
    async with stage.start(stage.configure(*operations, tokens=tokens), "10:04") as running:
        before = series(running)
        await stage.until("10:05:02")
        after = series(running)
        for reason in faults:
            paused = reason in ("quota", "unauthorized")
            own = {"operation": reason}
            name = "wolkvox_api_request_failures_total"
            assert running.value(name, reason=reason, **own) == 1, reason
            assert running.value("wolkvox_up", **own) == (not paused), reason
            assert running.value("wolkvox_paused", reason=reason, **own) == (paused or None)
            (status,) = (
                one
                for key, one in running.operations.statuses.items()
                if key.operation == reason
            )
            assert status.month_error == ("" if paused else reason)
            changed = {
                one.split("{")[0]
                for one in before
                if f'operation="{reason}"' in one and before[one] != after.get(one)
            }
            assert paused or changed <= CHANGED, reason
        await stage.until("10:10:02")
        for reason in faults:
            asked = [
                is_long(one) for one in stage.seen() if one.token == reason.replace("_", "-")
            ]
            assert asked == [False, True, *[False] * (reason != "quota")]


# What an attempt changes, whatever comes of it.
CHANGED = {
    *("wolkvox_last_attempt_timestamp_seconds", "wolkvox_poll_lag_seconds"),
    *("wolkvox_api_requests_total", "wolkvox_api_request_failures_total", USED),
    *(f"wolkvox_api_request_duration_seconds_{one}" for one in ("bucket", "count", "sum")),
    "wolkvox_poll_cycle_seconds",
}


def series(running: Exporter) -> dict[str, str]:
    """The values of the operation's series by name and labels, as they stand on the page."""
    lines = running.page.render().decode().splitlines()
    return dict(one.rsplit(" ", 1) for one in lines if one.startswith("wolkvox_"))


async def test_no_rows_of_a_month_that_had_none_is_an_empty_window(stage: Stage) -> None:
    """A skill without traffic: the end of its windows stands, and nobody is alarmed."""
    stage.begin("2026-11-29 10:02")
    stage.api.answer = lambda seen: no_rows()
    async with stage.run(HOURLY, until="2026-11-29 12:00") as running:
        assert by_window(running) == {}
        assert ends(running, stage) == {"month": "2026-11-29 00:00"}
        await stage.until("2026-12-01 12:00")
        assert ends(running, stage) == {"yesterday": "2026-12-01 00:00"}
        await stage.until("2026-12-02 12:00")
        assert ends(running, stage) == dict.fromkeys(("yesterday", "month"), "2026-12-02 00:00")
        failures = running.samples("wolkvox_api_request_failures_total").values()
        assert set(failures) == {0}


async def test_a_first_day_known_to_be_empty_needs_no_rows(stage: Stage) -> None:
    """On the second, after a holiday, the month is that one day, which was closed empty."""
    stage.begin("2026-12-31 22:02")

    def answer(seen: Seen) -> httpx.Response:
        return no_rows() if seen.window[1].startswith("20270101") else ok(row())

    stage.api.answer = answer
    hours = operation(month="true", interval="1h", poll_hours='"08:00-24:00"')
    async with stage.run(hours, until="2027-01-02 12:00") as running:
        assert ends(running, stage)["month"] == "2027-01-02 00:00"
        assert ends(running, stage)["last_month"] == "2027-01-01 00:00"
        assert set(by_window(running)) == {"last_month", "today", "yesterday"}
    asked = ["12-31 23:02: 1201..1230", "01-01 09:00: 1201..1231", "01-02 09:00: 0101..0101"]
    assert months(stage) == asked


@pytest.mark.slow
async def test_slow_months_do_not_hold_up_the_day(stage: Stage) -> None:
    """Ten skills whose months take 50 s each: none goes stale, all have one within an hour."""
    stage.begin("10:02")
    stage.api.answer = taking(50)
    skills = " ".join(str(number) for number in range(10))
    async with stage.run(operation(skills, month="true"), until="10:03") as running:
        for minute in range(4, 70):
            hour, rest = divmod(minute, 60)
            await stage.until(f"{10 + hour}:{rest:02}")
            assert len(running.samples(INBOUND, window="today")) == 10, minute
        assert len(running.samples(INBOUND, window="month")) == 10


async def test_a_restart_asks_for_no_month_twice(stage: Stage) -> None:
    """What is held is shown at once, for three days without a success; a kill in the middle
    of the request counts as a try.
    """
    scripted(stage)
    stage.begin("2026-11-30 10:02")
    await stage.live("2026-12-01 12:00", HOURLY)
    asked = months(stage)
    assert [one[12:] for one in asked] == [" 1101..1129", " 1101..1130"]
    stage.api.answer = lambda seen: refusal("oops", 500)
    held = {"last_month": 10.0 * sum(range(31))}
    for until, expected in (("12-01 12:05", held), ("12-04 11:00", held), ("12-04 12:30", {})):
        async with stage.run(HOURLY, until=f"2026-{until}") as running:
            windows = by_window(running)
            assert {one: windows.get(one) for one in expected} == expected, until
            assert "last_month" in expected or "last_month" not in windows, until
    assert sum(map(is_long, stage.seen())) == len(asked)
    scripted(stage)
    async with stage.run(HOURLY, until="2026-12-04 14:30") as running:
        assert by_window(running)["last_month"] == held["last_month"]


async def test_a_kill_during_the_request_counts_as_a_try(stage: Stage) -> None:
    """A crash loop asks three times a day, an hour apart."""
    stage.begin("10:02")
    stage.api.answer = taking(59)
    for quarter in range(1, 16):
        hour, minute = divmod(2 + 15 * quarter, 60)
        await stage.live(f"{10 + hour}:{minute:02}:40", operation(month="true", interval="15m"))
    assert [one[6:11] for one in months(stage)] == ["10:17", "11:17", "12:17"]


async def test_a_month_is_shown_until_it_ends_and_the_last_one_until_the_next(
    stage: Stage,
) -> None:
    """A month that nobody could ask for does not stay as the last month of another one."""
    scripted(stage)
    stage.begin("2026-11-29 10:02")
    async with stage.run(HOURLY, until="2026-11-30 23:59:59") as running:
        assert by_window(running)["month"] == 10 * sum(range(30))
        await stage.until("2026-12-01 00:00")
        assert by_window(running) == {}
        await stage.until("2026-12-01 12:00")
        assert by_window(running)["last_month"] == 10 * sum(range(31))
    for start, kept in (("2027-01-03 22:00", True), ("2027-01-04 02:00", False)):
        await stage.until(start)
        async with stage.run(HOURLY, until=start.replace(":00", ":50")) as running:
            assert ("last_month" in by_window(running)) == kept, start
    # No row of December was seen: `backfill` brings that month.
    assert not [one for one in months(stage) if "1201..1231" in one]


async def test_without_the_month_nothing_asks_for_it_or_shows_it(stage: Stage) -> None:
    """`month: false` turns it off; what was held comes back with it."""
    scripted(stage)
    await stage.live("11:30", HOURLY)
    assert months(stage) == ["11-18 11:00: 1101..1117"]
    async with stage.run(operation(interval="1h"), until="2026-11-19 05:00") as running:
        assert set(by_window(running)) == {"yesterday", "today"}
        assert set(ends(running, stage)) == {"yesterday"}
    assert len(months(stage)) == 1


@pytest.mark.slow
async def test_a_month_of_three_skills_agrees_with_what_happened(stage: Stage) -> None:
    """The simulator's truth within its rounding, corrections of closed days included; a plan
    of just the day's ceiling is kept, one request at a time, each query at its interval.
    """
    skills = tuple(
        SimulatedSkill(str(number), f"skill {number}", {"inbound": 40, "chat-web": 15})
        for number in (1, 2, 3)
    )
    centre = SimulatedOperation("wv0013", "canary", BOGOTA, skills, daily_limit=1000)
    simulator = Simulator([centre], seed=3, now=stage.world.now, sleep=asyncio.sleep)

    async def answer(seen: Seen) -> httpx.Response:
        reply = await simulator.answer(seen.url.path, seen.params, seen.token)
        return httpx.Response(reply.status, content=reply.body)

    stage.api.answer, stage.api.seconds = answer, 0.0
    stage.begin("2026-11-24 20:10")
    polled = operation("1 2 3", month="true", interval="1h", daily_requests=72)
    for day, until in enumerate(("2026-11-26 00:30", "2026-11-29 13:00", "2026-12-02 12:00")):
        async with stage.run(polled, until=until) as running:
            today = datetime.fromisoformat(until).replace(hour=0, minute=0, tzinfo=BOGOTA)
            month = today.replace(day=1)
            last = (month - timedelta(days=1)).replace(day=1)
            windows = {"month": (month, today)}
            if day == 2:
                windows["last_month"] = last, month
            if day == 0:
                simulator.take_back("wv0013", "1", "inbound", 3)
                windows["month"] = month, today - timedelta(days=1)  # before the new day's
            for window, (start, end) in windows.items():
                for skill in skills:
                    own = {"skill_id": skill.id, "window": window}
                    truth = simulator.truth("wv0013", skill.id, start, end)
                    found = running.samples(INBOUND, **own)
                    assert len(found) == len(truth), (until, own)
                    for channel, figures in truth.items():
                        pair = {**own, "type_interaction": channel}
                        assert running.value(INBOUND, **pair) == figures["inbound"], until
                        level = running.value(LEVEL, threshold_seconds="20", **pair)
                        exact = figures["within_20"] / figures["inbound"]
                        assert level == pytest.approx(exact, abs=0.00005001), until
            assert running.value("wolkvox_consecutive_failures", skill_id="1") == 0
    per_day = Counter(datetime.fromtimestamp(one.at, BOGOTA).date() for one in stage.seen())
    assert 71 <= max(per_day.values()) <= 72
    assert stage.api.most_in_flight == 1
    for skill in skills:
        assert min(gaps(stage.seen(skill.id))) >= 3600 - NEARLY
        asked = [one[:5] for one in months(stage, skill.id)]
        assert asked == sorted({*asked}), "once a day"
        assert len(asked) == 9
