"""The answers of a backfill as one OpenMetrics file; asks nothing.

The answers fit into memory (about 40 MB for a month of a thousand skills), the samples do
not: they are written series by series.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.config import Skill
from exporter.errors import StorageError
from exporter.metrics.history import QueryHistory, history
from exporter.state.ledger import KEEP_DAYS
from exporter.tools.backfill_progress import Key
from exporter.wolkvox.columns import ChannelFigures, without_row
from exporter.wolkvox.windows import day_start

EVERY = 300  # seconds between stamps: what Prometheus looks back for
# A running Prometheus holds these in its head block; a block over it would cut that off.
HEAD = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Written:
    """How much was written."""

    path: Path
    samples: int
    size: int


def write_openmetrics(
    path: Path,
    queries: Sequence[QueryHistory],
    stamps: Callable[[date], Sequence[int]],
    target: Mapping[str, str],
) -> Written:
    """Write the file whole, or leave the one that is there; raises StorageError."""
    part = path.with_name(f"{path.name}.part")
    samples = 0
    try:
        with part.open("wb") as file:
            for piece in history(queries, stamps, target):
                file.write(piece)
                samples += sum(not line.startswith(b"#") for line in piece.splitlines())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"{path}: {error.strerror}") from error
    return Written(path, samples, size)


def stamps_of(zone: ZoneInfo, now: datetime) -> Callable[[date], Sequence[int]]:
    """When a day's figures would have been shown: every 5 minutes of the following day.

    Local midnight to local midnight, 23 or 25 hours where the clocks change. The last
    three hours before `now` are left out.
    """
    latest = int((now - HEAD).timestamp())

    @lru_cache(maxsize=64)
    def stamps(day: date) -> Sequence[int]:
        first, last = (
            int(day_start(day + timedelta(days=ahead), zone).timestamp()) for ahead in (1, 2)
        )
        return range(first, min(last, latest + 1), EVERY)

    return stamps


def histories(
    operation: str,
    skills: Sequence[Skill],
    days: Sequence[date],
    done: Mapping[Key, Sequence[ChannelFigures]],
) -> list[QueryHistory]:
    """The answers by skill; a day without rows shows nothing."""
    return [
        QueryHistory(
            (operation, skill.id, skill.name),
            completed([(day, done.get((skill.id, day), ())) for day in days]),
        )
        for skill in skills
    ]


def completed(
    days: Sequence[tuple[date, Sequence[ChannelFigures]]],
) -> list[tuple[date, Sequence[ChannelFigures]]]:
    """The days with rows, and in them a row of zero counts for each channel they lack.

    As the running exporter does it: for the channels of the days before, 8 at most.
    """
    seen: dict[str, date] = {}
    found: list[tuple[date, Sequence[ChannelFigures]]] = []
    for day, rows in days:
        if not rows:
            continue
        seen |= dict.fromkeys((row.channel for row in rows), day)
        lacking = {
            name: without_row(name)
            for name, last in seen.items()
            if day - last <= timedelta(days=KEEP_DAYS) and last != day
        }
        found.append((day, [*rows, *lacking.values()]))
    return found
