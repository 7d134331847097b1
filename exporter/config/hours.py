"""When opening hours are open: measured, waited for and written; reads no clock.

The library `holidays` is slow to load: that is done where the first country is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.config.notation import MIDNIGHT, Span, join, read
from exporter.config.values import Invalid, nearest, text
from exporter.wolkvox.windows import DAY, clock_change, instant_of

if TYPE_CHECKING:
    from holidays import HolidayBase

SEARCHED = timedelta(days=400)
Cuts = Iterator[tuple[datetime, datetime, bool]]
Change = tuple[frozenset[date], frozenset[date]]
"""The days that are holidays as well, and those that are none."""
UNCHANGED: Change = (frozenset(), frozenset())


class OpenHours:
    """When a checked expression is open in a zone; without an expression, always.

    Open is what the clocks show as open: an hour that they show twice counts twice, one
    that they jump over not at all. All moments are aware.
    """

    def __init__(
        self,
        expression: str | None,
        zone: ZoneInfo,
        is_holiday: Callable[[date], bool] = lambda _: False,
    ) -> None:
        self._always = expression in {None, "24/7"}
        self._rules = read(expression or "24/7")
        self.zone = zone
        self._is_holiday = is_holiday
        self.beginning_on = lru_cache(maxsize=512)(self._beginning_on)

    def _beginning_on(self, day: date) -> tuple[Span, ...]:
        """The spans that begin on a day, in order."""
        found: tuple[Span, ...] = ()
        for rule in self._rules:
            if not rule.applies(day, self._is_holiday):
                continue
            if rule.off:
                cuts = rule.times or ((0, 2 * MIDNIGHT),)
                for first, last in cuts:
                    pieces = [((b, min(e, first)), (max(b, last), e)) for b, e in found]
                    found = tuple(one for both in pieces for one in both if one[0] < one[1])
            else:
                found = join((*(found if rule.added else ()), *rule.spans))
        return found

    def wait(self, now: datetime) -> float:
        """Seconds until it is open: 0 while it is, a day at most."""
        if self._always:
            return 0.0
        now = now.astimezone(UTC)
        spans = self._spans(now, now + DAY)
        opens = next((begin for begin, _stop, is_open in spans if is_open), now + DAY)
        return (opens - now) / timedelta(seconds=1)

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """How many of the seconds between two moments are open."""
        spans = self._spans(start.astimezone(UTC), end.astimezone(UTC))
        total = sum((stop - begin for begin, stop, is_open in spans if is_open), timedelta())
        return total / timedelta(seconds=1)

    def state(self, now: float) -> tuple[bool, float | None]:
        """Whether it is open at epoch `now`, and until when (None: for 400 days and more)."""
        if self._always:
            return True, None
        moment = datetime.fromtimestamp(now, UTC)
        horizon = moment + DAY
        (_begin, _stop, is_open), *later = self._spans(moment, horizon)
        for begin, _stop, other in later:
            if other != is_open:
                return is_open, begin.timestamp()
        # Changes of the clocks matter to the day that is found alone.
        last = self._shown(horizon - timedelta.resolution)
        far = self._shown_spans(last, last + SEARCHED)
        change = next((begin for begin, _stop, other in far if other != is_open), None)
        return is_open, instant_of(change, self.zone).timestamp() if change else None

    def _spans(self, start: datetime, end: datetime) -> Cuts:
        """Cut a span of time where it opens or closes, and where the clocks change; in UTC."""
        while start < end:
            steady = clock_change(start, min(start + DAY, end), self.zone)
            shown = self._shown(start)
            for begin, stop, is_open in self._shown_spans(shown, shown + (steady - start)):
                yield start + (begin - shown), start + (stop - shown), is_open
            start = steady

    def _shown_spans(self, start: datetime, end: datetime) -> Cuts:
        """Cut a span of naive local time where it opens or closes."""
        day = start.date() - DAY  # a span of the day before may reach into this one
        while day <= end.date():
            midnight = datetime.combine(day, time.min)
            for span in self.beginning_on(day):
                begin, stop = (midnight + timedelta(minutes=minutes) for minutes in span)
                begin, stop = max(begin, start), min(stop, end)
                if begin < stop:
                    if start < begin:
                        yield start, begin, False
                    yield begin, stop, True
                    start = stop
            day += DAY
        if start < end:
            yield start, end, False

    def _shown(self, moment: datetime) -> datetime:
        """What the clocks show at a moment, as a naive local time."""
        return moment.astimezone(self.zone).replace(tzinfo=None)


# Public holidays of countries and their states ------------------------------------------


def country(value: object) -> str:
    """Take the ISO code of a country, or of a state, whose public holidays are known."""
    import holidays  # noqa: PLC0415 - slow to load

    code = text(value)
    known = holidays.list_supported_countries(include_aliases=False)
    land, dash, state = code.partition("-")
    if land not in known:
        # The library knows countries by other names too: COL, Colombia.
        named = [(name, getattr(one, "country", "")) for name, one in [*vars(holidays).items()]]
        codes_of = {name: found for name, found in named if found in known}
        listed = ", ".join(sorted(known))
        raise Invalid("country", quoted=code, nearest=nearest(land, codes_of), known=listed)
    # The library has a few cities too, which no standard names.
    states = [one for one in known[land] if re.fullmatch("[A-Z0-9]{1,3}", one)]
    if dash and state not in states:
        codes = ", ".join(f"{land}-{one}" for one in sorted(states)) or land
        raise Invalid("state", quoted=code, known=codes)
    return code


@lru_cache(maxsize=256)
def _calendar(code: str, language: str) -> HolidayBase:
    """Return the holidays of a country or state, named in a language where it has it."""
    from holidays import country_holidays  # noqa: PLC0415 - slow to load

    land, _, state = code.partition("-")
    made = country_holidays(land, subdiv=state or None)
    spoken = [one for one in made.supported_languages if one.startswith(language)]
    wanted = spoken[0] if spoken else made.default_language
    return country_holidays(land, subdiv=state or None, language=wanted)


@lru_cache(maxsize=1024)
def holiday_test(code: str | None, change: Change = UNCHANGED) -> Callable[[date], bool]:
    """Return the test for a public holiday; without a country no day is one."""
    added, removed = change
    calendar = _calendar(code, "en") if code else ()
    return lambda day: day in added or (day not in removed and day in calendar)


def holidays_from(
    day: date, code: str, change: Change, language: str
) -> Iterator[tuple[date, str]]:
    """Yield the public holidays of the two years from a day on; an added one has no name."""
    calendar, is_holiday = _calendar(code, language), holiday_test(code, change)
    for one in (day + ahead * DAY for ahead in range(730)):
        if is_holiday(one):
            yield one, calendar.get(one, "")
