"""Who may read it: the TLS handshake of one connection, before any HTTP.

Each connection shakes hands on its own, with a time-out, so that a silent client delays
nobody. The context comes from the web configuration; nothing is read from files here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from exporter.web.protocol import Evictable, LimitedProtocol, Room

# What may lie encrypted and unsent before the answer waits for its client.
_UNSENT_BYTES = 64 * 1024
_NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 34\r\nconnection: close\r\n\r\nThis port speaks HTTPS, not HTTP.\n"
)


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """How to shake hands, and with whom: no allowed names means any name."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str] = frozenset()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether the client's certificate, as Python decodes it, holds an allowed name."""
        if not self.allowed_sans:
            return True
        allowed = set(map(_comparable, self.allowed_sans))
        names = (certificate or {}).get("subjectAltName", ())
        return any(_comparable(value) in allowed for _, value in names)


def _comparable(name: object) -> object:
    """An IP address as such, since it has many spellings; any other name as it is."""
    try:
        address = ipaddress.ip_address(str(name))
    except ValueError:
        return name
    return getattr(address, "ipv4_mapped", None) or address


class TlsConnection(SSLProtocol, Evictable):
    """One connection, its handshake and its encryption; HTTP begins behind them.

    asyncio's own protocol, made here rather than by `create_server(ssl=...)` so that the
    context is that of the moment, handshakes under way can be counted and ended, and a
    silent client does not hold 256 KiB (the size of asyncio's buffer).
    """

    max_size = 32 * 1024
    _plain: asyncio.Transport

    def __init__(
        self, policy: TlsPolicy, room: Room, http: Callable[[], LimitedProtocol]
    ) -> None:
        self._room = room
        self._spoken = False
        super().__init__(
            asyncio.get_running_loop(),
            _Threshold(self, policy, room, http),
            policy.context,
            cast("asyncio.Future[Any]", None),  # nobody waits; the annotations want more
            server_side=True,
            ssl_handshake_timeout=cast("int", room.limits.handshake_timeout),
            ssl_shutdown_timeout=cast("int", room.limits.write_timeout),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; it waits for its handshake."""
        self._plain = cast("asyncio.Transport", transport)
        self._room.enter(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone, before or after its handshake."""
        self._room.leave(self)
        super().connection_lost(exc)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come; who speaks HTTP without TLS is told so, once."""
        first, self._spoken = not self._spoken, True
        if first and chr(self.get_buffer(-1)[0]).isupper():
            self._plain.write(_NO_TLS)
            self._plain.close()
            return
        super().buffer_updated(nbytes)

    def evict(self) -> None:
        """Close at once."""
        self._room.leave(self)
        self._plain.abort()


class _Threshold(asyncio.Protocol):
    """Where the handshake is over and HTTP has not begun: who may come in?"""

    def __init__(
        self,
        connection: TlsConnection,
        policy: TlsPolicy,
        room: Room,
        http: Callable[[], LimitedProtocol],
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._room = room
        self._http = http

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done: HTTP takes over, or the connection ends."""
        self._room.leave(self._connection)
        if not self._policy.admits(transport.get_extra_info("peercert")):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        http = self._http()
        transport.set_protocol(http)
        http.connection_made(transport)
