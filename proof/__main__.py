"""`python -m proof`: try everything, print a table of each part; exit 1 where one broke."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.page import replace_run
from proof.part import Part, Prove, Scale

# Each is a module of this package with a function `prove`; loaded when it is run.
PARTS = ("faults", "fuzz", "crash", "soak")
SIZES = [field for field in fields(Scale) if "help" in field.metadata]
_WORDS = 400
"""Letters of an exception that are told; stderr has all of them."""


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0: {text!r}")
        return number

    read.__name__ = "number"  # argparse says "invalid number value"
    return read


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read what is asked for; what cannot work is refused now and not after half an hour."""
    about = str(__doc__).partition(": ")[2].capitalize()
    parser = argparse.ArgumentParser(prog="python -m proof", description=about)
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="run this part (again for more)"
    )
    for field in SIZES:
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=_positive(type(field.default)),
            default=field.default,
            metavar=field.metadata["metavar"],
            help=field.metadata["help"] + " (default: %(default)g)",
        )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the result into this page as well"
    )
    options = parser.parse_args(argv)
    options.only = tuple(dict.fromkeys(options.only or PARTS))
    if "faults" in options.only and shutil.which("openssl") is None:
        parser.error("faults make certificates with the program openssl")
    if options.write:
        try:
            replace_run(options.write, None)
        except (OSError, ValueError) as error:
            parser.error(f"--write: {error}")
    return options


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def run(names: Sequence[str], scale: Scale, directory: Path) -> list[tuple[Part, float]]:
    """Run these parts one after the other; each with the seconds that it took."""
    done = []
    for name in names:
        _say(f"{name}: begins")
        began = time.monotonic()
        part = _try(name, scale, directory / name)
        done.append((part, time.monotonic() - began))
        for text in part.broken:
            _say(f"{name}: did not hold: {text}")
    return done


def _try(name: str, scale: Scale, work: Path) -> Part:
    """One part; one that breaks off is a part that did not hold, and the rest go on."""
    try:
        work.mkdir()
        prove: Prove = import_module(f"proof.{name}").prove
        return prove(scale, work, _say)
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - a part may be any code
        traceback.print_exc()
        words = " ".join(str(error).split())
        if len(words) > _WORDS:
            words = f"{words[:_WORDS]} …"
        broken = f"{name} broke off: {type(error).__name__}: {words}"
        rows = (("all of it", "not seen to its end"),)
        return Part(name.capitalize(), "It broke off.", ("what", "seen"), rows, (broken,))


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
    scale = Scale(**{field.name: getattr(options, field.name) for field in SIZES})
    with tempfile.TemporaryDirectory(prefix="wolkvox-proof-") as name:
        done = run(options.only, scale, Path(name))
    result = page(done)
    sys.stdout.write(result)
    if options.write:
        replace_run(options.write, result)
    return 1 if any(part.broken for part, _ in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
