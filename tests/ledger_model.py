"""The counting of day totals a second time: slow, from the start of each day, by the rule.

Answers are kept as they came; what a channel's counters must be is worked out from all of
them anew. Nothing here is shared with the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from exporter.wolkvox.columns import ChannelFigures

COUNTS = ("offered", "answered", "abandoned")
WITHIN = ("within_10", "within_20", "within_30")
SUMS = ("answer_wait_sum", "abandon_wait_sum")
NAMES = (*COUNTS, *WITHIN, *SUMS)
REMEMBERED = 8  # days
WAITS = (5, 15, 25, 61)  # seconds waited in each bin: up to 10, 20, 30, longer
GIVEN_UP = 33  # seconds waited by those who hung up

Reading = Mapping[str, float | None]
NOTHING: Reading = dict.fromkeys(NAMES, 0)
UNKNOWN: Reading = dict.fromkeys(NAMES)


@dataclass
class Traffic:
    """What truly happened on one channel in one day: answered per bin, and abandoned."""

    bins: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    abandoned: int = 0

    @property
    def answered(self) -> int:
        return sum(self.bins)

    @property
    def offered(self) -> int:
        return self.answered + self.abandoned

    def plus(self, other: Traffic) -> Traffic:
        """The traffic of both."""
        bins = [a + b for a, b in zip(self.bins, other.bins, strict=True)]
        return Traffic(bins, self.abandoned + other.abandoned)

    def row(self, channel: str) -> ChannelFigures:
        """The row as the API rounds it: percents with two decimals, whole seconds."""
        ten, twenty, thirty = (self._percent(sum(self.bins[:width])) for width in (1, 2, 3))
        return ChannelFigures(
            channel,
            self.offered,
            self.answered,
            self.abandoned,
            service_level_10=ten,
            service_level_20=twenty,
            service_level_30=thirty,
            abandonment=self._percent(self.abandoned),
            asa=self.asa,
            ata=float(GIVEN_UP) if self.abandoned else None,
        )

    @property
    def asa(self) -> float | None:
        waited = sum(n * wait for n, wait in zip(self.bins, WAITS, strict=True))
        return float(round(waited / self.answered)) if self.answered else None

    def _percent(self, count: int) -> float | None:
        return self._hundredths(count) / 10_000 if self.offered else None

    def _hundredths(self, count: int) -> int:
        return (20_000 * count + self.offered) // (2 * self.offered)

    def reading(self, unreadable: Iterable[str] = ()) -> Reading:
        """What the row lets know of the day: below 10,000 interactions it is the truth."""
        bad = set(unreadable)
        levels = {"service_level_10", "service_level_20", "service_level_30"}
        if bad & ({"inbound", "answered"} | (levels if self.offered else set())):
            return UNKNOWN
        known: dict[str, float | None] = {
            "offered": self.offered,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "answer_wait_sum": self.answered * (self.asa or 0.0),
            "abandon_wait_sum": float(GIVEN_UP * self.abandoned),
        }
        for width, name in enumerate(WITHIN, start=1):
            count = sum(self.bins[:width])
            if self.offered:
                shown = (2 * self._hundredths(count) * self.offered + 10_000) // 20_000
                assert self.offered >= 10_000 or shown == count
                count = min(shown, self.answered)
            known[name] = count
        if "asa" in bad and self.answered:
            known["answer_wait_sum"] = None
        if "abandoned" in bad or ("ata" in bad and self.abandoned):
            known["abandon_wait_sum"] = None
        if "abandoned" in bad:
            known["abandoned"] = None
        return known


def below(row: Reading, other: Reading) -> bool:
    """Whether a count of a row is below that of the other, and not by rounding alone."""
    inbound = int(row["offered"] or 0)
    uncertain = 0 if inbound < 10_000 else inbound // 10_000 + 1
    for name in (*COUNTS, *WITHIN):
        now, then = row[name], other[name]
        known = now is not None and then is not None
        if known and now < then - (uncertain if name in WITHIN else 0):  # type: ignore[operator]
            return True
    return False


def judged(row: Reading, base: Reading, waiting: list[Reading]) -> Reading | None:
    """The row from which this one counts; None where it is held back."""
    if not below(row, base):  # nothing fell, or the fall was a glitch
        return base
    if waiting and not below(row, waiting[-1]):  # a correction
        return waiting[-1]
    if len(waiting) == 3:  # the third to take a candidate's place
        return row
    return None


@dataclass(frozen=True)
class Day:
    """What the rows of one day add to the counters, and whether the last one is held back."""

    added: Mapping[str, float]
    held: bool


def count_day(rows: Iterable[Reading | None], from_zero: bool) -> Day:
    """Count one channel's day: a row for each answer, None where the answer lacks it.

    `from_zero`: its day was known from the start; else its first readable row counts nothing.
    """
    added: dict[str, float] = dict.fromkeys(NAMES, 0)
    base = NOTHING if from_zero else UNKNOWN
    waiting: list[Reading] = []  # the candidate is the last of these
    held = False
    for answer in rows:
        held = False
        row = answer
        if row is None:
            if base["offered"] is None:
                continue  # zeros that nobody sent are no first reading
            row = NOTHING
        if row["offered"] is None:
            continue
        since = judged(row, base, waiting)
        if since is None:
            waiting.append(row)
            held = True
            continue
        top: dict[str, float | None] = {}
        for name in NAMES:
            now, then = row[name], since[name]
            if now is not None and then is not None:
                added[name] += max(0, now - then)
            values = [value for value in (now, then) if value is not None]
            top[name] = max(values, default=None)
        base, waiting = top, []
    return Day(added, held)


@dataclass(frozen=True)
class Answer:
    """One answer; `begins`: nothing is known of what was before."""

    day: date
    rows: Mapping[str, Reading]
    begins: bool


@dataclass(frozen=True)
class Life:
    """A channel from its joining on: the answers since then, that had a row or not."""

    channel: str
    answers: tuple[Answer, ...]

    @property
    def last_seen(self) -> date:
        return max(answer.day for answer in self.answers if self.channel in answer.rows)

    def days(self) -> Iterator[Day]:
        """Each day of its life, from its first row of that day on."""
        for day in sorted({answer.day for answer in self.answers}):
            rows = [a.rows.get(self.channel) for a in self.answers if a.day == day]
            while rows and rows[0] is None:
                del rows[0]
            first = self.answers[0]
            yield count_day(rows, from_zero=not first.begins or day != first.day)

    def shown(self) -> dict[str, float]:
        """What must be shown: zeros with the answer in which it joined, then all of it."""
        total: dict[str, float] = dict.fromkeys(NAMES, 0)
        if len(self.answers) > 1:
            for day in self.days():
                for name in NAMES:
                    total[name] += day.added[name]
        wider = total["answered"]
        for name in reversed(WITHIN):
            wider = total[name] = min(total[name], wider)
        return total

    def held(self) -> bool:
        """Whether the last answer held its row back."""
        return [*self.days()][-1].held


def lives(history: Iterable[Answer]) -> dict[str, Life]:
    """The channels that are remembered after these answers."""
    current: dict[str, list[Answer]] = {}
    last_seen: dict[str, date] = {}
    for answer in history:
        for channel in list(current):
            if (answer.day - last_seen[channel]).days > REMEMBERED:
                del current[channel]
        for channel in answer.rows:
            current.setdefault(channel, [])
            last_seen[channel] = answer.day
        for answers in current.values():
            answers.append(answer)
    return {name: Life(name, tuple(answers)) for name, answers in current.items()}
