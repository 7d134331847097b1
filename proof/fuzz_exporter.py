"""Fuzzed: what the API answers and what the state file holds, through a whole exporter.

It lives in virtual time: the poll loop, the state file and the page are the real ones. An
input of `answer` is a history of up to four answers; each begins with a line for people to
read, `status|content type|content encoding|days since the answer before`, then comes the
body. An input of `state` is the text of a row, put into every table that holds such texts.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import math
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import httpx
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from exporter.config import Configuration
from proof.fuzz_config import scratch
from tests.e2e_support import Samples
from tests.kill_support import Highest
from tests.status_page_support import html
from tests.virtual import (
    Exporter,
    VirtualWorld,
    configuration,
    exporter,
    ok,
    row,
    run_virtual,
)

SEPARATOR: Final = b"\n=====\n"
TOKEN: Final = "7b5a1e90d2aa573f86b0c9de1247f5a3388e6d01b95c2f7a4e60"
MAX_ANSWERS: Final = 4
INTERVAL, LONGEST_PAUSE = 10.0, 3700.0
MOST_CHANNELS, LONGEST_NAME, KEPT_DAYS = 64, 128, 8
FILE: Final = "wolkvox-exporter.db"
_START = datetime(2026, 11, 18, 15, tzinfo=UTC)
_BUCKETS = "wolkvox_skill_answer_wait_seconds_bucket"
_FAILURES = "wolkvox_api_request_failures_total"
_ACME = """operations:
  - {name: acme, url: 'http://127.0.0.1:1/acme/', token_file: {token0}, timezone: UTC,
     interval: 10s, skills: [{id: 4173, name: Ventas}]}
"""
_GLOBEX = """
  - {name: globex, url: 'http://127.0.0.1:1/globex/', token_file: {token1}, timezone: UTC,
     interval: 10s, skills: discover}
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """One answer as it comes over the wire, and how many days after the one before."""

    status: int
    content_type: str | None
    encoding: str | None
    days: int
    body: bytes

    def encoded(self) -> bytes:
        """The answer as a piece of an input."""
        head = f"{self.status}|{self.content_type or ''}|{self.encoding or ''}|{self.days}\n"
        return head.encode("latin-1", "replace") + self.body


def wires(data: bytes) -> list[Wire]:
    """The history of an input; total, since every input is one."""
    return [_wire(piece) for piece in data.split(SEPARATOR)[:MAX_ANSWERS]]


def _wire(piece: bytes) -> Wire:
    head, _, body = piece.partition(b"\n")
    status, kind, encoding, days, *_ = [*head.decode("latin-1").split("|"), "", "", ""]
    number = (
        int(status) if status.isascii() and status.isdecimal() and len(status) == 3 else 200
    )
    step = days.removeprefix("-")
    known = step.isdecimal() and step.isascii() and len(step) < 3
    return Wire(number, kind or None, encoding or None, int(days) if known else 0, body)


_SEEN: set[int] = set()
_GOOD: Final = Wire(200, "application/json", None, 0, ok(row(inbound=1000)).content)


@dataclass
class _Api(httpx.AsyncBaseTransport):
    """Hands out the answers one after the other, then good ones."""

    world: VirtualWorld
    left: list[Wire]
    asked: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.5)
        if request.url.params["api"] != "skill_11":
            return httpx.Response(500, stream=httpx.ByteStream(b"{}"))
        self.asked += 1
        wire = self.left.pop(0) if self.left else _GOOD
        named = {"content-type": wire.content_type, "content-encoding": wire.encoding}
        headers = [
            (name.encode(), text.encode("latin-1")) for name, text in named.items() if text
        ]
        stream = httpx.ByteStream(wire.body)
        return httpx.Response(wire.status, headers=headers, stream=stream)


class _Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line with its fields."""
        self.text += f"{record.getMessage()} {getattr(record, 'fields', '')}\n"


@dataclass
class _Promises:
    """What holds of every page of one life, and from page to page."""

    highest: Highest = field(default_factory=Highest)

    def check(self, running: Exporter) -> None:
        """Counters, buckets and labels keep their forms."""
        page = Samples(running.page.render().decode())
        self.highest.take(page)
        assert not self.highest.problems, self.highest.problems[0]
        assert not page.value(_FAILURES, operation="acme", reason="internal"), "a defect"
        channels = {labels.get("type_interaction") for labels in map(dict, page.of(_BUCKETS))}
        assert len(channels) <= MOST_CHANNELS
        for channel in channels:
            assert channel
            assert channel.isprintable()
            assert len(channel) <= LONGEST_NAME
            self._check_buckets(page, channel)

    def check_last(self, running: Exporter) -> None:
        """The last page in all its forms: they parse, and say the same."""
        modern = running.page.render(True)
        if hash(modern) in _SEEN:  # reading a page takes most of the time
            return
        _SEEN.add(hash(modern))
        samples = _samples(text_format(running.page.render().decode()))
        same = _samples(openmetrics(modern.decode()))  # type: ignore[no-untyped-call]
        assert samples == same, "the two formats say different things"
        assert gzip.decompress(running.page.render(True, True)) == modern
        assert TOKEN.encode() not in modern + html(*running.operations.statuses.values())

    def _check_buckets(self, page: Samples, channel: str) -> None:
        found = page.of(_BUCKETS, type_interaction=channel, operation="acme")
        ordered = sorted(found.items(), key=lambda item: float(dict(item[0])["le"]))
        values = [value for _, value in ordered]
        assert values == sorted(values), f"the buckets of {channel!r} are not cumulative"
        assert all(0 <= value < math.inf for value in values), f"{channel!r} has {values}"


def _samples(
    families: Iterable[Metric],
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float | str]:
    # Written, since NaN is not equal to itself; `_created` has no counterpart in the text.
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): repr(sample.value)
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@cache
def _folder() -> Path:
    return scratch("exporter")


@cache
def _configuration(text: str) -> Configuration:
    return configuration(_folder() / f"config-{len(text)}", text, (TOKEN, f"{TOKEN}2"))


async def _poll(text: str, state: Path, answers: Sequence[Wire], polls: int) -> _Api:
    """Live for so many intervals, with a look at the page after each."""
    world, promises = VirtualWorld(_START), _Promises()
    api = _Api(world, list(answers))
    async with exporter(_configuration(text), state, world, api) as running:
        promises.check(running)
        for number in range(polls):
            days = answers[number].days if number < len(answers) else 0
            if number and days:
                world.shift += timedelta(days=days)
                if abs(days) >= KEPT_DAYS:  # a channel that was forgotten begins anew
                    promises.highest = Highest()
            await asyncio.sleep(INTERVAL if number else INTERVAL / 2)
            promises.check(running)
        if not api.asked:
            await asyncio.sleep(LONGEST_PAUSE)
        promises.check_last(running)
    return api


def _quietly(text: str, state: Path, answers: Sequence[Wire], polls: int) -> _Api:
    """The same, with a look at the log: it names no token and no defect."""
    log, logger = _Log(), logging.getLogger("exporter")
    before = logger.propagate
    logger.addHandler(log)
    logger.propagate = False
    try:
        return run_virtual(_poll(text, state, answers, polls))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        logger.propagate = before
        logger.removeHandler(log)
        assert TOKEN not in log.text, "the log names the token"
        assert "defect" not in log.text, log.text


def one_answer(data: bytes) -> None:
    """Poll a history; AssertionError where a promise is broken."""
    state, answers = _folder() / "state", wires(data)
    shutil.rmtree(state, ignore_errors=True)
    _quietly(_ACME, state, answers, len(answers))


@cache
def template() -> Path:
    """A state directory with a good answer, which each input of `state` begins with."""
    made = _folder() / "template"
    run_virtual(_poll(_ACME + _GLOBEX, made, (), 1))
    return made


def rows_after(*answers: Wire) -> list[str]:
    """What the state holds in JSON after these answers."""
    state = scratch("rows")
    _quietly(_ACME, state, answers, len(answers))
    with closing(sqlite3.connect(state / FILE)) as connection:
        found = connection.execute("SELECT memory FROM memories UNION SELECT fact FROM facts")
        return [text for (text,) in found]


def one_row(data: bytes) -> None:
    """Start with a row in the state file: it counts as nothing, or everything works with it."""
    state, text = _folder() / "state", data.decode("utf-8", "replace")
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(template(), state)
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.execute("UPDATE memories SET memory = ?", (text,))
        rows = [row for (row,) in connection.execute("SELECT id FROM operations")]
        facts = [(row, name, text) for row in rows for name in ("pause", "skills")]
        connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", facts)
        connection.commit()
    api = _quietly(_ACME + _GLOBEX, state, (), 2)
    assert api.asked, "a row of the state holds up the polls"
