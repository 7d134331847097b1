"""The state file: attempts, results, budgets and pauses in SQLite; decides nothing.

Two commits a poll: the attempt before the request leaves, the result before it is shown.
Every commit is flushed to the disk (WAL, synchronous=FULL), so that neither a kill nor a
power cut makes a query be asked early or a counter fall.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from exporter.errors import StartError, StorageError
from exporter.state.codec import memory_from_json, memory_to_json
from exporter.state.file import connect, is_refusal, put_aside
from exporter.state.snapshot import QueryMemory

log = logging.getLogger(__name__)

FILE_NAME = "wolkvox-exporter.db"
_COMPACT = json.JSONEncoder(separators=(",", ":"))
KEEP_DAYS = 40  # of call counts: a look back over a month, and no growth


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request about to leave: whose, when, on which account, and under which limits.

    `known_at` is the last attempt this process knows of; a newer one on disk was made by
    another process, and `gap` seconds must have passed since. `account` are the names under
    which the token's calls are counted; `ceiling` is its daily limit, where there is one.
    """

    base_url: str
    skill_id: str
    at: float
    known_at: float | None
    gap: float
    account: tuple[str, ...]
    day: date
    ceiling: int | None
    closing: date | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The last attempt of one query, and how often its last finished day was asked for."""

    attempt_at: float | None = None
    closing_day: date | None = None
    closing_tries: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """The attempt is on disk as `after`; `before` is what stood there, for `take_back`."""

    used: int
    before: Stored
    after: Stored


@dataclass(frozen=True, slots=True)
class TooEarly:
    """Another process asked the same query at `last_at`."""

    last_at: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The day's budget is used up."""

    used: int


class Storage:
    """One open state file; every method is one step of a transaction (see `transact`).

    Errors: sqlite3.Error from the steps, turned into StorageError by `transact`.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.path = directory / FILE_NAME
        self._connection = connection

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open or create the file in `directory`; a damaged one is put aside first.

        Raises StartError where the directory or the file cannot be written.
        """
        path = directory / FILE_NAME
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                connection = connect(path)
            except sqlite3.DatabaseError as error:
                if is_refusal(error):
                    raise
                put_aside(path, error)
                connection = connect(path)
        except (OSError, sqlite3.Error) as error:
            raise StartError(
                f"the state directory {directory} cannot be written ({error}); "
                "set --storage.path to a directory of the exporter's user"
            ) from error
        return cls(directory, connection)

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._connection.close()

    def recover(self, error: sqlite3.DatabaseError) -> None:
        """Put a file that turned out damaged aside and go on with an empty one."""
        self._connection.close()
        put_aside(self.path, error)
        self._connection = connect(self.path)

    def transact(self, steps: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run the steps in one transaction and flush it; all of them hold, or none.

        Raises StorageError where the file cannot be written or turned out damaged.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                results = [step(self) for step in steps]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the fault of a step, not of the file
        except sqlite3.DatabaseError as error:
            if not is_refusal(error):
                self._recover_or_report(error)
            raise StorageError(f"{self.path}: {error}") from error
        return results

    def _recover_or_report(self, error: sqlite3.DatabaseError) -> None:
        try:
            self.recover(error)
        except (OSError, sqlite3.Error) as again:
            raise StorageError(f"{self.path}: {error}; then: {again}") from again

    # Steps -------------------------------------------------------------------------------

    def begin_attempt(self, attempt: Attempt) -> Granted | TooEarly | Spent:
        """Write that a request is about to leave and count it, or say why it must not."""
        before = self.stored(attempt.base_url, attempt.skill_id)
        last = before.attempt_at
        if (
            last is not None
            and last != attempt.known_at
            and 0 <= attempt.at - last < attempt.gap
        ):
            return TooEarly(last)
        used = self.used(attempt.account, attempt.day)
        if attempt.ceiling is not None and used >= attempt.ceiling:
            return Spent(used)
        closing_day, tries = before.closing_day, before.closing_tries
        if attempt.closing is not None:
            tries = tries + 1 if closing_day == attempt.closing else 1
            closing_day = attempt.closing
        after = Stored(attempt.at, closing_day, tries)
        self._write_attempt(attempt, after)
        self._count(attempt, used + 1)
        return Granted(used + 1, before, after)

    def take_back(self, attempt: Attempt, before: Stored) -> int:
        """Undo an attempt whose connection was never made; returns the calls of the day."""
        self._write_attempt(attempt, before)
        used = max(0, self.used(attempt.account, attempt.day) - 1)
        self._count(attempt, used)
        return used

    def stored(self, base_url: str, skill_id: str) -> Stored:
        """The last attempt of one query, whoever made it."""
        row = self._connection.execute(
            "SELECT at, closing_day, closing_tries FROM attempts"
            " WHERE base_url = ? AND skill_id = ?",
            (base_url, skill_id),
        ).fetchone()
        if row is None:
            return Stored()
        closing = date.fromisoformat(row[1]) if row[1] else None
        return Stored(float(row[0]), closing, int(row[2]))

    def save_memory(self, owner: str, skill_id: str, memory: QueryMemory) -> bool:
        """Write what must survive a restart of one query; always True."""
        text = _COMPACT.encode(memory_to_json(memory))
        self._connection.execute(
            "INSERT INTO memories VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET memory = excluded.memory",
            (owner, skill_id, text),
        )
        return True

    def memory(self, owner: str, skill_id: str) -> QueryMemory | None:
        """What was saved of one query; what cannot be read counts as nothing."""
        row = self._connection.execute(
            "SELECT memory FROM memories WHERE owner = ? AND skill_id = ?",
            (owner, skill_id),
        ).fetchone()
        if row is None:
            return None
        try:
            return memory_from_json(json.loads(row[0]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning(
                "%s: what was saved of skill %s cannot be read (%s); it starts afresh",
                self.path, skill_id, error,
            )  # fmt: skip
            return None

    def used(self, account: Sequence[str], day: date) -> int:
        """Calls of the day on one token: they count under every name, the largest holds."""
        row = self._connection.execute(
            f"SELECT max(calls) FROM calls WHERE day = ? AND name IN ({_marks(account)})",  # noqa: S608 - marks alone
            (day.isoformat(), *account),
        ).fetchone()
        return int(row[0] or 0)

    def save_json(self, table: str, member: str, name: str, data: Any) -> None:
        """Write a pause (`pauses`) or another small fact (`facts`); None deletes it."""
        where, values = _small(table, member, name)
        if data is None:
            self._connection.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608 - two fixed names
            return
        self._connection.execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({_marks((*values, data))})",  # noqa: S608 - two fixed names
            (*values, json.dumps(data)),
        )

    def load_json(self, table: str, member: str, name: str) -> Any:
        """Read what `save_json` wrote; None where there is nothing or it is unreadable."""
        where, values = _small(table, member, name)
        column = "pause" if table == "pauses" else "fact"
        row = self._connection.execute(
            f"SELECT {column} FROM {table} WHERE {where}",  # noqa: S608 - two fixed names
            values,
        ).fetchone()
        try:
            return json.loads(row[0]) if row else None
        except (ValueError, RecursionError):
            return None

    def _write_attempt(self, attempt: Attempt, stored: Stored) -> None:
        key = (attempt.base_url, attempt.skill_id)
        if stored.attempt_at is None:
            self._connection.execute(
                "DELETE FROM attempts WHERE base_url = ? AND skill_id = ?", key
            )
            return
        closing = stored.closing_day.isoformat() if stored.closing_day else None
        self._connection.execute(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
            (*key, stored.attempt_at, closing, stored.closing_tries),
        )

    def _count(self, attempt: Attempt, used: int) -> None:
        day = attempt.day.isoformat()
        rows = ", ".join(["(?, ?, ?)"] * len(attempt.account))
        self._connection.execute(
            f"INSERT INTO calls VALUES {rows}"  # noqa: S608 - marks alone
            " ON CONFLICT DO UPDATE SET calls = excluded.calls",
            [value for name in attempt.account for value in (name, day, used)],
        )
        if used == 1:  # the first of a day: looking each time would cost as much as counting
            oldest = date.fromordinal(attempt.day.toordinal() - KEEP_DAYS).isoformat()
            self._connection.execute("DELETE FROM calls WHERE day < ?", (oldest,))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _small(table: str, member: str, name: str) -> tuple[str, tuple[str, ...]]:
    if table == "pauses":
        return "member = ?", (member,)
    return "member = ? AND name = ?", (member, name)
