"""What mutmut leaves behind -> mutants: where each stands, what it changes, how it ended."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["killed", "timeout", "survived"]

_SURVIVED = {0}
# No test runs the function at all, or pytest found none: nothing noticed the mutant either.
_UNTESTED = {5, 33}
# The signal for too much time as mutmut and as a shell report it, and mutmut's own codes.
_TIMEOUT = {24, -24, 152, 36, 255}
# A test failed, pytest itself broke on it, or the process died.
_KILLED = {1, 3, -9, -11}


class Unfinished(Exception):
    """The run ended before every mutant was tried, or in a way that is not known."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: its module, the function it is in, the lines before and after."""

    name: str
    module: str
    function: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    outcome: Outcome

    @property
    def place(self) -> str:
        """The function with its module."""
        return f"{self.module}.{self.function}"

    def diff(self) -> str:
        """The change for people."""
        lines = [f"- {line}" for line in self.before] + [f"+ {line}" for line in self.after]
        return "\n".join([f"{self.place}:", *(f"  {line}" for line in lines)])


@dataclass(frozen=True, slots=True)
class Score:
    """How the mutants of one module, or of all, ended. A timeout was noticed, too."""

    mutants: int
    killed: int
    survived: int
    timeouts: int

    @property
    def percent(self) -> float:
        """The share that was noticed; a module without any mutant has nothing to miss."""
        return 100 * (self.killed + self.timeouts) / self.mutants if self.mutants else 100.0


def score(mutants: Sequence[Mutant]) -> Score:
    """Add up."""
    ends = [mutant.outcome for mutant in mutants]
    return Score(len(ends), ends.count("killed"), ends.count("survived"), ends.count("timeout"))


def read_mutants(directory: Path, modules: Sequence[str]) -> dict[str, list[Mutant]]:
    """The mutants of each module (a path such as `exporter/times.py`) of a finished run."""
    return {module: list(_of_module(directory, module)) for module in modules}


def _of_module(directory: Path, path: str) -> Iterator[Mutant]:
    source = directory / path
    meta = source.with_name(f"{source.name}.meta")
    if not meta.exists():
        raise Unfinished(f"{path}: mutmut made no mutants of it")
    codes: Mapping[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
    bodies = _bodies(source.read_text(encoding="utf-8"))
    module = path.removesuffix(".py").replace("/", ".")
    for name, code in codes.items():
        mangled = name.removeprefix(f"{module}.")
        original = re.sub(r"__mutmut_[0-9]+$", "__mutmut_orig", mangled)
        before, after = _change(bodies[original], bodies[mangled])
        function = _unmangled(original.removesuffix("__mutmut_orig"))
        yield Mutant(name, module, function, before, after, _outcome(name, code))


def _outcome(name: str, code: int | None) -> Outcome:
    if code in _SURVIVED | _UNTESTED:
        return "survived"
    if code in _TIMEOUT:
        return "timeout"
    if code in _KILLED:
        return "killed"
    raise Unfinished(f"{name}: not tried to its end ({code})")


def _bodies(text: str) -> dict[str, list[str]]:
    """The lines below the `def` line of each function that mutmut wrote, by its name."""
    lines = text.splitlines()
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        start = re.match(r"(\s*)(?:async )?def (\w+__mutmut_(?:orig|[0-9]+))(.*)", line)
        if start is None:
            continue
        indent, name, rest = start.groups()
        body = [f"def {rest}"]
        for follower in lines[number + 1 :]:
            if follower.strip() and not _inside(follower, indent):
                break
            body.append(follower.strip())
        while not body[-1]:
            body.pop()
        found[name] = body
    return found


def _inside(line: str, indent: str) -> bool:
    """Whether a line belongs to a function: deeper, or the end of a long head of it."""
    return line.startswith((f"{indent} ", f"{indent})", f"{indent}\t"))


def _change(original: list[str], mutated: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    delta = list(difflib.ndiff(original, mutated))
    before = tuple(line[2:] for line in delta if line.startswith("- "))
    after = tuple(line[2:] for line in delta if line.startswith("+ "))
    return before, after


def _unmangled(name: str) -> str:
    """`x__decode` is the function `_decode`, `xǁTargetsǁof` the method `Targets.of`."""
    return name[2:].replace("ǁ", ".") if name.startswith("xǁ") else name.removeprefix("x_")
