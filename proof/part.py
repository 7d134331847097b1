"""What each part of the proof takes and gives: a scale, and a table of what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is tried; times in seconds of this machine.

    `pairs`: random pairs of faults; `fuzz_seconds`: of each target; `kills`: kill -9 at
    random moments; `days`, `operations`: of the soak in virtual time; `soak_seconds`: of
    the soak in real time; `seed`: of every random choice.
    """

    pairs: int = 60
    fuzz_seconds: float = 60.0
    kills: int = 200
    days: int = 30
    operations: int = 50
    soak_seconds: float = 600.0
    seed: int = 1


TINY = replace(
    Scale(), pairs=4, fuzz_seconds=1.0, kills=4, days=1, operations=3, soak_seconds=6.0
)
"""The scale of the tests: every part runs, little of each."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one part tried and saw.

    `about` says in one or two sentences what is tried and what is checked; `rows` belong to
    `header`; `broken` are sentences that name what did not hold, empty where all did.
    """

    title: str
    about: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    broken: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The part for the page."""
        lines = [f"### {self.title}", "", self.about, "", _line(self.header)]
        lines += [_line(["---"] * len(self.header))]
        lines += [_line(row) for row in self.rows]
        if self.broken:
            lines += ["", "**Did not hold:**", ""] + [f"- {text}" for text in self.broken]
        return "\n".join(lines)


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


Prove = Callable[[Scale, Path, Say], Part]
"""A part: the scale, an empty directory of its own, and how to tell people what goes on."""
