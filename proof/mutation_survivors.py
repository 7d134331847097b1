"""The mutants that are known to survive, each with the reason why no test should kill it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proof.mutation_results import Mutant

# The function, the lines before, the lines after: the numbers of mutants move with each edit.
Key = tuple[str, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The survivors of a run beside the list of those that are known."""

    known: tuple[tuple[Mutant, str], ...]
    new: tuple[Mutant, ...]
    gone: tuple[str, ...]


def read_survivors(page: Path) -> dict[Key, str]:
    """The reasons; ValueError where an entry lacks something or stands twice."""
    reasons: dict[Key, str] = {}
    for entry in tomllib.loads(page.read_text(encoding="utf-8")).get("survivor", []):
        reason = str(entry.get("reason", "")).strip()
        if not reason or not entry.get("changes"):
            raise ValueError(f"{page}: {entry}: needs a function, a reason and changes")
        for change in entry["changes"]:
            key = _key(entry["function"], change)
            if key in reasons:
                raise ValueError(f"{page}: {entry['function']}: {change!r} stands twice")
            reasons[key] = reason
    return reasons


def _key(function: str, change: str) -> Key:
    lines = [line.strip() for line in change.strip().splitlines()]
    before = tuple(line[1:].strip() for line in lines if line.startswith("-"))
    after = tuple(line[1:].strip() for line in lines if line.startswith("+"))
    return function, before, after


def key_of(mutant: Mutant) -> Key:
    """What a mutant is listed under."""
    return mutant.place, mutant.before, mutant.after


def compare(mutants: Sequence[Mutant], reasons: dict[Key, str]) -> Comparison:
    """Which survivors are known, which are new, and which known ones are no more.

    An entry is gone where a module that was tried has no such survivor.
    """
    survivors = [mutant for mutant in mutants if mutant.outcome == "survived"]
    known = tuple((one, reasons[key_of(one)]) for one in survivors if key_of(one) in reasons)
    tried = {mutant.module for mutant in mutants}
    alive = {key_of(mutant) for mutant in survivors}
    gone = tuple(
        f"{place}: {' / '.join(before)} -> {' / '.join(after) or '(nothing)'}"
        for place, before, after in reasons
        if any(place.startswith(f"{module}.") for module in tried)
        and (place, before, after) not in alive
    )
    new = tuple(one for one in survivors if key_of(one) not in reasons)
    return Comparison(known, new, gone)
