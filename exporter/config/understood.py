"""What the opening hours of a configuration mean, day by day, for `--config.check`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from exporter.config.holidays import UNCHANGED, Change, holiday_test, holidays_from
from exporter.config.hours import OpenHours
from exporter.config.model import Configuration, sla_hours
from exporter.config.notation import DAYS, write_spans
from exporter.messages import catalogue
from exporter.wolkvox.windows import local_day

Use = tuple[str, ZoneInfo, str | None, Change]


def render_hours(configuration: Configuration, now: datetime, language: str) -> str:
    """Write a paragraph for each distinct expression; its week begins at `now` (aware)."""
    uses: dict[Use, list[str]] = {}
    for operation in configuration.operations:
        polled = [(operation.poll_hours, None, UNCHANGED)] if operation.poll_hours else []
        in_force = sorted(sla_hours(operation), key=lambda one: (one[0], one[1] or ""))
        for expression, country, change in (*polled, *in_force):
            names = uses.setdefault((expression, operation.timezone, country, change), [])
            if operation.name not in names:
                names.append(operation.name)
    return "".join(
        "".join(f"{line}\n" for line in ("", *_paragraph(use, names, now, language)))
        for use, names in uses.items()
    )


def _paragraph(use: Use, names: list[str], now: datetime, language: str) -> Iterator[str]:
    expression, zone, country, change = use
    hours = OpenHours(expression, zone, holiday_test(country, change))
    today = local_day(now, zone)
    yield "  ".join((f'"{expression}"', ", ".join(names), zone.key, *filter(None, [country])))
    for day in (today + timedelta(days=ahead) for ahead in range(7)):
        spans = write_spans(hours.beginning_on(day)) or "closed"
        yield f"{DAYS[day.weekday()]} {day}  {spans}"
    if country:
        yield "holidays:"
        added = catalogue(language)["config.holiday_added"]
        for day, name in islice(holidays_from(today, country, change, language), 5):
            yield f"{day} {name or added}"
