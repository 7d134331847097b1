"""Day totals to counters, sentence by sentence; random histories: test_ledger_properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from typing import Any

from exporter.state.counters import (
    NO_COUNTERS,
    STUCK_ANSWERS,
    UNKNOWN_TOTALS,
    Counters,
    QueryLedger,
    day_totals,
    exposed,
    observe,
    what_changed,
)
from exporter.wolkvox.columns import ChannelFigures
from tests.statuses import restored

DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)


def row(
    offered: int,
    within: tuple[int, int, int],
    answered: int,
    *,
    asa: float | None = 20.0,
    abandoned: int | None = None,
    ata: float | None = 30.0,
    channel: str = "inbound",
) -> ChannelFigures:
    """An answer's row as Wolkvox computes it: ratios of inbound with four decimals."""
    levels = [round(count / offered, 4) if offered else None for count in within]
    left = offered - answered if abandoned is None else abandoned
    return ChannelFigures(
        channel=channel,
        inbound=offered,
        answered=answered,
        abandoned=left,
        service_level_10=levels[0],
        service_level_20=levels[1],
        service_level_30=levels[2],
        abandonment=round(left / offered, 4) if offered else None,
        asa=asa,
        ata=ata,
    )


MORNING = row(10, (4, 5, 6), 8)
NOON = row(30, (10, 14, 18), 25, asa=22.0, ata=40.0)
NOON_COUNTS = Counters(30, 10, 14, 18, 25, 550.0, 5, 200.0)


def history(*steps: tuple[date, list[ChannelFigures]]) -> QueryLedger:
    """The ledger after these answers, saved and restored after each of them."""
    ledger = None
    for day, rows in steps:
        ledger = restored(observe(ledger, day, rows))
    assert ledger is not None
    return ledger


def shown(ledger: QueryLedger, channel: str = "inbound") -> Counters:
    """What is exposed of a channel."""
    return exposed(ledger.channels[channel])


# Days and what they add -----------------------------------------------------------------

EVE = DAY - timedelta(days=1)
AFTER_MORNING = Counters(20, 6, 9, 12, 17, 390.0, 3, 140.0)
BEFORE = Counters(10, 4, 5, 6, 8, 160.0, 2, 60.0)
BOTH = Counters(40, 14, 19, 24, 33, 710.0, 7, 260.0)
MORE = row(31, (10, 14, 19), 26, asa=22.0, ata=40.0)
CHAT = row(3, (1, 1, 2), 3, asa=40.0, channel="chat-web")
UNREAD = replace(MORNING, inbound=None)
NOTHING = row(0, (0, 0, 0), 0, asa=None, ata=None)
KNOWN = history((EVE, []))  # a query that was observed before
LATER = DAY + timedelta(days=5)
NINTH = DAY + timedelta(days=9)
Steps = tuple[tuple[date, list[ChannelFigures]], ...]
STORIES: dict[str, tuple[Steps, Counters]] = {
    # The first observation: a lost state never looks like traffic.
    "the first observation counts nothing": (((DAY, [NOON]),), NO_COUNTERS),
    "the second one by its difference": (((DAY, [MORNING]), (DAY, [NOON])), AFTER_MORNING),
    "after an empty morning a channel was absent": (
        ((DAY, []), (DAY, [NOON]), (DAY, [NOON])),
        NOON_COUNTS,
    ),
    "unread totals are unknown, not 0": (((DAY, [UNREAD]), (DAY, [MORNING])), NO_COUNTERS),
    "the first readable ones are the base": (
        ((DAY, [UNREAD]), (DAY, [MORNING]), (DAY, [NOON])),
        AFTER_MORNING,
    ),
    "an average that was unread has a base of its own": (
        ((DAY, [replace(MORNING, asa=None, abandoned=None)]), (DAY, [NOON])),
        Counters(20, 6, 9, 12, 17, 0.0, 0, 0.0),
    ),
    "an unknown base ends with its day": (((DAY, [UNREAD]), (NEXT, [NOON])), NOON_COUNTS),
    "averages of nothing are known to be 0": (((DAY, [NOTHING]), (DAY, [NOON])), NOON_COUNTS),
    # A channel that joins: Prometheus sees no increase in a series that begins above 0.
    "it shows zeros first": (((EVE, []), (DAY, [NOON])), NO_COUNTERS),
    "it counts in full with the next answer": (
        ((EVE, []), (DAY, [NOON]), (DAY, [MORE])),
        Counters(31, 10, 14, 19, 26, 572.0, 5, 200.0),
    ),
    "also where that lacks it": (((DAY, []), (DAY, [NOON]), (DAY, [])), NOON_COUNTS),
    "it joins unreadable": (((DAY, []), (DAY, [UNREAD])), NO_COUNTERS),
    "and catches up": (((DAY, []), (DAY, [UNREAD]), (DAY, [NOON])), NOON_COUNTS),
    "it joins with the closing answer": (((DAY, []), (DAY, [NOON]), (NEXT, [])), NOON_COUNTS),
    "and counts in the new day": (((DAY, []), (DAY, [NOON]), (NEXT, [MORNING])), BOTH),
    "an answer without the row": (
        ((DAY, []), (DAY, [MORNING]), (DAY, []), (DAY, [NOON])),
        NOON_COUNTS,
    ),
    # Midnight: the finished day is counted to its end and the new one from 0.
    "closing": (((DAY, []), (DAY, [MORNING]), (DAY, [NOON]), (NEXT, [MORNING])), BOTH),
    "no closing": (((DAY, [MORNING]), (NEXT, [MORNING])), BEFORE),
    "the closing answer lacks the channel": (
        ((DAY, []), (DAY, [NOON]), (DAY, []), (NEXT, []), (NEXT, [MORNING])),
        BOTH,
    ),
    "closing a day that was never polled": (
        ((DAY - timedelta(days=2), [MORNING]), (DAY, [NOON]), (NEXT, [])),
        NOON_COUNTS,
    ),
    "an unreadable row on a new day": (
        ((DAY, []), (DAY, [MORNING]), (NEXT, [replace(NOON, inbound=None)])),
        BEFORE,
    ),
    # Eight days: within the memory of its channels a new day counts from 0.
    "eight days unobserved": (
        ((DAY, [MORNING]), (DAY + timedelta(days=8), [NOON])),
        NOON_COUNTS,
    ),
    "nine: nobody knows what is new": (((DAY, [MORNING]), (NINTH, [NOON])), NO_COUNTERS),
}


def test_what_a_history_of_answers_counts() -> None:
    """Each is saved and restored after every answer."""
    for what, (steps, expected) in STORIES.items():
        assert shown(history(*steps)) == expected, what


def test_a_clock_set_back_by_days_keeps_the_counters_and_takes_a_new_base() -> None:
    """A day far in the future would otherwise hold everything still until it comes."""
    future = history((DAY, [MORNING, CHAT]), (DAY, [NOON, CHAT]), (LATER, []))
    back = observe(future, DAY, [NOON])
    assert shown(back) == shown(future)
    assert back.day == back.channels["chat-web"].day == DAY
    assert shown(observe(back, DAY, [row(31, (11, 15, 19), 26)])).offered == 21
    assert shown(observe(back, DAY, [CHAT]), "chat-web").offered == 3


# Corrections ----------------------------------------------------------------------------


def even(offered: int, **changes: Any) -> ChannelFigures:
    """A row of which nine tenths are answered, seven within 10 s and eight within 20 s."""
    ten = offered // 10
    return replace(row(offered, (7 * ten, 8 * ten, 8 * ten), 9 * ten), **changes)


def after(*rows: ChannelFigures | None) -> QueryLedger:
    """The ledger of a known query after these rows of one day; None: it lacks the channel."""
    return history((DAY, []), *((DAY, [one] if one else []) for one in rows))


def test_a_row_that_fell_waits_for_the_next_one_to_decide() -> None:
    """A glitch counts by the base, a correction by the candidate, a further fall by neither;
    None: a row that cannot be read.
    """
    cases: dict[tuple[int | None, ...], tuple[int, ...]] = {
        (100, 70, 100): (100, 100, 100),  # a glitch
        (100, 70, 110): (100, 100, 110),
        (100, 70, 70, 80): (100, 100, 100, 110),  # a correction
        (100, 70, 80, 90): (100, 100, 110, 120),
        (100, 70, 80, 100): (100, 100, 110, 130),  # the answer is the new base
        (100, 70, 60, 80): (100, 100, 100, 120),  # the second candidate
        (100, 70, 60, 50, 80): (100, 100, 100, 100, 130),
        (100, 70, 60, 50, 40, 80): (100, 100, 100, 100, 100, 140),  # believed as it stands
        (100, 90, 80, 70, 60, 40, 50): (100, 100, 100, 100, 100, 100, 110),
        (100, None, 70, None, 80): (100, 100, 100, 100, 110),
        (100, 0, 0, 10): (100, 100, 100, 110),
    }
    unread = even(100, service_level_20=None)
    for totals, offered in cases.items():
        rows = [unread if total is None else even(total) for total in totals]
        for number, expected in enumerate(offered, start=1):
            counters = after(*rows[:number]).channels["inbound"].counters
            found = (counters.offered, counters.answered, counters.within_10)
            assert found == (expected, expected * 9 // 10, expected * 7 // 10), totals
            waits = (counters.abandoned, counters.answer_wait_sum)
            assert waits == (expected // 10, expected * 9 // 10 * 20.0), totals


def test_from_10_000_interactions_a_small_fall_of_a_bucket_is_rounding() -> None:
    """The base keeps its maximum, and the rest of the row counts."""

    def bulk(offered: int, lost: int, within: int) -> ChannelFigures:
        level, answered = within / offered, offered - 9
        return ChannelFigures(
            "inbound", offered, answered, lost, level, level, level, 0.0, 20.0, None
        )

    cases = ((9_999, 0), (10_000, 2), (19_999, 2), (20_000, 3), (54_321, 6))
    for offered, allowed in cases:
        half = offered // 2
        first = bulk(offered, 0, half)
        within = after(first, bulk(offered, 5, half - allowed), bulk(offered, 6, half + 1))
        assert (shown(within).abandoned, shown(within).within_20) == (6, half + 1), offered
        held = after(first, bulk(offered, 5, half - allowed - 1))
        assert shown(held).abandoned == 0, offered
        assert held.channels["inbound"].candidate is not None, offered


def test_a_channel_that_a_shortened_answer_lacks_is_as_it_was() -> None:
    """With more channels than are kept it does not say which it had."""
    ledger = after(even(100))
    for _ in range(3):
        ledger = observe(ledger, DAY, [], whole=False)
    assert shown(observe(ledger, DAY, [even(110)])).offered == 110


def test_a_candidate_ends_with_its_day() -> None:
    """The closing answer decides like any other; the next day begins at 0, tries included."""
    cases = {(100, 70, 120): 130, (100, 70, 90): 130, (100, 70): 110}
    for totals, offered in cases.items():
        falls = [(DAY, [even(total)]) for total in totals]
        assert shown(history((DAY, []), *falls, (NEXT, [even(10)]))).offered == offered, totals
    falls = [(DAY, [even(total)]) for total in (100, 70, 60, 50)]
    morning = [(NEXT, [even(total)]) for total in (90, 70, 60, 50, 60)]
    ledger = history((DAY, []), *falls, (NEXT, [even(80, inbound=None)]), *morning)
    assert shown(ledger).offered == 100 + 90 + 10


def test_counters_that_stand_still_for_three_answers_are_inconsistent() -> None:
    """Once said, not again before they moved; without interactions there is nothing to move."""
    blank, quiet = even(100, service_level_20=None), even(0, answered=None)
    rows = [blank, blank, quiet, blank, blank, even(100), blank, even(60), blank, blank]
    ledger, said = KNOWN, []
    for one in rows:
        before, ledger = ledger, restored(observe(ledger, DAY, [one]))
        said.append(what_changed(before, ledger)[1])
    named = ["inbound"]
    assert said == [[], [], [], named, [], [], [], [], named, []]
    assert ledger.channels["inbound"].unmoved >= STUCK_ANSWERS


# Unreadable fields and buckets ----------------------------------------------------------


def test_an_unreadable_field_holds_its_part_and_no_other() -> None:
    """Half an update would read as a collapse, and the next readable total catches up."""
    parts = {
        **dict.fromkeys(("inbound", "answered"), BEFORE),
        **dict.fromkeys([f"service_level_{within}" for within in (10, 20, 30)], BEFORE),
        "asa": replace(NOON_COUNTS, answer_wait_sum=160.0),
        "ata": replace(NOON_COUNTS, abandon_wait_sum=60.0),
        "abandoned": replace(NOON_COUNTS, abandoned=2, abandon_wait_sum=60.0),
        "abandonment": NOON_COUNTS,
    }
    known = history((DAY, []), (DAY, [MORNING]))
    values: tuple[Any, ...] = (None, -1, float("nan"), float("inf"), 10**400)
    for (field, expected), bad in product(parts.items(), values):
        held = observe(known, DAY, [replace(NOON, **{field: bad})])
        assert shown(held) == expected, (field, bad)
        assert shown(observe(held, DAY, [NOON])) == NOON_COUNTS, (field, bad)


def test_buckets_are_rounded_and_cumulative() -> None:
    """A bucket is service level x inbound, rounded half up, at most the next wider one."""
    cases = [
        (67, 66, (0.6567, 0.6567, 0.9851), (44, 44, 66)),
        (9_999, 9_999, (0.3333, 0.5, 1.0), (3333, 5000, 9999)),
        (2, 2, (0.25, 0.75, 1.0), (1, 2, 2)),  # half up
        (3, 3, (0.5 - 1e-16, 0.5, 0.5), (2, 2, 2)),  # despite floats
        (10, 8, (0.9, 0.95, 1.0), (8, 8, 8)),  # not above answered
        (10, 8, (4.9, 0.5, 0.6), (5, 5, 6)),  # not above the wider one
        (10, 12, (1.1, 1.3, 4.9), (11, 12, 12)),  # over 100 %
        (0, 3, (1.0, 1.0, 1.0), (0, 0, 0)),  # nothing offered
    ]
    for inbound, answered, levels, buckets in cases:
        figures = ChannelFigures("inbound", inbound, answered, 0, *levels, 0.0, 1.0, 1.0)
        totals = day_totals(figures)
        found = (totals.within_10, totals.within_20, totals.within_30)
        assert (found, totals.answered) == (buckets, answered), (inbound, levels)


def test_a_figure_beyond_all_measure_says_nothing() -> None:
    """It would hold the counters still until the next day; absent is never 0."""
    assert day_totals(replace(NOON, inbound=10**9)).offered == 10**9
    assert day_totals(replace(NOON, inbound=10**9 + 1)) == UNKNOWN_TOTALS
    assert day_totals(ChannelFigures("x", *[None] * 9)) == UNKNOWN_TOTALS


# The memory of known channels -----------------------------------------------------------
