"""What the poll loops tell the outside: the seam to metrics; no behaviour of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from exporter.errors import Reason
from exporter.state.models import QueryKey, QueryStatus
from exporter.wolkvox.information import TokenInfo
from exporter.wolkvox.report import SkillReport

SKILL_11, TOKEN_INFO, SKILLS = "skill_11", "token_info", "skills"


@dataclass(frozen=True, slots=True)
class Timing:
    """How an operation keeps its slots, in seconds; None where not known yet."""

    interval: float
    cycle: float | None = None
    lag: float | None = None


class Observer(Protocol):
    """Told about one operation by its poll loop; every call returns at once."""

    def publish(self, status: QueryStatus) -> None:
        """Show a query's new status; what it holds is on the disk already."""

    def forget(self, key: QueryKey) -> None:
        """Stop showing a query."""

    def retain(self, skill_ids: Collection[str]) -> None:
        """Stop showing the queries that are not among these."""

    def requested(self, report: str) -> None:
        """Count a request that leaves (or tries to)."""

    def answered(self, report: str, seconds: float, reason: Reason | None) -> None:
        """Count how it ended: None for success, and how long it took."""

    def refused(self, report: str, reason: Reason) -> None:
        """Count a failure for which nothing was sent."""

    def read(self, report: SkillReport, held: int) -> None:
        """Count the fields that could not be read, and the rows dropped and held back."""

    def timing(self, timing: Timing) -> None:
        """Take over the interval in force, the cycle and the lag."""

    def paused(self, reason: Reason | None) -> None:
        """Say that the operation waits because of a reason, or no longer does."""

    def budget(self, used: int, limit: int | None) -> None:
        """Take over the calls of the day."""

    def token_info(self, info: TokenInfo) -> None:
        """Take over what the platform says of the token's quota."""

    def storage(self, writable: bool) -> None:
        """Say whether the state can be written."""
