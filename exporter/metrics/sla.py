"""Targets and opening hours, expanded to each live pair; pure: the moment is an argument.

An alert rule compares a figure with a metric, not with a number of its own: so whoever
steers an operation changes a target in the configuration, and no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from exporter.config import SlaEntry
from exporter.config.holidays import Change, holiday_test
from exporter.config.hours import OpenHours
from exporter.config.model import DEFAULT_MIN_INTERACTIONS, sla_of


class Targets:
    """The `sla` section of one operation.

    An entry without an indicator gives hours alone; with one, `min_interactions` has a value.
    `channels` are those that entries name.
    """

    def __init__(self, sla: Sequence[SlaEntry], zone: ZoneInfo, *, single_skills: bool) -> None:
        self._entries = sla
        self.channels = frozenset(one for entry in sla for one in entry.channels or ())
        self._zone = zone
        self._single_skills = single_skills
        self.of = lru_cache(maxsize=1024)(self._of)  # no answer changes what is asked of a pair

    def _of(self, skill_id: str, channel: str) -> SlaEntry | None:
        """All that is asked of a pair in one entry; None where that is nothing."""
        found = sla_of(self._entries, skill_id, channel, single_skills=self._single_skills)
        if found.has_target:
            least = found.min_interactions
            least = DEFAULT_MIN_INTERACTIONS if least is None else least
            return found.model_copy(update={"min_interactions": least})
        return found.model_copy(update={"min_interactions": None}) if found.hours else None

    def hours(self, target: SlaEntry) -> OpenHours | None:
        """When a target holds; None: always."""
        if target.hours is None:
            return None
        return _open_hours(target.hours, self._zone, target.country, target.holiday_change)


@lru_cache(maxsize=1024)
def _open_hours(text: str, zone: ZoneInfo, country: str | None, change: Change) -> OpenHours:
    return OpenHours(text, zone, holiday_test(country, change))
