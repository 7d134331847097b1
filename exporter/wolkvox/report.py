"""The strings of the reports' rows become figures and names; pure and total: no input raises.

Every cell of a real answer is a string: `"35"`, `"65.67 %"`, `"15,233.33 %"` (a comma
before exactly three digits, never a decimal comma), `""` and `" "`. Times are
documented as seconds; others of the same API are `H:MM:SS`, so both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from typing import Any, Final

from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Column, Kind
from exporter.wolkvox.text import one_line, printable, scrub

UNKNOWN_CHANNEL: Final = "unknown"
MAX_CHANNELS: Final = 64
MAX_CHANNEL_LENGTH: Final = 128
# More would only repeat what the first thousand say, at the cost of memory.
MAX_ERRORS: Final = 1000
_MAX_TEXT, _MAX_NAME = 40, 128
# No contact centre counts to a trillion; floats and SQLite hold everything below exactly.
_LIMIT = 10**12


class Unreadable(Enum):
    """The mark of a cell that holds something, but no figure."""

    UNREADABLE = "unreadable"


UNREADABLE: Final = Unreadable.UNREADABLE
Figure = int | float | None | Unreadable
_Cells = dict[str, Figure]
"""The figures of one row by column, before rows of one channel are merged."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """A cell that could not be read: the API's column (or `row`) and what stood there."""

    field: str
    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class SkillReport:
    """An answer's channels, what was unreadable, how many rows were dropped, its JSON rows."""

    channels: tuple[ChannelFigures, ...]
    errors: tuple[FieldError, ...]
    dropped: int
    rows: Sequence[object] = field(default=(), repr=False, compare=False)


_WHOLE = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)"
_CLOCK = r"(?:[0-9]+:[0-5][0-9]|[0-9]+):[0-5][0-9]"
_FORMS: Final = {
    Kind.COUNT: re.compile(rf"({_WHOLE})(?:\.0+)?"),
    Kind.RATIO: re.compile(rf"({_WHOLE}(?:\.[0-9]+)?)\s*%?"),
    Kind.SECONDS: re.compile(rf"({_CLOCK}|{_WHOLE}(?:\.[0-9]+)?)"),
}


def read_report(rows: Sequence[object], token: str = "") -> SkillReport:
    """The figures of each channel; what cannot be read is left out and stands in `errors`.

    Rows of one channel are merged. A row without a channel and without a figure (the
    vendor's own sample is one) is skipped. Nothing of the token is in the texts of `errors`.
    """
    channels: dict[str, list[_Cells]] = {}
    errors: list[FieldError] = []
    dropped = 0
    for row in rows:
        del errors[MAX_ERRORS:]
        if not isinstance(row, dict):
            errors.append(FieldError("row", "", _shown(row)))
            continue
        value = row.get("type_interaction")
        name = printable(value.strip()) if isinstance(value, str) else ""
        channel = name or UNKNOWN_CHANNEL
        cells = {one.field: read_figure(row.get(one.field), one.kind) for one in COLUMNS}
        named = name or any(isinstance(figure, int | float) for figure in cells.values())
        full = named and channel not in channels and len(channels) >= MAX_CHANNELS
        if full or len(name) > MAX_CHANNEL_LENGTH:
            dropped += 1
            continue
        if named:
            channels.setdefault(channel, []).append(cells)
        unreadable = [one for one, figure in cells.items() if figure is UNREADABLE]
        if not isinstance(value, str | None):
            unreadable.insert(0, "type_interaction")
        errors += (FieldError(one, channel, _shown(row.get(one))) for one in unreadable)
    merged = []
    for channel, same in channels.items():
        # A single row keeps its values whatever their weights.
        found = same[0].values() if len(same) == 1 else [_merge(one, same) for one in COLUMNS]
        values: list[Any] = [None if figure is UNREADABLE else figure for figure in found]
        merged.append(ChannelFigures(channel, *values))
    unread = tuple(replace(one, text=scrub(one.text, token)) for one in errors[:MAX_ERRORS])
    return SkillReport(tuple(merged), unread, dropped, rows)


def read_figure(value: object, kind: Kind) -> Figure:
    """A cell as a figure: None where it is empty, UNREADABLE where it has another form.

    A count is `"35"`, `"1,172"` or 35; a ratio a percentage (`"65.67 %"`, `"15,233.33 %"`:
    above 1 is kept); a time in seconds `"35"`, `"35.5"`, `"0:35"` or `"26:00:05"` (more than
    a day).
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        match = _FORMS[kind].fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            return UNREADABLE
        digits = match[1].replace(",", "")
        if kind is Kind.RATIO:
            # One rounding instead of two: 65.67 % is exactly the float 0.6567.
            value = float(f"{digits}e-2")
        else:
            value = reduce(lambda total, part: 60 * total + float(part), digits.split(":"), 0.0)
    elif value is None:
        return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return UNREADABLE
    elif kind is Kind.RATIO and value <= _LIMIT:
        value /= 100
    # Negative, endless and not-a-number fail the comparison.
    figure = abs(float(value)) if 0 <= value <= _LIMIT else UNREADABLE
    if kind is not Kind.COUNT or figure is UNREADABLE:
        return figure
    return int(figure) if figure.is_integer() else UNREADABLE


def _merge(column: Column, rows: Sequence[_Cells]) -> Figure:
    """The counts added up, a ratio or a time as the average that its weights give."""
    figures = [row[column.field] for row in rows]
    if column.weight is None:
        known = [figure for figure in figures if isinstance(figure, int)]
        # A part is not the sum.
        return UNREADABLE if UNREADABLE in figures else sum(known) if known else None
    both = zip(figures, [row[column.weight] for row in rows], strict=True)
    pairs = [(f, w) for f, w in both if isinstance(f, float) and isinstance(w, int)]
    total = sum(weight for _, weight in pairs)
    return sum(figure * weight for figure, weight in pairs) / total if total else None


def total_of(rows: Iterable[ChannelFigures]) -> ChannelFigures:
    """Several channels together, as rows of one are merged; without a count there is no sum."""
    cells: list[_Cells] = []
    for row in rows:
        values = {one.field: getattr(row, one.attribute) for one in COLUMNS}
        cells.append({key: UNREADABLE if one is None else one for key, one in values.items()})
    merged: list[Any] = [_merge(column, cells) for column in COLUMNS]
    return ChannelFigures("", *(None if one is UNREADABLE else one for one in merged))


def _shown(value: object) -> str:
    """What stood in a cell, for the log; containers only by kind: they may be deep."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return one_line(str(value), _MAX_TEXT)


# information.php: token_info and skills ----------------------------------------------------

TOKEN_COUNTS: Final = {
    "token_limit": "token_limit",
    "token_used_today": "token_use_today",
    "token_used_today_all_tokens": "all_token_today",
    "token_available": "available_consumption_options",
}
"""The API's names of the day's requests as Wolkvox counts them, by ours."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """Those requests, None = not in the answer or not readable, and what was unreadable."""

    counts: dict[str, float | None]
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True)
class Skill:
    """A queue of the operation; `last_use` as the API writes it, "" where it does not."""

    id: str
    name: str
    last_use: str


def read_token_info(rows: Sequence[object], token: str = "") -> TokenInfo:
    """The first row that is an object; all None where there is none."""
    row = next((row for row in rows if isinstance(row, dict)), {})
    counts = {one: read_figure(row.get(name), Kind.COUNT) for one, name in TOKEN_COUNTS.items()}
    unread = (TOKEN_COUNTS[one] for one, count in counts.items() if count is UNREADABLE)
    errors = tuple(FieldError(one, "", scrub(_shown(row[one]), token)) for one in unread)
    read = {one: float(n) if isinstance(n, int) else None for one, n in counts.items()}
    return TokenInfo(read, errors)


def read_skills(rows: Sequence[object]) -> tuple[Skill, ...]:
    """The skills in the API's order, each id once; rows without a numeric id are left out."""
    skills: dict[str, Skill] = {}
    for row in rows:
        if isinstance(row, dict):
            cells = (row.get(key) for key in ("skill_id", "skill_name", "last_use"))
            texts = (str(one) if type(one) in {str, int} else "" for one in cells)
            skill_id, name, last_use = (one_line(one, _MAX_NAME) for one in texts)
            if re.fullmatch(r"[0-9]{1,20}", skill_id):
                skills.setdefault(skill_id, Skill(skill_id, name or skill_id, last_use))
    return tuple(skills.values())
