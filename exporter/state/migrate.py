"""The tables of the state file; reads files of earlier versions, once, when they are opened."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from contextlib import closing
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

# The tables of 0.1.0, renamed to `<name>_1`, into those of version 2. It named an operation
# `url#name`, or by its base URL alone: the row of the URL gets the name PLAIN, and
# `Storage.claim` gives it to the only operation there. The attempts of a URL hold for every
# operation there, as spacing.
_TABLES_1 = ("attempts", "memories", "calls", "pauses", "facts")
_FROM_1 = """
    INSERT INTO operations (base_url, name, seen_at)
      SELECT substr(owner, 1, instr(owner || '#', '#') - 1),
        substr(owner, instr(owner || '#', '#') + 1),
        (SELECT coalesce(max(at), 0) FROM attempts_1)
      FROM (SELECT owner FROM memories_1 UNION SELECT member FROM pauses_1
        UNION SELECT member FROM facts_1 UNION SELECT base_url FROM attempts_1
        UNION SELECT name FROM calls_1 WHERE name NOT LIKE '#%');
    CREATE TEMP VIEW owners AS
      SELECT id, base_url, name = '' AS plain, '#' || name AS named,
        base_url || iif(name = '', '', '#' || name) AS owner FROM operations;
    INSERT INTO attempts
      SELECT id, skill_id, iif(plain, at, NULL), iif(plain, NULL, at), closing_day,
        closing_tries FROM attempts_1 JOIN owners USING (base_url);
    INSERT INTO memories
      SELECT id, skill_id, memory_1_to_2(memory) FROM memories_1 JOIN owners USING (owner);
    INSERT INTO requests
      SELECT id, day, calls FROM calls_1 JOIN owners ON name = iif(plain, base_url, named);
    INSERT INTO facts
      SELECT id, name, fact FROM facts_1 JOIN owners ON owner = member
      UNION ALL SELECT id, 'pause', pause FROM pauses_1 JOIN owners ON owner = member;
    DROP VIEW owners;
"""

# The order of a row's figures in a file of version 1, and in the first progress of a backfill.
FIGURES_1 = (
    *("channel", "inbound", "answered", "abandoned"),
    *("service_level_10", "service_level_20", "service_level_30"),
    *("abandonment", "asa", "ata"),
)


def bring_to_version(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables or upgrade them; raises sqlite3.DatabaseError, StartError (too new)."""
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem is not None and problem[0] != "ok":
        raise sqlite3.DatabaseError(str(problem[0]))
    connection.execute("BEGIN IMMEDIATE")  # also proves that the file can be written
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StartError("newer", path=path, version=version, known=VERSION)
    old = _TABLES_1 if version == 1 else ()
    if version < VERSION:
        connection.create_function("memory_1_to_2", 1, memory_1_to_2)
        statements = [f"ALTER TABLE {table} RENAME TO {table}_1" for table in old]
        statements += SCHEMA.split(";")
        statements.append(f"INSERT INTO settings VALUES ('salt', '{secrets.token_hex(16)}')")  # noqa: S608 - hex
        statements += _FROM_1.split(";") if old else ()
        statements += [f"DROP TABLE {table}_1" for table in old]
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def copy_in_memory(path: Path) -> sqlite3.Connection:
    """Copy a file and upgrade the copy; raises StartError, also where it is too new."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        os.stat(path)
        # Without a write-ahead log nobody writes to it, and SQLite would leave one behind.
        how = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
        uri = f"{path.absolute().as_uri()}?{how}"
        with closing(sqlite3.connect(uri, uri=True)) as file:
            file.backup(copy)
        bring_to_version(copy, path)
    except (OSError, sqlite3.Error, StartError) as error:
        copy.close()
        if isinstance(error, StartError):
            raise
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise StartError("unreadable", path=path, why=why) from error
    return copy


def memory_1_to_2(text: str) -> str:
    """Name the figures of a memory's rows, which were lists; other forms stay as they are."""
    try:
        memory = json.loads(text)
        for result in filter(None, (memory.get("today"), memory.get("yesterday"))):
            result["rows"] = [
                dict(zip(FIGURES_1, row, strict=True)) if isinstance(row, list) else row
                for row in result["rows"]
            ]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return text
    return json.dumps(memory)
