"""Targets and opening hours, expanded to each live pair; pure: the moment is an argument.

An alert rule compares a figure with a metric, not with a number of its own: so whoever
steers an operation changes a target in the configuration, and no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from exporter.config import DEFAULT_MIN_INTERACTIONS, ServiceLevel, SlaEntry
from exporter.config.hours import OpenHours
from exporter.config.values import ALL_SKILLS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of one pair: at least one indicator; ratios 0-1, times in seconds."""

    service_level: ServiceLevel | None
    abandonment_max: float | None
    asa_max: float | None
    min_interactions: int
    hours: str | None
    country: str | None


class Targets:
    """The `sla` section of one operation.

    Entries apply in their order, a later one overriding an earlier one indicator by
    indicator. Where single skills are polled too, `all` has the targets of entries that name
    it alone: the others would alert twice.
    """

    def __init__(
        self, entries: Sequence[SlaEntry], zone: ZoneInfo, *, single_skills: bool
    ) -> None:
        self._entries = tuple(entries)
        self._zone = zone
        self._single_skills = single_skills

    def of(self, skill_id: str, channel: str) -> Target | None:
        """The target of a pair, None where no indicator is set for it."""
        entries = [entry for entry in self._entries if self._applies(entry, skill_id, channel)]
        least = _last(entry.min_interactions for entry in entries)
        target = Target(
            service_level=_last(entry.service_level for entry in entries),
            abandonment_max=_last(entry.abandonment_max for entry in entries),
            asa_max=_last(entry.asa_max for entry in entries),
            min_interactions=DEFAULT_MIN_INTERACTIONS if least is None else least,
            hours=_last(entry.hours for entry in entries),
            country=_last(entry.country for entry in entries),
        )
        indicators = (target.service_level, target.abandonment_max, target.asa_max)
        return None if all(one is None for one in indicators) else target

    def _applies(self, entry: SlaEntry, skill_id: str, channel: str) -> bool:
        if entry.channels is not None and channel not in entry.channels:
            return False
        if entry.skills is not None:
            return skill_id in entry.skills
        return skill_id != ALL_SKILLS or not self._single_skills

    def open(self, target: Target, now: float) -> tuple[bool, float | None]:
        """Whether it is opening time at epoch `now`, and until when (None: for good)."""
        return _open_hours(target.hours, self._zone, target.country).state(now)


def _last(values: Iterable[T | None]) -> T | None:
    """The last value that is set."""
    return next((value for value in reversed(list(values)) if value is not None), None)


_open_hours = lru_cache(maxsize=1024)(OpenHours)
