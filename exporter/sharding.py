"""Which operations are this process's own, of a configuration that several processes share.

Pure: the same configuration and number of shards give every process the same division, with
nobody asked. What is divided are servers (base URLs), never tokens: a token may be replaced
at any time, and two processes must not both believe that it is theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.config import Configuration
from exporter.errors import ConfigError, Problem

MOST_SHARDS = 1000
_ORDINAL = re.compile(r"(?:.*-)?([0-9]{1,4})", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shard:
    """One process's part: `index` counts from 0 and is below `total`."""

    index: int = 0
    total: int = 1


WHOLE = Shard()


def read_shard(index: str | None, total: int) -> Shard:
    """Read the flags; the index may be a name that ends in it, such as the pod `wolkvox-3`.

    Raises ConfigError where no shard of that number exists: its operations are another's, or
    nobody's.
    """
    if index is None:
        if total == 1:
            return WHOLE
        raise _wrong(f"is not set, but --shard.total is {total}: give each process its own")
    found = _ORDINAL.fullmatch(index.strip())
    if found is None:
        raise _wrong("must be a number from 0, or a name that ends in -0, -1 and so on")
    number = int(found[1])
    if number >= total:
        raise _wrong(f"{number} is not below --shard.total {total}: shards count from 0")
    return Shard(number, total)


def _wrong(reason: str) -> ConfigError:
    return ConfigError([Problem("--shard.index", reason)])


def shard_of(base_url: str, total: int) -> int:
    """Say whose a server is: the shard with the highest hash of both (rendezvous hashing).

    One shard more takes servers away from the others, and one less gives its servers to
    them; no server moves between two shards that stay.
    """
    return max(range(total), key=lambda index: _weight(base_url, index))


def _weight(base_url: str, index: int) -> bytes:
    return hashlib.sha256(f"{index} {base_url}".encode()).digest()


def own_part(configuration: Configuration, shard: Shard) -> Configuration:
    """Leave only the operations of one shard.

    Operations with one base URL stay together; `shard` of any of them puts all of them there.
    Raises ConfigError where the division would break a rule, the same for every shard: a
    shard that does not exist, two for one server, one token on servers of two shards.
    """
    if shard.total == 1:
        return configuration
    pinned = _pinned(configuration, shard.total)
    owners = {
        operation.name: pinned.get(
            operation.base_url, shard_of(operation.base_url, shard.total)
        )
        for operation in configuration.operations
    }
    _check_tokens(configuration, owners)
    own = tuple(one for one in configuration.operations if owners[one.name] == shard.index)
    return replace(configuration, operations=own)


def _pinned(configuration: Configuration, total: int) -> Mapping[str, int]:
    """Return the shards that the configuration itself names, by base URL."""
    found: dict[str, tuple[str, int]] = {}
    problems = []
    for one in configuration.operations:
        if one.shard is None:
            continue
        first, shard = found.setdefault(one.base_url, (one.name, one.shard))
        if one.shard >= total:
            problems.append(f"{one.name}: shard {one.shard} is not below --shard.total {total}")
        elif one.shard != shard:
            problems.append(
                f"{one.name}: shard {one.shard} differs from that of {first} ({shard}):"
                " one server belongs to one shard"
            )
    if problems:
        raise ConfigError([Problem("operations", problem) for problem in problems])
    return {base_url: shard for base_url, (_, shard) in found.items()}


def _check_tokens(configuration: Configuration, owners: Mapping[str, int]) -> None:
    """Refuse to let two processes use one token: neither would see the other's requests."""
    problems = []
    for names in configuration.shared_tokens:
        shards = defaultdict(list)
        for name in names:
            shards[owners[name]].append(name)
        if len(shards) > 1:
            problems.append(
                f"{' and '.join(sorted(names))} use one token, but belong to different shards:"
                " give them the same shard"
            )
    if problems:
        raise ConfigError([Problem("operations", problem) for problem in problems])
