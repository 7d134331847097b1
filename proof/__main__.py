"""`python -m proof`: try everything, print a table of each part; exit 1 where one broke."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from benchmarks import machine
from benchmarks.page import replace_run
from proof.part import Part, Prove, Scale

# Each is a module of this package with a function `prove`; loaded when it is run.
PARTS = ("faults", "fuzz", "crash", "soak", "transport")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the rest out")
    for field in fields(Scale):
        kind = type(field.default)
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=kind, default=field.default, help=f"{field.default}")
    parser.add_argument("--write", type=Path, help="put the result into this page as well")
    return parser.parse_args(argv)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def run(names: Sequence[str], scale: Scale, directory: Path) -> list[tuple[Part, float]]:
    """Run these parts one after the other; each with the seconds that it took."""
    done = []
    for name in names:
        _say(f"{name}: begins")
        prove: Prove = import_module(f"proof.{name}").prove
        began = time.monotonic()
        work = directory / name
        work.mkdir()
        part = prove(scale, work, _say)
        done.append((part, time.monotonic() - began))
        for text in part.broken:
            _say(f"{name}: did not hold: {text}")
    return done


def page(done: Sequence[tuple[Part, float]]) -> str:
    """The Markdown of a run."""
    lines = "\n".join(f"- {line}" for line in machine.describe())
    took = "| part | held | took |\n| --- | --- | ---: |\n" + "\n".join(
        f"| {part.title} | {'**no**' if part.broken else 'yes'} | {seconds:,.0f} s |"
        for part, seconds in done
    )
    return "\n\n".join([lines, took, *(part.markdown() for part, _ in done)]) + "\n"


def main(argv: Sequence[str]) -> int:
    """Run what is asked for; returns the exit code."""
    options = _arguments(argv)
    scale = Scale(**{field.name: getattr(options, field.name) for field in fields(Scale)})
    with tempfile.TemporaryDirectory(prefix="wolkvox-proof-") as name:
        done = run(options.only or PARTS, scale, Path(name))
    result = page(done)
    sys.stdout.write(result)
    if options.write:
        replace_run(options.write, result)
    return 1 if any(part.broken for part, _ in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
