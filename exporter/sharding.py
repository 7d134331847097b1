"""Division of one configuration among several processes.

Pure: the same configuration and number of shards give every process the same division. It
divides servers (base URLs), never tokens: a token may be replaced at any time, and two
processes must not both believe that it is theirs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from exporter.config import Configuration
from exporter.errors import ConfigError, Problem

MOST_SHARDS = 1000


@dataclass(frozen=True, slots=True)
class Shard:
    """One process's part: `index` counts from 0 and is below `total`."""

    index: int = 0
    total: int = 1


WHOLE = Shard()


def read_shard(index: str | None, total: int) -> Shard:
    """Read the flags; the index may be a name that ends in it, such as the pod `wolkvox-3`.

    Raises ConfigError where no shard has that number: its operations are another's, or none's.
    """
    if index is None and total == 1:
        return WHOLE
    found = re.fullmatch("(?:.*-)?([0-9]{1,4})", (index or "").strip(), re.DOTALL)
    if index is None:
        reason = f"is not set, but --shard.total is {total}: give each process its own"
    elif found is None:
        reason = "must be a number from 0, or a name that ends in -0, -1 and so on"
    elif int(found[1]) < total:
        return Shard(int(found[1]), total)
    else:
        reason = f"{int(found[1])} is not below --shard.total {total}: shards count from 0"
    raise ConfigError.at("--shard.index", reason)


def shard_of(base_url: str, total: int) -> int:
    """Return the shard of a server: that with the highest hash of both (rendezvous hashing).

    One shard more takes servers away from the others, and one less gives its servers to
    them; no server moves between two shards that stay.
    """
    hashes = [hashlib.sha256(f"{index} {base_url}".encode()).digest() for index in range(total)]
    return hashes.index(max(hashes))


def own_part(configuration: Configuration, shard: Shard) -> Configuration:
    """Leave only the operations of one shard.

    Operations with one base URL stay together; `shard` of any of them puts all of them there.
    Raises ConfigError, the same for every shard, where a pinned shard does not exist, one
    server is pinned to two, or one token is used on servers of two: neither process would see
    the other's requests.
    """
    total, operations, problems = shard.total, configuration.operations, []
    if total == 1:
        return configuration
    pins: dict[str, tuple[str, int]] = {}
    for one in operations:
        if one.shard is None:
            continue
        first, pin = pins.setdefault(one.base_url, (one.name, one.shard))
        if one.shard >= total:
            problems.append(f"{one.name}: shard {one.shard} is not below --shard.total {total}")
        elif one.shard != pin:
            problems.append(
                f"{one.name}: shard {one.shard} differs from that of {first} ({pin}):"
                " one server belongs to one shard"
            )
    owners = dict[str, int]()
    for one in operations:
        _, owners[one.name] = pins.get(one.base_url) or ("", shard_of(one.base_url, total))
    problems += [
        f"{' and '.join(sorted(names))} use one token, but belong to different shards:"
        " give them the same shard"
        for names in configuration.shared_tokens
        if len({owners[name] for name in names}) > 1
    ]
    if problems:
        raise ConfigError([Problem("operations", problem) for problem in problems])
    own = tuple(one for one in operations if owners[one.name] == shard.index)
    return replace(configuration, operations=own)
