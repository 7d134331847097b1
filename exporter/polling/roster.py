"""The tasks of one operation: restored at the start, discovered once a day; asks nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from exporter.config import Operation, Skill
from exporter.logs import say
from exporter.polling import schedule
from exporter.polling.keeper import Keeper
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO
from exporter.polling.task import Task
from exporter.state.identity import Identity
from exporter.state.snapshot import QueryMemory
from exporter.times import Clock
from exporter.wolkvox.information import Skill as FoundSkill

log = logging.getLogger(__name__)

DAY = 86400.0


class Roster:
    """What an operation asks, by skill id; `#skills` and `#token_info` are no queries."""

    def __init__(
        self, operation: Operation, identity: Identity, clock: Clock, keeper: Keeper
    ) -> None:
        self._operation = operation
        self._member = identity.member
        self._owner = identity.owner
        self._clock = clock
        self._keeper = keeper
        self.tasks: dict[str, Task] = {}

    @property
    def queries(self) -> list[Task]:
        """The tasks that ask for figures."""
        return [task for task in self.tasks.values() if task.is_query]

    def next(self, *, paused: bool = False) -> Task | None:
        """The task whose slot comes first; while paused, token_info is left out."""
        tasks = [
            task for task in self.tasks.values() if not (paused and task.report == TOKEN_INFO)
        ]
        return min(tasks, key=lambda task: task.slot, default=None)

    async def restore(self) -> None:
        """Take up every task where the last process left it; raises StorageError."""
        skills: Iterable[Skill] = self._operation.skills
        if self._operation.discover:
            skills = await self._remembered()
            # Known skills are looked up again once a day, not at each start.
            interval = DAY if skills else self._operation.interval
            await self._add(SKILLS, "#skills", "", interval)
        for skill in skills:
            await self._add_skill(skill)
        if self._operation.token_info:
            await self._add(TOKEN_INFO, "#token_info", "", schedule.HOUR)

    async def discovered(
        self, found: Iterable[FoundSkill], gone: Callable[[Task], None]
    ) -> list[Task]:
        """Take over the operation's skills; returns the tasks that are new or renamed.

        Raises StorageError. An operation does not lose all of its skills: an empty answer
        changes nothing.
        """
        skills = {skill.id: Skill(skill.id, skill.name) for skill in found}
        known = {task.skill_id: task for task in self.queries}
        if not skills:
            name = self._operation.name
            say(log, logging.WARNING, "no skills found; nothing changes", operation=name)
            return []
        for skill_id in known.keys() - skills.keys():
            gone(self.tasks.pop(skill_id))
        changed = []
        for skill in skills.values():
            task = known.get(skill.id) or await self._add_skill(skill)
            if skill.id not in known or task.name != skill.name:
                task.name = skill.name
                changed.append(task)
        if skills.keys() != known.keys():
            say(
                log,
                logging.INFO,
                "skills discovered",
                operation=self._operation.name,
                skills=len(skills),
            )
        member, pairs = self._member, [[skill.id, skill.name] for skill in skills.values()]
        await self._keeper.write(lambda db: db.save_json("facts", member, "skills", pairs))
        return changed

    async def _remembered(self) -> list[Skill]:
        member = self._member
        data = await self._keeper.need(lambda db: db.load_json("facts", member, "skills"))
        pairs = data if isinstance(data, list) else []
        return [Skill(str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2]

    async def _add_skill(self, skill: Skill) -> Task:
        interval = skill.interval or self._operation.interval
        return await self._add(SKILL_11, skill.id, skill.name, interval)

    async def _add(self, report: str, skill_id: str, name: str, interval: float) -> Task:
        base_url = self._operation.base_url
        owner = self._owner
        stored, memory = await self._keeper.need(
            lambda db: (db.stored(base_url, skill_id), db.memory(owner, skill_id))
        )
        now, attempt_at = self._clock.epoch(), stored.attempt_at
        wait = schedule.wait_after_restart(attempt_at, now, interval)
        self.tasks[skill_id] = Task(
            report=report,
            skill_id=skill_id,
            name=name,
            interval=interval,
            slot=self._clock.monotonic() + wait,
            started=schedule.started_before(attempt_at, now, self._clock.monotonic()),
            stored=stored,
            memory=memory or QueryMemory(),
            tried_at=attempt_at,
        )
        return self.tasks[skill_id]
