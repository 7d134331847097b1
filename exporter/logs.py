"""Log lines as logfmt or JSON on stderr, scrubbed of every token the process has read.

A server logs without ever waiting for its reader: a thread writes the lines, and what finds
no room in front of it is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import signal
import sys
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from types import FrameType
from typing import Any, TextIO

from exporter.runtime import start_thread

LEVELS = dict(debug=logging.DEBUG, info=logging.INFO, warn=logging.WARNING, error=logging.ERROR)
_NAMES = {"WARNING": "warn", "CRITICAL": "error"}
# Wolkvox tokens are hex of `{...}` and a date: anything that looks like one is hidden.
_LOOKS_LIKE_TOKEN = re.compile(r"7b[0-9a-f]{38,}", re.IGNORECASE)
MOST_WAITING = 500
_PLAIN = re.compile(r'[^\s"=\\\x00-\x1f\x7f]+')


class Secrets:
    """The tokens that were read: whole, they are cut out of every line."""

    def __init__(self) -> None:
        self._known: list[str] = []

    def add(self, secret: str) -> None:
        """Remember a token; short ones too, since they are real in tests only."""
        if secret in self._known:
            return
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


class Formatter(logging.Formatter):
    """One line an event: `ts=… level=info msg="…" operation=acme`, or the same as JSON."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line without tokens."""
        moment = datetime.fromtimestamp(record.created, UTC)
        pairs: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _NAMES.get(record.levelname, record.levelname.lower()),
            "msg": record.getMessage(),
        }
        fields = getattr(record, "fields", {})
        pairs.update({name: value for name, value in fields.items() if value is not None})
        if record.exc_info:
            pairs["traceback"] = self.formatException(record.exc_info)
        if self._json:
            return SECRETS.scrub(json.dumps(pairs, ensure_ascii=False, default=str))
        return SECRETS.scrub(" ".join(f"{key}={_quote(value)}" for key, value in pairs.items()))


def _quote(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class BackgroundHandler(QueueHandler):
    """Formats a line where it is logged, and has a thread write it."""

    def __init__(self, stream: TextIO) -> None:
        # A signal's handler may put into it while it is being put into.
        self._lines: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        super().__init__(self._lines)
        self._stream = stream
        self.refused = self.failed = 0  # lines that found the queue full, the stream broken
        self._thread = start_thread("log", self._write)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue the formatted line, unless too many wait already."""
        if self._lines.qsize() >= MOST_WAITING:
            self.refused += 1
        else:
            self._lines.put(record)

    def finish(self, patience: float) -> bool:
        """Write what is queued and end the thread; False where the stream takes it no more."""
        self._lines.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _write(self) -> None:
        while (record := self._lines.get()) is not None:
            try:
                self._stream.write(f"{record.getMessage()}\n")
                self._stream.flush()
            except (OSError, ValueError):  # a full disk; a stream that was closed
                self.failed += 1


def dropped() -> int:
    """How many log lines were dropped so far."""
    return sum(one.refused + one.failed for one in _background())


def finish(patience: float = 1.0) -> bool:
    """Write what is queued before the process ends; False where the log takes it no more."""
    return all([one.finish(patience) for one in _background()])


def _background() -> list[BackgroundHandler]:
    return [one for one in logging.getLogger().handlers if isinstance(one, BackgroundHandler)]


def exit_on_signal(code: int = 0) -> None:
    """End the process at SIGTERM and SIGINT, wherever it is.

    For the time in which nothing is begun that a kill could not interrupt as well. It does
    not unwind: an exception out of a handler is raised in any code at all, and what calls
    back from C (a reader of forms, a weak reference) drops it or makes another of it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        finish(0.2)
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def configure(
    level: str, style: str, stream: TextIO | None = None, *, background: bool = False
) -> None:
    """Send the log to `stream` (stderr); with `background`, call `finish` at the end."""
    stream = sys.stderr if stream is None else stream
    handler: logging.Handler = logging.NullHandler()
    if stream is not None:  # None: closed by the shell
        handler = BackgroundHandler(stream) if background else logging.StreamHandler(stream)
    handler.setFormatter(Formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("exporter").setLevel(LEVELS[level])
    # httpx and httpcore describe requests at info and debug: nothing of that is for a log.
    for name in ("httpx", "httpcore", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
