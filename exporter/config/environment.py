"""Environment variables -> the keys of one operation, as they would stand in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.config.values import Invalid, host_of, is_loopback, server, server_of, url

VARIABLES = {
    "name": "WOLKVOX_SERVER",
    "server": "WOLKVOX_SERVER",
    "url": "WOLKVOX_SERVER",
    "token": "WOLKVOX_TOKEN",
    "token_env": "WOLKVOX_TOKEN",
    "token_file": "WOLKVOX_TOKEN_FILE",
    "skills": "WOLKVOX_SKILLS",
    "timezone": "WOLKVOX_TIMEZONE",
}
"""The variable that each key comes from."""


def in_environment(environ: Mapping[str, str]) -> bool:
    """Return whether environment variables describe an operation, or try to."""
    return any(environ.get(name) for name in set(VARIABLES.values()) - {"WOLKVOX_TIMEZONE"})


def keys_of(environ: Mapping[str, str]) -> dict[str, object]:
    """Write the variables as the mapping that would stand in a file; empty ones are not set."""
    address = environ.get("WOLKVOX_SERVER", "").strip()
    listed = [item.strip() for item in environ.get("WOLKVOX_SKILLS", "").split(",")]
    skills = [_skill(item) for item in listed if item]
    keys: dict[str, object] = {
        "url" if "/" in address else "server": address,
        "token_env": "WOLKVOX_TOKEN" if environ.get("WOLKVOX_TOKEN") else "",
        "token_file": environ.get("WOLKVOX_TOKEN_FILE"),
        "timezone": environ.get("WOLKVOX_TIMEZONE"),
        "skills": "discover" if listed == ["discover"] else skills,
    }
    return {"name": _name_of(address), **{key: value for key, value in keys.items() if value}}


def _name_of(address: str) -> str:
    try:
        base_url = url(address) if "/" in address else server(address)
    except Invalid:
        return "unnamed"  # the address itself is reported as wrong
    name, host = server_of(base_url), host_of(base_url)
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", host if is_loopback(host) or "." in name else name)


def _skill(item: str) -> dict[str, object]:
    """Read `4173=Ventas` or `4173`."""
    number, equals, name = (part.strip() for part in item.partition("="))
    return {"id": number, "name": name} if equals else {"id": number}
