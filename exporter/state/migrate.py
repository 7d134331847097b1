"""The tables of the state file; reads files of earlier versions, once, when they are opened."""

from __future__ import annotations

import json
import secrets
import sqlite3
from pathlib import Path

from exporter.errors import StartError

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

PLAIN = ""
"""The name of a row that version 1 kept under a base URL alone, whoever it belonged to."""

# The order of a row's figures in a file of version 1.
_FIGURES_1 = (
    *("channel", "inbound", "answered", "abandoned"),
    *("service_level_10", "service_level_20", "service_level_30"),
    *("abandonment", "asa", "ata"),
)


def bring_to_version(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, or read those of an earlier version into them.

    Raises StartError where a newer exporter wrote the file.
    """
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
            _from_version_1(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _from_version_1(connection: sqlite3.Connection) -> None:
    """Move the tables of 0.1.0, renamed to `<name>_1`, into those of version 2.

    Version 1 named an operation `url#name`, or by its base URL alone: the row of the URL gets
    the name PLAIN, and `Storage.claim` gives it to the only operation there. The attempts of
    a URL hold for every operation there, as spacing.
    """
    owners = connection.execute(
        "SELECT owner FROM memories_1 UNION SELECT member FROM pauses_1"
        " UNION SELECT member FROM facts_1 UNION SELECT base_url FROM attempts_1"
        " UNION SELECT name FROM calls_1 WHERE name NOT LIKE '#%'"
    ).fetchall()
    for (owner,) in owners:
        base_url, _, name = owner.partition("#")
        row = connection.execute(
            "INSERT INTO operations (base_url, name, seen_at)"
            " VALUES (?, ?, coalesce((SELECT max(at) FROM attempts_1), 0))",
            (base_url, name),
        ).lastrowid
        _move(connection, row, owner)
    for table in ("attempts", "memories", "calls", "pauses", "facts"):
        connection.execute(f"DROP TABLE {table}_1")


def _move(connection: sqlite3.Connection, row: int | None, owner: str) -> None:
    """Move what version 1 kept under an owner to its new row."""
    base_url, _, name = owner.partition("#")
    own = "at, NULL" if name == PLAIN else "NULL, at"
    connection.execute(
        f"INSERT INTO attempts SELECT ?, skill_id, {own}, closing_day, closing_tries"  # noqa: S608 - one of two literals
        " FROM attempts_1 WHERE base_url = ?",
        (row, base_url),
    )
    memories = connection.execute(
        "SELECT skill_id, memory FROM memories_1 WHERE owner = ?", (owner,)
    ).fetchall()
    connection.executemany(
        "INSERT INTO memories VALUES (?, ?, ?)",
        [(row, skill_id, memory_1_to_2(text)) for skill_id, text in memories],
    )
    counted = owner if name == PLAIN else f"#{name}"
    connection.execute(
        "INSERT INTO requests SELECT ?, day, calls FROM calls_1 WHERE name = ?", (row, counted)
    )
    connection.execute(
        "INSERT INTO facts SELECT ?, name, fact FROM facts_1 WHERE member = ?"
        " UNION ALL SELECT ?, 'pause', pause FROM pauses_1 WHERE member = ?",
        (row, owner, row, owner),
    )


def memory_1_to_2(text: str) -> str:
    """Return a query's memory with names for the figures of its rows, which were mere lists.

    What has another form is left as it is, to be refused or understood by its reader.
    """
    try:
        memory = json.loads(text)
        for result in filter(None, (memory.get("today"), memory.get("yesterday"))):
            result["rows"] = [
                dict(zip(_FIGURES_1, row, strict=True)) if isinstance(row, list) else row
                for row in result["rows"]
            ]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return text
    return json.dumps(memory)
