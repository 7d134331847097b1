"""How operations are named in the state file, so that renaming one loses nothing; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.config import Configuration, Operation


@dataclass(frozen=True, slots=True)
class Identity:
    """An operation in the state file.

    `member` stands for its pauses and its discovered skills, `owner` for the memories of
    its queries, `account` for the calls of the day: all names under which the operations
    that share its token are counted, of which the largest count holds.
    """

    member: str
    owner: str
    account: tuple[str, ...]


def identities(configuration: Configuration) -> dict[str, Identity]:
    """The identity of each operation, by its name.

    The base URL names an operation, so that the name in the configuration may change.
    Where several have one base URL, the name is added; calls are counted under the plain
    name as well, so that the ceiling holds on the day on which a second one joins.
    """
    operations = configuration.operations
    urls = Counter(operation.base_url for operation in operations)
    accounts = {
        name: account
        for group in _token_groups(configuration)
        for account in [tuple(sorted(set(_account(group, urls))))]
        for name in (operation.name for operation in group)
    }
    return {
        operation.name: Identity(
            member=_named(operation, urls[operation.base_url] > 1),
            owner=_named(operation, any(_same_query(operation, one) for one in operations)),
            account=accounts[operation.name],
        )
        for operation in operations
    }


def _named(operation: Operation, ambiguous: bool) -> str:
    return f"{operation.base_url}#{operation.name}" if ambiguous else operation.base_url


def _account(group: list[Operation], urls: Counter[str]) -> Iterator[str]:
    for operation in group:
        yield f"#{operation.name}"
        if urls[operation.base_url] == 1:
            yield operation.base_url


def _same_query(one: Operation, other: Operation) -> bool:
    """Whether two operations may ask the same skill of the same server."""
    if one is other or one.base_url != other.base_url:
        return False
    skills = {skill.id for skill in one.skills} & {skill.id for skill in other.skills}
    return bool(skills) or one.discover or other.discover


def _token_groups(configuration: Configuration) -> Iterator[list[Operation]]:
    by_name = {operation.name: operation for operation in configuration.operations}
    shared = {name for group in configuration.shared_tokens for name in group}
    for group in configuration.shared_tokens:
        yield [by_name[name] for name in group]
    for name, operation in by_name.items():
        if name not in shared:
            yield [operation]
