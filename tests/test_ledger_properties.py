"""Random histories of a query against a plain model of the rule (tests/ledger_model.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations
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

from exporter.state.counters import (
    NO_COUNTERS,
    Counters,
    QueryLedger,
    exposed,
    known_channels,
    observe,
    what_changed,
)
from exporter.wolkvox.columns import ChannelFigures
from tests.ledger_model import NAMES, REMEMBERED, WITHIN, Answer, Traffic, lives
from tests.statuses import restored

CHANNELS = st.sampled_from(("inbound", "chat-web", "out_pre"))
FIELDS = st.sampled_from(("inbound", "answered", "abandoned", "service_level_20", "asa", "ata"))
START = date(2026, 11, 20)
EXACT = 9_999  # interactions a day up to which two decimals of a percent are exact


class Story:
    """One query: its ledger, and all answers so far for the model."""

    def __init__(self) -> None:
        self.ledger: QueryLedger | None = None
        self.history: list[Answer] = []
        self._before: dict[str, tuple[Answer, Counters]] = {}

    def observe(
        self,
        day: date,
        today: Mapping[str, Traffic],
        unreadable: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """An answer with these channels; then the ledger must be what the model says."""
        rows, readings = [], {}
        for channel, traffic in today.items():
            bad = (unreadable or {}).get(channel, ())
            blanks: dict[str, Any] = dict.fromkeys(bad)
            rows.append(replace(traffic.row(channel), **blanks))
            readings[channel] = traffic.reading(bad)
        last = self.history[-1].day if self.history else None
        begins = last is None or (day - last).days > REMEMBERED
        self.history.append(Answer(day, readings, begins))
        before, self.ledger = self.ledger, observe(self.ledger, day, rows)
        self._check(before, self.ledger)

    def restart(self) -> None:
        """Read the ledger as it was saved."""
        assert self.ledger is not None
        assert restored(self.ledger) == self.ledger
        self.ledger = restored(self.ledger)

    def _check(self, before: QueryLedger | None, ledger: QueryLedger) -> None:
        alive = lives(self.history)
        assert set(ledger.channels) == set(alive)
        for channel, life in alive.items():
            counters = exposed(ledger.channels[channel])
            assert {name: getattr(counters, name) for name in NAMES} == life.shown(), channel
            joined, last = self._before.get(channel, (None, NO_COUNTERS))
            if joined is life.answers[0]:
                for name in NAMES:
                    assert getattr(counters, name) >= getattr(last, name), name
            self._before[channel] = (life.answers[0], counters)
            assert_cumulative(counters)
        held, _ = what_changed(before, ledger)
        assert held == sum(life.held() for life in alive.values())


class Histories(RuleBasedStateMachine):
    """Growth, corrections, glitches, gaps, restarts and midnights in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.day = START
        self.today: dict[str, Traffic] = {}
        self.story = Story()

    @initialize(channels=st.lists(CHANNELS, unique=True), size=st.integers(0, 9000))
    def some_traffic_before_the_first_poll(self, channels: list[str], size: int) -> None:
        for channel in channels:
            self.today[channel] = Traffic([size, size // 2, size // 3, 1], size // 5)

    @rule(
        channel=CHANNELS,
        bins=st.lists(st.integers(0, 300), min_size=4, max_size=4),
        abandoned=st.integers(0, 100),
        factor=st.sampled_from((1, 1, 40)),
        polled=st.booleans(),
    )
    def interactions_come_in(
        self, channel: str, bins: list[int], abandoned: int, factor: int, polled: bool
    ) -> None:
        more = Traffic([count * factor for count in bins], abandoned)
        self.today[channel] = self.today.get(channel, Traffic()).plus(more)
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

    @precondition(lambda self: self.today)
    @rule(data=st.data(), share=st.integers(0, 3), times=st.integers(1, 5))
    def a_glitch(self, data: st.DataObject, share: int, times: int) -> None:
        """Some answers say less and less of a channel than there is, then the truth again."""
        channel = data.draw(st.sampled_from(sorted(self.today)))
        for number in range(times):
            part = share + times - number
            bins = [count * part // 9 for count in self.today[channel].bins]
            self.story.observe(self.day, self.today | {channel: Traffic(bins, 0)})

    @rule()
    def a_poll(self) -> None:
        self.story.observe(self.day, self.today)

    @rule(lacking=st.frozensets(CHANNELS, min_size=1))
    def a_poll_that_lacks_channels(self, lacking: frozenset[str]) -> None:
        found = {name: one for name, one in self.today.items() if name not in lacking}
        self.story.observe(self.day, found)

    @rule(unreadable=st.dictionaries(CHANNELS, st.frozensets(FIELDS, min_size=1)))
    def a_poll_with_unreadable_fields(self, unreadable: dict[str, frozenset[str]]) -> None:
        self.story.observe(self.day, self.today, unreadable)

    @rule(closing=st.booleans())
    def midnight(self, closing: bool) -> None:
        if closing:
            self.a_poll()
        self._turn_days(1)

    @rule(days=st.sampled_from((1, 2, 7, 8, 9, 10)))
    def an_outage_of_days(self, days: int) -> None:
        self._turn_days(days)

    @rule(days=st.sampled_from((1, 7, 8, 9)))
    def days_without_traffic(self, days: int) -> None:
        for _ in range(days):
            self._turn_days(1)
            self.a_poll()

    @precondition(lambda self: self.story.ledger)
    @rule()
    def a_restart(self) -> None:
        self.story.restart()

    @precondition(lambda self: self.story.ledger and self.story.ledger.day == self.day)
    @rule()
    def a_closing_answer_that_comes_too_late(self) -> None:
        rows = [Traffic([9, 9, 9, 9], 9).row("inbound")]
        ledger = self.story.ledger
        assert observe(ledger, self.day - timedelta(days=1), rows) == ledger

    def _turn_days(self, days: int) -> None:
        self.day += timedelta(days=days)
        self.today = {}

    @invariant()
    def channels_are_known_for_eight_days(self) -> None:
        if self.story.ledger is not None:
            expected = [
                channel
                for channel, life in sorted(lives(self.story.history).items())
                if (self.day - life.last_seen).days <= REMEMBERED
            ]
            assert [*known_channels(self.story.ledger, self.day)] == [*expected]


def assert_cumulative(counters: Counters) -> None:
    """Each bucket holds the narrower ones."""
    buckets = [getattr(counters, name) for name in (*WITHIN, "answered")]
    assert buckets == sorted(buckets)


Histories.TestCase.settings = settings(stateful_step_count=30)
TestHistories = Histories.TestCase


def slices(most: int) -> st.SearchStrategy[Traffic]:
    """Some traffic."""
    counts = st.lists(st.integers(0, most), min_size=5, max_size=5)
    return counts.map(lambda parts: Traffic(parts[:4], parts[4]))


# The same large number of interactions, a few more or fewer of them within 10 seconds.
MANY = st.integers(0, 9).map(lambda few: Traffic([12_000 - few, few, 0, 0], 9_000))
# None: the answer lacks the channel.
ROWS = st.none() | slices(3) | slices(3) | slices(12) | slices(15_000) | MANY


@settings(max_examples=3 * settings().max_examples)
@given(
    days=st.lists(
        st.lists(st.tuples(ROWS, st.frozensets(FIELDS, max_size=1)), min_size=1, max_size=12),
        min_size=1,
        max_size=3,
    ),
    begins=st.booleans(),
)
def test_any_rows_count_by_the_rule(
    days: list[list[tuple[Traffic | None, frozenset[str]]]], begins: bool
) -> None:
    """Rows without any order: candidates wait, give way and are believed all the time."""
    story = Story()
    if not begins:
        story.observe(START, {})
    for number, rows in enumerate(days):
        for traffic, unreadable in rows:
            today = {"inbound": traffic} if traffic else {}
            story.observe(START + timedelta(days=number), today, {"inbound": unreadable})
            story.restart()


@settings(max_examples=settings().max_examples * 4 // 5)
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
            today, happened = today.plus(part), happened.plus(part)
            ledger = observe(ledger, day, [today.row("inbound")])
            points.append((exposed(ledger.channels["inbound"]), happened))
        if closing:
            ledger = observe(ledger, day, [today.row("inbound")])
    for (first, then), (last, now) in combinations(points, 2):
        offered = now.offered - then.offered
        assert last.offered - first.offered == offered <= EXACT
        for width, name in enumerate(WITHIN, start=1):
            within = sum(now.bins[:width]) - sum(then.bins[:width])
            counted = getattr(last, name) - getattr(first, name)
            assert Fraction(counted, offered or 1) == Fraction(within, offered or 1)


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


@given(st.lists(st.tuples(st.integers(-20, 20), st.lists(ANY_ROW, max_size=3)), max_size=6))
def test_no_answer_breaks_the_ledger(answers: list[tuple[int, list[ChannelFigures]]]) -> None:
    """Whatever numbers come in whatever order of days, the ledger can be saved and shown."""
    ledger = None
    for days, rows in answers:
        ledger = observe(ledger, START + timedelta(days=days), rows)
        assert restored(ledger) == ledger
        for channel in ledger.channels.values():
            assert_cumulative(exposed(channel))


def test_the_model_knows_every_counter() -> None:
    """A counter that is added is counted a second time as well."""
    assert {one.name for one in fields(Counters)} == set(NAMES)
