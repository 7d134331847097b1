"""An operation's pause: begun by a refusal, ended by a new day, a new token, a success."""

from __future__ import annotations

import logging
from datetime import date, datetime

from exporter.config import Operation
from exporter.errors import Reason
from exporter.logs import say
from exporter.polling.keeper import Keeper
from exporter.polling.observer import Observer
from exporter.polling.schedule import Pause, next_pause
from exporter.times import Clock
from exporter.wolkvox.windows import local_day

log = logging.getLogger(__name__)

PAUSING = (Reason.UNAUTHORIZED, Reason.QUOTA)


class Pauses:
    """Holds the pause in force, keeps it in the state file, and tells it."""

    def __init__(
        self,
        operation: Operation,
        row: int,
        clock: Clock,
        keeper: Keeper,
        observer: Observer,
    ) -> None:
        self._operation = operation
        self._row = row
        self._clock = clock
        self._keeper = keeper
        self._observer = observer
        self._pause: Pause | None = None
        self._until = 0.0

    @property
    def reason(self) -> Reason | None:
        """Why the operation is paused, if it is."""
        return self._pause.reason if self._pause is not None else None

    async def restore(self) -> None:
        """Take up the pause in which the last process ended; raises StorageError."""
        row = self._row
        data = await self._keeper.need(lambda storage: storage.load_fact(row, "pause"))
        pause = Pause.from_json(data)
        self._take(pause)
        if pause is not None and not self.over():
            self._say(logging.WARNING, "operation still paused", pause.reason)

    def wait(self) -> float:
        """Monotonic seconds until the operation may ask again; 0 where nothing holds it."""
        if self._pause is None:
            return 0.0
        return max(0.0, self._until - self._clock.monotonic())

    def over(self) -> bool:
        """End the pause if its reason is gone; True exactly then."""
        if self._pause is None or not self._pause.over(
            self._today(), self._operation.token.digest()
        ):
            return False
        self._say(logging.INFO, "operation no longer paused", self._pause.reason)
        self._take(None)
        return True

    async def refused(
        self, reason: Reason, interval: float, digest: str | None, asked: datetime | None = None
    ) -> None:
        """Begin or lengthen the pause after a refusal of quota or token.

        `asked` is when the request left: a refusal that is read after midnight tells of the
        day before.
        """
        before, now = self._pause, self._clock.epoch()
        day = local_day(asked or self._clock.now(), self._operation.timezone)
        pause = next_pause(before, reason, now, day, interval, digest)
        self._take(pause)
        await self._save()
        if before is None or before.reason is not reason:
            wait = round(pause.wait(now))
            self._say(logging.WARNING, "operation paused", reason, next_attempt_seconds=wait)

    async def succeeded(self) -> None:
        """End the pause after an answer."""
        if self._pause is not None:
            self._say(logging.INFO, "operation no longer paused", self._pause.reason)
            self._take(None)
            await self._save()

    def _take(self, pause: Pause | None) -> None:
        self._pause = pause
        if pause is not None:
            self._until = self._clock.monotonic() + pause.wait(self._clock.epoch())
        self._observer.paused(self.reason)

    async def _save(self) -> None:
        row, data = self._row, self._pause.to_json() if self._pause else None
        await self._keeper.write(lambda storage: storage.save_fact(row, "pause", data))

    def _say(self, level: int, message: str, reason: Reason, **fields: object) -> None:
        say(log, level, message, operation=self._operation.name, reason=str(reason), **fields)

    def _today(self) -> date:
        return local_day(self._clock.now(), self._operation.timezone)
