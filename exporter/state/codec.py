"""What is remembered of a query <-> JSON data; does no I/O.

Each figure stands under a name of its own. An unknown name is ignored and a missing one
means the default, so that the file may be older or newer than the code that reads it. What
could not have been written raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

from exporter.state.counters import ChannelLedger, Counters, DayTotals, QueryLedger
from exporter.state.models import QueryMemory, Result
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Kind
from exporter.wolkvox.report import MAX_CHANNEL_LENGTH
from exporter.wolkvox.text import printable

# Beyond them a day before, or a time zone, would leave the calendar.
FIRST_YEAR, LAST_YEAR = 2000, 2999
LAST_MOMENT = 1e11  # the year 5138: far from where dates and time zones end
LARGEST_COUNT = 2**53  # above it a float, which is what Prometheus keeps, skips integers


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Codec:
    """How values of one kind are read from JSON data and written as such."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = _as_it_is


def _refused(value: object, kind: str) -> ValueError:
    return ValueError(f"{str(value)[:40]!r} is no {kind}")


def _in(name: str, kind: Codec, value: Any) -> Any:
    """Read what stands under a name, which an error then begins with."""
    try:
        return kind.read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _optional(kind: Codec) -> Codec:
    return Codec(lambda value: None if value is None else kind.read(value), kind.write)


def _object(make: Callable[..., Any], fields: Mapping[str, Codec], **renamed: str) -> Codec:
    """Objects with these fields; `make` builds one, and raises ValueError for what is wrong.

    The names in the file never change: where the code calls a field otherwise, `renamed`
    says how.
    """
    parts = [(name, renamed.get(name, name), kind) for name, kind in fields.items()]

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _refused(data, "object")
        known = [part for part in parts if part[0] in data]
        values = {attribute: _in(name, kind, data[name]) for name, attribute, kind in known}
        try:
            return make(**values)
        except TypeError:
            raise ValueError("a field is missing") from None

    def write(value: Any) -> dict[str, Any]:
        data = {}
        for name, attribute, kind in parts:
            part = getattr(value, attribute)
            data[name] = None if part is None else kind.write(part)
        return data

    return Codec(read, write)


# Single values ---------------------------------------------------------------------------


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise _refused(value, "count")
    return value


def _number(value: Any) -> float:
    if type(value) is float and 0 <= value < math.inf:
        return value
    return _count(value)


def _moment(value: Any) -> float:
    if _number(value) > LAST_MOMENT:
        raise _refused(value, "moment")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused(value, "flag")
    return value


def _day(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except (ValueError, TypeError):
        raise _refused(value, "date") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise _refused(value, "day of this millennium")
    return day


def _channel(value: Any) -> str:
    good = isinstance(value, str) and 0 < len(value) <= MAX_CHANNEL_LENGTH
    if not good or printable(value) != value:
        raise _refused(value, "name of a channel")
    return str(value)


_COUNT, _NUMBER, _FLAG, _DAY = (
    Codec(_count),
    Codec(_number),
    Codec(_flag),
    Codec(_day, date.isoformat),
)
_SOME_COUNT, _SOME_NUMBER, _SOME_DAY = map(_optional, (_COUNT, _NUMBER, _DAY))

# Counters --------------------------------------------------------------------------------

_TOGETHER = ("offered", "within_10", "within_20", "within_30", "answered")
_COUNTS, _WAITS = (*_TOGETHER, "abandoned"), ("answer_wait_sum", "abandon_wait_sum")


def _make_totals(**figures: Any) -> DayTotals:
    known = [figures[name] for name in _TOGETHER if figures.get(name) is not None]
    if len(known) not in (0, len(_TOGETHER)):
        raise ValueError("offered and its buckets are known only in part")
    if known[1:] != sorted(known[1:]):
        raise ValueError("the buckets are not cumulative")
    return DayTotals(**figures)


def _make_ledger(day: date, channels: dict[str, ChannelLedger]) -> QueryLedger:
    if any(channel.day > day for channel in channels.values()):
        raise ValueError("a channel had a row after the day of the ledger")
    return QueryLedger(day, MappingProxyType(channels))


def _read_channels(data: Any) -> dict[str, ChannelLedger]:
    if not isinstance(data, dict):
        raise _refused(data, "object")
    return {_channel(name): _in(name, _CHANNEL, value) for name, value in data.items()}


def _write_channels(channels: Mapping[str, ChannelLedger]) -> dict[str, Any]:
    return {name: _CHANNEL.write(channel) for name, channel in channels.items()}


_TOTALS = _object(
    _make_totals, dict.fromkeys(_COUNTS, _SOME_COUNT) | dict.fromkeys(_WAITS, _SOME_NUMBER)
)
_COUNTERS = _object(Counters, dict.fromkeys(_COUNTS, _COUNT) | dict.fromkeys(_WAITS, _NUMBER))
_CHANNEL = _object(
    ChannelLedger,
    {
        "day": _DAY,
        "base": _TOTALS,
        "counters": _COUNTERS,
        "fresh": _FLAG,
        "candidate": _optional(_TOTALS),
        "held": _COUNT,
        "unmoved": _COUNT,
    },
)
_LEDGER = _object(
    _make_ledger, {"day": _DAY, "channels": Codec(_read_channels, _write_channels)}
)

# Results and the whole -------------------------------------------------------------------


def _read_rows(data: Any) -> tuple[ChannelFigures, ...]:
    if not isinstance(data, list):
        raise _refused(data, "list")
    rows = tuple(map(_ROW.read, data))
    if len({row.channel for row in rows}) < len(rows):
        raise ValueError("a channel stands twice")
    return rows


def _write_rows(rows: tuple[ChannelFigures, ...]) -> list[Any]:
    return list(map(_ROW.write, rows))


_ROW = _object(
    ChannelFigures,
    {
        "channel": Codec(_channel),
        **{
            one.state: _SOME_COUNT if one.kind is Kind.COUNT else _SOME_NUMBER
            for one in COLUMNS
        },
    },
    **{one.state: one.attribute for one in COLUMNS},
)
_RESULT = _object(
    Result,
    {"day": _DAY, "at": Codec(_moment), "rows": Codec(_read_rows, _write_rows)},
    at="completed_at",
    rows="channels",
)
_MEMORY = _object(
    QueryMemory,
    {
        "last_success_at": _optional(Codec(_moment)),
        "failures": _COUNT,
        "today": _optional(_RESULT),
        "yesterday": _optional(_RESULT),
        "doubted": _FLAG,
        "closed": _SOME_DAY,
        "ledger": _optional(_LEDGER),
    },
)


def memory_to_json(memory: QueryMemory) -> dict[str, Any]:
    """A memory as JSON data, the form in which the state file keeps it."""
    data: dict[str, Any] = _MEMORY.write(memory)
    return data


def memory_from_json(data: Any) -> QueryMemory:
    """The reverse of `memory_to_json`; raises ValueError."""
    memory: QueryMemory = _MEMORY.read(data)
    return memory
