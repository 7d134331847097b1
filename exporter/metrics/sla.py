"""Targets and opening hours, expanded to each live pair; pure: the moment is an argument.

An alert rule compares a figure with a metric, not with a number of its own: so whoever
steers an operation changes a target in the configuration, and no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from exporter.config import DEFAULT_MIN_INTERACTIONS, SlaEntry
from exporter.config.hours import OpenHours
from exporter.config.values import ALL_SKILLS

_INDICATORS = {"service_level", "abandonment", "asa"}


class Targets:
    """The `sla` section of one operation.

    Entries apply in their order, a later one overriding an earlier one indicator by
    indicator. Where single skills are polled too, `all` has the targets of entries that name
    it alone: the others would alert twice. `channels` are those that entries name.
    """

    def __init__(
        self, entries: Sequence[SlaEntry], zone: ZoneInfo, *, single_skills: bool
    ) -> None:
        self._entries = entries
        self.channels = frozenset(one for entry in entries for one in entry.channels or ())
        self._zone = zone
        self._single_skills = single_skills
        self.of = lru_cache(maxsize=1024)(self._of)  # no answer changes what is asked of a pair

    def _of(self, skill_id: str, channel: str) -> SlaEntry | None:
        """All that is asked of a pair in one entry; None where no indicator is set for it."""
        found: dict[str, Any] = {}
        for entry in self._entries:
            if entry.skills is not None:
                applies = skill_id in entry.skills
            else:
                applies = skill_id != ALL_SKILLS or not self._single_skills
            if applies and (entry.channels is None or channel in entry.channels):
                found |= {key: value for key, value in entry if value is not None}
        if not found.keys() & _INDICATORS:
            return None
        return SlaEntry(min_interactions=DEFAULT_MIN_INTERACTIONS).model_copy(update=found)

    def hours(self, target: SlaEntry) -> OpenHours | None:
        """When a target holds; None: always."""
        if target.hours is None:
            return None
        return _open_hours(target.hours, self._zone, target.country)


_open_hours = lru_cache(maxsize=1024)(OpenHours)
