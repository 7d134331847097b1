"""Faults: every way in which a server or a machine can fail, against the real exporter."""

from __future__ import annotations

from pathlib import Path

from proof.faults_catalogue import groups
from proof.faults_clock import clock
from proof.faults_environment import environment
from proof.faults_matrix import matrix
from proof.faults_pairs import pairs
from proof.faults_scene import INTERVAL, together
from proof.part import Part, Say, Scale

ABOUT = (
    "A real exporter process polls scripted servers on real sockets, each fault in an operation"
    f" of its own, at an interval of {INTERVAL:g} s: all well, then every fault at once, then"
    " all well again (of the requests, the last may still be under way when the reasons are"
    " counted). Checked of each: the reason counted, that every bad answer is counted"
    " once and none is asked for again before its slot, that the last good values stay and the"
    " other operations keep their slots, that the first good answer comes at the next slot, and"
    " that neither a traceback nor a token comes out anywhere. Then faults of the machine, and"
    " random pairs of all of these."
)
HEADER = (
    "fault",
    "reason or effect",
    "requests",
    "other operations on time",
    "recovered after",
)


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Try them all: the matrix, the machine, the clock, the pairs."""
    say("faults: the matrix")
    found = [matrix(directory / "matrix", groups(), strict=scale.strict)]
    say("faults: the machine")
    found.append(environment(directory / "environment", strict=scale.strict))
    say("faults: the clock")
    found.append(clock(directory / "clock"))
    say(f"faults: {scale.pairs} random pairs")
    drawn = pairs(directory / "pairs", scale.pairs, scale.seed, strict=scale.strict)
    found.append(drawn)
    result = together(found)
    return Part("Faults", ABOUT, HEADER, tuple(result.rows), tuple(result.broken))
