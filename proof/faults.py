"""Faults: every way in which a server or a machine can fail, against the real exporter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proof.faults_catalogue import Group, groups, low_faults, single_faults
from proof.faults_scene import INTERVAL, Found, Plot, by_number
from proof.faults_server import Fault, Low
from proof.faults_start import starts
from proof.faults_trial import Event, trial
from proof.part import Part, Say, Scale
from tests.e2e_support import Nursery

ABOUT = (
    "A real exporter process polls scripted servers on real sockets, each fault in an operation"
    f" of its own, at an interval of {INTERVAL:g} s: all well, then every fault at once, then"
    " all well again; then random faults with an event of the machine or of the exporter in"
    " their midst, and starts on what was damaged. Checked of each: the reason counted, that"
    " every bad answer is counted once and none is asked for again before its slot, that the"
    " last good values stay and the other operations keep their slots, that the first good"
    " answer comes at the next slot, that memory stays within its bound, and that neither a"
    " traceback nor a token comes out anywhere."
)
HEADER = (
    "fault", "reason or effect", "requests", "other operations on time", "recovered after",
)  # fmt: skip


def matrix(chosen: Sequence[Group]) -> list[Plot]:
    """A plot for each group of faults."""
    return [
        Plot(f"row-{number}", group.name, by_number(group.faults), by_number(group.faults))
        for number, group in enumerate(chosen)
    ]


def draw(count: int, seed: int) -> dict[Event, list[Plot]]:
    """So many random plots by their event, each event at least without one.

    Every other one is a pair of two servers' faults, one after or beside the other.
    """
    chance = random.Random(seed)
    # A name that resolves late takes minutes: once is enough.
    faults = [one for one in (*low_faults(), *single_faults()) if one.low is not Low.NAME]
    drawn: dict[Event, list[Plot]] = {event: [] for event in Event}
    happening = [event for event in Event if event is not Event.NOTHING]
    for number in range(count):
        one, other = chance.sample(faults, 2)
        event = chance.choice([*happening, *[Event.NOTHING] * len(happening)])
        drawn[event].append(_plot(f"pair-{number}", one, other, event, chance))
    return drawn


def _plot(name: str, one: Fault, other: Fault, event: Event, chance: random.Random) -> Plot:
    if event is not Event.NOTHING:
        return Plot(name, one.name, {"4001": one}, {"4001": one})
    if one.low is None and other.low is None and chance.random() < 0.5:
        both = {"4001": one, "4002": other}
        return Plot(name, f"{one.name} beside {other.name}", both, both)
    return Plot(name, f"{one.name}, then {other.name}", {"4001": one}, {"4001": other})


def prove(scale: Scale, directory: Path, say: Say, prelude: str = "") -> Part:
    """Try them all: the matrix by itself, the rest side by side, since it mostly waits."""
    result, nursery, strict = Found(), Nursery(), scale.strict
    try:
        say("faults: the matrix")
        plots = matrix(groups())
        work = directory / "matrix"
        result.add(
            trial(
                work, nursery, Event.NOTHING, plots, strict=strict, each=True, prelude=prelude
            )
        )
        say(f"faults: the machine, and {scale.pairs} random pairs")
        with ThreadPoolExecutor(4) as pool:
            running = [
                pool.submit(
                    trial, directory / event.name.lower(), nursery, event, chosen,
                    strict=strict, prelude=prelude,
                )
                for event, chosen in draw(scale.pairs, scale.seed).items()
            ]  # fmt: skip
            running.append(pool.submit(starts, directory / "starts", nursery, strict=strict))
            for one in running:
                result.add(one.result())
    finally:
        nursery.close()
    return Part("Faults", ABOUT, HEADER, tuple(result.rows), tuple(result.broken))
