"""`probe --record`: answers in a file, so that an odd one can be reported: no token, no names.

The strings of the figures stay as they were sent, since they are what is reported, and the
bytes of each answer can be had back, so that it can be replayed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter import __version__
from exporter.errors import StartError
from exporter.logs import SECRETS
from exporter.wolkvox.columns import FIELDS

if TYPE_CHECKING:
    from exporter.tools.probe import Probed

MAX_CHARACTERS = 256 * 1024
_KEPT = {*FIELDS, "code", "error", "msg", "data"}
# A text without letters, but for those of units, is a figure and names nobody.
_FIGURE = re.compile(r"[-+0-9.,:%/\s]*(?:s|seg|sec|min|h)?", re.IGNORECASE)


Raw = tuple[int, str | None, bytes]
"""An answer as it came, but for the token: status, content type, body."""


def write(path: Path, text: str) -> None:
    """Write a file for its owner alone; raises StartError."""
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError("file", path=path, why=error.strerror) from error


def save(path: Path, queries: Sequence[Probed], now: datetime) -> int:
    """Write the answers, and return how many there were; raises StartError."""
    mask, sent = _Mask(queries), [one for one in queries if one.request is not None]
    document = {
        "format": "wolkvox-exporter recording",
        "version": 1,
        "exporter": __version__,
        "recorded_at": now.isoformat(timespec="seconds"),
        "answers": [_entry(number, one, mask) for number, one in enumerate(sent, start=1)],
    }
    write(path, SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n")
    return sum(one.raw is not None for one in sent)


def _entry(number: int, probed: Probed, mask: _Mask) -> dict[str, Any]:
    status, content_type, body = probed.raw or (None, None, b"")
    encoding: str = json.detect_encoding(body)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"  # gives exactly the same bytes back
        text = body.decode(encoding)
    window, reason = probed.request and probed.request.window, probed.verdict.reason
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


class _Mask:
    """Replaces names by numbers, the same name by the same number."""

    def __init__(self, queries: Iterable[Probed]) -> None:
        self._numbers = defaultdict[str, str](map("name-{}".format, count(1)).__next__)
        names = {
            name
            for one in queries
            for name in (one.operation.name, one.operation.server, one.skill.name)
            if len(name) > 1 and not name.isdigit() and name != "all"
        }
        # The longest first: one name may hold another.
        known = sorted(names, key=lambda name: (-len(name), name))
        self._known = re.compile("|".join(map(re.escape, known)) or "(?!)", re.IGNORECASE)

    def text(self, text: str) -> str:
        """A text in which known names are replaced."""
        return self._known.sub(lambda match: self._numbers[match[0].casefold()], text)

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
        return value if _FIGURE.fullmatch(value) else self._numbers[value.casefold()]
