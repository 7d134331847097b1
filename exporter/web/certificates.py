"""Who may read it: PEM bytes and TLS settings -> an SSL context; reads no file of its own."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# Go's names, which the exporter-toolkit's format uses, and OpenSSL's.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
# Forward-secret and authenticated only. Not left to Python's own list: Debian builds it so
# that OpenSSL decides, which still takes RSA key exchange and CBC.
DEFAULT_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
TLS13_SUITES = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)


class UnusableTls(Exception):
    """The settings make no server; `part` is `cert`, `key`, `client_ca` or `cipher_suites`."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Everything that makes a context; `client_ca` None means the machine's own CAs."""

    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    verify: ssl.VerifyMode = ssl.CERT_NONE
    minimum: str = "TLS12"
    maximum: str = "TLS13"
    ciphers: tuple[str, ...] = ()
    curve: str | None = None
    server_preference: bool = True


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """A server's context; UnusableTls says which part of the settings is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_pair(context, settings.cert, settings.key)
    _set_versions(context, settings)
    _set_ciphers(context, settings)
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)
    context.verify_mode = settings.verify
    if settings.verify is not ssl.CERT_NONE:
        _load_client_ca(context, settings.client_ca)
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL 3 refuses by itself what a client could ask for again and again at our cost.
    context.options |= ssl.OP_NO_RENEGOTIATION
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
    """A path to these bytes, since OpenSSL reads keys by path only; on Linux not on a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _set_versions(context: ssl.SSLContext, settings: TlsSettings) -> None:
    with warnings.catch_warnings():
        # TLS10 and TLS11 are deprecated, and asked for by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = VERSIONS[settings.maximum]
        context.minimum_version = VERSIONS[settings.minimum]


def _set_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    names = ":".join(settings.ciphers)
    if settings.minimum in ("TLS10", "TLS11"):
        # OpenSSL 3 signs their handshakes only at its lowest security level.
        names = f"{names or 'DEFAULT'}:@SECLEVEL=0"
    with contextlib.suppress(ssl.SSLError):  # not one of them is known: told below
        context.set_ciphers(names or DEFAULT_SUITES)
    known = {cipher["name"] for cipher in context.get_ciphers()}
    missing = [name for name in settings.ciphers if name not in known]
    if missing:
        raise UnusableTls("cipher_suites", f"this OpenSSL has no {', '.join(missing)}")
    if settings.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


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
