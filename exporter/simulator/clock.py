"""A clock that runs faster (or slower) than the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime


class ScaledClock:
    """Virtual time: begins at `start` (aware) and passes `factor` times as fast.

    `monotonic` and `sleep` are the real ones, in seconds; the methods take and return
    virtual time.
    """

    def __init__(
        self,
        start: datetime,
        factor: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        if start.tzinfo is None or factor <= 0:
            raise ValueError("a clock needs a start with a time zone and a factor above 0")
        self._start, self._factor = start, factor
        self._monotonic, self._sleep = monotonic, sleep
        self._origin = monotonic()

    def now(self) -> datetime:
        """Return the virtual instant, in the zone of the start."""
        passed = (self._monotonic() - self._origin) * self._factor
        # On the instant, not on the wall clock: the zone may change its offset on the way.
        return datetime.fromtimestamp(self._start.timestamp() + passed, self._start.tzinfo)

    async def sleep(self, seconds: float) -> None:
        """Sleep for virtual seconds."""
        await self._sleep(seconds / self._factor)
