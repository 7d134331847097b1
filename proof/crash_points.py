"""Inside the process that is to die: it kills itself at the n-th point of writing its state.

The exporter is not changed: the SQLite connection under its state is another class, which
counts. A point is before each statement that writes and before and after each commit of one;
transactions that only read have none.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from exporter import runtime
from exporter.runtime import Clock

BEFORE, WRITTEN, COMMITTED = "before it", "before its commit", "after its commit"
OPENING, ENDING = "the file is opened and made", "the file is closed"
CLOSING = "the attempt to close a day is written"
# What is written, by the first table that a transaction changes.
KINDS = {
    "attempts": "an attempt is written",
    "requests": "an attempt is written",
    "memories": "a result is written",
    "facts": "a pause is written",
    "operations": "an operation is written",
    "settings": OPENING,
}
_TABLE = re.compile(r"(?:INTO|UPDATE|DELETE FROM|TABLE) (\w+)")
_lock = threading.Lock()


class _Deadly(sqlite3.Connection):
    """A connection on which a process may die; `left` points are left."""

    left = 0
    note = Path()
    doing = ""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Run a statement, unless the process dies before it."""
        self._meet(sql, parameters)
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT" and self.doing:
            self._reach(COMMITTED)
        return cursor

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        """Run a statement many times, unless the process dies before it."""
        self._meet(sql, parameters)
        return super().executemany(sql, parameters)

    def close(self) -> None:
        """Close the file, unless the process dies before it."""
        self.doing = ENDING
        self._reach(BEFORE)
        super().close()

    def _meet(self, sql: str, parameters: Any) -> None:
        if sql.startswith("BEGIN"):
            self.doing = ""
        elif found := _TABLE.search(sql):
            first, self.doing = not self.doing, self.doing or KINDS.get(found[1], OPENING)
            if found[1] == "attempts" and len(parameters) == 6 and parameters[4] is not None:
                self.doing = CLOSING
            self._reach(BEFORE if first else WRITTEN)
        elif sql == "COMMIT" and self.doing:
            self._reach(WRITTEN)

    def _reach(self, moment: str) -> None:
        """Count one point; die at the last."""
        with _lock:
            _Deadly.left -= 1
            if _Deadly.left == 0:
                self.note.write_text(f"while {self.doing}: {moment}", encoding="utf-8")
                os.kill(os.getpid(), signal.SIGKILL)


def arm(point: int, note: Path, shift: float = 0.0) -> None:
    """Let this process die at the `point`-th point (0: never), and live `shift` seconds on.

    To be called before the exporter starts; `note` is written just before the death.
    """
    clock = runtime.system_clock()
    later = timedelta(seconds=shift)
    shifted = Clock(lambda: datetime.now(UTC) + later, clock.monotonic, clock.sleep)
    runtime.system_clock = lambda: shifted
    _Deadly.left, _Deadly.note = point, note
    sqlite3.connect = partial(sqlite3.connect, factory=_Deadly)  # type: ignore[assignment]
