"""Numbers, times and foreign names as the status page writes them; judges nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from exporter.logs import SECRETS

# Numbers and units stay together, and so do the groups of a number.
_SPACE, _GROUPS = "\u00a0", "\u202f"
_LONGEST_NAME = 200
_ASCII = re.compile(r"[ -~]*")


def foreign(text: str) -> str:
    """Text of the API or of people made harmless: no token, no control and no bidi character.

    Such a character could turn the text around it, or split it. A lone surrogate could not
    even be written as UTF-8.
    """
    text = SECRETS.scrub(text)
    if len(text) > _LONGEST_NAME:
        text = text[: _LONGEST_NAME - 1] + "…"
    if _ASCII.fullmatch(text):
        return text
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def count(number: int) -> str:
    """`15233` with its thousands apart: neither comma nor dot, which two languages swap."""
    return f"{number:,}".replace(",", _GROUPS)


def seconds(value: float, against: float | None = None) -> str:
    """An average of seconds: `12 s`, from 100 s on `2:05 min`, from 10 minutes on `15 min`.

    A value that rounds to its target without being it keeps a decimal.
    """
    if against is not None and value != against and round(value) == round(against):
        return f"{value:.1f}{_SPACE}s"
    whole = round(value)
    if whole < 100:
        return f"{whole}{_SPACE}s"
    if whole < 600:
        return f"{whole // 60}:{whole % 60:02d}{_SPACE}min"
    return f"{count(round(value / 60))}{_SPACE}min"


def span(value: float) -> str:
    """A stretch of time in its two largest units: `3 s`, `12 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(value))
    if whole < 120:
        return f"{whole}{_SPACE}s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes}{_SPACE}min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}{_SPACE}h" + (f" {minutes}{_SPACE}min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{count(days)}{_SPACE}d" + (f" {hours}{_SPACE}h" if hours else "")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment for people, and for machines as ISO 8601."""

    text: str
    iso: str


def moment(at: float, zone: tzinfo, now: float) -> Moment:
    """The clock of a zone; the date stands before it where it is another day than now."""
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    text = clock if local.date() == today else f"{local:%Y-%m-%d} {clock}"
    return Moment(text, local.isoformat(timespec="seconds"))


@dataclass(frozen=True, slots=True)
class Words:
    """One language: its texts, and what is written differently in it."""

    texts: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.texts[key]

    def say(self, key: str, *values: object, **named: object) -> str:
        """A text with its places filled."""
        return self.texts[key].format(*values, **named)

    def counted(self, key: str, number: int, **named: object) -> str:
        """A text that has a form for one and a form for many."""
        return self.say(
            f"{key}_one" if number == 1 else f"{key}_many", count=count(number), **named
        )

    def percent(self, ratio: float, against: float | None = None) -> str:
        """`65.7%`; a value that rounds to its target without being it keeps two decimals."""
        digits = f"{100 * ratio:.1f}"
        if against is not None and ratio != against and digits == f"{100 * against:.1f}":
            digits = f"{100 * ratio:.2f}"
        return self.texts["percent"].format(digits)

    def goal(self, ratio: float) -> str:
        """`80%`, with no more decimals than it has."""
        return self.texts["percent"].format(f"{100 * ratio:.4f}".rstrip("0").rstrip("."))
