"""Writing the state from a poll loop: a refusal is a value, said once; decides no slot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from exporter.errors import StorageError
from exporter.logs import say
from exporter.polling.observer import Observer
from exporter.state.storage import State, Storage

log = logging.getLogger(__name__)
T = TypeVar("T")


class Disk:
    """Whether the state can be written, said once for all operations that write to it."""

    def __init__(self) -> None:
        self._writable = True

    def refused(self, error: StorageError) -> None:
        """Note that a write failed."""
        if self._writable:
            message = "the state cannot be written: no request leaves until it can"
            say(log, logging.ERROR, message, error=str(error))
        self._writable = False

    def accepted(self) -> None:
        """Note that a write succeeded."""
        if not self._writable:
            say(log, logging.INFO, "the state can be written again")
        self._writable = True


class Keeper:
    """The state file as one operation's loop sees it."""

    def __init__(self, state: State, observer: Observer, disk: Disk) -> None:
        self._state = state
        self._observer = observer
        self._disk = disk

    async def write(self, step: Callable[[Storage], T]) -> T | None:
        """Run a step; None where the state cannot be written."""
        try:
            result = await self._state.write(step)
        except StorageError as error:
            self.refused(error)
            return None
        self.accepted()
        return result

    async def need(self, step: Callable[[Storage], T]) -> T:
        """Read what nothing goes on without; raises StorageError.

        That it succeeds does not say that anything can be written.
        """
        return await self._state.write(step)

    def refused(self, error: StorageError) -> None:
        """Note that the state could not be written; no request leaves until it can."""
        self._disk.refused(error)
        self._observer.storage(False)

    def accepted(self) -> None:
        """Note that the state was written."""
        self._disk.accepted()
        self._observer.storage(True)
