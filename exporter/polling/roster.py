"""The tasks of one operation: restored at the start, discovered once a day; asks nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.config import Operation, Skill
from exporter.logs import say
from exporter.polling import schedule
from exporter.polling.keeper import Keeper
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO
from exporter.polling.task import Task
from exporter.state.models import QueryMemory
from exporter.times import Clock
from exporter.wolkvox.information import Skill as FoundSkill
from exporter.wolkvox.text import printable

log = logging.getLogger(__name__)

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A task before anything is known of it; `interval` in seconds."""

    report: str
    skill_id: str
    name: str
    interval: float


class Roster:
    """What an operation asks, by skill id; `#skills` and `#token_info` are no queries."""

    def __init__(
        self,
        operation: Operation,
        row: int,
        clock: Clock,
        keeper: Keeper,
        grace: float,
    ) -> None:
        self._operation = operation
        self._row = row
        self._grace = grace
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
        wanted: list[_Wanted] = []
        skills: Iterable[Skill] = self._operation.skills
        if self._operation.discover:
            skills = await self._remembered()
            # Known skills are looked up again once a day, not at each start.
            interval = DAY if skills else self._operation.interval
            wanted.append(_Wanted(SKILLS, "#skills", "", interval))
        wanted += [self._query(skill) for skill in skills]
        if self._operation.token_info:
            wanted.append(_Wanted(TOKEN_INFO, "#token_info", "", schedule.HOUR))
        await self._add(wanted)

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
            if skill.id not in known:
                await self._add([self._query(skill)])
            task = self.tasks[skill.id]
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
        row, pairs = self._row, [[skill.id, skill.name] for skill in skills.values()]
        await self._keeper.write(lambda db: db.save_fact(row, "skills", pairs))
        return changed

    async def _remembered(self) -> list[Skill]:
        row = self._row
        data = await self._keeper.need(lambda db: db.load_fact(row, "skills"))
        return remembered_skills(data)

    def _query(self, skill: Skill) -> _Wanted:
        interval = skill.interval or self._operation.interval
        return _Wanted(SKILL_11, skill.id, skill.name, interval)

    async def _add(self, wanted: Sequence[_Wanted]) -> None:
        """Take up what is known of them, in one step: the first page waits for it."""
        row = self._row
        known = await self._keeper.need(
            lambda db: [
                (db.stored(row, one.skill_id), db.memory(row, one.skill_id)) for one in wanted
            ]
        )
        for one, (stored, memory) in zip(wanted, known, strict=True):
            now, last_at = self._clock.epoch(), stored.last_at
            wait = schedule.wait_after_restart(last_at, now, one.interval, self._grace)
            self.tasks[one.skill_id] = Task(
                report=one.report,
                skill_id=one.skill_id,
                name=one.name,
                interval=one.interval,
                slot=self._clock.monotonic() + wait,
                started=schedule.started_before(last_at, now, self._clock.monotonic()),
                stored=stored,
                memory=memory or QueryMemory(),
                tried_at=stored.attempt_at,
            )


def remembered_skills(data: object) -> list[Skill]:
    """The skills of the day before, from the state; what is no pair of texts is left out."""
    pairs = data if isinstance(data, list) else []
    return [
        Skill(pair[0], printable(pair[1]))
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(text, str) and text for text in pair)
    ]
