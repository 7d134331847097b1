"""Which proxy the environment means for a URL; connects to nothing.

HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name it, NO_PROXY the hosts that are reached without.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import httpx

from exporter.logs import say
from exporter.wolkvox.text import one_line

log = logging.getLogger(__name__)
_PORTS = {"https": 443, "http": 80}
# A name or an address, a port perhaps; `.example.com` and `*.example.com` mean the domain.
_ENTRY = re.compile(
    r"(?:https?://)?\*?\.?(?P<host>\*|\[[0-9a-f:.]+\]|[\w-][\w.-]*)(?::(?P<port>\d{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)


def environment_proxy(url: httpx.URL, proxies: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable and the proxy in it that a URL takes, or None where it takes none.

    `proxies` are those of `urllib.request.getproxies`: by scheme, and `no`. Of the variables
    only the one that counts is looked at. A loopback address never takes a proxy.
    """
    scheme = next((one for one in (url.scheme, "all") if proxies.get(one)), None)
    if scheme is None or _is_loopback(url.host):
        return None
    if any(entry.matches(url) for entry in _no_proxy(proxies.get("no", ""))):
        return None
    address = proxies[scheme]
    return f"{scheme.upper()}_PROXY", address if "://" in address else f"http://{address}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of NO_PROXY: a network, or a name with the names below it."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    name: str = ""
    port: int | None = None

    def matches(self, url: httpx.URL) -> bool:
        """Tell whether the URL's host is reached without a proxy."""
        if self.network is not None:
            try:
                return ipaddress.ip_address(url.host) in self.network
            except ValueError:
                return False
        if self.port not in (None, url.port or _PORTS.get(url.scheme)):
            return False
        return self.name == "*" or f".{url.host}".endswith(f".{self.name}")


@lru_cache(maxsize=8)
def _no_proxy(text: str) -> tuple[_Entry, ...]:
    """The entries that can be read; the others are logged, once for each text."""
    words = text.replace(",", " ").split()
    entries = {word: _read(word) for word in words}
    if unread := [word for word, entry in entries.items() if entry is None]:
        message = "NO_PROXY holds what is no host, address or network: it is left out"
        say(log, logging.WARNING, message, entries=one_line(", ".join(unread), 200))
    return tuple(entry for entry in entries.values() if entry is not None)


def _read(word: str) -> _Entry | None:
    try:
        return _Entry(ipaddress.ip_network(word.strip("[]"), strict=False))
    except ValueError:
        found = _ENTRY.fullmatch(word)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    return _Entry(None, found["host"].strip("[]").rstrip(".").lower(), port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
