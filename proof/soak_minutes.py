"""Real minutes: the process against an API on real sockets, scraped, reloaded, looked at."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.processes import LOOPBACK, PATIENCE, Child, descriptors, python, running
from proof.part import Say
from proof.soak_line import fit, surely
from tests.e2e_api import Api, Asked, Reply, found, refused, row
from tests.e2e_support import (
    TOKEN,
    Samples,
    fetch,
    free_port,
    operation,
    wait_for,
    write_config,
)
from tests.kill_support import Highest

OPERATIONS = 20
REFUSED, LATE = "op18", "op19"
# What these operations get two times of three; those two, connections and answers too late.
FAILING = {
    "op15": refused("PLEASE TRY AGAIN LATER", 500),
    "op16": Reply(raw=b""),
    "op17": Reply(b"<html>maintenance</html>"),
}
PER_HOUR = 2.0  # MiB, the bound for the resident memory
SHORT_GROWTH = 1.0  # MiB over the second half of a run that is too short for a slope
LONG, JUDGED = 1800.0, 60.0  # seconds: from here on the slope alone; from here on levels
_INTERVAL = 1.0  # second: of every query
_FIGURES = ("rss", "files", "sockets", "threads")


class Centre:
    """The script: totals that grow, failures by turns, and how many asked at once."""

    def __init__(self) -> None:
        self.requests = self.most_at_once = 0
        self.asked: Counter[tuple[str, str]] = Counter()
        self.api = Api(self)
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._at_once: Counter[str] = Counter()
        # Bound, and never listening: connections are refused.
        self._closed = socket.socket()
        self._closed.bind((LOOPBACK, 0))

    def __call__(self, asked: Asked) -> Reply:
        """Answer, and keep nothing of it."""
        name, query = asked.operation, (asked.operation, asked.skill)
        with self._lock:
            self.requests += 1
            self.asked[query] += 1
            self._at_once[name] += 1
            if name != LATE:  # a server that is late does not see that nobody waits any more
                self.most_at_once = max(self.most_at_once, self._at_once[name])
            self.api.asked.clear()
        try:
            if self.asked[query] % 3:
                if name in FAILING:
                    return FAILING[name]
                if name == LATE:
                    self.api.closing.wait(1.5)
            total = 1000 + int((time.monotonic() - self._begun) * 3)
            return found(row("inbound", total), row("chat-web", total // 2))
        finally:
            with self._lock:
                self._at_once[name] -= 1

    def close(self) -> None:
        """Give the port that refuses connections free."""
        self._closed.close()

    def yaml(self, *, changed: bool) -> list[str]:
        """The operations; a changed configuration has other labels and one more."""
        entries = []
        for number in range(OPERATIONS + changed):
            name, keys = f"op{number}", {"stale_after": "1m"}
            url = self.api.url(name)
            if name == REFUSED:
                url = f"http://{LOOPBACK}:{self._closed.getsockname()[1]}/{name}/api/v2/"
            if name == LATE:
                keys["timeout"] = "1s"
            if changed and number % 5 == 0:
                keys["labels"] = "{changed: 'yes'}"
            token = f"{TOKEN}{number:02}"
            entries.append(operation(url, "4173", "4190", name=name, token=token, **keys))
        return entries


@dataclass
class Minutes:
    """What came of it: `seconds` were planned; figures of the process, each with its moment."""

    seconds: float
    alive: float = 0.0
    moments: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(
        default_factory=lambda: {one: [] for one in _FIGURES}
    )
    requests: int = 0
    most_at_once: int = 0
    most_a_query: int = 0
    pages: int = 0
    reloads: int = 0
    problems: list[str] = field(default_factory=list)

    def slope(self) -> tuple[float, float]:
        """How the memory rises by the hour, after the first third."""
        third = len(self.moments) // 3
        return fit([at / 3600 for at in self.moments[third:]], self.values["rss"][third:])


def run(seconds: float, directory: Path, say: Say, prelude: Sequence[str] = ()) -> Minutes:
    """Let the exporter run for so long; `prelude` is a command that starts it otherwise."""
    seen, centre, highest, port = Minutes(seconds), Centre(), Highest(), free_port()
    with closing(centre), centre.api.run():
        config = write_config(directory, *centre.yaml(changed=False))
        flags = (
            "--config.file", str(config), "--storage.path", str(directory / "data"),
            "--web.listen-address", f"{LOOPBACK}:{port}", "--log.level", "error",
        )  # fmt: skip
        began = time.monotonic()
        command = [*(prelude or python("-m", "exporter")), *flags]
        with running(command, directory, "exporter") as child:
            wait_for(lambda: _started(port, child), "the exporter's first page", PATIENCE)
            _watch(seen, centre, highest, f"{LOOPBACK}:{port}", child, say)
            if child.process.poll() is not None:
                seen.problems.append("the exporter ended by itself")
        seen.alive = time.monotonic() - began
    seen.requests, seen.most_at_once = centre.requests, centre.most_at_once
    seen.most_a_query = max(centre.asked.values())
    seen.problems += highest.problems[:10]
    return seen


def _started(port: int, child: Child) -> bool:
    child.check()
    try:
        return fetch(f"{LOOPBACK}:{port}", "/-/healthy").status == 200
    except OSError:
        return False


def _watch(
    seen: Minutes, centre: Centre, highest: Highest, address: str, child: Child, say: Say
) -> None:
    """Scrape every second; look at the process, reload, and read the status page by turns."""
    began, tick = time.monotonic(), min(1.0, seen.seconds / 12)
    reloads = 20 if seen.seconds >= JUDGED else 4
    while (passed := time.monotonic() - began) < seen.seconds:
        seen.pages += 1
        packed = fetch(address, "/metrics", Accept_Encoding="gzip")
        page = (
            gzip.decompress(packed.body) if seen.pages % 2 else fetch(address, "/metrics").body
        )
        highest.take(Samples(page.decode()))
        if seen.pages % 10 == 5 and fetch(address, "/").status != 200:
            seen.problems.append("the status page was refused")
        if seen.pages % reloads == 0:
            seen.reloads += 1
            write_config(child.log.parent, *centre.yaml(changed=seen.reloads % 2 == 1))
            child.process.send_signal(signal.SIGHUP)
        pid, figures = child.process.pid, seen.values
        files, sockets = descriptors(pid)
        seen.moments.append(passed)
        figures["rss"].append(child.rss())
        figures["files"].append(files)
        figures["sockets"].append(sockets)
        figures["threads"].append(len(list(Path(f"/proc/{pid}/task").iterdir())))
        if seen.pages % 120 == 0:
            say(f"soak: {passed:.0f} s, {centre.requests:,} requests, {child.rss():.1f} MiB")
        time.sleep(max(0.0, began + seen.pages * tick - time.monotonic()))


def judge(seen: Minutes) -> list[str]:
    """What did not hold."""
    broken = list(seen.problems)
    if seen.most_at_once > 1:
        broken.append(f"{seen.most_at_once} requests at once with one token")
    if seen.most_a_query > seen.alive / _INTERVAL + 2:
        broken.append(f"{seen.most_a_query} requests of a query in {seen.alive:.1f} s")
    if seen.seconds < JUDGED:
        return broken
    for name, leeway in (("files", 2), ("sockets", 2), ("threads", 1)):
        if (grown := _rise(seen.values[name])) > leeway:
            broken.append(f"{name}: {grown:g} more in the last third than in the one before")
    line, grown = seen.slope(), _second_half(seen.values["rss"])
    if surely(line) > PER_HOUR and (seen.seconds >= LONG or grown > SHORT_GROWTH):
        broken.append(f"memory rises by {line[0]:.2f} ± {line[1]:.2f} MiB an hour")
    return broken


def _rise(values: Sequence[float]) -> float:
    """By how much the floor of the last third lies above that of the middle one.

    The floor is what one value in ten lies below: what is leaked raises it, and what comes
    and goes with the requests of a moment does not.
    """
    third = len(values) // 3
    floors = [
        sorted(one)[len(one) // 10] for one in (values[third : 2 * third], values[2 * third :])
    ]
    return floors[1] - floors[0]


def _second_half(values: Sequence[float]) -> float:
    """The growth over the second half: the median of its last fifth above its first fifth's."""
    half = values[len(values) // 2 :]
    fifth = max(1, len(half) // 5)
    return median(half[-fifth:]) - median(half[:fifth])


def rows(seen: Minutes) -> list[tuple[str, str, str]]:
    """What to tell people."""
    line, rss = seen.slope(), seen.values["rss"]
    third = len(rss) // 3
    levels = [
        (name, f"{min(warm):g} to {max(warm):g}, median {median(warm):g}", "no rise")
        for name in ("files", "sockets", "threads")
        for warm in [seen.values[name][third:]]
    ]
    return [
        ("real time", f"{seen.seconds:.0f} s: {OPERATIONS} operations x 2 skills, 1 s", ""),
        ("requests", f"{seen.requests:,}", ""),
        ("most requests at once with one token", f"{seen.most_at_once}", "1"),
        ("pages, every other one compressed; reloads", f"{seen.pages:,}; {seen.reloads}", ""),
        ("resident memory at the end", f"{rss[-1]:.1f} MiB", ""),
        (
            "its slope after a third of the time",
            f"{line[0]:+.2f} ± {line[1]:.2f} (standard error) MiB an hour",
            f"{PER_HOUR:g} MiB an hour",
        ),
        (
            "its growth over the second half",
            f"{_second_half(rss):+.2f} MiB", f"{SHORT_GROWTH:g} MiB",
        ),
        *levels,
    ]  # fmt: skip
