"""The part `fuzz`: inputs that nobody thought of, at every edge where foreign bytes come in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
_AT_ONCE = 2
_WORTH_GUIDING = 5.0  # seconds: below it instrumenting the code takes longer than the run
_START = 300.0  # seconds beyond its time that a child may take, until it is given up
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"^#\d+\s+(?:INITED|DONE|NEW|REDUCE|pulse).*?cov: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """One target: its row of the table, and what broke."""

    row: tuple[str, ...]
    broken: tuple[str, ...]


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
    """Fuzz one target in a process of its own; inputs that break it stay in `kept`."""
    new, before = directory / name, set(kept.glob(f"{name}-*"))
    for folder in (new, kept):
        folder.mkdir(parents=True, exist_ok=True)
    argv = [
        *(*command, name, str(new), str(CORPUS / name)),
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={seed}",
        f"-artifact_prefix={kept}/{name}-",
        f"-dict={CORPUS / name}.dict",
        f"-max_len={MAX_LENGTH}",
        "-timeout=120",  # seconds for one input, on a machine that may be busy
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        *extra,
    ]
    # libFuzzer ends a process without any of Python's endings: what it leaves goes from here.
    with tempfile.TemporaryDirectory(prefix="wolkvox-proof-", dir=memory()) as own:
        code, told = _ended(argv, seconds + _START, own)
    statistics = {key: f"{int(value):,}" for key, value in _STATISTIC.findall(told)}
    edges = _PROGRESS.findall(told)
    crashes = sorted(set(kept.glob(f"{name}-*")) - before)
    row = (
        TARGETS[name][0],
        "mutator" if MUTATOR in extra else engine(),
        statistics.get("number_of_executed_units", "?"),
        statistics.get("average_exec_per_sec", "?"),
        f"{edges[0]} → {edges[-1]} edges" if edges else "not measured",
        f"{len(list((CORPUS / name).iterdir()))} + {len(list(new.iterdir()))}",
        str(len(crashes)),
        # Linux counts the peak of whoever started it as well.
        f"{statistics.get('peak_rss_mb', '?')} MiB",
    )
    why = re.findall(r"^\w*(?:Error|Exception)\b.*$", told, re.MULTILINE)
    reason = why[-1] if why else "it ended there, hung, or took too much memory"
    broken = [f"{name}: {reason}; the input is {path}" for path in crashes]
    if not broken and (code != 0 or not statistics):
        last = " / ".join(told.strip().splitlines()[-3:])
        broken = [f"{name}: the fuzzer ended with code {code}: {last}"]
    return Run(row, tuple(broken))


def _ended(argv: Sequence[str], seconds: float, scratch: str) -> tuple[int, str]:
    """How a child ended, and what it told."""
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=ROOT, env=os.environ | {"TMPDIR": scratch}, check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "it did not come to its end"
    return ended.returncode, ended.stdout.decode("utf-8", "replace")


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Fuzz every target, two at a time, then real processes over real sockets."""

    extra = () if scale.fuzz_seconds >= _WORTH_GUIDING else (MUTATOR,)

    def run(name: str) -> Run:
        done = fuzz(name, scale.fuzz_seconds, scale.seed, directory, extra=extra)
        say(f"fuzz: {name}: {done.row[2]} executions")
        return done

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        runs = list(pool.map(run, TARGETS))
    runs.append(_storm(storm(scale.fuzz_seconds, scale.seed, directory / "http")))
    broken = tuple(text for one in runs for text in one.broken)
    return Part("Fuzzing", ABOUT, HEADER, tuple(one.row for one in runs), broken)


def _storm(found: Storm) -> Run:
    row = (
        "requests over real sockets, to the answers",
        "mutator", f"{found.connections:,}", f"{found.rate:,.0f}", "not measured",
        f"{found.known} + 0", str(len(found.broken)), f"{found.rss:.0f} MiB",
    )  # fmt: skip
    return Run(row, tuple(f"sockets: {text}" for text in found.broken))
