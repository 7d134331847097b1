"""Real minutes: the process against an API on real sockets, scraped, reloaded, looked at."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.processes import (
    LOOPBACK,
    Child,
    descriptors,
    free_port,
    python,
    running,
    wait_for,
)
from proof.part import Say
from proof.soak_judge import Line, fit, rise, second_half
from proof.soak_load import OPERATIONS, Centre, Scraper, threads
from proof.soak_process import NAMED
from tests.e2e_support import write_config

PER_HOUR = 2.0  # MiB, the bound for the resident memory
SHORT_GROWTH = 1.0  # MiB over the second half of a run that is too short for a slope
_INTERVAL = 1.0  # second: of every query
LONG, JUDGED = 1800.0, 60.0  # seconds: from here on the slope alone; from here on levels
COMMAND = tuple(python("-m", "proof.soak_process"))


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment; `at` in seconds, `rss` in MiB."""

    at: float
    rss: float
    files: int
    sockets: int
    threads: int
    tasks: int
    blocks: int


@dataclass
class Minutes:
    """What came of it: `seconds` were planned, `alive` from the start to the end of it all."""

    seconds: float
    alive: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    most_at_once: int = 0
    most_a_query: int = 0
    pages: int = 0
    packed: int = 0
    fallen: int = 0
    reloads: int = 0
    problems: list[str] = field(default_factory=list)

    def warm(self) -> list[Sample]:
        """The samples after the first third."""
        return self.samples[len(self.samples) // 3 :]

    def slope(self, name: str) -> Line:
        """How a figure rises by the hour, after the first third."""
        warm = self.warm()
        return fit([one.at / 3600 for one in warm], [getattr(one, name) for one in warm])

    def values(self, name: str) -> list[float]:
        """A figure at all moments."""
        return [getattr(one, name) for one in self.samples]


def run(seconds: float, directory: Path, say: Say, command: Sequence[str] = COMMAND) -> Minutes:
    """Let the exporter (or a stand-in that starts it otherwise) run for so long."""
    found, centre = Minutes(seconds), Centre()
    port, look = free_port(), directory / "look.json"
    with closing(centre), centre.api.run():
        config = write_config(directory, *centre.yaml(changed=False))
        flags = (
            "--config.file", str(config), "--storage.path", str(directory / "data"),
            "--web.listen-address", f"{LOOPBACK}:{port}", "--log.level", "error",
        )  # fmt: skip
        began = time.monotonic()
        with running([*command, *flags], directory, "exporter", {NAMED: str(look)}) as child:
            scraper = Scraper(f"{LOOPBACK}:{port}")
            wait_for(lambda: _started(scraper, child), "the exporter's first page")
            _watch(found, centre, scraper, child, look, say)
            if child.process.poll() is not None:
                found.problems.append("the exporter ended by itself")
        found.alive = time.monotonic() - began
    found.requests, found.failures = centre.requests, centre.failures
    found.most_at_once, found.most_a_query = centre.most_at_once, centre.most_a_query()
    found.pages, found.packed, found.fallen = scraper.pages, scraper.packed, scraper.fallen
    found.problems += scraper.problems[:10]
    if scraper.refused:
        found.problems.append(f"{scraper.refused} scrapes were refused")
    return found


def judge(found: Minutes) -> list[str]:
    """What did not hold."""
    broken = list(found.problems)
    if found.most_at_once > 1:
        broken.append(f"{found.most_at_once} requests at once with one token")
    if found.most_a_query > found.alive / _INTERVAL + 2:
        broken.append(f"{found.most_a_query} requests of a query in {found.alive:.1f} s")
    if found.seconds < JUDGED:
        return broken
    for name, leeway in (("files", 2), ("sockets", 2), ("threads", 1), ("tasks", 2)):
        if (grown := rise(found.values(name))) > leeway:
            broken.append(f"{name}: {grown:g} more in the last third than in the one before")
    line, grown = found.slope("rss"), second_half(found.values("rss"))
    if found.seconds >= LONG and line.surely > PER_HOUR:
        broken.append(f"memory rises by {line.slope:.2f} ± {line.error:.2f} MiB an hour")
    elif found.seconds < LONG and grown > SHORT_GROWTH and line.surely > PER_HOUR:
        broken.append(
            f"memory: {grown:.2f} MiB more at the end of the second half, "
            f"{line.slope:.2f} ± {line.error:.2f} MiB an hour"
        )
    return broken


def rows(found: Minutes) -> list[tuple[str, str]]:
    """What to tell people."""
    rss, blocks, last = found.slope("rss"), found.slope("blocks"), found.samples[-1]
    return [
        ("real time", f"{found.seconds:.0f} s: {OPERATIONS} operations x 2 skills, 1 s"),
        ("requests; failures among them", f"{found.requests:,}; {found.failures:,}"),
        ("most requests at once with one token", f"{found.most_at_once}"),
        (
            "scrapes; compressed ones; reloads",
            f"{found.pages:,}; {found.packed:,}; {found.reloads}",
        ),
        ("counters that fell", f"{found.fallen}"),
        ("resident memory at the end", f"{last.rss:.1f} MiB"),
        (
            "its slope after a third of the time",
            f"{rss.slope:+.2f} ± {rss.error:.2f} (standard error) MiB an hour",
        ),
        ("its growth over the second half", f"{second_half(found.values('rss')):+.2f} MiB"),
        (
            "slope of the allocated blocks",
            f"{blocks.slope:+,.0f} ± {blocks.error:,.0f} an hour, of {last.blocks:,}",
        ),
        ("open files, after a third", _level(found, "files")),
        ("sockets among them", _level(found, "sockets")),
        ("threads", _level(found, "threads")),
        ("tasks of the event loop", _level(found, "tasks")),
    ]


def _level(found: Minutes, name: str) -> str:
    values = [getattr(one, name) for one in found.warm()]
    return f"{min(values)} to {max(values)}, median {median(values):g}"


def _started(scraper: Scraper, child: Child) -> bool | None:
    child.check()
    try:
        return True if scraper.get("/-/healthy")[0] == 200 else None
    except OSError:
        return None


def _watch(
    found: Minutes, centre: Centre, scraper: Scraper, child: Child, look: Path, say: Say
) -> None:
    """Scrape every second; look at the process, reload, and read the status page by turns."""
    began, tick = time.monotonic(), min(1.0, found.seconds / 12)
    looks, reloads = (2, 20) if found.seconds >= JUDGED else (1, 4)
    turn = 0
    while (passed := time.monotonic() - began) < found.seconds:
        turn += 1
        scraper.scrape()
        if turn % 10 == 5:
            scraper.get("/")
        if turn % reloads == 0:
            found.reloads += 1
            write_config(look.parent, *centre.yaml(changed=found.reloads % 2 == 1))
            child.process.send_signal(signal.SIGHUP)
        if turn % looks == 0:
            found.samples.append(_sample(passed, child, look))
        if turn % 120 == 0:
            say(f"soak: {passed:.0f} s, {centre.requests:,} requests, {child.rss():.1f} MiB")
        time.sleep(max(0.0, began + turn * tick - time.monotonic()))


def _sample(at: float, child: Child, look: Path) -> Sample:
    look.unlink(missing_ok=True)
    child.process.send_signal(signal.SIGUSR1)
    inside = wait_for(lambda: look.read_text() if look.exists() else None, "what it tells")
    pid = child.process.pid
    files, sockets = descriptors(pid)
    return Sample(at, child.rss(), files, sockets, threads(pid), **json.loads(inside))
