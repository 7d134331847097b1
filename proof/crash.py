"""kill -9: at random moments, and at every point at which the state is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proof.crash_moments import Seen, random_kills
from proof.crash_scenes import POINTS, Try, every_point
from proof.part import Part, Say, Scale
from proof.shortened import shortened
from tests.e2e_support import Nursery

ABOUT = (
    "The real process is killed with SIGKILL at random moments and started again, and then "
    "at every statement that writes its state: before it, before its commit and after its "
    "commit, in a small day with the end of a quota, a reload and midnight; the life after "
    "dies at one of its first points too. The API looks at the state file at each request: "
    "the attempt must stand there, an interval after the one before, counted, and outside "
    "a pause. Every counter of every page is compared with the highest shown before, every "
    "state file is checked, and at last each counter must equal what the API told."
)
HEADER = (
    "killed", "points", "kills", "requests seen", "early requests", "pages read",
    "counters that fell", "damaged states", "wrong totals at the end",
)  # fmt: skip
UNHARMED = "not at all: the day has fewer points"
_LANES = 2


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Kill `scale.kills` times at random, and at every point (at few where those are few)."""
    nursery = Nursery()
    try:
        at_random = random_ones(scale, nursery, directory, say)
        stride = max(1, POINTS // scale.kills)
        tries = every_point(stride, nursery, directory / "points", say)
    finally:
        nursery.close()
    table = (("at random moments", "–", *at_random.cells()), *rows(tries))
    problems = [*at_random.problems, *(text for one in tries for text in one.seen.problems)]
    return Part("Kills", ABOUT, HEADER, table, shortened(problems))


def random_ones(
    scale: Scale, nursery: Nursery, directory: Path, say: Say, prelude: str = ""
) -> Seen:
    """Half of the kills on one state directory, half on another, side by side.

    `prelude` is Python that each exporter runs first: a defect, to be found.
    """
    seen = Seen()
    with ThreadPoolExecutor(_LANES) as pool:
        lanes = [
            pool.submit(
                random_kills, (scale.kills + lane) // _LANES, scale.seed + lane,
                nursery, directory / f"random-{lane}", say, prelude,
            )
            for lane in range(_LANES)
        ]  # fmt: skip
        for lane in lanes:
            seen.add(lane.result())
    return seen


def rows(tries: Sequence[Try]) -> list[tuple[str, ...]]:
    """One row for each kind of point; the second deaths count with the first."""
    groups: dict[str, Seen] = {}
    points: Counter[str] = Counter()
    for one in tries:
        what, _, moment = one.deaths[0].partition("|") if one.deaths else ("", "", "")
        name = f"while {what}: {moment}" if what else UNHARMED
        groups.setdefault(name, Seen()).add(one.seen)
        points[name] += 1
    return [(name, f"{points[name]}", *groups[name].cells()) for name in sorted(groups)]
