"""The words of the simulator: operations, skills and counted figures; no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

ALL_SKILLS = "all"


@dataclass(frozen=True, slots=True)
class SimulatedSkill:
    """One skill: what arrives in it and how well it is staffed.

    `channels` maps a channel (`inbound`, `chat-whatsapp`, …) to its mean number of
    interactions on a normal weekday. `agents` scales the staff: 1 is what the expected
    load needs, 0.8 is a team a fifth too small.
    """

    id: str
    name: str
    channels: Mapping[str, float]
    agents: float = 1.0


@dataclass(frozen=True, slots=True)
class SimulatedOperation:
    """One customer operation: a server, a token, a daily quota and its skills.

    `name` is the first part of the URL (`wv0013`). `used_elsewhere` is what other tokens
    of the same operation have used up of `daily_limit` today.
    """

    name: str
    token: str
    timezone: ZoneInfo
    skills: tuple[SimulatedSkill, ...]
    daily_limit: int = 1000
    always_open: bool = True
    used_elsewhere: int = 0

    def skills_named(self, skill_id: str | None) -> tuple[SimulatedSkill, ...]:
        """Return the skills an id stands for: every skill for `all` and None, or none."""
        if skill_id is None or skill_id.lower() == ALL_SKILLS:
            return self.skills
        return tuple(skill for skill in self.skills if skill.id == skill_id)


@dataclass(frozen=True, slots=True)
class Figures:
    """What ended its wait in a window on one channel; waits are summed in seconds.

    `within_10`, `within_20` and `within_30` count the answered whose wait was at most so
    many seconds. Always: inbound = answered + abandoned.
    """

    inbound: int = 0
    answered: int = 0
    abandoned: int = 0
    within_10: int = 0
    within_20: int = 0
    within_30: int = 0
    answer_wait_seconds: float = 0.0
    abandon_wait_seconds: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.inbound + other.inbound,
            self.answered + other.answered,
            self.abandoned + other.abandoned,
            self.within_10 + other.within_10,
            self.within_20 + other.within_20,
            self.within_30 + other.within_30,
            self.answer_wait_seconds + other.answer_wait_seconds,
            self.abandon_wait_seconds + other.abandon_wait_seconds,
        )
