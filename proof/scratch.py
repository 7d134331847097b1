"""Where short-lived files lie that are flushed all the time: in memory where there is some."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made below it


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """An empty directory of its own; it goes with the block."""
    base = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    return tempfile.TemporaryDirectory(dir=base, prefix=prefix)
