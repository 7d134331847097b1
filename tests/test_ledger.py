"""Day totals to counters, sentence by sentence; random histories: test_ledger_properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from exporter.state.counters import (
    NO_COUNTERS,
    STUCK_ANSWERS,
    UNKNOWN_TOTALS,
    Counters,
    QueryLedger,
    day_totals,
    exposed,
    known_channels,
    observe,
    what_changed,
)
from exporter.wolkvox.columns import ChannelFigures
from tests.statuses import restored

DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)

# offered, within 10, 20, 30, answered, answer wait, abandoned, abandon wait
Figures = tuple[int, int, int, int, int, float, int, float]


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


KNOWN = history((DAY - timedelta(days=1), []))  # a query that was observed before


# The first observation ------------------------------------------------------------------


def test_the_first_observation_of_a_query_counts_nothing() -> None:
    """A lost state never looks like traffic: what the day holds already is the base."""
    assert shown(history((DAY, [NOON]))) == NO_COUNTERS


def test_after_the_first_observation_only_what_was_added_counts() -> None:
    """The second answer of the day counts by its difference to the first."""
    ledger = history((DAY, [MORNING]), (DAY, [NOON]))
    assert shown(ledger) == Counters(20, 6, 9, 12, 17, 390.0, 3, 140.0)


def test_the_same_answer_again_counts_nothing() -> None:
    """A day's totals that stand still leave the counters where they are."""
    once = history((DAY, [MORNING]), (DAY, [NOON]))
    assert observe(once, DAY, [NOON]) == once


def test_an_empty_morning_is_a_first_observation() -> None:
    """After an answer without rows a channel was absent, so that it counts in full."""
    ledger = history((DAY, []), (DAY, [NOON]), (DAY, [NOON]))
    assert shown(ledger) == NOON_COUNTS


def test_a_first_observation_that_cannot_be_read_waits_for_the_first_readable_one() -> None:
    """Totals that were never read are unknown, not 0: the first readable ones are the base."""
    unread = replace(MORNING, inbound=None)
    assert shown(history((DAY, [unread]), (DAY, [MORNING]))) == NO_COUNTERS
    later = history((DAY, [unread]), (DAY, [MORNING]), (DAY, [NOON]))
    assert shown(later) == Counters(20, 6, 9, 12, 17, 390.0, 3, 140.0)


def test_each_part_of_a_first_observation_has_its_own_base() -> None:
    """An average that was unreadable at first begins with its first readable value."""
    unread = replace(MORNING, asa=None, abandoned=None)
    first = history((DAY, [unread]), (DAY, [NOON]))
    assert shown(first) == Counters(20, 6, 9, 12, 17, 0.0, 0, 0.0)
    more = row(40, (12, 16, 20), 33, asa=22.0, ata=40.0)
    assert shown(observe(first, DAY, [more])) == Counters(30, 8, 11, 14, 25, 176.0, 2, 80.0)


def test_a_base_that_was_never_read_ends_with_its_day() -> None:
    """The next day begins at 0 whatever was unknown of the first one."""
    unread = replace(MORNING, inbound=None)
    assert shown(history((DAY, [unread]), (NEXT, [NOON]))) == NOON_COUNTS


def test_averages_of_nothing_are_known_to_be_zero() -> None:
    """No service level, asa and ata beside counts of 0 is no gap: the base is 0."""
    nothing = row(0, (0, 0, 0), 0, asa=None, ata=None)
    assert shown(history((DAY, [nothing]), (DAY, [NOON]))) == NOON_COUNTS


@pytest.mark.parametrize("within", [(8, 10, 16), (5, 13, 16), (5, 10, 18)])
def test_buckets_stay_cumulative_when_a_correction_follows_the_first_observation(
    within: tuple[int, int, int],
) -> None:
    """Interactions that move into a narrower bucket wait there for the wider ones."""
    moved = history((DAY, [row(20, (5, 10, 16), 16)]), (DAY, [row(20, within, 16)]))
    assert shown(moved) == NO_COUNTERS
    more = observe(moved, DAY, [row(30, (15, 20, 26), 26)])
    after = shown(more)
    assert after.within_10 <= after.within_20 <= after.within_30 <= after.answered == 10
    late = shown(observe(more, DAY, [row(50, (15, 20, 26), 46)]))
    caught_up = (15 - 5, 20 - 10, 26 - 16)
    assert (late.within_10, late.within_20, late.within_30) == caught_up


# A channel that joins later -------------------------------------------------------------


def test_a_channel_that_joins_shows_zeros_first_and_then_counts_in_full() -> None:
    """Prometheus sees no increase in a series that begins above 0."""
    joined = observe(KNOWN, DAY, [NOON])
    assert shown(joined) == NO_COUNTERS
    assert joined.channels["inbound"].counters == NOON_COUNTS
    more = row(31, (10, 14, 19), 26, asa=22.0, ata=40.0)
    assert shown(observe(joined, DAY, [more])) == Counters(31, 10, 14, 19, 26, 572.0, 5, 200.0)


def test_a_joined_channel_shows_its_amount_even_if_the_next_answer_lacks_it() -> None:
    """The zeros last for one observation of the query, not of the channel."""
    assert shown(history((DAY, []), (DAY, [NOON]), (DAY, []))) == NOON_COUNTS


def test_a_channel_that_joins_unreadable_catches_up() -> None:
    """It was absent before, so its base is 0 although its first row could not be read."""
    unread = replace(MORNING, answered=None)
    ledger = history((DAY, []), (DAY, [unread]))
    assert shown(ledger) == NO_COUNTERS
    assert shown(observe(ledger, DAY, [NOON])) == NOON_COUNTS


def test_a_channel_first_seen_in_the_closing_answer_shows_its_day_with_the_next() -> None:
    """What came between the last poll and midnight appears with the new day's first poll."""
    closed = history((DAY, []), (DAY, [NOON]))
    assert shown(closed) == NO_COUNTERS
    assert shown(observe(closed, NEXT, [])) == NOON_COUNTS
    both = shown(observe(closed, NEXT, [MORNING]))
    assert both == Counters(40, 14, 19, 24, 33, 710.0, 7, 260.0)


def test_channels_are_counted_apart() -> None:
    """One channel's row changes no other channel."""
    chat = row(3, (1, 1, 2), 3, asa=40.0, channel="chat-web")
    ledger = history((DAY, [MORNING]), (DAY, [MORNING, chat]), (DAY, [NOON, chat]))
    assert shown(ledger, "chat-web") == Counters(3, 1, 1, 2, 3, 120.0, 0, 0.0)
    assert shown(ledger).offered == 20


def test_a_channel_missing_in_an_answer_stays_as_it_was() -> None:
    """An answer without the row neither counts nor moves the base."""
    ledger = history((DAY, []), (DAY, [MORNING]), (DAY, []), (DAY, [NOON]))
    assert shown(ledger) == NOON_COUNTS


# Corrections ----------------------------------------------------------------------------


def even(offered: int, **changes: Any) -> ChannelFigures:
    """A row of which nine tenths are answered, seven within 10 s and eight within 20 s."""
    ten = offered // 10
    return replace(row(offered, (7 * ten, 8 * ten, 8 * ten), 9 * ten), **changes)


def after(*rows: ChannelFigures | None) -> QueryLedger:
    """The ledger of a known query after these rows of one day; None: it lacks the channel."""
    return history((DAY, []), *((DAY, [one] if one else []) for one in rows))


@pytest.mark.parametrize(
    ("totals", "offered"),
    [
        pytest.param((100, 70, 100), (100, 100, 100), id="glitch"),
        pytest.param((100, 70, 110), (100, 100, 110), id="glitch-that-grew"),
        pytest.param((100, 70, 70, 80), (100, 100, 100, 110), id="correction"),
        pytest.param((100, 70, 80, 90), (100, 100, 110, 120), id="correction-that-grew"),
        pytest.param((100, 70, 80, 100), (100, 100, 110, 130), id="the-answer-is-the-new-base"),
        pytest.param((100, 70, 60, 80), (100, 100, 100, 120), id="second-candidate"),
        pytest.param((100, 70, 60, 50, 80), (100, 100, 100, 100, 130), id="third-candidate"),
        pytest.param(
            (100, 70, 60, 50, 40, 80),
            (100, 100, 100, 100, 100, 140),
            id="believed-as-it-stands",
        ),
        pytest.param(
            (100, 90, 80, 70, 60, 40, 50), (100, 100, 100, 100, 100, 100, 110), id="falls-again"
        ),
        pytest.param((100, None, 70, None, 80), (100, 100, 100, 100, 110), id="unreadable"),
        pytest.param((100, 0, 0, 10), (100, 100, 100, 110), id="fell-to-nothing"),
    ],
)
def test_a_row_that_fell_waits_for_the_next_one_to_decide(
    totals: tuple[int | None, ...], offered: tuple[int, ...]
) -> None:
    """A glitch counts by the base, a correction by the candidate, a further fall by neither."""
    unread = even(100, service_level_20=None)
    rows = [unread if total is None else even(total) for total in totals]
    for number, expected in enumerate(offered, start=1):
        ledger = after(*rows[:number])
        counters = ledger.channels["inbound"].counters
        assert counters.offered == expected
        assert counters.answered == expected * 9 // 10
        assert counters.within_10 == expected * 7 // 10
        assert counters.abandoned == expected // 10
        assert counters.answer_wait_sum == expected * 9 // 10 * 20.0


@pytest.mark.parametrize(
    "change",
    [
        {"inbound": 99},
        {"answered": 89},
        {"abandoned": 9},
        {"service_level_10": 0.69},
        {"service_level_20": 0.79},
        {"service_level_30": 0.79, "service_level_20": 0.79},
    ],
)
def test_no_figure_moves_where_one_count_fell(change: dict[str, Any]) -> None:
    """Half a correction would be a ratio of interactions that never happened."""
    grown = row(130, (91, 104, 104), 117)
    seen = replace(even(100, asa=99.0, ata=99.0), **change)
    ledger = after(even(100), seen)
    assert ledger.channels["inbound"].counters == after(even(100)).channels["inbound"].counters
    assert shown(observe(ledger, DAY, [grown])) == shown(after(even(100), grown, grown))


def test_a_believed_correction_counts_the_waits_that_came_since_the_candidate() -> None:
    """Their running maximum begins anew with it."""
    ledger = after(even(100, asa=50.0), even(50, asa=10.0), even(60, asa=12.0))
    assert shown(ledger).answer_wait_sum == 90 * 50 + (54 * 12 - 45 * 10)
    later = observe(ledger, DAY, [even(60, asa=13.0)])
    assert shown(later).answer_wait_sum == shown(ledger).answer_wait_sum + 54


def test_a_wait_sum_that_falls_by_rounding_holds_still() -> None:
    """Whole-second averages let average x count fall although more was answered."""
    steps = [row(n, (0, 0, 0), n, asa=asa) for n, asa in ((10, 21.0), (10, 20.0), (11, 20.0))]
    ledger = after(*steps)
    assert shown(ledger).answer_wait_sum == 220.0
    assert shown(ledger).answered == 11


@pytest.mark.parametrize("field", ["asa", "ata", "abandoned"])
def test_what_a_correction_leaves_unread_begins_with_its_next_value(field: str) -> None:
    """The other figures of a row with a blank average or abandoned decide all the same."""
    blank = {field: None}
    ledger = after(even(100), even(50, **blank), even(60, **blank), even(70), even(80))
    part = shown(after(even(100), even(50), even(60), even(70), even(80)))
    counters = shown(ledger)
    assert counters.offered == part.offered == 130
    names = {"asa": ["answer_wait_sum"], "ata": ["abandon_wait_sum"]}
    for name in names.get(field, ["abandoned", "abandon_wait_sum"]):
        lost = getattr(part, name) - getattr(counters, name)
        assert (
            lost == {"answer_wait_sum": 360.0, "abandoned": 2, "abandon_wait_sum": 60.0}[name]
        )


@pytest.mark.parametrize(
    ("offered", "allowed"), [(9_999, 0), (10_000, 2), (19_999, 2), (20_000, 3), (54_321, 6)]
)
def test_from_10_000_interactions_a_small_fall_of_a_bucket_is_rounding(
    offered: int, allowed: int
) -> None:
    """The base keeps its maximum, and the rest of the row counts."""

    def bulk(lost: int, within: int) -> ChannelFigures:
        level = within / offered
        return ChannelFigures(
            "inbound", offered, offered - 9, lost, level, level, level, 0.0, 20.0, None
        )

    half = offered // 2
    rounded = shown(after(bulk(0, half), bulk(5, half - allowed), bulk(6, half + 1)))
    assert (rounded.abandoned, rounded.within_20) == (6, half + 1)
    held = after(bulk(0, half), bulk(5, half - allowed - 1))
    assert shown(held).abandoned == 0
    assert held.channels["inbound"].candidate is not None


def test_a_channel_that_an_answer_lacks_is_a_row_of_zeros() -> None:
    """Once it may be a glitch, a second time it is believed, and what comes then is new."""
    assert shown(after(even(100), None, even(110), None, even(120))).offered == 120
    assert shown(after(even(100), None, None, even(110))).offered == 210
    assert shown(after(even(100), even(70), None, even(80))).offered == 180


def test_a_channel_without_rows_that_day_is_not_lacking() -> None:
    """The new day of a channel begins with its own first row."""
    ledger = history((DAY, []), (DAY, [even(100)]), (NEXT, []), (NEXT, []), (NEXT, [even(10)]))
    assert shown(ledger).offered == 110


def test_a_channel_that_was_never_read_does_not_begin_at_zero_by_lacking() -> None:
    """The base of a first observation is a row that came, not one that did not."""
    unread = even(100, inbound=None)
    ledger = history((DAY, [unread]), (DAY, []), (DAY, []), (DAY, [even(100)]))
    assert shown(ledger).offered == 0


def test_rows_that_were_left_out_are_not_lacking() -> None:
    """An answer with more channels than are kept does not say which of them it had."""
    ledger = after(even(100))
    for _ in range(3):
        ledger = observe(ledger, DAY, [], whole=False)
    assert shown(observe(ledger, DAY, [even(110)])).offered == 110


def test_a_closing_answer_decides_like_any_other() -> None:
    """What fell before it is believed or not; what falls with it counts nothing."""
    opened = [(DAY, []), (DAY, [even(100)])]
    glitch = history(*opened, (DAY, [even(70)]), (DAY, [even(120)]), (NEXT, [even(10)]))
    assert shown(glitch).offered == 130
    correction = history(*opened, (DAY, [even(70)]), (DAY, [even(90)]), (NEXT, [even(10)]))
    assert shown(correction).offered == 130
    falls = history(*opened, (DAY, [even(70)]), (NEXT, [even(10)]), (NEXT, [even(20)]))
    assert shown(falls).offered == 120


def test_a_candidate_ends_with_its_day() -> None:
    """The next day begins at 0 whatever was waiting, and so does the number of tries."""
    falls = [(DAY, [even(total)]) for total in (100, 70, 60, 50)]
    morning = [(NEXT, [even(total)]) for total in (90, 70, 60, 50, 60)]
    ledger = history((DAY, []), *falls, (NEXT, [even(80, inbound=None)]), *morning)
    assert shown(ledger).offered == 100 + 90 + 10


def test_held_rows_are_counted_as_they_are_held() -> None:
    """Each candidate is one; what is believed or counted is none, nor are other channels'."""
    chat = row(3, (1, 1, 2), 3, channel="chat-web")
    ledger, held = after(even(100)), []
    for total in (70, 60, 50, 40, 30, 50, 60):
        before, ledger = ledger, observe(ledger, DAY, [even(total), chat])
        held.append(what_changed(before, ledger)[0])
    assert held == [1, 1, 1, 0, 1, 0, 0]
    assert what_changed(ledger, observe(ledger, DAY, []))[0] == 2
    assert what_changed(None, None) == (0, [])


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


# Midnight -------------------------------------------------------------------------------


def test_the_closing_answer_adds_what_came_after_the_last_poll() -> None:
    """The finished day is counted to its end and the new one from 0."""
    ledger = history((DAY, []), (DAY, [MORNING]), (DAY, [NOON]), (NEXT, [MORNING]))
    assert shown(ledger) == Counters(40, 14, 19, 24, 33, 710.0, 7, 260.0)


def test_a_new_day_counts_from_zero_without_a_closing_answer() -> None:
    """Nothing is lost but the rest of the day that nobody asked for."""
    ledger = history((DAY, [MORNING]), (NEXT, [MORNING]))
    assert shown(ledger) == Counters(10, 4, 5, 6, 8, 160.0, 2, 60.0)


def test_a_closing_answer_may_lack_a_channel() -> None:
    """The new day of a channel begins with its own next row."""
    ledger = history((DAY, []), (DAY, [NOON]), (DAY, []), (NEXT, []), (NEXT, [MORNING]))
    assert shown(ledger).offered == 40


def test_closing_a_day_that_was_never_polled_counts_it_whole() -> None:
    """After an outage over midnight yesterday's whole totals are new."""
    ledger = history((DAY - timedelta(days=2), [MORNING]), (DAY, [NOON]), (NEXT, []))
    assert shown(ledger) == NOON_COUNTS


def test_an_answer_for_yesterday_after_todays_changes_nothing() -> None:
    """A closing answer that comes late cannot be told from what is counted already."""
    ledger = history((DAY, [MORNING]), (NEXT, [MORNING]))
    assert observe(ledger, DAY, [NOON]) is ledger


def test_a_clock_set_back_by_days_keeps_the_counters_and_takes_a_new_base() -> None:
    """A day far in the future would otherwise hold everything still until it comes."""
    chat = row(3, (1, 1, 2), 3, asa=40.0, channel="chat-web")
    future = history((DAY, [MORNING, chat]), (DAY, [NOON, chat]), (DAY + timedelta(5), []))
    back = observe(future, DAY, [NOON])
    assert shown(back) == shown(future)
    assert back.day == back.channels["chat-web"].day == DAY
    assert shown(observe(back, DAY, [row(31, (11, 15, 19), 26)])).offered == 21
    assert shown(observe(back, DAY, [chat]), "chat-web").offered == 3


# Unreadable fields ----------------------------------------------------------------------

BEFORE = Counters(10, 4, 5, 6, 8, 160.0, 2, 60.0)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("inbound", BEFORE),
        ("answered", BEFORE),
        ("service_level_10", BEFORE),
        ("service_level_20", BEFORE),
        ("service_level_30", BEFORE),
        ("asa", replace(NOON_COUNTS, answer_wait_sum=160.0)),
        ("ata", replace(NOON_COUNTS, abandon_wait_sum=60.0)),
        ("abandoned", replace(NOON_COUNTS, abandoned=2, abandon_wait_sum=60.0)),
        ("abandonment", NOON_COUNTS),
    ],
)
@pytest.mark.parametrize("bad", [None, -1, float("nan"), float("inf"), 10**400])
def test_an_unreadable_field_holds_its_part_and_no_other(
    field: str, expected: Counters, bad: Any
) -> None:
    """Half an update would read as a collapse, and the next readable total catches up."""
    known = history((DAY, []), (DAY, [MORNING]))
    held = observe(known, DAY, [replace(NOON, **{field: bad})])
    assert shown(held) == expected
    assert shown(observe(held, DAY, [NOON])) == NOON_COUNTS


def test_an_unreadable_row_on_a_new_day_holds_still_and_catches_up() -> None:
    """The new day begins at 0 although its first row says nothing."""
    known = history((DAY, []), (DAY, [MORNING]), (NEXT, [replace(NOON, inbound=None)]))
    assert shown(known) == BEFORE
    assert shown(observe(known, NEXT, [MORNING])).offered == 20


# Buckets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inbound", "answered", "levels", "buckets"),
    [
        pytest.param(67, 66, (0.6567, 0.6567, 0.9851), (44, 44, 66), id="rounded-percent"),
        pytest.param(9_999, 9_999, (0.3333, 0.5, 1.0), (3333, 5000, 9999), id="just-exact"),
        pytest.param(2, 2, (0.25, 0.75, 1.0), (1, 2, 2), id="half-up"),
        pytest.param(3, 3, (0.5 - 1e-16, 0.5, 0.5), (2, 2, 2), id="half-up-despite-floats"),
        pytest.param(10, 8, (0.9, 0.95, 1.0), (8, 8, 8), id="not-above-answered"),
        pytest.param(10, 8, (4.9, 0.5, 0.6), (5, 5, 6), id="not-above-the-wider"),
        pytest.param(10, 12, (1.1, 1.3, 4.9), (11, 12, 12), id="over-100-percent"),
        pytest.param(0, 3, (1.0, 1.0, 1.0), (0, 0, 0), id="nothing-offered"),
    ],
)
def test_buckets_are_rounded_and_cumulative(
    inbound: int,
    answered: int,
    levels: tuple[float, float, float],
    buckets: tuple[int, int, int],
) -> None:
    """A bucket is service level x inbound, rounded half up, at most the next wider one."""
    low, middle, high = levels
    totals = day_totals(
        ChannelFigures("inbound", inbound, answered, 0, low, middle, high, 0.0, 1.0, 1.0)
    )
    assert (totals.within_10, totals.within_20, totals.within_30) == buckets
    assert totals.answered == answered


@pytest.mark.parametrize(("offered", "known"), [(10**9, True), (10**9 + 1, False)])
def test_a_figure_beyond_all_measure_says_nothing(offered: int, known: bool) -> None:
    """It would hold the counters still until the next day."""
    totals = day_totals(replace(NOON, inbound=offered))
    assert totals.offered == (offered if known else None)
    assert (totals == UNKNOWN_TOTALS) is not known


def test_a_row_without_any_figure_says_nothing() -> None:
    """Absent is never 0."""
    assert day_totals(ChannelFigures("x", *[None] * 9)) == UNKNOWN_TOTALS


# The memory of known channels -----------------------------------------------------------


def test_channels_are_known_for_eight_days() -> None:
    """A channel without rows is remembered over the same weekday of the next week."""
    ledger = history((DAY, [row(1, (1, 1, 1), 1, channel=name) for name in ("b", "a")]))
    eighth, ninth = DAY + timedelta(days=8), DAY + timedelta(days=9)
    assert known_channels(None, DAY) == {}
    assert [*known_channels(ledger, eighth)] == ["a", "b"]
    assert known_channels(ledger, ninth) == {}
    assert set(observe(ledger, eighth, []).channels) == {"a", "b"}
    assert not observe(observe(ledger, eighth, []), ninth, []).channels


def test_a_row_of_zeros_keeps_a_channel_known() -> None:
    """What counts for the memory is the row, not its figures."""
    later = DAY + timedelta(days=5)
    ledger = history((DAY, [MORNING]), (later, [row(0, (0, 0, 0), 0)]))
    assert [*known_channels(ledger, later + timedelta(days=8))] == ["inbound"]


def test_a_channel_that_returns_after_it_was_forgotten_starts_afresh() -> None:
    """It shows zeros once, then what came since its return."""
    quiet = [(DAY + timedelta(days=n), list[ChannelFigures]()) for n in range(1, 9)]
    kept = history((DAY, []), (DAY, [NOON]), *quiet)
    assert shown(kept) == NOON_COUNTS
    back = observe(kept, DAY + timedelta(days=9), [MORNING])
    assert shown(back) == NO_COUNTERS
    assert shown(observe(back, DAY + timedelta(days=9), [MORNING])) == BEFORE


def test_a_query_unobserved_for_more_than_eight_days_begins_anew() -> None:
    """Nobody knows what was new in those days: the traffic of a gap is no burst."""
    gone = history((DAY, [MORNING]), (DAY, [NOON]), (DAY + timedelta(days=9), [NOON]))
    assert shown(gone) == NO_COUNTERS
    later = row(31, (11, 15, 19), 26, channel="inbound")
    assert shown(observe(gone, DAY + timedelta(days=9), [later])).offered == 1


def test_a_query_unobserved_for_eight_days_goes_on() -> None:
    """Within the memory of its channels the new day counts from 0."""
    ledger = history((DAY, [MORNING]), (DAY + timedelta(days=8), [NOON]))
    assert shown(ledger) == NOON_COUNTS
