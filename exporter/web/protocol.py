"""Who may read it: one client's connection, with a limit on everything a client can prolong.

uvicorn's httptools protocol parses and answers; this subclass adds the limits that it lacks
(time for a request, size of its head and body, requests in a pipeline, time to take the
answer). It knows no routes, and a connection reaches it only after its TLS handshake.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

_LONG_HEAD = "The head of the request is too long."
_CODING = "No transfer coding but chunked is known here."
_HOST = re.compile(rb"[\w!$%&'()*+,.:;=\[\]~-]*")
_BODY = "No page here reads a request body."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost; times in seconds, sizes in bytes."""

    head_bytes: int = 64 * 1024
    """Request line and headers together; more is answered 431."""
    body_bytes: int = 16 * 1024
    """A request body; more is answered 413."""
    keep_bodies: bool = False
    """Hand bodies to the application; without it they are thrown away: no page reads one."""
    request_timeout: float = 10.0
    """For a whole request: from the connection, later from the request's first byte."""
    idle_timeout: float = 75.0
    """For the next request on a connection that is kept open."""
    write_timeout: float = 60.0
    """For the client to take a whole answer."""
    readers: int = 40
    """Answers that wait for their clients; one more ends the one that has waited longest."""
    handshake_timeout: float = 10.0
    """For a TLS handshake."""
    linger: float = 1.0
    """For reading on after a refusal, so that the client sees it and not a reset."""
    pipelined: int = 32
    """Requests waiting behind one that is being answered."""
    connections: int = 1500
    """Open at once; one more closes the one that has waited longest for its client."""
    tls_connections: int = 300
    """The same with TLS, where asyncio holds 256 KiB for each."""
    handshakes: int = 100
    """Under way at once; one more ends the oldest."""
    shutdown_timeout: float = 2.0
    """For the requests under way when the server is asked to stop."""


class Room(ServerState):
    """What the connections of one server share: who is open, and who waits for his client."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        # Ordered: the first has waited longest.
        self.waiting: dict[Evictable, None] = {}
        self.readers: dict[Evictable, None] = {}
        self.handshakes: dict[Evictable, None] = {}
        self.most = limits.connections
        self.emptied = asyncio.Event()

    def enter(self, newcomer: Evictable) -> None:
        """Note that this connection waits for its client, since now; make room for it."""
        self.waiting.pop(newcomer, None)
        self.waiting[newcomer] = None
        if len(self.waiting) > self.most:
            next(iter(self.waiting)).evict()

    def begin_handshake(self, newcomer: Evictable) -> None:
        """Note that a handshake is under way."""
        self.handshakes[newcomer] = None
        if len(self.handshakes) > self.limits.handshakes:
            next(iter(self.handshakes)).evict()

    def await_reader(self, slow: Evictable) -> None:
        """Note that an answer waits for its client: each may hold a page of its own."""
        self.readers[slow] = None
        if len(self.readers) > self.limits.readers:
            next(iter(self.readers)).evict()

    def leave(self, connection: Evictable) -> None:
        """It waits no more: it is being answered, or it is gone."""
        self.waiting.pop(connection, None)
        self.readers.pop(connection, None)
        self.handshakes.pop(connection, None)


class Evictable:
    """A connection that may have to go when there is no more room."""

    def evict(self) -> None:
        """Close at once; takes itself out of `Room.waiting`."""
        ...


class _TooMuch(Exception):
    """Raised inside a parser callback, to stop it; the parser turns it into its own error."""


class LimitedProtocol(HttpToolsProtocol, Evictable):
    """One connection, plain or after its handshake."""

    def __init__(self, config: Config, room: Room) -> None:
        super().__init__(config, room, {}, asyncio.get_running_loop())
        self._room = room
        self._limits = room.limits
        # The messages begun so far; of the last one, what it has cost.
        self._messages = 0
        self._unfinished = True
        self._in_head = True
        self._head_size = 0
        self._body_size = 0
        self._raw_size = 0
        self._verdict: tuple[int, str] | None = None
        self._refused = False
        # What the connection waits for, and until when.
        self._awaited: tuple[str, int] = ("", 0)
        self._patience: asyncio.TimerHandle | None = None
        self._flush: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client is there; it has `request_timeout` to say what it wants."""
        super().connection_made(transport)
        self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or was sent away."""
        super().connection_lost(exc)
        for timer in (self._patience, self._flush):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        self._room.leave(self)
        if not self.connections:
            self._room.emptied.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it wants still gets the answers that are under way."""
        if not self._answering() or self.scheme == "https":
            return False
        self.cycle.keep_alive = False
        return True

    def evict(self) -> None:
        """Close at once: the room is needed for a newer connection."""
        self._room.leave(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the client was refused; then see what it waits for now."""
        if self._refused:
            return
        before = self._messages
        amid = self._unfinished and before > 0
        super().data_received(data)
        alone = self._messages - before == (0 if amid else 1)
        if alone and self._unfinished and not self._refused:
            self._measure_raw(len(data))
        self._await_client()

    def on_message_begin(self) -> None:
        """Count the requests that wait in the pipeline; start measuring a new one."""
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop(429, "Too many requests in one go.")
        super().on_message_begin()
        self._messages += 1
        self._unfinished = self._in_head = True
        self._head_size = self._body_size = self._raw_size = 0

    def on_url(self, url: bytes) -> None:
        """Called with pieces of the request target."""
        super().on_url(url)
        self._measure_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called with each whole header, and with each trailer after a body."""
        self._measure_head(len(name) + len(value) + 4)
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            self._stop(501, _CODING)  # before the parser finds it no end of the body
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be answered; its body, if any, is not waited for."""
        self._in_head = False
        self._judge_head()
        super().on_headers_complete()
        if self.parser.should_upgrade() or self.expect_100_continue:
            # What follows is no HTTP, or a body that may or may not come.
            self.cycle.keep_alive = False

    def _judge_head(self) -> None:
        """Refuse what the parser lets pass and RFC 9112 (3.2) does not."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._stop(400, "A request names one Host.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            self._stop(400, "The Host cannot be read.")

    def on_body(self, body: bytes) -> None:
        """Count it, and throw it away unless the application reads bodies."""
        self._body_size += len(body)
        if self._body_size > self._limits.body_bytes:
            self._stop(413, _BODY)
        if self._limits.keep_bodies:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._unfinished = False

    def _measure_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._limits.head_bytes:
            self._stop(431, _LONG_HEAD)

    def _measure_raw(self, size: int) -> None:
        """Bound what the parser keeps to itself: one endless header, a chunk's extension.

        A piece in which another message ended is not counted; asyncio reads at most
        256 KiB at once.
        """
        self._raw_size += size
        if self._in_head and self._raw_size > self._limits.head_bytes:
            self._refuse(431, _LONG_HEAD)
        elif self._raw_size > self._limits.head_bytes + self._limits.body_bytes:
            self._refuse(413, _BODY)

    def _stop(self, status: int, text: str) -> None:
        self._verdict = (status, text)
        raise _TooMuch(text)

    def send_400_response(self, msg: str) -> None:
        """Called when the parser gave up, for a reason of its own or of `_stop`."""
        self._refuse(*(self._verdict or (400, msg)))

    def _refuse(self, status: int, text: str) -> None:
        """Tell the client why, then listen no more; answers under way are finished first."""
        self._refused = True
        if self._answering():
            self.cycle.keep_alive = False
            return
        body = f"{text}\n".encode("ascii", "replace")
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        if self.scheme == "http":  # TLS cannot be closed by halves
            self.transport.write_eof()

    def _answering(self) -> bool:
        # None before the first request, which uvicorn's annotation does not say.
        cycle = cast("Any", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _awaits(self) -> tuple[str, int]:
        if self.transport.is_closing():
            return ("end", 0)
        if self._refused:
            return ("answer" if self._answering() else "end of refusal", 0)
        if self._unfinished:  # the first one has had its time since the connection
            return ("request", max(self._messages, 1))
        return ("answer" if self._answering() else "next request", self._messages)

    def _await_client(self) -> None:
        """Start the clock that fits; a drop of data does not start a running one again."""
        awaited = self._awaits()
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        kind = awaited[0]
        if self._answering():
            self._room.leave(self)
        else:
            self._room.enter(self)
        if kind == "end":
            self._expect_flush()
        elif kind != "answer":
            self._patience = self.loop.call_later(self._seconds(kind), self._hang_up)

    def _seconds(self, kind: str) -> float:
        if kind == "request":
            return self._limits.request_timeout
        return self._limits.idle_timeout if kind == "next request" else self._limits.linger

    def _hang_up(self) -> None:
        self.transport.close()
        self._await_client()

    def on_response_complete(self) -> None:
        """An answer is written; go on with the pipeline, or wait for the next request."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's clock, which any byte stops
        self._await_client()
        self._end_flush()

    def pause_writing(self) -> None:
        """The client takes less than it is given; its whole answer has `write_timeout`."""
        super().pause_writing()
        self._room.await_reader(self)
        self._expect_flush()

    def resume_writing(self) -> None:
        """It has caught up, with this piece or with all of it."""
        super().resume_writing()
        self._room.readers.pop(self, None)
        self._end_flush()

    def _end_flush(self) -> None:
        """Stop the clock of writing where an answer is written and taken."""
        pending = self in self._room.readers or self._answering() or self.transport.is_closing()
        if self._flush is not None and not pending:
            self._flush.cancel()
            self._flush = None

    def _expect_flush(self) -> None:
        if self._flush is None:
            self._flush = self.loop.call_later(self._limits.write_timeout, self.transport.abort)
