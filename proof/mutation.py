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
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.page import replace_run
from proof.mutation_results import Mutant, Score, Unfinished, read_mutants, score
from proof.mutation_survivors import Comparison, compare, read_survivors
from proof.part import Part, Say

ROOT = Path(__file__).parent.parent
SURVIVORS = Path(__file__).with_name("survivors.toml")
BEGIN, END = "<!-- mutation -->\n", "<!-- end of mutation -->\n"
ENOUGH = 90.0  # percent of the mutants of each module
_TELL_EVERY = 60.0


def copy_tree(root: Path, directory: Path) -> None:
    """What the tests need, at a place where it may be mutated; nothing of an earlier run."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in ("exporter", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / name, directory / name, ignore=ignore)
    shutil.copy(root / "pyproject.toml", directory)


def bare_caches(directory: Path, modules: Sequence[str]) -> None:
    """Take `lru_cache` off the copy's functions: mutmut leaves decorated ones alone."""
    for path in modules:
        source = directory / path
        text = source.read_text(encoding="utf-8")
        source.write_text(re.sub(r"(?m)^ *@lru_cache(\(.*\))?\n", "", text), encoding="utf-8")


def modules_of(root: Path) -> list[str]:
    """The paths of the modules to be mutated."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return list(settings["tool"]["mutmut"]["only_mutate"])


def run_mutmut(directory: Path, names: Sequence[str], jobs: int, say: Say) -> None:
    """Try the mutants of these names in the copy; raises Unfinished where it breaks off."""
    # Named, mutmut first runs the unchanged code by the ids of its tests as it will run each
    # mutant: an id that pytest does not find again would else count as a mutant noticed.
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names]
    # The order of tests comes out of sets; hypothesis takes its fixed seed from its profile.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    log = directory / "mutmut.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                _wait(process)
                say(f"mutation: {_last_line(log)}")
        finally:
            process.terminate()
    if process.returncode:
        raise Unfinished(f"mutmut ended with {process.returncode}: see {log}")


def try_all(
    directory: Path, modules: Sequence[str], jobs: int, say: Say
) -> dict[str, list[Mutant]]:
    """Try every mutant of these modules; what took too long a second time, one by one.

    A machine that is busy with something else is no endless loop.
    """
    names = [f"{path.removesuffix('.py').replace('/', '.')}.*" for path in modules]
    run_mutmut(directory, names, jobs, say)
    mutants = read_mutants(directory / "mutants", modules)
    every = [mutant for found in mutants.values() for mutant in found]
    if late := [mutant.name for mutant in every if mutant.outcome == "timeout"]:
        say(f"mutation: {len(late)} took too long: once more")
        run_mutmut(directory, late, 1, say)
    return read_mutants(directory / "mutants", modules)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_TELL_EVERY)
    except subprocess.TimeoutExpired:
        return


def _last_line(log: Path) -> str:
    """Where mutmut is: it draws its count of mutants over and over on one line."""
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    counts = [line for line in text.splitlines() if "/" in line and "🎉" in line]
    return " ".join(counts[-1].split()[1:2]) + " tried" if counts else "preparing"


def judge(mutants: Mapping[str, Sequence[Mutant]], comparison: Comparison) -> Part:
    """The table; broken is a new survivor in a module that scores too low."""
    each = {path: score(found) for path, found in mutants.items()}
    all_of_them = score([mutant for found in mutants.values() for mutant in found])
    rows = [_row(f"`{path}`", one) for path, one in each.items()]
    low = {path for path, one in each.items() if one.percent < ENOUGH}
    modules = {path.removesuffix(".py").replace("/", ".") for path in low}
    broken = [
        f"new survivor in a module below {ENOUGH:.0f} %: {one.name}"
        for one in comparison.new
        if one.module in modules
    ]
    return Part(
        title="Mutation of the pure core",
        about=(
            "Each mutant is one small change to the code (an operator, a constant, an "
            "argument, a condition); a mutant that no unit test notices survives. A change "
            "that twice took fifteen times as long as its tests counts as noticed. "
            f"{len(comparison.known)} of the survivors are listed with a reason in "
            f"`proof/survivors.toml`, {len(comparison.new)} are new."
        ),
        header=("module", "mutants", "killed", "survived", "timeouts", "score"),
        rows=(*rows, _row("all", all_of_them)),
        broken=tuple(broken),
    )


def _row(name: str, one: Score) -> tuple[str, ...]:
    counts = (one.mutants, one.killed, one.survived, one.timeouts)
    return (name, *(f"{count:,}" for count in counts), f"{one.percent:.1f} %")


def details(comparison: Comparison) -> str:
    """Every survivor with its change, the new ones last; entries that are needed no more."""
    lines = [f"known: {one.diff()}\n  reason: {why}" for one, why in comparison.known]
    lines += [f"new: {one.name}\n{one.diff()}" for one in comparison.new]
    lines += [f"no longer survives, take it out of the list: {one}" for one in comparison.gone]
    return "\n\n".join(lines)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof.mutation", description=__doc__)
    parser.add_argument("--module", action="append", help="a path; leave the rest out")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project")
    parser.add_argument("--directory", type=Path, help="of the copy (build/mutation)")
    parser.add_argument("--survivors", type=Path, default=SURVIVORS)
    parser.add_argument("--write", type=Path, help="put the table into this page as well")
    return parser.parse_args(argv)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main(argv: Sequence[str]) -> int:
    """Run what is asked for; returns the exit code."""
    options = _arguments(argv)
    if importlib.util.find_spec("mutmut") is None:
        sys.stderr.write("error: mutmut is not installed: `make install` installs it\n")
        return 1
    try:
        return _run(options)
    except Unfinished as error:
        sys.stderr.write(
            f"error: {error}\nNothing is judged; put that right and run it again.\n"
        )
        return 1


def _run(options: argparse.Namespace) -> int:
    reasons = read_survivors(options.survivors)
    directory = options.directory or options.root / "build" / "mutation"
    modules = options.module or modules_of(options.root)
    copy_tree(options.root, directory)
    bare_caches(directory, modules)
    began = time.monotonic()
    mutants = try_all(directory, modules, options.jobs, _say)
    every = [mutant for found in mutants.values() for mutant in found]
    comparison = compare(every, reasons)
    part = judge(mutants, comparison)
    sys.stdout.write(f"{details(comparison)}\n\n{part.markdown()}\n")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime  # beside other work the clock says little
    _say(f"mutation: took {time.monotonic() - began:,.0f} s, {spent:,.0f} s of processor time")
    if options.write:
        replace_run(options.write, part.markdown(), BEGIN, END)
    return 1 if part.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
