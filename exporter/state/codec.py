"""What is remembered of a query <-> JSON text, by its types; does no I/O.

The names in the file are those of the fields and, for the figures of a row, the `state` names
of their columns: none may ever change. An unknown name is ignored and a missing one means the
default, so that the file may be older or newer than the code that reads it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from exporter.state.counters import LARGEST_COUNT, QueryLedger
from exporter.state.models import QueryMemory
from exporter.wolkvox.columns import COLUMNS
from exporter.wolkvox.report import MAX_CHANNEL_LENGTH
from exporter.wolkvox.text import printable

_STATE_NAMES: Final = {one.attribute: one.state for one in COLUMNS}
_CONFIG = ConfigDict(
    strict=True,
    allow_inf_nan=False,
    alias_generator=lambda name: _STATE_NAMES.get(name, name),
)
_MEMORY = TypeAdapter(with_config(_CONFIG)(QueryMemory))
_figures = attrgetter(*(one.attribute for one in COLUMNS))
_known_together = attrgetter("offered", "within_10", "within_20", "within_30", "answered")


def write_memory(memory: QueryMemory) -> str:
    """Return the text that the state file keeps of a query."""
    return _MEMORY.dump_json(memory, by_alias=True).decode()


def read_memory(text: str) -> QueryMemory:
    """Read what `write_memory` wrote; raises ValueError for what it cannot have written."""
    try:
        memory = _MEMORY.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}") from None
    _check_rows(memory)
    if memory.ledger is not None:
        _check_ledger(memory.ledger)
    return memory


def _check_rows(memory: QueryMemory) -> None:
    for result in filter(None, (memory.today, memory.yesterday)):
        for row in result.rows:
            _check_channel(row.channel)
            if not all(
                figure is None or 0 <= figure <= LARGEST_COUNT for figure in _figures(row)
            ):
                raise ValueError(f"rows.{row.channel}: a figure is out of range")
        if len({row.channel for row in result.rows}) < len(result.rows):
            raise ValueError("rows: a channel stands twice")


def _check_ledger(ledger: QueryLedger) -> None:
    for name, channel in ledger.channels.items():
        _check_channel(name)
        if channel.day > ledger.day:
            raise ValueError(f"ledger.{name}: a row after the day of the ledger")
        for totals in filter(None, (channel.base, channel.candidate)):
            known = [figure for figure in _known_together(totals) if figure is not None]
            if len(known) not in (0, 5):
                raise ValueError(f"ledger.{name}: the counts are known only in part")
            if known[1:] != sorted(known[1:]):
                raise ValueError(f"ledger.{name}: the buckets are not cumulative")


def _check_channel(name: str) -> None:
    if not 0 < len(name) <= MAX_CHANNEL_LENGTH or printable(name) != name:
        raise ValueError(f"{name[:40]!r} is no name of a channel")
