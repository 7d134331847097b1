"""Who may read it: the TLS handshake of one connection, before any HTTP.

Each connection shakes hands on its own, with a time-out, so that a silent client delays
nobody. The context comes from the web configuration; nothing is read from files here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.web.protocol import Evictable, LimitedProtocol, Room

# For the client's farewell; who does not say it has nothing to gain.
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """How to shake hands, and with whom: no allowed names means any name."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str] = frozenset()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether the client's certificate, as Python decodes it, holds an allowed name."""
        if not self.allowed_sans:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return any(value in self.allowed_sans for _, value in names)


class TlsGreeter(Evictable):
    """Holds a new connection until its handshake is over, then hands it to HTTP."""

    def __init__(
        self,
        policy: TlsPolicy,
        room: Room,
        http: Callable[[], LimitedProtocol],
    ) -> None:
        self._policy = policy
        self._room = room
        self._http = http
        self._plain: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; not a byte of it is read before the handshake listens."""
        transport.pause_reading()
        self._plain = transport
        self._room.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._shake(transport))

    def data_received(self, data: bytes) -> None:
        """What came with the end of the handshake, before HTTP was there to hear it."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left between the handshake and its hand-over."""
        self._lost = True

    def evict(self) -> None:
        """Close at once."""
        self._room.leave(self)
        if self._plain is not None:
            self._plain.abort()

    async def _shake(self, plain: asyncio.Transport) -> None:
        secure = await self._handshake(plain)
        self._room.leave(self)
        if secure is None or self._lost or secure.is_closing():
            return
        if not self._policy.admits(secure.get_extra_info("peercert")):
            secure.abort()
            return
        http = self._http()
        secure.set_protocol(http)
        http.connection_made(secure)
        if self._early:
            http.data_received(self._early)

    async def _handshake(self, plain: asyncio.Transport) -> asyncio.Transport | None:
        """None where the client does not come to terms; TLS has told it why."""
        try:
            return await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self._policy.context,
                server_side=True,
                ssl_handshake_timeout=self._room.limits.handshake_timeout,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError:  # SSLError, a reset, the time-out (ConnectionAbortedError)
            plain.abort()
            return None
