"""Fuzzed: the HTTP front, from raw bytes to the answers, over a transport in memory.

The first byte of an input says what stands before the pages (`p`: nothing, `g`: users and
headers), the second in how large pieces the bytes come (`0`: whole, `1`: a byte at a time, and
by each further digit twice as much, up to 256 bytes).
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final, cast

from exporter.config import Configuration
from exporter.web.access import LiveConfig, guard
from exporter.web.access_config import WebConfig
from exporter.web.app import App
from exporter.web.listen import Limits
from exporter.web.server import HttpProtocol, HttpServer
from exporter.web.status import StatusPage
from tests.status_page_support import EXPORTER, OPERATION
from tests.statuses import CHAT, NOW, VOICE, status

USER: Final = b"alice:wonder"
HASH: Final = b"$2b$04$J5IJhBoPeVLCP4f3vyKit.MJiGRvpWWfTMQJ0BAXQg75JQwtlLWGm"  # of wonder
_LIMITS = Limits(head_bytes=4096, body_bytes=1024)
_STATUSES = frozenset({200, 400, 401, 403, 404, 405, 413, 429, 431, 501, 503})
_HEADERS = frozenset(
    {
        *("date", "content-type", "content-length", "connection", "cache-control", "vary"),
        *("x-content-type-options", "content-security-policy", "referrer-policy"),
        *("x-frame-options", "www-authenticate", "allow", "retry-after", "content-encoding"),
    }
)
_PATIENCE = 30.0


class Clock:
    """A moment that stands still."""

    def epoch(self) -> float:
        """As of the statuses."""
        return NOW

    def monotonic(self) -> float:
        """The page of each language is made once."""
        return 0.0


class Pages:
    """Small pages, and the real status page."""

    def __init__(self) -> None:
        statuses = [status(VOICE, CHAT)]
        page = StatusPage(cast("Any", Clock()), statuses, lambda: [OPERATION], lambda: EXPORTER)
        self.landing = page.html

    configuration = Configuration(())

    def text(self) -> bytes:
        """A body that tells what was negotiated, as those below."""
        return b"text\n"

    def text_gzip(self) -> bytes:
        """Compressed."""
        return b"text gzip\n"

    def openmetrics(self) -> bytes:
        """The other form."""
        return b"openmetrics\n"

    def openmetrics_gzip(self) -> bytes:
        """Compressed."""
        return b"openmetrics gzip\n"

    def healthy(self) -> bool:
        """It lives."""
        return True

    def ready(self) -> bool:
        """Not yet."""
        return False

    async def reload(self) -> str | None:
        """Nothing to read again."""
        return None


class _Live:
    """A web configuration that asks for a user and adds a header."""

    def __init__(self) -> None:
        self._config = WebConfig(
            users={b"alice": HASH}, headers=((b"x-frame-options", b"deny"),)
        )

    def current(self) -> WebConfig:
        return self._config


class Wire(asyncio.Transport):
    """What a protocol writes, and what it asks of its transport."""

    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.paused = False
        self.ended = False
        self.lost = asyncio.Event()
        self._closing = False
        self._protocol = protocol

    def write(self, data: Any) -> None:
        """Keep it; a closed connection takes no more."""
        assert not self.ended, "it writes after its end"
        if not self._closing:
            self.written += data

    def write_eof(self) -> None:
        """Nothing is written after it."""
        self.ended = True

    def is_closing(self) -> bool:
        """Whether the protocol has closed it."""
        return self._closing

    def pause_reading(self) -> None:
        """The protocol has enough for now."""
        self.paused = True

    def resume_reading(self) -> None:
        """It takes more."""
        self.paused = False

    def close(self) -> None:
        """The end, told a moment later, as sockets do."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        self._protocol.connection_lost(None)
        self.lost.set()


class _Errors(logging.Handler):
    """Keeps what the server logs as errors: tracebacks of defects."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep its text and its exception."""
        error = record.exc_info[1] if record.exc_info else None
        self.found.append(f"{record.getMessage().strip()}: {error!r}")


class Front:
    """The server's own protocols behind transports in memory, in one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.errors = _Errors()
        self.loop.set_exception_handler(
            lambda _, context: self.errors.found.append(f"in the event loop: {context}")
        )
        pages = Pages()
        app = App(cast("Any", pages), pages, pages.landing, lambda _: None, pages.reload)
        live = cast("LiveConfig", _Live())
        guarded = guard(app, live, lambda: 0.0)
        self.servers = {
            b"p": HttpServer(app, [], limits=_LIMITS),
            b"g": HttpServer(guarded, [], limits=_LIMITS),
        }

    def hear(self, server: HttpServer, data: bytes, step: int) -> Wire:
        """Run `talk`, and keep what is logged as errors meanwhile."""
        loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
        self.errors.found.clear()
        for logger in loggers:
            logger.addHandler(self.errors)
        try:
            return self.loop.run_until_complete(self.talk(server, data, step))
        finally:
            for logger in loggers:
                logger.removeHandler(self.errors)

    async def talk(self, server: HttpServer, data: bytes, step: int) -> Wire:
        """One client that says this and then ends; everything must come to an end."""
        protocol = cast("HttpProtocol", server.accept())
        wire = Wire(protocol)
        protocol.connection_made(wire)
        for start in range(0, len(data), step):
            await self._answered(server, wire)
            if wire.is_closing():
                break
            assert not wire.paused, "it reads no more although nothing is under way"
            protocol.data_received(data[start : start + step])
        if not wire.is_closing() and not protocol.eof_received():
            wire.close()
        await self._answered(server, wire)
        if not wire.is_closing():
            wire.close()
        await wire.lost.wait()
        return wire

    async def _answered(self, server: HttpServer, wire: Wire) -> None:
        tasks = server.connections.tasks
        await asyncio.sleep(0)
        async with asyncio.timeout(_PATIENCE):
            while tasks:
                await asyncio.wait(tasks)
                await asyncio.sleep(0)


_made: list[Front] = []


def front() -> Front:
    """One for the whole process."""
    if not _made:
        _made.append(Front())
    return _made[0]


def step_of(size: bytes, length: int) -> int:
    """How many bytes come at once, of so many, for the second byte of an input."""
    step = 2 ** (int(size) - 1) if size.isdigit() and size != b"0" else length
    # Of more than a kilobyte a byte at a time would only be slow.
    return max(step, length // 512, 1)


def one(data: bytes) -> None:
    """Say an input to the server; its answers must be whole, known, and leave nothing."""
    here = front()
    mode, size, said = data[:1], data[1:2], data[2:]
    server = here.servers[b"g" if mode == b"g" else b"p"]
    wire = here.hear(server, said, step_of(size, len(said)))
    assert not here.errors.found, here.errors.found[0]
    check_answers(bytes(wire.written), said)
    shared = server.connections
    assert not shared.connections, "a connection is not forgotten"
    assert not shared.waiting, "a connection is not forgotten"
    timers = [handle for handle in cast("Any", here.loop)._scheduled if not handle.cancelled()]
    assert not timers, f"a timer is not cancelled: {timers[0]}"


def check_answers(written: bytes, said: bytes) -> None:
    """Every answer is whole and holds nothing but what the server says by itself."""
    count = 0
    while written:
        head, end, rest = written.partition(b"\r\n\r\n")
        assert end, "an answer is cut off"
        first, *lines = head.decode("ascii").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) [ -~]+", first)
        assert found, first
        assert int(found[1]) in _STATUSES, first
        headers = dict(line.split(": ", 1) for line in lines)
        assert set(headers) <= _HEADERS, f"a foreign header: {set(headers) - _HEADERS}"
        size = int(headers["content-length"])
        bodiless = b"HEAD" in said and (not rest or rest.startswith(b"HTTP/1.1 "))
        assert bodiless or len(rest) >= size, "an answer is shorter than it says"
        written = rest if bodiless else rest[size:]
        count += 1
    lines_said = said.count(b"\n") + 1
    assert count <= lines_said, f"{count} answers to {lines_said} lines"
