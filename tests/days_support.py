"""Days on which the clocks change, in every zone there is; and the days around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

BEGIN, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=6)  # no zone changes its clocks twice within it and back
HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the clocks: its instant, and the local times before and after it."""

    at: datetime
    before: datetime
    after: datetime


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None)


def changes(zone: ZoneInfo) -> Iterator[Change]:
    """The changes of a zone's clocks from 2025 to 2035."""

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    before, end = offset(BEGIN), BEGIN
    while end < END:
        begin, end = end, end + _STEP
        last, after = end, offset(end)
        if before != after:
            while last - begin > timedelta(seconds=1):
                middle = begin + (last - begin) // 2
                begin, last = (middle, last) if offset(middle) == before else (begin, middle)
            at = last.replace(microsecond=0)
            just_before = wall(at - timedelta(seconds=1), zone) + timedelta(seconds=1)
            yield Change(at, just_before, wall(at, zone))
        before = after


@cache
def zones() -> dict[ZoneInfo, tuple[Change, ...]]:
    """One zone for each way in which zones change their clocks, with its changes."""
    ways: dict[tuple[tuple[Change, ...], timedelta | None], ZoneInfo] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        found = tuple(changes(zone))
        ways.setdefault((found, BEGIN.astimezone(zone).utcoffset()), zone)
    return {zone: found for (found, _offset), zone in ways.items()}


def days_of(change: Change) -> tuple[date, ...]:
    """The eve of a change, its day or days, and the day after."""
    first, last = sorted((change.before.date(), change.after.date()))
    number = (last - first).days + 3
    return tuple(first + timedelta(days=ahead - 1) for ahead in range(number))
