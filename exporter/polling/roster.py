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
from exporter.state.snapshot import QueryMemory
from exporter.state.storage import Stored
from exporter.times import Clock
from exporter.wolkvox.information import Skill as FoundSkill

log = logging.getLogger(__name__)

DAY = 86400.0


class Roster:
    """What an operation asks, by skill id; `#skills` and `#token_info` are no queries."""

    def __init__(self, operation: Operation, member: str, clock: Clock, keeper: Keeper) -> None:
        self._operation = operation
        self._member = member
        self._clock = clock
        self._keeper = keeper
        self.tasks: dict[str, Task] = {}

    @property
    def queries(self) -> list[Task]:
        """The tasks that ask for figures."""
        return [task for task in self.tasks.values() if task.is_query]

    def next(self) -> Task | None:
        """The task whose slot comes first."""
        return min(self.tasks.values(), key=lambda task: task.slot, default=None)

    async def restore(self) -> None:
        """Take up every task where the last process left it."""
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
        """Take over the operation's skills; returns the tasks that are new or renamed."""
        skills = {skill.id: Skill(skill.id, skill.name) for skill in found}
        known = {task.skill_id: task for task in self.queries}
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
        data = await self._keeper.write(lambda db: db.load_json("facts", member, "skills"))
        pairs = data if isinstance(data, list) else []
        return [Skill(str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2]

    async def _add_skill(self, skill: Skill) -> Task:
        interval = skill.interval or self._operation.interval
        return await self._add(SKILL_11, skill.id, skill.name, interval)

    async def _add(self, report: str, skill_id: str, name: str, interval: float) -> Task:
        base_url = self._operation.base_url
        found = await self._keeper.write(lambda storage: storage.stored(base_url, skill_id))
        stored = found or Stored()
        wait = schedule.wait_after_restart(stored.attempt_at, self._clock.epoch(), interval)
        self.tasks[skill_id] = Task(
            report=report,
            skill_id=skill_id,
            name=name,
            interval=interval,
            slot=self._clock.monotonic() + wait,
            stored=stored,
            memory=stored.memory or QueryMemory(),
            tried_at=stored.attempt_at,
        )
        return self.tasks[skill_id]
