"""Small, fixed query statuses for the tests of metrics and pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from exporter.state import counters
from exporter.state.counters import Counters, QueryLedger, Sample
from exporter.state.models import (
    NO_MONTH,
    MonthMemory,
    QueryKey,
    QueryMemory,
    QueryStatus,
    Result,
    read_memory,
    write_memory,
)
from exporter.wolkvox.columns import ChannelFigures

DAY = date(2026, 11, 18)
NOW = datetime(2026, 11, 18, 17, 0, tzinfo=UTC).timestamp()

VOICE = ChannelFigures("inbound", 67, 66, 1, 0.4478, 0.6567, 0.8507, 0.0149, 12.0, 31.0)
CHAT = ChannelFigures("chat-whatsapp", 20, 18, 2, None, 0.5, 0.75, 0.1, 35.0, None)


def status(
    *rows: ChannelFigures,
    operation: str = "acme",
    skill_id: str = "4173",
    skill: str = "Ventas",
    failures: int = 0,
    stale_after: float = 900.0,
    yesterday: tuple[ChannelFigures, ...] | None = None,
    month: tuple[ChannelFigures, ...] | None = None,
) -> QueryStatus:
    """A query whose last good answer came a minute ago; without rows, an empty answer.

    `month` are the rows of this month and of the last one.
    """
    ledger = counters.observe(None, DAY, ())
    ledger = counters.observe(ledger, DAY, rows)
    ledger = counters.observe(ledger, DAY, rows)  # the second time shows what joined
    before = date(2026, 11, 17)
    memory = QueryMemory(
        last_success_at=NOW - 60,
        failures=failures,
        today=Result(DAY, rows, NOW - 60),
        yesterday=None if yesterday is None else Result(before, yesterday, NOW - 40_000),
        ledger=ledger,
        month=NO_MONTH if month is None else MonthMemory(Result(before, month, NOW - 39_000)),
        last_month=NO_MONTH
        if month is None
        else MonthMemory(Result(date(2026, 10, 31), month, NOW - 1_500_000)),
    )
    return QueryStatus(
        key=QueryKey(operation, skill_id),
        skill=skill,
        memory=memory,
        last_attempt_at=NOW - 62,
        next_slot_at=NOW + 238,
        interval=300.0,
        live_until=NOW - 60 + stale_after,
    )


def half_hour(query: QueryStatus, channel: str, offered: int, **in_time: int) -> QueryStatus:
    """The query with so many interactions of a channel in the half hour before its answer."""
    grown = {channel: Counters(offered=offered, **in_time)}
    return replace(query, recent=(Sample(NOW - 1860, {}), Sample(NOW - 60, grown)))


def restored(ledger: QueryLedger) -> QueryLedger:
    """The ledger as a restart reads it from the state."""
    found = read_memory(write_memory(QueryMemory(ledger=ledger))).ledger
    assert found is not None
    return found


def never(operation: str = "acme", skill_id: str = "4190") -> QueryStatus:
    """A query that has not been asked yet."""
    empty = status(operation=operation, skill_id=skill_id, skill=skill_id)
    return replace(
        empty, memory=QueryMemory(), last_attempt_at=None, next_slot_at=None, live_until=None
    )
