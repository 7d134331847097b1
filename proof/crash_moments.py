"""kill -9 from outside, at random moments, again and again on one state directory."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from proof.crash_witness import Pages, Recorded, Witness, wrong_totals
from proof.part import Say
from tests.e2e_api import Asked
from tests.e2e_support import (
    TOKEN,
    Launch,
    Life,
    Nursery,
    operation,
    wait_for,
    write_config,
    zone_at,
)
from tests.kill_support import die_in, intact

INTERVAL = 2.0


@dataclass
class Seen:
    """What one try, or several, had to show."""

    kills: int = 0
    requests: int = 0
    early: int = 0
    pages: int = 0
    fallen: int = 0
    damaged: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Add up."""
        self.kills += other.kills
        self.requests += other.requests
        self.early += other.early
        self.pages += other.pages
        self.fallen += other.fallen
        self.damaged += other.damaged
        self.wrong += other.wrong
        self.problems += other.problems

    def take(self, witness: Witness, pages: Pages) -> None:
        """Take over what was noted during one try."""
        self.requests, self.early = witness.requests, witness.early
        self.pages, self.fallen = pages.taken, pages.fallen
        self.problems += [*witness.problems, *pages.problems]

    def cells(self) -> tuple[str, ...]:
        """The figures for a row."""
        figures = (self.requests, self.early, self.pages, self.fallen, self.damaged, self.wrong)
        return (f"{self.kills:,}", *(f"{figure:,}" for figure in figures))


def judge_state(seen: Seen, directory: Path, life: Life, copy: Path) -> None:
    """Look at the state as the killed process left it, and at whether it was ever refused."""
    try:
        intact(directory, copy)
    except AssertionError as error:
        seen.damaged += 1
        seen.problems.append(f"a damaged state: {error}")
    if "damaged" in life.log() or list(directory.glob("*damaged*")):
        seen.damaged += 1
        seen.problems.append("a state file was put aside as damaged")


class Growing:
    """Day totals that rise by the second until they are stopped; all multiples of ten."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._stopped: int | None = None
        self.last: dict[tuple[str, str], int] = {}

    def __call__(self, asked: Asked, state: Recorded) -> int:
        """The interactions of the day until now; the same until the first is saved."""
        total = self.total() if state.known else 1000
        self.last[asked.operation, asked.skill] = total
        return total

    def total(self) -> int:
        """The interactions of the day until now."""
        if self._stopped is not None:
            return self._stopped
        return 1000 + 10 * int((time.monotonic() - self._begun) * 2)

    def stop(self) -> None:
        """Let the totals stay as they are; whoever asks twice has them all."""
        self._stopped = self.total()
        self.last.clear()


def random_kills(
    kills: int, seed: int, nursery: Nursery, directory: Path, say: Say, prelude: str = ""
) -> Seen:
    """Kill so often, then let the last life come to rest and compare the totals."""
    directory.mkdir()
    state, chance, growing = directory / "data", random.Random(seed), Growing()
    zone = zone_at(10)  # no midnight comes while it runs
    witness, pages = Witness(state, INTERVAL, growing, zone), Pages()
    seen, launch = Seen(), Launch(nursery, directory)
    with witness.api.run():
        keys = {"interval": "2s", "stale_after": "1m", "timezone": str(zone)}
        config = write_config(
            directory,
            operation(witness.api.url("acme"), "4173", "4180", "all", **keys),
            operation(
                witness.api.url("globex"), "5101", name="globex", token=f"{TOKEN}2", **keys
            ),
        )

        def start() -> Life:
            return launch.serve(config, "--storage.path", str(state), prelude=prelude)

        try:
            for number in range(kills):
                life = start()
                _die(life, chance, witness, pages)
                life.kill()
                seen.kills += 1
                judge_state(seen, state, life, directory / "copy")
                if number % 25 == 24:
                    say(f"crash: {number + 1} of {kills} kills, {witness.requests} requests")
            growing.stop()
            _rest(start(), witness, pages, seen, growing)
        except AssertionError as error:
            seen.problems.append(f"seed {seed}: {error}")
        finally:
            launch.close()
    seen.take(witness, pages)
    return seen


def _die(life: Life, chance: random.Random, witness: Witness, pages: Pages) -> None:
    """Wait for a moment of its start or its work, or for one just after a request."""
    if chance.random() < 0.7:

        def look() -> None:
            pages.take(life)

        die_in(life, chance, look)
        return
    before = witness.requests
    with suppress(AssertionError):  # its slots are not always so near
        wait_for(lambda: witness.requests > before, "a request", seconds=2 * INTERVAL)
    time.sleep(chance.uniform(0.0, 0.06))


def _rest(life: Life, witness: Witness, pages: Pages, seen: Seen, growing: Growing) -> None:
    """Wait until every query has the last total, and the counters hold it."""

    def complete() -> bool:
        page = pages.take(life)
        everybody = len(growing.last) == len(witness.tallies) == 4
        return everybody and page is not None and not wrong_totals(page, witness.tallies)

    try:
        wait_for(complete, "the last totals")
    except AssertionError:
        page = pages.take(life)
        wrong = wrong_totals(page, witness.tallies) if page else ["no page"]
        seen.wrong += len(wrong)
        seen.problems += wrong[:5]
    judge_state(seen, witness.state, life, life.stdout.parent / "copy")
