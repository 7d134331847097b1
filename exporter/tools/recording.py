"""`probe --record`: answers in a file, so that an odd one can be reported: no token, no names.

The strings of the figures stay as they were sent, since they are what is reported, and the
bytes of each answer can be had back, so that it can be replayed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter import __version__
from exporter.config import Operation, Skill
from exporter.errors import StartError
from exporter.logs import SECRETS
from exporter.wolkvox.client import Witness
from exporter.wolkvox.columns import FIELDS

if TYPE_CHECKING:
    from exporter.tools.probe import Probed

MAX_CHARACTERS = 256 * 1024
_KEPT = {*FIELDS, "code", "error", "msg", "data"}
# A text without letters, but for those of units, is a figure and names nobody.
_FIGURE = re.compile(r"[-+0-9.,:%/\s]*(?:s|seg|sec|min|h)?", re.IGNORECASE)


class Recorder:
    """Keeps the answers of a probe; raises StartError where the file cannot be made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[tuple[str, str], tuple[int, str | None, bytes]] = {}
        # Before any request: an answer that cannot be kept costs one.
        self._write("")

    def witness(self, operation: Operation, skill: Skill) -> Witness:
        """What the client shows the answer of a query."""

        def keep(status: int, content_type: str | None, body: bytes) -> None:
            self.answers[operation.name, skill.id] = status, content_type, body

        return keep

    def save(self, queries: Sequence[Probed], now: datetime) -> None:
        """Write the file; raises StartError."""
        mask = _Mask(queries)
        asked = enumerate((one for one in queries if one.window), start=1)
        document = {
            "format": "wolkvox-exporter recording",
            "version": 1,
            "exporter": __version__,
            "recorded_at": now.isoformat(timespec="seconds"),
            "answers": [self._entry(number, probed, mask) for number, probed in asked],
        }
        self._write(SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n")

    def _entry(self, number: int, probed: Probed, mask: _Mask) -> dict[str, Any]:
        key = probed.operation.name, probed.skill.id
        status, content_type, body = self.answers.get(key, (None, None, b""))
        encoding: str = json.detect_encoding(body)
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            encoding = "latin-1"  # gives exactly the same bytes back
            text = body.decode(encoding)
        window, reason = probed.window, probed.verdict.reason
        return {
            "query": number,
            "all": probed.skill.id == "all",
            "window": window and {"date_ini": window.start, "date_end": window.end},
            "reason": reason and str(reason),
            "status": status,
            "content_type": content_type and mask.text(content_type),
            "encoding": encoding,
            "body": mask.body(SECRETS.scrub(text))[:MAX_CHARACTERS],
        }

    def _write(self, text: str) -> None:
        def private(name: str, flags: int) -> int:
            return os.open(name, flags, 0o600)

        try:
            with open(self.path, "w", encoding="utf-8", opener=private) as file:
                file.write(text)
        except OSError as error:
            raise StartError(f"{self.path} cannot be written: {error.strerror}") from error


class _Mask:
    """Replaces names by numbers, the same name by the same number."""

    def __init__(self, queries: Iterable[Probed]) -> None:
        self._numbers: dict[str, int] = {}
        known = {
            name
            for one in queries
            for name in (one.operation.name, one.operation.server, one.skill.name)
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
            return {name: self._value(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._value(one, key) for one in value]
        if not isinstance(value, str) or key == "type_interaction":
            return value
        if key in _KEPT:
            return self.text(value)
        return value if _FIGURE.fullmatch(value) else self._number(value)

    def _number(self, name: str) -> str:
        return f"name-{self._numbers.setdefault(name.casefold(), len(self._numbers) + 1)}"
