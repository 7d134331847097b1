"""Figures as the API writes them: every field a string, percentages with a blank and a sign.

Pure. The forms are those seen in real answers of the API's report family: `65.67 %`,
`0 %`, counts without separators, times in whole seconds. It knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from exporter.simulator.model import Figures


class TimeForm(StrEnum):
    """How asa and ata are written: the vendor's page says seconds, sister reports differ."""

    SECONDS = "seconds"
    CLOCK = "HH:MM:SS"


def report_rows(channels: Mapping[str, Figures], form: TimeForm) -> list[dict[str, str]]:
    """Return the rows of skill_11: one for each channel with traffic, none without."""
    return [report_row(name, figures, form) for name, figures in channels.items()]


def report_row(channel: str, figures: Figures, form: TimeForm) -> dict[str, str]:
    """Return one row of skill_11, its columns in the vendor's order.

    Service level is of all that came in, not of the answered; an average over nobody is
    an empty string.
    """
    inbound = figures.inbound
    return {
        "type_interaction": channel,
        "inbound_calls": str(inbound),
        "answer_calls": str(figures.answered),
        "abandon_calls": str(figures.abandoned),
        "service_level_10seg": percent(figures.within_10, inbound),
        "service_level_20seg": percent(figures.within_20, inbound),
        "service_level_30seg": percent(figures.within_30, inbound),
        "abandon": percent(figures.abandoned, inbound),
        "asa": mean_time(figures.answer_wait_seconds, figures.answered, form),
        "ata": mean_time(figures.abandon_wait_seconds, figures.abandoned, form),
    }


def percent(part: int, whole: int) -> str:
    """Write a part of a whole with two decimals; all and nothing go without."""
    if part in {0, whole}:
        return "100 %" if part else "0 %"
    return f"{100 * part / whole:.2f} %"


def mean_time(total_seconds: float, count: int, form: TimeForm) -> str:
    """Write a mean in whole seconds, or as `HH:MM:SS`; nothing for a mean over nobody."""
    if count == 0:
        return ""
    seconds = round(total_seconds / count)
    if form is TimeForm.SECONDS:
        return str(seconds)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
