"""The day totals of successive answers -> counters that never fall; pure.

A query's first observation counts nothing, so that a lost state never looks like traffic.
After it the totals of a day count by their differences, and a new day begins at 0. A channel
that joins later was absent before: it counts in full, but shows 0 until the next
observation, because Prometheus sees no increase in a series that begins above 0.

Wolkvox corrects totals downward, and an answer may be a glitch. A row moves as a whole or
not at all, so that a ratio over a window never mixes two states of a day: see `_counted`.

Wolkvox rounds a service level to two decimals of a percent: below 10,000 interactions a day
service level x inbound is within 0.5 of the true count, so rounding gives it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from exporter.wolkvox.columns import ChannelFigures

KEEP_DAYS = 8  # the same weekday last week, with a day to spare
MOST_HELD = 3  # answers held in a row; the one that falls after them is believed
STUCK_ANSWERS = 3  # after so many answers counters that do not move are no chance any more
# No channel has a billion interactions (or seconds, or a ratio of that size) in a day. A
# number beyond it would hold the counters still for the rest of the day, or overflow.
LARGEST_FIGURE = 1_000_000_000
ROUNDED = 10_000  # interactions a day from which two decimals no longer give a count back

# The totals of a day hide a bad half hour in the afternoon; differences of counters do not.
WINDOW = 1800.0  # seconds
_POLLS = 4  # a window of fewer says little: where polls are slow, it is longer
_STEPS = 12  # samples of a window at most, however often the demo polls

# What the state file may hold. Above 2**53 a float, which is what Prometheus keeps, skips
# integers; around these years a day before, or a time zone, stays within the calendar.
LARGEST_COUNT = 2**53
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Seconds = Annotated[float, Field(ge=0)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one (skill, channel): none ever falls; waits in seconds."""

    offered: Count = 0
    within_10: Count = 0
    within_20: Count = 0
    within_30: Count = 0
    answered: Count = 0
    answer_wait_sum: Seconds = 0.0
    abandoned: Count = 0
    abandon_wait_sum: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class DayTotals:
    """The same figures since the start of a day; None = not known.

    The first five are known together or not at all: a service level of a window is a
    bucket over `offered`, and half an update would read as a collapse.
    """

    offered: Count | None = None
    within_10: Count | None = None
    within_20: Count | None = None
    within_30: Count | None = None
    answered: Count | None = None
    answer_wait_sum: Seconds | None = None
    abandoned: Count | None = None
    abandon_wait_sum: Seconds | None = None


NO_COUNTERS = Counters()
ZERO_TOTALS = DayTotals(0, 0, 0, 0, 0, 0.0, 0, 0.0)
UNKNOWN_TOTALS = DayTotals()


@dataclass(frozen=True, slots=True)
class ChannelLedger:
    """One channel: `base` is the row last counted of `day`, the last day it had a row.

    `fresh` is true from the observation in which the channel joined a known query until
    the next one: its counters are then shown as 0 (see `exposed`). `candidate` is a row that
    fell and waits for the next one to decide, `held` how many have taken that place in a
    row. `unmoved` counts answers in a row that had interactions but moved no counter.
    """

    day: Day
    base: DayTotals
    counters: Counters
    fresh: bool = False
    candidate: DayTotals | None = None
    held: Count = 0
    unmoved: Count = 0


@dataclass(frozen=True, slots=True)
class QueryLedger:
    """All channels of one query; `day` is the latest day observed, rows or none."""

    day: Day
    channels: Mapping[str, ChannelLedger]


def observe(
    ledger: QueryLedger | None, day: date, rows: Sequence[ChannelFigures], *, whole: bool = True
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
    known = known_channels(ledger, day)
    if days < 0 or days > KEEP_DAYS:
        return _begun(known, day, rows)
    after = {key: replace(one, fresh=False) if one.fresh else one for key, one in known.items()}
    new = ChannelLedger(day, ZERO_TOTALS, NO_COUNTERS, fresh=True)
    for row in rows:
        before = after.get(row.channel, new)
        after[row.channel] = _counted(before, day, day_totals(row), busy=bool(row.inbound))
    lacking = known.keys() - {row.channel for row in rows} if whole else ()
    for name in lacking:
        channel = after[name]
        if channel.day == day and channel.base.offered is not None:
            after[name] = _counted(channel, day, ZERO_TOTALS, busy=False)
    return QueryLedger(day, after)


def exposed(channel: ChannelLedger) -> Counters:
    """Return the counters to show, each bucket at most the next wider one; 0 while fresh.

    Where a correction moved interactions into a narrower bucket it waits for the wider one,
    which catches up. None falls: the least of counters that rise rises.
    """
    if channel.fresh:
        return NO_COUNTERS
    counters = channel.counters
    within_30 = min(counters.within_30, counters.answered)
    within_20 = min(counters.within_20, within_30)
    within_10 = min(counters.within_10, within_20)
    return replace(counters, within_10=within_10, within_20=within_20, within_30=within_30)


def what_changed(before: QueryLedger | None, now: QueryLedger | None) -> tuple[int, list[str]]:
    """How many rows an answer held back, and which channels became inconsistent with it.

    A channel is inconsistent whose figures made no sense to the counters STUCK_ANSWERS times.
    """
    held, inconsistent = 0, []
    for name, channel in (now.channels if now else {}).items():
        known = before.channels.get(name) if before else None
        held += channel.held > (known.held if known else 0)
        if channel.unmoved >= STUCK_ANSWERS > (known.unmoved if known else 0):
            inconsistent.append(name)
    return held, inconsistent


def known_channels(ledger: QueryLedger | None, today: date) -> dict[str, ChannelLedger]:
    """The channels that had a row today or in the KEEP_DAYS days before, in name order."""
    oldest = today.toordinal() - KEEP_DAYS
    channels = sorted(ledger.channels.items()) if ledger else ()
    return {name: one for name, one in channels if one.day.toordinal() >= oldest}


def _begun(
    known: Mapping[str, ChannelLedger], day: date, rows: Sequence[ChannelFigures]
) -> QueryLedger:
    """Counters as they are, with these totals as their base: what is unread gets it later."""
    seen = {row.channel: day_totals(row) for row in rows}
    channels: dict[str, ChannelLedger] = {}
    for name in (*known, *seen):
        counters = known[name].counters if name in known else NO_COUNTERS
        channels[name] = ChannelLedger(day, seen.get(name, ZERO_TOTALS), counters)
    return QueryLedger(day, channels)


def _counted(known: ChannelLedger, day: date, seen: DayTotals, *, busy: bool) -> ChannelLedger:
    """The channel after a row: it counts as a whole, or nothing of it does.

    A row that falls below the base becomes the candidate, and the next one decides: not
    below the base, the fall was a glitch; not below the candidate, it was a correction, and
    what grew since then counts; else it is the new candidate. After MOST_HELD of them one is
    believed as it stands, so that nothing freezes. A row that cannot be read decides nothing.
    A candidate ends with its day.
    """
    if known.day != day:
        known = replace(known, day=day, base=ZERO_TOTALS, candidate=None, held=0)
    unmoved = known.unmoved + busy
    if seen.offered is None:
        return replace(known, unmoved=unmoved)
    if not fell(known.base, seen):
        since = known.base
    elif known.candidate is not None and not fell(known.candidate, seen):
        since = known.candidate
    elif known.held == MOST_HELD:
        since = seen
    else:
        return replace(known, candidate=seen, held=known.held + 1, unmoved=unmoved)
    counters, base = advanced(known.counters, since, seen)
    return ChannelLedger(day, base, counters, known.fresh)


# One row ---------------------------------------------------------------------------------

_figures = attrgetter(*(one.name for one in fields(DayTotals)))
_reported = attrgetter(
    *("inbound", "answered", "abandoned", "asa", "ata"),
    *("service_level_30", "service_level_20", "service_level_10"),
)


def day_totals(row: ChannelFigures) -> DayTotals:
    """What a row says of its day: counts, and waits as average x count.

    Nothing of a row is known where inbound, answered or a service level is not: the
    abandoned wait with the rest, since abandonment is over inbound. Without asa only the
    answer wait is unknown, without ata the abandon wait, without abandoned both of its
    figures. An average of nothing is blank in the answer, and its sum is 0; a service level
    of nothing says nothing, whatever stands there.
    """
    # None as well: what is negative, not a number, or beyond all measure.
    offered, answered, abandoned, asa, ata, *levels = (
        None if figure is None or not 0 <= figure <= LARGEST_FIGURE else figure
        for figure in _reported(row)
    )
    if offered is None or answered is None:
        return UNKNOWN_TOTALS
    within, most = [], answered
    for level in levels if offered else (0.0, 0.0, 0.0):
        if level is None:
            return UNKNOWN_TOTALS
        # Half up; the six decimals take a product like 0.4999999 x n to its half.
        most = min(most, math.floor(round(level * offered, 6) + 0.5))
        within.append(most)
    thirty, twenty, ten = within
    answer_wait, abandon_wait = _wait_sum(answered, asa), _wait_sum(abandoned, ata)
    counts = (offered, ten, twenty, thirty, answered)
    return DayTotals(*counts, answer_wait, abandoned, abandon_wait)


def fell(since: DayTotals, seen: DayTotals) -> bool:
    """Whether a count of `seen` is below the one of `since`, by more than rounding explains.

    The waits are no counts: made of averages in whole seconds, they fall by themselves.
    """
    offered = seen.offered or 0
    some = offered // ROUNDED + 1 if offered >= ROUNDED else 0
    allowed = (0, some, some, some, 0, math.inf, 0, math.inf)
    figures = zip(_figures(since), _figures(seen), allowed, strict=True)
    return any(None not in one and one[0] - one[1] > one[2] for one in figures)


def advanced(known: Counters, since: DayTotals, seen: DayTotals) -> tuple[Counters, DayTotals]:
    """The counters after a day's totals went from `since` to `seen`, and their new base.

    The base is the higher of each figure, so that what rounding takes is not counted again:
    what fell holds still. What was unknown counts from now on, what is unknown not at all.
    The higher of ordered buckets are ordered.
    """
    counted, base = [], []
    figures = zip(_figures(known), _figures(since), _figures(seen), strict=True)
    for counter, before, now in figures:
        higher = before if now is None else now if before is None else max(before, now)
        counted.append(counter if before is None else counter + (higher - before))
        base.append(higher)
    return Counters(*counted), DayTotals(*base)


def _wait_sum(count: int | None, average: float | None) -> float | None:
    if count == 0:
        return 0.0
    return None if count is None or average is None else float(count * average)


# The last half hour ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of each channel of a query after the answer that was whole `at` a moment."""

    at: float
    channels: Mapping[str, Counters]


def remember(
    samples: Sequence[Sample], at: float, ledger: QueryLedger, interval: float
) -> tuple[Sample, ...]:
    """Return the samples of the window that ends with the answer `at` a moment.

    The first one is where the window begins: half an interval around its length, or later
    where nothing older is known. After a longer gap the window begins anew.
    """
    if samples and samples[-1].at == at:
        return tuple(samples)
    window = max(WINDOW, _POLLS * interval)
    kept = [one for one in samples if 0 < at - one.at <= 2 * window]
    if len(kept) > 1 and kept[-1].at - kept[-2].at < window / _STEPS:
        del kept[-1]
    while len(kept) > 1 and at - kept[1].at >= window - interval / 2:
        del kept[0]
    return (*kept, Sample(at, {name: one.counters for name, one in ledger.channels.items()}))
