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
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.logs import say

if TYPE_CHECKING:
    from exporter.web.access_config import TlsForm
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
TLS13_SUITES = frozenset(
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
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
POLICIES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CERTIFICATE, _KEY = (
    re.compile(rb"-----BEGIN (%b)-----.*?-----END \1-----" % kind, re.DOTALL)
    for kind in (rb"CERTIFICATE", rb"(?:[A-Z]+ )?PRIVATE KEY")
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


def build_context(form: TlsForm, cert: bytes, key: bytes, client_ca: bytes) -> ssl.SSLContext:
    """A server's context; UnusableTls says which part of the settings is wrong.

    No `client_ca` means the machine's own CAs. Python takes one curve: several are as none.
    """
    context, verify = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), POLICIES[form.client_auth_type]
    _load_pair(context, cert, key)
    with warnings.catch_warnings():
        # TLS10 and TLS11 are deprecated, and asked for by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = VERSIONS[form.max_version]
        context.minimum_version = VERSIONS[form.oldest]
    ciphers = [CIPHERS[name] for name in form.cipher_suites if name in CIPHERS]
    names = ":".join(ciphers)
    if form.oldest in ("TLS10", "TLS11"):
        # OpenSSL 3 signs handshakes of TLS 1.0 and 1.1 only at its lowest security level.
        names = f"{names or 'DEFAULT'}:@SECLEVEL=0"
    with contextlib.suppress(ssl.SSLError):  # not one of them is known: told below
        context.set_ciphers(names or _DEFAULT_SUITES)
    known = {cipher["name"] for cipher in context.get_ciphers()}
    if missing := [name for name in ciphers if name not in known]:
        raise UnusableTls("cipher_suites", f"this OpenSSL has no {', '.join(missing)}")
    if len(form.curve_preferences) == 1:
        context.set_ecdh_curve(CURVES[form.curve_preferences[0]])
    context.verify_mode = verify
    if client_ca:
        _load_client_ca(context, client_ca)
    elif verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL 3 refuses by itself what a client could ask for again and again at our cost.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not form.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _load_pair(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    certificates = [found[0] for found in _CERTIFICATE.finditer(cert)]
    private = _KEY.search(key)
    if not certificates:
        raise UnusableTls("cert", "holds no certificate in PEM form")
    if private is None:
        raise UnusableTls("key", "holds no private key in PEM form")
    if b"ENCRYPTED" in private[0]:
        raise UnusableTls("key", "is encrypted: a server has nobody to ask")
    # OpenSSL reads keys by path only: a file on no disk.
    with open(os.memfd_create("pem"), "wb", buffering=0) as file:
        file.write(b"\n".join((*certificates, private[0])))
        try:
            # Without a password OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
        except (ssl.SSLError, ValueError) as exc:
            reason = (getattr(exc, "reason", None) or "unknown").lower().replace("_", " ")
            if reason == "key values mismatch":
                raise UnusableTls("key", "does not belong to the certificate") from None
            raise UnusableTls("cert", f"cannot be used with its key ({reason})") from None


def _load_client_ca(context: ssl.SSLContext, client_ca: bytes) -> None:
    found = [match[0] for match in _CERTIFICATE.finditer(client_ca)]
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
        names = (certificate or {}).get("subjectAltName", ())
        held = {_comparable(value) for _, value in names}
        return not self.allowed_sans or not held.isdisjoint(map(_comparable, self.allowed_sans))


def _comparable(name: object) -> object:
    """An IP address as such, since it has many spellings; any other name as it is."""
    try:
        address = ipaddress.ip_address(str(name))
    except ValueError:
        return name
    return getattr(address, "ipv4_mapped", None) or address


# asyncio goes on with a handshake in the context in which `start_tls` was called.
_current: ContextVar[Handshake] = ContextVar("handshake")


class _TellingObject(ssl.SSLObject):
    """TLS that reports a refused handshake and still sends the alert that says why.

    asyncio closes at once at an error, with OpenSSL's alert unsent; where more is to be read
    it sends first.
    """

    _handshake: Handshake | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake: once to begin it, then for each piece of the client's."""
        handshake = self._handshake = self._handshake or _current.get()
        try:
            handshake.steps += 1
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            handshake.refuse(error)
            raise ssl.SSLWantReadError from error


@dataclass(eq=False)
class Handshake(asyncio.Protocol):
    """One connection until its handshake is done: then the protocol of `http` takes over.

    `failed` is called where it comes to nothing, but for a client that goes without a word:
    so a load balancer looks whether the port is open.
    """

    policy: TlsPolicy
    limits: Limits
    others: Queue
    http: Callable[[], asyncio.Protocol]
    failed: Callable[[], None]
    steps: int = 0
    _early: bytes = b""
    _reported: bool = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: nothing is read of it but by the handshake."""
        self._transport = transport
        transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())
        self.others.enter(self, self._close)

    def data_received(self, data: bytes) -> None:
        """Keep what comes between the end of the handshake and the beginning of HTTP."""
        self._early += data

    def _close(self) -> None:
        """Give the place to a newer connection, or end with the server."""
        self._task.cancel()
        self._transport.abort()

    async def _shake_hands(self) -> None:
        _current.set(self)
        self.policy.context.sslobject_class = _TellingObject
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self.policy.context,
                server_side=True,
                ssl_handshake_timeout=self.limits.handshake_timeout,
                ssl_shutdown_timeout=self.limits.write_timeout,
            )
        except OSError as error:
            # The end of a client that said nothing; a silence that lasts is another error.
            if self.steps > 1 or isinstance(error, ConnectionAbortedError):
                self._report(error)
            return
        finally:
            self.others.pop(self, None)
        if transport is None or transport.is_closing():
            return self._report("the client is gone")
        if not self.policy.admits(transport.get_extra_info("peercert")):
            transport.abort()
            return self._report("the certificate holds none of client_allowed_sans")
        transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        http = self.http()
        transport.set_protocol(http)
        http.connection_made(transport)
        if self._early:
            http.data_received(self._early)

    def refuse(self, error: ssl.SSLError) -> None:
        """Let the client see why, and end the connection soon."""
        if self._reported:
            return
        self._report(error)
        if error.reason == "HTTP_REQUEST":
            self._transport.write(_NO_TLS)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._end)  # behind the alert
        loop.call_later(self.limits.linger, self._transport.abort)

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # a client that is gone leaves nothing to close
            self._transport.write_eof()

    def _report(self, reason: object) -> None:
        """Count and log it, once."""
        if self._reported:
            return
        self._reported = True
        self.failed()
        client, *_ = self._transport.get_extra_info("peername") or ("unknown",)
        reason = getattr(reason, "reason", None) or str(reason) or "the client is gone"
        say(log, logging.DEBUG, "TLS handshake failed", client=client, reason=reason)
