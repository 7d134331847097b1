"""The addresses of the configuration: one text -> one endpoint or proxy; connects to nothing.

As in `values`, every function raises ValueError with a sentence for people, here without
repeating any of an address: it may hold a password.
"""

# Pydantic turns a ValueError into a problem of its key, but lets a TypeError through:
# ruff: noqa: TRY004

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from exporter.config.values import Unquoted, text

SERVER_PATTERN = r"^([wW][vV])?[0-9]{4}$"
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
        written = value.text if isinstance(value, Unquoted) else f"{value:04d}"
        raise ValueError(
            f'write it in quotes, "{written}":'
            " YAML reads a bare number with leading zeros as octal (0013 as 11)"
        )
    name = text(value)
    if not re.fullmatch(SERVER_PATTERN, name):
        hint = "; an address belongs in the key url" if "." in name or "/" in name else ""
        raise ValueError(f'must be the four digits of the server, "0013" or wv0013{hint}')
    return url(f"https://wv{name[-4:]}.wolkvox.com/api/v2/")


def url(value: object) -> Endpoint:
    """Read the base URL of an API: https, or http to a loopback address."""
    address = text(value)
    found = _URL.fullmatch(address)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise ValueError(_why_no_url(address))
    scheme, host = found["scheme"].lower(), found["host"].lower()
    loopback = is_loopback(host)
    if scheme == "http" and not loopback:
        raise ValueError("must be https: plain http is for loopback addresses only")
    if any(part in {".", ".."} for part in found["path"].split("/")):
        raise ValueError("must not hold . or .. as a part of its path")
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
    """Say what keeps an address from being a base URL, without repeating it."""
    if not re.match(r"https?://", address, re.IGNORECASE):
        return (
            "must begin with https:// and name a host, as in https://wv0013.wolkvox.com/api/v2/"
        )
    if "@" in address:
        return "must not hold a user or a password: the token has its own keys"
    if "?" in address or "#" in address:
        return "must end with its path: no ? and no #"
    return "is not a URL such as https://wv0013.wolkvox.com/api/v2/"


def proxy(value: object) -> str:
    """Take the URL of an http or https proxy; it may hold a password and is never shown."""
    address = text(value)
    if address.lower().startswith("socks"):
        raise ValueError("socks proxies are not supported: give an http:// or https:// proxy")
    credentials = r"(?:[0-9a-z._~!$&'()*+,;=%-]*(?::[0-9a-z._~!$&'()*+,;=%:-]*)?@)?"
    bare = re.sub(f"^(https?://){credentials}", r"\1", address, flags=re.I | re.A)
    found = _URL.fullmatch(bare)
    if (
        found is None
        or found["path"].strip("/")
        or int(found["port"] or 1) not in range(1, 65536)
    ):
        raise ValueError(
            "must be the URL of an http or https proxy, such as http://proxy.example:3128"
            " (special characters of a password percent-encoded)"
        )
    return address
