"""Random histories of a query against a plain model that counts interactions one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from exporter.state.ledger import (
    Counters,
    DayTotals,
    QueryLedger,
    exposed,
    from_json,
    known_channels,
    observe,
    to_json,
)
from exporter.state.totals import NO_COUNTERS, ZERO_TOTALS, advanced, raised
from exporter.wolkvox.report import ChannelFigures

CHANNELS = st.sampled_from(("inbound", "chat-web", "out_pre"))
NAMES = tuple(one.name for one in fields(Counters))
BUCKETS = ("within_10", "within_20", "within_30", "answered")
START = date(2026, 11, 20)
REMEMBERED = 8  # days
EXACT = 9_999  # interactions a day up to which two decimals of a percent are exact
WAITS = (5, 15, 25, 61)  # seconds waited in each bin: up to 10, 20, 30, longer
GIVEN_UP = 33  # seconds waited by those who hung up


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

    def row(self, channel: str) -> ChannelFigures:
        """The row as the API rounds it: percents with two decimals, whole seconds."""
        return ChannelFigures(
            channel,
            self.offered,
            self.answered,
            self.abandoned,
            service_level_10=self._ratio(self.bins[0]),
            service_level_20=self._ratio(sum(self.bins[:2])),
            service_level_30=self._ratio(sum(self.bins[:3])),
            abandonment=self._ratio(self.abandoned),
            asa=self.asa,
            ata=float(GIVEN_UP) if self.abandoned else None,
        )

    @property
    def asa(self) -> float | None:
        waited = sum(n * wait for n, wait in zip(self.bins, WAITS, strict=True))
        return float(round(waited / self.answered)) if self.answered else None

    def _ratio(self, count: int) -> float | None:
        if not self.offered:
            return None
        return float(f"{100 * count / self.offered:.2f}") / 100

    def truth(self, unreadable: frozenset[str]) -> dict[str, float | None]:
        """What an answer lets know of the day, without the detour over ratios."""
        one, two, three, _ = self.bins
        known: dict[str, float | None] = {
            "offered": self.offered,
            "within_10": one,
            "within_20": one + two,
            "within_30": one + two + three,
            "answered": self.answered,
            "answer_wait_sum": self.answered * (self.asa or 0.0),
            "abandoned": self.abandoned,
            "abandon_wait_sum": float(GIVEN_UP * self.abandoned),
        }
        levels = {"service_level_10", "service_level_20", "service_level_30"}
        core = {"inbound", "answered"} | (levels if self.offered else set())
        if unreadable & core:
            return dict.fromkeys(NAMES)
        if "asa" in unreadable and self.answered:
            known["answer_wait_sum"] = None
        if "abandoned" in unreadable:
            known["abandoned"] = None
        if "abandoned" in unreadable or ("ata" in unreadable and self.abandoned):
            known["abandon_wait_sum"] = None
        return known


@dataclass(frozen=True)
class Observation:
    """One answer as the model keeps it; `begins`: nothing is known of what was before."""

    day: date
    rows: Mapping[str, Mapping[str, float | None]]
    begins: bool


@dataclass(frozen=True)
class Life:
    """A channel from its joining on: the answers since then, that had a row or not."""

    answers: tuple[Observation, ...]
    channel: str

    @property
    def counted_from_the_middle_of_a_day(self) -> bool:
        return self.answers[0].begins

    @property
    def last_seen(self) -> date:
        return max(answer.day for answer in self.answers if self.channel in answer.rows)

    def days(self) -> Iterator[tuple[date, list[Mapping[str, float | None]]]]:
        """The channel's rows, grouped by day."""
        for day in sorted({answer.day for answer in self.answers}):
            answers = [a for a in self.answers if a.day == day and self.channel in a.rows]
            yield day, [answer.rows[self.channel] for answer in answers]

    def total(self, name: str) -> float:
        """The highest of each day, less what a first observation found there already."""
        total = 0.0
        for day, rows in self.days():
            values = [value for row in rows if (value := row[name]) is not None]
            if not values:
                continue
            middle = self.counted_from_the_middle_of_a_day and day == self.answers[0].day
            total += max(values) - (values[0] if middle else 0)
        return total

    def tangled(self) -> bool:
        """Whether a correction moved interactions on a day that is not known from its start."""
        if not self.counted_from_the_middle_of_a_day:
            return False
        _, rows = next(iter(self.days()))
        known = [
            [row[name] or 0 for name in BUCKETS] for row in rows if row["offered"] is not None
        ]
        bins = [[ten, b - ten, c - b, d - c] for ten, b, c, d in known]
        return any(
            after < before
            for earlier, later in pairwise(bins)
            for before, after in zip(earlier, later, strict=True)
        )


def lives(history: Iterable[Observation]) -> dict[str, Life]:
    """The channels that are remembered after these answers."""
    current: dict[str, list[Observation]] = {}
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
    return {name: Life(tuple(answers), name) for name, answers in current.items()}


class Histories(RuleBasedStateMachine):
    """Growth, corrections, gaps, restarts and midnights in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.day = START
        self.today: dict[str, Traffic] = {}
        self.ledger: QueryLedger | None = None
        self.history: list[Observation] = []
        self.before: dict[str, tuple[Observation, Counters]] = {}

    @initialize(channels=st.lists(CHANNELS, unique=True), size=st.integers(0, 900))
    def some_traffic_before_the_first_poll(self, channels: list[str], size: int) -> None:
        for channel in channels:
            self.today[channel] = Traffic([size, size // 2, size // 3, 1], size // 5)

    @rule(
        channel=CHANNELS,
        bins=st.lists(st.integers(0, 300), min_size=4, max_size=4),
        abandoned=st.integers(0, 100),
        polled=st.booleans(),
    )
    def interactions_come_in(
        self, channel: str, bins: list[int], abandoned: int, polled: bool
    ) -> None:
        before = self.today.get(channel, Traffic())
        after = joined(before, Traffic(bins, abandoned))
        self.today[channel] = after if after.offered <= EXACT else before
        if polled:
            self.a_poll()

    @precondition(lambda self: self.today)
    @rule(data=st.data(), count=st.integers(1, 200), polls=st.integers(0, 2))
    def wolkvox_corrects_itself(self, data: st.DataObject, count: int, polls: int) -> None:
        """Interactions move to another bin or vanish; the polls see both states."""
        traffic = self.today[data.draw(st.sampled_from(sorted(self.today)))]
        source, target = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 5)))
        if polls:
            self.a_poll()
        parts = [*traffic.bins, traffic.abandoned]
        moved = min(count, parts[source])
        parts[source] -= moved
        if target < len(parts):  # else the interactions are gone
            parts[target] += moved
        *traffic.bins, traffic.abandoned = parts
        if polls > 1:
            self.a_poll()

    @rule()
    def a_poll(self) -> None:
        self._observe(self.day, {})

    @rule(
        unreadable=st.dictionaries(
            CHANNELS,
            st.frozensets(
                st.sampled_from(
                    ("inbound", "answered", "abandoned", "service_level_20", "asa", "ata")
                ),
                min_size=1,
            ),
        )
    )
    def a_poll_with_unreadable_fields(self, unreadable: dict[str, frozenset[str]]) -> None:
        self._observe(self.day, unreadable)

    @rule(closing=st.booleans())
    def midnight(self, closing: bool) -> None:
        if closing:
            self._observe(self.day, {})
        self._turn_days(1)

    @rule(days=st.sampled_from((1, 2, 7, 8, 9, 10)))
    def an_outage_of_days(self, days: int) -> None:
        self._turn_days(days)

    @rule(days=st.sampled_from((1, 7, 8, 9)))
    def days_without_traffic(self, days: int) -> None:
        for _ in range(days):
            self._turn_days(1)
            self._observe(self.day, {})

    @precondition(lambda self: self.ledger)
    @rule()
    def a_restart(self) -> None:
        assert self.ledger is not None
        saved = json.dumps(to_json(self.ledger))
        restored = from_json(json.loads(saved))
        assert restored == self.ledger
        self.ledger = restored

    @precondition(lambda self: self.ledger and self.ledger.day == self.day)
    @rule()
    def a_closing_answer_that_comes_too_late(self) -> None:
        rows = [Traffic([9, 9, 9, 9], 9).row("inbound")]
        assert observe(self.ledger, self.day - timedelta(days=1), rows) == self.ledger

    def _turn_days(self, days: int) -> None:
        self.day += timedelta(days=days)
        self.today = {}

    def _observe(self, day: date, unreadable: Mapping[str, frozenset[str]]) -> None:
        rows, truths = [], {}
        for channel, traffic in self.today.items():
            bad = unreadable.get(channel, frozenset())
            blanks: dict[str, Any] = dict.fromkeys(bad)
            rows.append(replace(traffic.row(channel), **blanks))
            truths[channel] = traffic.truth(bad)
        last = self.history[-1].day if self.history else None
        begins = last is None or (day - last).days > REMEMBERED
        self.history.append(Observation(day, truths, begins))
        self.ledger = observe(self.ledger, day, rows)
        self._check_that_nothing_is_lost_doubled_or_out_of_order()

    def _check_that_nothing_is_lost_doubled_or_out_of_order(self) -> None:
        assert self.ledger is not None
        alive = lives(self.history)
        assert set(self.ledger.channels) == set(alive)
        for channel, life in alive.items():
            counters = exposed(self.ledger.channels[channel])
            self._check_amounts(life, counters)
            assert_cumulative(counters)
            self._check_growth(channel, life, counters)

    def _check_amounts(self, life: Life, counters: Counters) -> None:
        if len(life.answers) == 1:
            assert counters == NO_COUNTERS  # joined with the last answer
            return
        for name in NAMES:
            if name in BUCKETS[:3] and life.tangled():
                assert getattr(counters, name) <= life.total(name)
            else:
                assert getattr(counters, name) == life.total(name), name

    def _check_growth(self, channel: str, life: Life, counters: Counters) -> None:
        joined, before = self.before.get(channel, (None, NO_COUNTERS))
        if joined is life.answers[0]:
            assert_not_below(counters, before)
        self.before[channel] = (life.answers[0], counters)

    @invariant()
    def channels_are_known_for_eight_days(self) -> None:
        if self.ledger is not None:
            expected = [
                channel
                for channel, life in sorted(lives(self.history).items())
                if (self.day - life.last_seen).days <= REMEMBERED
            ]
            assert known_channels(self.ledger, self.day) == tuple(expected)


def assert_cumulative(counters: Counters) -> None:
    """Each bucket holds the narrower ones."""
    buckets = [getattr(counters, name) for name in BUCKETS]
    assert buckets == sorted(buckets)


def assert_not_below(after: Counters, before: Counters) -> None:
    """No counter fell."""
    for name in NAMES:
        assert getattr(after, name) >= getattr(before, name), name


Histories.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True
)
TestHistories = Histories.TestCase


def slices(most: int) -> st.SearchStrategy[Traffic]:
    """The traffic between two polls."""
    counts = st.lists(st.integers(0, most), min_size=5, max_size=5)
    return counts.map(lambda parts: Traffic(parts[:4], parts[4]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    days=st.lists(
        st.lists(st.one_of(slices(3), slices(200)), min_size=1, max_size=9),
        min_size=1,
        max_size=4,
    ),
    closing=st.booleans(),
)
def test_the_service_level_of_every_span_is_the_true_one(
    days: list[list[Traffic]], closing: bool
) -> None:
    """Bucket over offered between any two polls equals what happened between them."""
    ledger = observe(None, START, [])
    ledger = observe(ledger, START, [Traffic().row("inbound")])
    happened = Traffic()
    points = [(exposed(ledger.channels["inbound"]), happened)]
    for number, polls in enumerate(days):
        day, today = START + timedelta(days=number), Traffic()
        for part in polls:
            today, happened = joined(today, part), joined(happened, part)
            ledger = observe(ledger, day, [today.row("inbound")])
            points.append((exposed(ledger.channels["inbound"]), happened))
        if closing:
            ledger = observe(ledger, day, [today.row("inbound")])
    for (first, then), (last, now) in combinations(points, 2):
        offered = now.offered - then.offered
        assert last.offered - first.offered == offered
        for width, name in enumerate(BUCKETS[:3], start=1):
            within = sum(now.bins[:width]) - sum(then.bins[:width])
            counted = getattr(last, name) - getattr(first, name)
            assert Fraction(counted, offered or 1) == Fraction(within, offered or 1)


def joined(one: Traffic, other: Traffic) -> Traffic:
    """The traffic of both."""
    bins = [a + b for a, b in zip(one.bins, other.bins, strict=True)]
    return Traffic(bins, one.abandoned + other.abandoned)


@st.composite
def totals(draw: st.DrawFn) -> DayTotals:
    """Any ordered totals of a day, whole rows or averages unknown."""
    if draw(st.integers(0, 5)) == 0:
        return DayTotals(*[None] * 8)
    ten, twenty, thirty, answered = sorted(
        draw(st.lists(st.integers(0, 50), min_size=4, max_size=4))
    )
    wait = st.none() | st.floats(0, 1e6)
    return DayTotals(
        draw(st.integers(0, 80)),
        ten,
        twenty,
        thirty,
        answered,
        draw(wait),
        draw(st.none() | st.integers(0, 80)),
        draw(wait),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(totals(), min_size=1, max_size=12), st.booleans())
def test_the_highest_of_ordered_buckets_are_ordered(
    rows: list[DayTotals], from_the_start: bool
) -> None:
    """Neither bases nor counters leave their order, wherever in the day counting began."""
    base = ZERO_TOTALS if from_the_start else rows[0]
    counters, start = NO_COUNTERS, base
    for row in rows:
        after = advanced(counters, base, row)
        assert_not_below(after, counters)
        assert_cumulative(after)
        base, counters = raised(base, row), after
        buckets = [getattr(base, name) for name in BUCKETS]
        assert None in buckets or buckets == sorted(buckets)
    if start == ZERO_TOTALS:
        for name in (*BUCKETS, "offered", "abandoned"):
            assert getattr(counters, name) == getattr(base, name)


ANY_INTEGER = st.none() | st.integers() | st.sampled_from((10**400, -(10**400)))
ANY_NUMBER = st.none() | st.floats() | st.integers()
ANY_ROW: st.SearchStrategy[Any] = st.builds(
    ChannelFigures,
    channel=st.sampled_from(("unknown", "a", "\u00f1")),
    **dict.fromkeys(("inbound", "answered", "abandoned"), ANY_INTEGER),
    **dict.fromkeys(
        ("service_level_10", "service_level_20", "service_level_30", "abandonment"), ANY_NUMBER
    ),
    **dict.fromkeys(("asa", "ata"), ANY_NUMBER),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(-20, 20), st.lists(ANY_ROW, max_size=3)), max_size=6))
def test_no_answer_breaks_the_ledger(answers: list[tuple[int, list[ChannelFigures]]]) -> None:
    """Whatever numbers come in whatever order of days, the ledger can be saved and shown."""
    ledger = None
    for days, rows in answers:
        ledger = observe(ledger, START + timedelta(days=days), rows)
        assert from_json(json.loads(json.dumps(to_json(ledger)))) == ledger
        for channel in ledger.channels.values():
            assert_cumulative(exposed(channel))
