"""The vocabulary of the configuration: one text -> one value; knows no file and no key.

Every function raises ValueError with a sentence that says what to write instead. What a
person typed is quoted back only through `shown`, which keeps anything like a token out.
"""

# Pydantic turns a ValueError into a problem of its key, but lets a TypeError through:
# ruff: noqa: TRY004

from __future__ import annotations

import difflib
import functools
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

DURATION_PATTERN = (
    r"^(?=[0-9])([0-9]{1,9}y)?([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?"
    r"([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"
)
NAME_PATTERN = r"^[a-zA-Z0-9_.-]{1,128}$"
PERCENT_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,6})? ?%$"
LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
VARIABLE_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
SKILL_ID_PATTERN = r"^([0-9]{1,18}|all)$"
ALL_SKILLS = "all"
TAKEN_LABELS = frozenset({"operation", "server", "timezone", "job", "instance"})

_UNIT_MILLISECONDS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+)(ms|[ywdhms])", re.ASCII)
# Tokens are long runs of letters and digits; no value worth quoting back is.
_TOKEN_LIKE = re.compile(r"[0-9A-Za-z]{20,}")


@dataclass(frozen=True, slots=True)
class Unquoted:
    """A number that YAML would read differently from what stands there, such as 0013."""

    text: str


def may_show(text: str) -> bool:
    """Tell whether a text may be repeated: it is neither long nor anything like a token."""
    return len(text) <= 60 and not _TOKEN_LIKE.search(text)


def shown(text: str) -> str:
    """Quote what somebody typed, where it may be repeated."""
    if not may_show(text):
        return "this text"
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) + '"'


def kind(value: object) -> str:
    """Name what YAML made of a value, never the value itself."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float, Unquoted)):
        return "a number"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "text"


def did_you_mean(word: str, candidates: Iterable[str] | Mapping[str, str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest candidate, or nothing.

    A mapping says what is meant by each candidate.
    """
    names = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=0.6)
    if not close:
        return ""
    found = names[close[0]]
    return (
        f' (did you mean "{candidates[found] if isinstance(candidates, Mapping) else found}"?)'
    )


def text(value: object) -> str:
    """Take printable text of at most 1,000 characters."""
    if not isinstance(value, str):
        hint = ": write it in quotes" if isinstance(value, (int, float, Unquoted)) else ""
        raise ValueError(f"must be text, not {kind(value)}{hint}")
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > 1000:
        raise ValueError("is longer than 1,000 characters")
    if not value.isprintable():
        raise ValueError("holds a control character or one that cannot be shown")
    return value


def duration(value: object) -> float:
    """Read a Prometheus duration (`300s`, `5m`, `1h30m`) as seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit: write a duration such as {value:g}s or 5m")
    if isinstance(value, Unquoted):
        raise ValueError("has no unit: write a duration such as 300s, 5m or 1h30m")
    if not isinstance(value, str):
        raise ValueError(f"must be a duration such as 300s, 5m or 1h30m, not {kind(value)}")
    if not _DURATION.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is not a duration: write 300s, 5m or 1h30m"
            " (units y w d h m s ms, each once, in this order)"
        )
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
    if isinstance(value, (int, float, Unquoted)) and not isinstance(value, bool):
        raise ValueError("must be a percentage with its sign, such as 80%")
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})? ?%", value):
        raise ValueError("must be a percentage between 0% and 100%, such as 80%")
    ratio = Decimal(value.rstrip("% ")) / 100
    if not 0 <= ratio <= 1:
        raise ValueError(f"{shown(value)} is not between 0% and 100%")
    return float(ratio)


def threshold(value: object) -> float:
    """Read the threshold of a service level: the API knows 10, 20 and 30 seconds."""
    seconds = duration(value)
    if seconds not in {10, 20, 30}:
        raise ValueError("must be 10s, 20s or 30s: Wolkvox measures no other threshold")
    return seconds


def variable(value: object) -> str:
    """Take the name of an environment variable; a token pasted there is not repeated."""
    name = text(value)
    if not re.fullmatch(VARIABLE_PATTERN, name):
        raise ValueError("must be the name of an environment variable, such as ACME_TOKEN")
    return name


def operation_name(value: object) -> str:
    """Take a name for the label `operation`."""
    name = text(value)
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"{shown(name)} cannot be a name: use up to 128 of the characters"
            " a-z, A-Z, 0-9, _, . and -"
        )
    return name


def skill_id(value: object) -> str:
    """Take a skill's number, quoted or not, or `all`; 4173 and "4173" are the same skill."""
    if isinstance(value, Unquoted):
        raise ValueError("has leading zeros: write it in quotes if the zeros belong to it")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(SKILL_ID_PATTERN, value):
        raise ValueError("must be the number of a skill, such as 4173, or all")
    return value


def skill_name(value: object) -> str:
    """Take a skill's name for people."""
    name = text(value)
    if len(name) > 128:
        raise ValueError("is longer than 128 characters")
    return name


def label_name(value: object) -> str:
    """Take a Prometheus label name that no label of the exporter's own uses."""
    name = text(value)
    if name in TAKEN_LABELS:
        raise ValueError(
            f'"{name}" is already a label of wolkvox_operation_info: choose another'
        )
    if not re.fullmatch(LABEL_PATTERN, name) or name.startswith("__"):
        raise ValueError(
            "is not a label name: use a-z, A-Z, 0-9 and _, no digit first, no two _ first"
        )
    return name


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def timezone(value: object) -> ZoneInfo:
    """Take an IANA time zone name, such as America/Bogota."""
    name = text(value)
    if name not in _zones():
        cities = {zone.rpartition("/")[2].replace("_", " "): zone for zone in sorted(_zones())}
        hint = did_you_mean(name, {**cities, **{zone: zone for zone in _zones()}})
        raise ValueError(f"{shown(name)} is not a time zone such as America/Bogota{hint}")
    return ZoneInfo(name)
