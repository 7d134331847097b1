"""Answers kept in a file so that somebody else can read them: no token and no names.

The strings of the figures stay as they were sent: they are what is to be reported. A
recording is replayed through `read_answer` and `read_report`; `read_recording` gives what
they take.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.config import Operation, Skill
from exporter.errors import Reason, StartError
from exporter.logs import SECRETS
from exporter.wolkvox.columns import FIELDS
from exporter.wolkvox.windows import Window

FORMAT = "wolkvox-exporter recording"
VERSION = 1
MAX_CHARACTERS = 256 * 1024
_KEPT = {*FIELDS, "code", "error", "msg", "data"}
# What has no letters but those of units is a figure and names nobody.
_FIGURE = re.compile(r"[-+0-9.,:%/\s]*(?:s|seg|sec|min|h)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer of a recording, as `read_answer` takes it."""

    status: int
    content_type: str | None
    body: bytes


@dataclass(slots=True)
class Entry:
    """One query that is being asked; without a status there was no answer."""

    operation: Operation
    skill: Skill
    window: Window
    status: int | None = None
    content_type: str | None = None
    body: bytes = b""
    reason: Reason | None = None

    def saw(self, status: int, content_type: str | None, body: bytes) -> None:
        """Take the answer as it came; the witness of the client."""
        self.status, self.content_type, self.body = status, content_type, body


@dataclass(slots=True)
class Recorder:
    """Gathers what a probe is answered; raises StartError where the file cannot be made."""

    path: Path
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Before anything is asked: an answer that cannot be kept costs a call.
        self._write("")

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return sum(entry.status is not None for entry in self.entries)

    def begin(self, operation: Operation, skill: Skill, window: Window) -> Entry:
        """The entry of the next query."""
        self.entries.append(Entry(operation, skill, window))
        return self.entries[-1]

    def save(self, now: datetime) -> None:
        """Write the file; raises StartError."""
        mask = _Mask(self.entries)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "exporter": __version__,
            "recorded_at": now.isoformat(timespec="seconds"),
            "answers": [
                _entry(number, entry, mask) for number, entry in enumerate(self.entries, 1)
            ],
        }
        self._write(SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n")

    def _write(self, text: str) -> None:
        def private(name: str, flags: int) -> int:
            return os.open(name, flags, 0o600)

        try:
            with open(self.path, "w", encoding="utf-8", opener=private) as file:
                file.write(text)
        except OSError as error:
            raise StartError(f"{self.path} cannot be written: {error.strerror}") from error


def read_recording(path: Path) -> tuple[Recorded, ...]:
    """The answers of a recording; raises ValueError where the file is none."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{path} is no recording of wolkvox-exporter probe")
    return tuple(
        Recorded(one["status"], one["content_type"], one["body"].encode(one["encoding"]))
        for one in document["answers"]
        if one["status"] is not None
    )


class _Mask:
    """Replaces names by numbers, the same name by the same number."""

    def __init__(self, entries: list[Entry]) -> None:
        self._numbers: dict[str, int] = {}
        known = {
            name
            for entry in entries
            for name in (entry.operation.name, entry.operation.server, entry.skill.name)
            if len(name) > 1 and not name.isdigit() and name != "all"
        }
        # The longest first: one name may hold another.
        ordered = sorted(known, key=lambda name: (-len(name), name))
        self._known = re.compile("|".join(map(re.escape, ordered)) or "(?!)", re.IGNORECASE)

    def text(self, text: str) -> str:
        """A text in which known names are replaced."""
        return self._known.sub(lambda match: self._number(match[0]), text)

    def body(self, text: str) -> str:
        """A body as it came, where nothing in it needs to be replaced."""
        try:
            value = json.loads(text)
            masked = self._value(value)
            return text if masked == value else json.dumps(masked, ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.text(text)

    def _value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self._value(one, str(name)) for name, one in value.items()}
        if isinstance(value, list):
            return [self._value(one, key) for one in value]
        if not isinstance(value, str) or key == "type_interaction":
            return value
        if key in _KEPT:
            return self.text(value)
        return value if _FIGURE.fullmatch(value) else self._number(value)

    def _number(self, name: str) -> str:
        return f"name-{self._numbers.setdefault(name.casefold(), len(self._numbers) + 1)}"


def _entry(number: int, entry: Entry, mask: _Mask) -> dict[str, Any]:
    encoding, text = _decoded(entry.body)
    return {
        "query": number,
        "all": entry.skill.id == "all",
        "window": {"date_ini": entry.window.start, "date_end": entry.window.end},
        "reason": None if entry.reason is None else str(entry.reason),
        "status": entry.status,
        "content_type": entry.content_type and mask.text(entry.content_type),
        "encoding": encoding,
        "body": mask.body(SECRETS.scrub(text))[:MAX_CHARACTERS],
    }


def _decoded(body: bytes) -> tuple[str, str]:
    """The body as text, and the encoding that gives exactly the same bytes back."""
    encoding = json.detect_encoding(body)
    try:
        return encoding, body.decode(encoding)
    except UnicodeDecodeError:
        return "latin-1", body.decode("latin-1")
