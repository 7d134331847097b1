"""A probe's result for people and for scripts: a table, aligned text, JSON; asks nothing.

Each channel has two lines: the figures as the exporter reads them, and the strings as the
API sent them. Foreign text is made fit for a terminal first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

from exporter.logs import SECRETS
from exporter.tools.probe import Probed, Result
from exporter.tools.verdicts import Words, span
from exporter.wolkvox.report import UNKNOWN_CHANNEL, ChannelFigures
from exporter.wolkvox.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

SHAPE = 1
_CELL = 40
_NARROWEST = 8
_COLUMNS = (
    ("inbound", "inbound_calls"),
    ("answered", "answer_calls"),
    ("abandoned", "abandon_calls"),
    ("service_level_10", "service_level_10seg"),
    ("service_level_20", "service_level_20seg"),
    ("service_level_30", "service_level_30seg"),
    ("abandonment", "abandon"),
    ("asa", "asa"),
    ("ata", "ata"),
)
_HEADS = ("in", "answ", "aband", "SL 10", "SL 20", "SL 30", "aband %", "ASA", "ATA")


@dataclass(frozen=True, slots=True)
class Line:
    """One channel: the figures as read, and for each row of it the strings as sent."""

    skill: str
    channel: str
    read: tuple[str, ...]
    sent: tuple[tuple[str, ...], ...]


def lines(result: Result) -> Iterator[Line]:
    """The channels of every query, in order."""
    for probed in result.queries:
        for figures in probed.report.channels:
            yield Line(
                _fit(_name(probed)),
                _fit(figures.channel),
                tuple(_figure(getattr(figures, one)) for one, _ in _COLUMNS),
                tuple(_sent(row) for row in _rows_of(probed, figures.channel)),
            )


def _name(probed: Probed) -> str:
    skill = probed.skill
    parts = (probed.operation, skill.id, skill.name if skill.name != skill.id else "")
    return " ".join(part for part in parts if part)


def _rows_of(probed: Probed, channel: str) -> Iterator[dict[str, Any]]:
    for row in probed.rows:
        if isinstance(row, dict):
            name = str(row.get("type_interaction") or "").strip()
            if (name or UNKNOWN_CHANNEL) == channel:
                yield row


def _sent(row: dict[str, Any]) -> tuple[str, ...]:
    """As JSON wrote it; a string without its quotes, where they would tell nothing."""
    texts = []
    for _, column in _COLUMNS:
        cell = row.get(column, "")
        plain_text = isinstance(cell, str) and cell.strip() == cell != ""
        texts.append(str(cell) if plain_text else json.dumps(cell, ensure_ascii=False))
    return tuple(_fit(text, 14) for text in texts)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


def _fit(text: str, limit: int = _CELL) -> str:
    return one_line(SECRETS.scrub(text), limit)


def verdict_text(probed: Probed, words: Words) -> str:
    """The verdict in a few words."""
    if probed.verdict == "after":
        return words.say("after", reason=words.say(str(probed.reason)))
    return words.say(
        probed.verdict,
        count=len(probed.report.errors),
        ago=span(probed.ago or 0.0),
        wait=span(probed.wait or 0.0),
    )


def advice_text(probed: Probed, words: Words) -> str:
    """What to do about it, "" where there is nothing to do."""
    return words.advice(probed.verdict, wait=span(probed.wait or 0.0))


def sentence(probed: Probed, words: Words) -> str:
    """The verdict, what to do, and what the server or the machine said."""
    parts = [verdict_text(probed, words), advice_text(probed, words)]
    if probed.detail and probed.verdict != "after":
        parts.append(f"({_fit(probed.detail, 300)})")
    return ". ".join(part.removesuffix(".") for part in parts if part)


def verdicts(result: Result, words: Words) -> Iterator[tuple[bool, str]]:
    """Whether it is good, and a sentence or two, for each query; then of the whole."""
    for probed in result.queries:
        yield probed.good, f"{_fit(_name(probed), 200)}: {sentence(probed, words)}"
    formula = result.formula
    expected = formula.denominator in ("inbound", "unknown")
    yield expected, words.say(f"formula.{formula.denominator}", count=formula.telling)
    good = sum(probed.good for probed in result.queries)
    yield result.good, words.say("summary", good=good, count=len(result.queries))


def plain(result: Result, words: Words) -> str:
    """Aligned text without any control character, for a pipe or a file."""
    rows: list[tuple[str, ...]] = [(words.say("skill"), words.say("channel"), "", *_HEADS)]
    for line in lines(result):
        rows.append((line.skill, line.channel, words.say("read"), *line.read))
        rows += [("", "", words.say("sent"), *sent) for sent in line.sent]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    table = [*aligned, ""] if len(rows) > 1 else []
    return "\n".join([*table, *(text for _, text in verdicts(result, words))]) + "\n"


def print_table(result: Result, words: Words, console: Console) -> None:
    """The same on a terminal, as wide as it is; names are text, never markup."""
    from rich.table import Table  # noqa: PLC0415 - only where there is a terminal
    from rich.text import Text  # noqa: PLC0415

    found = list(lines(result))
    widths = _widths(found, console.width)
    if found:
        console.print(words.say("legend"), style="dim")
    skill, table = None, Table.grid()
    for line in found:
        if line.skill != skill:
            if skill is not None:
                console.print(table)
            skill, table = line.skill, Table.grid(padding=(0, 1, 0, 0))
            for number, width in enumerate(widths):
                justify: JustifyMethod = "right" if number else "left"
                table.add_column(width=width, justify=justify, overflow="fold")
            table.add_row(*(Text(head, style="bold") for head in (line.skill, *_HEADS)))
        table.add_row(Text(line.channel), *(Text(cell) for cell in line.read))
        for sent in line.sent:
            table.add_row("", *(Text(cell, style="dim") for cell in sent))
    if found:
        console.print(table)
    for good, text in verdicts(result, words):
        mark, style = ("✔ ", "green") if good else ("✘ ", "red")
        console.print(Text.assemble((mark, style), text))


def _widths(found: list[Line], available: int) -> list[int]:
    """The columns' widths; names have what the figures leave."""
    cells = [_HEADS, *(row for line in found for row in (line.read, *line.sent))]
    figures = [max(len(row[column]) for row in cells) for column in range(len(_HEADS))]
    names = max((len(text) for line in found for text in (line.skill, line.channel)), default=0)
    left = available - sum(figures) - len(figures) - 1
    return [max(_NARROWEST, min(names, left)), *figures]


def as_json(result: Result, words: Words, now: datetime) -> str:
    """For scripts: `shape` changes whenever a key changes its name or meaning."""
    document = {
        "shape": SHAPE,
        "checked_at": now.isoformat(timespec="seconds"),
        "ok": result.good,
        "service_level": asdict(result.formula),
        "queries": [_query(probed, words) for probed in result.queries],
    }
    out = StringIO()
    json.dump(document, out, ensure_ascii=False, indent=2)
    return SECRETS.scrub(out.getvalue()) + "\n"


def _query(probed: Probed, words: Words) -> dict[str, Any]:
    window = probed.window
    return {
        "operation": probed.operation,
        "server": probed.server,
        "skill_id": probed.skill.id,
        "skill": probed.skill.name,
        "verdict": probed.verdict,
        "ok": probed.good,
        "asked": probed.asked,
        "reason": None if probed.reason is None else str(probed.reason),
        "detail": probed.detail,
        "message": verdict_text(probed, words),
        "advice": advice_text(probed, words),
        "date_ini": window and window.start,
        "date_end": window and window.end,
        "seconds": _rounded(probed.seconds),
        "asked_seconds_ago": _rounded(probed.ago),
        "retry_in_seconds": _rounded(probed.wait),
        "channels": [_channel(one) for one in probed.report.channels],
        "rows": list(probed.rows),
        "unreadable": [asdict(error) for error in probed.report.errors],
        "dropped": probed.report.dropped,
    }


def _channel(figures: ChannelFigures) -> dict[str, Any]:
    values = asdict(figures)
    return {"type_interaction": values.pop("channel"), **values}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
