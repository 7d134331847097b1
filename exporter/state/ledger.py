"""The day totals of successive answers -> counters that never fall; pure: no clock, no
file, no request. What a single row says is read in totals.py.

A query's first observation counts nothing, so that a lost state never looks like traffic.
After it a day's totals count by how much they rise above the highest seen that day, and a
new day begins at 0. A channel that joins later was absent before: it counts in full, but
shows 0 until the next observation, because Prometheus sees no increase in a series that
begins above 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from exporter.state.totals import (
    NO_COUNTERS,
    ZERO_TOTALS,
    Counters,
    DayTotals,
    advanced,
    day_totals,
    raised,
)
from exporter.wolkvox.text import printable

if TYPE_CHECKING:
    from exporter.wolkvox.report import ChannelFigures

__all__ = [
    "KEEP_DAYS",
    "ChannelLedger",
    "Counters",
    "DayTotals",
    "QueryLedger",
    "a_day",
    "exposed",
    "forget",
    "from_json",
    "known_channels",
    "observe",
    "to_json",
]

KEEP_DAYS = 8  # the same weekday last week, with a day to spare
# Beyond them a day before, or a time zone, would leave the calendar.
FIRST_YEAR, LAST_YEAR = 2000, 2999
LARGEST_COUNT = 2**53  # above it a float, which is what Prometheus keeps, skips integers


@dataclass(frozen=True, slots=True)
class ChannelLedger:
    """One channel: `base` is what is counted already of `day`, the last day it had a row.

    `fresh` is true from the observation in which the channel joined a known query until
    the next one: its counters are then shown as 0 (see `exposed`).
    """

    day: date
    base: DayTotals
    counters: Counters
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class QueryLedger:
    """All channels of one query; `day` is the latest day observed, rows or none."""

    day: date
    channels: Mapping[str, ChannelLedger]


def observe(
    ledger: QueryLedger | None, day: date, channels: Sequence[ChannelFigures]
) -> QueryLedger:
    """The ledger after an answer for `day`: its rows, each channel once; or no rows at all.

    The answer for a finished day is observed like any other, before the next day's. One
    for the day before the ledger's comes too late and changes nothing. After more than
    KEEP_DAYS unobserved, or where a clock was set back by days, the answer is taken as a
    first one: nothing tells how much of its totals is new.
    """
    seen = {row.channel: day_totals(row) for row in channels}
    if ledger is None:
        return _begun({}, day, seen)
    days = (day - ledger.day).days
    if days == -1:
        return ledger
    known = forget(ledger, day).channels
    if days < 0 or days > KEEP_DAYS:
        return _begun(known, day, seen)
    after = {
        name: replace(channel, fresh=False) if channel.fresh else channel
        for name, channel in known.items()
    }
    for name, totals in seen.items():
        after[name] = _counted(after.get(name), day, totals)
    return QueryLedger(day, MappingProxyType(after))


def exposed(channel: ChannelLedger) -> Counters:
    """The counters to show: 0 as long as the channel is fresh."""
    return NO_COUNTERS if channel.fresh else channel.counters


def forget(ledger: QueryLedger, day: date, keep_days: int = KEEP_DAYS) -> QueryLedger:
    """The ledger without the channels whose last row is more than `keep_days` before `day`."""
    return replace(ledger, channels=MappingProxyType(_kept(ledger, day, keep_days)))


def _kept(ledger: QueryLedger, day: date, keep_days: int) -> dict[str, ChannelLedger]:
    oldest = day.toordinal() - keep_days
    return {
        name: channel
        for name, channel in ledger.channels.items()
        if channel.day.toordinal() >= oldest
    }


def known_channels(ledger: QueryLedger | None, today: date) -> tuple[str, ...]:
    """The channels that had a row today or in the KEEP_DAYS days before, in name order."""
    if ledger is None:
        return ()
    return tuple(sorted(_kept(ledger, today, KEEP_DAYS)))


def _begun(
    known: Mapping[str, ChannelLedger], day: date, seen: Mapping[str, DayTotals]
) -> QueryLedger:
    """Counters as they are, with these totals as their base: what is unread gets it later."""
    channels = {
        name: ChannelLedger(
            day,
            seen.get(name, ZERO_TOTALS),
            known[name].counters if name in known else NO_COUNTERS,
        )
        for name in (*known, *seen)
    }
    return QueryLedger(day, MappingProxyType(channels))


def _counted(before: ChannelLedger | None, day: date, seen: DayTotals) -> ChannelLedger:
    if before is None:
        counters = advanced(NO_COUNTERS, ZERO_TOTALS, seen)
        return ChannelLedger(day, raised(ZERO_TOTALS, seen), counters, fresh=True)
    base = before.base if before.day == day else ZERO_TOTALS
    return ChannelLedger(day, raised(base, seen), advanced(before.counters, base, seen))


def to_json(ledger: QueryLedger) -> dict[str, Any]:
    """The ledger as JSON data; `from_json` gives back an equal one."""
    return {
        "day": ledger.day.isoformat(),
        "channels": {
            name: {
                "day": channel.day.isoformat(),
                "base": _flat(channel.base),
                "counters": _flat(channel.counters),
                "fresh": channel.fresh,
            }
            for name, channel in ledger.channels.items()
        },
    }


def _flat(figures: DayTotals | Counters) -> dict[str, float | None]:
    """Like `asdict`, which would copy each figure deeply: this runs at every poll."""
    return {name: getattr(figures, name) for name in figures.__slots__}


def from_json(data: object) -> QueryLedger:
    """The reverse of `to_json`; raises ValueError for whatever it could not have written."""
    fields = _object(data, ("day", "channels"), "ledger")
    day = a_day(fields["day"], "day")
    entries = fields["channels"]
    if not isinstance(entries, dict):
        raise ValueError("channels: not an object")  # noqa: TRY004 - one kind of error
    channels = {}
    for name, entry in entries.items():
        if printable(name) != name or not name:
            raise ValueError("channels: a name is no printable text")
        channels[name] = channel = _channel(entry, f"channels.{name}")
        if channel.day > day:
            raise ValueError(f"channels.{name}.day: after the day of the ledger")
    return QueryLedger(day, MappingProxyType(channels))


def _channel(data: object, path: str) -> ChannelLedger:
    fields = _object(data, ("day", "base", "counters", "fresh"), path)
    if not isinstance(fields["fresh"], bool):
        raise ValueError(f"{path}.fresh: neither true nor false")  # noqa: TRY004
    return ChannelLedger(
        a_day(fields["day"], f"{path}.day"),
        DayTotals(**_numbers(fields["base"], f"{path}.base", optional=True)),
        Counters(**_numbers(fields["counters"], f"{path}.counters", optional=False)),
        fields["fresh"],
    )


_BUCKETS = ("within_10", "within_20", "within_30", "answered")
_COUNTS = ("offered", *_BUCKETS, "abandoned")
_SUMS = ("answer_wait_sum", "abandon_wait_sum")


def _numbers(data: object, path: str, *, optional: bool) -> dict[str, Any]:
    numbers = _object(data, (*_COUNTS, *_SUMS), path)
    for name, value in numbers.items():
        if not _is_number(value, whole=name in _COUNTS) and not (optional and value is None):
            raise ValueError(f"{path}.{name}: {str(value)[:40]!r} is no such number")
    together = [numbers[name] for name in ("offered", *_BUCKETS)]
    if any(value is None for value in together):
        if any(value is not None for value in together):
            raise ValueError(f"{path}: offered and its buckets are known only in part")
    elif together[1:] != sorted(together[1:]):
        raise ValueError(f"{path}: the buckets are not cumulative")
    return numbers


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return 0 <= value <= LARGEST_COUNT
    return not whole and isinstance(value, float) and math.isfinite(value) and value >= 0


def _object(data: object, names: Iterable[str], path: str) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != set(names):
        raise ValueError(f"{path}: not an object of {', '.join(names)}")
    return data


def a_day(value: object, path: str) -> date:
    """A day that was written by `isoformat`; ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"{path}: not a text")  # noqa: TRY004
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{path}: {value[:40]!r} is no date") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"{path}: {value[:40]!r} is no day of this millennium")
    return day
