"""What is said of a wrong value and of each key: the texts are in messages.toml and keys.toml.

What a person typed is quoted back only where it cannot be a token.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from exporter.messages import catalogue

# Tokens are long runs of letters and digits; no value worth quoting back is.
_TOKEN_LIKE = re.compile(r"[0-9A-Za-z]{20,}")
HOLDERS = {
    ("Operation", "skills"): "Skill",
    ("Operation", "sla"): "SlaEntry",
    ("SlaEntry", "service_level"): "ServiceLevel",
    ("SlaEntry", "abandonment"): "Abandonment",
    ("SlaEntry", "asa"): "Asa",
}
"""The models of keys.toml that are held by a key of another."""


class Unquoted(str):
    """A number with leading zeros and without quotes, such as 0013: text in YAML 1.2."""

    __slots__ = ()


class Invalid(ValueError):
    """A value that cannot be used: the name of its message, and the details that go into it.

    Some details have a meaning: `quoted` is shown in quotes, where it may be; `kind` is named
    in the reader's language; of `nearest` and `example` a hint is made, where there is one.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message, self.details = message, details

    def __str__(self) -> str:
        return self.text("en")

    def text(self, language: str, *, variable: bool = False) -> str:
        """Return the message; `variable`: for a person who writes environment variables."""
        texts = catalogue(language)
        words = {
            name: value.text(language) if isinstance(value, Invalid) else value
            for name, value in self.details.items()
        }
        if "quoted" in words:
            words["quoted"] = shown(str(words["quoted"]), language)
        if "kind" in words:
            words["kind"] = texts[f"config.kind_{words['kind']}"]
        for detail in ("nearest", "example"):
            hint = texts[f"config.hint_{detail}"] if words.get(detail) else ""
            words[f"hint_{detail}"] = hint.format_map(words)
        key = f"config.{self.message}"
        template = texts.get(f"{key}.variable", texts[key]) if variable else texts[key]
        return template.format_map(words)


def may_show(text: str) -> bool:
    """Return whether a text may be repeated: it is neither long nor anything like a token."""
    return len(text) <= 60 and not _TOKEN_LIKE.search(text)


def shown(text: str, language: str = "en") -> str:
    """Quote what somebody typed, where it may be repeated."""
    if not may_show(text):
        return catalogue(language)["config.this_text"]
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) + '"'


def kind(value: object) -> str:
    """Return the kind of a YAML value, as a detail for a message."""
    if isinstance(value, Unquoted):
        return "number"
    named = {type(None): "nothing", bool: "bool", int: "number", float: "float", str: "text"}
    return named.get(type(value), "list" if isinstance(value, list) else "mapping")


def nearest(
    word: str, candidates: Iterable[str] | Mapping[str, str], cutoff: float = 0.6
) -> str:
    """Return the candidate that is nearest to a word, or nothing.

    A mapping gives what is meant by each candidate; `cutoff` is how alike they are at least.
    """
    names = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=cutoff)
    if not close:
        return ""
    found = names[close[0]]
    return candidates[found] if isinstance(candidates, Mapping) else found


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest candidate, or nothing."""
    found = nearest(word, candidates)
    return f' (did you mean "{found}"?)' if found else ""


@functools.cache
def keys() -> dict[str, dict[str, dict[str, Any]]]:
    """Return what is said of each key, by the model that holds it."""
    return tomllib.loads(Path(__file__).with_name("keys.toml").read_text(encoding="utf-8"))


def beside(loc: tuple[int | str, ...]) -> dict[str, dict[str, Any]]:
    """Return the keys that may stand where a place of an operation is."""
    model = "Operation"
    for part in loc[:-1]:
        model = HOLDERS.get((model, str(part)), model)
    return keys()[model]


def as_yaml(value: object) -> str:
    """Write an example as it would stand in the file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    needs_quotes = isinstance(value, str) and re.search(r"^0[0-9]+$|: |; ", value)
    return json.dumps(value) if needs_quotes else str(value)
