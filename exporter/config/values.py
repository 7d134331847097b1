"""The values of the configuration: one YAML value in, one checked value out, else `Invalid`.

No message repeats any of an address: it may hold a password.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import zoneinfo
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from exporter.config.invalid import Invalid, Unquoted, kind, nearest

DURATION_PATTERN = (
    r"^(?=[0-9])([0-9]{1,9}y)?([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?"
    r"([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"
)
NAME_PATTERN = r"^[a-zA-Z0-9_.-]{1,128}$"
PERCENT_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,6})? ?%$"
LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
VARIABLE_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
SERVER_PATTERN = r"^([wW][vV])?[0-9]{4}$"
URL_PATTERN = "^[hH][tT][tT][pP][sS]?://"
SKILL_ID_PATTERN = r"^([0-9]{1,18}|all)$"
ALL_SKILLS = "all"
TAKEN_LABELS = frozenset({"operation", "server", "timezone", "job", "instance"})

_UNIT_MILLISECONDS = dict(
    y=31_536_000_000, w=604_800_000, d=86_400_000, h=3_600_000, m=60_000, s=1_000, ms=1
)
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+)(ms|[ywdhms])", re.ASCII)
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z](?:[0-9a-z.-]*[0-9a-z])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[0-9a-z._~-]*)*)",
    re.ASCII | re.IGNORECASE,
)
_WOLKVOX_HOST = re.compile(r"(wv[0-9]{4})\.wolkvox\.com", re.ASCII)
_OFFSET = re.compile(
    r"(?:(?:utc|gmt|etc/gmt|etc/utc)\s*)?[-+]\s*[0-9]{1,2}(?::?[0-9]{2})?", re.I
)


def given(value: object) -> object:
    """Refuse a key without a value."""
    if value is None:
        raise Invalid("empty")
    return value


def text(value: object) -> str:
    """Take printable text of at most 1,000 characters."""
    if not isinstance(value, str):
        raise Invalid(
            "text_number" if kind(value) in {"number", "float"} else "text", kind=kind(value)
        )
    if not value.strip():
        raise Invalid("text_empty")
    if len(value) > 1000:
        raise Invalid("text_long", limit="1,000")
    if not value.isprintable():
        raise Invalid("text_control")
    return str(value)


def duration(value: object) -> float:
    """Read a Prometheus duration (`300s`, `5m`, `1h30m`) as seconds."""
    if kind(value) in {"number", "float"}:
        raise Invalid("duration_unit", number=value)
    if not isinstance(value, str):
        raise Invalid("duration_kind", kind=kind(value))
    if not _DURATION.fullmatch(value):
        raise Invalid("duration", quoted=value)
    parts = _DURATION_PART.findall(value)
    return sum(int(count) * _UNIT_MILLISECONDS[unit] for count, unit in parts) / 1000


def format_duration(seconds: float) -> str:
    """Write seconds as the shortest duration of hours, minutes, seconds, milliseconds."""
    rest = round(seconds * 1000)
    written = ""
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNIT_MILLISECONDS[unit])
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def percent(value: object) -> float:
    """Read `80%` or `99.5 %` as a ratio, 0.8 or 0.995."""
    if kind(value) in {"number", "float"}:
        raise Invalid("percent_sign")
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})? ?%", value):
        raise Invalid("percent")
    ratio = Decimal(value.rstrip("% ")) / 100
    if not 0 <= ratio <= 1:
        raise Invalid("percent_range", quoted=value)
    return float(ratio)


def format_percent(ratio: float) -> str:
    """Write a ratio as a percentage."""
    return f"{100 * ratio:.6f}".rstrip("0").rstrip(".") + "%"


def threshold(value: object) -> int:
    """Read the threshold of a service level: the API knows 10, 20 and 30 seconds."""
    seconds = duration(value)
    if seconds not in {10, 20, 30}:
        raise Invalid("threshold")
    return int(seconds)


def variable(value: object) -> str:
    """Take the name of an environment variable; a token pasted there is not repeated."""
    name = text(value)
    if not re.fullmatch(VARIABLE_PATTERN, name):
        raise Invalid("variable")
    return name


def operation_name(value: object) -> str:
    """Take a name for the label `operation`."""
    name = text(value)
    if not re.fullmatch(NAME_PATTERN, name):
        raise Invalid("name", quoted=name)
    return name


def skill_id(value: object) -> str:
    """Take a skill's number, quoted or not, or `all`; 4173 and "4173" are the same skill."""
    if isinstance(value, Unquoted):
        raise Invalid("skill_id_zeros")
    if type(value) is int and value >= 0:
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(SKILL_ID_PATTERN, value):
        raise Invalid("skill_id")
    return value


def skill_key(skill: str) -> str:
    """Return what makes two ids the same skill: leading zeros do not count."""
    return skill.lstrip("0") or "0"


def skill_name(value: object) -> str:
    """Take a skill's name for people, or a channel."""
    name = text(value)
    if len(name) > 128:
        raise Invalid("text_long", limit=128)
    return name


def label_name(value: object) -> str:
    """Take a Prometheus label name that no label of the exporter's own uses."""
    name = text(value)
    if name in TAKEN_LABELS:
        raise Invalid("label_taken", label=name)
    if not re.fullmatch(LABEL_PATTERN, name) or name.startswith("__"):
        raise Invalid("label_name")
    return name


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def timezone(value: object) -> ZoneInfo:
    """Take an IANA time zone name, such as America/Bogota.

    An offset names no place, so that the advice cannot know its changes of the clock; `Etc`
    counts the other way round and is never advised.
    """
    name = text(value)
    if name in _zones():
        return ZoneInfo(name)
    if _OFFSET.fullmatch(name.strip()):
        raise Invalid("timezone_offset", quoted=name)
    places = sorted(zone for zone in _zones() if "/" in zone and not zone.startswith("Etc/"))
    cities = {zone.rpartition("/")[2].replace("_", " "): zone for zone in places}
    # Countries and abbreviations look like cities elsewhere: Colombia like Asia/Colombo.
    hint = nearest(name, {**cities, **{zone: zone for zone in places}}, cutoff=0.82)
    raise Invalid("timezone", quoted=name, nearest=hint)


# Addresses -------------------------------------------------------------------------------


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
    if found is None or not _is_port(found["port"]):
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
    if found is None or found["path"].strip("/") or not _is_port(found["port"]):
        raise Invalid("proxy")
    return address


def _is_port(written: str | None) -> bool:
    return written is None or int(written) in range(1, 65536)
