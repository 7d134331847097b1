"""Who may read it: the TLS handshake of one connection, before any HTTP.

Each connection shakes hands on its own, with a time-out, so that a silent client delays
nobody. The context comes from the web configuration; nothing is read from files here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from exporter.logs import say
from exporter.web.protocol import Evictable, LimitedProtocol, Room

log = logging.getLogger(__name__)

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


_refuse: ContextVar[Callable[[ssl.SSLError], None]] = ContextVar("refuse")


class _TellingObject(ssl.SSLObject):
    """TLS that reports a refused handshake and still sends the alert that says why.

    asyncio closes at once at an error, with OpenSSL's alert unsent; where more is to be read
    it sends first. It calls this in the context in which `start_tls` was called.
    """

    _report: Callable[[ssl.SSLError], None] | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        self._report = self._report or _refuse.get()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._report(error)
            raise ssl.SSLWantReadError from error


class Handshake(asyncio.Protocol, Evictable):
    """One connection until its handshake is done: then HTTP takes over."""

    def __init__(
        self,
        policy: TlsPolicy,
        room: Room,
        http: Callable[[], LimitedProtocol],
        failed: Callable[[], None],
    ) -> None:
        self._policy = policy
        self._room = room
        self._http = http
        self._failed = failed
        self._early = b""
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: nothing is read of it but by the handshake."""
        self._transport = transport
        transport.pause_reading()
        self._room.begin_handshake(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        """Keep what comes between the end of the handshake and the beginning of HTTP."""
        self._early += data

    def evict(self) -> None:
        """Close at once."""
        self._room.leave(self)
        self._refused = True
        self._task.cancel()
        self._transport.abort()

    async def _shake_hands(self) -> None:
        _refuse.set(self._refuse)
        limits, policy = self._room.limits, self._policy
        policy.context.sslobject_class = _TellingObject
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                policy.context,
                server_side=True,
                ssl_handshake_timeout=limits.handshake_timeout,
                ssl_shutdown_timeout=limits.write_timeout,
            )
        except OSError as error:
            self._report(error)
            return
        finally:
            self._room.leave(self)
        if transport is None or transport.is_closing():
            return
        if not policy.admits(transport.get_extra_info("peercert")):
            self._report("the certificate holds none of client_allowed_sans")
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        http = self._http()
        transport.set_protocol(http)
        http.connection_made(transport)
        if self._early:
            http.data_received(self._early)

    def _refuse(self, error: ssl.SSLError) -> None:
        """Let the client see why, and end the connection soon."""
        if self._refused:
            return
        self._report(error)
        if error.reason == "HTTP_REQUEST":
            self._transport.write(_NO_TLS)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._transport.write_eof)  # behind the alert
        loop.call_later(self._room.limits.linger, self._transport.abort)

    def _report(self, reason: object) -> None:
        """Count and log it, once."""
        if self._refused:
            return
        self._refused = True
        self._failed()
        client = self._transport.get_extra_info("peername") or ("unknown",)
        reason = getattr(reason, "reason", None) or reason
        say(log, logging.DEBUG, "TLS handshake failed", client=client[0], reason=reason)
