"""The values of the configuration: one YAML value in, one checked value out, else `Invalid`.

What a person typed is quoted back only where it cannot be a token, and no message repeats any
of an address: it may hold a password.
"""

from __future__ import annotations

import difflib
import functools
import ipaddress
import re
import tomllib
import zoneinfo
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from exporter.messages import Worded, catalogue

KEYS: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("keys.toml").read_text(encoding="utf-8")
)
"""What keys.toml says of each key, by the model that holds it; channels, and what is meant."""
TYPES, CHANNELS = KEYS.pop("types"), KEYS.pop("channels")
MEANT_KEYS: Mapping[str, Any] = KEYS.pop("meant_keys")
MEANT_CHANNELS: Mapping[str, Any] = KEYS.pop("meant_channels")
ALL_SKILLS = "all"
_NUMBERS = ("number", "float")
_MILLISECONDS = dict(
    y=31_536_000_000, w=604_800_000, d=86_400_000, h=3_600_000, m=60_000, s=1_000, ms=1
)
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z](?:[0-9a-z.-]*[0-9a-z])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[0-9a-z._~-]*)*)",
    re.ASCII | re.IGNORECASE,
)
_LOOPBACK = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1")))
_OFFSET = re.compile(r"(?i)(?:(?:utc|gmt|etc/gmt|etc/utc)\s*)?[-+]\s*[0-9]{1,2}(?::?[0-9]{2})?")
# Tokens are long runs of letters and digits; no value worth quoting back is.
_TOKEN_LIKE = re.compile(r"[0-9A-Za-z]{20,}")


class Unquoted(str):
    """A number with leading zeros and without quotes, such as 0013: text in YAML 1.2."""

    __slots__ = ()


class Invalid(Worded, ValueError):
    """A value that cannot be used.

    Some details have a meaning: `quoted` is shown in quotes, where it may be; `kind` is named
    in the reader's language; of `nearest` and `example` a hint is made, where there is one.
    The form `variable` is for a person who writes environment variables.
    """

    section = "config."

    def words(self, language: str) -> dict[str, Any]:
        """Return the details in the language, with the hints."""
        texts, words = catalogue(language), super().words(language)
        if "quoted" in words:
            words["quoted"] = shown(str(words["quoted"]), language)
        if "kind" in words:
            words["kind"] = texts[f"config.kind_{words['kind']}"]
        for detail in ("nearest", "example"):
            hint = texts[f"config.hint_{detail}"] if words.get(detail) else ""
            words[f"hint_{detail}"] = hint.format_map(words)
        return words


def may_show(text: str) -> bool:
    """Return whether a text may be repeated: it is neither long nor anything like a token."""
    return len(text) <= 60 and not _TOKEN_LIKE.search(text)


def shown(text: str, language: str) -> str:
    """Quote what a person typed, where it may be repeated."""
    if not may_show(text):
        return catalogue(language)["config.this_text"]
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) + '"'


def kind(value: object) -> str:
    """Return the kind of a YAML value, as a detail for a message."""
    if isinstance(value, Unquoted):
        return "number"
    named = {type(None): "nothing", bool: "bool", int: "number", float: "float", str: "text"}
    return named.get(type(value), "list" if isinstance(value, list) else "mapping")


def nearest(word: str, candidates: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the candidate nearest to a word, or what a mapping says it means; else nothing."""
    meant = candidates if isinstance(candidates, Mapping) else {one: one for one in candidates}
    folded = {name.casefold(): one for name, one in meant.items()}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else ""


def channel_meant(word: str) -> str:
    """Return the channels that a word may mean, as a hint names them; often there is one."""
    folded = word.casefold().replace("_", "-").replace(" ", "-")
    if folded in MEANT_CHANNELS:
        return '", "'.join(MEANT_CHANNELS[folded].split())
    holding = [one for one in CHANNELS if len(folded) > 3 and folded in one.casefold()]
    return '", "'.join(holding) or nearest(word, CHANNELS.keys())


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest candidate, or nothing."""
    return f' (did you mean "{found}"?)' if (found := nearest(word, candidates)) else ""


# Texts and numbers -----------------------------------------------------------------------


def given(value: object) -> object:
    """Refuse a key without a value."""
    if value is None:
        raise Invalid("empty")
    return value


def text(value: object, longest: int = 1000, *, quotable: bool = False) -> str:
    """Take printable text of at most so many characters; `quotable`: a number may be meant."""
    if not isinstance(value, str):
        quotes = quotable and isinstance(value, (int, float))
        raise Invalid("text_quotes" if quotes else "text", kind=kind(value))
    value = value.strip()
    if not value:
        raise Invalid("text_empty")
    if len(value) > longest:
        raise Invalid("text_long", limit=f"{longest:,}")
    if not value.isprintable():
        raise Invalid("text_control")
    return value


any_text = functools.partial(text, quotable=True)
"""Take text that may look like a number."""
short_text = functools.partial(any_text, longest=128)
"""Take a name for people, or a channel."""


def matches(kind_: str, value: str) -> bool:
    """Return whether a text has the pattern of a type of keys.toml."""
    return re.fullmatch(TYPES[kind_]["pattern"], value) is not None


def _matching(kind_: str, value: object) -> str:
    """Take text that has the pattern of a type; the message is called like the type."""
    name = text(value, quotable=kind_ == "name")
    if not matches(kind_, name):
        raise Invalid(kind_, quoted=name)
    return name


operation_name = functools.partial(_matching, "name")
"""Take a name for the label `operation`."""
variable = functools.partial(_matching, "variable")
"""Take the name of an environment variable; a token pasted there is not repeated."""


def label_name(value: object) -> str:
    """Take a Prometheus label name that no label of the exporter's own uses."""
    if value in {"operation", "server", "timezone", "job", "instance"}:
        raise Invalid("label_taken", label=value)
    return _matching("label_name", value)


def skill_id(value: object) -> str:
    """Take a skill's number, quoted or not, or `all`; 4173 and "4173" are the same skill."""
    if isinstance(value, Unquoted):
        raise Invalid("skill_id_zeros")
    if type(value) is int and value >= 0:
        value = str(value)
    if not isinstance(value, str) or not matches("skill_id", value):
        raise Invalid("skill_id")
    return value


def skill_number(skill: str) -> int | str:
    """Return an id as it would be written in a file."""
    return int(skill) if re.fullmatch("0|[1-9][0-9]*", skill) else skill


def skill_meant(value: object) -> dict[str, object] | None:
    """Return a skill as a file names it, from `4173=Ventas` or the like; None for others."""
    number, name = value, None
    if isinstance(value, str):
        number, _, name = value.partition("=")
    elif isinstance(value, dict) and "id" in value:
        number, name = value["id"], value.get("name")
    elif isinstance(value, dict) and len(value) == 1:
        [(number, name)] = value.items()
    found = str(number).strip()
    if not matches("skill_id", found) or not may_show(str(name)):
        return None
    named = {"name": name.strip()} if isinstance(name, str) and name.strip() else {}
    return {"id": skill_number(found), **named}


def skill_key(skill: str) -> str:
    """Return what makes two ids the same skill: leading zeros do not count."""
    return skill.lstrip("0") or "0"


def duration(value: object) -> float:
    """Read a Prometheus duration (`300s`, `5m`, `1h30m`) as seconds."""
    if kind(value) in _NUMBERS:
        raise Invalid("duration_unit", number=value)
    if not isinstance(value, str):
        raise Invalid("duration_kind", kind=kind(value))
    if not matches("duration", value):
        raise Invalid("duration", quoted=value)
    parts = re.findall("([0-9]+)([a-z]+)", value)
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in parts) / 1000


def format_duration(seconds: float) -> str:
    """Write seconds as the shortest duration of hours, minutes, seconds, milliseconds."""
    rest = round(seconds * 1000)
    written = ""
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, _MILLISECONDS[unit])
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def threshold(value: object) -> int:
    """Read the threshold of a service level: the API knows 10, 20 and 30 seconds."""
    seconds = duration(value)
    if seconds not in {10, 20, 30}:
        raise Invalid("threshold")
    return int(seconds)


def percent(value: object) -> float:
    """Read `80%` or `99.5 %` as a ratio, 0.8 or 0.995."""
    if kind(value) in _NUMBERS:
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


def calendar_date(value: object) -> date:
    """Take a day such as 2026-12-24."""
    name = text(value)
    with suppress(ValueError):
        if matches("date", name):
            return date.fromisoformat(name)
    raise Invalid("date", quoted=name)


_zones = functools.cache(zoneinfo.available_timezones)


def timezone(value: object) -> ZoneInfo:
    """Take an IANA time zone name, such as America/Bogota.

    An offset names no place, so that the advice cannot know its changes of the clock; `Etc`
    counts the other way round and is never advised.
    """
    name = text(str(value) if kind(value) in _NUMBERS else value)
    if name in _zones():
        return ZoneInfo(name)
    if _OFFSET.fullmatch(name.strip()):
        raise Invalid("timezone_offset", quoted=name)
    places = {zone: zone for zone in sorted(_zones()) if "/" in zone and zone[:4] != "Etc/"}
    cities = {zone.rpartition("/")[2].replace("_", " "): zone for zone in places}
    # Countries and abbreviations look like cities elsewhere: Colombia like Asia/Colombo.
    raise Invalid("timezone", quoted=name, nearest=nearest(name, cities | places, cutoff=0.82))


# Addresses -------------------------------------------------------------------------------


def server(value: object) -> str:
    """Read `0013` or `wv0013` as the base URL of Wolkvox's own server."""
    if isinstance(value, (int, Unquoted)) and not isinstance(value, bool):
        written = value if isinstance(value, Unquoted) else f"{value:04d}"
        raise Invalid("server_number", written=written)
    name = text(value)
    if not matches("server", name):
        if found := re.search(r"\bwv[0-9]{4}\.wolkvox\.com", name, re.ASCII | re.IGNORECASE):
            raise Invalid("server_in_address", server=found[0][:6].lower())
        raise Invalid("server")
    return f"https://wv{name[-4:]}.wolkvox.com/api/v2/"


def url(value: object) -> str:
    """Read the base URL of an API: https, or http to a loopback address."""
    address = text(value)
    found = _parsed(address)
    if found is None and re.match(TYPES["url"]["pattern"], address):
        odd = "url_query" if "?" in address or "#" in address else "url"
        raise Invalid("url_user" if "@" in address else odd)
    if found is None:
        raise Invalid("url_server" if matches("server", address) else "url")
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), found["port"]
    if scheme == "http" and not is_loopback(host.strip("[]")):
        raise Invalid("url_http")
    if not {".", ".."}.isdisjoint(found["path"].split("/")):
        raise Invalid("url_dots")
    default = port is None or int(port) == (443 if scheme == "https" else 80)
    return f"{scheme}://{host}{'' if default else f':{int(port)}'}{found['path'].rstrip('/')}/"


def _parsed(address: str) -> re.Match[str] | None:
    found = _URL.fullmatch(address)
    return found if found and int(found["port"] or 443) in range(1, 65536) else None


def proxy(value: object) -> str:
    """Take the URL of an http or https proxy; it may hold a password and is never shown."""
    address = text(value)
    if address.lower().startswith("socks"):
        raise Invalid("proxy_socks")
    credentials = r"(?:[0-9a-z._~!$&'()*+,;=%-]*(?::[0-9a-z._~!$&'()*+,;=%:-]*)?@)?"
    found = _parsed(re.sub(f"^(https?://){credentials}", r"\1", address, flags=re.I | re.A))
    if found is None or found["path"].strip("/"):
        raise Invalid("proxy")
    return address


def host_of(base_url: str) -> str:
    """Return the host of a base URL, without port and brackets."""
    return urlsplit(base_url).hostname or ""


def server_of(base_url: str) -> str:
    """Return the server of a base URL as people know it: wv0013, else the host and its port."""
    return re.sub(r"^(wv[0-9]{4})\.wolkvox\.com$", r"\1", urlsplit(base_url).netloc)


def is_loopback(host: str) -> bool:
    """Return whether a host can only be this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return any(ipaddress.ip_address(host) in network for network in _LOOPBACK)
    except ValueError:
        return host == "localhost"
