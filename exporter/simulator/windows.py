"""Windows as callers write them: local wall clock, `YYYYmmddHHMMSS`, both ends included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

LONGEST = timedelta(days=31)
# No contact centre has records outside; every calendar can count inside.
_FIRST_YEAR, _LAST_YEAR = 2000, 9000
_FORM = re.compile(r"[0-9]{14}")


@dataclass(frozen=True, slots=True)
class RequestedWindow:
    """A window as instants [start, end) in epoch seconds, and its length on the wall clock."""

    start: float
    end: float
    length: timedelta


def read_window(date_ini: str, date_end: str, zone: ZoneInfo) -> RequestedWindow | None:
    """Return the window two texts ask for, None where they are not dates in order."""
    first, last = _read(date_ini), _read(date_end)
    if first is None or last is None or last < first:
        return None
    # An hour that happens twice is taken whole; the last second counts to its end.
    start = first.replace(tzinfo=zone, fold=0).timestamp()
    end = last.replace(tzinfo=zone, fold=1).timestamp() + 1
    return RequestedWindow(start, end, last - first)


def _read(text: str) -> datetime | None:
    if not _FORM.fullmatch(text):
        return None
    if not _FIRST_YEAR <= int(text[:4]) <= _LAST_YEAR:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007  # a wall clock
    except ValueError:
        return None
