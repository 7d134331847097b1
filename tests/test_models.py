"""What one answer changes in a query's memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from exporter.state.counters import exposed
from exporter.state.models import QueryMemory, Result, apply_report, failed, limit_channels
from exporter.wolkvox.columns import ChannelFigures
from exporter.wolkvox.report import MAX_CHANNELS, SkillReport
from exporter.wolkvox.windows import Window, whole_day

DAY, NEXT = date(2026, 11, 18), date(2026, 11, 19)
NOON = Window(DAY, "20261118000000", "20261118120000", closing=False)
MORNING = Window(NEXT, "20261119000000", "20261119080000", closing=False)
EMPTY = SkillReport((), (), 0)


def figures(channel: str = "inbound", inbound: int = 10) -> ChannelFigures:
    """A channel of which everything but its size is of no matter here."""
    return ChannelFigures(channel, inbound, inbound, 0, 0.5, 0.6, 0.7, 0.0, 12.0, None)


def report(*channels: ChannelFigures) -> SkillReport:
    """An answer with these channels."""
    return SkillReport(channels, (), 0)


def offered(memory: QueryMemory) -> dict[str, int]:
    """The offered counters that are shown."""
    assert memory.ledger is not None
    return {name: exposed(channel).offered for name, channel in memory.ledger.channels.items()}


def test_an_answer_is_a_success_and_a_closing_one_fills_yesterday() -> None:
    """It ends the failures and begins the counters at 0; what the closing adds is counted."""
    before = apply_report(QueryMemory(failures=4), NOON, report(figures()), 100.0)
    assert (before.last_success_at, before.failures) == (100.0, 0)
    assert before.today == Result(DAY, (figures(),), 100.0)
    assert (before.yesterday, before.closed) == (None, None)
    assert offered(before) == {"inbound": 0}
    memory = apply_report(before, whole_day(DAY), report(figures(inbound=14)), 200.0)
    assert memory.yesterday == Result(DAY, (figures(inbound=14),), 200.0)
    assert memory.closed == DAY
    assert memory.today == before.today
    assert offered(memory) == {"inbound": 4}
    after = apply_report(memory, MORNING, report(figures(inbound=3)), 300.0)
    assert after.yesterday == memory.yesterday
    assert offered(after) == {"inbound": 7}


def test_a_week_of_closed_days_is_kept() -> None:
    """What came in by channel on the last seven; a known channel without a row had nothing."""
    memory = apply_report(QueryMemory(), NOON, report(figures("chat-web")), 50.0)
    days = [DAY + timedelta(days=ahead) for ahead in range(9)]
    for ahead, day in enumerate(days):
        rows = figures(inbound=100 + ahead), ChannelFigures("voz")
        memory = apply_report(memory, whole_day(day), report(*rows), 100.0 + ahead)
    assert [*memory.week] == days[2:]
    assert memory.week[days[2]] == {"chat-web": 0, "inbound": 102}


def test_no_rows_that_contradict_nothing_are_believed() -> None:
    """At first, and on a new day."""
    memory = apply_report(QueryMemory(), NOON, EMPTY, 100.0)
    assert memory.today == Result(DAY, (), 100.0)
    assert not memory.doubted
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    assert apply_report(before, MORNING, EMPTY, 200.0).today == Result(NEXT, (), 200.0)


@pytest.mark.parametrize("window", [NOON, whole_day(DAY)])
def test_no_rows_after_rows_are_doubted_once(window: Window) -> None:
    """The first empty answer changes no value, the second in a row does."""
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    doubting = apply_report(replace(before, failures=1), window, EMPTY, 200.0)
    assert doubting == replace(before, doubted=True, last_success_at=200.0)
    believing = apply_report(doubting, window, EMPTY, 300.0)
    result = Result(DAY, (), 300.0)
    assert not believing.doubted
    assert (believing.yesterday if window.closing else believing.today) == result
    assert believing.closed == (DAY if window.closing else None)
    assert offered(believing) == {"inbound": 0}


def test_empty_answers_that_are_believed_are_rows_of_zeros() -> None:
    """The first is doubted, the second a candidate, and the third makes it a correction."""
    for empty, counted in ((1, 5), (2, 5), (3, 15)):
        memory = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
        for number in range(empty):
            memory = apply_report(memory, NOON, EMPTY, 200.0 + number)
        after = apply_report(memory, NOON, report(figures(inbound=15)), 300.0)
        assert offered(after) == {"inbound": counted}, empty


def test_an_answer_with_rows_left_out_lacks_no_channel() -> None:
    """A row beyond the limits may be the one that is missing."""
    memory = apply_report(QueryMemory(), NOON, report(figures(), figures("chat-web")), 100.0)
    for _ in range(3):
        memory = apply_report(memory, NOON, SkillReport((figures(),), (), 1), 200.0)
    memory = apply_report(memory, NOON, report(figures(), figures("chat-web", 12)), 300.0)
    assert offered(memory) == {"inbound": 0, "chat-web": 2}


def test_rows_end_the_doubt() -> None:
    """After rows the next empty answer is a first one again."""
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    doubting = apply_report(before, NOON, EMPTY, 200.0)
    again = apply_report(doubting, NOON, report(figures(inbound=12)), 300.0)
    assert again.doubted is False  # it is written to the state file as it is
    assert apply_report(again, NOON, EMPTY, 400.0).today == again.today


def test_a_failure_keeps_everything() -> None:
    """The last good values stay; failures in a row are counted."""
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    assert failed(failed(before)) == replace(before, failures=2)


def test_a_query_has_64_channels_at_most() -> None:
    """Channels known of late go before new ones; what is beyond is dropped and counted."""
    names = [f"channel-{number:02}" for number in range(MAX_CHANNELS)]
    full = report(*map(figures, names))
    assert limit_channels(full, None) == full
    memory = apply_report(QueryMemory(), NOON, report(*map(figures, names[:60])), 100.0)
    fresh = [f"new-{number}" for number in range(6)]
    answer = SkillReport((*map(figures, fresh), *map(figures, names[:60])), (), 1)
    kept = limit_channels(answer, memory.ledger)
    assert [row.channel for row in kept.channels] == [*fresh[:4], *names[:60]]
    assert kept.dropped == 3
