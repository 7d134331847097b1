"""Locks between tasks and processes: one exporter a directory, one request a token.

Beside its lock a running exporter keeps a heartbeat in its directory: a file with the monotonic
clock, which all processes of a machine share and nobody sets back. `wolkvox-exporter
healthcheck` reads it, whatever addresses, TLS and users the exporter serves with.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import queue
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from exporter.errors import StartError, StorageError
from exporter.runtime import Clock, start_thread, thread_limit

HEARTBEAT = "alive"
BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0
_PATIENCE = 0.2  # seconds between looks at a lock that another process holds
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class DirectoryLock:
    """Held on a state directory while an exporter runs, even if the directory is emptied."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, directory: Path) -> Self:
        """Take the lock; raises StartError where another exporter holds it."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(directory, _DIRECTORY)
        except OSError as error:
            raise StartError("unwritable", directory=directory, why=error.strerror) from error
        try:
            # An exporter holds the lock alone; `is_held` shares it for a moment.
            for _ in range(1000):
                if _try_lock(descriptor):
                    return cls(descriptor)
                if not _try_lock(descriptor, fcntl.LOCK_SH):
                    break
                os.sched_yield()
        except StorageError as error:
            os.close(descriptor)
            raise StartError("unwritable", directory=directory, why=error) from error
        os.close(descriptor)
        raise StartError("taken", directory=directory)

    @staticmethod
    def is_held(directory: Path) -> bool:
        """Whether an exporter runs on the directory; raises StartError, StorageError."""
        try:
            descriptor = os.open(directory, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StartError("unreadable", path=directory, why=error.strerror) from error
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the directory free for the next exporter."""
        os.close(self._descriptor)


class TokenGate:
    """One request at a time per token: first among the tasks, then among the processes."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory, self._clock = directory / "locks", clock
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def hold(self, digest: str) -> AsyncIterator[None]:
        """Wait for the token's turn, if there is a token, and hold it; raises StorageError."""
        if not digest:
            yield
            return
        async with self._locks.setdefault(digest, asyncio.Lock()):
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                descriptor = os.open(self._directory / f"{digest[:32]}.lock", _LOCK_FILE, 0o600)
            except OSError as error:
                raise StorageError(f"{self._directory}: {error.strerror}") from error
            try:
                while not _try_lock(descriptor):
                    await self._clock.sleep(_PATIENCE)
                yield
            finally:
                os.close(descriptor)


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise StorageError(f"a lock cannot be taken: {error.strerror}") from error
    return True


# Heartbeat ---------------------------------------------------------------------------------


async def beat(directory: Path, healthy: Callable[[], bool], clock: Clock) -> None:
    """Write a sign of life while `healthy`, in a thread: a disk may hang. Raises StartError."""
    moments: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    def write() -> None:
        while (moment := moments.get()) is not None:
            with suppress(OSError):
                _write_over(directory, b"%012d\n" % moment)

    try:
        start_thread("heartbeat", write)
    except RuntimeError as error:
        raise thread_limit(error) from None
    try:
        while True:
            if healthy() and moments.empty():
                moments.put(clock.monotonic())
            await clock.sleep(BEAT_SECONDS)
    finally:
        moments.put(None)


def ask_health(directory: Path, now: float) -> StartError | None:
    """None where the exporter of this state directory lives, else why not.

    `now` is the monotonic clock. Where the file cannot be written, on a full or a read-only
    disk, the exporter cannot write it either and serves on: then the lock alone tells.
    """
    if not DirectoryLock.is_held(directory):
        return StartError("absent", directory=directory)
    written = b""
    # OSError: there is no file yet, or none can be read; ValueError: it holds no moment.
    with suppress(OSError, ValueError):
        with (directory / HEARTBEAT).open("rb") as file:
            written = file.read(32)
        if 0 <= now - float(written) < STALE_SECONDS:  # one of a boot before may lie ahead
            return None
    with suppress(OSError):
        _write_over(directory, written)
        return StartError("stuck")
    return None


def _write_over(directory: Path, moment: bytes) -> None:
    """Write over what stands there: it takes no new place on a disk that is full."""
    descriptor = os.open(directory / HEARTBEAT, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, moment)
    finally:
        os.close(descriptor)
