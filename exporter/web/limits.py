"""Limits of the HTTP server: what a client may cost, and who goes when there are too many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost; times in seconds, sizes in bytes."""

    # Request line and headers together (else 431), and a body (else 413).
    head_bytes: int = 64 * 1024
    body_bytes: int = 16 * 1024
    # Whether bodies reach the application; the exporter has no page that reads one.
    keep_bodies: bool = False
    handshake_timeout: float = 10.0
    # For a whole request: from the connection, later from the request's first byte.
    request_timeout: float = 10.0
    # For the next request on a connection that is kept open.
    idle_timeout: float = 75.0
    # For the client to take a whole answer.
    write_timeout: float = 60.0
    # For reading on after a refusal, so that the client sees it and not a reset.
    linger: float = 1.0
    # For the requests under way when the server stops.
    shutdown_timeout: float = 2.0
    # Connections that wait for their clients; with TLS asyncio holds 256 KiB for each.
    connections: int = 1500
    tls_connections: int = 300
    handshakes: int = 100
    # Answers that slow clients are taking; each may hold a page of its own.
    readers: int = 40


class Queue:
    """Connections that wait for their clients: one too many closes the longest waiting."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._close: dict[object, Callable[[], object]] = {}

    def __contains__(self, connection: object) -> bool:
        return connection in self._close

    def __len__(self) -> int:
        return len(self._close)

    def enter(self, connection: object, close: Callable[[], object]) -> None:
        """Begin to wait, or begin anew; `close` is called when there is no more room."""
        self.leave(connection)
        self._close[connection] = close
        if len(self) > self.most:
            self.close_longest()

    def leave(self, connection: object) -> None:
        """Wait no more; nothing happens where it did not."""
        self._close.pop(connection, None)

    def close_longest(self) -> None:
        """Close the connection that has waited longest."""
        self._close.pop(next(iter(self._close)))()
