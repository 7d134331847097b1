"""Two faults at once: random pairs, some of two servers' faults, some with the machine's.

The pairs with the same event share a process of the exporter; the processes run side by
side. An event (a reload, a kill, a full disk …) comes in the middle of the servers' faults.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exporter.errors import Reason
from proof.faults_bounds import crowded, enough, good_since, memory_bound
from proof.faults_catalogue import low_faults, single_faults
from proof.faults_limits import no_disk, no_files
from proof.faults_room import Room, open_room
from proof.faults_scene import (
    CONTROLS,
    HASTY,
    INTERVAL,
    PATIENCE,
    Found,
    Plot,
    Scene,
    now,
    scene,
    together,
)
from proof.faults_server import Fault, Visit
from tests.e2e_support import Launch, Nursery, fetch, wait_for

ROUNDS = 2
ONE, TWO = "4001", "4002"


class Event(StrEnum):
    """What happens to the exporter itself, in the middle."""

    NOTHING = "another fault of the server"
    RELOAD = "a reload that changes everything"
    KILL = "kill -9 and a start"
    RESTART = "SIGTERM and a start"
    DISK = "a full disk"
    FILES = "no file descriptors"

    @property
    def lives(self) -> bool:
        """Whether the exporter runs on as if nothing were."""
        return self in {Event.NOTHING, Event.RELOAD}

    @property
    def starts(self) -> bool:
        """Whether another process takes over."""
        return self in {Event.KILL, Event.RESTART}


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair: what the servers do, and what happens to the exporter."""

    title: str
    event: Event
    first: Mapping[str, Fault]
    then: Mapping[str, Fault]


def draw(count: int, seed: int) -> list[Pair]:
    """So many random pairs; the same seed draws the same ones."""
    chance = random.Random(seed)
    faults = [*low_faults(), *single_faults()]
    # Every other pair is one of two servers' faults.
    events = [Event.NOTHING] * (len(Event) - 1) + list(Event)[1:]
    return [_draw(chance, faults, chance.choice(events)) for _ in range(count)]


def _draw(chance: random.Random, faults: Sequence[Fault], event: Event) -> Pair:
    one, other = chance.sample(list(faults), 2)
    if event is not Event.NOTHING:
        return Pair(f"{one.name} and {event}", event, {ONE: one}, {ONE: one})
    if one.low is None and other.low is None and chance.random() < 0.5:
        both = {ONE: one, TWO: other}
        return Pair(f"{one.name} beside {other.name}", event, both, both)
    return Pair(f"{one.name}, then {other.name}", event, {ONE: one}, {ONE: other})


def pairs(directory: Path, count: int, seed: int, *, strict: bool) -> Found:
    """Draw the pairs and try them."""
    directory.mkdir()
    by_event: dict[Event, list[Pair]] = {}
    for pair in draw(count, seed):
        by_event.setdefault(pair.event, []).append(pair)
    with ExitStack() as stack, ThreadPoolExecutor(len(Event)) as pool:
        nursery = Nursery()
        stack.callback(nursery.close)
        running = [
            pool.submit(
                _try, directory / event.name.lower(), nursery, event, chosen, seed, strict
            )
            for event, chosen in sorted(by_event.items())
        ]
        return together([one.result() for one in running])


def _try(
    directory: Path,
    nursery: Nursery,
    event: Event,
    chosen: Sequence[Pair],
    seed: int,
    strict: bool,
) -> Found:
    directory.mkdir()
    plots = [Plot(f"pair-{n}", pair.first, pair.then) for n, pair in enumerate(chosen)]
    launch = Launch(nursery, directory)
    with ExitStack() as stack:
        room = None
        flags: tuple[str, ...] = ()
        if event is Event.DISK:
            room = stack.enter_context(open_room(directory))
        if room is not None:
            flags = ("--storage.path", str(room.disk / "data"))
        enter = room.prelude if room is not None else ""
        staged = scene(directory, plots, launch, flags, enter, strict=strict)
        made = stack.enter_context(staged)
        stack.callback(launch.close)
        return _Trial(made, chosen, event, room, random.Random(seed)).run()


@dataclass(slots=True)
class _Trial:
    """The pairs of one event, in one process of the exporter (or two, one after the other)."""

    made: Scene
    chosen: Sequence[Pair]
    event: Event
    room: Room | None
    chance: random.Random
    outage: tuple[float, float] = (0.0, 0.0)
    """When nothing could be written or opened."""

    def run(self) -> Found:
        """Play it, then judge every pair."""
        made, result = self.made, Found()
        made.start()
        made.healthy(1)
        before = made.memory("VmRSS")
        made.forget_peak()
        began = now()
        made.servers.become({plot.name: plot.first for plot in made.plots})
        made.await_rounds(ROUNDS, began)
        made.servers.become({plot.name: plot.then for plot in made.plots})
        middle = now()
        self._happen(result)
        made.await_rounds(ROUNDS, now())
        ended = now()
        made.servers.become({})
        made.rotate(1)
        wait_for(lambda: self._well(ended), f"all to be well after {self.event}", PATIENCE)
        made.await_rounds(1, ended)
        result.check(made.life.get("/-/healthy").status == 200, f"{self.event}: not healthy")
        more, bound = made.memory("VmHWM") - before, memory_bound(made.plots)
        text = f"{self.event}: {more:.0f} MiB more than before, {bound:.0f} allowed"
        result.check(more <= bound, text)
        paused = made.metrics().of("wolkvox_paused", reason="quota")
        still = {dict(labels)["operation"] for labels, value in paused.items() if value}
        result.check(made.end() == 0, f"{self.event}: SIGTERM did not end with 0")
        result.broken += [f"{self.event}: {leak}" for leak in made.leaks()]
        for plot, pair in zip(made.plots, self.chosen, strict=True):
            for text in self._judge(plot, plot.name in still):
                result.broken.append(f"{pair.title}: {text}")
        self._tell(result, began, middle, ended, more)
        return result

    def _happen(self, result: Found) -> None:
        made = self.made
        time.sleep(self.chance.uniform(0.0, 1.0))
        if self.event is Event.RELOAD:
            made.configure("2")
            status = fetch(made.life.addresses[0], "/-/reload", "POST").status
            result.check(status == 200, f"the reload said {status}")
        elif self.event.starts:
            made.end(kill=self.event is Event.KILL)
            made.start()
        elif self.event is Event.DISK and self.room is not None:
            self._last(self.room.fill, self.room.free)
        elif self.event is Event.DISK:
            limit = no_disk(made.life.pid, made.directory / "data")
            self._last(limit.take, limit.give)
        elif self.event is Event.FILES:
            limit = no_files(made.life.pid)
            self._last(limit.take, limit.give)

    def _last(self, take: Callable[[], None], give: Callable[[], None]) -> None:
        take()
        began = now()
        time.sleep(2 * INTERVAL)
        self.outage = began, now()
        give()

    def _well(self, since: float) -> bool:
        page, places = self.made.metrics(), self.made.places()
        for plot in self.made.plots:
            ups = page.of("wolkvox_up", operation=plot.name)
            back = all(good_since(places[plot.name], s, since) for s in plot.skills)
            if not _ends_for_the_day(plot) and not (back and min(ups.values()) == 1):
                return False
        return True

    def _judge(self, plot: Plot, paused: bool) -> list[str]:
        place, broken = self.made.places()[plot.name], Found()
        counted = self.made.counted.get(plot.name, Counter())
        allowed = set(plot.reasons)
        if any(fault.low is not None for fault in plot.faults):
            allowed.add("interrupted")  # under way at the moment when the server went
        slow = any(fault.slow for fault in plot.faults)
        if slow:
            allowed |= HASTY
        if self.event is Event.FILES:
            allowed |= {"unauthorized", "connect"}  # neither the token nor a socket to be had
        broken.check(set(counted) <= allowed, f"counted as {dict(counted)}")
        bad = [one for one in place.visits if one.fault is not None and one.fault.reason]
        if self.event.lives and not any(fault.low for fault in plot.faults):
            text = f"{len(bad)} bad answers, {sum(counted.values())} failures"
            over = sum(counted.values()) - len(bad)
            broken.check(over == 0 or (slow and over > 0), text)
        for skill in plot.skills:
            visits = [one for one in place.of(skill) if not self._may_return(one)]
            gaps = crowded(visits)
            broken.check(not gaps, f"skill {skill} was asked too often: {gaps}")
        began, ended = self.outage
        # One may just have been under way, and the second that it names is cut off.
        left = [one for one in place.visits if began + 1 < one.begun < ended - 1]
        broken.check(not left, f"{len(left)} requests left during {self.event}")
        spent = [one for one in bad if one.fault and one.fault.reason is Reason.QUOTA]
        if spent:
            later = [one for one in place.visits if one.at > spent[0].at]
            # A kill may come between the refusal and its place on the disk.
            most = 1 if self.event is Event.KILL else 0
            broken.check(len(later) <= most, f"asked {len(later)} times after the quota's end")
            broken.check(paused, "not paused after the quota's end")
        return broken.broken

    def _may_return(self, visit: Visit) -> bool:
        """Whether a start may ask again at once: what was never made is on no record."""
        low = visit.fault.low if visit.fault is not None else None
        return low is not None and self.event.starts

    def _tell(
        self, result: Found, began: float, middle: float, ended: float, more: float
    ) -> None:
        made, places = self.made, self.made.places()
        rounds, due = made.control_rounds(began, ended), int((ended - began) / INTERVAL)
        others = f"{rounds} of {due}"
        if self.event.lives:
            text = f"{self.event}: control operations were asked {rounds} times of {due}"
            result.check(enough(rounds, due, strict=made.strict), text)
        else:
            others = f"{made.control_rounds(began, middle)} before, all well after"
        counted: Counter[str] = Counter()
        for plot in made.plots:
            counted.update(made.counted.get(plot.name, Counter()))
        for name in CONTROLS:
            bad = set(made.counted.get(name, Counter()))
            known = {"unauthorized", "connect"} if self.event is Event.FILES else set()
            result.check(bad <= known, f"{self.event}: {name} failed: {bad}")
        waits = [
            good_since(places[plot.name], skill, ended) or 0.0
            for plot in made.plots
            for skill in plot.skills
        ]
        requests = sum(len(places[plot.name].visits) for plot in made.plots)
        count = len(self.chosen)
        number = "1 pair" if count == 1 else f"{count} pairs"
        what = f"{number}: a fault of the server and {self.event}"
        told = ", ".join(f"{reason} ×{count}" for reason, count in sorted(counted.items()))
        told += f"; {max(more, 0.0):.0f} MiB more than before"
        result.rows.append((what, told, f"{requests}", others, f"{max(waits):.1f} s at most"))


def _ends_for_the_day(plot: Plot) -> bool:
    return Reason.QUOTA in {fault.reason for fault in plot.faults}
