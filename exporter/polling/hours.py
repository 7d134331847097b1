"""The optional hours of polling; pure: the moment comes as an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from opening_hours import State

from exporter.config.hours import opening_hours

DAY = 86400.0


class PollHours:
    """When an operation may be polled; without an expression, always."""

    def __init__(self, expression: str | None, zone: ZoneInfo) -> None:
        self._calendar = opening_hours(expression, zone) if expression else None
        self._zone = zone

    def wait(self, now: datetime) -> float:
        """Seconds until polling is allowed: 0 while open, a day at most."""
        if self._calendar is None:
            return 0.0
        begin = now.astimezone(self._zone)
        for start, _stop, state, _comment in self._calendar.intervals(
            begin, begin + timedelta(days=1)
        ):
            if state == State.OPEN:
                return max(0.0, (start.astimezone(UTC) - now) / timedelta(seconds=1))
        return DAY

    def state(self, now: float) -> tuple[bool, float | None]:
        """Whether polling is allowed at epoch `now`, and until when (None: for good)."""
        if self._calendar is None:
            return True, None
        moment = datetime.fromtimestamp(now, UTC).astimezone(self._zone)
        change = self._calendar.next_change(moment)
        return self._calendar.is_open(moment), None if change is None else change.timestamp()

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """How many of the seconds between two moments are open."""
        if self._calendar is None:
            return max(0.0, (end - start) / timedelta(seconds=1))
        total = timedelta()
        spans = self._calendar.intervals(
            start.astimezone(self._zone), end.astimezone(self._zone)
        )
        for begin, stop, state, _comment in spans:
            if state == State.OPEN:
                total += stop.astimezone(UTC) - begin.astimezone(UTC)
        return total / timedelta(seconds=1)
