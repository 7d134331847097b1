"""The strings of skill_11's rows become figures; pure and total: no input raises.

Every cell of a real answer is a string: `"35"`, `"65.67 %"`, `"15,233.33 %"` (a comma
before exactly three digits, never a decimal comma), `""` and `" "`. Times are
documented as seconds; others of the same API are `H:MM:SS`, so both are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Kind
from exporter.wolkvox.text import one_line, printable

UNKNOWN_CHANNEL: Final = "unknown"
MAX_CHANNELS: Final = 64
MAX_CHANNEL_LENGTH: Final = 128
# More would only repeat what the first thousand say, at the cost of memory.
MAX_ERRORS: Final = 1000
_MAX_TEXT = 40
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
    """An answer's channels in its order, what was unreadable, how many rows were dropped."""

    channels: tuple[ChannelFigures, ...]
    errors: tuple[FieldError, ...]
    dropped: int


_WHOLE = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)"
_COUNT = re.compile(rf"({_WHOLE})(?:\.0+)?")
_PERCENT = re.compile(rf"({_WHOLE}(?:\.[0-9]+)?)\s*%?")
_SECONDS = re.compile(rf"({_WHOLE}(?:\.[0-9]+)?)")
_CLOCK = re.compile(r"(?:([0-9]+):([0-5][0-9])|([0-9]+)):([0-5][0-9])")


def read_report(rows: Sequence[object]) -> SkillReport:
    """The figures of each channel; what cannot be read is left out and told in `errors`.

    Rows of one channel are merged. A row without a channel and without a figure (the
    vendor's own sample is one) is skipped.
    """
    channels: dict[str, list[_Cells]] = {}
    errors: list[FieldError] = []
    dropped = 0
    for row in rows:
        del errors[MAX_ERRORS:]
        if not isinstance(row, dict):
            errors.append(FieldError("row", "", _shown(row)))
            continue
        name, faults = _read_channel(row.get("type_interaction"))
        if len(name) > MAX_CHANNEL_LENGTH:
            dropped += 1
            continue
        channel = name or UNKNOWN_CHANNEL
        cells = _read_cells(row, channel, faults)
        if name or any(isinstance(figure, int | float) for figure in cells.values()):
            if channel not in channels and len(channels) >= MAX_CHANNELS:
                dropped += 1
                continue
            channels.setdefault(channel, []).append(cells)
        errors.extend(faults)
    merged = tuple(_merged(channel, cells) for channel, cells in channels.items())
    return SkillReport(merged, tuple(errors[:MAX_ERRORS]), dropped)


def read_count(value: object) -> int | Unreadable | None:
    """A number of interactions: `"35"`, `"1,172"`, 35; None where the cell is empty."""
    number = _read(value, _COUNT, float)
    if number is None or number is UNREADABLE:
        return number
    return int(number) if number.is_integer() else UNREADABLE


def read_ratio(value: object) -> float | Unreadable | None:
    """A percentage as a ratio: `"65.67 %"`, `"0 %"`, `"15,233.33 %"`; above 1 is kept."""
    if isinstance(value, str):
        # One rounding instead of two: 65.67 % is exactly the float 0.6567.
        return _read(value, _PERCENT, lambda digits: float(f"{digits}e-2"))
    number = _read(value, _PERCENT, float)
    return number / 100 if isinstance(number, float) else number


def read_seconds(value: object) -> float | Unreadable | None:
    """A duration in seconds: `"35"`, `"35.5"`, `"0:35"`, `"26:00:05"` (more than a day)."""
    text = value.strip() if isinstance(value, str) else ""
    clock = _CLOCK.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if clock:
        hours, minutes, alone, seconds = (int(part or 0) for part in clock.groups())
        return _bounded(3600 * hours + 60 * (minutes + alone) + seconds)
    return _read(value, _SECONDS, float)


def _read(
    value: object, form: re.Pattern[str], convert: Callable[[str], float]
) -> float | Unreadable | None:
    """A cell as a number: None where it is empty, UNREADABLE where it has another form."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        match = form.fullmatch(text) if len(text) <= _MAX_TEXT else None
        return _bounded(convert(match[1].replace(",", ""))) if match else UNREADABLE
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(value)
    return UNREADABLE


_READERS: Final[dict[Kind, Callable[[object], Figure]]] = {
    Kind.COUNT: read_count,
    Kind.RATIO: read_ratio,
    Kind.SECONDS: read_seconds,
}


def _bounded(number: float) -> float | Unreadable:
    """The number as a float; negative, endless and not-a-number fail the comparison."""
    return abs(float(number)) if 0 <= number <= _LIMIT else UNREADABLE


def _read_channel(value: object) -> tuple[str, list[FieldError]]:
    """The channel's name ("" where there is none) and at most one error."""
    if value is None:
        return "", []
    if isinstance(value, str):
        return printable(value.strip()), []
    return "", [FieldError("type_interaction", UNKNOWN_CHANNEL, _shown(value))]


def _read_cells(row: dict[str, object], channel: str, errors: list[FieldError]) -> _Cells:
    """All figures of a row by column; each unreadable one is added to `errors`."""
    cells = {one.field: _READERS[one.kind](row.get(one.field)) for one in COLUMNS}
    for name, figure in cells.items():
        if figure is UNREADABLE:
            errors.append(FieldError(name, channel, _shown(row.get(name))))
    return cells


def _merged(channel: str, rows: Sequence[_Cells]) -> ChannelFigures:
    """The rows of one channel as one: counts added up, ratios and times averaged.

    A single row keeps its values whatever their weights.
    """
    if len(rows) == 1:
        kept: list[Any] = [
            None if figure is UNREADABLE else figure for figure in rows[0].values()
        ]
        return ChannelFigures(channel, *kept)
    values: dict[str, Any] = {}
    for column in COLUMNS:
        figures = [row[column.field] for row in rows]
        if column.weight is None:
            values[column.attribute] = _sum(figures)
        else:
            weights = [row[column.weight] for row in rows]
            values[column.attribute] = _average(list(zip(figures, weights, strict=True)))
    return ChannelFigures(channel, **values)


def _sum(figures: Sequence[Figure]) -> int | None:
    """The counts added up; None where one is unreadable: a part is not the sum."""
    known = [figure for figure in figures if isinstance(figure, int)]
    return sum(known) if known and UNREADABLE not in figures else None


def _average(pairs: Sequence[tuple[Figure, Figure]]) -> float | None:
    """The values weighted; one without its weight is left out."""
    known = [
        (value, weight)
        for value, weight in pairs
        if isinstance(value, float) and isinstance(weight, int)
    ]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _shown(value: object) -> str:
    """What stood in a cell, for the log; containers only by kind: they may be deep."""
    if isinstance(value, str):
        return one_line(value, _MAX_TEXT)
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < _LIMIT else "a huge number"
    return "an object" if isinstance(value, dict) else "a list"
