"""Each way in which a request fails: counted once, told, and tried again at the next slot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.errors import Reason
from exporter.messages import Words
from tests.polling_support import INBOUND, NEARLY, USED, Stage, gaps, operation, raising
from tests.virtual import Seen, ok, refusal, row

FAILURES = "wolkvox_api_request_failures_total"
REQUESTS = "wolkvox_api_requests_total"


async def hang(seen: Seen) -> httpx.Response:
    """An answer that comes long after the deadline."""
    await asyncio.sleep(3600)
    return ok(row())


def saying(response: httpx.Response) -> Callable[[Seen], httpx.Response]:
    """The same answer to every request."""
    return lambda seen: response


Answer = (
    Callable[[Seen], httpx.Response] | Callable[[Seen], Coroutine[Any, Any, httpx.Response]]
)

REACHED: dict[Reason, Answer] = {
    Reason.INTERRUPTED: raising(httpx.ReadError("reset by peer")),
    Reason.TIMEOUT: hang,
    Reason.HTTP: saying(refusal("oops", 502)),
    Reason.REDIRECT: saying(httpx.Response(302, headers={"location": "https://else.where/"})),
    Reason.BAD_REQUEST: saying(refusal("SOME PARAMETERS ARE REQUIRED", 400)),
    Reason.CONCURRENCY: saying(refusal("EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS")),
    Reason.FORBIDDEN: saying(refusal("API DISABLED DURING SERVER MAINTENANCE")),
    Reason.NOT_FOUND: saying(httpx.Response(404, text="Not Found")),
    Reason.TOO_LARGE: saying(httpx.Response(200, content=b" " * (9 << 20))),
    Reason.MALFORMED: saying(httpx.Response(200, text="<html>")),
    Reason.INTERNAL: raising(RuntimeError("a defect")),
}


def test_every_reason_is_covered() -> None:
    """The reasons without a row here have tests of their own."""
    assert set(Reason) - REACHED.keys() == {Reason.CONNECT, Reason.UNAUTHORIZED, Reason.QUOTA}


@pytest.mark.parametrize("reason", REACHED)
async def test_a_failure_waits_for_the_next_slot(
    stage: Stage, caplog: pytest.LogCaptureFixture, reason: Reason
) -> None:
    """What may have reached the server is an attempt: the next one starts an interval later.
    Beginning and end of the failures are a line each.
    """
    caplog.set_level(logging.INFO, logger="exporter")
    async with stage.run(until="10:02") as running:
        stage.api.answer = REACHED[reason]
        await stage.until("10:12")
        assert running.value("wolkvox_up") == 0
        assert running.value("wolkvox_consecutive_failures") == 2
        assert running.value(INBOUND) == 100
        at = stage.api.seen[-1].at
        assert running.value("wolkvox_last_attempt_timestamp_seconds") == pytest.approx(
            at, abs=1e-3
        )
        stage.api.answer = lambda seen: ok(row(inbound=120))
        await stage.until("10:17")
        assert running.value("wolkvox_up") == 1
        assert running.value("wolkvox_consecutive_failures") == 0
        assert running.value(INBOUND) == 120
        counted = running.samples(FAILURES, report="skill_11")
        assert running.value(REQUESTS) == 4
        assert running.value(USED) == 4
        measured = running.value("wolkvox_api_request_duration_seconds_count")
    assert stage.clock_times() == ["10:00:00", "10:05:00", "10:10:00", "10:15:00"]
    assert min(gaps(stage.seen())) >= 300 - NEARLY
    assert {dict(labels)["reason"]: count for labels, count in counted.items()} == {
        str(each): 2 if each is reason else 0 for each in Reason
    }
    assert measured == (2 if reason is Reason.INTERNAL else 4)
    begun, ended = caplog.records
    if reason is not Reason.INTERNAL:
        assert (begun.levelname, begun.message) == ("WARNING", "no answer")
        assert vars(begun)["fields"]["reason"] == reason
    assert (ended.levelname, ended.message) == ("INFO", "answers again")
    assert vars(ended)["fields"]["failures"] == 2


async def test_a_failing_query_leaves_the_others_fresh(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of the exporter costs one query its answer: one traceback, the loop goes on."""

    def answer(seen: Seen) -> httpx.Response:
        if seen.skill == "4174":
            raise RuntimeError("a defect")
        return ok(row(inbound=100 + len(stage.api.seen)))

    stage.api.answer = answer
    async with stage.run(operation("4173 4174 4175"), until="11:01") as running:
        ups = [
            running.value("wolkvox_up", skill_id=skill) for skill in ("4173", "4174", "4175")
        ]
        assert ups == [1, 0, 1]
        assert running.operations.healthy()
        assert running.value(FAILURES, reason="internal") == 13
        assert running.value(INBOUND, skill_id="4174") is None
    assert len(stage.seen("4174")) == 13
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == 1


async def test_a_connection_never_made_is_tried_again_early(stage: Stage) -> None:
    """Backoff with jitter from 5 s up to the interval; counted, but not against the budget."""
    async with stage.run(until="10:02") as running:
        stage.api.answer = raising(httpx.ConnectError("refused"))
        await stage.until("10:30")
        tries = len(stage.api.seen)
        assert running.value(USED) == 1
        assert running.value(REQUESTS) == tries
        assert running.value(FAILURES, reason="connect") == tries - 1
        assert running.value("wolkvox_consecutive_failures") == tries - 1
        assert running.value("wolkvox_up") == 0
        apart = gaps(stage.api.seen)
        assert apart[0] >= 300 - NEARLY
        for number, gap in enumerate(apart[1:]):
            least = min(300.0, 5.0 * 2**number)
            assert least <= gap <= min(300.0, 1.5 * least) + 1
        stage.api.answer = lambda seen: ok(row())
        await stage.until("10:50")
        assert running.value(FAILURES, reason="connect") == tries - 1
        assert running.value(REQUESTS) == len(stage.api.seen)
        assert running.value(USED) == 1 + len(stage.api.seen) - tries
    # Back to the regular slots: an interval after the start of the first success.
    assert gaps(stage.api.seen[tries:]) == pytest.approx([300.0] * 3, abs=1)
    assert min(gaps(stage.api.seen[tries:])) >= 300 - NEARLY


async def test_a_connection_within_the_deadline_of_a_short_interval(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the interval is shorter than 5 s, the first early retry waits for the interval;
    the log says once, for all skills, that Wolkvox lets no strangers in.
    """
    stage.api.answer = raising(httpx.ConnectTimeout("nobody there"))
    await stage.live("10:01", operation("4173 4180", interval="2s"))
    of_one_skill = [one for one in stage.api.seen if one.skill == "4173"]
    assert set(map(round, gaps(of_one_skill))) <= {2, 3}
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    hints = [each["hint"] for each in fields if each.get("hint")]
    assert hints == [Words("en").advice("connect")]


async def test_every_reason_is_there_from_the_start(state_directory: Path) -> None:
    """A report in use has every reason with 0 from the start; others have no series."""
    stage = Stage(state_directory, seconds=30.0)
    async with stage.run(operation(token_info="true"), until="10:00:01") as running:
        series = running.samples(FAILURES)
        assert set(series.values()) == {0}
        found = {(dict(labels)["report"], dict(labels)["reason"]) for labels in series}
        assert found == {
            (report, str(reason)) for report in ("skill_11", "token_info") for reason in Reason
        }
