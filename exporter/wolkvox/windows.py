"""Which span of time to ask for, from a moment and the operation's zone; reads no clock.

Wolkvox takes local wall-clock times without a zone (`YYYYmmddHHMMSS`, both ends
inclusive), so a day is always asked for as 000000 to 235959, also where a change of the
clocks makes it 23 or 25 hours long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MONTH, LAST_MONTH = "month", "last_month"
DAY = timedelta(days=1)
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Window:
    """One span of time, as the API wants it; `day` is its last one.

    `closing` asks for a finished day. `month` names a window of a month (MONTH, LAST_MONTH);
    it is empty for a day. `rows_seen`: an answer without rows cannot be true.
    """

    day: date
    start: str
    end: str
    closing: bool
    month: str = ""
    rows_seen: bool = False


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day of a moment in the zone."""
    return now.astimezone(zone).date()


def day_so_far(now: datetime, zone: ZoneInfo, asked: str = "") -> Window:
    """From the start of the local day to `now`.

    `asked` is the end that was asked for last: within a day it never goes back, so that in a
    repeated hour it stands still.
    """
    local = now.astimezone(zone)
    end = f"{local:%Y%m%d%H%M%S}"
    if asked[:8] == end[:8]:
        end = max(end, asked)
    return Window(local.date(), f"{local:%Y%m%d}000000", end, closing=False)


def latest_end(at: datetime, zone: ZoneInfo) -> str:
    """The latest end asked for until a moment; in a repeated hour the end of its first pass."""
    local = at.astimezone(zone)
    if local.fold:
        change = clock_change(local.replace(fold=0).astimezone(UTC), at.astimezone(UTC), zone)
        local = (change - timedelta(seconds=1)).astimezone(zone)
    return f"{local:%Y%m%d%H%M%S}"


def whole_day(day: date) -> Window:
    """The whole of a finished day, to its last second."""
    return Window(day, f"{day:%Y%m%d}000000", f"{day:%Y%m%d}235959", closing=True)


def month_to(last: date, name: str, *, rows_seen: bool = False) -> Window:
    """From the first of a month to the end of its day `last`."""
    start, end = f"{last:%Y%m}01000000", f"{last:%Y%m%d}235959"
    return Window(last, start, end, closing=False, month=name, rows_seen=rows_seen)


def month_after(day: date) -> date:
    """The first of the month after that of a day."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


@lru_cache(maxsize=1024)
def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the local day begins: at 01:00 where midnight is skipped."""
    return instant_of(datetime.combine(day, time.min), zone)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) at which the clocks show a naive local time or a later one."""
    shown = local.replace(tzinfo=zone)
    late = shown.astimezone(UTC)
    early = shown.replace(fold=1).astimezone(UTC)
    # The clocks jump over a time whose second reading is the earlier one: between the two.
    return late if early >= late else clock_change(early, late, zone)


def clock_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """The instant between two at which the clocks change; `end` where they do not."""
    offset = start.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == offset:
        return end
    while end - start > timedelta.resolution:
        middle = start + (end - start) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            start = middle
        else:
            end = middle
    return end


def next_day_start(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the local day after that of `now` begins."""
    return day_start(local_day(now, zone) + DAY, zone)
