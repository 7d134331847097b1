"""The part `fuzz`: inputs that nobody thought of, at every edge where foreign bytes come in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof.fuzz_driver import CORPUS, MAX_LENGTH, MUTATOR, TARGETS, engine
from proof.fuzz_http import Storm, storm
from proof.part import Part, Say, Scale, memory

HEADER = (
    "target", "engine", "executions", "a second", "coverage reached",
    "inputs known + found", "crashes", "peak RSS at most",
)  # fmt: skip
ABOUT = (
    "Where foreign bytes come in they are changed at random, guided by the code that they "
    "reach (atheris, which is libFuzzer; where it is not installed, by chance alone), and "
    "promises are checked for each: only the failures that are meant come out, counters never "
    "fall and buckets are cumulative from answer to answer, both formats of the page parse and "
    "say the same, no text tells a token, every HTTP answer is whole. After the sockets a "
    "scrape is answered, no traceback is in the log and no descriptor is lost."
)
ROOT = Path(__file__).parent.parent
# Where the inputs that break something are kept for people.
FOUND = ROOT / "build" / "fuzz"
_HANGS = 120  # seconds for one input, on a machine that may be busy
_MEMORY = 2048  # MiB
_AT_ONCE = 2
_WORTH_GUIDING = 5.0  # seconds: below it instrumenting the code takes longer than the run
_START = 300.0  # seconds beyond its time that a child may take, until it is given up
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"^#\d+\s+(INITED|DONE|NEW|REDUCE|pulse).*?cov: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What a child told: how it ended, libFuzzer's statistics, and edges at start and end."""

    name: str
    engine: str
    code: int
    told: str
    known: int
    found: int
    crashes: tuple[Path, ...] = ()

    def statistic(self, name: str) -> int | None:
        """One of libFuzzer's final statistics."""
        return {key: int(value) for key, value in _STATISTIC.findall(self.told)}.get(name)

    @property
    def coverage(self) -> str:
        """Edges of the code reached by the corpus, and in the end."""
        edges = [int(edge) for _, edge in _PROGRESS.findall(self.told)]
        return f"{edges[0]:,} → {edges[-1]:,} edges" if edges else "not measured"

    def row(self) -> tuple[str, ...]:
        """The line of the table."""
        count = self.statistic("number_of_executed_units")
        rate = self.statistic("average_exec_per_sec")
        # Linux counts the peak of whoever started it as well.
        peak = self.statistic("peak_rss_mb")
        return (
            TARGETS[self.name][0],
            self.engine,
            "?" if count is None else f"{count:,}",
            "?" if rate is None else f"{rate:,}",
            self.coverage,
            f"{self.known} + {self.found}",
            str(len(self.crashes)),
            "?" if peak is None else f"{peak} MiB",
        )

    def broken(self) -> Iterable[str]:
        """Sentences on what broke."""
        for path in self.crashes:
            why = re.findall(r"^\w*(?:Error|Exception)\b.*$", self.told, re.MULTILINE)
            reason = why[-1] if why else "it ended there, hung, or took too much memory"
            yield f"{self.name}: {reason}; the input is {path}"
        ended = self.statistic("number_of_executed_units") is not None
        if not self.crashes and (self.code != 0 or not ended):
            last = " / ".join(self.told.strip().splitlines()[-3:])
            yield f"{self.name}: the fuzzer ended with code {self.code}: {last}"


def fuzz(
    name: str,
    seconds: float,
    seed: int,
    directory: Path,
    *,
    command: Sequence[str] = (sys.executable, "-m", "proof.fuzz_driver"),
    extra: Sequence[str] = (),
    kept: Path = FOUND,
) -> Run:
    """Fuzz one target in a process of its own; new inputs stay in `directory`."""
    new, artefacts = directory / name, directory / f"{name}-broken"
    new.mkdir()
    artefacts.mkdir()
    argv = [
        *(*command, name, str(new), str(CORPUS / name)),
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={seed}",
        f"-artifact_prefix={artefacts}/",
        f"-dict={CORPUS / name}.dict",
        f"-max_len={MAX_LENGTH}",
        f"-timeout={_HANGS}",
        f"-rss_limit_mb={_MEMORY}",
        "-print_final_stats=1",
        *extra,
    ]
    # libFuzzer ends a process without any of Python's endings: what it leaves goes from here.
    with tempfile.TemporaryDirectory(prefix="wolkvox-proof-", dir=memory()) as own:
        code, told = _ended(argv, seconds + _START, own)
    return Run(
        name,
        "mutator" if MUTATOR in extra else engine(),
        code,
        told,
        len(list((CORPUS / name).iterdir())),
        len(list(new.iterdir())),
        tuple(_keep(name, artefacts, kept)),
    )


def _ended(argv: Sequence[str], seconds: float, scratch: str) -> tuple[int, str]:
    """How a child ended, and what it told."""
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | {"TMPDIR": scratch},
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, "it did not come to its end"
    return ended.returncode, ended.stdout.decode("utf-8", "replace")


def _keep(name: str, artefacts: Path, kept: Path) -> Iterable[Path]:
    """Copy the inputs that broke something to where they outlast the run."""
    for path in sorted(artefacts.iterdir()):
        kept.mkdir(parents=True, exist_ok=True)
        yield Path(shutil.copy(path, kept / f"{name}-{path.name}"))


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Fuzz every target, two at a time, then real processes over real sockets."""

    extra = () if scale.fuzz_seconds >= _WORTH_GUIDING else (MUTATOR,)

    def run(name: str) -> Run:
        done = fuzz(name, scale.fuzz_seconds, scale.seed, directory, extra=extra)
        say(f"fuzz: {name}: {done.statistic('number_of_executed_units')} executions")
        return done

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        runs = list(pool.map(run, TARGETS))
    found = storm(scale.fuzz_seconds, scale.seed, directory / "http")
    broken = [text for one in runs for text in one.broken()]
    broken += [f"sockets: {text}" for text in found.broken]
    return Part(
        "Fuzzing", ABOUT, HEADER, (*(one.row() for one in runs), _row(found)), tuple(broken)
    )


def _row(found: Storm) -> tuple[str, ...]:
    return (
        "requests over real sockets, to the answers",
        "mutator", f"{found.connections:,}", f"{found.rate:,.0f}", "not measured",
        f"{found.known} + 0", str(len(found.broken)), f"{found.rss:.0f} MiB",
    )  # fmt: skip
