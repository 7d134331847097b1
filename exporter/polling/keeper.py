"""Writing the state from a poll loop: a refusal is a value, said once; decides no slot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from exporter.errors import StorageError
from exporter.logs import say
from exporter.polling.observer import Observer
from exporter.state.journal import State
from exporter.state.storage import Storage

log = logging.getLogger(__name__)
T = TypeVar("T")


class Keeper:
    """The state file as one operation's loop sees it."""

    def __init__(self, operation: str, state: State, observer: Observer) -> None:
        self._operation = operation
        self._state = state
        self._observer = observer
        self._writable = True

    async def write(self, step: Callable[[Storage], T]) -> T | None:
        """Run a step; None where the state cannot be written, which is logged once."""
        try:
            return await self.need(step)
        except StorageError as error:
            self.refused(error)
            return None

    async def need(self, step: Callable[[Storage], T]) -> T:
        """Run a step without which nothing goes on; raises StorageError."""
        result = await self._state.write(step)
        self.accepted()
        return result

    def refused(self, error: StorageError) -> None:
        """Note that the state could not be written; no request leaves until it can."""
        if self._writable:
            say(
                log,
                logging.ERROR,
                "the state cannot be written: no request leaves until it can",
                operation=self._operation,
                error=str(error),
            )
        self._writable = False
        self._observer.storage(False)

    def accepted(self) -> None:
        """Note that the state was written."""
        if not self._writable:
            say(log, logging.INFO, "the state can be written again", operation=self._operation)
        self._writable = True
        self._observer.storage(True)
