"""The day totals of successive answers -> counters that never fall; pure: no clock, no
file, no request. What a single row says is read in totals.py.

A query's first observation counts nothing, so that a lost state never looks like traffic.
After it the totals of a day count by their differences, and a new day begins at 0. A channel
that joins later was absent before: it counts in full, but shows 0 until the next
observation, because Prometheus sees no increase in a series that begins above 0.

Wolkvox corrects totals downward, and an answer may be a glitch. A row moves as a whole or
not at all, so that a ratio over a window never mixes two states of a day: see `_counted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.state.totals import (
    NO_COUNTERS,
    ZERO_TOTALS,
    Counters,
    DayTotals,
    advanced,
    cumulative,
    day_totals,
    fell,
    raised,
)

if TYPE_CHECKING:
    from exporter.wolkvox.columns import ChannelFigures

KEEP_DAYS = 8  # the same weekday last week, with a day to spare
MOST_HELD = 3  # answers held in a row; the one that falls after them is believed
STUCK_ANSWERS = 3  # after so many answers counters that do not move are no chance any more


@dataclass(frozen=True, slots=True)
class ChannelLedger:
    """One channel: `base` is the row last counted of `day`, the last day it had a row.

    `fresh` is true from the observation in which the channel joined a known query until
    the next one: its counters are then shown as 0 (see `exposed`). `candidate` is a row that
    fell and waits for the next one to decide, `held` how many have taken that place in a
    row. `unmoved` counts answers in a row that had interactions but moved no counter.
    """

    day: date
    base: DayTotals
    counters: Counters
    fresh: bool = False
    candidate: DayTotals | None = None
    held: int = 0
    unmoved: int = 0

    @property
    def inconsistent(self) -> bool:
        """Whether its figures make no sense to the counters for several answers."""
        return self.unmoved >= STUCK_ANSWERS


@dataclass(frozen=True, slots=True)
class QueryLedger:
    """All channels of one query; `day` is the latest day observed, rows or none."""

    day: date
    channels: Mapping[str, ChannelLedger]


def observe(
    ledger: QueryLedger | None,
    day: date,
    rows: Sequence[ChannelFigures],
    *,
    whole: bool = True,
) -> QueryLedger:
    """The ledger after an answer for `day`: its rows, each channel once; or no rows at all.

    The answer for a finished day is observed like any other, before the next day's. One
    for the day before the ledger's comes too late and changes nothing. After more than
    KEEP_DAYS unobserved, or where a clock was set back by days, the answer is taken as a
    first one: nothing tells how much of its totals is new. Channels that had rows that day
    and lack one now count as zeros, unless rows were left out (not `whole`).
    """
    if ledger is None:
        return _begun({}, day, rows)
    days = (day - ledger.day).days
    if days == -1:
        return ledger
    known = _remembered(ledger, day)
    if days < 0 or days > KEEP_DAYS:
        return _begun(known, day, rows)
    after = {name: replace(channel, fresh=False) for name, channel in known.items()}
    for row in rows:
        before = after.get(row.channel)
        after[row.channel] = _counted(before, day, day_totals(row), busy=bool(row.inbound))
    lacking = known.keys() - {row.channel for row in rows} if whole else ()
    for name in lacking:
        channel = after[name]
        if channel.day == day and channel.base.offered is not None:
            after[name] = _counted(channel, day, ZERO_TOTALS, busy=False)
    return QueryLedger(day, MappingProxyType(after))


def exposed(channel: ChannelLedger) -> Counters:
    """The counters to show, as ordered buckets: 0 as long as the channel is fresh."""
    return NO_COUNTERS if channel.fresh else cumulative(channel.counters)


def what_changed(
    before: QueryLedger | None, after: QueryLedger | None
) -> tuple[int, list[str]]:
    """How many rows an answer held back, and which channels became inconsistent with it."""
    held, inconsistent = 0, []
    for name, channel in (after.channels if after else {}).items():
        known = before.channels.get(name) if before else None
        held += channel.held > (known.held if known else 0)
        if channel.inconsistent and not (known and known.inconsistent):
            inconsistent.append(name)
    return held, inconsistent


def known_channels(ledger: QueryLedger | None, today: date) -> tuple[str, ...]:
    """The channels that had a row today or in the KEEP_DAYS days before, in name order."""
    return tuple(sorted(_remembered(ledger, today))) if ledger else ()


def _remembered(ledger: QueryLedger, day: date) -> dict[str, ChannelLedger]:
    oldest = day.toordinal() - KEEP_DAYS
    return {
        name: channel
        for name, channel in ledger.channels.items()
        if channel.day.toordinal() >= oldest
    }


def _begun(
    known: Mapping[str, ChannelLedger], day: date, rows: Sequence[ChannelFigures]
) -> QueryLedger:
    """Counters as they are, with these totals as their base: what is unread gets it later."""
    seen = {row.channel: day_totals(row) for row in rows}
    channels = {
        name: ChannelLedger(
            day,
            seen.get(name, ZERO_TOTALS),
            known[name].counters if name in known else NO_COUNTERS,
        )
        for name in (*known, *seen)
    }
    return QueryLedger(day, MappingProxyType(channels))


def _counted(
    channel: ChannelLedger | None, day: date, seen: DayTotals, *, busy: bool
) -> ChannelLedger:
    """The channel after a row: it counts as a whole, or nothing of it does.

    A row that falls below the base becomes the candidate, and the next one decides: not
    below the base, the fall was a glitch; not below the candidate, it was a correction, and
    what grew since then counts; else it is the new candidate. After MOST_HELD of them one is
    believed as it stands, so that nothing freezes. A row that cannot be read decides nothing.
    A candidate ends with its day.
    """
    if channel is None:
        channel = ChannelLedger(day, ZERO_TOTALS, NO_COUNTERS, fresh=True)
    elif channel.day != day:
        channel = replace(channel, day=day, base=ZERO_TOTALS, candidate=None, held=0)
    unmoved = channel.unmoved + busy
    if seen.offered is None:
        return replace(channel, unmoved=unmoved)
    if not fell(channel.base, seen):
        since = channel.base
    elif channel.candidate is not None and not fell(channel.candidate, seen):
        since = channel.candidate
    elif channel.held == MOST_HELD:
        since = seen
    else:
        return replace(channel, candidate=seen, held=channel.held + 1, unmoved=unmoved)
    return ChannelLedger(
        day,
        raised(since, seen),
        advanced(channel.counters, since, seen),
        channel.fresh,
    )
