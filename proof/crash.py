"""The part `crash`: kill -9 at every point at which the state is written.

A small day full of events: three operations; one meets the end of its quota and pauses, one
reaches nothing and takes its attempts back; a reload adds a skill; midnight comes, every query
closes the day and begins the next. Then the counters must hold what the API told, to the
interaction. Kills at random moments are in tests/test_kill.py.
"""

from __future__ import annotations

import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.processes import LOOPBACK
from proof.crash_witness import Pages, Recorded, Witness, recorded, wrong_totals
from proof.part import Part, Say, Scale, shortened
from tests.e2e_api import Asked
from tests.e2e_support import (
    PATIENCE,
    TOKEN,
    Launch,
    Life,
    Nursery,
    operation,
    write_config,
)
from tests.kill_support import intact

ABOUT = (
    "The real process is killed with SIGKILL at every statement that writes its state: before "
    "it, before its commit and after its commit, in a small day with the end of a quota, a "
    "reload and midnight; the life after dies at one of its first points too. The API looks "
    "at the state file at each request: the attempt must stand there, an interval after the "
    "one before, counted, and outside a pause. Every counter of every page is compared with "
    "the highest shown before, every state file is checked, and at last each counter must "
    "equal what the API told."
)
HEADER = (
    "killed", "points", "kills", "requests seen", "early requests", "pages read",
    "counters that fell", "damaged states", "wrong totals at the end",
)  # fmt: skip
UNHARMED = "not at all: the day has fewer points"
LANES = 8  # at once: mostly they wait
POINTS = 240  # about so many has the day
_MOST_POINTS = 400  # on a machine so busy that days never end
_AGAIN = 12  # the life after dies as well, at one of its first points
_MIDNIGHT = datetime(2026, 11, 19, tzinfo=UTC)
_DAY = f"{_MIDNIGHT:%Y%m%d}"
_MORNING, _LONGEST_MORNING = 4.0, 20.0
_KEYS = {"interval": "1s", "stale_after": "1m", "timezone": "UTC"}
_RARELY = _KEYS | {"interval": "4s"}


@dataclass
class Try:
    """One run of the day: where its processes died, and what was seen."""

    point: int
    deaths: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def totals(asked: Asked, state: Recorded) -> int | None:
    """1000 until that is saved; then 1200, 1500 for the whole day, and 500 the day after."""
    if asked.query["date_ini"].startswith(_DAY):
        return 500
    if asked.query["date_end"].endswith("235959"):
        return 1500
    if not state.known:
        return 1000
    return None if asked.operation == "globex" else 1200


class Morning:
    """How long before midnight a day begins: time enough for a pause and a reload."""

    def __init__(self) -> None:
        self.seconds = _MORNING

    def took(self, seconds: float | None) -> None:
        """Learn from a day: after so long it was ready for midnight, or not in time (None)."""
        wanted = 1.3 * self.seconds if seconds is None else max(0.9 * self.seconds, seconds + 1)
        self.seconds = min(_LONGEST_MORNING, max(_MORNING, wanted))


class _Day:
    """Drives one try; `prelude` is Python that each exporter runs first: a defect to find."""

    def __init__(
        self, point: int, nursery: Nursery, directory: Path, morning: Morning, prelude: str
    ) -> None:
        directory.mkdir()
        self._morning, self._prelude = morning, prelude
        self._ready: float | None = None
        self.result = Try(point)
        self._directory, self._state = directory, directory / "data"
        self._launch = Launch(nursery, directory)
        self._witness = Witness(self._state, 1.0, totals, ZoneInfo("UTC"))
        self._pages = Pages()
        self._deaf = socket.socket()  # bound and not listening: connections are refused
        self._deaf.bind((LOOPBACK, 0))
        self._points = [point, random.Random(point).randint(1, _AGAIN)]
        self._lives = 0
        self._reloaded = False

    def run(self) -> Try:
        """Live through the day, however often the process dies."""
        result, witness, pages = self.result, self._witness, self._pages
        with witness.api.run():
            self._begun, self._midnight = time.time(), self._morning.seconds
            witness.shift = _MIDNIGHT.timestamp() - self._begun - self._midnight
            self._configure("4173", "4180")
            try:
                self._live()
            except AssertionError as error:
                result.problems.append(str(error))
            finally:
                self._launch.close()
                self._deaf.close()
        self._morning.took(self._ready)
        result.figures += Counter(
            requests=witness.requests,
            early=witness.early,
            pages=pages.taken,
            fallen=pages.highest.fallen,
        )
        result.problems += [*witness.problems, *pages.problems, *pages.highest.problems]
        if witness.refusals > 1 + len(result.deaths):
            result.problems.append(f"{witness.refusals} requests refused for the quota")
        return result

    def _live(self) -> None:
        life, deadline = self._start(), time.monotonic() + self._midnight + 2 * PATIENCE
        wrong: list[str] = ["no page"]
        while wrong and time.monotonic() < deadline:
            time.sleep(0.2)
            if life.ended():
                self._died(life)
                life = self._start()
            page = self._pages.take(life)
            self._reload(life)
            if page is not None:
                wrong = self._unfinished() or wrong_totals(page, self._witness.tallies)
        # A kill between an attempt and its taking back leaves one counted; nothing else may.
        calls = recorded(self._state, "initech", "6101").calls.total()
        if calls > len(self.result.deaths) + 1:  # one may be under way
            wrong.append(f"{calls} calls counted of requests that never left")
        self.result.figures["wrong"] += len(wrong)
        self.result.problems += wrong[:3]
        if not life.ended():
            life.stop()  # which closes the file: points as well
        if life.code == -signal.SIGKILL:
            self._died(life)
        elif life.code != 0:
            self.result.problems.append(f"an exporter ended with {life.code}")

    def _start(self) -> Life:
        point = self._points[self._lives] if self._lives < len(self._points) else 0
        self._lives += 1
        arm = (
            "from pathlib import Path\nfrom proof.crash_points import arm\n"
            f"arm({point}, Path({str(self._note())!r}), {self._witness.shift!r})\n"
        )
        return self._launch.serve(
            self._directory / "wolkvox.yml", "--storage.path", str(self._state),
            prelude=arm + self._prelude,
        )  # fmt: skip

    def _note(self) -> Path:
        return self._directory / f"death-{self._lives}"

    def _died(self, life: Life) -> None:
        """Note where it died, and look at the state as it left it."""
        note, result = self._note(), self.result
        if life.code != -signal.SIGKILL or not note.exists():
            raise AssertionError(f"an exporter ended with {life.code}: {life.log()[-500:]}")
        result.deaths.append(note.read_text(encoding="utf-8"))
        try:
            intact(self._state, self._directory / "copy")
            assert "damaged" not in life.log(), "it was put aside"
        except AssertionError as error:
            result.figures["damaged"] += 1
            result.problems.append(f"a damaged state: {error}")

    def _configure(self, *skills: str) -> None:
        api = self._witness.api
        deaf = f"http://{LOOPBACK}:{self._deaf.getsockname()[1]}/initech/api/v2/"
        write_config(
            self._directory,
            operation(api.url("acme"), *skills, **_KEYS),
            operation(api.url("globex"), "4180", name="globex", token=f"{TOKEN}2", **_KEYS),
            operation(deaf, "6101", name="initech", token=f"{TOKEN}3", **_RARELY),
        )

    def _reload(self, life: Life) -> None:
        """Add a skill once the quota was at its end, or when half of the time is over."""
        passed, told = time.time() - self._begun, self._witness.told
        added = any(skill == "4190" for _, skill, _ in told)
        if self._ready is None and self._witness.refusals and added:
            self._ready = passed if passed < self._midnight else None
        if self._reloaded or not (self._witness.refusals or passed > self._midnight / 2):
            return
        if "listen=" in life.log() and not life.ended():
            self._configure("4173", "4180", "4190")
            self._reloaded = True
            with suppress(AssertionError):  # dead meanwhile: the next life reads it anyway
                life.send(signal.SIGHUP)

    def _unfinished(self) -> list[str]:
        """What has not happened yet of what the day holds."""
        queries = [("acme", "4173"), ("acme", "4180"), ("acme", "4190"), ("globex", "4180")]
        told = self._witness.told
        return [f"{query} not asked on the new day" for query in queries
                if not told[(*query, _DAY)]]  # fmt: skip


def every_point(stride: int, directory: Path, say: Say, prelude: str = "") -> list[Try]:
    """Try point after point, each `stride`-th, until days end without reaching one."""
    tries: list[Try] = []
    morning, nursery = Morning(), Nursery()
    lanes, most = (LANES, _MOST_POINTS) if stride == 1 else (LANES // 2, POINTS - stride)
    try:
        with ThreadPoolExecutor(lanes) as pool:
            # Days differ by a poll or two: the end is where no day of a round goes on so long.
            while not tries or any(one.deaths for one in tries[-lanes:]):
                if tries and tries[-1].point > most:
                    break
                first = 1 + stride * len(tries)
                points = range(first, first + stride * lanes, stride)
                days = [
                    _Day(point, nursery, directory / str(point), morning, prelude)
                    for point in points
                ]
                tries += pool.map(_Day.run, days)
                say(f"crash: points of writing up to {points[-1]}")
    finally:
        nursery.close()
    return tries


def prove(scale: Scale, directory: Path, say: Say, prelude: str = "") -> Part:
    """Kill at every point, or at `scale.kills` of them where those are fewer."""
    tries = every_point(max(1, POINTS // scale.kills), directory, say, prelude)
    problems = [f"point {one.point}: {text}" for one in tries for text in one.problems]
    return Part("Kills", ABOUT, HEADER, tuple(rows(tries)), shortened(problems))


def rows(tries: Sequence[Try]) -> list[tuple[str, ...]]:
    """One row for each kind of point; the second deaths count with the first."""
    groups: dict[str, list[Try]] = {}
    for one in tries:
        groups.setdefault(one.deaths[0] if one.deaths else UNHARMED, []).append(one)
    found = []
    for name, group in sorted(groups.items()):
        figures = sum((one.figures for one in group), Counter[str]())
        names = ("requests", "early", "pages", "fallen", "damaged", "wrong")
        kills = sum(len(one.deaths) for one in group)
        counts = (len(group), kills, *(figures[figure] for figure in names))
        found.append((name, *(f"{count:,}" for count in counts)))
    return found
