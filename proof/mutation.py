"""`python -m proof.mutation`: change the pure core in every small way; do the tests notice?

mutmut makes the mutants of the modules that `[tool.mutmut]` in pyproject.toml names, in a
copy below build/, and runs for each the unit tests that reach the changed function. What
survives is compared with survivors.toml, where each known survivor has its reason.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import replace_run
from proof.part import Part

ROOT = Path(__file__).parent.parent
SURVIVORS = Path(__file__).with_name("survivors.toml")
BEGIN, END = "<!-- mutation -->\n", "<!-- end of mutation -->\n"
ENOUGH = 90.0  # percent of the mutants of each module
NOTICED, SURVIVED = ("killed", "segfault", "timeout"), ("survived", "no tests")
_RESULT = re.compile(r"^\s+(exporter\.\S+__mutmut_\d+): (.+)$", re.MULTILINE)

# The function, the lines before, the lines after: the numbers of mutants move with each edit.
Key = tuple[str, tuple[str, ...], tuple[str, ...]]


class Unfinished(Exception):
    """The run ended before every mutant was tried."""


@dataclass(frozen=True, slots=True)
class Mutmut:
    """mutmut in a copy of the project, by its command line."""

    directory: Path
    jobs: int

    def run(self, *names: str, jobs: int | None = None) -> None:
        """Try the mutants of these names; raises Unfinished where mutmut breaks off."""
        # Named, mutmut first runs the unchanged code by the ids of its tests as it will run
        # each mutant: an id that pytest does not find again would count as a mutant noticed.
        self._call("run", "--max-children", str(jobs or self.jobs), *names)

    def results(self) -> dict[str, str]:
        """The status of every mutant by its name."""
        return dict(_RESULT.findall(self._call("results", "--all", "true")))

    def change(self, name: str) -> Key:
        """The change that a mutant makes."""
        lines = self._call("show", name).splitlines()
        changed = [line for line in lines if not line.startswith(("---", "+++", "#", "@@"))]
        return key(function_of(name), changed)

    def _call(self, *arguments: str) -> str:
        # The order of tests comes out of sets; hypothesis has a fixed seed in its profile.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", *arguments],
            cwd=self.directory, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            log = self.directory / "mutmut.log"
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
            raise Unfinished(f"mutmut ended with {done.returncode}: see {log}")
        return done.stdout


def module_of(path: str) -> str:
    """`exporter/runtime.py` is the module `exporter.runtime`."""
    return path.removesuffix(".py").replace("/", ".")


def function_of(name: str) -> str:
    """`m.x__read__mutmut_1` is in `m._read`, `m.xǁTargetsǁof__mutmut_1` in `m.Targets.of`."""
    module, _, mangled = name.rpartition("__mutmut_")[0].rpartition(".")
    plain = mangled[2:].replace("ǁ", ".") if mangled.startswith("xǁ") else mangled[2:]
    return f"{module}.{plain}"


def key(function: str, lines: Sequence[str]) -> Key:
    """What a change is listed under."""
    stripped = [line.strip() for line in lines]
    before = tuple(line[1:].strip() for line in stripped if line.startswith("-"))
    after = tuple(line[1:].strip() for line in stripped if line.startswith("+"))
    return function, before, after


def read_survivors(page: Path) -> dict[Key, str]:
    """The reasons; raises ValueError where an entry lacks something or stands twice."""
    reasons: dict[Key, str] = {}
    for entry in tomllib.loads(page.read_text(encoding="utf-8")).get("survivor", []):
        reason = str(entry.get("reason", "")).strip()
        if not reason or not entry.get("changes"):
            raise ValueError(f"{page}: {entry}: needs a function, a reason and changes")
        for change in entry["changes"]:
            listed = key(entry["function"], change.splitlines())
            if listed in reasons:
                raise ValueError(f"{page}: {entry['function']}: {change!r} stands twice")
            reasons[listed] = reason
    return reasons


def try_all(mutmut: Mutmut, modules: Sequence[str]) -> dict[str, str]:
    """Try every mutant of these modules; one that took too long is tried again, alone.

    A machine that is busy with something else is no endless loop.
    """
    mutmut.run(*(f"{module_of(path)}.*" for path in modules))
    found = mutmut.results()
    if late := [name for name, status in found.items() if status == "timeout"]:
        mutmut.run(*late, jobs=1)
        found = mutmut.results()
    wanted = tuple(f"{module_of(path)}." for path in modules)
    mine = {name: status for name, status in found.items() if name.startswith(wanted)}
    for name, status in mine.items():
        if status not in (*NOTICED, *SURVIVED):
            raise Unfinished(f"{name}: {status}")
    return mine


def judge(
    statuses: Mapping[str, str],
    survivors: Mapping[str, Key],
    reasons: Mapping[Key, str],
    modules: Sequence[str],
) -> Part:
    """The table; broken is a new survivor in a module that scores too low."""
    new = {name for name, change in survivors.items() if change not in reasons}
    rows, broken = [], []
    for path in (*modules, "all"):
        inside = "" if path == "all" else f"{module_of(path)}."
        ends = Counter(status for name, status in statuses.items() if name.startswith(inside))
        noticed = sum(ends[status] for status in NOTICED)
        percent = 100 * noticed / ends.total() if ends.total() else 100.0
        counts = (ends.total(), noticed - ends["timeout"], ends.total() - noticed)
        cells = (*(f"{count:,}" for count in counts), str(ends["timeout"]), f"{percent:.1f} %")
        rows.append((f"`{path}`" if inside else path, *cells))
        if inside and percent < ENOUGH:
            low = sorted(name for name in new if name.startswith(inside))
            broken += [f"new survivor in a module below {ENOUGH:.0f} %: {one}" for one in low]
    about = (
        "Each mutant is one small change to the code (an operator, a constant, an argument, a "
        "condition); a mutant that no unit test notices survives. A change that twice took "
        "fifteen times as long as its tests counts as noticed. "
        f"{len(survivors) - len(new)} of the survivors are listed with a reason in "
        f"`proof/survivors.toml`, {len(new)} are new."
    )
    header = ("module", "mutants", "killed", "survived", "timeouts", "score")
    return Part("Mutation of the pure core", about, header, tuple(rows), tuple(broken))


def details(
    survivors: Mapping[str, Key], reasons: Mapping[Key, str], modules: Sequence[str]
) -> str:
    """Every survivor with its change, and the entries of the list that are not met any more."""
    texts = []
    for name, (function, before, after) in survivors.items():
        reason = reasons.get((function, before, after))
        lines = [f"- {line}" for line in before] + [f"+ {line}" for line in after]
        head = f"known ({reason})" if reason else f"new, {name}"
        texts.append("\n  ".join([f"{head}: {function}:", *lines]))
    tried = tuple(f"{module_of(path)}." for path in modules)
    for listed in reasons.keys() - set(survivors.values()):
        if listed[0].startswith(tried):
            texts.append(f"no longer survives, take it out of the list: {listed}")
    return "\n\n".join(texts)


def copy_project(root: Path, directory: Path, modules: Sequence[str]) -> None:
    """What the tests need, where it may be mutated; nothing of an earlier run."""
    shutil.rmtree(directory, ignore_errors=True)
    for name in ("exporter", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / name, directory / name, ignore=ignore)
    shutil.copy(root / "pyproject.toml", directory)
    for path in modules:  # mutmut leaves decorated functions alone
        text = (root / path).read_text(encoding="utf-8")
        bare = re.sub(r"(?m)^ *@lru_cache(\(.*\))?\n", "", text)
        (directory / path).write_text(bare, encoding="utf-8")


def main(argv: Sequence[str]) -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proof.mutation", description=__doc__)
    parser.add_argument("--module", action="append", help="a path; leave the rest out")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project")
    parser.add_argument("--survivors", type=Path, default=SURVIVORS)
    parser.add_argument("--write", type=Path, help="put the table into this page as well")
    options = parser.parse_args(argv)
    if importlib.util.find_spec("mutmut") is None:
        parser.error("mutmut is not installed: `make install` installs it")
    settings = tomllib.loads((options.root / "pyproject.toml").read_text(encoding="utf-8"))
    modules = options.module or settings["tool"]["mutmut"]["only_mutate"]
    reasons = read_survivors(options.survivors)
    mutmut = Mutmut(options.root / "build" / "mutation", options.jobs)
    copy_project(options.root, mutmut.directory, modules)
    try:
        statuses = try_all(mutmut, modules)
        survivors = {
            name: mutmut.change(name) for name, end in statuses.items() if end in SURVIVED
        }
    except Unfinished as error:
        sys.stderr.write(f"error: {error}\nNothing is judged; mend that and run it again.\n")
        return 1
    part = judge(statuses, survivors, reasons, modules)
    sys.stdout.write(f"{details(survivors, reasons, modules)}\n\n{part.markdown()}\n")
    if options.write:
        replace_run(options.write, part.markdown(), BEGIN, END)
    return 1 if part.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
