"""Files of a backfill: the answers so far, and the OpenMetrics file that is made of them.

The answers fit into memory (about 40 MB for a month of a thousand skills), the samples do
not: they are written series by series.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from exporter.errors import StartError
from exporter.state.counters import QueryLedger, observe
from exporter.state.migrate import FIGURES_1
from exporter.state.models import Result, complete
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.windows import day_start

EVERY = 300  # seconds between stamps: what Prometheus looks back for
# A running Prometheus holds these in its head block; a block over it would cut that off.
HEAD = timedelta(hours=3)
Day = tuple[date, Sequence[ChannelFigures]]
_FORMAT = "wolkvox-exporter backfill 2"
_READABLE = (_FORMAT, "wolkvox-exporter backfill 1")


@dataclass(slots=True)
class Progress:
    """The answers so far by skill id and day; a day without rows has no channels.

    One line of JSON for each, flushed before the next request: whatever ends the process, a
    second run goes on behind the last answer. `last_at` is when that one was requested, in
    epoch seconds. The file holds no token and no names of skills.
    """

    path: Path
    file: BinaryIO
    done: dict[tuple[str, date], tuple[ChannelFigures, ...]] = field(default_factory=dict)
    last_at: float = 0.0

    def add(
        self, skill_id: str, day: date, at: float, channels: Sequence[ChannelFigures]
    ) -> None:
        """Keep an answer; raises StartError where it cannot be written."""
        rows = [
            {one.state: getattr(row, one.attribute) for one in COLUMNS}
            | {"channel": row.channel}
            for row in channels
        ]
        self._append({"skill": skill_id, "day": day.isoformat(), "at": at, "rows": rows})
        self.done[skill_id, day] = tuple(channels)
        self.last_at = at

    def load(self, owner: str) -> None:
        """Read what is there, without a torn last line; begin an empty file.

        Raises StartError where it is another operation's, or no progress.
        """
        content = self.file.read()
        whole = content.rfind(b"\n") + 1
        self.file.truncate(whole)
        if not whole:
            self._append({"format": _FORMAT, "operation": owner})
            return
        problem = "progress_unreadable"
        try:
            header, *answers = map(json.loads, content[:whole].splitlines())
            if header["format"] in _READABLE:
                problem = "" if header["operation"] == owner else "progress_other"
            for one in answers if not problem else ():
                rows = tuple(map(_figures, one["rows"]))
                self.done[one["skill"], date.fromisoformat(one["day"])] = rows
                self.last_at = float(one["at"])
        except (ValueError, LookupError, TypeError, AttributeError):
            problem = "progress_unreadable"
        if problem:
            raise StartError(problem, path=self.path)

    def _append(self, line: object) -> None:
        try:
            self.file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            os.fsync(self.file.fileno())
        except OSError as error:
            raise StartError("file", path=self.path, why=error.strerror) from error


def _figures(row: Any) -> ChannelFigures:
    named = dict(zip(FIGURES_1, row, strict=True)) if isinstance(row, list) else row
    values = {one.attribute: named.get(one.state) for one in COLUMNS}
    return ChannelFigures(named["channel"], **values)


@contextmanager
def open_progress(output: Path, owner: str) -> Iterator[Progress]:
    """Open or begin the progress of an output; `owner` names the operation.

    Raises StartError where it cannot be written, belongs to another operation, or is in
    use by another backfill.
    """
    path = output.with_name(f"{output.name}.progress")
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise StartError("file", path=path, why=error.strerror) from error
    with file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError("progress_taken", path=path) from None
        file.seek(0)
        progress = Progress(path, file)
        progress.load(owner)
        yield progress


def write_openmetrics(path: Path, pieces: Iterable[bytes]) -> tuple[int, int]:
    """Write the file whole, or leave the one that is there; returns its samples and bytes.

    Raises StartError.
    """
    part = path.with_name(f"{path.name}.part")
    samples = 0
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                samples += sum(not line.startswith(b"#") for line in piece.splitlines())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StartError("file", path=path, why=error.strerror) from error
    return samples, size


def stamps(zone: ZoneInfo, now: datetime, day: date) -> Sequence[int]:
    """When a day's figures would have been shown: every 5 minutes of the following day.

    Local midnight to local midnight, 23 or 25 hours where the clocks change. The last
    three hours before `now` are left out.
    """
    first, last = (day_start(day + timedelta(days=ahead), zone) for ahead in (1, 2))
    latest = int((now - HEAD).timestamp())
    return range(int(first.timestamp()), min(int(last.timestamp()), latest + 1), EVERY)


def completed(days: Iterable[Day]) -> Iterator[Day]:
    """The days with rows, and in them a row of zero counts for each channel they lack.

    As the running exporter does it: for the channels of the days before, 8 at most.
    """
    ledger: QueryLedger | None = None
    for day, rows in days:
        if rows:
            ledger = observe(ledger, day, rows)
            yield day, complete(Result(day, tuple(rows), 0.0), ledger)
