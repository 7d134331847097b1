"""What a backfill has asked already, in a file beside its output; asks nothing.

One line of JSON for each answered call, flushed before the next one: whatever ends the
process, a second run goes on behind the last answer. Holds no token and no names.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO

from exporter.errors import StartError, StorageError
from exporter.wolkvox.columns import ChannelFigures

FORMAT = "wolkvox-exporter backfill 1"
Key = tuple[str, date]
"""Skill id and day."""


def progress_path(output: Path) -> Path:
    """The file beside the output."""
    return output.with_name(f"{output.name}.progress")


@dataclass(slots=True)
class Progress:
    """The answers so far; a day without rows has no channels.

    `last_at` is when the last of them was asked for, in epoch seconds.
    """

    path: Path
    file: BinaryIO
    done: dict[Key, tuple[ChannelFigures, ...]] = field(default_factory=dict)
    last_at: float = 0.0

    def add(
        self, skill_id: str, day: date, at: float, channels: Sequence[ChannelFigures]
    ) -> None:
        """Keep an answer; raises StorageError where it cannot be written."""
        rows = [astuple(row) for row in channels]
        self._append({"skill": skill_id, "day": day.isoformat(), "at": at, "rows": rows})
        self.done[skill_id, day] = tuple(channels)
        self.last_at = at

    def begin(self, owner: str) -> None:
        """Write the first line of a new file; raises StorageError."""
        self._append({"format": FORMAT, "operation": owner})

    def _append(self, line: object) -> None:
        try:
            self.file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            os.fsync(self.file.fileno())
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error


@contextmanager
def open_progress(output: Path, owner: str) -> Iterator[Progress]:
    """Open or begin the progress of an output; `owner` names the operation.

    Raises StartError where it cannot be written, belongs to another operation, or is in
    use by another backfill.
    """
    path = progress_path(output)
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from error
    with file:
        _lock(file, path)
        progress = Progress(path, file)
        if not _read(progress, owner):
            progress.begin(owner)
        yield progress


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"another backfill is writing {path}") from None


def _read(progress: Progress, owner: str) -> bool:
    """Take up what is there; False where there is nothing. Cuts off a torn last line."""
    progress.file.seek(0)
    content = progress.file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        progress.file.truncate(whole)
    first, *lines = content[:whole].splitlines() or [b""]
    if not first:
        return False
    try:
        header = json.loads(first)
        if header["format"] != FORMAT or header["operation"] != owner:
            raise StartError(
                f"{progress.path} belongs to another operation: choose another --output"
            )
        for line in lines:
            one = json.loads(line)
            rows = tuple(ChannelFigures(*row) for row in one["rows"])
            progress.done[one["skill"], date.fromisoformat(one["day"])] = rows
            progress.last_at = float(one["at"])
    except (ValueError, KeyError, TypeError):
        raise StartError(
            f"{progress.path} cannot be read: move it away to begin again"
        ) from None
    return True
