"""Texts for people in English and Spanish, and how each language writes numbers and times.

The texts stand in messages.toml, which is read when the first one is needed.
"""

from __future__ import annotations

import functools
import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, ClassVar, Final

# By code; the first one is the default.
LANGUAGES: Final = {"en": "English", "es": "Español"}


def terminal_language(environ: Mapping[str, str]) -> str:
    """The language of a terminal: LC_ALL, LC_MESSAGES or LANG, whichever is set first."""
    names = (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "")
    return "es" if locale.lower().startswith("es") else "en"


def here() -> Words:
    """The language of this process's terminal."""
    return Words(terminal_language(os.environ))


@functools.cache
def catalogue(language: str) -> Mapping[str, str]:
    """Every text of a language by its key, such as `advice.connect`."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return dict(_leaves(tomllib.loads(text), "", language))


def _leaves(table: Mapping[str, Any], path: str, language: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.{key}" if path else key, language)
        elif key == language:
            yield path, value


def template(file: Path, **names: object) -> Callable[..., str]:
    """What makes a page of a template and values; `names` are known to all of it."""
    # Most processes never make one.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(file.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(file.name, globals=names).render


class Worded(Exception):
    """A failure with its text in both languages, in a section of messages.toml.

    `details` go into the text; one that is worded itself is written in the same language.
    """

    section: ClassVar[str]

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message, self.details = message, details

    def __str__(self) -> str:
        return self.text("en")

    def text(self, language: str, form: str = "") -> str:
        """Return the text; in a form such as `variable`, where there is one."""
        texts, key = catalogue(language), f"{self.section}{self.message}"
        return texts.get(f"{key}.{form}", texts[key]).format_map(self.words(language))

    def words(self, language: str) -> dict[str, Any]:
        """Return the details as the text takes them."""
        return {
            name: one.text(language) if isinstance(one, Worded) else one
            for name, one in self.details.items()
        }


@dataclass(frozen=True, slots=True)
class Words:
    """One language; `space` stands between a number and its unit."""

    language: str
    space: str = " "

    def text(self, key: str, **values: object) -> str:
        """The text of a key with its values filled in; KeyError where one is missing."""
        return catalogue(self.language)[key].format_map(values)

    def plural(self, key: str, number: int, **values: object) -> str:
        """The text of a key that has a form for one and a form for many."""
        text = catalogue(self.language)[f"{key}.one" if number == 1 else f"{key}.many"]
        return text.format_map({**values, "count": self.count(number)})

    def advice(self, verdict: str, **values: object) -> str:
        """What to do about a verdict; empty where nothing has to be done."""
        key = f"advice.{verdict}"
        return self.text(key, **values) if key in catalogue(self.language) else ""

    def channel(self, name: str) -> str:
        """`inbound (voice)`: a channel as the API names it, with what people call it."""
        known = catalogue(self.language).get(f"channel.{name}")
        return f"{name} ({known})" if known else name

    def count(self, number: int) -> str:
        """`15 233`: neither comma nor dot, which the two languages swap."""
        return f"{number:,}".replace(",", "\u202f")

    def number(self, value: float, spec: str) -> str:
        """A number in a format such as `.1f`, with the decimal sign of the language."""
        text = f"{value:{spec}}"
        return text.replace(".", ",") if self.language == "es" else text

    def percent(self, ratio: float, spec: str = ".1f") -> str:
        """`65.7%`, in Spanish `65,7 %`."""
        sign = f"{self.space}%" if self.language == "es" else "%"
        return self.number(100 * ratio, spec) + sign

    def seconds(self, value: float, spec: str = "") -> str:
        """`12 s`, from 100 s on `2:05 min`, from 10 min on `15 min`; with a format always s."""
        whole = round(value)
        if spec or whole < 100:
            return f"{self.number(value, spec or '.0f')}{self.space}s"
        if whole < 600:
            return f"{whole // 60}:{whole % 60:02d}{self.space}min"
        return f"{self.count(round(value / 60))}{self.space}min"

    def figure(
        self, unit: str, value: float | None, *, close: bool = False, target: bool = False
    ) -> str:
        """A cell of the table of figures: `close` to its target, or the target itself."""
        if value is None:
            return "–"
        if unit == "count":
            return self.count(round(value))
        if unit == "seconds":
            return self.seconds(value, ".1f" if close else "")
        return self.percent(value, "g" if target or value == 1 else ".2f" if close else ".1f")

    def age(self, seconds: float) -> str:
        """As `span`, rounded down: data of 5:01 min are 5 min old."""
        return self.span(seconds, math.floor)

    def span(self, seconds: float, entire: Callable[[float], int] = math.ceil) -> str:
        """A wait in its two largest units, rounded up: `3 s`, `12 min`, `2 h 5 min`."""
        whole = max(0, entire(seconds))
        minutes, hours = entire(whole / 60), entire(whole / 3600)
        if whole < 120:
            parts = [(whole, "s")]
        elif minutes < 120:
            parts = [(minutes, "min")]
        elif minutes < 48 * 60:
            parts = [(minutes // 60, "h"), (minutes % 60, "min")]
        else:
            parts = [(hours // 24, "d"), (hours % 24, "h")]
        shown = [part for part in parts if part[0]] or parts
        return " ".join(f"{number}{self.space}{unit}" for number, unit in shown)

    def clock(self, at: float, zone: tzinfo, now: float) -> str:
        """The local time of an epoch second, with its date where that is not today's."""
        local = datetime.fromtimestamp(at, zone)
        clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
        today = datetime.fromtimestamp(now, zone).date()
        return clock if local.date() == today else f"{local:%Y-%m-%d} {clock}"
