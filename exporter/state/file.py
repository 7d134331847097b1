"""The SQLite file itself: opening, version, damage; knows no attempt and no result.

Every commit is flushed (WAL, synchronous=FULL). A damaged file is never overwritten.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from pathlib import Path

from exporter.errors import StartError
from exporter.state.migrate import from_version_1

log = logging.getLogger(__name__)

VERSION = 2
SCHEMA = """
    CREATE TABLE operations (
      id INTEGER PRIMARY KEY AUTOINCREMENT, base_url TEXT NOT NULL, name TEXT NOT NULL,
      token TEXT, seen_at REAL NOT NULL);
    CREATE TABLE attempts (
      operation INTEGER NOT NULL REFERENCES operations ON DELETE CASCADE,
      skill_id TEXT NOT NULL, at REAL, spaced_from REAL,
      closing_day TEXT, closing_tries INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (operation, skill_id)) WITHOUT ROWID;
    CREATE TABLE memories (
      operation INTEGER NOT NULL REFERENCES operations ON DELETE CASCADE,
      skill_id TEXT NOT NULL, memory TEXT NOT NULL,
      PRIMARY KEY (operation, skill_id)) WITHOUT ROWID;
    CREATE TABLE requests (
      operation INTEGER NOT NULL REFERENCES operations ON DELETE CASCADE,
      day TEXT NOT NULL, requests INTEGER NOT NULL,
      PRIMARY KEY (operation, day)) WITHOUT ROWID;
    CREATE TABLE facts (
      operation INTEGER NOT NULL REFERENCES operations ON DELETE CASCADE,
      name TEXT NOT NULL, fact TEXT NOT NULL,
      PRIMARY KEY (operation, name)) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def is_refusal(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is sound but cannot be written just now (full, locked, read-only)."""
    return isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error)


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the file, checked and brought to this version.

    Raises sqlite3.DatabaseError where it is damaged or cannot be written (`is_refusal`
    says which), and StartError where a newer exporter wrote it.
    """
    connection = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()
        if problem is not None and problem[0] != "ok":
            raise sqlite3.DatabaseError(str(problem[0]))  # noqa: TRY301 - as SQLite itself would
        _bring_to_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_to_version(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")  # also proves that the file can be written
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StartError(
            f"the state file {path} was written by a newer exporter (version {version}, this "
            f"one knows {VERSION}): run the newer one, or move the file away"
        )
    if version < VERSION:
        old = version == 1
        if old:
            for table in ("attempts", "memories", "calls", "pauses", "facts"):
                connection.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
        for statement in filter(str.strip, SCHEMA.split(";")):
            connection.execute(statement)
        salt = secrets.token_hex(16)
        connection.execute("INSERT INTO settings VALUES ('salt', ?)", (salt,))
        if old:
            from_version_1(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def put_aside(path: Path, error: Exception) -> Path:
    """Rename a damaged state file, with its log files, so that nothing is destroyed."""
    number = 0
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            os.replace(source, aside.with_name(aside.name + suffix))
    log.error(
        "the state file %s is damaged (%s); kept as %s, going on with an empty one: "
        "counters start at 0 and the first requests wait one interval",
        path, error, aside.name,
    )  # fmt: skip
    return aside


def used_before(path: Path) -> bool:
    """Whether an exporter has worked in the directory of a state file that is missing."""
    if path.exists():
        return False
    traces = ("locks", "alive", "exporter.lock", f"{path.name}-wal")
    return any((path.parent / name).exists() for name in traces) or any(
        path.parent.glob(f"{path.name}.damaged-*")
    )
