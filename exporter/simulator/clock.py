"""A clock that runs faster (or slower) than the real one; it never reads a clock itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime


class ScaledClock:
    """Virtual time: begins at `start` (aware) and passes `factor` times as fast.

    `monotonic` and `sleep` are the real ones, in seconds; what this clock gives out and
    takes in is virtual.
    """

    def __init__(
        self,
        start: datetime,
        factor: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("the start of a clock needs a time zone")
        if factor <= 0:
            raise ValueError("time can only pass forwards: the factor must be above 0")
        self._start = start
        self._factor = factor
        self._monotonic = monotonic
        self._sleep = sleep
        self._origin = monotonic()

    def monotonic(self) -> float:
        """Return the virtual seconds since the clock was made."""
        return (self._monotonic() - self._origin) * self._factor

    def now(self) -> datetime:
        """Return the virtual instant, in the zone of the start."""
        # On the instant, not on the wall clock: a zone may change its offset on the way.
        moment = self._start.timestamp() + self.monotonic()
        return datetime.fromtimestamp(moment, tz=self._start.tzinfo)

    async def sleep(self, seconds: float) -> None:
        """Sleep for virtual seconds."""
        await self._sleep(seconds / self._factor)
