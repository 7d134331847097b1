"""Clock of the machine, and the service manager that watches the process.

`system_clock` is the one real clock; everything else is passed a `Clock`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self


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


def system_clock() -> Clock:
    """The machine's own clock."""
    return Clock(lambda: datetime.now(UTC), time.monotonic, asyncio.sleep)


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The program that started the exporter and waits for signs of life: systemd, or none.

    The protocol is that of sd_notify(3): lines of NAME=VALUE in one datagram. `address` is a
    path or, with @, a name in the abstract name space; without one (containers, terminals)
    nothing is sent. `patience` is how many seconds it waits for a sign of life (None: for
    ever).
    """

    address: str = ""
    patience: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int | None = None) -> Self:
        """Read NOTIFY_SOCKET and WATCHDOG_USEC; a watchdog for another process is ignored."""
        own = str(os.getpid() if pid is None else pid)
        microseconds = environ.get("WATCHDOG_USEC", "")
        watched = microseconds.isdecimal() and environ.get("WATCHDOG_PID", own) == own
        patience = int(microseconds) / 1e6 if watched else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), patience or None)

    def notify(self, *lines: str) -> None:
        """Send lines such as READY=1; a manager that does not listen is no error."""
        if not self.address:
            return
        abstract = self.address.startswith("@")
        address = f"\0{self.address[1:]}" if abstract else self.address
        with (
            suppress(OSError),  # the service is no worse for it
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)

    async def watch(
        self, alive: Callable[[], bool], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Send a sign of life twice in each patience while `alive`; returns without one."""
        while self.address and self.patience is not None:
            if alive():
                self.notify("WATCHDOG=1")
            await sleep(self.patience / 2)
