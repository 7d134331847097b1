"""What the state file holds of the windows that are over, judged, and added up; pure.

Totals are those of the single skills, or of `all`, which holds every interaction once more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from exporter.config import Operation, Skill, SlaEntry
from exporter.config.values import ALL_SKILLS
from exporter.messages import Words
from exporter.metrics.sla import Figure, Targets, goals, judge
from exporter.state.models import MonthMemory, QueryMemory, Result, complete
from exporter.tools.session import shown, title
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.report import total_of
from exporter.wolkvox.windows import LAST_MONTH, MONTH

YESTERDAY = "yesterday"


@dataclass(frozen=True, slots=True)
class Line:
    """A channel of a skill, or a total, with its figures by column, each judged.

    Without figures there is nothing but the note, which says what is missing.
    """

    skill: Skill
    figures: ChannelFigures | None
    entry: SlaEntry | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The skill's id and, where it has one, its name."""
        return title(self.skill)

    @property
    def channel(self) -> str:
        """The channel's name."""
        return shown(self.figures.channel, 200) if self.figures else ""

    @property
    def cells(self) -> Sequence[Figure]:
        """The figures in the order of the columns."""
        targets, figures = goals(self.entry), self.figures
        values = ((one, getattr(figures, one.attribute, None)) for one in COLUMNS)
        return [judge(one, value, targets.get(one.attribute)) for one, value in values]


@dataclass(frozen=True, slots=True)
class Group:
    """Skills that may be added up, in a window from its `first` to its `last` day.

    `skills`: how many have an answer, and how many there are.
    """

    operation: Operation
    window: str
    first: date
    last: date
    entries: Sequence[Line]
    skills: tuple[int, int]
    words: Words

    @property
    def title(self) -> str:
        """The window and its days."""
        name, days = self.words.text(f"report.window.{self.window}"), str(self.first)
        if self.first != self.last:
            days = self.words.text("report.span", first=self.first, last=self.last)
        return f"{name}, {days}"

    @property
    def whole(self) -> bool:
        """Whether it is `all`, which holds the single skills."""
        return self.entries[0].skill.id == ALL_SKILLS

    @property
    def lines(self) -> Sequence[Line]:
        """The channels that have figures."""
        return [line for line in self.entries if line.figures is not None]

    @property
    def notes(self) -> Mapping[str, str]:
        """What is missing, and the skills that lack it."""
        found = defaultdict[str, dict[str, None]](dict)
        for line in self.entries:
            if line.note:
                found[line.note][line.name] = None
        every, count = self.words.text("report.note.every"), self.skills[1]
        return {
            note: every if len(names) == count > 1 else ", ".join(names)
            for note, names in found.items()
        }

    @property
    def total(self) -> Line | None:
        """Several channels together; it is not judged."""
        if len(self.lines) < 2:
            return None
        known, count = self.skills
        key = "report.total" if known == count else "report.part"
        name = self.words.text(key, known=known, count=count)
        rows = [one.figures for one in self.lines if one.figures is not None]
        return Line(Skill("", name), total_of(rows))


def groups_of(
    operation: Operation,
    memories: Mapping[Skill, QueryMemory | None],
    today: date,
    words: Words,
) -> Iterator[Group]:
    """The windows of an operation: its single skills, then `all`."""
    singles = [one for one in memories if one.id != ALL_SKILLS]
    targets = Targets(operation.sla, operation.timezone, single_skills=bool(singles))
    yesterday, month = today - timedelta(days=1), today.replace(day=1)
    before = month - timedelta(days=1)
    for window, first, last in (
        (YESTERDAY, yesterday, yesterday),
        (MONTH, month, max(month, yesterday)),
        (LAST_MONTH, before.replace(day=1), before),
    ):
        missing = ""
        if window != YESTERDAY and not operation.month:
            missing = words.text("report.note.off")
        elif first == today:
            missing = words.text("report.note.begins")
        for added in (singles, [one for one in memories if one.id == ALL_SKILLS]):
            # Figures that end on different days are not added up.
            found, known = defaultdict[date, list[Line]](list), Counter[date]()
            for skill in added:
                memory = memories[skill] or QueryMemory()
                answer, note = None, missing
                if not missing:
                    answer, note = _answer(memory, window, first, last, words)
                # A day has a row for each channel that had traffic of late.
                rows = complete(answer, memory.ledger if window == YESTERDAY else None)
                if answer is not None:
                    known[answer.day] += 1
                    note = note or ("" if rows else words.text("report.note.empty"))
                found[answer.day if answer else last] += [
                    Line(skill, one, targets.of(skill.id, one.channel), note) for one in rows
                ] or [Line(skill, None, note=note)]
            for day in sorted(found, reverse=True):
                skills = known[day], len(added)
                yield Group(operation, window, first, day, found[day], skills, words)


def _answer(
    memory: QueryMemory, window: str, first: date, last: date, words: Words
) -> tuple[Result | None, str]:
    """The answer for a window, if there is one, and a word about what is missing."""
    held = {
        YESTERDAY: MonthMemory(memory.yesterday),
        MONTH: memory.month,
        LAST_MONTH: memory.last_month,
    }[window]
    answer, tries = held.result, held.tries
    if answer is not None and first <= answer.day <= last:
        late = answer.day < last
        return answer, words.text("report.note.late", last=last) if late else ""
    if tries is not None and tries.month == first and tries.reason:
        reason = words.text(f"verdict.{tries.reason}")
        return None, words.text("report.note.refused", reason=reason)
    if answer is not None:
        return None, words.text("report.note.other", last=answer.day)
    return None, words.text("report.note.never")
