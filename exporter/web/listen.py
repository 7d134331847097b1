"""Listening sockets, and limits on what their clients may cost; knows no HTTP and no TLS."""

from __future__ import annotations

import contextlib
import errno
import re
import resource
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.errors import StartError

# More clients than this wait in the kernel only while the event loop is held up.
BACKLOG = 1024
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_REASONS = {
    errno.EADDRINUSE: "another program uses the port",
    errno.EACCES: "no permission (ports below 1024 need CAP_NET_BIND_SERVICE)",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
}
# Files that the exporter itself needs beside its connections: state, API clients, log.
_OWN_FILES = 128


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
        if len(self) > self.most:
            self.close_longest()

    def close_longest(self) -> None:
        """Close the connection that has waited longest."""
        self.pop(next(iter(self)))()


def parse_listen_address(text: str) -> tuple[str | None, int]:
    """`host:port`, `:port` or `[::1]:port` as (host or None, port); ValueError otherwise."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        hint = " (an IPv6 address stands in brackets)" if text.count(":") > 1 else ""
        raise ValueError(f"{text!r} is no listen address: host:port, :port or [::1]:port{hint}")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"{text!r} is no listen address: the port must be at most 65535")
    return match["v6"] or match["host"] or None, port


def bind(addresses: Sequence[tuple[str | None, int]]) -> list[socket.socket]:
    """Listening sockets, one for each address; StartError with a sentence, and none is open.

    Clients queue in the kernel from here on. Port 0 takes a free port: `address_of` tells it.
    """
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_open(host, port)) for host, port in addresses]
        opened.pop_all()
    return sockets


def address_of(listener: socket.socket) -> str:
    """`127.0.0.1:19655` or `[::]:19655`, with the real port."""
    return _shown(*listener.getsockname()[:2])


def raise_open_files(connections: int) -> int:
    """Let the process open that many connections beside its own files; what it may have.

    The usual soft limit of 1,024 is for programs that use select(); asyncio does not, so the
    hard limit is there to be used.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - _OWN_FILES, 1)


def _open(host: str | None, port: int) -> socket.socket:
    """One address of the host; without a host all, IPv6 and IPv4 by one socket where it can."""
    try:
        if host is not None:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            # IPv4 first, as `localhost` is mostly meant.
            family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
            return _listen(family, address)
        try:
            return _listen(socket.AF_INET6, ("::", port))
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
        return _listen(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - what was asked for
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a label too long
        reason = f"there is no host {host!r}"
        raise StartError(f"cannot listen on {host}:{port}: {reason}") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StartError(f"cannot listen on {_shown(host or '', port)}: {reason}") from error


def _listen(
    family: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
) -> socket.socket:
    # By the protocol's number asyncio knows TCP, and sends without delay (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart does not wait for the connections of the life before to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        # Only listening shows that the port is taken: two sockets may be bound to it.
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
