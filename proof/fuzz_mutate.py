"""Random changes of known inputs: for the real socket, and where atheris is not installed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

MAX_LENGTH = 16 * 1024
_ENTRY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*$')
_INTERESTING = (b"\0", b"\xff", b"\x7f", b"\r\n", b"-1", b"65536", b"1e999", b"\xed\xa0\x80")


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
