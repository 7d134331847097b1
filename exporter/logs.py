"""Log lines as logfmt or JSON on stderr, scrubbed of every token the process has read."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {"WARNING": "warn", "CRITICAL": "error"}
# Wolkvox tokens are hex of `{...}` and a date: anything that looks like one is hidden.
_LOOKS_LIKE_TOKEN = re.compile(r"7b[0-9a-f]{38,}", re.IGNORECASE)
_PLAIN = re.compile(r'[^\s"=\\\x00-\x1f\x7f]+')


class Secrets:
    """The tokens that were read: whole, they are cut out of every line."""

    def __init__(self) -> None:
        self._known: list[str] = []
        self._added: set[str] = set()

    def add(self, secret: str) -> None:
        """Remember a token; short ones too, since they are real in tests only."""
        if secret in self._added:
            return
        self._added.add(secret)
        # As it is, and as it stands in quotes; the longest first, whatever begins alike.
        forms = {*self._known, secret, json.dumps(secret)[1:-1]} - {""}
        self._known = sorted(forms, key=len, reverse=True)

    def scrub(self, text: str) -> str:
        """The text without tokens."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, "[token]")
        return _LOOKS_LIKE_TOKEN.sub("[token]", text)


SECRETS = Secrets()


def say(logger: logging.Logger, level: int, message: str, /, **fields: Any) -> None:
    """Log one event with its fields (`operation=acme reason=quota`)."""
    logger.log(level, "%s", message, extra={"fields": fields})


class _Formatter(logging.Formatter):
    def _pairs(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = datetime.fromtimestamp(record.created, UTC)
        level = _NAMES.get(record.levelname, record.levelname.lower())
        pairs: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "msg": record.getMessage(),
        }
        fields = getattr(record, "fields", {})
        pairs.update({name: value for name, value in fields.items() if value is not None})
        if record.exc_info:
            pairs["traceback"] = self.formatException(record.exc_info)
        return pairs


class LogfmtFormatter(_Formatter):
    """`ts=… level=info msg="…" operation=acme`: one line an event, values quoted as needed."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = " ".join(f"{key}={_quote(value)}" for key, value in self._pairs(record).items())
        return SECRETS.scrub(line)


class JsonFormatter(_Formatter):
    """One JSON object a line, the same fields as logfmt."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return SECRETS.scrub(json.dumps(self._pairs(record), ensure_ascii=False, default=str))


def _quote(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send the exporter's log to `stream` (stderr); libraries speak from warnings on."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("exporter").setLevel(LEVELS[level])
    # httpx and httpcore describe requests at info and debug: nothing of that is for a log.
    for name in ("httpx", "httpcore", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
