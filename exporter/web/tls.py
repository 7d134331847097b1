"""TLS: contexts from certificates and settings, and the handshake of each connection.

Each connection shakes hands on its own, with a time-out, so that a silent client delays no
other. Certificates come as bytes; no file of the user is read here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import ssl
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.logs import say

if TYPE_CHECKING:
    from exporter.web.server import Limits, Queue

log = logging.getLogger(__name__)

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# Go's names, which the exporter-toolkit's format uses, and OpenSSL's.
CIPHERS = {
    f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for go, openssl in {
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
    }.items()
}
TLS13_SUITES = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)
# Forward-secret and authenticated only. Not left to Python's own list: Debian builds it so
# that OpenSSL decides, which still takes RSA key exchange and CBC.
_DEFAULT_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)
# What may lie encrypted and unsent before the answer waits for its client.
_UNSENT_BYTES = 64 * 1024
_NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 34\r\nconnection: close\r\n\r\nThis port speaks HTTPS, not HTTP.\n"
)


# Contexts ----------------------------------------------------------------------------------


class UnusableTls(Exception):
    """The settings make no server; `part` is `cert`, `key`, `client_ca` or `cipher_suites`."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part


def build_context(
    cert: bytes,
    key: bytes,
    client_ca: bytes | None = None,
    verify: ssl.VerifyMode = ssl.CERT_NONE,
    *,
    minimum: str = "TLS12",
    maximum: str = "TLS13",
    ciphers: Sequence[str] = (),
    curves: Sequence[str] = (),
    server_preference: bool = True,
) -> ssl.SSLContext:
    """A server's context; UnusableTls says which part of the settings is wrong.

    `client_ca` None means the machine's own CAs. Of `curves` Python's ssl takes one, so that
    several are as none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_pair(context, cert, key)
    with warnings.catch_warnings():
        # TLS10 and TLS11 are deprecated, and asked for by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = VERSIONS[maximum]
        context.minimum_version = VERSIONS[minimum]
    _set_ciphers(context, ciphers, lowest=minimum in ("TLS10", "TLS11"))
    if len(curves) == 1:
        context.set_ecdh_curve(curves[0])
    context.verify_mode = verify
    if verify is not ssl.CERT_NONE:
        _load_client_ca(context, client_ca)
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL 3 refuses by itself what a client could ask for again and again at our cost.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not server_preference:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _load_pair(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    if not _CERTIFICATE.search(cert):
        raise UnusableTls("cert", "holds no certificate in PEM form")
    if b"PRIVATE KEY-----" not in key:
        raise UnusableTls("key", "holds no private key in PEM form")
    encrypted = False

    def ask() -> str:  # else OpenSSL would ask on the terminal, and wait
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        with _as_file(cert) as cert_path, _as_file(key) as key_path:
            context.load_cert_chain(cert_path, key_path, ask)
    except (ssl.SSLError, ValueError) as exc:
        if encrypted:
            raise UnusableTls("key", "is encrypted: a server has nobody to ask") from None
        reason = (getattr(exc, "reason", None) or "unknown").lower().replace("_", " ")
        if reason == "key values mismatch":
            raise UnusableTls("key", "does not belong to the certificate") from None
        raise UnusableTls("cert", f"cannot be used with its key ({reason})") from None


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path to these bytes, on no disk, since OpenSSL reads keys by path only."""
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _set_ciphers(context: ssl.SSLContext, ciphers: Sequence[str], *, lowest: bool) -> None:
    names = ":".join(ciphers)
    if lowest:
        # OpenSSL 3 signs handshakes of TLS 1.0 and 1.1 only at its lowest security level.
        names = f"{names or 'DEFAULT'}:@SECLEVEL=0"
    with contextlib.suppress(ssl.SSLError):  # not one of them is known: told below
        context.set_ciphers(names or _DEFAULT_SUITES)
    known = {cipher["name"] for cipher in context.get_ciphers()}
    if missing := [name for name in ciphers if name not in known]:
        raise UnusableTls("cipher_suites", f"this OpenSSL has no {', '.join(missing)}")


def _load_client_ca(context: ssl.SSLContext, client_ca: bytes | None) -> None:
    if client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    found = _CERTIFICATE.findall(client_ca)
    if not found:
        raise UnusableTls("client_ca", "holds no certificate in PEM form")
    try:
        context.load_verify_locations(cadata=b"\n".join(found).decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise UnusableTls("client_ca", "holds a certificate that cannot be read") from None


# Handshakes --------------------------------------------------------------------------------


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


class Handshake(asyncio.Protocol):
    """One connection until its handshake is done: then the protocol of `http` takes over."""

    def __init__(
        self,
        policy: TlsPolicy,
        limits: Limits,
        others: Queue,
        http: Callable[[], asyncio.Protocol],
        failed: Callable[[], None],
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._others = others
        self._http = http
        self._failed = failed
        self._early = b""
        self._reported = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: nothing is read of it but by the handshake."""
        self._transport = transport
        transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())
        self._others.enter(self, self._close)

    def data_received(self, data: bytes) -> None:
        """Keep what comes between the end of the handshake and the beginning of HTTP."""
        self._early += data

    def _close(self) -> None:
        """Give the place to a newer connection, or end with the server."""
        self._task.cancel()
        self._transport.abort()

    async def _shake_hands(self) -> None:
        policy = self._policy
        try:
            transport = await self._encrypted()
        except OSError as error:
            self._report(error)
            return
        finally:
            self._others.pop(self, None)
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

    async def _encrypted(self) -> asyncio.Transport:
        """Shake hands; raises OSError, ssl.SSLError among them."""
        _refuse.set(self._refuse)
        self._policy.context.sslobject_class = _TellingObject
        transport = await asyncio.get_running_loop().start_tls(
            self._transport,
            self,
            self._policy.context,
            server_side=True,
            ssl_handshake_timeout=self._limits.handshake_timeout,
            ssl_shutdown_timeout=self._limits.write_timeout,
        )
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        return transport

    def _refuse(self, error: ssl.SSLError) -> None:
        """Let the client see why, and end the connection soon."""
        if self._reported:
            return
        self._report(error)
        if error.reason == "HTTP_REQUEST":
            self._transport.write(_NO_TLS)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._end)  # behind the alert
        loop.call_later(self._limits.linger, self._transport.abort)

    def _end(self) -> None:
        """Close this side; a client that is gone already leaves nothing to close."""
        with contextlib.suppress(OSError):
            self._transport.write_eof()

    def _report(self, reason: object) -> None:
        """Count and log it, once."""
        if self._reported:
            return
        self._reported = True
        self._failed()
        client = self._transport.get_extra_info("peername") or ("unknown",)
        reason = getattr(reason, "reason", None) or str(reason) or "the client is gone"
        say(log, logging.DEBUG, "TLS handshake failed", client=client[0], reason=reason)
