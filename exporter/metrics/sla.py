"""Targets and opening hours, expanded to each live pair; pure: the moment is an argument.

An alert rule compares a figure with a metric, not with a number of its own: so whoever
steers an operation changes a target in the configuration, and no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from exporter.config import DEFAULT_MIN_INTERACTIONS, ServiceLevel, SlaEntry
from exporter.config.hours import OpenHours
from exporter.config.values import ALL_SKILLS


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of one pair: at least one indicator; ratios 0-1, times in seconds."""

    service_level: ServiceLevel | None = None
    abandonment_max: float | None = None
    asa_max: float | None = None
    min_interactions: int = DEFAULT_MIN_INTERACTIONS
    hours: str | None = None
    country: str | None = None


_KEYS = tuple(one.name for one in fields(Target))
_INDICATORS = {"service_level", "abandonment_max", "asa_max"}


class Targets:
    """The `sla` section of one operation.

    Entries apply in their order, a later one overriding an earlier one indicator by
    indicator. Where single skills are polled too, `all` has the targets of entries that name
    it alone: the others would alert twice.
    """

    def __init__(
        self, entries: Sequence[SlaEntry], zone: ZoneInfo, *, single_skills: bool
    ) -> None:
        self._entries = [
            (
                entry,
                {name: value for name in _KEYS if (value := getattr(entry, name)) is not None},
            )
            for entry in entries
        ]
        self._zone = zone
        self._single_skills = single_skills

    def of(self, skill_id: str, channel: str) -> Target | None:
        """The target of a pair, None where no indicator is set for it."""
        found: dict[str, Any] = {}
        for entry, values in self._entries:
            if entry.skills is not None:
                applies = skill_id in entry.skills
            else:
                applies = skill_id != ALL_SKILLS or not self._single_skills
            if applies and (entry.channels is None or channel in entry.channels):
                found |= values
        return Target(**found) if found.keys() & _INDICATORS else None

    def open(self, target: Target, now: float) -> tuple[bool, float | None]:
        """Whether it is opening time at epoch `now`, and until when (None: for good)."""
        if target.hours is None:
            return True, None
        return _open_hours(target.hours, self._zone, target.country).state(now)


_open_hours = lru_cache(maxsize=1024)(OpenHours)
