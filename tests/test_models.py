"""What one answer changes in a query's memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

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


def test_an_answer_is_a_success() -> None:
    """It fills today, ends the failures and begins the counters at 0."""
    memory = apply_report(QueryMemory(failures=4), NOON, report(figures()), 100.0)
    assert memory.last_success_at == 100.0
    assert memory.failures == 0
    assert memory.today == Result(DAY, (figures(),), 100.0)
    assert memory.yesterday is None
    assert memory.closed is None
    assert offered(memory) == {"inbound": 0}


def test_a_closing_answer_fills_yesterday() -> None:
    """It closes its day, and what it adds is counted."""
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    memory = apply_report(before, whole_day(DAY), report(figures(inbound=14)), 200.0)
    assert memory.yesterday == Result(DAY, (figures(inbound=14),), 200.0)
    assert memory.closed == DAY
    assert memory.today == before.today
    assert offered(memory) == {"inbound": 4}
    after = apply_report(memory, MORNING, report(figures(inbound=3)), 300.0)
    assert after.yesterday == memory.yesterday
    assert offered(after) == {"inbound": 7}


def test_no_rows_at_first_are_believed() -> None:
    """Where there were no rows, an empty answer contradicts nothing."""
    memory = apply_report(QueryMemory(), NOON, EMPTY, 100.0)
    assert memory.today == Result(DAY, (), 100.0)
    assert not memory.doubted


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


@pytest.mark.parametrize(("empty", "counted"), [(1, 5), (2, 5), (3, 15)])
def test_empty_answers_that_are_believed_are_rows_of_zeros(empty: int, counted: int) -> None:
    """The first is doubted, the second a candidate, and the third makes it a correction."""
    memory = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    for number in range(empty):
        memory = apply_report(memory, NOON, EMPTY, 200.0 + number)
    assert offered(apply_report(memory, NOON, report(figures(inbound=15)), 300.0)) == {
        "inbound": counted
    }


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


def test_no_rows_of_a_new_day_are_believed() -> None:
    """A new day begins without rows."""
    before = apply_report(QueryMemory(), NOON, report(figures()), 100.0)
    memory = apply_report(before, MORNING, EMPTY, 200.0)
    assert memory.today == Result(NEXT, (), 200.0)


def test_counters_do_not_fall_with_a_correction() -> None:
    """Totals that fall hold the counters still; the gauges show what the API says."""
    memory = QueryMemory()
    for inbound in (10, 20, 15, 18, 25):
        memory = apply_report(memory, NOON, report(figures(inbound=inbound)), 100.0)
    assert offered(memory) == {"inbound": 10 + 3 + 7}
    assert memory.today == Result(DAY, (figures(inbound=25),), 100.0)


def test_a_channel_of_nine_days_ago_is_forgotten() -> None:
    """The ledger keeps a channel for eight days after its last row."""
    memory = apply_report(QueryMemory(), NOON, report(figures(), figures("chat-web")), 100.0)
    for number in range(19, 28):
        day = date(2026, 11, number)
        assert set(offered(memory)) == {"inbound", "chat-web"}
        memory = apply_report(memory, replace(MORNING, day=day), report(figures()), 200.0)
    assert set(offered(memory)) == {"inbound"}


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
