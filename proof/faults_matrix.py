"""The matrix: every fault of a server at once, each against an operation of its own.

One process of the exporter; first all is well, then nothing is, then all is well again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from exporter.errors import Reason
from proof.faults_bounds import crowded, enough, good_since, memory_bound
from proof.faults_catalogue import ENDLESS, MIB, Group, redirects
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
    by_number,
    now,
    scene,
)
from proof.faults_server import Fault, Low, Place
from tests.e2e_support import Samples, wait_for

ROUNDS = 4
SENT_MIB = 32.0
"""What may leave a server before the exporter's end is noticed: its cap, and the sockets."""
SOON, SOON_AFTER_PAUSE = 4, 12
"""Rounds of the control operations until a first good answer."""
UNRESOLVED = "unresolved"


@dataclass(slots=True)
class Times:
    """When the faults began and ended, and what the page said at that moment and at last."""

    began: float = 0.0
    ended: float = 0.0
    rotated: float = 0.0
    then: dict[str, Counter[str]] = field(default_factory=dict)
    at_last: dict[str, Counter[str]] = field(default_factory=dict)
    late: Samples = field(default_factory=lambda: Samples(""))
    last: Samples = field(default_factory=lambda: Samples(""))
    resolved: float | None = None
    memory: str = ""


def matrix(
    directory: Path,
    groups: Sequence[Group],
    *,
    strict: bool,
    rounds: int = ROUNDS,
    prelude: str = "",
) -> Found:
    """Try the groups, the redirects and a name that does not resolve.

    `rounds` intervals with faults, as many without; `prelude` is run before the exporter.
    """
    directory.mkdir()
    result = Found()
    with open_room(directory) as room:
        plots = [
            Plot(f"row-{number}", by_number(group.faults), by_number(group.faults))
            for number, group in enumerate(groups)
        ]
        enter = room.prelude if room is not None else ""
        with scene(directory, plots, prelude=enter + prelude, strict=strict) as made:
            elsewhere = made.servers.place("elsewhere")
            others = redirects(elsewhere.url)
            faults = by_number(others.faults)
            redirected = Plot(f"row-{len(plots)}", faults, faults)
            made.plots = plots = [*plots, redirected]
            made.servers.places.remove(elsewhere)  # it is nobody's operation
            made.servers.place(redirected.name)
            made.servers.place(UNRESOLVED, tls=True, host=NAME)
            made.rotate(0)
            made.configure("")
            times = Times()
            try:
                _play(made, result, times, room, rounds)
            finally:
                made.servers.places.append(elsewhere)
            for plot, group in zip(plots, [*groups, others], strict=True):
                _Row(made, plot, group, times, result).judge()
            text = "a redirect was followed: somebody asked where it pointed"
            result.check(elsewhere.connections == 0, text)
            _judge_name(made, times, result, room)
            result.rows.append(("memory during all of these", times.memory, "—", "—", "—"))
    return result


def _play(made: Scene, result: Found, times: Times, room: Room | None, rounds: int) -> None:
    made.start()
    made.healthy()
    before = made.memory("VmRSS")
    made.forget_peak()
    times.began = now()
    made.servers.become({plot.name: plot.first for plot in made.plots})
    made.await_rounds(rounds + 1, times.began)
    wait_for(lambda: _all_met(made), "a failure of every skill", PATIENCE)
    times.then, times.late = made.failures(), made.metrics()
    times.ended = now()
    made.servers.become({})
    made.rotate(1)
    times.rotated = now()
    _await_name(made, times, room, tries=rounds // 2)
    made.await_rounds(rounds, times.ended)
    wait_for(lambda: _all_well(made), "the recovery of every operation", PATIENCE)
    times.last, times.at_last = made.metrics(), made.failures()
    most, after = made.memory("VmHWM"), made.memory("VmRSS")
    result.check(made.life.get("/-/healthy").status == 200, "/-/healthy did not say 200")
    result.check(made.end() == 0, "SIGTERM did not end the process with 0")
    result.broken += made.leaks()
    seen = made.control_rounds(times.began, times.ended)
    due = int((times.ended - times.began) / INTERVAL)
    text = f"the control operations were asked {seen} times where {due} were due"
    result.check(enough(seen, due, strict=made.strict), text)
    for name in CONTROLS:
        result.check(name not in times.at_last, f"{name} failed: {times.at_last.get(name)}")
    text = f"the process took {most:.0f} MiB under faults, {before:.0f} MiB before"
    bound = memory_bound(made.plots)
    result.check(most <= before + bound, text)
    times.memory = (
        f"{before:.0f} MiB before, {most:.0f} at most under all faults, {after:.0f} after;"
        f" bound: {bound:.0f} more than before"
    )


def _all_met(made: Scene) -> bool:
    """Whether every fault that is one has failed a request; a busy machine takes its time."""
    failures = made.failures()
    return all(
        sum(failures.get(plot.name, Counter()).values()) >= len(plot.skills)
        for plot in made.plots
        if plot.reasons
    )


def _all_well(made: Scene) -> bool:
    page = made.metrics()
    for plot in made.plots:
        if Reason.QUOTA in {fault.reason for fault in plot.faults}:
            continue
        if min(page.of("wolkvox_up", operation=plot.name).values()) < 1:
            return False
    return True


@dataclass(slots=True)
class _Row:
    """One group, judged by what its server saw and what the metrics say."""

    made: Scene
    plot: Plot
    group: Group
    times: Times
    result: Found

    @property
    def _place(self) -> Place:
        return self.made.places()[self.plot.name]

    @property
    def _fault(self) -> Fault:
        return self.group.faults[0]

    def judge(self) -> None:
        """Add the row, and whatever did not hold."""
        self._check_reasons()
        self._check_spacing()
        times, place = self.times, self._place
        seen = sum(len(place.of(s, times.began, times.ended)) for s in self.plot.skills)
        failures = times.then.get(self.plot.name, Counter())
        rounds = self.made.control_rounds(times.began, times.ended)
        due = int((times.ended - times.began) / INTERVAL)
        requests = f"{seen}"
        if self._fault.low in {Low.REFUSED, Low.SILENT}:
            requests = f"none arrived, {sum(failures.values())} tries"
        row = (self.group.name, self._effect(failures), requests, f"{rounds} of {due}")
        self.result.rows.append((*row, self._recovery()))

    def _say(self, holds: bool, text: str) -> None:
        self.result.check(holds, f"{self.group.name}: {text}")

    def _effect(self, failures: Counter[str]) -> str:
        if not failures:
            return "success"
        text = ", ".join(f"{reason} ×{count}" for reason, count in sorted(failures.items()))
        if self._fault.reason is Reason.QUOTA:
            text += ", paused"
        if self._fault.reason is Reason.UNAUTHORIZED:
            text += ", paused, twice as long each time"
        if self._place.most_sent:
            sent = self._place.most_sent / MIB
            self._say(sent <= SENT_MIB, f"{sent:.0f} MiB were sent")
            text += f"; hung up after {sent:.0f} of {ENDLESS // MIB} MiB"
        return text

    def _check_reasons(self) -> None:
        name, low = self.plot.name, self._fault.low
        failures, late = self.times.at_last.get(name, Counter()), self.times.late
        expected = self.plot.reasons
        # A request may be under way at the moment when the server goes away.
        allowed = expected | ({"interrupted"} if low is not None else set())
        slow = self._fault.slow
        if slow:
            allowed = allowed | HASTY
        self._say(set(failures) <= allowed, f"counted as {dict(failures)}")
        self._say(bool(failures) == bool(expected), f"counted as {dict(failures)}")
        failing = [v for v in self._place.visits if v.fault is not None and v.fault.reason]
        if low not in {Low.REFUSED, Low.SILENT}:
            over = sum(failures.values()) - len(failing)
            text = f"{len(failing)} bad answers, {sum(failures.values())} failures"
            self._say(abs(over) <= (low is not None) or (slow and over > 0), text)
        kept = len(late.of(INBOUND, operation=name))
        self._say(kept >= len(self.plot.skills), "the last good values were not kept")

    def _check_spacing(self) -> None:
        for skill in self.plot.skills:
            visits = self._place.of(skill)
            gaps = crowded(visits)
            self._say(not gaps, f"skill {skill} was asked too often: {gaps}")
            if self._fault.reason is Reason.UNAUTHORIZED:
                times = [visit.begun for visit in visits if visit.fault is not None]
                for number, (earlier, later) in enumerate(pairwise(times)):
                    wait = INTERVAL * 2**number
                    self._say(later - earlier >= wait, "the backoff did not double")

    def _recovery(self) -> str:
        ended, place = self.times.ended, self._place
        if self._fault.reason is Reason.QUOTA:
            asked = len(place.of("4001", self.times.began))
            paused = self.times.last.value(
                "wolkvox_paused", operation=self.plot.name, reason="quota"
            )
            self._say(asked == 1 and paused == 1, f"asked {asked} times, paused: {paused}")
            return "by rule: asked again after an hour or the next day"
        waits = [good_since(place, skill, ended) for skill in self.plot.skills]
        longest = max((wait for wait in waits if wait is not None), default=0.0)
        rounds = self.made.control_rounds(ended, ended + longest)
        most = SOON_AFTER_PAUSE if self._fault.pauses else SOON
        self._say(None not in waits, "was not asked again")
        soon = rounds <= most or not self.made.strict  # then it was waited for, no more
        self._say(soon, f"recovered only {longest:.1f} s ({rounds} rounds) later")
        fresh = self.times.rotated + INTERVAL
        stale = [v for v in place.visits if v.begun > fresh and not v.token.endswith("-1")]
        self._say(not stale, "asked with the token of before")
        if self._fault.reason is None:
            return "—"
        by = " after the new token" if self._fault.pauses else ""
        return f"{longest:.1f} s{by}"


def _await_name(made: Scene, times: Times, room: Room | None, tries: int) -> None:
    """Let the name resolve once it has failed so often, and wait for its first answer."""
    name = {"operation": UNRESOLVED}
    wait_for(
        lambda: made.failures().get(UNRESOLVED, Counter())["connect"] >= tries,
        "the tries of the unknown name",
        PATIENCE,
    )
    if room is not None:
        room.knows(NAME)
        times.resolved = now()
        wait_for(lambda: made.metrics().value("wolkvox_up", **name), "its answer", PATIENCE)


def _judge_name(made: Scene, times: Times, result: Found, room: Room | None) -> None:
    failures = times.at_last[UNRESOLVED]
    used = times.last.value("wolkvox_daily_requests_used", operation=UNRESOLVED)
    visits = made.places()[UNRESOLVED].visits
    result.check(set(failures) == {"connect"}, f"unknown name: counted as {dict(failures)}")
    text = f"unknown name: {used} calls of the day counted, {len(visits)} requests arrived"
    result.check(used == len(visits) <= 1, text)
    recovered = "not tried: no mount of its own /etc/hosts is allowed here"
    if room is not None and times.resolved is not None and visits:
        seconds = visits[0].at - times.resolved
        recovered = f"{seconds:.1f} s, within the backoff of an interval of 5 min"
    counted = f"connect ×{failures['connect']}, none on the daily budget"
    rounds = made.control_rounds(times.began, times.ended)
    due = int((times.ended - times.began) / INTERVAL)
    row = ("name that does not resolve (.invalid)", counted, f"{len(visits)}")
    result.rows.append((*row, f"{rounds} of {due}", recovered))
