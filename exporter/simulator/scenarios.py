"""The timeline of scenarios: what is switched when and for whom; it simulates nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scenario(StrEnum):
    """What can be made to happen to everything, one operation or one skill."""

    HEALTHY = "healthy"
    COLLAPSE = "collapse"
    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    QUOTA = "quota"
    SLOW = "slow"
    UNAUTHORIZED = "unauthorized"

    @property
    def is_fault(self) -> bool:
        """Whether it changes the API's answers only and leaves the contact centre alone."""
        return self not in {Scenario.HEALTHY, Scenario.COLLAPSE, Scenario.SILENCE}


@dataclass(frozen=True, slots=True)
class Segment:
    """A scenario of the contact centre in force from `start` (epoch seconds) on."""

    start: float
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class _Switch:
    at: float
    scenario: Scenario
    operation: str | None
    skill_id: str | None

    def covers(self, operation: str, skill_id: str | None) -> bool:
        """Whether it concerns a skill, or (None) the operation as a whole."""
        if self.operation not in {None, operation}:
            return False
        return self.skill_id is None or self.skill_id == skill_id


class Timeline:
    """Every switch so far; the latest one that covers a skill wins.

    A fault of the API leaves the contact centre as it was; any of the centre's own
    scenarios, `healthy` among them, ends the fault.
    """

    def __init__(self) -> None:
        self._switches: list[_Switch] = []

    def switch(
        self, at: float, scenario: Scenario, operation: str | None, skill_id: str | None
    ) -> None:
        """Record a switch; a clock set back cannot bring it before the one before."""
        if self._switches:
            at = max(at, self._switches[-1].at)
        self._switches.append(_Switch(at, scenario, operation, skill_id))

    def fault(self, operation: str, skill_id: str | None) -> Scenario | None:
        """Return the API's fault in force for a skill, or for calls without one (None)."""
        for switch in reversed(self._switches):
            if switch.covers(operation, skill_id):
                return switch.scenario if switch.scenario.is_fault else None
        return None

    def segments(
        self, operation: str, skill_id: str, start: float, end: float
    ) -> tuple[Segment, ...]:
        """Return the centre's scenarios in [start, end), first to last; before them: healthy.

        Two timelines that agree in the span give the same tuple, whatever lies outside.
        """
        inside: list[Segment] = []
        current = Scenario.HEALTHY
        for switch in self._switches:
            if switch.at >= end:
                break
            if switch.scenario.is_fault or not switch.covers(operation, skill_id):
                continue
            segment = Segment(max(switch.at, start), switch.scenario)
            if inside and inside[-1].start == segment.start:
                inside.pop()
                current = inside[-1].scenario if inside else Scenario.HEALTHY
            if switch.scenario is not current:
                inside.append(segment)
                current = switch.scenario
        return tuple(inside)
