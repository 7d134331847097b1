"""Matches configured operations to the rows of the state file; pure but for `claims_of`.

An operation is known by itself: base URL, name and token. The rows of one server are never
mixed up, whoever joins, leaves, is renamed or rotates a token beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.config import Configuration


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
    """Return the row of each claim by the claim's name; who is missing begins anew.

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
