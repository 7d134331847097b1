"""The addresses of the configuration: one text -> one endpoint or proxy; connects to nothing.

As in `values`, every function raises `Invalid`, here without repeating any of an address: it
may hold a password.
"""

# Pydantic turns a ValueError into a problem of its key, but lets a TypeError through:

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from exporter.config.invalid import Invalid, Unquoted
from exporter.config.values import text

SERVER_PATTERN = r"^([wW][vV])?[0-9]{4}$"
URL_PATTERN = "^[hH][tT][tT][pP][sS]?://"
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z](?:[0-9a-z.-]*[0-9a-z])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[0-9a-z._~-]*)*)",
    re.ASCII | re.IGNORECASE,
)
_WOLKVOX_HOST = re.compile(r"(wv[0-9]{4})\.wolkvox\.com", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an operation's API answers, and how people see it."""

    base_url: str
    server: str
    host: str
    loopback: bool


def server(value: object) -> Endpoint:
    """Read `0013` or `wv0013` as the address of Wolkvox's own server."""
    if isinstance(value, (int, Unquoted)) and not isinstance(value, bool):
        written = value if isinstance(value, Unquoted) else f"{value:04d}"
        raise Invalid("server_number", written=written)
    name = text(value)
    if not re.fullmatch(SERVER_PATTERN, name):
        raise Invalid("server_address" if "." in name or "/" in name else "server")
    return url(f"https://wv{name[-4:]}.wolkvox.com/api/v2/")


def url(value: object) -> Endpoint:
    """Read the base URL of an API: https, or http to a loopback address."""
    address = text(value)
    found = _URL.fullmatch(address)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise Invalid(_why_no_url(address))
    scheme, host = found["scheme"].lower(), found["host"].lower()
    loopback = is_loopback(host)
    if scheme == "http" and not loopback:
        raise Invalid("url_http")
    if any(part in {".", ".."} for part in found["path"].split("/")):
        raise Invalid("url_dots")
    default_port = "443" if scheme == "https" else "80"
    port = "" if found["port"] in {None, default_port} else f":{int(found['port'])}"
    path = found["path"].rstrip("/") + "/"
    own = _WOLKVOX_HOST.fullmatch(host)
    return Endpoint(
        base_url=f"{scheme}://{host}{port}{path}",
        server=own[1] if own and not port else f"{host}{port}",
        host=host.strip("[]"),
        loopback=loopback,
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host can only be this machine: 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_loopback
    return address == ipaddress.IPv6Address("::1")


def _why_no_url(address: str) -> str:
    """Name the message about what keeps an address from being a base URL."""
    if not re.match(r"https?://", address, re.IGNORECASE):
        return "url_scheme"
    if "@" in address:
        return "url_user"
    return "url_query" if "?" in address or "#" in address else "url"


def proxy(value: object) -> str:
    """Take the URL of an http or https proxy; it may hold a password and is never shown."""
    address = text(value)
    if address.lower().startswith("socks"):
        raise Invalid("proxy_socks")
    credentials = r"(?:[0-9a-z._~!$&'()*+,;=%-]*(?::[0-9a-z._~!$&'()*+,;=%:-]*)?@)?"
    bare = re.sub(f"^(https?://){credentials}", r"\1", address, flags=re.I | re.A)
    found = _URL.fullmatch(bare)
    if (
        found is None
        or found["path"].strip("/")
        or int(found["port"] or 1) not in range(1, 65536)
    ):
        raise Invalid("proxy")
    return address
