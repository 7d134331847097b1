"""Reads state files of earlier versions, once, when such a file is opened."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

PLAIN = ""
"""The name of a row that version 1 kept under a base URL alone, whoever it belonged to."""

# The order of a row's figures in a file of version 1.
_FIGURES_1 = (
    *("channel", "inbound", "answered", "abandoned"),
    *("service_level_10", "service_level_20", "service_level_30"),
    *("abandonment", "asa", "ata"),
)


def from_version_1(connection: sqlite3.Connection) -> None:
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
        _move(connection, row, owner, base_url, name)
    for table in ("attempts", "memories", "calls", "pauses", "facts"):
        connection.execute(f"DROP TABLE {table}_1")


def _move(
    connection: sqlite3.Connection, row: int | None, owner: str, base_url: str, name: str
) -> None:
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
        [(row, skill_id, _text_1_to_2(text)) for skill_id, text in memories],
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


def _text_1_to_2(text: str) -> str:
    try:
        return json.dumps(memory_1_to_2(json.loads(text)))
    except (ValueError, RecursionError):
        return text  # its reader says that it cannot be read


def memory_1_to_2(data: Any) -> Any:
    """A query's memory with names for the figures of its rows, which were mere lists.

    What has another form is left as it is, to be refused or understood by the reader.
    """
    if not isinstance(data, dict):
        return data
    results = {name: _result(data[name]) for name in ("today", "yesterday") if name in data}
    return {**data, **results}


def _result(result: Any) -> Any:
    if not isinstance(result, dict) or not isinstance(result.get("rows"), list):
        return result
    return {**result, "rows": [_row(row) for row in result["rows"]]}


def _row(row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(_FIGURES_1):
        return row
    return dict(zip(_FIGURES_1, row, strict=True))
