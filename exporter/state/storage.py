"""The state file: operations, attempts, results, budgets and pauses in SQLite.

Two commits a poll: the attempt before the request leaves, the result before it is shown.
Every commit is flushed to the disk (WAL, synchronous=FULL), so that neither a kill nor a
power cut makes a query be asked early or a counter fall. A damaged file is never overwritten.

The poll loops write through `State`: `ThreadedState` flushes beside the event loop, which a
flush of some milliseconds would hold up.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import queue
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Self, TypeVar

from exporter.errors import StartError, StorageError
from exporter.logs import say
from exporter.runtime import start_thread
from exporter.state import models
from exporter.state.identity import KEEP_DAYS, Claim, Identity, claim_rows
from exporter.state.migrate import bring_to_version, copy_in_memory
from exporter.state.models import Attempt, Granted, QueryMemory, Refused, Stored

log = logging.getLogger(__name__)

T = TypeVar("T")
FILE_NAME = "wolkvox-exporter.db"
CLOSING_SECONDS = 2.0
_MOST = 64  # writes in one flush: bounds how much one failing disk refuses at once


class Storage:
    """One open state file; every method is one step of a transaction (see `transact`).

    Errors: sqlite3.Error from the steps, turned into StorageError by `transact`.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path, self._now = path, now
        self._claimed: dict[int, Claim] = {}

    @classmethod
    def open(cls, directory: Path, now: Callable[[], float]) -> Self:
        """Open or create the file in `directory`; a damaged one is put aside first.

        `now` returns epoch seconds. Raises StartError where the directory or the file cannot
        be written, or where a newer exporter wrote it.
        """
        storage = cls(directory / FILE_NAME, now)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # An exporter has worked in the directory, and its file is missing.
            traces = ("locks", "alive", "exporter.lock", "*.db-wal", "*.db.damaged-*")
            worked = any(any(directory.glob(trace)) for trace in traces)
            lost = worked and not storage.path.exists()
            try:
                storage._connect()
            except sqlite3.DatabaseError as error:
                if _is_refusal(error):
                    raise
                storage._begin_anew(error)
            if lost:
                storage._note_loss()
        except (OSError, sqlite3.Error) as error:
            raise StartError("unwritable", directory=directory, why=error) from error
        return storage

    @classmethod
    def copy(cls, directory: Path, now: Callable[[], float]) -> Self:
        """Copy the file into memory; raises StorageError (unreadable), StartError (too new)."""
        storage = cls(directory / FILE_NAME, now)
        storage._take(copy_in_memory(storage.path))
        return storage

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._connection.close()

    def transact(self, steps: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Run the steps in one flushed transaction, all or none; raises StorageError."""
        self._check_file()
        try:
            self._execute("BEGIN IMMEDIATE")
            try:
                results = [step(self) for step in steps]
                self._execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the fault of a step, not of the file
        except sqlite3.DatabaseError as error:
            if not _is_refusal(error):
                self._connection.close()
                try:
                    self._begin_anew(error)
                except (OSError, sqlite3.Error) as again:
                    raise StorageError(f"{self.path}: {error}; then: {again}") from again
            raise StorageError(f"{self.path}: {error}") from error
        return results

    # The file ----------------------------------------------------------------------------

    def _connect(self) -> None:
        """Open or create the file, checked and upgraded; raises sqlite3.Error, StartError."""
        connection = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {setting}")
            bring_to_version(connection, self.path)
            found = os.stat(self.path)
            self._take(connection)
        except BaseException:
            connection.close()
            raise
        self._file = (found.st_dev, found.st_ino)

    def _take(self, connection: sqlite3.Connection) -> None:
        """Work with a database of this version from now on."""
        settings = dict(connection.execute("SELECT name, value FROM settings"))
        self._connection, self._execute = connection, connection.execute
        self._salt: str = settings["salt"]
        self._lost_at = float(settings["lost_at"]) if "lost_at" in settings else None

    def _check_file(self) -> None:
        """Refuse to write to a file that nobody would find again."""
        hint = "put the file back, or restart the exporter"
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}: {hint}") from error
        if (found.st_dev, found.st_ino) != self._file:
            raise StorageError(f"{self.path} was replaced: {hint}")

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Put the damaged file aside and go on with an empty one."""
        number = 0
        while (aside := Path(f"{self.path}.damaged-{number}")).exists():
            number += 1
        for suffix in ("", "-wal", "-shm"):
            if (source := Path(f"{self.path}{suffix}")).exists():
                os.replace(source, f"{aside}{suffix}")
        log.error(
            "the state file %s is damaged (%s); kept as %s, going on with an empty one: "
            "counters start at 0 and the first requests wait one interval",
            self.path, error, aside.name,
        )  # fmt: skip
        self._connect()
        self._note_loss()
        new = [(row, one.base_url, one.name, self._now()) for row, one in self._claimed.items()]
        self._connection.executemany("INSERT INTO operations VALUES (?, ?, ?, NULL, ?)", new)

    def _note_loss(self) -> None:
        """Remember that attempts before now are unknown: all wait one interval from now."""
        self._lost_at = self._now()
        at = repr(self._lost_at)
        self._execute("INSERT OR REPLACE INTO settings VALUES ('lost_at', ?)", (at,))

    # Operations --------------------------------------------------------------------------

    def claim(self, claims: Sequence[Claim]) -> Mapping[str, Identity]:
        """Match the configured operations to the stored ones; returns them by name.

        An operation that begins anew keeps the interval to the last attempts of rows of its
        base URL that nobody claims. Rows that nobody claims for 40 days are dropped.
        """
        claims = [replace(one, token=self._salted(one.token)) for one in claims]
        self._claimed = claim_rows(self._connection, claims, self._now())
        accounts: dict[str | int, list[int]] = {}
        for row, one in self._claimed.items():
            accounts.setdefault(one.token or row, []).append(row)
        return {
            one.name: Identity(row, tuple(sorted(accounts[one.token or row])))
            for row, one in self._claimed.items()
        }

    def accept(self, operation: int, token: str) -> None:
        """Know the operation by the token with this digest from now on: it was accepted."""
        salted = self._salted(token)
        self._execute("UPDATE operations SET token = ? WHERE id = ?", (salted, operation))

    def _salted(self, token: str | None) -> str | None:
        if token is None:
            return None
        return hashlib.sha256(f"{self._salt}{token}".encode()).hexdigest()

    # Attempts and requests ---------------------------------------------------------------

    def begin_attempt(self, attempt: Attempt) -> Granted | Refused:
        """Write that a request is about to leave and count it, or say why it must not."""
        before, accepted = self._last(attempt.operation, attempt.skill_id)
        token, others = self._salted(attempt.token), set[int]()
        rotated = token is not None and token != accepted
        if rotated:
            rows = self._execute("SELECT id FROM operations WHERE token = ?", (token,))
            others = {row for (row,) in rows} - {*attempt.account}
        if others & self._claimed.keys():
            return Refused()
        # Another row with this token is that of a tool which came to know it first.
        known = (before, *(self.stored(row, attempt.skill_id) for row in others))
        last = max((one.last_at for one in known if one.last_at is not None), default=None)
        age = None if last is None or last == attempt.known_at else attempt.at - last
        if age is not None and 0 <= age < attempt.gap:
            return Refused(last_at=last)
        used = self.used([*attempt.account, *others], attempt.day)
        if attempt.ceiling is not None and used >= attempt.ceiling:
            return Refused(used=used)
        closing_day, tries = before.closing_day, before.closing_tries
        if attempt.closing is not None:
            tries = tries + 1 if closing_day == attempt.closing else 1
            closing_day = attempt.closing
        after = Stored(attempt.at, closing_day, tries)
        self._write(attempt, after, used + 1)
        if attempt.memory is not None:
            self.save_memory(attempt.operation, attempt.skill_id, attempt.memory)
        return Granted(used + 1, before, after, rotated)

    def take_back(self, attempt: Attempt, before: Stored) -> int:
        """Undo an attempt whose connection was never made; returns the requests of the day."""
        used = max(0, self.used(attempt.account, attempt.day) - 1)
        self._write(attempt, before, used)
        return used

    def stored(self, operation: int, skill_id: str) -> Stored:
        """The last attempt of one query, by whichever process."""
        return self._last(operation, skill_id)[0]

    def used(self, account: Sequence[int], day: date) -> int:
        """Requests of the day on one token: counted for every operation, the largest holds."""
        row = self._execute(
            "SELECT max(requests) FROM requests"
            " WHERE day = ? AND operation IN (SELECT value FROM json_each(?))",
            (day.isoformat(), json.dumps(account)),
        ).fetchone()
        return int(row[0] or 0)

    def _last(self, operation: int, skill_id: str) -> tuple[Stored, str | None]:
        """The last attempt of one query, and the token last accepted, salted."""
        row = self._execute(
            "SELECT token, at, closing_day, closing_tries, spaced_from FROM operations"
            " LEFT JOIN attempts ON operation = id AND skill_id = ? WHERE id = ?",
            (skill_id, operation),
        ).fetchone()
        token, at, day, tries, spaced_from = row or (None,) * 5
        if tries is None:
            return Stored(spaced_from=self._lost_at), token
        return Stored(at, date.fromisoformat(day) if day else None, tries, spaced_from), token

    def _write(self, attempt: Attempt, stored: Stored, used: int) -> None:
        """Write the last attempt of a query, and the requests of the day on its account."""
        closing = stored.closing_day.isoformat() if stored.closing_day else None
        row = (stored.attempt_at, closing, stored.closing_tries, stored.spaced_from)
        self._execute(
            "INSERT OR REPLACE INTO attempts"
            " (operation, skill_id, at, closing_day, closing_tries, spaced_from)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (attempt.operation, attempt.skill_id, *row),
        )
        account = json.dumps(attempt.account)
        self._execute(
            "INSERT INTO requests SELECT value, ?, ? FROM json_each(?) WHERE true"
            " ON CONFLICT DO UPDATE SET requests = excluded.requests",
            (attempt.day.isoformat(), used, account),
        )
        if used == 1:  # the first of a day: looking each time would cost as much as counting
            oldest = date.fromordinal(attempt.day.toordinal() - KEEP_DAYS).isoformat()
            self._execute("DELETE FROM requests WHERE day < ?", (oldest,))
            self._execute(
                "UPDATE operations SET seen_at = ?"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (attempt.at, account),
            )

    # Results and facts -------------------------------------------------------------------

    def save_memory(self, operation: int, skill_id: str, memory: QueryMemory) -> bool:
        """Write what must survive a restart of one query; always True."""
        text = models.write_memory(memory)
        self._execute(
            "INSERT INTO memories VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET memory = excluded.memory",
            (operation, skill_id, text),
        )
        return True

    def memory(self, operation: int, skill_id: str) -> QueryMemory | None:
        """What was saved of one query; what cannot be read counts as nothing."""
        query = "SELECT memory FROM memories WHERE operation = ? AND skill_id = ?"
        row = self._execute(query, (operation, skill_id)).fetchone()
        try:
            return models.read_memory(row[0]) if row else None
        except ValueError as error:
            message = "what was saved of a skill cannot be read; it starts afresh"
            say(log, logging.WARNING, message, file=self.path, skill_id=skill_id, error=error)
            return None

    def save_fact(self, operation: int, name: str, data: Any) -> None:
        """Write a small fact about an operation (`pause`, `skills`); None: there is none."""
        row = (operation, name, json.dumps(data))
        self._execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", row)

    def load_fact(self, operation: int, name: str) -> Any:
        """Read what `save_fact` wrote; None where there is nothing or it is unreadable."""
        query = "SELECT fact FROM facts WHERE operation = ? AND name = ?"
        row = self._execute(query, (operation, name)).fetchone()
        try:
            return json.loads(row[0]) if row else None
        except (ValueError, RecursionError):
            return None


def _is_refusal(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is sound but cannot be written just now (full, locked, read-only)."""
    return isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error)


# Beside the event loop -------------------------------------------------------------------


class State:
    """What tools and tests write to: each step is flushed at once, on the caller's thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def write(self, step: Callable[[Storage], T]) -> T:
        """Run a step of `Storage` in a flushed transaction; raises StorageError."""
        result: T = self._storage.transact([step])[0]
        return result


_Job = tuple[Callable[[Storage], Any], asyncio.Future[Any]]


class ThreadedState(State):
    """State with a thread: what arrives while a flush is under way shares the next one."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = start_thread("state", self._work)

    async def write(self, step: Callable[[Storage], T]) -> T:
        """Hand the step to the thread and wait until it is on the disk.

        A task that is cancelled waits no longer; what it handed over is written.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((step, future))
        return await future

    def close(self) -> None:
        """Finish what was handed over and end the thread."""
        self._jobs.put(None)
        self._thread.join(CLOSING_SECONDS)

    def _work(self) -> None:
        ended = False
        while not ended:
            batch = [self._jobs.get()]
            while len(batch) < _MOST and not self._jobs.empty():
                batch.append(self._jobs.get())
            ended = None in batch
            if jobs := [job for job in batch if job is not None]:
                self._commit(jobs)

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            results = self._storage.transact([step for step, _ in jobs])
        except BaseException as error:  # noqa: BLE001 - handed on to the waiting task
            if len(jobs) > 1 and not isinstance(error, StorageError):
                # A defect in one step is none of its neighbours' business.
                for job in jobs:
                    self._commit([job])
                return
            results = [error] * len(jobs)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            jobs[0][1].get_loop().call_soon_threadsafe(_tell, jobs, results)


def _tell(jobs: list[_Job], results: list[Any]) -> None:
    """Give the waiting tasks their results, on the event loop."""
    for (_, future), result in zip(jobs, results, strict=True):
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
