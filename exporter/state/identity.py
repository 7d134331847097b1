"""Which row of the state file belongs to which configured operation; steps of a transaction.

An operation is known by itself: base URL, name and token. The rows of one server are never
mixed up, whoever joins, leaves, is renamed or rotates a token beside it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.config import Configuration
from exporter.logs import say
from exporter.state.migrate import PLAIN
from exporter.wolkvox.windows import DAY_SECONDS

log = logging.getLogger(__name__)

KEEP_DAYS = 40  # of operations that nobody claims, and of counts of requests


@dataclass(frozen=True, slots=True)
class Claim:
    """What an operation is known by, as it is configured or as its row has it.

    `token` is the digest of its token: None where it cannot be read, or, in a row, where none
    was accepted yet.
    """

    name: str
    base_url: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """An operation's row in the state file, and the rows that share its count of requests."""

    id: int
    account: tuple[int, ...]


def claims_of(configuration: Configuration) -> list[Claim]:
    """Read the tokens of the operations, and return what each can be known by."""
    operations = configuration.operations
    return [Claim(one.name, one.base_url, one.token.digest()) for one in operations]


def match(claims: Sequence[Claim], rows: Mapping[int, Claim]) -> dict[str, int]:
    """Return the row id of each claim by the claim's name; one without it begins anew.

    In passes, each row claimed once: unchanged; renamed; token rotated; moved to another
    server. A rotation is believed only where the old token is in no claim and the new one in
    no row: otherwise two operations were swapped, and their rows follow the tokens.
    """
    free = dict(rows)
    claimed_tokens = {claim.token for claim in claims} - {None}
    stored_tokens = {row.token for row in rows.values()} - {None}

    def rotated(claim: Claim, row: Claim) -> bool:
        known = row.token in claimed_tokens or claim.token in stored_tokens
        return not known and (claim.base_url, claim.name) == (row.base_url, row.name)

    found: dict[str, int] = {}
    passes: tuple[Callable[[Claim, Claim], object], ...] = (
        lambda claim, row: claim.token and claim == row,
        lambda claim, row: claim.token and claim == replace(row, name=claim.name),
        rotated,
        lambda claim, row: claim.token and claim == replace(row, base_url=claim.base_url),
    )
    for fits in passes:
        for claim in (one for one in claims if one.name not in found):
            row = next((row for row, known in free.items() if fits(claim, known)), None)
            if row is not None:
                found[claim.name] = row
                del free[row]
    return found


def claim_rows(db: sqlite3.Connection, claims: Sequence[Claim], now: float) -> dict[int, Claim]:
    """Return the claims by row, in their order; the row is new where none matches."""
    # Of two that fit, the one that was there last: the other may have left weeks ago.
    select = db.execute(
        "SELECT id, name, base_url, token FROM operations ORDER BY seen_at DESC, id"
    )
    found = match(claims, {row: Claim(*known) for row, *known in select})
    rows: dict[int, Claim] = {}
    for one in claims:
        ((row,),) = db.execute(
            "INSERT INTO operations (id, base_url, name, token, seen_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET base_url = excluded.base_url, name = excluded.name,"
            " token = coalesce(token, excluded.token), seen_at = excluded.seen_at"
            " RETURNING id",
            (found.get(one.name), one.base_url, one.name, one.token, now),
        ).fetchall()
        rows[row] = one
    _give_away_plain_rows(db, rows)
    for row in rows.keys() - found.values():
        _keep_spacing(db, row, rows)
    db.execute("DELETE FROM operations WHERE seen_at < ?", (now - KEEP_DAYS * DAY_SECONDS,))
    return rows


def _give_away_plain_rows(db: sqlite3.Connection, claimed: Mapping[int, Claim]) -> None:
    """Give what 0.1.0 kept under a base URL alone to the only operation there."""
    plain = db.execute("SELECT id, base_url FROM operations WHERE name = ?", (PLAIN,))
    for old, base_url in plain.fetchall():
        there = [row for row, one in claimed.items() if one.base_url == base_url]
        if len(there) == 1:
            _merge(db, old, there[0])
        elif there:
            message = (
                "what an earlier version kept may be of any operation: counters begin anew"
            )
            say(log, logging.WARNING, message, url=base_url, operations=len(there))
            for row in there:
                _keep_spacing(db, row, there)
        if there:
            db.execute("DELETE FROM operations WHERE id = ?", (old,))


def _merge(db: sqlite3.Connection, old: int, row: int) -> None:
    """Move everything of one row to another, which keeps the newer memories."""
    succeeded = (
        "CASE WHEN json_valid({0}.memory)"
        " THEN coalesce(json_extract({0}.memory, '$.last_success_at'), 0) ELSE 0 END"
    )
    db.execute(
        "DELETE FROM memories AS own WHERE operation = ? AND EXISTS ("  # noqa: S608 - literals
        " SELECT 1 FROM memories AS other WHERE other.operation = ?"
        " AND other.skill_id = own.skill_id"
        f" AND {succeeded.format('other')} > {succeeded.format('own')})",
        (row, old),
    )
    for update in ("REPLACE attempts", "IGNORE memories", "IGNORE requests", "IGNORE facts"):
        statement = f"UPDATE OR {update} SET operation = ? WHERE operation = ?"  # noqa: S608 - literals
        db.execute(statement, (row, old))


def _keep_spacing(db: sqlite3.Connection, row: int, claimed: Collection[int]) -> None:
    """Keep the interval to the last attempts of unclaimed rows of the same base URL."""
    db.execute(
        "INSERT INTO attempts (operation, skill_id, spaced_from)"
        " SELECT new.id, skill_id, max(coalesce(at, spaced_from)) FROM attempts"
        " JOIN operations AS old ON old.id = operation"
        " JOIN operations AS new ON new.id = ? AND new.base_url = old.base_url"
        " WHERE old.id NOT IN (SELECT value FROM json_each(?)) AND skill_id NOT LIKE '#%'"
        " GROUP BY skill_id ON CONFLICT DO UPDATE"
        " SET spaced_from = max(coalesce(spaced_from, 0), excluded.spaced_from)",
        (row, json.dumps([*claimed])),
    )
