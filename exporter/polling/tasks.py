"""The tasks of one operation, each with its slot: restored at the start, discovered daily."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exporter.config import Operation, Skill
from exporter.logs import say
from exporter.polling.limits import HOUR, NO_LIMITS, Limits, started_before
from exporter.polling.request import SKILL_11, SKILLS, TOKEN_INFO, Requests
from exporter.state.models import QueryMemory, Stored
from exporter.wolkvox.report import Skill as Found
from exporter.wolkvox.text import printable
from exporter.wolkvox.windows import DAY_SECONDS, latest_end

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PollTask:
    """A query, or one of the operation's other calls (`#token_info`, `#skills`).

    `slot` is when it is looked at again; `started` when the last attempt left that the
    server may have seen, and `before` the one before it: monotonic seconds. `stored` mirrors
    the state file; `tried_at` is the epoch time of the last try, connections that were never
    made (`unmade` in a row) included. `lag` is how late the last one was. `limits` are those
    of its budget just now, `asked` the end of the last window of a day so far. Only queries
    (`is_query`) ask for figures and close days.
    """

    report: str
    skill_id: str
    name: str
    interval: float
    limits: Limits = NO_LIMITS
    slot: float = 0.0
    stored: Stored = field(default_factory=Stored)
    memory: QueryMemory = field(default_factory=QueryMemory)
    tried_at: float | None = None
    started: float | None = None
    before: float | None = None
    unmade: int = 0
    lag: float = 0.0
    unsent: bool = False
    error: tuple[str, str] | None = None
    asked: str = ""

    is_query: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_query = self.report == SKILL_11


class TaskList:
    """The tasks of an operation, by skill id; `#skills` and `#token_info` are no queries."""

    def __init__(self, operation: Operation, requests: Requests, grace: float) -> None:
        self._operation, self._row, self._grace = operation, requests.identity.id, grace
        self._clock, self._state = requests.clock, requests.state
        self.by_id: dict[str, PollTask] = {}

    @property
    def queries(self) -> list[PollTask]:
        """The tasks that ask for figures."""
        return [task for task in self.by_id.values() if task.is_query]

    def next(self, *, paused: bool) -> PollTask | None:
        """The task whose slot comes first; while paused, token_info is left out."""
        tasks = self.by_id.values()
        waiting = [task for task in tasks if not (paused and task.report == TOKEN_INFO)]
        return min(waiting, key=lambda task: task.slot, default=None)

    async def restore(self) -> None:
        """Take up every task where the last process left it; raises StorageError."""
        operation, row = self._operation, self._row
        skills: Iterable[Skill] = operation.skills
        wanted: list[PollTask] = []
        if operation.discover:
            known = await self._state.write(lambda db: db.load_fact(row, "skills"))
            skills = remembered_skills(known)
            # Known skills are looked up again once a day, not at each start.
            interval = DAY_SECONDS if skills else operation.interval
            wanted.append(PollTask(SKILLS, "#skills", "", interval))
        for one in skills:
            interval = one.interval or operation.interval
            wanted.append(PollTask(SKILL_11, one.id, one.name, interval))
        if operation.token_info:
            wanted.append(PollTask(TOKEN_INFO, "#token_info", "", HOUR))
        await self._add(wanted)

    async def discovered(self, found: Iterable[Found]) -> tuple[list[PollTask], list[PollTask]]:
        """Take over the operation's skills; returns the tasks that are new or renamed, or gone.

        Raises StorageError. An empty answer changes nothing: no operation loses all skills.
        """
        names = {skill.id: skill.name for skill in found}
        known = {task.skill_id: task.name for task in self.queries}
        operation = self._operation.name
        if not names:
            say(log, logging.WARNING, "no skills found; nothing changes", operation=operation)
            return [], []
        new = [(one, name) for one, name in names.items() if one not in known]
        await self._add([PollTask(SKILL_11, *one, self._operation.interval) for one in new])
        gone = [self.by_id.pop(one) for one in known if one not in names]
        changed = [self.by_id[one] for one, name in names.items() if known.get(one) != name]
        for task in changed:
            task.name = names[task.skill_id]
        if names.keys() != known.keys():
            say(log, logging.INFO, "skills discovered", operation=operation, skills=len(names))
        return changed, gone

    async def _add(self, tasks: Sequence[PollTask]) -> None:
        """Take up what is known of them, in one step: the first page waits for it."""
        row, ids = self._row, [one.skill_id for one in tasks]
        known = await self._state.write(
            lambda db: [(db.stored(row, one), db.memory(row, one)) for one in ids]
        )
        now, monotonic = self._clock.epoch(), self._clock.monotonic()
        for task, (stored, memory) in zip(tasks, known, strict=True):
            # A request leaves a little after the time that is written: `grace` seconds.
            started = task.started = started_before(stored.last_at, now, monotonic)
            task.slot = monotonic
            if started is not None:
                due = min(started + self._grace, monotonic) + task.interval
                task.slot = max(monotonic, due)
            task.stored, task.memory = stored, memory or QueryMemory()
            task.tried_at = stored.attempt_at
            if stored.attempt_at is not None:
                last = datetime.fromtimestamp(stored.attempt_at, UTC)
                task.asked = latest_end(last, self._operation.timezone)
            self.by_id[task.skill_id] = task


def remembered_skills(data: Any) -> list[Skill]:
    """The skills of the day before, from the state; none where they cannot be read."""
    try:
        pairs = [(skill_id, printable(name)) for skill_id, name in data or ()]
    except (TypeError, ValueError):
        return []
    return [Skill(*pair) for pair in pairs if pair[0] and isinstance(pair[0], str)]
