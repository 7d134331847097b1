"""Which row of the state file belongs to which configured operation; steps of a transaction.

An operation is known by itself: base URL, name and token. The rows of one server are never
mixed up, whoever joins, leaves, is renamed or rotates a token beside it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.config import Configuration
from exporter.state.migrate import PLAIN

log = logging.getLogger(__name__)

KEEP_DAYS = 40  # of operations that nobody claims, and of counts of requests
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A configured operation; `token` is the digest of its token, None if unreadable."""

    name: str
    base_url: str
    token: str | None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A stored operation; `token` is the digest last accepted, None where none was yet."""

    id: int
    base_url: str
    name: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """An operation in the state file: the id of its row, and who shares its count of requests.

    `account` holds the row ids of all operations with the same token, its own included.
    """

    id: int
    account: tuple[int, ...]


def claims_of(configuration: Configuration) -> list[Claim]:
    """Read the tokens of the operations, and return what each can be known by."""
    return [
        Claim(operation.name, operation.base_url, operation.token.digest())
        for operation in configuration.operations
    ]


def match(claims: Sequence[Claim], rows: Iterable[OperationRow]) -> dict[str, OperationRow]:
    """Return the row of each claim by the claim's name; a claim without one begins anew.

    In passes, each row claimed once: unchanged; renamed; token rotated; moved to another
    server. A rotation is believed only where the old token is in no claim and the new one in
    no row: otherwise two operations were swapped, and their rows follow the tokens.
    """
    free = {row.id: row for row in rows}
    claimed_tokens = {claim.token for claim in claims}
    stored_tokens = {row.token for row in free.values()} - {None}

    def same_url(claim: Claim, row: OperationRow) -> bool:
        return claim.base_url == row.base_url

    def same_name(claim: Claim, row: OperationRow) -> bool:
        return claim.name == row.name

    def same_token(claim: Claim, row: OperationRow) -> bool:
        return claim.token is not None and claim.token == row.token

    def rotated(claim: Claim, row: OperationRow) -> bool:
        known = row.token is not None and row.token in claimed_tokens
        return not known and claim.token not in stored_tokens

    found: dict[str, OperationRow] = {}
    for conditions in (
        (same_url, same_name, same_token),
        (same_url, same_token),
        (same_url, same_name, rotated),
        (same_name, same_token),
    ):
        for claim in (one for one in claims if one.name not in found):
            fitting = (row for row in free.values() if all(f(claim, row) for f in conditions))
            if (row := next(fitting, None)) is not None:
                found[claim.name] = free.pop(row.id)
    return found


def claim_rows(
    connection: sqlite3.Connection, claims: Sequence[Claim], now: float
) -> dict[str, OperationRow]:
    """Return the row of each claim by its name, a new one where none matches.

    The tokens of the claims are salted; `now` is in epoch seconds.
    """
    select = "SELECT id, base_url, name, token FROM operations"
    found = match(claims, [OperationRow(*row) for row in connection.execute(select)])
    rows: dict[str, OperationRow] = {}
    for one in claims:
        known = found.get(one.name)
        (row,) = connection.execute(
            "INSERT INTO operations (id, base_url, name, token, seen_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET base_url = excluded.base_url, name = excluded.name,"
            " token = coalesce(token, excluded.token), seen_at = excluded.seen_at"
            " RETURNING id, base_url, name, token",
            (known and known.id, one.base_url, one.name, one.token, now),
        ).fetchall()
        rows[one.name] = OperationRow(*row)
    _give_away_plain_rows(connection, list(rows.values()))
    claimed = [row.id for row in rows.values()]
    for name in rows.keys() - found.keys():
        _keep_spacing(connection, rows[name], claimed)
    connection.execute("DELETE FROM operations WHERE seen_at < ?", (now - KEEP_DAYS * _DAY,))
    return rows


def _give_away_plain_rows(
    connection: sqlite3.Connection, claimed: Sequence[OperationRow]
) -> None:
    """Give what 0.1.0 kept under a base URL alone to the only operation there."""
    plain = connection.execute("SELECT id, base_url FROM operations WHERE name = ?", (PLAIN,))
    for old, base_url in plain.fetchall():
        there = [row for row in claimed if row.base_url == base_url]
        if len(there) == 1:
            _merge(connection, old, there[0].id)
        elif there:
            log.warning(
                "what an earlier version kept of %s may be of any of its %d operations:"
                " their counters begin anew",
                base_url, len(there),
            )  # fmt: skip
            for row in there:
                _keep_spacing(connection, row, [one.id for one in there])
        if there:
            connection.execute("DELETE FROM operations WHERE id = ?", (old,))


def _merge(connection: sqlite3.Connection, old: int, row: int) -> None:
    """Move everything of one row to another, which keeps the newer memories."""
    succeeded = (
        "CASE WHEN json_valid({0}.memory)"
        " THEN coalesce(json_extract({0}.memory, '$.last_success_at'), 0) ELSE 0 END"
    )
    connection.execute(
        "DELETE FROM memories AS own WHERE operation = ? AND EXISTS ("  # noqa: S608 - literals
        " SELECT 1 FROM memories AS other WHERE other.operation = ?"
        " AND other.skill_id = own.skill_id"
        f" AND {succeeded.format('other')} > {succeeded.format('own')})",
        (row, old),
    )
    for conflict, table in (
        ("REPLACE", "attempts"),
        *(("IGNORE", table) for table in ("memories", "requests", "facts")),
    ):
        connection.execute(
            f"UPDATE OR {conflict} {table} SET operation = ? WHERE operation = ?",  # noqa: S608 - literals
            (row, old),
        )


def _keep_spacing(
    connection: sqlite3.Connection, row: OperationRow, claimed: Sequence[int]
) -> None:
    """Keep the interval to the last attempts of unclaimed rows of the same base URL."""
    connection.execute(
        "INSERT INTO attempts (operation, skill_id, spaced_from)"
        " SELECT ?, skill_id, max(coalesce(at, spaced_from)) FROM attempts"
        " JOIN operations ON id = operation WHERE base_url = ?"
        " AND id NOT IN (SELECT value FROM json_each(?)) AND skill_id NOT LIKE '#%'"
        " GROUP BY skill_id ON CONFLICT DO UPDATE"
        " SET spaced_from = max(coalesce(spaced_from, 0), excluded.spaced_from)",
        (row.id, row.base_url, json.dumps(claimed)),
    )
