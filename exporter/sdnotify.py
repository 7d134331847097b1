"""Tells systemd how the service is, over the datagram socket that it names; listens to nobody.

Where nothing is named (containers, terminals) nothing is sent. The protocol is that of
sd_notify(3): lines of NAME=VALUE in one datagram.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Self


class ServiceManager:
    """Whoever started the exporter and waits for a sign of it, or nobody.

    `address` is a path or, with @, a name in the abstract name space; `patience` is how many
    seconds it waits for a sign of life (None: for ever).
    """

    def __init__(self, address: str = "", patience: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._patience = patience

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int | None = None) -> Self:
        """Read NOTIFY_SOCKET and WATCHDOG_USEC; a watchdog for another process is ignored."""
        own = str(os.getpid() if pid is None else pid)
        microseconds = environ.get("WATCHDOG_USEC", "")
        watched = microseconds.isdecimal() and environ.get("WATCHDOG_PID", own) == own
        patience = int(microseconds) / 1e6 if watched else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), patience or None)

    def tell(self, *lines: str) -> None:
        """Send lines such as READY=1; a manager that does not listen is no error."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
                door.setblocking(False)
                door.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            pass  # the service is no worse for it; systemd itself says what it missed

    async def watch(
        self, alive: Callable[[], bool], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Send a sign of life twice in each patience while `alive`; returns if nobody waits."""
        if not self._address or self._patience is None:
            return
        while True:
            if alive():
                self.tell("WATCHDOG=1")
            await sleep(self._patience / 2)
