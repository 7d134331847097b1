"""One YAML file -> plain lists, mappings and scalars, and the line of each key.

Scalars follow YAML 1.2: NO, 12:30 and dates are text, and so is 0013, as `Unquoted`. A key
that stands twice is reported, tags are refused, and aliases are bounded. The parser's own
messages are not used: they may quote the text around an error, hence a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from exporter.config.values import Invalid, Unquoted, matches, may_show
from exporter.errors import ConfigError, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_ALIASED = 500_000
MAX_DEPTH = 50
# libyaml is many times faster, and not in every build of PyYAML.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Loc = tuple[int | str, ...]

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHOLE = re.compile(r"[-+]?(?:(0[0-9]{1,17})|[0-9]{1,18})")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}([eE][-+]?[0-9]{1,3})?")
# By a word of the parser's context or problem; `True`: the line is where that context began.
_PARSER_WORDS = (
    ("tab character", "yaml_tab", False),
    ("quoted scalar found unexpected end", "yaml_quote", True),
    ("escape", "yaml_escape", False),
    ("cannot start any token", "yaml_sign", False),
    ("not allowed", "yaml_colon", False),
    ("simple key", "yaml_key", True),
    ("flow", "yaml_bracket", True),
    ("tag", "yaml_tag", False),
    ("block", "yaml_indentation", False),
    ("", "yaml_other", False),
)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, the line of each key and list item, and the keys that stand twice."""

    path: Path
    value: Any
    lines: dict[Loc, int]
    duplicates: tuple[tuple[Loc, int], ...]

    def line(self, loc: Loc) -> int:
        """Return the line of the innermost part of a place that was written."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def rename(self, key: str, meant: str) -> None:
        """Read a key of the file that is misspelt as the one that is meant and missing."""
        if meant and meant not in self.value:
            self.value[meant] = self.value[key]
            below = [one for one in self.lines.items() if one[0][0] == key]
            self.lines.update({(meant, *loc[1:]): line for loc, line in below})

    def problem(self, loc: Loc, reason: str, line: int = 0) -> Problem:
        """Return a problem at a place of this file; inside of an operation it is named."""
        found = Problem(dotted(loc), reason, str(self.path), line or self.line(loc))
        match self.value, loc:
            case {"operations": [*listed]}, ("operations", int(number), *inner):
                own = listed[number] if number < len(listed) else None  # the key stands twice
            case _:
                return found
        name = own.get("name") if isinstance(own, dict) else None
        usable = isinstance(name, str) and matches("name", name) and may_show(name)
        operation = f"operation {name}" if usable else f"operation #{number + 1}"
        return replace(found, path=dotted(tuple(inner)), operation=operation)


def dotted(loc: Loc) -> str:
    """Write a place as `skills.0.name`; what may be a misplaced token is not repeated."""
    return ".".join(
        str(part) if isinstance(part, int) or part.isdigit() or is_plain_key(part) else "(key)"
        for part in loc
    )


def is_plain_key(key: str) -> bool:
    """Return whether a key may be repeated to people: others may be misplaced tokens."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,31}", key) is not None and may_show(key)


def read_yaml(path: Path, language: str = "en", missing: str = "file_missing") -> Document:
    """Read one file; raise ConfigError with one problem: `missing` where there is none."""
    try:
        text = _content(path, missing)
        composer = _Composer(text)
        return Document(path, composer.document(), composer.lines, tuple(composer.duplicates))
    except Invalid as error:
        wrong = error
    except yaml.MarkedYAMLError as error:
        wrong = _explained(error, text)
    line = int(str(wrong.details.get("line", 0)))
    raise ConfigError([Problem("", wrong.text(language), str(path), line)])


def _content(path: Path, missing: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Invalid(missing) from None
    except OSError as error:
        raise Invalid("unreadable", why=error.strerror) from None
    except ValueError:
        raise Invalid("null_character") from None
    if len(content) > MAX_BYTES:
        raise Invalid("file_large")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Invalid("file_bytes", line=line) from None


def _at(message: str, mark: Any) -> Invalid:
    """Return a problem at a place that the parser names; it counts from 0."""
    return Invalid(message, line=mark.line + 1, column=mark.column + 1)


def _explained(error: yaml.MarkedYAMLError, text: str) -> Invalid:
    """Say what the parser found in our own words; its end of a text may be a line too far."""
    mark: Any = error.problem_mark
    words = f"{error.context} {error.problem}"
    message, begins = next(one[1:] for one in _PARSER_WORDS if one[0] in words)
    begin: Any = error.context_mark or mark if begins else mark
    lines = text.rstrip("\n").split("\n")
    if lines[min(mark.line, len(lines) - 1)].startswith("\t", mark.column):
        message, begin = "yaml_tab", mark
    line = min(begin.line + 1, len(lines))
    return Invalid(message, line=line, column=begin.column + 1)


class _Composer:
    """Events to values; keeps the lines of keys and what aliases unfold to."""

    def __init__(self, text: str) -> None:
        if odd := _NOT_TEXT.search(text):
            raise Invalid("yaml_character", line=text.count("\n", 0, odd.start()) + 1)
        self._events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = self._aliased = 0
        self.lines: dict[Loc, int] = {}
        self.duplicates: list[tuple[Loc, int]] = []

    def document(self) -> object:
        """Return the value of the one document; None where there is none."""
        found: list[object] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and found:
                raise _at("yaml_documents", event.start_mark)
            if isinstance(event, yaml.NodeEvent):
                found.append(self._node(event, ()))
        return found[0] if found else None

    def _node(self, event: Any, loc: Loc) -> object:
        before, self._nodes = self._nodes, self._nodes + 1
        if isinstance(event, yaml.AliasEvent):
            return self._unfolded(event)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
            if value is None and event.anchor is not None:
                raise _at("yaml_sign", event.start_mark)
        elif event.tag is not None:
            raise _at("yaml_tag", event.start_mark)
        elif len(loc) >= MAX_DEPTH:
            raise _at("yaml_deep", event.start_mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(loc)
        else:
            value = self._mapping(loc)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _unfolded(self, event: Any) -> object:
        if event.anchor not in self._anchors:
            raise _at("yaml_tag", event.start_mark)
        value, nodes = self._anchors[event.anchor]
        self._nodes += nodes
        self._aliased += nodes
        if self._aliased > MAX_ALIASED:
            raise _at("yaml_aliases", event.start_mark)
        return value

    def _sequence(self, loc: Loc) -> list[object]:
        found: list[object] = []
        event: Any
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            place = (*loc, len(found))
            self.lines[place] = event.start_mark.line + 1
            found.append(self._node(event, place))
        return found

    def _mapping(self, loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: list[Any] = []
        event: Any
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark: Any = event.start_mark
            if not isinstance(event, yaml.ScalarEvent):
                raise _at("yaml_key_text", mark)
            place, line = (*loc, event.value), mark.line + 1
            value = self._node(next(self._events), place)
            if event.value == "<<" and event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
                if not all(isinstance(one, dict) for one in merged):
                    raise _at("yaml_merge", event.start_mark)
                continue
            if event.value in found:
                self.duplicates.append((place, line))
            self.lines[place] = line
            found[event.value] = value
        for one in merged:
            found = {**one, **found}
        return found


def _scalar(event: Any) -> object:
    """Read a scalar: quoted or tagged as text it is text, else what YAML 1.2 makes of it."""
    quoted = event.tag is None and not event.implicit[0]
    if quoted or event.tag in {"!", "tag:yaml.org,2002:str"}:
        return event.value
    value = plain(event.value)
    if event.tag not in {None, f"tag:yaml.org,2002:{type(value).__name__}"}:
        raise _at("yaml_tag", event.start_mark)
    return value


def plain(text: str) -> object:
    """Return what YAML 1.2 makes of a scalar without quotes."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text.lower() == "true"
    if text[-1] not in "0123456789.":
        return text
    if whole := _WHOLE.fullmatch(text):
        return Unquoted(text) if whole[1] else int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def write_yaml(data: object, **style: Any) -> str:
    """Write plain data as YAML for people, in the order of its keys."""
    style = {"width": 100, **style, "allow_unicode": True, "sort_keys": False}
    text: str = yaml.dump(data, Dumper=DUMPER, **style)
    return text


def as_yaml(value: object) -> str:
    """Write an example as it would stand in the file, on one line."""
    text = write_yaml(value, width=1000, default_flow_style=True)
    return text.removesuffix("...\n").strip()
