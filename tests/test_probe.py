"""Probe in virtual time: one polite call a query, a verdict for each, the exporter's rules."""

from __future__ import annotations

import json
import random
import re
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.config import Configuration
from exporter.errors import Reason, StartError, StorageError, WolkvoxError
from exporter.messages import Words
from exporter.tools import recording
from exporter.tools.probe import Finding, Probed, as_json, find_denominator, probe_all, table
from exporter.tools.session import check_owner
from exporter.wolkvox.answer import read_answer
from exporter.wolkvox.columns import ChannelFigures
from exporter.wolkvox.report import read_report
from tests.polling_support import Stage, operation
from tests.tools_support import opened
from tests.virtual import Seen, no_rows, ok, refusal, row, run_virtual

ENGLISH = Words("en")
LISTED = {"4190": "Cobranza", "4191": "Ventas"}


async def probe(stage: Stage, loaded: Configuration, *, beside: bool = False) -> list[Probed]:
    """Probe every operation of a configuration."""
    async with opened(stage, loaded, beside=beside) as sessions:
        return await probe_all(sessions.values(), lambda text: None)


def verdicts(queries: list[Probed]) -> list[str]:
    """The verdicts in order."""
    return [one.verdict.key for one in queries]


def good(queries: list[Probed]) -> bool:
    """Whether every query is good."""
    return all(one.verdict.good for one in queries)


def in_words(probed: Probed, language: str = "en") -> str:
    """The verdict as people read it."""
    return probed.verdict.sentence(Words(language))


def discovering(stage: Stage) -> Configuration:
    """An operation whose skills have to be asked for."""
    listed = [{"skill_id": one, "skill_name": name} for one, name in LISTED.items()]
    stage.api.answer = lambda seen: ok(*listed) if seen.report == "skills" else ok(row())
    return stage.configure(operation("discover", interval="5m"))


async def test_every_query_is_asked_once(stage: Stage) -> None:
    """Rows and no rows are both good; figures and strings stand in the table."""
    answers = {"4173": ok(row(), row("chat-web", 7, 6, asa="x")), "4180": no_rows()}
    stage.api.answer = lambda seen: answers[seen.skill]
    loaded = stage.configure(operation("4173 4180", interval="5m", port=81))
    result = await probe(stage, loaded)
    assert verdicts(result) == ["unreadable", "no_rows"]
    assert good(result)
    assert [seen.skill for seen in stage.seen()] == ["4173", "4180"]
    assert stage.windows()[0] == (f"{stage.day()}000000", f"{stage.day()}100000")
    assert stage.api.most_in_flight == 1
    english, spanish = (table(result, Words(language), None) for language in ("en", "es"))
    assert re.search(r"^inbound +100 .* 60\.00% ", english, re.MULTILINE)
    assert re.search(r"^inbound +100 .* 60,00 % ", spanish, re.MULTILINE)
    for text in (english, spanish):
        assert re.search(r"^  \w+ \w+ +100 .* 60\.00 % ", text, re.MULTILINE)  # as sent
        assert re.search(r"^acme 4180: ", text, re.MULTILINE)


async def test_a_query_is_not_asked_again_within_its_interval(stage: Stage) -> None:
    """A second probe says how long to wait; an exporter waits too, and counts the request."""
    loaded = stage.configure(operation("4173", interval="5m"))
    await probe(stage, loaded)
    stage.world.shift += timedelta(seconds=60)
    again = await probe(stage, loaded)
    assert verdicts(again) == ["recent"]
    assert not good(again)
    assert again[0].verdict.wait == pytest.approx(239.5, abs=1)
    async with stage.start(loaded, until="10:04") as running:
        assert len(stage.seen()) == 1
        await stage.until("10:05:02")
        assert len(stage.seen()) == 2
        assert running.value("wolkvox_daily_requests_used") == 2
    await stage.until("10:11")
    assert good(await probe(stage, loaded))
    assert len(stage.seen()) == 3


async def test_beside_a_running_exporter_its_answers_are_judged(stage: Stage) -> None:
    """What the exporter asked a moment ago is not asked again; what failed there is told."""
    stage.api.answer = lambda seen: ok(row()) if seen.skill == "4173" else refusal("x", 500)
    loaded = stage.configure(operation("4173 4180", interval="5m"))
    async with stage.start(loaded, until="10:02") as running:
        result = await probe(stage, loaded, beside=True)
        assert verdicts(result) == ["known", "recent"]
        assert not good(result)
        assert result[0].report.channels[0].inbound == 100
        assert len(stage.seen()) == 2
        # The exporter keeps its slot: nobody asked in between.
        await stage.until("10:06")
        assert len(stage.seen("4173")) == 2
        assert running.value("wolkvox_up", skill_id="4173") == 1


async def test_where_the_exporter_asked_for_a_month_the_day_before_it_is_judged(
    stage: Stage,
) -> None:
    """The month took the place of a poll, whether it was answered or refused."""
    whole = {"4173": ok(row("chat-web")), "4180": refusal("THE RANGE IS TOO LONG", 400)}
    stage.api.answer = lambda seen: (
        ok(row()) if seen.window[0].startswith(stage.day()) else whole[seen.skill]
    )
    loaded = stage.configure(operation("4173 4180", interval="5m", month="true"))
    async with stage.start(loaded, until="10:06"):
        result = await probe(stage, loaded, beside=True)
    assert len(stage.seen()) == 4
    assert verdicts(result) == ["known", "known"]
    assert [one.report.channels[0].channel for one in result] == ["inbound", "inbound"]
    assert "requested 5 min ago" in in_words(result[0])


async def test_a_failure_says_what_to_do(stage: Stage) -> None:
    """Each reason has its verdict and advice; the exit is not good."""
    loaded = stage.configure(operation("4173", interval="5m"))
    left = [
        (refusal("API DISABLED DURING MAINTENANCE"), "forbidden"),
        (refusal("SIMULTANEOUS"), "concurrency"),
        (refusal("whatever", 404), "not_found"),
        (httpx.Response(200, text="<html>"), "malformed"),
        (httpx.Response(302, headers={"location": "https://x"}), "redirect"),
        (httpx.Response(502, text=""), "http"),
        (refusal("SOME PARAMETERS ARE REQUIRED", 400), "bad_request"),
        (refusal("PLEASE VALIDATE TOKEN"), "unauthorized"),
    ]
    stage.api.answer = lambda seen: left[0][0]
    while left:
        result = await probe(stage, loaded)
        _, verdict = left.pop(0)
        assert verdicts(result) == [verdict]
        assert not good(result), verdict
        for part in (ENGLISH.text(f"verdict.{verdict}"), ENGLISH.advice(verdict)):
            assert part.removesuffix(".") in in_words(result[0])
        stage.world.shift += timedelta(minutes=5)


def test_no_connection(state_directory: Path) -> None:
    """A name points to `server`, TLS to `ca_file`, a dropped connection to the allow list.

    The other queries of the operation are spared the same failure, and nothing counts.
    """

    async def unconnected(cause: OSError, verdict: str) -> None:
        def answer(seen: Seen) -> httpx.Response:
            raise httpx.ConnectError("All connection attempts failed") from cause

        stage = Stage(state_directory)
        stage.api.answer = answer
        loaded = stage.configure(operation("4173 4180", interval="5m"))
        result = await probe(stage, loaded)
        assert verdicts(result) == [verdict, "after"]
        assert ENGLISH.advice(verdict).removesuffix(".") in in_words(result[0])
        assert str(cause) in in_words(result[0])
        assert Words("es").text("verdict.connect") in in_words(result[1], "es")
        assert len(stage.seen()) == 1
        assert verdicts(await probe(stage, loaded)) == [verdict, "after"]
        async with opened(stage, loaded) as sessions:
            assert await sessions["acme"].used_today() == 0

    for cause, verdict in (
        (socket.gaierror(-2, "Name or service not known"), "server"),
        (ConnectionRefusedError(111, "Connection refused"), "connect"),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "tls"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls"),
    ):
        run_virtual(unconnected(cause, verdict))


async def test_a_refused_token_is_not_tried_again_and_again(stage: Stage) -> None:
    """The pause holds for probes too; another token ends the pause, not the spacing."""
    stage.api.answer = lambda seen: refusal("PLEASE VALIDATE TOKEN")
    loaded = stage.configure(operation("4173 4180", interval="5m"))
    assert verdicts(await probe(stage, loaded)) == ["unauthorized", "after"]
    assert verdicts(await probe(stage, loaded)) == ["held.unauthorized", "after"]
    assert len(stage.seen()) == 1
    stage.token_file().write_text("another-token")
    stage.api.answer = lambda seen: ok(row())
    again = await probe(stage, loaded)
    assert verdicts(again) == ["recent", "fine"]
    async with opened(stage, loaded) as sessions:
        session = sessions["acme"]
        assert (
            await session.state.write(lambda db: db.load_fact(session.identity.id, "pause"))
            is None
        )


async def test_one_attempt_an_hour_after_the_quota(stage: Stage) -> None:
    """The hourly attempt of a pause may be the probe's; the exporter then waits its hour."""
    stage.api.answer = lambda seen: refusal("TOKEN LIMIT EXCEEDED")
    loaded = stage.configure(operation("4173 4180", interval="5m"))
    assert verdicts(await probe(stage, loaded)) == ["quota", "after"]
    stage.world.shift += timedelta(minutes=30)
    held = await probe(stage, loaded)
    assert verdicts(held) == ["held.quota", "after"]
    assert held[0].verdict.wait == pytest.approx(1800, abs=5)
    stage.world.shift += timedelta(minutes=31)
    stage.api.answer = lambda seen: refusal("broken", 500)
    assert verdicts(await probe(stage, loaded)) == ["http", "held.quota"]
    assert len(stage.seen()) == 2
    async with stage.start(loaded, until="11:30"):
        assert len(stage.seen()) == 2


async def test_a_token_file_that_is_gone(stage: Stage) -> None:
    """Nothing is sent; the verdict names the file."""
    loaded = stage.configure(operation("4173"))
    stage.token_file().unlink()
    result = await probe(stage, loaded)
    assert verdicts(result) == ["unauthorized"]
    assert "does not exist" in in_words(result[0])
    assert not stage.seen()


async def test_discovered_skills(stage: Stage) -> None:
    """Without known skills they are asked for first; later those of the state are taken."""
    loaded = discovering(stage)
    result = await probe(stage, loaded)
    assert [one.skill.name for one in result] == [*LISTED.values()]
    assert good(result)
    assert verdicts(await probe(stage, loaded)) == ["recent", "recent"]
    # An exporter that starts after it polls the skills at once, asking for no list.
    async with stage.start(loaded):
        await stage.until("10:06")
    assert len(stage.seen("4190")) == 2
    stage.world.shift += timedelta(hours=1)
    assert verdicts(await probe(stage, loaded)) == ["fine", "fine"]
    assert len(stage.seen(report="skills")) == 1


async def test_an_operation_without_skills(stage: Stage) -> None:
    """It is said once for the operation instead of a query."""
    stage.api.answer = lambda seen: no_rows()
    loaded = stage.configure(operation("discover"))
    result = await probe(stage, loaded)
    assert verdicts(result) == ["not_found"]
    stage.world.shift += timedelta(hours=1)
    stage.api.answer = lambda seen: refusal("PLEASE VALIDATE TOKEN")
    assert verdicts(await probe(stage, loaded)) == ["unauthorized"]


async def test_a_turn_that_comes_after_the_hours_is_not_taken(state_directory: Path) -> None:
    """A probe that waited for the token until polling closed sends nothing."""
    stage = Stage(state_directory, "2026-11-18 21:59:30", seconds=40.0)
    hours = '"Mo-Su 06:00-22:00"'
    async with stage.run(operation(poll_hours=hours), until="21:59:40"):
        loaded = stage.configure(operation("4174", poll_hours=hours))
        assert verdicts(await probe(stage, loaded, beside=True)) == ["hours"]
    assert stage.clock_times() == ["21:59:30"]


async def test_a_quota_refused_over_midnight_is_that_of_the_day_before(
    state_directory: Path,
) -> None:
    """A request that left before midnight and was refused after it pauses no new day."""
    stage = Stage(state_directory, "2026-11-18 23:59:58", seconds=3.0)
    stage.api.answer = lambda seen: refusal("TOKEN LIMIT EXCEEDED")
    assert verdicts(await probe(stage, stage.configure(operation("4173")))) == ["quota"]
    assert stage.day() == "20261119"
    stage.api.answer = lambda seen: ok(row())
    assert verdicts(await probe(stage, stage.configure(operation("4174")))) == ["fine"]
    stage.api.answer = lambda seen: refusal("TOKEN LIMIT EXCEEDED")
    assert verdicts(await probe(stage, stage.configure(operation("4175")))) == ["quota"]
    assert verdicts(await probe(stage, stage.configure(operation("4176")))) == ["held.quota"]


async def test_the_exporter_closes_the_day_first(stage: Stage) -> None:
    """After midnight a probe waits for a running exporter, and never spoils the closing."""
    loaded = stage.configure(operation("4173", interval="5m"))
    async with stage.start(loaded):
        await stage.until("23:58")
    await stage.until("2026-11-19 00:04")
    held = await probe(stage, loaded, beside=True)
    assert verdicts(held) == ["closing"]
    alone = await probe(stage, loaded)
    assert verdicts(alone) == ["fine"]
    assert stage.windows()[-1][0] == "20261119000000"
    async with stage.start(loaded, until="2026-11-19 00:10") as running:
        assert stage.windows()[-1] == ("20261118000000", "20261118235959")
        inbound = "wolkvox_skill_inbound_interactions"
        assert running.value(inbound, window="yesterday") == 100


async def test_tokens_side_by_side(stage: Stage) -> None:
    """One token has one request at a time, different tokens do not wait for each other."""
    loaded = stage.configure(
        operation("1 2", port=2),
        operation("3", name="other", port=3),
        operation("4", name="third", port=4, token=1),
    )
    result = await probe(stage, loaded)
    assert [one.operation.name for one in result] == ["acme", "acme", "other", "third"]
    assert stage.api.most_in_flight == 1
    starts = {seen.skill: seen.monotonic for seen in stage.seen()}
    assert starts["4"] == starts["1"]
    assert starts["3"] > starts["2"]


async def test_a_state_that_goes_away(stage: Stage) -> None:
    """It is one expected error, however many tokens are asked side by side."""

    def answer(seen: Seen) -> httpx.Response:
        for path in (stage.directory / "state").glob("*.db*"):
            path.unlink()
        return ok(row())

    stage.api.answer = answer
    others = operation("4", name="other", port=2, token=1)
    with pytest.raises(StorageError):
        await probe(stage, stage.configure(operation("1 2 3"), others))


async def test_a_state_that_is_gone_while_an_exporter_runs(stage: Stage) -> None:
    """No new one is made under the exporter, and no request leaves."""
    loaded = stage.configure(operation("4173", interval="5m"))
    async with stage.start(loaded, until="10:02"):
        for path in (stage.directory / "state").glob("*.db*"):
            path.unlink()
        await stage.until("10:06")
        with pytest.raises(StartError, match="is missing while an exporter runs: put it back"):
            await probe(stage, loaded, beside=True)
        assert not [*(stage.directory / "state").glob("*.db")]
        assert len(stage.seen()) == 1


async def test_pause_between_calls_of_a_real_server(stage: Stage) -> None:
    """Away from loopback a second lies between two calls."""
    text = operation("1 2").replace("http://127.0.0.1:1/", "https://wv0013.wolkvox.com/")
    await probe(stage, stage.configure(text.replace("interval: 5s", "interval: 5m")))
    first, second = (seen.monotonic for seen in stage.seen())
    assert second - first == pytest.approx(1.5)


HOSTILE = "x\x1b[2J\n[red]\u202e{name}"
CANARY = "7b" + "feedc0de" * 6


async def test_hostile_answers(stage: Stage) -> None:
    """Neither escapes nor markup reach the terminal; the token is in nothing that is made."""
    cells: dict[str, Any] = {
        "odd": [1, {"a": [CANARY]}],
        "more": {},
        "token": CANARY,
        "asa": f"a{CANARY}",
        "ata": CANARY[:20],
        "abandon": [CANARY[:20]],
    }
    rows: list[Any] = [row(HOSTILE, 3, 2), {**row("x" * 90), **cells}, row(CANARY[:20]), 7]
    stage.api.answer = lambda seen: ok(*rows)
    stage.token_file().parent.mkdir(parents=True, exist_ok=True)
    loaded = stage.configure(operation("4173", interval="5m"), tokens=[CANARY])
    result = await probe(stage, loaded)
    text = table(result, ENGLISH, None)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "7bfeed" not in text
    document: dict[str, Any] = json.loads(as_json(result, Words("es"), stage.world.now()))
    assert "7bfeed" not in json.dumps(document)
    query = document["queries"][0]
    assert query["rows"][0]["type_interaction"] == HOSTILE
    assert query["rows"][1]["odd"] == "[a list]"
    assert query["rows"][1]["more"] == "[an object]"
    assert query["rows"][3] == 7
    assert query["verdict"] == "unreadable"
    assert query["message"] == Words("es").text("verdict.unreadable", count=4)
    files = [path for path in stage.directory.rglob("*") if path.is_file()]
    holding = [path.name for path in files if CANARY.encode() in path.read_bytes()]
    assert holding == ["token0"]


async def test_the_json_shape(stage: Stage) -> None:
    """What scripts may rely on."""
    shares = {10: "40.30", 20: "65.67", 30: "80.60"}  # 27, 44 and 54 of 67
    levels = {f"service_level_{n}seg": f"{share} %" for n, share in shares.items()}
    stage.api.answer = lambda seen: ok(row("inbound", 67, 66, **levels))
    result = await probe(stage, stage.configure(operation("4173", interval="5m")))
    document = json.loads(as_json(result, ENGLISH, stage.world.now()))
    assert document["shape"] == 1
    assert document["ok"] is True
    assert document["checked_at"].startswith("2026-11-18T15:00:0")
    assert document["service_level"] == {"denominator": "inbound", "telling": 3}
    (query,) = document["queries"]
    assert {name: query[name] for name in ("operation", "skill_id", "verdict", "ok")} == {
        "operation": "acme", "skill_id": "4173", "verdict": "fine", "ok": True
    }  # fmt: skip
    assert query["seconds"] == 0.5
    assert query["retry_in_seconds"] is None
    assert query["channels"][0]["service_level_20"] == 0.6567
    assert query["rows"] == [row("inbound", 67, 66, **levels)]


def test_a_state_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root nothing is done on another user's state: its files would lock that one out."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    check_owner(tmp_path / "new")

    class Foreign(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **_: Any) -> Any:
            return type("Stat", (), {"st_uid": 4711})

    with pytest.raises(StartError, match="sudo -u '#4711'"):
        check_owner(Foreign(tmp_path))


def level_figures(inbound: int, answered: int, *levels: float | None) -> ChannelFigures:
    """A channel with these service levels for 10, 20 and 30 s."""
    ten, twenty, thirty = (*levels, None, None, None)[:3]
    return ChannelFigures(
        "inbound", inbound, answered, inbound - answered, ten, twenty, thirty, None, None, None
    )


def level_centre(over: str, seed: int, sizes: tuple[int, int]) -> list[ChannelFigures]:
    """A few channels whose levels are rounded to two decimals of a percentage."""
    rng = random.Random(seed)
    rows = []
    for _ in range(5):
        inbound = rng.randint(*sizes)
        answered = max(1, int(inbound * rng.uniform(0.7, 0.95)))
        of = inbound if over == "inbound" else answered
        counts = sorted(rng.randint(1, answered) for _ in range(3))
        rows.append(level_figures(inbound, answered, *(round(n / of, 4) for n in counts)))
    return rows


def test_the_denominator_is_found() -> None:
    """A few channels of ordinary size tell it; days of many thousands tell nothing."""
    for over in ("inbound", "answered"):
        for seed in range(20):
            found = find_denominator(level_centre(over, seed, (20, 1500)))
            assert (found.denominator, found.telling >= 3) == (over, True), seed
        assert find_denominator(level_centre(over, 1, (5000, 90000))) == Finding("unknown", 0)


def test_too_little_to_tell() -> None:
    """Nobody lost, nobody or everybody in time, or one figure alone: no claim."""
    for figures in (
        level_figures(0, 0, 0.5),
        level_figures(50, 50, 0.42, 0.5, 0.6),
        level_figures(50, 40, 0.0, 1.0, None),
        level_figures(67, 66, 0.6567),
        ChannelFigures("x", None, 3, None, 0.5, 0.6, 0.7, None, None, None),
        ChannelFigures("x", 3, None, None, 0.5, 0.6, 0.7, None, None, None),
    ):
        assert find_denominator([figures]).denominator == "unknown", figures


def test_contradictions_are_told() -> None:
    """Figures of both kinds, or of neither, agree with no one formula."""
    mixed = [*level_centre("inbound", 3, (20, 1500)), *level_centre("answered", 3, (20, 1500))]
    assert find_denominator(mixed).denominator == "neither"
    wild = level_figures(101, 90, 0.1234, 0.3333, 0.5555)
    assert find_denominator([wild]) == Finding("neither", 3)


def test_levels_that_are_cut_off() -> None:
    """A service level cut off after two decimals instead of rounded is understood too."""
    assert find_denominator([level_figures(67, 61, 0.4029, 0.6567, 0.8059)]) == Finding(
        "inbound", 3
    )


NAMES = '[{id: 1, name: "María Pérez"}, {id: 2, name: Ventas}, {id: all, name: all}]'


async def recorded_answers(directory: Path, *answers: httpx.Response | Exception) -> Path:
    """Probe one query for each answer and record them."""
    stage = Stage(directory)
    loaded = stage.configure(operation(NAMES, interval="5m"), tokens=[CANARY])
    left = list(answers)

    def answer(seen: Seen) -> httpx.Response:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    stage.api.answer = answer
    path = directory / "answers.json"
    recording.write(path, "")
    async with opened(stage, loaded) as sessions:
        queries = await probe_all(sessions.values(), lambda text: None)
    count = recording.save(path, queries, datetime(2026, 11, 18, 15, tzinfo=UTC))
    assert count == sum(isinstance(one, httpx.Response) for one in answers)
    return path


def replay(path: Path) -> list[tuple[int, str | None, bytes]]:
    """The answers of a recording as `read_answer` takes them."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["format"] == "wolkvox-exporter recording"
    return [
        (one["status"], one["content_type"], one["body"].encode(one["encoding"]))
        for one in document["answers"]
        if one["status"] is not None
    ]


async def test_a_recording_is_replayed(state_directory: Path) -> None:
    """What was recorded gives the same rows and the same failures again."""
    odd = row("inbound", asa="1:2", service_level_20seg="65,67 %")
    broken = httpx.Response(
        200, text="<html>oops</html>", headers={"content-type": "text/html"}
    )
    path = await recorded_answers(state_directory, ok(odd), broken, no_rows())
    first, second, third = replay(path)
    report = read_report(read_answer(*first))
    assert {error.field: error.text for error in report.errors} == {
        "asa": "1:2", "service_level_20seg": "65,67 %"
    }  # fmt: skip
    with pytest.raises(WolkvoxError) as refused:
        read_answer(*second)
    assert refused.value.reason is Reason.MALFORMED
    assert read_answer(*third) == ()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_names_and_no_token(state_directory: Path) -> None:
    """Names of operation, server, skills and whatever else names people become numbers."""
    telling = {
        "agent_name": "Juan Gómez",
        "nested": [{"skill_name": "Ventas", "extra": "12:34", "pieces": 3}],
        "echo": CANARY,
    }
    body = {"code": "200", "error": None, "msg": "1 record of acme", "data": [row() | telling]}
    page = httpx.Response(
        503,
        text=f"127.0.0.1:1 down, says María Pérez to VENTAS with {CANARY}",
        headers={"content-type": "text/plain; Ventas"},
    )
    path = await recorded_answers(
        state_directory, httpx.Response(200, json=body), page, no_rows()
    )
    text = path.read_text(encoding="utf-8")
    for secret in ("acme", "127.0.0.1:1", "Pérez", "entas", "VENTAS", "Gómez", "7bfeed"):
        assert secret not in text
    (_, _, first), (_, _, second), _ = replay(path)
    (data,) = json.loads(first)["data"]
    assert {key: data[key] for key in row()} == row()
    assert data["agent_name"].startswith("name-")
    assert data["nested"][0]["extra"] == "12:34"
    assert data["nested"][0]["pieces"] == 3
    skill = data["nested"][0]["skill_name"]
    assert second.decode().endswith(f"to {skill} with [token]")


def test_bytes_stay_as_they_are(state_directory: Path) -> None:
    """Marks, other encodings and broken bytes come back exactly."""

    async def recorded(directory: Path, body: bytes) -> None:
        response = httpx.Response(200, content=body, headers={"content-type": "x"})
        path = await recorded_answers(directory, response, no_rows(), no_rows())
        assert replay(path)[0] == (200, "x", body)

    for number, body in enumerate(
        (
            b'\xef\xbb\xbf{"code": 200, "msg": "0 records", "data": []}',
            '{"code": 200, "msg": "Atención", "data": []}'.encode("latin-1"),
            '{"code": 200, "msg": "Atención", "data": []}'.encode("utf-16"),
            b"",
            b"\xff\xfe\x00",
            b'{"code": 1' + b"9" * 5000 + b"}",
            b"[" * 3000,
        )
    ):
        run_virtual(recorded(state_directory / str(number), body))


async def test_a_query_without_an_answer(state_directory: Path) -> None:
    """It stands in the recording with its reason, and is not replayed."""
    lost = httpx.ReadError("reset")
    path = await recorded_answers(state_directory, lost, ok(row()), no_rows())
    document = json.loads(path.read_text())
    assert [one["reason"] for one in document["answers"]] == ["interrupted", None, None]
    assert [one["all"] for one in document["answers"]] == [False, False, True]
    assert len(replay(path)) == 2


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is found before anything is asked."""
    with pytest.raises(StartError, match="cannot be written"):
        recording.write(tmp_path / "nowhere" / "file.json", "")
