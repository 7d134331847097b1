"""The exporter as it is, in a process that tells on SIGUSR1 what cannot be seen from outside.

The signal writes the number of tasks of the event loop and of allocated blocks to the file
that the environment names.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from exporter.cli import main

NAMED = "SOAK_LOOK"


def tell(number: int, frame: FrameType | None) -> None:
    """Write what is there at this moment; the loop runs in this thread."""
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # not yet, or not any more
        tasks = 0
    path = Path(os.environ[NAMED])
    found = {"tasks": tasks, "blocks": sys.getallocatedblocks()}
    half = path.with_suffix(".half")
    half.write_text(json.dumps(found), encoding="utf-8")
    half.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    main()
