"""What the tests of the tools share: sessions in virtual time, a terminal, the report."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exporter.config import Configuration, Operation
from exporter.runtime import Clock, system_clock
from exporter.state.locks import DirectoryLock
from exporter.tools.session import Session, sessions
from exporter.wolkvox.client import WolkvoxClient
from tests.e2e_support import PATIENCE, Ended, Life, Nursery, Run
from tests.polling_support import Stage, moment
from tests.virtual import configuration


@asynccontextmanager
async def opened(
    stage: Stage, loaded: Configuration, *, beside: bool = False
) -> AsyncIterator[Mapping[str, Session]]:
    """Sessions of a tool on the stage's state directory, its scripted API as the network.

    `beside`: an exporter is seen to run on the directory.
    """

    def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
        url, timeout = operation.base_url, operation.timeout
        return WolkvoxClient(url, lambda: stage.api, timeout=timeout, monotonic=clock.monotonic)

    directory = stage.directory / "state"
    lock = DirectoryLock.take(directory) if beside else None
    try:
        async with sessions(loaded, directory, stage.world.clock(), connect) as found:
            yield found
    finally:
        if lock is not None:
            lock.close()


@dataclass
class Terminal:
    """A process on a terminal of its own, and what it has written there."""

    life: Life
    master: int
    seen: bytes = b""

    def read(self) -> str:
        """Everything it writes until it ends."""
        return self.until(lambda text: False)

    def until(self, enough: Callable[[str], bool]) -> str:
        """What it has written as soon as that is enough, or it has ended."""
        deadline = time.monotonic() + PATIENCE
        while not enough(self.text):
            assert time.monotonic() < deadline, self.text
            ended = self.life.ended()
            with contextlib.suppress(BlockingIOError, OSError):
                while piece := os.read(self.master, 65536):
                    self.seen += piece
            if ended:
                break
            time.sleep(0.02)
        return self.text

    @property
    def text(self) -> str:
        return self.seen.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())


@contextmanager
def terminal(
    nursery: Nursery,
    directory: Path,
    *argv: str,
    env: Mapping[str, str] | None = None,
    columns: int = 100,
) -> Iterator[Terminal]:
    """Start `wolkvox-exporter` on a new terminal, stdin included."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.set_blocking(master, False)
        name = os.ttyname(slave)
        order = {
            "argv": argv,
            "env": {**os.environ, "TERM": "xterm-256color", **(env or {})},
            "cwd": str(directory),
            "stdout": name,
            "stderr": name,
            "prelude": f"import os; os.dup2(os.open({name!r}, os.O_RDWR | os.O_NOCTTY), 0)",
        }
        pid = nursery.ask({"start": order})["pid"]
        nowhere = directory / "it is all on the terminal"
        started = Terminal(Life(nursery, pid, nowhere, nowhere), master)
        try:
            yield started
        finally:
            if not started.life.ended():
                started.life.kill()
    finally:
        os.close(slave)
        os.close(master)


class Desk:
    """A directory with a configuration and a state, and the command line at a moment."""

    def __init__(self, directory: Path, run: Run, patch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self._run = run
        self._patch = patch

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def report(self, *argv: str, at: str = "2026-11-18 09:00", language: str = "en") -> Ended:
        """Run the command at a local time."""
        clock = replace(system_clock(), now=lambda: moment(at))
        self._patch.setattr("exporter.tools.report.system_clock", lambda: clock)
        config = str(self.directory / "config" / "wolkvox.yml")
        own = ["--config.file", config, "--storage.path", str(self.state)]
        own += ["--language", language]
        return self._run("report", *own, *argv)

    def configure(self, *operations: str) -> None:
        """Change the configuration."""
        text = "\n".join(["operations:", *operations])
        configuration(self.directory / "config", text, ("canary", "canary-2"))

    def files(self) -> dict[str, bytes]:
        """Everything in the state directory."""
        found = sorted(path for path in self.state.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in found}


def sheet(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV as a spreadsheet reads them."""
    assert text.startswith("\ufeffoperation")
    lines = text.removeprefix("\ufeff").split("\r\n")
    assert lines.pop() == ""
    return [*csv.DictReader(lines, delimiter=delimiter)]
