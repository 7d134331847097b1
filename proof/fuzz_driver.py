"""`python -m proof.fuzz_driver NAME NEW CORPUS -max_total_time=N -seed=N ...`: fuzz one target.

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
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

# Each with what it reads, and the module and function that raise where a promise is broken.
TARGETS = {
    "answer": ("an answer of the API, from its bytes to the page", "fuzz_exporter.one_answer"),
    "config": ("the configuration file", "fuzz_config.one"),
    "web_config": ("the web configuration file", "fuzz_config.one_web"),
    "state": ("a row of the state file", "fuzz_exporter.one_row"),
}
CORPUS = Path(__file__).parent / "corpus"
MUTATOR = "--engine=mutator"
MAX_LENGTH = 16 * 1024
_CRASHED = 77
_INSTRUMENTED = ["exporter", "yaml", "uvicorn.protocols"]
_ENTRY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*$')
_INTERESTING = (b"\0", b"\xff", b"\x7f", b"\r\n", b"-1", b"65536", b"1e999", b"\xed\xa0\x80")


def target(name: str) -> Callable[[bytes], None]:
    """The function of a target."""
    module, _, function = TARGETS[name][1].partition(".")
    found: Callable[[bytes], None] = getattr(
        importlib.import_module(f"proof.{module}"), function
    )
    return found


def engine() -> str:
    """What guides the search on this machine."""
    return "atheris" if importlib.util.find_spec("atheris") else "mutator"


def read_corpus(directory: Path) -> list[bytes]:
    """The inputs of a directory, in the order of their names."""
    return [path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()]


def read_dictionary(path: Path) -> list[bytes]:
    """The words of a dictionary in libFuzzer's form: one quoted word a line."""
    found = (_ENTRY.search(line) for line in path.read_bytes().splitlines())
    return [entry[1].decode("unicode_escape").encode("latin-1") for entry in found if entry]


class Mutator:
    """Draws inputs: a known one, changed some times."""

    def __init__(
        self, rng: random.Random, corpus: Sequence[bytes], words: Sequence[bytes]
    ) -> None:
        self._rng = rng
        self._corpus = list(corpus) or [b""]
        self._words = [*words, *_INTERESTING]

    def draw(self) -> bytes:
        """The next input."""
        data = bytearray(self._rng.choice(self._corpus))
        for _ in range(self._rng.choice((1, 1, 2, 3, 5, 8))):
            self._change(data)
        return bytes(data[:MAX_LENGTH])

    def _change(self, data: bytearray) -> None:
        rng = self._rng
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64, 256)))
        match rng.randrange(7):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = rng.choice(self._words)
            case 2:
                data[at:end] = rng.choice(self._words)
            case 3:
                data[at:at] = data[at:end] * rng.choice((1, 2, 8))
            case 4:
                other = rng.choice(self._corpus)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case 5:
                data[at:end] = rng.randbytes(end - at)
            case _:
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)


def main(name: str, *rest: str) -> None:
    """Fuzz until the time is over or something breaks; does not return."""
    options = [one for one in rest if one != MUTATOR]
    if MUTATOR in rest or engine() == "mutator":
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
    while count < len(known) or time.monotonic() < ends:
        data = known[count] if count < len(known) else mutator.draw()
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
    main(*sys.argv[1:])
