"""One trial: an exporter before faulty servers, an event in the middle, then all well again.

Whatever the faults and the event, the same must hold; see `_Judge` and `Trial.run`.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from exporter.errors import Reason
from proof.faults_catalogue import ENDLESS, MIB
from proof.faults_certificates import NAME
from proof.faults_room import Room, open_room
from proof.faults_scene import (
    CONTROLS,
    HASTY,
    INBOUND,
    INTERVAL,
    PATIENCE,
    Found,
    Plot,
    Scene,
    now,
    scene,
)
from proof.faults_server import Low, Place, Visit
from tests.e2e_support import Launch, Nursery, Samples, fetch, wait_for

FILE = "wolkvox-exporter.db"
WRITABLE = "wolkvox_exporter_storage_writable"
UNWRITABLE, UNACCEPTED = "the state cannot be written", "no connection can be accepted"
FEW_FILES, MANY_CLIENTS = 200, 400
MEMORY_MIB, SENT_MIB = 64.0, 32.0
"""What faults together may take above what the healthy process has; what may leave a server
before the end of the reader is noticed: its cap, and the sockets."""
ROUNDS, SOON, SOON_AFTER_PAUSE, LATER = 2, 4, 12, 40
BACK_WITHIN = 30.0
"""Seconds: the longest wait before a refused write is tried again, by rule."""


class Event(StrEnum):
    """What happens to the exporter itself, in the middle."""

    NOTHING = "nothing else"
    RELOAD = "a reload that changes everything"
    KILL = "kill -9 and a start"
    RESTART = "SIGTERM and a start"
    DISK = "a full disk"
    FILES = "no file descriptors"
    CLIENTS = f"{MANY_CLIENTS} idle clients, {FEW_FILES} files allowed"

    @property
    def lives(self) -> bool:
        """Whether the exporter polls on as if nothing were."""
        return self in {Event.NOTHING, Event.RELOAD, Event.CLIENTS}

    @property
    def starts(self) -> bool:
        """Whether another process takes over."""
        return self in {Event.KILL, Event.RESTART}

    @property
    def reasons(self) -> set[str]:
        """What it may be counted as: without files neither a token nor a socket is had."""
        return {"unauthorized", "connect"} if self is Event.FILES else set()


@dataclass(slots=True)
class Trial:
    """The plots of one event; `each` says that every plot is a row of the table."""

    made: Scene
    event: Event
    room: Room | None
    each: bool = False
    result: Found = field(default_factory=Found)
    began: float = 0.0
    ended: float = 0.0
    outage: tuple[float, float] = (0.0, 0.0)
    """When nothing could be written or opened."""
    effect: str = ""
    late: Samples = field(default_factory=lambda: Samples(""))
    last: Samples = field(default_factory=lambda: Samples(""))
    most: float = 0.0

    def run(self) -> Found:
        """Play it, then judge every plot."""
        made, check = self.made, self._check
        self._become(lambda plot: {})
        made.start()
        made.healthy(1)
        before = made.memory("VmRSS")
        made.forget_peak()
        self.began = now()
        self._become(lambda plot: plot.first)
        made.await_rounds(ROUNDS, self.began)
        self._become(lambda plot: plot.then)
        self._happen()
        made.await_rounds(ROUNDS, now())
        if self.event.lives:
            wait_for(self._all_met, "a failure of every skill", PATIENCE)
        self.late, self.ended = made.metrics(), now()
        self._become(lambda plot: {})
        made.rotate(1)
        wait_for(self._all_well, f"all to be well after {self.event}", PATIENCE)
        made.await_rounds(1, self.ended)
        check(made.life.get("/-/healthy").status == 200, "/-/healthy did not say 200")
        self.most = max(0.0, made.memory("VmHWM") - before)
        bound = MEMORY_MIB + sum(max(one.large for one in plot.faults) for plot in made.plots)
        check(self.most <= bound, f"{self.most:.0f} MiB more than before, {bound:.0f} allowed")
        self.last = made.metrics()
        check(made.end() == 0, "SIGTERM did not end the process with 0")
        self.result.broken += [f"{self.event}: {leak}" for leak in made.leaks()]
        self._judge_controls()
        judges = [_Judge(self, plot) for plot in made.plots]
        for judge in judges:
            judge.run()
        self._tell(judges)
        return self.result

    def _check(self, holds: bool, text: str) -> None:
        self.result.check(holds, f"{self.event}: {text}")

    def _become(self, which: Callable[[Plot], object]) -> None:
        chosen = {plot.name: which(plot) for plot in self.made.plots}
        if self.room is not None:
            self.room.knows(NAME, known=bool(self.ended))  # only at last
        self.made.servers.become(chosen)  # type: ignore[arg-type]

    # The event -------------------------------------------------------------------------

    def _happen(self) -> None:
        made = self.made
        if self.event is Event.RELOAD:
            made.configure("2")
            status = fetch(made.life.addresses[0], "/-/reload", "POST").status
            self._check(status == 200, f"the reload said {status}")
        elif self.event.starts:
            made.end(kill=self.event is Event.KILL)
            made.start()
        elif self.event is Event.DISK:
            self._full_disk()
        elif self.event is Event.FILES:
            self._no_files()
        elif self.event is Event.CLIENTS:
            self._idle_clients()

    @contextlib.contextmanager
    def _without(self, kind: int, least: int) -> Iterator[None]:
        """Lower a limit of the kernel on the process for two intervals, or for the block."""
        pid = self.made.life.pid
        before = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (least, before[1]))
        began = now()
        try:
            yield
        finally:
            resource.prlimit(pid, kind, before)
            self.outage = began, now()

    def _full_disk(self) -> None:
        """A real full disk in a room; else no file may grow beyond the log as it is."""
        made = self.made
        if self.room is None:
            log = made.directory / "data" / f"{FILE}-wal"
            size = log.stat().st_size if log.exists() else 0
            with self._without(resource.RLIMIT_FSIZE, size):
                self._wait_unwritable()
        else:
            self.room.fill()
            began = now()
            self._wait_unwritable()
            self.room.free()
            self.outage = began, now()
        told, most = made.life.log().count(UNWRITABLE), 1 if self.room is not None else 3
        self._check(1 <= told <= most, f"the full disk was told {told} times")
        self.effect = "storage_writable 0, said, no request leaves, pages served; "

    def _wait_unwritable(self) -> None:
        time.sleep(2 * INTERVAL)
        page = self.made.metrics()
        self._check(page.value(WRITABLE) == 0, f"{WRITABLE} is not 0")
        self._check(len(page.of(INBOUND)) >= len(CONTROLS), "values were lost")

    def _no_files(self) -> None:
        made = self.made
        host, _, port = made.life.addresses[0].rpartition(":")
        with socket.socket() as client:
            with self._without(resource.RLIMIT_NOFILE, 3):
                client.connect((host, int(port)))
                told = "what it says of a client"
                wait_for(lambda: UNACCEPTED in made.life.log(), told, PATIENCE)
                time.sleep(2 * INTERVAL)
            client.settimeout(PATIENCE)
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = client.recv(15)
        self._check(answer == b"HTTP/1.1 200 OK", f"the client got {answer!r}")
        lines = made.life.log().count(UNACCEPTED)
        self._check(lines == 1, f"said {lines} times")
        self.effect = "no token can be read, clients wait and are served, said once; "

    def _idle_clients(self) -> None:
        made = self.made
        host, _, port = made.life.addresses[0].rpartition(":")
        with contextlib.ExitStack() as stack:
            for _ in range(MANY_CLIENTS):
                stack.enter_context(socket.create_connection((host, int(port))))
            made.await_rounds(ROUNDS, now())
            status = made.life.get("/metrics").status
        self._check(status == 200, f"/metrics said {status}")
        self._check(UNACCEPTED not in made.life.log(), "ran out of files")
        self.effect = "the longest idle are closed, /metrics 200; "

    # Waiting ---------------------------------------------------------------------------

    def _all_met(self) -> bool:
        """Whether every fault that is one has failed a request; a busy machine takes time."""
        failures = self.made.failures()
        return all(
            sum(failures.get(plot.name, Counter()).values()) >= len(plot.skills)
            for plot in self.made.plots
            if plot.reasons
        )

    def _all_well(self) -> bool:
        page, places = self.made.metrics(), self.made.places()
        for plot in self.made.plots:
            ups = page.of("wolkvox_up", operation=plot.name)
            back = all(good_since(places[plot.name], s, self.ended) for s in plot.skills)
            if str(Reason.QUOTA) not in plot.reasons and not (back and min(ups.values()) == 1):
                return False
        return True

    # Judging ---------------------------------------------------------------------------

    @property
    def others(self) -> tuple[int, int]:
        """How often the control operations were asked while it was bad, and how often due."""
        rounds = self.made.control_rounds(self.began, self.ended)
        return rounds, int((self.ended - self.began) / INTERVAL)

    def _judge_controls(self) -> None:
        made, (rounds, due) = self.made, self.others
        if self.event.lives:  # where the machine may be slow, one is enough
            enough = rounds >= (due / 2 if made.strict else 1)
            self._check(enough, f"control operations were asked {rounds} times of {due}")
        for name in CONTROLS:
            bad = set(made.counted.get(name, Counter()))
            self._check(bad <= self.event.reasons, f"{name} failed: {bad}")
            gaps = crowded(made.places()[name].of("4001"))
            self._check(not gaps, f"{name} was asked too often: {gaps}")
            wait = good_since(made.places()[name], "4001", self.ended) or 0.0
            soon = wait <= BACK_WITHIN + INTERVAL or not made.strict
            self._check(soon, f"{name} was back only {wait:.1f} s later")
            left = self.left(made.places()[name])
            self._check(not left, f"{len(left)} requests left")

    def left(self, place: Place) -> list[Visit]:
        """Requests within the outage; the second that one names is cut off."""
        began, ended = self.outage
        return [one for one in place.visits if began + 1 < one.begun < ended - 1]

    def _tell(self, judges: Sequence[_Judge]) -> None:
        rounds, due = self.others
        others = f"{rounds} of {due}" if self.event.lives else "all wait, by rule"
        if self.each:
            for judge in judges:
                row = (judge.plot.title, judge.effect(), judge.requests(), others)
                self.result.rows.append((*row, judge.recovery))
        requests = sum(len(place.visits) for place in self.made.servers.places)
        count = len(judges)
        what = f"{count} {'fault' if count == 1 else 'faults'} at once" if count else ""
        name = " and ".join(filter(None, [what, str(self.event)]))
        effect = f"{self.effect}{self.most:.0f} MiB more than before"
        wait = max(good_since(p, "4001", self.ended) or 0.0 for p in self.made.servers.places)
        self.result.rows.append((name, effect, f"{requests}", others, f"{wait:.1f} s at most"))


def crowded(visits: Sequence[Visit]) -> str:
    """What shows that requests of one query came too often; nothing where they did not.

    Each request names the second in which the exporter began it (`date_end`): those must be
    an interval apart however late a busy machine delivers them. How many arrived in all is
    the second witness.
    """
    # A closing poll names the end of the day before instead.
    named = [one for one in visits if one.until and not one.until.endswith("235959")]
    gaps = [later.begun - earlier.begun for earlier, later in pairwise(named)]
    if any(gap < int(INTERVAL) for gap in gaps):
        return f"gaps of {', '.join(f'{gap:g}' for gap in gaps)} s"
    span = visits[-1].at - visits[0].at if visits else 0.0
    if len(visits) - 1 > (span + INTERVAL) / INTERVAL:
        return f"{len(visits)} requests in {span:.1f} s"
    return ""


def good_since(place: Place, skill: str, since: float) -> float | None:
    """The seconds until the first request that was well received; None where there is none."""
    visits = [one for one in place.of(skill, since) if one.fault is None]
    return visits[0].at - since if visits else None


class _Judge:
    """One plot, judged by what its server saw and what the metrics say."""

    def __init__(self, trial: Trial, plot: Plot) -> None:
        self.plot = plot
        self.recovery = "—"
        self._trial = trial
        self._place = trial.made.places()[plot.name]
        self._counted = trial.made.counted.get(plot.name, Counter())
        self._bad = [one for one in self._place.visits if one.fault and one.fault.reason]

    def _check(self, holds: bool, text: str) -> None:
        self._trial.result.check(holds, f"{self.plot.title}, {self._trial.event}: {text}")

    def run(self) -> None:
        """Note whatever did not hold."""
        self._check_reasons()
        self._check_spacing()
        self._check_quota()
        self._check_recovery()
        sent = self._place.most_sent / MIB
        self._check(sent <= SENT_MIB, f"{sent:.0f} MiB were sent")
        self._check(not self._place.of(""), "a redirect was followed")
        left = self._trial.left(self._place)
        self._check(not left, f"{len(left)} requests left")

    def effect(self) -> str:
        """The reasons counted, for the table."""
        told = ", ".join(f"{why} ×{count}" for why, count in sorted(self._counted.items()))
        if self._place.most_sent:
            sent = self._place.most_sent / MIB
            told += f"; hung up after {sent:.0f} of {ENDLESS // MIB} MiB"
        return told or "success"

    def requests(self) -> str:
        """How many arrived, for the table."""
        seen = sum(len(self._place.of(s, self._trial.began)) for s in self.plot.skills)
        unseen = any(low.unseen for low in self.plot.lows)
        return f"{seen}; {sum(self._counted.values())} tries" if unseen else f"{seen}"

    def _check_reasons(self) -> None:
        plot, event, counted = self.plot, self._trial.event, self._counted
        allowed = set(plot.reasons) | event.reasons
        if plot.lows:
            allowed.add("interrupted")  # under way at the moment when the server went
        if plot.slow:
            allowed |= HASTY
        self._check(set(counted) <= allowed, f"counted as {dict(counted)}")
        if not event.lives:
            return
        self._check(bool(counted) == bool(plot.reasons), f"counted as {dict(counted)}")
        if not any(low.unseen for low in plot.lows):
            over = sum(counted.values()) - len(self._bad)
            text = f"{len(self._bad)} bad answers, {sum(counted.values())} failures"
            self._check(abs(over) <= bool(plot.lows) or (plot.slow and over > 0), text)
        # Another label is another series, and an unknown name never brought a value.
        if event is not Event.RELOAD and Low.NAME not in plot.lows:
            kept = len(self._trial.late.of(INBOUND, operation=plot.name))
            self._check(kept >= len(plot.skills), "the last good values were not kept")

    def _check_spacing(self) -> None:
        starts = self._trial.event.starts
        for skill in self.plot.skills:
            # A start may ask again at once for what was never made: it is on no record.
            visits = [
                one
                for one in self._place.of(skill)
                if not (starts and one.fault is not None and one.fault.low is not None)
            ]
            gaps = crowded(visits)
            self._check(not gaps, f"skill {skill} was asked too often: {gaps}")
            refused = [
                one.begun
                for one in visits
                if one.fault is not None and one.fault.reason is Reason.UNAUTHORIZED
            ]
            if self._trial.event is Event.NOTHING:
                for number, (earlier, later) in enumerate(pairwise(refused)):
                    doubled = later - earlier >= INTERVAL * 2**number
                    self._check(doubled, "the backoff did not double")

    def _check_quota(self) -> None:
        spent = [one for one in self._bad if one.fault and one.fault.reason is Reason.QUOTA]
        if not spent:
            return
        later = [one for one in self._place.visits if one.at > spent[0].at]
        # A kill may come between the refusal and its place on the disk.
        most = 1 if self._trial.event is Event.KILL else 0
        self._check(len(later) <= most, f"asked {len(later)} times after the quota's end")
        labels = {"operation": self.plot.name, "reason": "quota"}
        paused = self._trial.last.value("wolkvox_paused", **labels)
        self._check(paused == 1, "not paused after the quota's end")
        self.recovery = "by rule: asked again after an hour or the next day"

    def _check_recovery(self) -> None:
        trial, plot, place = self._trial, self.plot, self._place
        fresh = trial.ended + 2 * INTERVAL
        stale = [one for one in place.visits if one.begun > fresh and one.token[-2:] != "-1"]
        self._check(not [one for one in stale if one.token], "asked with the token of before")
        if str(Reason.QUOTA) in plot.reasons:
            return
        waits = [good_since(place, skill, trial.ended) for skill in plot.skills]
        self._check(None not in waits, "was not asked again")
        longest = max((wait for wait in waits if wait is not None), default=0.0)
        rounds = trial.made.control_rounds(trial.ended, trial.ended + longest)
        # An unknown name is tried again ever more rarely, up to the interval of 5 minutes.
        pauses = any(fault.pauses for fault in plot.faults) or not trial.event.lives
        most = SOON_AFTER_PAUSE if pauses else LATER if Low.NAME in plot.lows else SOON
        soon = rounds <= most or not trial.made.strict
        self._check(soon, f"recovered only {longest:.1f} s ({rounds} rounds) later")
        if plot.reasons:
            self.recovery = f"{longest:.1f} s"


def trial(
    directory: Path,
    nursery: Nursery,
    event: Event,
    plots: Sequence[Plot],
    *,
    strict: bool,
    each: bool = False,
    prelude: str = "",
) -> Found:
    """Try these plots with one event; `prelude` is Python that breaks the exporter."""
    directory.mkdir()
    launch = Launch(nursery, directory)
    if event is Event.CLIENTS:
        few = f"({FEW_FILES},) * 2"
        prelude += f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, {few})\n"
    with contextlib.ExitStack() as stack:
        room = stack.enter_context(open_room(directory))
        flags: tuple[str, ...] = ()
        if room is None:
            plots = [plot for plot in plots if Low.NAME not in plot.lows]
        elif event is Event.DISK:
            flags = ("--storage.path", str(room.disk / "data"))
        enter = room.prelude if room is not None else ""
        made = stack.enter_context(
            scene(directory, plots, launch, flags, enter + prelude, strict=strict)
        )
        stack.callback(launch.close)
        return Trial(made, event, room, each).run()
