"""`report`: yesterday, this month and last month as the state file has them; no request."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

import click

from exporter import flags
from exporter.config import Configuration, Operation, Skill, SlaEntry
from exporter.config.values import ALL_SKILLS
from exporter.errors import StartError
from exporter.messages import Words, catalogue, template
from exporter.metrics.sla import Figure, Targets, goals, judge
from exporter.polling.tasks import remembered_skills
from exporter.runtime import system_clock
from exporter.state.identity import claims_of
from exporter.state.models import MonthMemory, QueryMemory, Result, complete
from exporter.state.storage import Storage
from exporter.tools.session import shown, titled
from exporter.tools.terminal import Row, align, file_option, short_heads, show
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.report import total_of
from exporter.wolkvox.windows import LAST_MONTH, MONTH, local_day

YESTERDAY = "yesterday"


@click.command()
@flags.configuration()
@flags.STORAGE
@flags.LANGUAGE
@flags.OPERATION
@file_option("--html", help="Write a page to print or to send; -: to standard output.")
@file_option("--csv", "sheet", help="Write a table for a spreadsheet; -: to standard output.")
def report(
    configuration: Configuration,
    directory: Path,
    words: Words,
    operation: str | None,
    html: str | None,
    sheet: str | None,
) -> None:
    """Show yesterday, this month and last month from the state file; makes no request.

    Beside a running exporter or without one; all operations, where none is named.
    """
    if html == sheet == "-":
        raise click.UsageError("standard output takes only one of --html and --csv")
    chosen = configuration.operations
    if operation is not None:
        chosen = (flags.operation_of(configuration, operation),)
    now, groups = system_clock().now(), list[Group]()
    with closing(Storage.copy(directory, now.timestamp)) as state:
        rows = state.claim(claims_of(configuration))
        for one in chosen:
            row, today = rows[one.name].id, local_day(now, one.timezone)
            skills = one.skills or remembered_skills(state.load_fact(row, "skills"))
            skills = skills or (Skill("", "(skills)"),)  # not listed by Wolkvox yet
            memories = {skill: state.memory(row, skill.id) for skill in skills}
            groups += groups_of(one, memories, today, words)
    for name, render in ((html, as_html), (sheet, as_csv)):
        if name is not None:
            _write(name, render(groups, words))
    if "-" not in (html, sheet):
        show(partial(as_table, groups, words))


# What the state holds of the windows that are over ----------------------------------------
#
# Totals are those of the single skills, or of `all`, which holds every interaction once more.


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
        return titled(self.skill)

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
    operation: Operation, kept: Mapping[Skill, QueryMemory | None], today: date, words: Words
) -> Iterator[Group]:
    """The windows of an operation: its single skills, then `all`."""
    singles = [one for one in kept if one.id != ALL_SKILLS]
    targets = Targets(operation)
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
        for added in (singles, [one for one in kept if one.id == ALL_SKILLS]):
            # Figures that end on different days are not added up.
            found, known = defaultdict[date, list[Line]](list), Counter[date]()
            for skill in added:
                memory = kept[skill] or QueryMemory()
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


# Output ------------------------------------------------------------------------------------

_INDICATORS = ("service_level", "abandonment", "asa")
_MARKS = {None: "", False: "✓", True: "✗"}
_SHEET = (
    *("operation", "skill_id", "skill", "type_interaction", "window", "start", "end"),
    *(column.attribute for column in COLUMNS),
    "service_level_within",
    *(f"{one}_{what}" for one in _INDICATORS for what in ("target", "met")),
    *("met", "note"),
)


def as_table(groups: Sequence[Group], words: Words, width: int | None) -> str:
    """For a terminal of that many columns; None: for a pipe or a file."""
    rows, notes, empty, last = list[Row](), list[str](), [""] * len(COLUMNS), ""
    for group in groups:
        title = f"{group.operation.name}: {group.title}"
        notes += (f"{title}: {note}: {names}" for note, names in group.notes.items())
        if group.lines and title != last:
            rows += [({}, "", empty)] if rows else []
            rows.append(({"bold": True}, title, empty))
            rows.append(({"dim": True}, words.text("column.channel"), short_heads(words)))
            last = title
        for name, lines in groupby(group.lines, lambda line: line.name):
            rows.append(({}, name, empty))
            rows += (_row(f"  {words.channel(one.channel)}", one, words) for one in lines)
        if group.total is not None:
            rows.append(_row(group.total.name, group.total, words))
    rows += [({}, "", empty)] if rows and notes else []
    return "".join(f"{line}\n" for line in [*align(rows, width), *notes])


def _row(name: str, line: Line, words: Words) -> Row:
    """A line of the table, red where a target is missed."""
    cells = [
        words.figure(cell.kind, cell.value, close=cell.close) + _MARKS[cell.missed]
        for cell in line.cells
    ]
    return {"fg": "red"} if any(cell.missed for cell in line.cells) else {}, name, cells


def as_html(groups: Sequence[Group], words: Words) -> str:
    """One page that stands alone, without script, for a screen or A4."""
    w = Words(words.language, "\u00a0")
    render = template(Path(__file__).parent / "templates" / "report.html")
    return render(groups=groups, columns=COLUMNS, w=w, t=catalogue(w.language))


def as_csv(groups: Sequence[Group], words: Words) -> str:
    """A row for each channel and window, and one for each skill that lacks a window.

    Names and values are the same in both languages. An Excel in Spanish reads the decimal comma
    and the semicolon; the mark at the beginning tells any Excel that it is UTF-8.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _SHEET, delimiter=";" if words.language == "es" else ",")
    writer.writeheader()
    for group in groups:
        for line in group.entries:
            record = _record(group, line)
            writer.writerow({key: _value(one, words) for key, one in record.items()})
    return "\ufeff" + text.getvalue()


def _record(group: Group, line: Line) -> dict[str, object]:
    judged = [cell.missed for cell in line.cells if cell.missed is not None]
    record: dict[str, object] = {
        **{"operation": group.operation.name, "skill_id": line.skill.id},
        **{"skill": shown(line.skill.name, 200), "type_interaction": line.channel},
        **{"window": group.window, "start": group.first, "end": group.last},
        **{"met": not any(judged) if judged else None, "note": line.note},
    }
    for column, cell in zip(COLUMNS, line.cells, strict=True):
        record[cell.head] = cell.value
        if cell.target is not None:
            name = "service_level" if column.within else cell.head
            met = None if cell.missed is None else not cell.missed
            record |= {f"{name}_target": cell.target, f"{name}_met": met}
            record |= {"service_level_within": column.within} if column.within else {}
    return record


def _value(value: object, words: Words) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return words.number(value, "")
    text = "" if value is None else str(value)
    # A spreadsheet would take it for a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _write(name: str, text: str) -> None:
    """Write UTF-8 to a file or, for `-`, to standard output; raises StartError."""
    if name == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")
        click.echo(text, nl=False)
        return
    try:
        Path(name).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise StartError("file", path=name, why=error.strerror) from error
