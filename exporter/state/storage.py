"""The state file: operations, attempts, results, budgets and pauses in SQLite; decides nothing.

Two commits a poll: the attempt before the request leaves, the result before it is shown.
Every commit is flushed to the disk (WAL, synchronous=FULL), so that neither a kill nor a
power cut makes a query be asked early or a counter fall.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from exporter.errors import StartError, StorageError
from exporter.state.claims import KEEP_DAYS, claim_rows, marks
from exporter.state.codec import memory_from_json, memory_to_json
from exporter.state.file import connect, is_refusal, put_aside, used_before
from exporter.state.identity import Claim, Identity, OperationRow
from exporter.state.snapshot import QueryMemory

log = logging.getLogger(__name__)

FILE_NAME = "wolkvox-exporter.db"
_COMPACT = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request about to leave: whose, when, on which account, and under which limits.

    `operation` is the id of its row; `token` the digest of the token it is sent with.
    `known_at` is the last attempt this process knows of; a newer one on disk was made by
    another process, and `gap` seconds must have passed since. `account` are the rows that
    share the token's count of requests; `ceiling` is its daily limit, where there is one.
    """

    operation: int
    skill_id: str
    at: float
    known_at: float | None
    gap: float
    account: tuple[int, ...]
    day: date
    ceiling: int | None
    token: str | None = None
    closing: date | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The last attempt of one query, and how often its last finished day was asked for.

    `spaced_from` is an attempt that is not the operation's own (of one that is gone, or that
    a lost file may have held): the interval to it is kept, and it means nothing else.
    """

    attempt_at: float | None = None
    closing_day: date | None = None
    closing_tries: int = 0
    spaced_from: float | None = None

    @property
    def last_at(self) -> float | None:
        """The moment from which the interval to the next attempt counts."""
        moments = [at for at in (self.attempt_at, self.spaced_from) if at is not None]
        return max(moments, default=None)


@dataclass(frozen=True, slots=True)
class Granted:
    """The attempt is on disk as `after`; `before` is what stood there, for `take_back`.

    `rotated` says that the token is another one than the last accepted: see `accept`.
    """

    used: int
    before: Stored
    after: Stored
    rotated: bool = False


@dataclass(frozen=True, slots=True)
class TooEarly:
    """Another process asked the same query at `last_at`."""

    last_at: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The day's budget is used up."""

    used: int


@dataclass(frozen=True, slots=True)
class ForeignToken:
    """The token belongs to another operation: its figures are not this one's."""


class Storage:
    """One open state file; every method is one step of a transaction (see `transact`).

    Errors: sqlite3.Error from the steps, turned into StorageError by `transact`.
    """

    def __init__(
        self, directory: Path, connection: sqlite3.Connection, now: Callable[[], float]
    ) -> None:
        self.path = directory / FILE_NAME
        self._connection = connection
        self._now = now
        self._claimed: tuple[OperationRow, ...] = ()
        self._take_up()

    @classmethod
    def open(cls, directory: Path, now: Callable[[], float]) -> Self:
        """Open or create the file in `directory`; a damaged one is put aside first.

        `now` returns epoch seconds. Raises StartError where the directory or the file cannot
        be written.
        """
        path = directory / FILE_NAME
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lost = used_before(path)
            try:
                connection = connect(path)
            except sqlite3.DatabaseError as error:
                if is_refusal(error):
                    raise
                put_aside(path, error)
                connection, lost = connect(path), True
            storage = cls(directory, connection, now)
            if lost:
                storage._note_loss()
        except (OSError, sqlite3.Error) as error:
            raise StartError(
                f"the state directory {directory} cannot be written ({error}); "
                "set --storage.path to a directory of the exporter's user"
            ) from error
        return storage

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._connection.close()

    def recover(self, error: sqlite3.DatabaseError) -> None:
        """Put a file that turned out damaged aside and go on with an empty one."""
        self._connection.close()
        put_aside(self.path, error)
        self._connection = connect(self.path)
        self._take_up()
        self._note_loss()
        self._connection.executemany(
            "INSERT INTO operations VALUES (?, ?, ?, NULL, ?)",
            [(row.id, row.base_url, row.name, self._now()) for row in self._claimed],
        )

    def transact(self, steps: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run the steps in one transaction and flush it; all of them hold, or none.

        Raises StorageError where the file cannot be written, is gone or is damaged.
        """
        self._check_file()
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

    def _check_file(self) -> None:
        """Refuse to write to a file that nobody would find again."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            reason = f"{error.strerror}: put the file back, or restart the exporter"
            raise StorageError(f"{self.path}: {reason}") from error
        if (found.st_dev, found.st_ino) != self._file:
            raise StorageError(
                f"{self.path} was replaced: put the file back, or restart the exporter"
            )

    def _take_up(self) -> None:
        found = os.stat(self.path)
        self._file = (found.st_dev, found.st_ino)
        settings = dict(self._connection.execute("SELECT name, value FROM settings"))
        self._salt: str = settings["salt"]
        lost_at = settings.get("lost_at")
        self._lost_at = float(lost_at) if lost_at is not None else None

    def _note_loss(self) -> None:
        """Remember that attempts before now are unknown: all wait one interval from now."""
        self._lost_at = self._now()
        self._connection.execute(
            "INSERT OR REPLACE INTO settings VALUES ('lost_at', ?)", (repr(self._lost_at),)
        )

    def _recover_or_report(self, error: sqlite3.DatabaseError) -> None:
        try:
            self.recover(error)
        except (OSError, sqlite3.Error) as again:
            raise StorageError(f"{self.path}: {error}; then: {again}") from again

    # Whose rows they are -----------------------------------------------------------------

    def claim(self, claims: Sequence[Claim]) -> Mapping[str, Identity]:
        """Match the configured operations to the stored ones; returns them by name.

        An operation that begins anew keeps the interval to the last attempts of rows of its
        base URL that nobody claims. Rows that nobody claims for 40 days are dropped.
        """
        claims = [replace(one, token=self._salted(one.token)) for one in claims]
        rows = claim_rows(self._connection, claims, self._now())
        self._claimed = tuple(rows.values())
        accounts: dict[str | int, list[int]] = {}
        for one in claims:
            accounts.setdefault(one.token or rows[one.name].id, []).append(rows[one.name].id)
        return {
            one.name: Identity(row, tuple(sorted(accounts[one.token or row])))
            for one in claims
            for row in [rows[one.name].id]
        }

    def _salted(self, token: str | None) -> str | None:
        if token is None:
            return None
        return hashlib.sha256(f"{self._salt}{token}".encode()).hexdigest()

    def accept(self, operation: int, token: str) -> None:
        """Know the operation by the token with this digest from now on: it was accepted."""
        self._connection.execute(
            "UPDATE operations SET token = ? WHERE id = ?", (self._salted(token), operation)
        )

    def _is_foreign(self, attempt: Attempt, token: str) -> bool:
        """Whether a row outside of the attempt's account is known by this token."""
        row = self._connection.execute(
            "SELECT 1 FROM operations WHERE token = ?"  # noqa: S608 - marks alone
            f" AND id NOT IN ({marks(attempt.account)})",
            (token, *attempt.account),
        ).fetchone()
        return row is not None

    # Attempts and requests ---------------------------------------------------------------

    def begin_attempt(self, attempt: Attempt) -> Granted | TooEarly | Spent | ForeignToken:
        """Write that a request is about to leave and count it, or say why it must not."""
        before = self.stored(attempt.operation, attempt.skill_id)
        last = before.last_at
        if (
            last is not None
            and last != attempt.known_at
            and 0 <= attempt.at - last < attempt.gap
        ):
            return TooEarly(last)
        rotated = False
        if (token := self._salted(attempt.token)) is not None:
            known = self._connection.execute(
                "SELECT token FROM operations WHERE id = ?", (attempt.operation,)
            ).fetchone()
            rotated = known is not None and known[0] != token
            if rotated and self._is_foreign(attempt, token):
                return ForeignToken()
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
        return Granted(used + 1, before, after, rotated)

    def take_back(self, attempt: Attempt, before: Stored) -> int:
        """Undo an attempt whose connection was never made; returns the requests of the day."""
        self._write_attempt(attempt, before)
        used = max(0, self.used(attempt.account, attempt.day) - 1)
        self._count(attempt, used)
        return used

    def stored(self, operation: int, skill_id: str) -> Stored:
        """The last attempt of one query, whoever made it."""
        row = self._connection.execute(
            "SELECT at, closing_day, closing_tries, spaced_from FROM attempts"
            " WHERE operation = ? AND skill_id = ?",
            (operation, skill_id),
        ).fetchone()
        if row is None:
            return Stored(spaced_from=self._lost_at)
        closing = date.fromisoformat(row[1]) if row[1] else None
        return Stored(row[0], closing, int(row[2]), row[3])

    def used(self, account: Sequence[int], day: date) -> int:
        """Requests of the day on one token: counted for every operation, the largest holds."""
        row = self._connection.execute(
            f"SELECT max(requests) FROM requests WHERE day = ? AND operation IN ({marks(account)})",  # noqa: S608, E501 - marks alone
            (day.isoformat(), *account),
        ).fetchone()
        return int(row[0] or 0)

    def _write_attempt(self, attempt: Attempt, stored: Stored) -> None:
        closing = stored.closing_day.isoformat() if stored.closing_day else None
        self._connection.execute(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?)",
            (
                attempt.operation,
                attempt.skill_id,
                stored.attempt_at,
                stored.spaced_from,
                closing,
                stored.closing_tries,
            ),
        )

    def _count(self, attempt: Attempt, used: int) -> None:
        day = attempt.day.isoformat()
        rows = ", ".join(["(?, ?, ?)"] * len(attempt.account))
        self._connection.execute(
            f"INSERT INTO requests VALUES {rows}"  # noqa: S608 - marks alone
            " ON CONFLICT DO UPDATE SET requests = excluded.requests",
            [value for row in attempt.account for value in (row, day, used)],
        )
        if used == 1:  # the first of a day: looking each time would cost as much as counting
            oldest = date.fromordinal(attempt.day.toordinal() - KEEP_DAYS).isoformat()
            self._connection.execute("DELETE FROM requests WHERE day < ?", (oldest,))
            self._connection.executemany(
                "UPDATE operations SET seen_at = ? WHERE id = ?",
                [(attempt.at, row) for row in attempt.account],
            )

    # Results and facts -------------------------------------------------------------------

    def save_memory(self, operation: int, skill_id: str, memory: QueryMemory) -> bool:
        """Write what must survive a restart of one query; always True."""
        text = _COMPACT.encode(memory_to_json(memory))
        self._connection.execute(
            "INSERT INTO memories VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET memory = excluded.memory",
            (operation, skill_id, text),
        )
        return True

    def memory(self, operation: int, skill_id: str) -> QueryMemory | None:
        """What was saved of one query; what cannot be read counts as nothing."""
        row = self._connection.execute(
            "SELECT memory FROM memories WHERE operation = ? AND skill_id = ?",
            (operation, skill_id),
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

    def save_fact(self, operation: int, name: str, data: Any) -> None:
        """Write a small fact about an operation (`pause`, `skills`); None deletes it."""
        if data is None:
            self._connection.execute(
                "DELETE FROM facts WHERE operation = ? AND name = ?", (operation, name)
            )
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (operation, name, json.dumps(data))
        )

    def load_fact(self, operation: int, name: str) -> Any:
        """Read what `save_fact` wrote; None where there is nothing or it is unreadable."""
        row = self._connection.execute(
            "SELECT fact FROM facts WHERE operation = ? AND name = ?", (operation, name)
        ).fetchone()
        try:
            return json.loads(row[0]) if row else None
        except (ValueError, RecursionError):
            return None
