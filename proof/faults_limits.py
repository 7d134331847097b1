"""Limits of the kernel on a process that runs: lowered, and given back."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proof.faults_damage import FILE


@dataclass(slots=True)
class Limit:
    """One soft limit of a process; `least` says what it is lowered to."""

    pid: int
    kind: int
    least: Callable[[], int]
    before: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.before = resource.prlimit(self.pid, self.kind)

    def take(self) -> None:
        """Lower it."""
        resource.prlimit(self.pid, self.kind, (self.least(), self.before[1]))

    def give(self) -> None:
        """Put it back."""
        resource.prlimit(self.pid, self.kind, self.before)


def no_disk(pid: int, data: Path) -> Limit:
    """No file may grow beyond the log of the state as it is, which comes near a full disk."""
    return Limit(pid, resource.RLIMIT_FSIZE, lambda: _size(data / f"{FILE}-wal"))


def no_files(pid: int) -> Limit:
    """No file may be opened."""
    return Limit(pid, resource.RLIMIT_NOFILE, lambda: 3)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
