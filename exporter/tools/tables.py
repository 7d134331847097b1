"""The result of a probe for people, as a table with its verdicts, and for scripts, as JSON.

Below each channel as the exporter reads it stand the strings as the API sent them. Foreign
text is made fit for a terminal first.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.tools.probe import Probed, Result
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Column, Kind
from exporter.wolkvox.report import UNKNOWN_CHANNEL
from exporter.wolkvox.text import one_line

SHAPE = 1
_CELL, _NARROWEST = 40, 8


def plain(result: Result, words: Words) -> str:
    """Aligned text without any control character, for a pipe or a file."""
    table = [line for _, line in _aligned(_rows(result, words), None)]
    verdicts = [text for _, text in _verdicts(result, words)]
    return "\n".join([*table, *([""] if table else []), *verdicts, ""])


def styled(result: Result, words: Words, width: int) -> str:
    """The same for a terminal of that many columns, in colours."""
    styles: dict[str, dict[str, Any]] = {"head": {"bold": True}, "sent": {"dim": True}}
    lines = [
        click.style(line, **styles.get(kind, {}))
        for kind, line in _aligned(_rows(result, words), width)
    ]
    for good, text in _verdicts(result, words):
        mark = click.style("✔", fg="green") if good else click.style("✘", fg="red")
        wrapped = textwrap.wrap(text, max(width - 2, 20))
        lines.append(f"{mark} " + "\n  ".join(wrapped))
    return "\n".join([*lines, ""])


_Row = tuple[str, str, Sequence[str]]
"""`head`, `read` or `sent`; what the line is of; its figures."""


def _rows(result: Result, words: Words) -> Iterator[_Row]:
    heads = [words.text(f"column.{column.attribute}.short") for column in COLUMNS]
    for probed in result.queries:
        if probed.report.channels:
            yield "head", _line(_name(probed)), heads
        for figures in probed.report.channels:
            read = (_read(column, figures, words) for column in COLUMNS)
            yield "read", _line(figures.channel), [*read]
            for sent in _rows_of(probed, figures.channel):
                cells = [_sent(sent.get(column.field, "")) for column in COLUMNS]
                yield "sent", "  " + words.text("probe.sent"), cells


def _aligned(rows: Iterator[_Row], width: int | None) -> list[tuple[str, str]]:
    """The lines, each with its kind; the names have the room that the figures leave."""
    table = [*rows]
    gap = 2 if width is None else 1
    sizes = [
        max(map(len, column)) + gap for column in zip(*(row[2] for row in table), strict=True)
    ]
    names = max((len(name) for _, name, _ in table), default=0)
    if width is not None:
        names = max(_NARROWEST, min(names, width - sum(sizes)))
    return [
        (
            kind,
            name[:names].ljust(names)
            + "".join(cell.rjust(size) for cell, size in zip(cells, sizes, strict=True)),
        )
        for kind, name, cells in table
    ]


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


def _read(column: Column, figures: ChannelFigures, words: Words) -> str:
    value = getattr(figures, column.attribute)
    if value is None:
        return "-"
    if column.kind is Kind.COUNT:
        return str(value)
    seconds = column.kind is Kind.SECONDS
    return words.number(value, "g") if seconds else words.percent(value, ".2f")


def _sent(cell: object) -> str:
    """As JSON wrote it; a string without its quotes, where they would tell nothing."""
    plain_text = isinstance(cell, str) and cell.strip() == cell != ""
    return _line(str(cell) if plain_text else json.dumps(cell, ensure_ascii=False), 14)


def _line(text: str, limit: int = _CELL) -> str:
    return one_line(SECRETS.scrub(text), limit)


def _values(probed: Probed, words: Words) -> dict[str, object]:
    return {
        "count": len(probed.report.errors),
        "ago": words.span(probed.ago or 0.0),
        "wait": words.span(probed.wait or 0.0),
        "reason": probed.reason and words.text(f"verdict.{probed.reason}"),
    }


def sentence(probed: Probed, words: Words) -> str:
    """The verdict, what to do, and what the server or the machine said."""
    values = _values(probed, words)
    parts = [
        words.text(f"verdict.{probed.verdict}", **values),
        words.advice(probed.verdict, **values),
    ]
    if probed.detail and probed.verdict != "after":
        parts.append(f"({_line(probed.detail, 300)})")
    return ". ".join(part.removesuffix(".") for part in parts if part)


def _verdicts(result: Result, words: Words) -> Iterator[tuple[bool, str]]:
    """Whether it is good, and a sentence or two, for each query; then of the whole."""
    for probed in result.queries:
        yield probed.good, f"{_line(_name(probed), 200)}: {sentence(probed, words)}"
    level = result.service_level
    expected = level.denominator in ("inbound", "unknown")
    yield expected, words.text(f"denominator.{level.denominator}", count=level.telling)
    good = sum(probed.good for probed in result.queries)
    yield result.good, words.text("probe.summary", good=good, count=len(result.queries))


def as_json(result: Result, words: Words, now: datetime) -> str:
    """For scripts: `shape` changes whenever a key changes its name or meaning."""
    document = {
        "shape": SHAPE,
        "checked_at": now.isoformat(timespec="seconds"),
        "ok": result.good,
        "service_level": asdict(result.service_level),
        "queries": [_query(probed, words) for probed in result.queries],
    }
    return SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def _query(probed: Probed, words: Words) -> dict[str, Any]:
    window, values = probed.window, _values(probed, words)
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
        "message": words.text(f"verdict.{probed.verdict}", **values),
        "advice": words.advice(probed.verdict, **values),
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
