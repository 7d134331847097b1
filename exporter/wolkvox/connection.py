"""How requests travel: TLS, a proxy, one connection at a time, and why none is made."""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
import ssl
from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final
from urllib.request import getproxies

import httpx

from exporter import __version__
from exporter.errors import ConfigError, Problem, Reason, WolkvoxError
from exporter.wolkvox.proxies import environment_proxy
from exporter.wolkvox.text import one_line

log = logging.getLogger(__name__)

ALLOW_LIST_HINT: Final = (
    "Wolkvox drops connections from addresses that are not on its allow list"
)
NAME_HINT: Final = "the name does not resolve: check it, and this machine's DNS"
CERTIFICATE_HINT: Final = (
    "the certificate is not trusted: check the address; a private CA belongs in ca_file"
)
TLS_HINT: Final = "TLS could not be established: check the address and what stands in between"
PROXY_HINT: Final = "the proxy refuses the connection"
# Wolkvox closes idle connections after 5 s: reusing one at that moment loses an attempt.
KEEPALIVE_EXPIRY: Final = 4.0
_HEADERS: Final = {
    "User-Agent": f"wolkvox-exporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}
# A session of PHP would let one request wait for another.
_NO_COOKIES = CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def connector(
    base_url: str,
    *,
    ca_file: Path | None,
    proxy: str | None,
    trust_env: bool,
    transport: httpx.AsyncBaseTransport | None,
) -> Callable[[], httpx.AsyncClient]:
    """Return what makes a client for an API, each with one connection.

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
        httpx.AsyncClient,
        base_url=url,
        headers=_HEADERS,
        cookies=_NO_COOKIES,
        verify=tls,
        proxy=_usable(address, whose, tls) if address else None,
        trust_env=False,
        transport=transport,
        timeout=None,  # a deadline for the whole request stands around it
        limits=httpx.Limits(
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=KEEPALIVE_EXPIRY,
        ),
        event_hooks={"response": [_refuse_redirect]},
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


async def _refuse_redirect(response: httpx.Response) -> None:
    """Stops before httpx reads where a redirect leads to: the token would travel there."""
    if response.is_redirect:
        where = one_line(response.headers.get("location", "nowhere"), 100)
        text = f"HTTP {response.status_code} to {where}: redirects are not followed"
        raise WolkvoxError(Reason.REDIRECT, text)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A verifying context with the default authorities and those of `ca_file`.

    Shared by all clients with the same file, as long as the file stays the same: a context
    takes about 20 ms and 1 MB. Raises ConfigError where it cannot be loaded.
    """
    try:
        if ca_file is None:
            return _load_tls_context(None, 0, 0)
        stat = ca_file.stat()
        return _load_tls_context(ca_file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        name = str(ca_file) if ca_file else "the default trust store (see SSL_CERT_FILE)"
        reason = f"{name} cannot be loaded: {error.strerror or error}"
        raise ConfigError([Problem("ca_file", reason)]) from None


@functools.lru_cache(maxsize=32)
def _load_tls_context(ca_file: Path | None, _mtime: int, _size: int) -> ssl.SSLContext:
    context = _default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
        # Python 3.13 refuses authorities that lack what RFC 5280 asks for. Most private ones
        # do; the chain and the name are verified all the same.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _default_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        unwritable = os.environ.get("SSLKEYLOGFILE")
        if unwritable is None or error.filename != unwritable:
            raise
    log.warning("the file of SSLKEYLOGFILE cannot be written: TLS keys are not logged")
    del os.environ["SSLKEYLOGFILE"]
    return httpx.create_ssl_context()


def hint(cause: BaseException) -> str:
    """Say what to look at where a connection was never made, "" where it is plain."""
    match cause:
        case socket.gaierror() | UnicodeError():
            return NAME_HINT
        case ssl.SSLCertVerificationError():
            return CERTIFICATE_HINT
        case ssl.SSLError() if not isinstance(cause, ssl.SSLEOFError):
            return TLS_HINT
        case httpx.ProxyError():
            return PROXY_HINT
        case OSError(errno=errno.EAGAIN | errno.EMFILE | errno.ENFILE):
            return ""  # this machine lacks a thread or a descriptor
        case _:
            return ALLOW_LIST_HINT
