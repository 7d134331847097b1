"""Recordings: scrubbed of token and names, replayed exactly as they came."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from exporter.errors import Reason, StartError, WolkvoxError
from exporter.tools import recording
from exporter.tools.probe import probe_all
from exporter.wolkvox.answer import read_answer
from exporter.wolkvox.report import read_report
from tests.polling_support import Stage, operation
from tests.tools_support import opened
from tests.virtual import Seen, in_virtual_time, no_rows, ok, row, run_virtual

CANARY = "7b" + "feedc0de" * 6
NAMES = '[{id: 1, name: "María Pérez"}, {id: 2, name: Ventas}, {id: all, name: all}]'


async def record(directory: Path, *answers: httpx.Response | Exception) -> Path:
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


@in_virtual_time
async def test_a_recording_is_replayed(state_directory: Path) -> None:
    """What was recorded gives the same rows and the same failures again."""
    odd = row("inbound", asa="1:2", service_level_20seg="65,67 %")
    broken = httpx.Response(
        200, text="<html>oops</html>", headers={"content-type": "text/html"}
    )
    path = await record(state_directory, ok(odd), broken, no_rows())
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


@in_virtual_time
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
    path = await record(state_directory, httpx.Response(200, json=body), page, no_rows())
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
        path = await record(directory, response, no_rows(), no_rows())
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


@in_virtual_time
async def test_a_query_without_an_answer(state_directory: Path) -> None:
    """It stands in the recording with its reason, and is not replayed."""
    lost = httpx.ReadError("reset")
    path = await record(state_directory, lost, ok(row()), no_rows())
    document = json.loads(path.read_text())
    assert [one["reason"] for one in document["answers"]] == ["interrupted", None, None]
    assert [one["all"] for one in document["answers"]] == [False, False, True]
    assert len(replay(path)) == 2


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is found before anything is asked."""
    with pytest.raises(StartError, match="cannot be written"):
        recording.write(tmp_path / "nowhere" / "file.json", "")
