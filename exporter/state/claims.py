"""Gives the rows of the state file to the configured operations; steps of a transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping, Sequence

from exporter.state.identity import Claim, OperationRow, match
from exporter.state.migrate import PLAIN

log = logging.getLogger(__name__)

KEEP_DAYS = 40  # of operations that nobody claims, and of counts of requests
_DAY = 86_400.0


def claim_rows(
    connection: sqlite3.Connection, claims: Sequence[Claim], now: float
) -> dict[str, OperationRow]:
    """Return the row of each claim by its name, a new one where none matches.

    The tokens of the claims are salted; `now` is in epoch seconds.
    """
    found = match(claims, _rows(connection))
    rows = {one.name: _write(connection, one, found.get(one.name), now) for one in claims}
    _give_away_plain_rows(connection, claims, rows)
    for one in claims:
        if one.name not in found:
            _keep_spacing(connection, rows[one.name], [row.id for row in rows.values()])
    connection.execute("DELETE FROM operations WHERE seen_at < ?", (now - KEEP_DAYS * _DAY,))
    return rows


def marks(values: Sequence[object]) -> str:
    """Return the question marks of an SQL list."""
    return ", ".join("?" * len(values))


def _rows(connection: sqlite3.Connection) -> list[OperationRow]:
    found = connection.execute("SELECT id, base_url, name, token FROM operations")
    return [OperationRow(*row) for row in found.fetchall()]


def _write(
    connection: sqlite3.Connection, claim: Claim, row: OperationRow | None, now: float
) -> OperationRow:
    token = row.token if row is not None and row.token is not None else claim.token
    values = (claim.base_url, claim.name, token, now)
    if row is None:
        columns = "(base_url, name, token, seen_at)"
        number = connection.execute(
            f"INSERT INTO operations {columns} VALUES (?, ?, ?, ?)",  # noqa: S608 - a literal
            values,
        ).lastrowid
        assert number is not None  # noqa: S101 - an insert has a row
        return OperationRow(number, *values[:3])
    connection.execute(
        "UPDATE operations SET base_url = ?, name = ?, token = ?, seen_at = ? WHERE id = ?",
        (*values, row.id),
    )
    return OperationRow(row.id, *values[:3])


def _give_away_plain_rows(
    connection: sqlite3.Connection, claims: Sequence[Claim], rows: Mapping[str, OperationRow]
) -> None:
    """Give what 0.1.0 kept under a base URL alone to the only operation there."""
    plain = [row for row in _rows(connection) if row.name == PLAIN]
    for old in plain:
        there = [rows[one.name] for one in claims if one.base_url == old.base_url]
        if len(there) == 1:
            _merge(connection, old.id, there[0].id)
        elif there:
            log.warning(
                "what an earlier version kept of %s may be of any of its %d operations:"
                " their counters begin anew",
                old.base_url, len(there),
            )  # fmt: skip
            for row in there:
                _keep_spacing(connection, row, [one.id for one in there])
        if there:
            connection.execute("DELETE FROM operations WHERE id = ?", (old.id,))


def _merge(connection: sqlite3.Connection, old: int, row: int) -> None:
    """Move everything of one row to another, which keeps the newer memories."""
    at = (
        "CASE WHEN json_valid({0}.memory)"
        " THEN coalesce(json_extract({0}.memory, '$.last_success_at'), 0) ELSE 0 END"
    )
    connection.execute(
        "DELETE FROM memories AS own WHERE operation = ? AND EXISTS ("  # noqa: S608 - literals
        " SELECT 1 FROM memories AS other WHERE other.operation = ?"
        " AND other.skill_id = own.skill_id"
        f" AND {at.format('other')} > {at.format('own')})",
        (row, old),
    )
    for verb, table in (
        ("REPLACE", "attempts"),
        ("IGNORE", "memories"),
        ("IGNORE", "requests"),
        ("IGNORE", "facts"),
    ):
        connection.execute(
            f"UPDATE OR {verb} {table} SET operation = ? WHERE operation = ?",  # noqa: S608 - literals
            (row, old),
        )


def _keep_spacing(
    connection: sqlite3.Connection, row: OperationRow, claimed: Sequence[int]
) -> None:
    """Keep the interval to the last attempts of unclaimed rows of the same base URL."""
    connection.execute(
        "INSERT INTO attempts (operation, skill_id, spaced_from)"  # noqa: S608 - marks alone
        " SELECT ?, skill_id, max(coalesce(at, spaced_from)) FROM attempts"
        " JOIN operations ON id = operation WHERE base_url = ?"
        f" AND id NOT IN ({marks(claimed)}) AND skill_id NOT LIKE '#%' GROUP BY skill_id"
        " ON CONFLICT DO UPDATE"
        " SET spaced_from = max(coalesce(spaced_from, 0), excluded.spaced_from)",
        (row.id, row.base_url, *claimed),
    )
