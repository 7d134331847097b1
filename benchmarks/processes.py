"""Processes to be measured: started, looked at through /proc, ended by their own pid."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120.0  # seconds for anything to start: far above what is expected
LOOPBACK = "127.0.0.1"
_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024.0  # /proc tells KiB


class BenchError(Exception):
    """Something did not start, or answered what cannot be measured."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs, and the file with what it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """The process and its children (nginx serves from one)."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu(self) -> float:
        """Seconds of processor time so far, of threads that have ended too."""
        return sum(_cpu(pid) for pid in self.pids())

    def rss(self) -> float:
        """Resident memory in MiB."""
        return sum(resident(pid) for pid in self.pids())

    def check(self) -> None:
        """Raise BenchError with the last lines of its log if it has ended."""
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-5:]
            raise BenchError(f"{self.process.args!r} has ended: {' / '.join(lines)}")


def _cpu(pid: int) -> float:
    # Behind the name, which may hold spaces, user and system time are fields 12 and 13.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int, figure: str = "VmRSS") -> float:
    """Resident memory in MiB, now or (`VmHWM`) at most; 0 of one that has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = (int(line.split()[1]) / _MIB for line in lines if line.startswith(figure))
    return next(found, 0.0)


def descriptors(pid: int) -> tuple[int, int]:
    """How many files a process has open, and how many of them are sockets."""
    names = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(str(path.readlink()))
        except OSError:  # closed meanwhile
            continue
    return len(names), sum(name.startswith("socket:") for name in names)


@contextmanager
def running(argv: Sequence[str], directory: Path, name: str) -> Iterator[Child]:
    """Run a command until the block ends; its output goes to `<name>.log`."""
    log, env = directory / f"{name}.log", environment(directory)
    with (
        log.open("wb") as output,
        subprocess.Popen(argv, stdout=output, stderr=output, cwd=directory, env=env) as process,
    ):
        try:
            yield Child(process, log)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def python(*arguments: str) -> list[str]:
    """The command of a Python program of this environment."""
    return [sys.executable, *arguments]


def environment(directory: Path) -> dict[str, str]:
    """What the children see: no settings of the user, and a cache of compiled modules.

    An installed exporter has its modules compiled by pip; a start that had to compile them
    would not be what users see.
    """
    ours = ("WOLKVOX", "PYTHON", "STATE_DIRECTORY")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    root = str(Path(__file__).parent.parent)
    return kept | {"PYTHONPYCACHEPREFIX": str(directory / "compiled"), "PYTHONPATH": root}
