"""Listening sockets, from `--web.listen-address` to an open port; knows no HTTP and no TLS."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.errors import ConfigError, StartError

# More clients than this wait in the kernel only while the event loop is held up.
BACKLOG = 1024
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_REASONS = {
    errno.EADDRINUSE: StartError("port_taken"),
    errno.EACCES: StartError("port_denied"),
    errno.EADDRNOTAVAIL: StartError("no_address"),
}
# Files that the exporter itself needs beside its connections: state, API clients, log.
_OWN_FILES = 128
_FIRST_HANDED_OVER = 3  # sd_listen_fds(3)


def parse_listen_address(text: str) -> tuple[str | None, int]:
    """`host:port`, `:port` or `[::1]:port` as (host or None, port); ConfigError otherwise."""
    match, reason = _ADDRESS.fullmatch(text), ""
    if match is None:
        hint = " (an IPv6 address stands in brackets)" if text.count(":") > 1 else ""
        reason = f"host:port, :port or [::1]:port{hint}"
    elif int(match["port"]) > 65535:
        reason = "the port must be at most 65535"
    else:
        return match["v6"] or match["host"] or None, int(match["port"])
    raise ConfigError.at("--web.listen-address", f"{text!r} is no listen address: {reason}")


def bind(addresses: Iterable[str]) -> list[socket.socket]:
    """Listening sockets, one for each address; raises ConfigError or StartError, none is open.

    Clients queue in the kernel from here on. Port 0 takes a free port: `address_of` tells it.
    """
    places = [parse_listen_address(address) for address in addresses]
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_open(*place)) for place in places]
        opened.pop_all()
    return sockets


def handed_over(environ: Mapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd hands over; raises ConfigError without any."""
    flag, count = "--web.systemd-socket", environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not re.fullmatch("[1-9][0-9]?", count):
        reason = (
            "systemd hands over no socket (LISTEN_FDS and LISTEN_PID): it does so to a"
            " service that has a .socket unit of its name"
        )
        raise ConfigError.at(flag, reason)
    sockets = []
    for number in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + int(count)):
        try:
            one = socket.socket(fileno=number)
            internet = one.family in (socket.AF_INET, socket.AF_INET6)
            listens = internet and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listens = False
        if not listens or one.proto != socket.IPPROTO_TCP:
            reason = (
                f"file {number} that systemd hands over is no listening TCP socket:"
                " the .socket unit says ListenStream=19655"
            )
            raise ConfigError.at(flag, reason)
        one.set_inheritable(False)
        sockets.append(one)
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
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        place: tuple[Any, ...] = ("", port)
        if host is not None:
            # IPv4 first, as `localhost` is mostly meant.
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, *_, place = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6
        # Only listening shows that the port is taken: two sockets may be bound to it.
        made = socket.create_server(place, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except (socket.gaierror, ValueError):
        # ValueError: a label too long, a null character, IPv6 on a machine without it.
        why: object = StartError("no_host", host=repr(host))
    except OSError as error:
        why = _REASONS.get(error.errno or 0, error.strerror or str(error))
    else:
        # By the protocol's number asyncio knows TCP, and sends without delay (TCP_NODELAY).
        return socket.socket(fileno=made.detach())
    raise StartError("listen", place=_shown(host or "", port), why=why)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
