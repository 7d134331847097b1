"""What each part of the proof takes and gives: a scale, and a table of what was seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

Say = Callable[[str], None]
T = TypeVar("T")
_SHOWN = 12
_MEMORY = "/dev/shm"  # noqa: S108 - a directory of its own is made below it


def _flag(default: T, text: str, metavar: str = "N") -> T:
    """A field that `python -m proof` has a flag for, with the words of its help."""
    return field(default=default, metadata={"help": text, "metavar": metavar})


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is tried, and how it is judged; times in seconds of this machine.

    `strict`: whether it breaks the proof that polls come late or recover late; the tests
    run on machines that are too busy for that and look at counts and order alone.
    """

    pairs: int = _flag(60, "random pairs of faults")
    fuzz_seconds: float = _flag(60.0, "fuzzing of each target", "SECONDS")
    kills: int = _flag(240, "kill -9 at so many points of writing")
    days: int = _flag(30, "days of the soak in virtual time")
    operations: int = _flag(50, "operations of the soak in virtual time")
    soak_seconds: float = _flag(600.0, "the soak in real time", "SECONDS")
    seed: int = _flag(1, "what every random choice is drawn from")
    strict: bool = True


TINY = replace(
    Scale(),
    pairs=4,
    fuzz_seconds=1.0,
    kills=4,
    days=1,
    operations=3,
    soak_seconds=6.0,
    strict=False,
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


def memory() -> str | None:
    """Where files lie that are flushed all the time: in memory where there is some."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def shortened(problems: Sequence[str]) -> tuple[str, ...]:
    """The first sentences for a table; the rest is counted, never dropped in silence."""
    if len(problems) <= _SHOWN:
        return tuple(problems)
    return (*problems[:_SHOWN], f"and {len(problems) - _SHOWN} more")


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


Prove = Callable[[Scale, Path, Say], Part]
"""A part: the scale, an empty directory of its own, and how to tell people what goes on."""
