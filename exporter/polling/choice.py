"""What a query asks for at its slot: a finished day, today or a month; pure arithmetic.

A month takes the place of one poll, so that it costs no request more. It is asked for once a
day, after the day's first answer: last month as a whole while its rows were seen, its answer is
not held and a try is due, else this month up to the end of yesterday. One without an answer is
tried three times a day, an hour apart, and after three such days once a week.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from exporter.polling.limits import HOUR
from exporter.state.models import MonthMemory, QueryMemory, Stored
from exporter.wolkvox import windows
from exporter.wolkvox.windows import DAY, LAST_MONTH, MONTH, Window

CLOSING_TRIES = 3
MONTH_TRIES = 3
MONTH_DAYS = 3
NOON = 12


def choose_window(
    stored: Stored,
    memory: QueryMemory,
    now: datetime,
    zone: ZoneInfo,
    asked: str,
    *,
    months: bool,
) -> Window:
    """The window to ask for now; `asked` is the end of the last one of a day so far."""
    local = now.astimezone(zone)
    closing = day_to_close(stored, memory, local)
    if closing is not None:
        return windows.whole_day(closing)
    month = month_to_ask(memory, local) if months else None
    return month or windows.day_so_far(now, zone, asked)


def day_to_close(stored: Stored, memory: QueryMemory, now: datetime) -> date | None:
    """The finished day that a query must ask for as a whole at a local moment, if there is one.

    Without an attempt there is nothing to close; after several midnights only yesterday is
    closed; after three tries the new day goes first, and then one comes an hour until noon.
    """
    # A probe may have asked since midnight: the last answer then tells of the day before.
    moments = [at for at in (stored.attempt_at, memory.last_success_at) if at]
    if not moments:
        return None
    last = datetime.fromtimestamp(min(moments), now.tzinfo).date()
    yesterday = now.date() - DAY
    tries = stored.closing_tries if stored.closing_day == yesterday else 0
    closed = memory.closed is not None and memory.closed >= yesterday
    if closed or (last > yesterday and not tries):
        return None
    return yesterday if tries < CLOSING_TRIES or _late(memory, now) else None


def _late(memory: QueryMemory, now: datetime) -> bool:
    """Whether the hour of a late try to close the day before has come, at a local moment."""
    polled, tried = memory.today, memory.closing_at
    if now.hour >= NOON or polled is None or polled.day != now.date():
        return False
    return tried is None or not 0 <= now.timestamp() - tried < HOUR


def month_to_ask(memory: QueryMemory, now: datetime) -> Window | None:
    """The window of a month that a query must ask for at a local moment, if there is one."""
    today, polled = now.date(), memory.today
    if memory.failures or polled is None or polled.day != today:
        return None  # an answer of today comes first
    first, yesterday = today.replace(day=1), today - DAY
    before, month = first - DAY, memory.last_month
    wanted = before.replace(day=1) in memory.months_with_rows
    if wanted and not _holds(month, before) and _is_due(month, before, now):
        return windows.month_to(before, LAST_MONTH, rows_seen=True)
    month = memory.month
    if (
        today == first
        or _asked_on(memory.last_month, now)
        or _holds(month, yesterday)
        or not _is_due(month, yesterday, now)
    ):
        return None
    # On the second the day before is all there is, and may be known to be empty.
    known = memory.yesterday
    empty = yesterday == first and known is not None and known.day == first and not known.rows
    rows_seen = first in memory.months_with_rows and not empty
    return windows.month_to(yesterday, MONTH, rows_seen=rows_seen)


def _holds(month: MonthMemory, last: date) -> bool:
    return month.result is not None and month.result.day == last


def _asked_on(month: MonthMemory, now: datetime) -> bool:
    """Whether a month was asked for on the day of a moment, with an answer or without."""
    days = (datetime.fromtimestamp(at, now.tzinfo).date() for at in month.asked_at)
    return now.date() in days


def _is_due(month: MonthMemory, last: date, now: datetime) -> bool:
    """Whether its tries without an answer allow one more; a clock set back holds up none."""
    tries = month.tries
    if tries is None or tries.month != last.replace(day=1):
        return True
    if tries.day == now.date():
        few = tries.days <= MONTH_DAYS and tries.count < MONTH_TRIES
        return few and not 0 <= now.timestamp() - tries.at < HOUR
    return tries.days < MONTH_DAYS or not DAY <= now.date() - tries.day < 7 * DAY
