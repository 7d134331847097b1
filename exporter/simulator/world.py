"""Everything simulated, put together: operations, their records, scenarios and the journal.

What control and ASGI work on; it knows no HTTP paths.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from exporter.simulator.api import OperationApi
from exporter.simulator.journal import Journal
from exporter.simulator.model import ALL_SKILLS, SimulatedOperation
from exporter.simulator.records import Records
from exporter.simulator.rows import TimeForm
from exporter.simulator.scenarios import Scenario, Timeline


class World:
    """Some operations under one clock; the same seed, switches and clock give the same.

    `now` gives aware instants; `sleep` takes seconds of that same clock. Each answer takes
    `latency` seconds, `slow_seconds` in the scenario `slow`.
    """

    def __init__(
        self,
        operations: Iterable[SimulatedOperation],
        *,
        seed: int,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        time_form: TimeForm = TimeForm.SECONDS,
        latency: float = 0.05,
        slow_seconds: float = 30.0,
    ) -> None:
        self.operations = tuple(operations)
        self.journal = Journal(now)
        self._now = now
        self._timeline = Timeline()
        self._tokens = [operation.token for operation in self.operations]
        self._records = {
            operation.name: Records(operation, seed, self._timeline)
            for operation in self.operations
        }
        if len(self._records) < len(self.operations):
            raise ValueError("two simulated operations have the same name")
        self._apis = {
            operation.name: OperationApi(
                operation,
                self._tokens.index(operation.token),
                records=self._records[operation.name],
                timeline=self._timeline,
                journal=self.journal,
                now=now,
                sleep=sleep,
                time_form=time_form,
                latency=latency,
                slow_seconds=slow_seconds,
            )
            for operation in self.operations
        }

    @property
    def apis(self) -> Mapping[str, OperationApi]:
        """The API of each operation by the operation's name."""
        return self._apis

    def set_scenario(
        self, name: str, operation: str | None = None, skill_id: str | None = None
    ) -> None:
        """Switch everything, an operation or one of its skills to a scenario from now on.

        The skill `all` means the operation. Raises ValueError, with the names there are,
        for a name that is not known.
        """
        if name not in set(Scenario):
            raise ValueError(_unknown("scenario", name, Scenario))
        if skill_id is not None and skill_id.lower() == ALL_SKILLS:
            skill_id = None
        if operation is not None:
            self.find(operation, skill_id)
        elif skill_id is not None:
            raise ValueError("a skill needs its operation")
        self._timeline.switch(self._now().timestamp(), Scenario(name), operation, skill_id)

    def truth(
        self, operation: str, skill_id: str, start: datetime, end: datetime
    ) -> dict[str, dict[str, float]]:
        """Return what really happened in [start, end) up to now, by channel, unrounded.

        The keys are those of `Figures`; channels without traffic are left out. Raises
        ValueError for an operation or a skill that is not known.
        """
        skills = self.find(operation, skill_id).skills_named(skill_id)
        until = min(end.timestamp(), self._now().timestamp())
        figures = self._records[operation].figures(skills, start.timestamp(), until)
        return {channel: asdict(values) for channel, values in figures.items()}

    def find(self, operation: str, skill_id: str | None = None) -> SimulatedOperation:
        """Return an operation; ValueError where it, or the skill in it, is not known."""
        if operation not in self._apis:
            raise ValueError(_unknown("operation", operation, self._apis))
        found = self._apis[operation].operation
        if not found.skills_named(skill_id):
            known = [*(skill.id for skill in found.skills), ALL_SKILLS]
            raise ValueError(_unknown("skill", skill_id, known))
        return found

    def token_index(self, token: str | None) -> int | None:
        """Return the place of a token's first operation, -1 for nobody's, None for none."""
        if not token:
            return None
        return self._tokens.index(token) if token in self._tokens else -1


def _unknown(kind: str, name: str | None, known: Iterable[str]) -> str:
    return f"unknown {kind} {name!r}; known: {', '.join(known)}"
