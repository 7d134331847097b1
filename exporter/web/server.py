"""HTTP server: uvicorn's parser and answers, with a limit on everything a client can prolong.

Several servers run in one event loop, and a failure is raised rather than turned into an exit.
uvicorn has no hook for such limits: `HttpToolsProtocol` and `ServerState` are its inner names,
used here alone, and pyproject.toml holds it below the next version.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import re
import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from exporter.logs import say
from exporter.web.asgi import PLAIN, ASGIApp, Receive, Scope, Send
from exporter.web.listen import BACKLOG, raise_open_files
from exporter.web.tls import Handshake, TlsPolicy

log = logging.getLogger(__name__)

_LONG_HEAD = 431, "The head of the request is too long."
_HOST = re.compile(rb"[\w!$%&'()*+,.:;=\[\]~-]*")
_READ_ON_BYTES = 1024 * 1024  # after a refusal
_LAST_WORDS_SECONDS = 0.1
# Few, so that the limit on connections has its say before the next are accepted.
_ACCEPTED_AT_ONCE = 16
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SAID_EVERY_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost; times in seconds, sizes in bytes."""

    head_bytes: int = 64 * 1024  # request line and headers together, else 431
    body_bytes: int = 16 * 1024  # else 413
    keep_bodies: bool = False  # whether they reach the application; the exporter reads none
    handshake_timeout: float = 10.0
    request_timeout: float = 10.0  # a whole one: from the connection, later its first byte
    idle_timeout: float = 75.0  # to the next request on a connection that is kept open
    write_timeout: float = 60.0  # for the client to take a whole answer
    linger: float = 1.0  # to read on after a refusal, so that the client sees it and no reset
    shutdown_timeout: float = 2.0  # for the requests under way when the server stops
    connections: int = 1500  # that wait for their clients
    tls_connections: int = 300  # asyncio holds 256 KiB for each
    handshakes: int = 100
    readers: int = 40  # answers that slow clients are taking; each may hold a page of its own


class Queue(dict[object, Callable[[], object]]):
    """Connections that wait for their clients, each with what closes it; the longest first.

    One too many closes the longest waiting. `pop` ends the wait of one.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def enter(self, connection: object, close: Callable[[], object]) -> None:
        """Begin to wait, or begin anew; `close` is called when there is no more room."""
        self.pop(connection, None)
        self[connection] = close
        self.shrink(self.most)

    def shrink(self, most: int) -> None:
        """Close those that have waited longest until no more than so many are left."""
        while len(self) > most:
            self.pop(next(iter(self)))()


class Connections(ServerState):
    """The connections of one server, as uvicorn keeps them, and those that wait for clients."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.waiting = Queue(limits.connections)
        self.reading = Queue(limits.readers)
        self.handshakes = Queue(limits.handshakes)
        self.emptied = asyncio.Event()


class HttpProtocol(HttpToolsProtocol):
    """One connection, plain or after its handshake."""

    def __init__(self, config: Config, connections: Connections) -> None:
        super().__init__(config, connections, {}, asyncio.get_running_loop())
        self._shared = connections
        self._limits = connections.limits
        self._begun = 0  # requests so far; of the last one, what is not over yet:
        self._unfinished = self._in_head = True
        self._size = self._came = 0  # bytes of the head or of the body, and of this piece
        self._verdict: tuple[int, str] | None = None
        self._refused = self._slow = False
        self._awaited: tuple[str, int, float] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client is there; it has `request_timeout` to say what it wants."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or was sent away."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        self._shared.waiting.pop(self, None)
        self._shared.reading.pop(self, None)
        if not self.connections:
            self._shared.emptied.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it wants still gets the answers that are under way."""
        if not self._answering() or self.scheme == "https":
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and bound what it keeps to itself: a header, a chunk's extension."""
        self._came = len(data)
        self._size += len(data)
        if self._refused:
            if self._size > _READ_ON_BYTES:
                self.transport.abort()
            return
        super().data_received(data)
        if self._unfinished and not self._refused:
            if self._in_head and self._size > self._limits.head_bytes:
                self._refuse(*_LONG_HEAD)
            elif not self._in_head and self._size > self._limits.body_bytes:
                self._refuse(413, "No page here reads a request body.")
        self._watch()

    def on_message_begin(self) -> None:
        """Measure a new request; those before it in the same piece count with it."""
        super().on_message_begin()
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self._begun += 1
        self._unfinished = self._in_head = True
        self._size = self._came

    def on_headers_complete(self) -> None:
        """Refuse what the parser lets pass; else answer, without waiting for the body."""
        if (verdict := self._judge(self.parser.get_http_version())) is not None:
            self._verdict = verdict
            raise ValueError(verdict[1])  # the parser makes an error of its own of it
        self._in_head = False
        self._size = 0
        super().on_headers_complete()
        if self.parser.should_upgrade() or self.expect_100_continue:
            # What follows is no HTTP, or a body that may or may not come.
            self.cycle.keep_alive = False

    def _judge(self, version: str) -> tuple[int, str] | None:
        """Status and sentence for a head that is refused."""
        pairs, hosts = self.headers, [value for name, value in self.headers if name == b"host"]
        if len(self.url) + sum(len(n) + len(v) + 4 for n, v in pairs) > self._limits.head_bytes:
            return _LONG_HEAD
        if version not in ("1.0", "1.1"):
            return 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."
        if any(n == b"transfer-encoding" and v.strip().lower() != b"chunked" for n, v in pairs):
            return 501, "No transfer coding but chunked is known here."
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            return 400, "A request names one Host."
        if hosts and not _HOST.fullmatch(hosts[0]):
            return 400, "The Host cannot be read."
        return None

    def on_body(self, body: bytes) -> None:
        """Throw it away unless the application reads bodies."""
        if self._limits.keep_bodies:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._unfinished = False

    def send_400_response(self, msg: str) -> None:
        """Called when the parser gave up, for a reason of its own or of `_judge`."""
        self._refuse(*(self._verdict or (400, msg)))

    def _refuse(self, status: int, text: str) -> None:
        """Tell the client why, then listen no more; answers under way are finished first."""
        self._refused = True
        if self._answering():
            self.cycle.keep_alive = False
            return
        text, date = f"{text}\n", formatdate(usegmt=True)
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ndate: {date}\r\n"
            f"content-type: {PLAIN[1].decode()}\r\ncontent-length: {len(text)}\r\n"
            f"connection: close\r\n\r\n{text}".encode("ascii", "replace")
        )
        if self.scheme == "http":  # TLS cannot be closed by halves
            self.transport.write_eof()

    def _answering(self) -> bool:
        # None before the first request, which uvicorn's annotation does not say.
        cycle = cast("Any", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _awaits(self) -> tuple[str, int, float]:
        """What the connection waits for, of which request, and for how many seconds."""
        limits, number = self._limits, self._begun
        if self.transport.is_closing():
            return "end", 0, limits.write_timeout
        if self._unfinished and not self._refused:
            # The first one has had its time since the connection was made.
            return "request", max(number, 1), limits.request_timeout
        if self._slow:
            return "reader", number, limits.write_timeout
        if self._answering():
            return "answer", number, 0.0
        if self._refused:
            return "client's end", 0, limits.linger
        return "next request", number, limits.idle_timeout

    def _watch(self) -> None:
        """Start the clock that fits; more bytes of the same do not start it again."""
        awaited = self._awaits()
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
        if self._answering():
            self._shared.waiting.pop(self, None)
        else:
            self._shared.waiting.enter(self, self.transport.abort)
        what, _, seconds = awaited
        expired = self.transport.abort if what in ("end", "reader") else self._hang_up
        self._timer = self.loop.call_later(seconds, expired) if seconds else None

    def _hang_up(self) -> None:
        self.transport.close()
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is written; go on with the pipeline, or wait for the next request."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's clock, which any byte stops
        self._slow = self in self._shared.reading
        self._watch()

    def pause_writing(self) -> None:
        """The client takes less than it is given; its whole answer has `write_timeout`."""
        super().pause_writing()
        self._shared.reading.enter(self, self.transport.abort)
        self._slow = True
        self._watch()

    def resume_writing(self) -> None:
        """It has caught up, with this piece or with all of it."""
        super().resume_writing()
        self._shared.reading.pop(self, None)
        self._slow = self._answering()
        self._watch()


class HttpServer:
    """Serves one ASGI application on listening sockets, which it owns from then on.

    `tls` is called for each new connection, so that a renewed certificate counts from the
    next one on; where it returns None, HTTP is plain. `handshake_failed` is called for each
    handshake that fails.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        limits: Limits = Limits(),
        tls: Callable[[], TlsPolicy | None] = lambda: None,
        handshake_failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._sockets = sockets
        self._tls = tls
        self._handshake_failed = handshake_failed
        connections = raise_open_files(limits.connections)
        self._limits = dataclasses.replace(limits, connections=connections)
        self._config = _uvicorn_config(app)
        self._stopping = asyncio.Event()
        self.connections = Connections(self._limits)
        self._silent_until = 0.0

    def stop(self) -> None:
        """Ask `serve` to end: requests under way have `shutdown_timeout` to be answered."""
        self._stopping.set()

    async def serve(self) -> None:
        """Serve until `stop`; a cancellation ends it at once. Closes the sockets."""
        loop, grace = asyncio.get_running_loop(), 0.0
        listeners: list[asyncio.Server] = []
        loop.set_exception_handler(self._report)
        try:
            for listener in self._sockets:
                # asyncio's backlog is both how many it accepts in a row and the kernel's queue.
                server = await loop.create_server(
                    self._accept, sock=listener, backlog=_ACCEPTED_AT_ONCE
                )
                listeners.append(server)
                listener.listen(BACKLOG)
            await self._stopping.wait()
            grace = self._limits.shutdown_timeout
        finally:
            for server in listeners:
                server.close()
            for listener in self._sockets:
                listener.close()
            await self._close_connections(grace)

    def _accept(self) -> asyncio.Protocol:
        """The protocol of a new connection: HTTP, where TLS is asked for behind a handshake."""
        policy, limits, shared = self._tls(), self._limits, self.connections
        if policy is None:
            shared.waiting.most = limits.connections
            return HttpProtocol(self._config, shared)
        shared.waiting.most = min(limits.connections, limits.tls_connections)
        http = partial(HttpProtocol, self._config, shared)
        return Handshake(policy, limits, shared.handshakes, http, self._handshake_failed)

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say now and then that no connection can be accepted; asyncio would at each try."""
        error = context.get("exception")
        refused = isinstance(error, OSError) and error.errno in _EXHAUSTED
        if not (refused and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + _SAID_EVERY_SECONDS
            say(log, logging.ERROR, "no connection can be accepted just now", error=error)

    async def _close_connections(self, grace: float) -> None:
        """Let the requests under way end in time, then cut what is left."""
        shared = self.connections
        shared.handshakes.shrink(0)
        for connection in list(shared.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while shared.connections:
                    shared.emptied.clear()
                    await shared.emptied.wait()
        for connection in list(shared.connections):
            connection.transport.abort()
        if shared.tasks:  # those that waited for a client end now, others are cancelled
            _, pending = await asyncio.wait(shared.tasks, timeout=_LAST_WORDS_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def _uvicorn_config(app: ASGIApp) -> Config:
    """uvicorn's settings: its parser and its answers, none of its logs, workers and guesses."""

    async def unless_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        # Cancelled when the server closes, connection and all: no error to log.
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    config = Config(
        unless_cancelled,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        workers=1,  # else the environment decides
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level=logging.ERROR,
    )
    config.load()
    return config
