"""The clock that every stage is given; holds no clock of its own (service.py does)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time for windows and stored attempts, monotonic time for slots, and sleep.

    `now` returns an aware datetime in UTC; `monotonic` seconds that no clock change moves;
    `sleep` waits for seconds of the same kind.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]

    def epoch(self) -> float:
        """Wall time as seconds since 1970, as Prometheus writes it."""
        return self.now().timestamp()
