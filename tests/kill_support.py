"""What the kills of a process share: day totals that grow, moments to die, what must hold."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e_api import Asked, Reply, found, row
from tests.e2e_support import Labels, Life, Samples, wait_for

COUNTERS = (
    "wolkvox_skill_offered_interactions_total",
    "wolkvox_skill_answer_wait_seconds_bucket",
    "wolkvox_skill_answer_wait_seconds_count",
    "wolkvox_skill_answer_wait_seconds_sum",
    "wolkvox_skill_abandon_wait_seconds_count",
    "wolkvox_skill_abandon_wait_seconds_sum",
)


class Growing:
    """Day totals that grow by 40 a second until they are stopped."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._stopped: int | None = None
        self.given: list[int] = []

    def __call__(self, asked: Asked) -> Reply:
        total = self.total()
        if asked.skill == "4173":
            self.given.append(total)
        return found(row("inbound", total), row("chat-web", 2 * total))

    def total(self) -> int:
        """The interactions of the day until now."""
        if self._stopped is not None:
            return self._stopped
        return 1000 + int((time.monotonic() - self._begun) * 40)

    def stop(self) -> None:
        """Let the totals stay as they are."""
        self._stopped = self.total()


def die_in(
    life: Life, chance: random.Random, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Wait for a random moment of its start, or more often of its work."""
    working = chance.random() < 0.7
    begun = (lambda: life.addresses) if working else life.listening_to_signals
    wait_for(begun, "its beginning")
    deadline = time.monotonic() + chance.uniform(0.0, 0.3)
    while time.monotonic() < deadline:
        meanwhile()
        time.sleep(0.02)


class Highest:
    """The highest value that any page has shown of each counter: none may fall below it."""

    def __init__(self) -> None:
        self.fallen = 0
        self.problems: list[str] = []
        self._seen: dict[tuple[str, Labels], float] = {}

    def take(self, page: Samples) -> None:
        """Compare every counter of a page."""
        for name in COUNTERS:
            for labels, value in page.of(name).items():
                before = self._seen.get((name, labels), 0.0)
                if value < before:
                    self.fallen += 1
                    self.problems.append(f"{name}{dict(labels)}: {before:g}, then {value:g}")
                self._seen[name, labels] = max(value, before)

    def rises(self, life: Life) -> None:
        """Look at a process, if it serves already; raises AssertionError where one fell."""
        if "listen=" in life.log():
            self.take(life.metrics())
        assert not self.problems


def intact(directory: Path, copy: Path) -> None:
    """Check a copy of the state file, as the killed process left it."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in directory.glob("*.db*"):
        shutil.copy(path, copy)
    assert not list(copy.glob("*damaged*"))
    for path in copy.glob("*.db"):
        connection = sqlite3.connect(path)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        finally:
            connection.close()
