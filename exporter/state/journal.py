"""The state file beside the event loop: one thread, commits gathered; decides nothing.

A flush to the disk takes milliseconds; on the loop it would hold up every scrape. Writes
that arrive while a flush is under way share the next one; where they do, the next but one
waits a moment for more.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from exporter.errors import StorageError
from exporter.state.storage import Storage

T = TypeVar("T")
CLOSING_SECONDS = 2.0
_MOST = 64  # writes in one flush: bounds how much one failing disk refuses at once
# After a flush that several shared: hundreds of operations write all the time, and each flush
# costs as much as several writes. Whoever writes alone waits for nobody.
_GATHER_SECONDS = 0.05


class State(Protocol):
    """The one interface through which the poll loops reach what is kept."""

    async def write(self, step: Callable[[Storage], T]) -> T:
        """Run a step of `Storage` in a flushed transaction; raises StorageError."""
        ...


class DirectState:
    """State without a thread: for tools that do one thing, and for tests in virtual time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def write(self, step: Callable[[Storage], T]) -> T:
        """Run the step at once, on the caller's thread."""
        result: T = self._storage.transact([step])[0]
        return result


_Job = tuple[Callable[[Storage], Any], "asyncio.Future[Any]"]


class Journal:
    """State with a writer thread; `close` waits for what was handed over before."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()

    async def write(self, step: Callable[[Storage], T]) -> T:
        """Hand the step to the writer and wait until it is on the disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((step, future))
        return await future

    def close(self) -> None:
        """Finish what was handed over and end the thread."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join(CLOSING_SECONDS)

    def _work(self) -> None:
        flushed_at, crowded = -math.inf, False
        while (job := self._jobs.get()) is not None:
            since = self._loop.time() - flushed_at
            if crowded and since < _GATHER_SECONDS and self._jobs.qsize() < _MOST:
                self._closing.wait(_GATHER_SECONDS - since)
            batch = [job]
            ended = False
            while len(batch) < _MOST and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._commit(batch)
            flushed_at, crowded = self._loop.time(), len(batch) > 1
            if ended:
                return

    def _commit(self, batch: list[_Job]) -> None:
        try:
            results = self._storage.transact([step for step, _ in batch])
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            if len(batch) > 1 and not isinstance(error, StorageError):
                # A defect in one step is none of its neighbours' business.
                for job in batch:
                    self._commit([job])
                return
            self._answer([(future, None, error) for _, future in batch])
            return
        self._answer(
            [(future, result, None) for (_, future), result in zip(batch, results, strict=True)]
        )

    def _answer(
        self, answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]]
    ) -> None:
        def deliver() -> None:
            for future, result, error in answers:
                if future.done():  # the waiter was cancelled; what it wrote stays written
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._loop.call_soon_threadsafe(deliver)
