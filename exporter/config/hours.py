"""Opening hours in the notation of OpenStreetMap: checked, asked and measured; no clock.

The library evaluates naive local times only: aware ones it refuses where the clocks jump
over them (midnight in Chile), and the zones it knows are not those of the system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import MAXYEAR, UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Both errors are in the package, but not in its type stubs.
from opening_hours import (  # type: ignore[attr-defined]
    OpeningHours,
    ParserError,
    State,
    UnknownCountryError,
)

from exporter.config.values import Invalid, text
from exporter.wolkvox.windows import clock_change, instant_of

A_DAY = timedelta(days=1)


def hours(value: object) -> str:
    """Take an opening_hours expression that does not depend on the sun."""
    expression = text(value)
    try:
        OpeningHours(expression)
    except ParserError as error:
        position = re.search(r"--> \d+:(\d+)", str(error))
        rest = expression[int(position[1]) - 1 :] if position else ""
        if rest.strip():
            raise Invalid("hours_at", quoted=rest[:20]) from None
        raise Invalid("hours") from None
    if _names("sunrise|sunset|dawn|dusk", expression):
        raise Invalid("hours_sun")
    return expression


def names_holidays(expression: str) -> bool:
    """Return whether a checked expression speaks of holidays, which only a country knows."""
    return _names(r"\b(PH|SH)\b", expression)


def _names(words: str, expression: str) -> bool:
    """Return whether one of the words stands in it, outside of its comments."""
    written = re.sub(r'"[^"]*"', "", str(OpeningHours(expression)))
    return re.search(words, written) is not None


def poll_hours(value: object) -> str:
    """Take an opening_hours expression that needs no country."""
    expression = hours(value)
    if names_holidays(expression):
        raise Invalid("poll_hours_holidays")
    return expression


def country(value: object) -> str:
    """Take the ISO code of a country whose public holidays are known."""
    code = text(value)
    try:
        OpeningHours("24/7", country=code)
    except UnknownCountryError:
        raise Invalid("country", quoted=code) from None
    return code


class OpenHours:
    """When a checked expression is open in a zone; without an expression, always.

    Open is what the clocks show as open: an hour that they show twice counts twice, one
    that they jump over not at all. All moments are aware.
    """

    def __init__(
        self, expression: str | None, zone: ZoneInfo, country: str | None = None
    ) -> None:
        self._always = expression is None
        self._calendar = OpeningHours(expression or "24/7", country=country)
        self._zone = zone

    def wait(self, now: datetime) -> float:
        """Seconds until it is open: 0 while it is, a day at most."""
        if self._always:
            return 0.0
        now = now.astimezone(UTC)
        spans = self._spans(now, now + A_DAY)
        opens = next((begin for begin, _stop, is_open in spans if is_open), now + A_DAY)
        return (opens - now) / timedelta(seconds=1)

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """How many of the seconds between two moments are open."""
        spans = self._spans(start.astimezone(UTC), end.astimezone(UTC))
        total = sum((stop - begin for begin, stop, is_open in spans if is_open), timedelta())
        return total / timedelta(seconds=1)

    def state(self, now: float) -> tuple[bool, float | None]:
        """Whether it is open at epoch `now`, and until when (None: for good)."""
        if self._always:
            return True, None
        moment = datetime.fromtimestamp(now, UTC)
        horizon = moment + A_DAY
        (_begin, _stop, is_open), *later = self._spans(moment, horizon)
        for begin, _stop, other in later:
            if other != is_open:
                return is_open, begin.timestamp()
        last = self._shown(horizon - timedelta.resolution)
        change = self._calendar.next_change(last)
        if change is None or change.year == MAXYEAR:
            return is_open, None
        return is_open, instant_of(change, self._zone).timestamp()

    def _spans(
        self, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime, bool]]:
        """Cut a span of time where it opens or closes, and where the clocks change; in UTC."""
        while start < end:
            steady = clock_change(start, min(start + A_DAY, end), self._zone)
            shown = self._shown(start)
            spans = self._calendar.intervals(shown, shown + (steady - start))
            for begin, stop, state, _comment in spans:
                yield start + (begin - shown), start + (stop - shown), state == State.OPEN
            start = steady

    def _shown(self, moment: datetime) -> datetime:
        """What the clocks show at a moment, as a naive local time."""
        return moment.astimezone(self._zone).replace(tzinfo=None)
