"""Targets and opening hours, expanded to each live pair; pure: the moment is an argument.

An alert rule compares a figure with a metric, not with a number of its own: so whoever
steers an operation changes a target in the configuration, and no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from exporter.config import Operation, SlaEntry
from exporter.config.hours import Change, OpenHours, holiday_test
from exporter.config.model import DEFAULT_MIN_INTERACTIONS
from exporter.wolkvox.columns import Column, Kind


class Targets:
    """The `sla` section of one operation.

    An entry without an indicator gives hours alone; with one, `min_interactions` has a value.
    `channels` are those that entries name.
    """

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        named = (one for entry in operation.sla for one in entry.channels or ())
        self.channels = frozenset(named)
        self.of = lru_cache(maxsize=1024)(self._of)  # no answer changes what is asked of a pair

    def _of(self, skill_id: str, channel: str) -> SlaEntry | None:
        """All that is asked of a pair in one entry; None where that is nothing."""
        found = self._operation.sla_of(skill_id, channel)
        if found.has_target:
            least = found.min_interactions
            least = DEFAULT_MIN_INTERACTIONS if least is None else least
            return found.model_copy(update={"min_interactions": least})
        return found.model_copy(update={"min_interactions": None}) if found.hours else None

    def hours(self, target: SlaEntry) -> OpenHours | None:
        """When a target holds; None: always."""
        if target.hours is None:
            return None
        zone = self._operation.timezone
        return _open_hours(target.hours, zone, target.country, target.holiday_change)


@lru_cache(maxsize=1024)
def _open_hours(text: str, zone: ZoneInfo, country: str | None, change: Change) -> OpenHours:
    return OpenHours(text, zone, holiday_test(country, change))


# Figures beside their targets, for people -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a table, None where there is none; `missed` is None where it is not judged.

    `head` names its column. `least`: the target is the least that is asked, else the most.
    `close`: rounded as usual the figure would look like its target, which it is not. `gap`:
    how far it misses it, 0 to 1.
    """

    head: str
    kind: Kind
    value: float | None
    target: float | None
    least: bool
    missed: bool | None = None
    close: bool = False
    gap: float = 0.0


def judge(column: Column, value: float | None, target: float | None, head: str = "") -> Figure:
    """A figure of a column beside its target: of a service level the least, else the most."""
    head, kind, least = head or column.attribute, column.kind, column.within is not None
    if value is None or target is None:
        return Figure(head, kind, value, target, least)
    missed = value < target if least else value > target
    digits = 0 if kind is Kind.SECONDS else 3
    close = value != target and round(value, digits) == round(target, digits)
    gap = abs(value - target) / max(value, target) if missed else 0.0
    return Figure(head, kind, value, target, least, missed, close, gap)


def goals(entry: SlaEntry | None) -> dict[str, float]:
    """The targets of a pair by the column that each of them judges."""
    if entry is None:
        return {}
    limits = {"abandonment": entry.abandonment, "asa": entry.asa}
    found = {column: limit.max for column, limit in limits.items() if limit}
    if level := entry.service_level:
        found[f"service_level_{level.within}"] = level.target
    return found
