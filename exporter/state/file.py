"""The SQLite file itself: opening, version, damage; knows no attempt and no result.

Every commit is flushed (WAL, synchronous=FULL). A damaged file is never overwritten.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from exporter.errors import StartError

log = logging.getLogger(__name__)

# Each entry takes the file from version n to n + 1; an entry is never edited once released.
MIGRATIONS = (
    """
    CREATE TABLE attempts (
      base_url TEXT NOT NULL, skill_id TEXT NOT NULL, at REAL NOT NULL,
      closing_day TEXT, closing_tries INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (base_url, skill_id)) WITHOUT ROWID;
    CREATE TABLE memories (
      owner TEXT NOT NULL, skill_id TEXT NOT NULL, memory TEXT NOT NULL,
      PRIMARY KEY (owner, skill_id)) WITHOUT ROWID;
    CREATE TABLE calls (
      name TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL,
      PRIMARY KEY (name, day)) WITHOUT ROWID;
    CREATE TABLE pauses (
      member TEXT NOT NULL PRIMARY KEY, pause TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE facts (
      member TEXT NOT NULL, name TEXT NOT NULL, fact TEXT NOT NULL,
      PRIMARY KEY (member, name)) WITHOUT ROWID;
    """,
)


def is_refusal(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is sound but cannot be written just now (full, locked, read-only)."""
    return isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error)


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the file, checked and brought to this version.

    Raises sqlite3.DatabaseError where it is damaged or cannot be written (`is_refusal`
    tells which), and StartError where a newer exporter wrote it.
    """
    connection = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()
        if problem is not None and problem[0] != "ok":
            raise sqlite3.DatabaseError(str(problem[0]))  # noqa: TRY301 - as SQLite itself would
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")  # also proves that the file can be written
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise StartError(
            f"the state file {path} was written by a newer exporter (version {version}, this "
            f"one knows {len(MIGRATIONS)}): run the newer one, or move the file away"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in filter(str.strip, script.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
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
        "counters start at 0 and the spacing of the first calls is unknown",
        path, error, aside.name,
    )  # fmt: skip
    return aside
