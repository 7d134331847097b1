"""`python -m proof.fuzz_target NAME NEW CORPUS -max_total_time=N -seed=N ...`: fuzz one target.

Options are libFuzzer's. With atheris it is libFuzzer, guided by coverage of the exporter and
of the parsers it uses; without it (other machines, newer Pythons), or with
`--engine=mutator`, random changes of the corpus under the same options and with the same
statistics.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from proof.fuzz_mutate import Mutator, read_corpus, read_dictionary

TARGETS = ("answer", "config", "web_config", "http", "state")
ROOT = Path(__file__).parent
CORPUS = ROOT / "corpus"
MUTATOR = "--engine=mutator"
_CRASHED = 77
_USAGE = f"usage: python -m proof.fuzz_target {{{','.join(TARGETS)}}} NEW CORPUS -OPTION=...\n"
_INSTRUMENTED = ["exporter", "yaml", "uvicorn.protocols"]


def target(name: str) -> Callable[[bytes], None]:
    """The function of a target: it raises where an input breaks a promise."""
    found: Callable[[bytes], None] = importlib.import_module(f"proof.fuzz_{name}").one
    return found


def corpus(name: str) -> Path:
    """The folder with the known inputs of a target."""
    return CORPUS / name


def dictionary(name: str) -> Path:
    """The words that inputs of a target are made of."""
    return CORPUS / f"{name}.dict"


def engine() -> str:
    """What guides the search on this machine."""
    return "atheris" if importlib.util.find_spec("atheris") else "mutator"


def main(argv: Sequence[str]) -> None:
    """Fuzz until the time is over or something breaks; does not return."""
    if not argv:
        sys.stderr.write(_USAGE)
        sys.exit(2)
    name, *rest = argv
    if name not in TARGETS:
        sys.exit(f"no such target: {name} (there are {', '.join(TARGETS)})")
    forced = MUTATOR in rest
    options = [one for one in rest if one != MUTATOR]
    if forced or engine() == "mutator":
        sys.exit(_mutate(target(name), options))
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        function = target(name)
    atheris.Setup([sys.argv[0], *options], function)
    atheris.Fuzz()


def _mutate(function: Callable[[bytes], None], argv: Sequence[str]) -> int:
    """The same without atheris: no coverage, and nothing new for the corpus."""
    options = dict(one.removeprefix("-").split("=", 1) for one in argv if one.startswith("-"))
    folders = [Path(one) for one in argv if not one.startswith("-")]
    known = [data for folder in folders for data in read_corpus(folder)]
    words = read_dictionary(Path(options["dict"])) if "dict" in options else []
    mutator = Mutator(random.Random(int(options.get("seed", 1))), known, words)
    began, count = time.monotonic(), 0
    ends = began + float(options.get("max_total_time", 60))
    queue = list(known)
    while queue or time.monotonic() < ends:
        data = queue.pop() if queue else mutator.draw()
        count += 1
        try:
            function(data)
        except Exception:  # noqa: BLE001 - whatever a target raises is what is looked for
            traceback.print_exc()
            digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            Path(f"{options.get('artifact_prefix', '')}crash-{digest}").write_bytes(data)
            return _CRASHED
    seconds = max(time.monotonic() - began, 0.001)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"stat::number_of_executed_units: {count}", file=sys.stderr)
    print(f"stat::average_exec_per_sec: {int(count / seconds)}", file=sys.stderr)
    print(f"stat::peak_rss_mb: {peak}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1:])
