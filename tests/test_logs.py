"""Log lines: their two forms, what is quoted, what is cut out, and who may speak."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter import logs
from exporter.logs import SECRETS, Formatter, configure, say

CANARY = "7b1f0e9d8c7b6a5948372615f4e3d2c1b0a9f8e7d6c5b4a39281"
MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC).timestamp()
LIBRARIES = ("httpx", "httpcore", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access")
Start = Callable[[str, str], io.StringIO]


@pytest.fixture
def start() -> Iterator[Start]:
    """Configure the log on a stream in memory; the log of before comes back."""
    loggers = [logging.getLogger(name) for name in ("", "exporter", *LIBRARIES)]
    before = [(one, one.level, one.propagate, list(one.handlers)) for one in loggers]
    for one in loggers:
        one.propagate = True

    def _start(level: str, style: str) -> io.StringIO:
        stream = io.StringIO()
        configure(level, style, stream)
        return stream

    yield _start
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers


def with_traceback(made: logging.LogRecord, text: str) -> logging.LogRecord:
    """Add an exception with this text, as `logging.exception` does."""
    try:
        int(text)
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    return made


def record(message: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    """One event of a fixed moment."""
    made = logging.LogRecord("exporter.x", level, __file__, 1, "%s", (message,), None)
    made.created = MOMENT
    made.fields = fields
    return made


LOGFMT, JSON = Formatter("logfmt"), Formatter("json")


def test_a_line_of_each_form() -> None:
    """Moment, level and message come first, then the fields in their order; JSON keeps
    numbers. A field without a value says nothing, so it is not there.
    """
    made = record("no answer", operation="acme", seconds=1.5, count=3, skill_id=None)
    assert LOGFMT.format(made) == (
        'ts=2026-03-01T12:30:15.250Z level=info msg="no answer" '
        "operation=acme seconds=1.5 count=3"
    )
    assert json.loads(JSON.format(made)) == {
        "ts": "2026-03-01T12:30:15.250Z",
        "level": "info",
        "msg": "no answer",
        "operation": "acme",
        "seconds": 1.5,
        "count": 3,
    }


def test_what_logfmt_quotes() -> None:
    """A value that a reader could take for more than one value stands in quotes."""
    cases: list[tuple[object, str]] = [
        ("plain", "plain"),
        ("a/b:c,d;e-f_g.h", "a/b:c,d;e-f_g.h"),
        ("Atención", "Atención"),
        (True, "True"),
        (0.1 + 0.2, "0.3"),
        (1e9, "1e+09"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nbreak", r'"line\nbreak"'),
        ("carriage\r", r'"carriage\r"'),
        ("tab\t", r'"tab\t"'),
        ("null\x00", r'"null\u0000"'),
        ("escape\x1b[31m", r'"escape\u001b[31m"'),
        (["a", 1], "\"['a', 1]\""),
    ]
    for value, written in cases:
        line = LOGFMT.format(record("x", field=value))
        assert line.partition(" field=")[2] == written, value


def test_a_traceback_stays_on_one_line() -> None:
    """A defect is told whole, but as one line, so that a log reader keeps it together."""
    made = with_traceback(record("a defect", logging.ERROR), "broken")
    for formatter in (LOGFMT, JSON):
        line = formatter.format(made)
        assert len(line.splitlines()) == 1
        assert r"\nValueError: invalid literal for int() with base 10: 'broken'" in line


def test_what_json_cannot_hold_becomes_text() -> None:
    """A field of any kind is told as text rather than lost."""
    line = json.loads(JSON.format(record("x", path=ValueError("odd"), when={1})))
    assert (line["path"], line["when"]) == ("odd", "{1}")


def test_known_tokens_are_cut_out() -> None:
    """A token that was read appears in no message, field or traceback."""
    for token in ("tiny", CANARY, "with.dots+and/slashes==", 'quo"ted'):
        SECRETS.add(token)
        made = record(f"sent {token}", header=f"wolkvox-token: {token}", plain=token)
        for formatter in (LOGFMT, JSON):
            line = formatter.format(with_traceback(made, token))
            assert token not in line
            assert json.dumps(token)[1:-1] not in line
            assert line.count("[token]") >= 4, token


def test_a_token_that_begins_like_another_one() -> None:
    """The longer one is cut out whole, in whatever order they were read."""
    SECRETS.add("begins")
    SECRETS.add("begins-and-goes-on")
    assert SECRETS.scrub("<begins-and-goes-on> <begins>") == "<[token]> <[token]>"


def test_what_looks_like_a_token_is_cut_out() -> None:
    """A token that the exporter has never read is known by its form, in either case."""
    assert SECRETS.scrub(f"<{CANARY}>") == "<[token]>"
    assert SECRETS.scrub(f"<{CANARY.upper()}>") == "<[token]>"
    assert SECRETS.scrub("7b1f0e is short, deadbeef is none") == (
        "7b1f0e is short, deadbeef is none"
    )


def test_an_empty_secret_is_no_secret() -> None:
    """An empty token would cut between all letters."""
    SECRETS.add("")
    assert SECRETS.scrub("text") == "text"


def test_least_level(start: Start) -> None:
    """The exporter says what is at least as severe as --log.level."""
    names = ["debug", "info", "warn", "error"]
    for least, level in enumerate(names):
        stream = start(level, "json")
        log = logging.getLogger("exporter.polling")
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            say(log, number, "x")
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["level"] for line in lines] == names[least:], level


def test_libraries_are_silent_below_warnings(start: Start) -> None:
    """Even at debug no library describes a request: its headers hold the token."""
    for name in (*LIBRARIES, "httpcore.http11", "httpcore.connection"):
        stream = start("debug", "logfmt")
        library = logging.getLogger(name)
        library.debug("headers %s", CANARY)
        library.info("HTTP Request: GET %s", CANARY)
        assert not stream.getvalue(), name
        library.warning("trouble with %s", CANARY)
        assert 'level=warn msg="trouble with [token]"' in stream.getvalue(), name


def test_configuring_again_replaces_the_log(start: Start) -> None:
    """One event is one line, however often the log was configured."""
    first, second = start("info", "logfmt"), start("info", "logfmt")
    say(logging.getLogger("exporter"), logging.INFO, "once")
    assert not first.getvalue()
    assert second.getvalue().count("msg=once") == 1


def test_percent_signs_of_a_message_are_kept(start: Start) -> None:
    """A message is no format: an answer that holds one breaks nothing."""
    stream = start("info", "json")
    fields: dict[str, Any] = {"text": "65.67 %d"}
    say(logging.getLogger("exporter"), logging.INFO, "100 %s %d %", **fields)
    line = json.loads(stream.getvalue())
    assert (line["msg"], line["text"]) == ("100 %s %d %", "65.67 %d")


class Stuck(io.StringIO):
    """A stream whose reader has stopped reading, until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.going_on = threading.Event()

    def write(self, text: str, /) -> int:
        self.going_on.wait()
        return super().write(text)


def test_a_reader_that_stops_holds_nobody_up(start: Start) -> None:
    """Lines wait for it up to a number; further ones are dropped and counted."""
    stream = Stuck()
    start("info", "logfmt")
    configure("info", "logfmt", stream, background=True)
    lines = logs.MOST_WAITING + 100
    for number in range(lines):
        say(logging.getLogger("exporter"), logging.INFO, "line", number=number)
    assert not logs.finish(0.01)
    lost = logs.dropped()
    stream.going_on.set()
    assert logs.finish()
    written = stream.getvalue().splitlines()
    assert len(written) == lines - lost
    assert 99 <= lost <= 100  # one may be in the thread's hand
    assert written[0].endswith("number=0")


def test_lines_in_the_background_are_formatted_where_they_are_logged(start: Start) -> None:
    """What changes afterwards changes no line, and no token waits in the queue."""
    stream = Stuck()
    start("info", "logfmt")
    configure("info", "json", stream, background=True)
    SECRETS.add("tiny")
    seen = ["as it was"]
    say(logging.getLogger("exporter"), logging.INFO, "100 % tiny", seen=seen)
    seen[0] = "as it became"
    try:
        int("tiny")
    except ValueError:
        logging.getLogger("exporter").exception("a defect")
    stream.going_on.set()
    assert logs.finish()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["msg"], first["seen"]) == ("100 % [token]", ["as it was"])
    assert second["traceback"].endswith("'[token]'")


def test_a_stream_that_takes_nothing_loses_lines_and_nothing_else(start: Start) -> None:
    """A full disk under the log: each line is counted."""
    start("info", "logfmt")
    with open("/dev/full", "w") as full:
        configure("info", "logfmt", full, background=True)
        for _ in range(3):
            say(logging.getLogger("exporter"), logging.INFO, "line")
        assert logs.finish()
        assert logs.dropped() == 3
        with contextlib.suppress(OSError):
            full.close()


def test_a_line_that_cannot_be_formatted_breaks_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in a log line costs that line alone."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = io.StringIO()
    start("info", "logfmt")
    configure("info", "logfmt", stream, background=True)
    logging.getLogger("exporter").info("%d", "no number")
    logging.getLogger("exporter").info("next")
    assert logs.finish()
    assert stream.getvalue().count("\n") == 1
