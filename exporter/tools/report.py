"""`report`: yesterday, this month and last month as the state file has them; no request."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path

import click

from exporter import flags
from exporter.config import Configuration, Skill
from exporter.errors import StorageError
from exporter.messages import Words, catalogue, template
from exporter.polling.tasks import remembered_skills
from exporter.runtime import system_clock
from exporter.state.identity import claims_of
from exporter.state.storage import Storage
from exporter.tools.report_state import Group, Line, groups_of
from exporter.tools.session import shown
from exporter.tools.terminal import Row, align, short_heads, show
from exporter.wolkvox.columns import COLUMNS
from exporter.wolkvox.windows import local_day

_FILE = partial(click.option, metavar="FILE", type=click.Path(dir_okay=False))


@click.command()
@flags.configuration()
@flags.STORAGE
@flags.LANGUAGE
@flags.OPERATION
@_FILE("--html", help="Write a page to print or to send; -: to standard output.")
@_FILE("--csv", "sheet", help="Write a table for a spreadsheet; -: to standard output.")
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
    """Write UTF-8 to a file or, for `-`, to standard output; raises StorageError."""
    if name == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")
        click.echo(text, nl=False)
        return
    try:
        Path(name).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise StorageError(f"{name} cannot be written: {error.strerror}") from error
