"""Opening hours in the notation of OpenStreetMap: checked and measured; decides no poll."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Both errors are in the package, but not in its type stubs.
from opening_hours import (  # type: ignore[attr-defined]
    OpeningHours,
    ParserError,
    State,
    UnknownCountryError,
)

from exporter.config.messages import shown
from exporter.config.values import text


def opening_hours(
    expression: str, zone: ZoneInfo | None = None, country: str | None = None
) -> OpeningHours:
    """Return the calendar of a checked expression; aware times go in and come out."""
    return OpeningHours(expression, timezone=zone, country=country)


def hours(value: object) -> str:
    """Take an opening_hours expression; raise ValueError naming where it cannot be read."""
    expression = text(value)
    try:
        written = re.sub(r'"[^"]*"', "", str(OpeningHours(expression)))
    except ParserError as exc:
        position = re.search(r"--> \d+:(\d+)", str(exc))
        rest = expression[int(position[1]) - 1 :] if position else ""
        place = f" at {shown(rest[:20])}" if rest.strip() else ""
        raise ValueError(
            f"cannot be read as opening hours{place}: write them as in"
            " Mo-Fr 07:00-19:00; Sa 08:00-13:00; PH off"
        ) from None
    if re.search(r"sunrise|sunset|dawn|dusk", written):
        raise ValueError("must not depend on the sun: give times of the clock")
    return expression


def names_holidays(expression: str) -> bool:
    """Tell whether a checked expression speaks of holidays, which only a country knows."""
    written = re.sub(r'"[^"]*"', "", str(OpeningHours(expression)))
    return re.search(r"\b(PH|SH)\b", written) is not None


def country(value: object) -> str:
    """Take the ISO code of a country whose public holidays are known."""
    code = text(value)
    try:
        OpeningHours("24/7", country=code)
    except UnknownCountryError:
        raise ValueError(
            f"{shown(code)} is not a country whose holidays are known: write a code of two"
            " capital letters such as CO"
        ) from None
    return code


def open_seconds(expression: str, zone: ZoneInfo, day: date) -> float:
    """Measure how long a local day is open, in real seconds (clock changes included)."""
    begin = datetime.combine(day, time(), zone)
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    calendar = opening_hours(expression, zone)
    total = timedelta()
    for start, stop, state, _comment in calendar.intervals(begin, end):
        if state == State.OPEN:
            total += stop.astimezone(UTC) - start.astimezone(UTC)
    return total.total_seconds()
