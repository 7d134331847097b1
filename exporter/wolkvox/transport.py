"""How requests and answers travel: TLS, proxies, one connection at a time, compression."""

from __future__ import annotations

import errno
import functools
import ipaddress
import logging
import os
import re
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.request import getproxies

import httpx

from exporter import __version__
from exporter.errors import ConfigError, Problem, Reason, WolkvoxError
from exporter.logs import say
from exporter.wolkvox.text import one_line

log = logging.getLogger(__name__)

# Wolkvox closes idle connections after 5 s: reusing one at that moment loses an attempt.
KEEPALIVE_EXPIRY: Final = 4.0
HEADERS: Final = {
    "User-Agent": f"wolkvox-exporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}


def connector(
    base_url: str, *, ca_file: Path | None, proxy: str | None, trust_env: bool
) -> Callable[[], httpx.AsyncBaseTransport]:
    """Return what makes a transport to an API, each with one connection.

    A transport and no `httpx.AsyncClient`: it follows no redirect, keeps no cookie (a session
    of PHP would let one request wait for another), and costs half a millisecond less a request.

    `proxy` beats the environment, which is read only with `trust_env`. Raises ConfigError
    where the URL, the CA file or the proxy cannot be used.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ConfigError([Problem("url", "is not a URL")]) from None
    tls = tls_context(ca_file)
    whose, address = "the proxy", proxy
    if proxy is None and trust_env and (found := environment_proxy(url, getproxies())):
        whose, address = f"a proxy of the environment ({found[0]})", found[1]
    return functools.partial(
        httpx.AsyncHTTPTransport,
        verify=tls,
        proxy=_usable(address, whose, tls) if address else None,
        limits=httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY
        ),
    )


def _usable(address: str, whose: str, tls: ssl.SSLContext) -> httpx.Proxy:
    """The proxy; its URL is not repeated in an error, since it may hold a password."""
    try:
        proxy = httpx.Proxy(address)
        if proxy.url.scheme == "https":
            proxy = httpx.Proxy(address, ssl_context=tls)
        httpx.AsyncHTTPTransport(verify=tls, proxy=proxy)  # may lack socksio
        if proxy.url.host:
            return proxy
        reason = f"{whose} names no host"
    except ImportError:
        reason = f"{whose} speaks SOCKS, which needs the package socksio"
    except (ValueError, httpx.InvalidURL):
        reason = f"{whose} has no usable URL (http://host:port or https://host:port)"
    raise ConfigError([Problem("proxy", reason)])


def refuse_redirect(response: httpx.Response) -> None:
    """Raise WolkvoxError for a redirect: the token would travel to where it leads."""
    if response.is_redirect:
        place = one_line(response.headers.get("location", ""), 100)
        where = f"to {place}" if place else "without an address"
        text = f"HTTP {response.status_code} {where}: redirects are not followed"
        raise WolkvoxError(Reason.REDIRECT, text)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A verifying context with the default authorities and those of `ca_file`.

    Shared by all clients with the same file, as long as the file stays the same: a context
    takes about 20 ms and 1 MB. Raises ConfigError where it cannot be loaded.
    """
    try:
        return _load_tls_context(ca_file, ca_file.stat().st_mtime_ns if ca_file else 0)
    except OSError as error:
        name = str(ca_file) if ca_file else "the default trust store (see SSL_CERT_FILE)"
        reason = f"{name} cannot be loaded: {error.strerror or error}"
        raise ConfigError([Problem("ca_file", reason)]) from None


@functools.lru_cache(maxsize=32)
def _load_tls_context(ca_file: Path | None, _mtime: int) -> ssl.SSLContext:
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        if error.filename != os.environ.get("SSLKEYLOGFILE", ""):
            raise
        log.warning("the file of SSLKEYLOGFILE cannot be written: TLS keys are not logged")
        del os.environ["SSLKEYLOGFILE"]
        context = httpx.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
        # Python 3.13 refuses authorities that lack what RFC 5280 asks for. Most private ones
        # do; the chain and the name are verified all the same.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def kind_of(cause: BaseException) -> str:
    """The kind of a failure for which a connection was never made: what to look at."""
    match cause:
        case socket.gaierror() | UnicodeError():
            return "server"
        case ssl.SSLError() if not isinstance(cause, ssl.SSLEOFError):
            return "tls"
        case httpx.ProxyError():
            return "proxy"
        case OSError(errno=errno.EAGAIN | errno.EMFILE | errno.ENFILE):
            return "machine"  # lacks a thread or a descriptor
        case _:
            return "connect"


# Proxies of the environment ----------------------------------------------------------------

_PORTS = {"https": 443, "http": 80}
# A name or an address, a port perhaps; `.example.com` and `*.example.com` mean the domain.
_ENTRY = re.compile(
    r"(?:https?://)?\*?\.?(?P<host>\*|\[[0-9a-f:.]+\]|[\w-][\w.-]*)(?::(?P<port>\d{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)


def environment_proxy(url: httpx.URL, proxies: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable and the proxy in it that a URL takes, or None; see `getproxies`."""
    scheme = next((one for one in (url.scheme, "all") if proxies.get(one)), None)
    if scheme is None:
        return None
    entries = proxies.get("no", "").replace(",", " ").split()
    named = {entry: _names(entry, url) for entry in entries}
    if unread := [entry for entry, found in named.items() if found is None]:
        _warn(", ".join(unread))
    if any(named.values()):
        return None
    address = proxies[scheme]
    return f"{scheme.upper()}_PROXY", address if "://" in address else f"http://{address}"


@functools.lru_cache(maxsize=8)  # once for all operations
def _warn(unread: str) -> None:
    message = "NO_PROXY holds what is no host, address or network: it is left out"
    say(log, logging.WARNING, message, entries=one_line(unread, 200))


def _names(entry: str, url: httpx.URL) -> bool | None:
    """Whether an entry of NO_PROXY names the host; None for one that names nothing."""
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        if (found := _ENTRY.fullmatch(entry)) is None:
            return None
        port = int(found["port"] or 0)
        name = found["host"].strip("[]").rstrip(".").lower()
        same_host = name == "*" or f".{url.host}".endswith(f".{name}")
        return same_host and port in (0, url.port or _PORTS[url.scheme])
    try:
        return ipaddress.ip_address(url.host) in network
    except ValueError:
        return False


# Bodies ------------------------------------------------------------------------------------

# httpx would decompress a chunk in one go: 64 KiB of gzip become 64 MiB of memory before
# anything can object.
MAX_BODY: Final = 8 * 1024 * 1024
_STEP = 1024 * 1024
# Empty members cost time and yield nothing; real servers send one.
_MAX_MEMBERS = 16
_GZIP_MAGIC = b"\x1f\x8b"


def decode(raw: bytes, encoding: str | None, *, limit: int = MAX_BODY) -> bytes:
    """Undo the Content-Encoding of a body.

    What is neither gzip nor deflate is ignored: servers write `UTF-8`, `none` or `binary`
    there. Raises WolkvoxError: `too_large` for more than `limit` bytes before or after,
    `malformed` for what is broken or cut short.
    """
    if len(raw) > limit:
        raise too_large(limit)
    named = [name.strip().lower().removeprefix("x-") for name in (encoding or "").split(",")]
    known = [name for name in named if name in ("gzip", "deflate")]
    if not known and raw.startswith(_GZIP_MAGIC):
        known = ["gzip"]  # no JSON begins like that
    if not known or not raw:
        return raw
    if len(known) > 1:
        raise _malformed("compressed more than once")
    return _inflate(raw, known[0], limit)


def too_large(limit: int) -> WolkvoxError:
    """The failure of a body that exceeds the cap."""
    return WolkvoxError(Reason.TOO_LARGE, f"more than {limit} bytes")


def _inflate(raw: bytes, name: str, limit: int) -> bytes:
    body, rest = bytearray(), raw
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(_window_bits(name, rest))
        piece = b" "
        while not inflater.eof and (rest or piece):
            try:
                piece = inflater.decompress(rest, _STEP)
            except zlib.error:
                raise _malformed(f"broken {name}") from None
            body += piece
            if len(body) > limit:
                raise too_large(limit)
            rest = inflater.unconsumed_tail
        if not inflater.eof:
            raise _malformed(f"{name} that ends too early")
        rest = inflater.unused_data.lstrip(b"\0")  # a member may be padded
        if not rest:
            return bytes(body)
        if name == "deflate":
            break
    raise _malformed(f"data after the end of the {name}")


def _window_bits(name: str, data: bytes) -> int:
    """How zlib is told the format; RFC 9110 means zlib by "deflate", some send it bare."""
    if name == "gzip":
        return 31
    return 15 if data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0 else -15


def _malformed(detail: str) -> WolkvoxError:
    return WolkvoxError(Reason.MALFORMED, detail)
