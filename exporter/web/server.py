"""Who may read it: the HTTP server, from open sockets to a graceful end.

It accepts, makes the TLS handshake where there is a context, and hands each connection to
`LimitedProtocol`. Signals, the life of the process and the pages belong to others: several
servers run in one event loop, and a failure is raised, not turned into an exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config

from exporter.logs import say
from exporter.web.asgi import ASGIApp, Message, Receive, Scope, Send
from exporter.web.listen import (
    BACKLOG,
    address_of,
    bind,
    parse_listen_address,
    raise_open_files,
)
from exporter.web.protocol import LimitedProtocol, Limits, Room
from exporter.web.tls import Handshake, TlsPolicy

__all__ = ["HttpServer", "Limits", "address_of", "bind", "parse_listen_address"]

log = logging.getLogger(__name__)

_LAST_WORDS_SECONDS = 0.1
_PIECE_BYTES = 64 * 1024
# Few, so that the limit on connections has its say before the next are accepted.
_ACCEPTED_AT_ONCE = 16
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SAID_EVERY_SECONDS = 60.0


def _no_tls() -> None:
    return None


class HttpServer:
    """Serves one ASGI application on listening sockets, which it owns from then on.

    `tls` is asked for each new connection, so that a renewed certificate, or another client
    CA, counts from the next connection on; None means plain HTTP. `handshake_failed` is
    called for each handshake that fails.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        tls: Callable[[], TlsPolicy | None] = _no_tls,
        handshake_failed: Callable[[], None] = _no_tls,
    ) -> None:
        self.addresses = tuple(address_of(listener) for listener in sockets)
        self._sockets = sockets
        self._tls = tls
        self._handshake_failed = handshake_failed
        connections = raise_open_files(limits.connections)
        self._limits = dataclasses.replace(limits, connections=connections)
        self._config = _uvicorn_config(_fitted(app))
        self._stopping = asyncio.Event()
        self._room = Room(self._limits)
        self._silent_until = 0.0

    def stop(self) -> None:
        """Ask `serve` to end: requests under way have `shutdown_timeout` to be answered."""
        self._stopping.set()

    async def serve(self) -> None:
        """Serve until `stop`; a cancellation ends it at once. Closes the sockets."""
        loop = asyncio.get_running_loop()
        grace = 0.0
        listeners: list[asyncio.Server] = []
        loop.set_exception_handler(self._trouble)
        try:
            self._tell_date()
            for listener in self._sockets:
                # asyncio's backlog is both how many it accepts in a row and the kernel's queue.
                server = await loop.create_server(
                    self._accept, sock=listener, backlog=_ACCEPTED_AT_ONCE
                )
                listeners.append(server)
                listener.listen(BACKLOG)
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 1.0)
                self._tell_date()
            grace = self._limits.shutdown_timeout
        finally:
            for server in listeners:
                server.close()
            for listener in self._sockets:
                listener.close()
            await self._close_connections(grace)

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say it now and then where no connection can be accepted.

        asyncio would write a traceback for each try, of which there are many a second.
        """
        error = context.get("exception")
        refused = isinstance(error, OSError) and error.errno in _EXHAUSTED
        if not (refused and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + _SAID_EVERY_SECONDS
            say(log, logging.ERROR, "no connection can be accepted just now", error=error)

    def _tell_date(self) -> None:
        """One list of headers for all answers of a second."""
        self._room.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def _accept(self) -> asyncio.BaseProtocol:
        policy = self._tls()
        limits = self._limits
        if policy is None:
            self._room.most = limits.connections
            return self._http()
        self._room.most = min(limits.connections, limits.tls_connections)
        return Handshake(policy, self._room, self._http, self._handshake_failed)

    def _http(self) -> LimitedProtocol:
        return LimitedProtocol(self._config, self._room)

    async def _close_connections(self, grace: float) -> None:
        """Let the requests under way end in time, then cut what is left."""
        room = self._room
        for connection in list(room.connections):
            connection.shutdown()
        for handshake in list(room.handshakes):
            handshake.evict()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while room.connections:
                    room.emptied.clear()
                    await room.emptied.wait()
        for connection in list(room.connections):
            connection.transport.abort()
        if (
            room.tasks
        ):  # whoever waited for his client ends now; who waits for else is cancelled
            _, pending = await asyncio.wait(room.tasks, timeout=_LAST_WORDS_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def _fitted(app: ASGIApp) -> ASGIApp:
    """The application, fitted to how this server ends and writes."""

    async def fitted(scope: Scope, receive: Receive, send: Send) -> None:
        # Cancelled when the server closes, connection and all: no error to log.
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, _in_pieces(send))

    return fitted


def _in_pieces(send: Send) -> Send:
    """Bodies cut up: a slow reader holds the page that all share, and no copy of its own."""

    async def sending(message: Message) -> None:
        body = memoryview(message.get("body", b""))
        while len(body) > _PIECE_BYTES:
            piece, body = body[:_PIECE_BYTES], body[_PIECE_BYTES:]
            await send({"type": message["type"], "body": piece, "more_body": True})
        await send({**message, "body": body} if "body" in message else message)

    return sending


def _uvicorn_config(app: ASGIApp) -> Config:
    """uvicorn's settings: its parser and its answers, none of its logs, workers and guesses."""
    config = Config(
        app,
        http=LimitedProtocol,
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
