"""The strings of skill_11's rows become figures; pure and total: no input raises.

Every cell of a real answer is a string: `"35"`, `"65.67 %"`, `"15,233.33 %"` (a comma
before exactly three digits, never a decimal comma), `""` and `" "`. asa and ata are
documented as seconds; other times of the same API are `H:MM:SS`, so both are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

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


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One channel of one answer; None = not in the answer or not readable.

    Ratios are 0-1 (more where the API says more than 100 %), times are seconds.
    """

    channel: str
    inbound: int | None = None
    answered: int | None = None
    abandoned: int | None = None
    service_level_10: float | None = None
    service_level_20: float | None = None
    service_level_30: float | None = None
    abandonment: float | None = None
    asa: float | None = None
    ata: float | None = None


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


@dataclass(frozen=True, slots=True)
class _Cells:
    """The figures of one row, before rows of one channel are merged."""

    counts: dict[str, int | Unreadable | None]
    ratios: dict[str, float | Unreadable | None]
    times: dict[str, float | Unreadable | None]

    @property
    def empty(self) -> bool:
        figures = (*self.counts.values(), *self.ratios.values(), *self.times.values())
        return all(figure is None or figure is UNREADABLE for figure in figures)


_COUNTS = ("inbound_calls", "answer_calls", "abandon_calls")
_RATIOS = ("service_level_10seg", "service_level_20seg", "service_level_30seg", "abandon")
_TIMES = ("asa", "ata")
# Where something unreadable may stand: the columns of skill_11, or a whole row.
FIELDS = ("row", "type_interaction", *_COUNTS, *_RATIOS, *_TIMES)

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
        if name or not cells.empty:
            if channel not in channels and len(channels) >= MAX_CHANNELS:
                dropped += 1
                continue
            channels.setdefault(channel, []).append(cells)
        errors.extend(faults)
    merged = tuple(_figures(channel, cells) for channel, cells in channels.items())
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
    """All figures of a row; each unreadable one is added to `errors`."""
    cells = _Cells(
        counts={column: read_count(row.get(column)) for column in _COUNTS},
        ratios={column: read_ratio(row.get(column)) for column in _RATIOS},
        times={column: read_seconds(row.get(column)) for column in _TIMES},
    )
    for figures in (cells.counts, cells.ratios, cells.times):
        for column, figure in figures.items():
            if figure is UNREADABLE:
                errors.append(FieldError(column, channel, _shown(row.get(column))))
    return cells


def _figures(channel: str, rows: Sequence[_Cells]) -> ChannelFigures:
    return ChannelFigures(
        channel=channel,
        inbound=_sum(rows, "inbound_calls"),
        answered=_sum(rows, "answer_calls"),
        abandoned=_sum(rows, "abandon_calls"),
        service_level_10=_ratio(rows, "service_level_10seg"),
        service_level_20=_ratio(rows, "service_level_20seg"),
        service_level_30=_ratio(rows, "service_level_30seg"),
        abandonment=_ratio(rows, "abandon"),
        asa=_average([(row.times["asa"], row.counts["answer_calls"]) for row in rows]),
        ata=_average([(row.times["ata"], row.counts["abandon_calls"]) for row in rows]),
    )


def _sum(rows: Sequence[_Cells], column: str) -> int | None:
    """The rows' counts added up; None where one is unreadable: a part is not the sum."""
    if len(rows) == 1:
        alone = rows[0].counts[column]
        return alone if isinstance(alone, int) else None
    figures = [row.counts[column] for row in rows]
    known = [figure for figure in figures if isinstance(figure, int)]
    return None if UNREADABLE in figures or not known else sum(known)


def _ratio(rows: Sequence[_Cells], column: str) -> float | None:
    return _average([(row.ratios[column], row.counts["inbound_calls"]) for row in rows])


def _average(pairs: Sequence[tuple[Figure, Figure]]) -> float | None:
    """The values weighted; a single row keeps its value whatever its weight."""
    if len(pairs) == 1:
        value = pairs[0][0]
        return value if isinstance(value, float) else None
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
