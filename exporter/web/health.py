"""The heartbeat of a running exporter, a file in its state directory; knows no HTTP.

The file holds the monotonic clock, which all processes of a machine share and nobody sets
back. `wolkvox-exporter healthcheck` reads it, whatever addresses, TLS and users the exporter
serves with.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from exporter.state.locks import DirectoryLock

NAME = "alive"
BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0


async def beat(
    directory: Path,
    healthy: Callable[[], bool],
    monotonic: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Write a sign of life every few seconds while `healthy`, until cancelled.

    A thread writes it: a disk that hangs holds up no scrape.
    """
    moments: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    def write() -> None:
        # Signals are for the thread of the event loop.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (moment := moments.get()) is not None:
            with contextlib.suppress(OSError):
                _write(directory, b"%012d\n" % moment)

    threading.Thread(target=write, name="heartbeat", daemon=True).start()
    try:
        while True:
            if healthy() and moments.empty():
                moments.put(monotonic())
            await sleep(BEAT_SECONDS)
    finally:
        moments.put(None)


def ask_health(directory: Path, now: float) -> str | None:
    """None where the exporter of this state directory lives, else a sentence why not.

    `now` is the monotonic clock. Where the file cannot be written, on a full or a read-only
    disk, the exporter cannot write it either and serves on: then the lock alone tells.
    """
    if not DirectoryLock.is_held(directory):
        return f"no exporter runs on the state directory {directory}"
    written = b""
    # OSError: there is no file yet, or none can be read; ValueError: it holds no moment.
    with contextlib.suppress(OSError, ValueError):
        with (directory / NAME).open("rb") as file:
            written = file.read(32)
        if 0 <= now - float(written) < STALE_SECONDS:  # one of a boot before may lie ahead
            return None
    with contextlib.suppress(OSError):
        _write(directory, written)
        return "the exporter runs, but a poll loop has stood still for too long"
    return None


def _write(directory: Path, moment: bytes) -> None:
    """Write over what stands there: it takes no new place on a disk that is full."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(directory / NAME, flags, 0o600)
    try:
        os.write(descriptor, moment)
    finally:
        os.close(descriptor)
