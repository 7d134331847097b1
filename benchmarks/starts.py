"""Seconds from the start of a process to its first full scrape."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.processes import PATIENCE, python, running
from benchmarks.servers import Served, count, exporter_command
from benchmarks.state import SERIES_PER_SKILL, Centre, configure, fill
from tests.e2e_support import free_port, wait_for

_INTERVAL = 300.0
_DEMO_SKILLS = 5
_LOOKS = 0.01  # seconds between two tries


@dataclass(frozen=True, slots=True)
class Start:
    """One way to start: seconds of each try, and memory in MiB after the first scrape."""

    what: str
    seconds: Sequence[float]
    rss: float


def starts(sizes: Sequence[int], directory: Path, tries: int) -> list[Start]:
    """The exporter with a restored state of each size, and the demo with no state at all.

    Each with its modules compiled, as pip leaves them; other files are as warm as they are.
    """
    found = []
    for series in sizes:
        skills = max(1, series // SERIES_PER_SKILL)
        centre = Centre("acme", skills, _INTERVAL, free_port())
        work = directory / f"start-{series}"
        work.mkdir(parents=True)
        restored = exporter_command(configure(work, [centre]), work / "state")
        fill(work / "state", centre, landing=False)
        full = partial(_has, skills * SERIES_PER_SKILL)
        found.append(_start(f"{series:,} series restored", restored, full, directory, tries))
    demo = python("-m", "exporter", "demo")
    return [*found, _start("demo: 5 skills asked", demo, _all_up, directory, tries)]


def _start(
    what: str, command: list[str], full: Callable[[bytes], bool], directory: Path, tries: int
) -> Start:
    """Start so many times, and once before, which compiles the modules."""
    logging.info("start: %s", what)
    tried = [_once(command, full, directory) for _ in range(tries + 1)][1:]
    return Start(what, [seconds for seconds, _ in tried], max(rss for _, rss in tried))


def _once(
    command: list[str], full: Callable[[bytes], bool], directory: Path
) -> tuple[float, float]:
    port = free_port()
    began = time.perf_counter()
    listening = [*command, "--web.listen-address", f"127.0.0.1:{port}"]
    with running(listening, directory, "start") as child:
        served = Served(port, child)
        wait_for(lambda: full(served.look()), "a full scrape", PATIENCE, pause=_LOOKS)
        return time.perf_counter() - began, child.rss()


def _has(least: int, page: bytes) -> bool:
    return count(page) >= least


def _all_up(page: bytes) -> bool:
    lines = [line for line in page.splitlines() if line.startswith(b"wolkvox_up{")]
    return sum(line.endswith(b" 1.0") for line in lines) == _DEMO_SKILLS
