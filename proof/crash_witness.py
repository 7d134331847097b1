"""Outside the process that is killed: what the API is asked, and what the state says then.

The scripted API looks at the state file while it answers. So the spacing is judged by the
times that stand in the file when each request arrives, and not by this machine's haste:
a request must stand there, at a moment that has passed, an interval after the one before.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e_api import Api, Asked, Reply, found, refused, row
from tests.e2e_support import Life, Samples
from tests.kill_support import Highest

FILE_NAME = "wolkvox-exporter.db"
SLEW = 0.005  # seconds by which a system that disciplines its clock shortens a real one
Query = tuple[str, str]
BUCKETS = "wolkvox_skill_answer_wait_seconds_bucket"
OFFERED = "wolkvox_skill_offered_interactions_total"
# What `row` says of every interaction, in the terms of the counters.
SHARES = {
    (OFFERED, ""): 1.0,
    (BUCKETS, "10.0"): 0.4,
    (BUCKETS, "20.0"): 0.6,
    (BUCKETS, "30.0"): 0.6,
    (BUCKETS, "+Inf"): 0.8,
    ("wolkvox_skill_answer_wait_seconds_count", ""): 0.8,
    ("wolkvox_skill_answer_wait_seconds_sum", ""): 0.8 * 12,
    ("wolkvox_skill_abandon_wait_seconds_count", ""): 0.2,
    ("wolkvox_skill_abandon_wait_seconds_sum", ""): 0.2 * 30,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the state file says of a query; `paused_until` where its operation is paused."""

    attempt_at: float | None
    calls: Counter[str]
    known: bool
    paused_until: float
    paused_on: str


def recorded(state: Path, operation: str, skill: str) -> Recorded:
    """Look at the state file beside the process that writes it."""
    uri = f"file:{state / FILE_NAME}?mode=ro"
    of = "WHERE operation = (SELECT id FROM operations WHERE name = ?)"
    with closing(sqlite3.connect(uri, uri=True, timeout=30.0)) as connection:

        def look(what: str, more: str, *values: str) -> list[Any]:
            return connection.execute(
                f"SELECT {what} {of} {more}",
                (operation, *values),
            ).fetchall()

        attempt = look("at FROM attempts", "AND skill_id = ?", skill)
        calls = look("day, requests FROM requests", "")
        memory = look("memory FROM memories", "AND skill_id = ?", skill)
        pause = look("fact FROM facts", "AND name = 'pause'")
    paused = (json.loads(pause[0][0]) if pause else None) or {}
    return Recorded(
        attempt_at=attempt[0][0] if attempt else None,
        calls=Counter(dict(calls)),
        known=bool(memory and json.loads(memory[0][0])["ledger"]),
        paused_until=paused.get("next_at", 0.0),
        paused_on=paused.get("day", ""),
    )


Total = Callable[[Asked, Recorded], int | None]


@dataclass
class Tallied:
    """What was told to one query, as the counters must come to hold it."""

    base: tuple[str, int] = ("", 0)
    highest: Counter[str] = field(default_factory=Counter)

    def tell(self, day: str, total: int, *, known: bool) -> None:
        """Note an answer; the last one before anything was saved counts nothing."""
        if not known:
            self.base = (day, total)
            self.highest.clear()
        self.highest[day] = max(self.highest[day], total)

    def grown(self) -> int:
        """By how much the day totals rose after the first answer that was saved."""
        day, first = self.base
        return sum(self.highest.values()) - (first if day in self.highest else 0)


class Witness:
    """The script of an API beside one state directory; notes what must not happen.

    `total` gives the day's interactions of a query, or None for a refusal of quota.
    """

    def __init__(self, state: Path, interval: float, total: Total, zone: ZoneInfo) -> None:
        self.state = state
        self.shift = 0.0
        self.early = 0
        self.refusals = 0
        self.problems: list[str] = []
        self.tallies: dict[Query, Tallied] = {}
        self.told: Counter[tuple[str, str, str]] = Counter()
        self._interval = interval
        self._total = total
        self._zone = zone
        self._lock = threading.Lock()
        self._last: dict[Query, float] = {}
        self._seen: Counter[tuple[str, date]] = Counter()
        self.api = Api(self)

    def __call__(self, asked: Asked) -> Reply:
        """Look at the state, and answer."""
        with self._lock:
            try:
                state = recorded(self.state, asked.operation, asked.skill)
            except (sqlite3.Error, ValueError, KeyError) as error:
                self.problems.append(f"the state could not be read beside a request: {error}")
                return refused("PLEASE TRY AGAIN", 500)
            self._judge(asked, state)
            return self._answer(asked, state)

    @property
    def requests(self) -> int:
        """How many requests arrived."""
        return len(self.api.asked)

    def now(self) -> float:
        """The time in which the killed process lives, in epoch seconds."""
        return time.time() + self.shift

    def day(self, at: float) -> date:
        """The local day of a moment."""
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()

    def _judge(self, asked: Asked, state: Recorded) -> None:
        query = (asked.operation, asked.skill)
        at, arrived = state.attempt_at, self.now()
        if at is None:
            self.early += 1
            self.problems.append(f"{query}: a request whose attempt is not in the state")
            return
        if at > arrived + SLEW:
            self.problems.append(f"{query}: an attempt {at - arrived:.3f} s in the future")
        before = self._last.get(query)
        if before is not None and at - before < self._interval - SLEW:
            self.early += 1
            self.problems.append(f"{query}: two attempts {at - before:.3f} s apart")
        self._last[query] = at
        day = self.day(at)
        self._seen[asked.operation, day] += 1
        seen, counted = self._seen[asked.operation, day], state.calls[day.isoformat()]
        if counted < seen:
            self.problems.append(f"{query}: {counted} calls counted, {seen} arrived")
        if state.paused_until > at + SLEW and state.paused_on == day.isoformat():
            self.problems.append(f"{query}: asked during a pause that stands in the state")

    def _answer(self, asked: Asked, state: Recorded) -> Reply:
        total = self._total(asked, state)
        if total is None:
            self.refusals += 1
            return refused("TOKEN LIMIT EXCEEDED")
        query, day = (asked.operation, asked.skill), asked.query["date_ini"][:8]
        self.told[(*query, day)] += 1
        self.tallies.setdefault(query, Tallied()).tell(day, total, known=state.known)
        return found(row("inbound", total), row("chat-web", 2 * total))


class Pages:
    """The metrics pages of all lives: counters must never fall, buckets be cumulative."""

    def __init__(self) -> None:
        self.taken = 0
        self.highest = Highest()
        self.problems: list[str] = []

    def take(self, life: Life) -> Samples | None:
        """Scrape a life, if it answers; it may die while it does."""
        if "listen=" not in life.log():
            return None
        try:
            page = life.metrics()
        except (OSError, HTTPException):
            return None
        self.taken += 1
        self.highest.take(page)
        self._cumulative(page)
        return page

    def _cumulative(self, page: Samples) -> None:
        for labels, offered in page.of(OFFERED).items():
            mine = dict(labels)
            found = {dict(key)["le"]: value for key, value in page.of(BUCKETS, **mine).items()}
            values = [found[le] for le in ("10.0", "20.0", "30.0", "+Inf")]
            if [*values, offered] != sorted([*values, offered]):
                self.problems.append(f"{mine}: buckets {values} of {offered:g} offered")


def wrong_totals(page: Samples, tallies: dict[Query, Tallied]) -> list[str]:
    """The counters that do not hold what the API told."""
    wrong = []
    for (operation, skill), tallied in sorted(tallies.items()):
        for channel, factor in (("inbound", 1), ("chat-web", 2)):
            for (name, le), share in SHARES.items():
                of = {"operation": operation, "skill_id": skill, "type_interaction": channel}
                more = {"le": le} if le else {}
                shown, told = page.value(name, **of, **more), tallied.grown() * factor * share
                if shown is None or abs(shown - told) > 1e-6:
                    wrong.append(f"{name}{of | more}: {shown} shown, {told:g} told")
    return wrong
