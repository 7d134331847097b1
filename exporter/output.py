"""Standard output: letters that it lacks, and a disk that is full."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.errors import OutputError


class _Output(io.TextIOWrapper):
    """Standard output; raises OutputError, once, where it takes nothing."""

    def write(self, text: str, /) -> int:
        """Write text, with a question mark for each letter that the encoding lacks."""
        if text == "":  # click asks thus what kind of stream it is, and forgets a failure
            return 0
        with self._failures():
            return super().write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._failures():
            super().flush()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head`: the reader has enough
                raise
            # What is buffered would fail again, at the interpreter's end with a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            raise OutputError(f"the output cannot be written: {error.strerror}") from error


def guard_output() -> None:
    """Let neither a name that the terminal cannot show nor a full disk end in a traceback."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        ascii_only = codecs.lookup(out.encoding).name == "ascii"
        # click takes no ASCII: it would write UTF-8 through a stream of its own, past this one.
        encoding = "utf-8" if ascii_only else out.encoding
        lines, at_once = out.line_buffering, out.write_through
        sys.stdout = _Output(out.detach(), encoding, "replace", None, lines, at_once)
