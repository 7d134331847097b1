"""The part `transport`: the TLS of the exporter's own server, asked as a grader asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proof.part import Part, Say, Scale
from proof.transport_checks import BREACHES, CLIENTS, MODERN, OLD, Check
from proof.transport_scene import Scene, staged

TITLE = "Transport"
HEADER = ("check", "held", "what happened")
_ERROR = re.compile(r"level=error|Traceback")
GROUPS = (OLD, BREACHES, MODERN, CLIENTS)


@dataclass(frozen=True, slots=True)
class Graded:
    """One check: its name, what was seen, and whether that is how it must be."""

    name: str
    seen: str
    held: bool

    def row(self) -> tuple[str, str, str]:
        """The line of the table."""
        return self.name, "yes" if self.held else "**no**", self.seen


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Grade a real process with certificates of both kinds."""
    return grade(directory, say)


def grade(
    directory: Path, say: Say, groups: Sequence[Sequence[Check]] = GROUPS, prelude: str = ""
) -> Part:
    """The same with some of the checks; `prelude` is Python that weakens the exporter."""
    graded: list[Graded] = []
    with staged(directory, prelude) as scene:
        for checks in groups:
            graded += _asked(checks, scene)
            say(f"transport: {len(graded)} checks")
        graded += _asked((Check("the log of all this", _log),), scene)
    about = (
        "A process with a web configuration is asked as testssl and its like ask: by "
        "ClientHellos made by hand, which offer what no library offers any more, and by "
        "`openssl s_client`. The configuration names a certificate and nothing else, where a "
        "check does not say otherwise."
    )
    broken = tuple(f"{one.name}: {one.seen}" for one in graded if not one.held)
    return Part(TITLE, about, HEADER, tuple(one.row() for one in graded), broken)


def _asked(checks: Iterable[Check], scene: Scene) -> Iterable[Graded]:
    for check in checks:
        yield Graded(check.name, *_outcome(check.ask, scene))


def _outcome(ask: Callable[[Scene], tuple[str, bool]], scene: Scene) -> tuple[str, bool]:
    try:
        return ask(scene)
    except (AssertionError, OSError) as error:  # it waited in vain, or was hung up on
        return f"{type(error).__name__}: {error}"[:200], False


def _log(scene: Scene) -> tuple[str, bool]:
    lines = [line for line in scene.life.log().splitlines() if _ERROR.search(line)]
    # What checks did to the configuration is told, and meant.
    other = [line for line in lines if "web configuration not reloaded" not in line]
    return (other[0][:200], False) if other else ("no traceback, no error", True)
