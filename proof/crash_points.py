"""Inside the process that is to die: it kills itself at the n-th point of writing its state.

The exporter is not changed: the SQLite connection under its `Storage` is another class, which
counts. A point is before each statement that writes (the opening of the file included) and
after each commit; transactions that only read have none.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from exporter import service
from exporter.state.models import Attempt
from exporter.state.storage import Storage
from exporter.times import Clock

OPENING = "the file is opened and made"
ATTEMPT = "the attempt is written"
CLOSING = "the attempt to close the day is written"
RESULT = "the result is written"
PAUSE = "the pause is written"
ENDING = "the file is closed"
BEFORE, WRITTEN, COMMITTED = "before it", "before its commit", "after its commit"

_READING = ""
# How the poll loop's steps of a transaction are told apart: by the method that each calls.
_KINDS = {"begin_attempt": ATTEMPT, "take_back": ATTEMPT, "save_memory": RESULT}
_KINDS |= {"save_fact": PAUSE}


@dataclass
class _Countdown:
    """Points that are left, and where to say at which one the process died."""

    left: int = 0
    note: Path = Path()
    doing: str = OPENING
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, moment: str) -> None:
        """Count one point; die at the last."""
        if self.doing == _READING:
            return
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.note.write_text(f"{self.doing}|{moment}", encoding="utf-8")
                os.kill(os.getpid(), signal.SIGKILL)


_countdown = _Countdown()


class _Deadly(sqlite3.Connection):
    """A connection on which a process may die."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Run a statement, unless the process dies before it."""
        if not sql.startswith("SELECT"):
            _countdown.reach(BEFORE if sql.startswith("BEGIN") else WRITTEN)
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT":
            _countdown.reach(COMMITTED)
        return cursor

    def close(self) -> None:
        """Close the file, unless the process dies before it."""
        _countdown.doing = ENDING
        _countdown.reach(BEFORE)
        super().close()


def arm(point: int, note: Path, shift: float = 0.0) -> None:
    """Let this process die at the `point`-th point (0: never), and live `shift` seconds on.

    To be called before the exporter starts; `note` is written just before the death.
    """
    service.system_clock = partial(_shifted, service.system_clock(), timedelta(seconds=shift))
    if not point:
        return
    _countdown.left, _countdown.note = point, note
    sqlite3.connect = partial(sqlite3.connect, factory=_Deadly)  # type: ignore[assignment]
    open_file, transact = Storage.open, Storage.transact

    def opened(directory: Path, now: Callable[[], float]) -> Storage:
        storage = open_file(directory, now)
        _countdown.doing = _READING
        return storage

    def told(self: Storage, steps: Sequence[Callable[[Storage], Any]]) -> list[Any]:
        _countdown.doing = _kind(steps)
        try:
            return transact(self, steps)
        finally:
            _countdown.doing = _READING

    Storage.open = opened  # type: ignore[method-assign]
    Storage.transact = told  # type: ignore[method-assign, assignment]


def _shifted(clock: Clock, shift: timedelta) -> Clock:
    return Clock(lambda: datetime.now(UTC) + shift, clock.monotonic, clock.sleep)


def _kind(steps: Sequence[Callable[[Storage], Any]]) -> str:
    """What a transaction writes; of several things the first."""
    for step in steps:
        code: CodeType = step.__code__
        kind = next((_KINDS[name] for name in code.co_names if name in _KINDS), _READING)
        held = [cell.cell_contents for cell in step.__closure__ or ()]
        if any(isinstance(one, Attempt) and one.closing for one in held):
            kind = CLOSING
        if kind != _READING:
            return kind
    return _READING
