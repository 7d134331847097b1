"""What the end-to-end tests share: processes, what they serve, configurations, waiting."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from tests.needs import needs_linux

T = TypeVar("T")
PATIENCE = 30.0  # seconds: far above what is expected, for a machine that is busy
TOKEN = "7b" + "c0ffee12" * 6


def wait_for(
    condition: Callable[[], T | None],
    what: str,
    seconds: float = PATIENCE,
    evidence: Callable[[], str] = str,
    pause: float = 0.05,
) -> T:
    """The first truthy value of a condition; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, (
            f"waited {seconds:g} s in vain for {what}{evidence()}"
        )
        time.sleep(pause)


def zone_at(hour: int) -> ZoneInfo:
    """A zone without clock changes in which it is now that hour of the day."""
    offset = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return ZoneInfo(f"Etc/GMT{-offset:+d}")


def free_port() -> int:
    """A port that was free a moment ago, for those who have to know it beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Processes -------------------------------------------------------------------------------


class Nursery:
    """Starts processes from a Python that has the exporter imported; see e2e_nursery.

    Threads may share one: each order has its answer before the next is given. Coverage of its
    processes is measured where `covered`: that doubles their time.
    """

    def __init__(self, *, covered: bool = False) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e_nursery"],
            env={
                name: value
                for name, value in os.environ.items()
                if covered or not name.startswith("COVERAGE_")
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.close()
            pytest.fail("the exporter cannot be imported: see its traceback above")

    def ask(self, order: Mapping[str, object]) -> Any:
        """Give one order and read its answer."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._turn:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

    def close(self) -> None:
        """End it, and with it every process that is left."""
        self._process.communicate(timeout=PATIENCE)


@dataclass
class Life:
    """One process of the exporter, from its start to its end."""

    nursery: Nursery
    pid: int
    stdout: Path
    stderr: Path
    code: int | None = None

    def log(self) -> str:
        """What it has written to stderr so far."""
        return self.stderr.read_text(encoding="utf-8") if self.stderr.exists() else ""

    def output(self) -> str:
        """What it has written to stdout so far."""
        return self.stdout.read_text(encoding="utf-8") if self.stdout.exists() else ""

    def listening_to_signals(self) -> bool:
        """Whether the command line has begun: until then SIGTERM has its default meaning."""
        needs_linux("/proc")
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        caught = int(re.findall(r"SigCgt:\s+(\w+)", status)[0], 16)
        return bool(caught & 1 << (signal.SIGTERM - 1))

    def ended(self) -> bool:
        """Whether it has ended; `code` is its exit code then, or minus the signal."""
        if self.code is None:
            self.code = self.nursery.ask({"look": self.pid})["code"]
        return self.code is not None

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code, at the latest after so many seconds."""
        what = f"the end of process {self.pid}; its log: "
        wait_for(self.ended, what, seconds, self.log)
        assert self.code is not None
        return self.code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert not self.ended(), self.log()
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.send(number)
        return self.wait()

    @property
    def addresses(self) -> list[str]:
        """The addresses it listens on, as soon as it says so."""

        def listening() -> list[str]:
            assert not self.ended() or "started" in self.log(), self.log()
            found = re.search(r'listen=(\S+)|"listen": "([^"]+)"', self.log())
            return (found[1] or found[2]).split(",") if found else []

        return wait_for(listening, "the line that tells the address")

    def get(self, path: str, **headers: str) -> Page:
        """GET a page of its first address."""
        return fetch(self.addresses[0], path, "GET", body=None, **headers)

    def metrics(self) -> Samples:
        """Its metrics."""
        page = self.get("/metrics")
        assert page.status == 200
        return Samples(page.text)


def signalled(function: str, number: signal.Signals) -> str:
    """A prelude: this function of a module sends its process the signal, then does its work."""
    module, _, name = function.rpartition(".")
    return f"""
import os
import {module} as module
work = module.{name}
def interrupted(*given):
    os.kill(os.getpid(), {int(number)})
    return work(*given)
module.{name} = interrupted
"""


@dataclass
class Ended:
    """A command that has ended: its exit code, and what it wrote."""

    code: object
    output: str
    log: str


Run = Callable[..., Ended]


class Launch:
    """Starts processes in a directory of their own, and ends them all."""

    def __init__(self, nursery: Nursery, directory: Path) -> None:
        self.directory = directory
        self._nursery = nursery
        self._lives: list[Life] = []

    def __call__(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        prelude: str = "",
        stdout: Path | None = None,
    ) -> Life:
        """Start `wolkvox-exporter` with these arguments; `prelude` is Python run before it."""
        stem = self.directory / f"life-{len(self._lives)}"
        output, log = stdout or Path(f"{stem}.out"), Path(f"{stem}.err")
        order = {
            "argv": argv,
            "env": {**os.environ, **(env or {})},
            "cwd": str(self.directory),
            "stdout": str(output),
            "stderr": str(log),
            "prelude": prelude,
        }
        pid = self._nursery.ask({"start": order})["pid"]
        life = Life(self._nursery, pid, output, log)
        self._lives.append(life)
        return life

    def serve(self, config: Path, *argv: str, **more: Any) -> Life:
        """Start the exporter with a configuration, on a free port of loopback."""
        flags = () if "--web.listen-address" in argv else LOOPBACK
        return self("--config.file", str(config), *flags, *argv, **more)

    def close(self) -> None:
        """Kill what is still running."""
        for life in self._lives:
            life.kill()


LOOPBACK = ("--web.listen-address", "127.0.0.1:0")


# Reading what the exporter serves --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of an HTTP server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")


def fetch(
    address: str, path: str, method: str = "GET", *, body: str | None = None, **headers: str
) -> Page:
    """Ask a server once; underscores in header names stand for hyphens."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        lower = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, lower, response.read())
    finally:
        connection.close()


_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Labels = frozenset[tuple[str, str]]


class Samples:
    """The samples of a page in the text format."""

    def __init__(self, text: str) -> None:
        self._found: dict[str, dict[Labels, float]] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            assert match is not None, line
            labels = frozenset(_LABEL.findall(match[2] or ""))
            self._found.setdefault(match[1], {})[labels] = float(match[3])

    def names(self) -> set[str]:
        """The names there are."""
        return set(self._found)

    def of(self, name: str, **labels: str) -> dict[Labels, float]:
        """The samples of a name with at least these labels."""
        wanted = labels.items()
        found = self._found.get(name, {})
        return {key: value for key, value in found.items() if wanted <= dict(key).items()}

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample that matches, None where there is none."""
        found = list(self.of(name, **labels).values())
        assert len(found) <= 1, f"{name} {labels}: {len(found)} samples"
        return found[0] if found else None

    def distinct(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {dict(key)[label] for key in self.of(name)}


# Configurations --------------------------------------------------------------------------


def operation(
    url: str, *skills: str, name: str = "acme", token: str = TOKEN, **keys: str
) -> str:
    """One operation in flow style that asks for no month; `keys` are further YAML keys."""
    listed = ", ".join(f"{{id: {skill}}}" for skill in skills or ("4173",))
    fields = {"timezone": "UTC", "interval": "1s", "month": "false"} | keys
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    return f"  - {{name: {name}, url: '{url}', token: {token}, skills: [{listed}]{more}}}\n"


def write_config(directory: Path, *operations: str, name: str = "wolkvox.yml") -> Path:
    """Write a configuration of these operations; returns its path."""
    path = directory / name
    path.write_text("operations:\n" + "".join(operations), encoding="utf-8")
    return path
