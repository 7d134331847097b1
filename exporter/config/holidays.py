"""Public holidays of countries and their states, from the library `holidays`.

The library is slow to load: that is done where the first country is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.config.values import Invalid, nearest, text

if TYPE_CHECKING:
    from holidays import HolidayBase

Change = tuple[frozenset[date], frozenset[date]]
"""The days that are holidays as well, and those that are none."""
UNCHANGED: Change = (frozenset(), frozenset())


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
    for one in (day + timedelta(days=ahead) for ahead in range(730)):
        if is_holiday(one):
            yield one, calendar.get(one, "")
