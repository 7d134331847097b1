"""The process: clock, service manager, signals, event loop.

`system_clock` is the one real clock; everything else is passed a `Clock`. While nothing needs
an orderly end a signal ends the process at once; then signals wait for the loop's handlers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from exporter.errors import StartError

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOKUPS = 32  # names looked up at once


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
    nothing is sent. `patience`: how many seconds it waits for a sign of life (None: for ever).
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


# Signals and threads ---------------------------------------------------------------------


@contextmanager
def block_signals() -> Iterator[None]:
    """Block signals while files are open and locked, but for the time of `signals`.

    So none meets a loop half made or half closed; those that came are handled afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """Start a thread that takes no signals (the loop handles them) and holds up no end."""

    def run() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def thread_limit(error: RuntimeError) -> StartError:
    """Return the error that names the limit of processes; raises `error` if it is another."""
    if "start new thread" not in str(error):
        raise error
    return StartError("threads")


def thread_pool(name: str, most: int) -> ThreadPoolExecutor:
    """Make a pool of at most `most` threads, which take no signals: the loop handles them."""
    return ThreadPoolExecutor(most, name, signal.pthread_sigmask, (signal.SIG_BLOCK, _SIGNALS))


class Loop(asyncio.SelectorEventLoop):
    """An event loop that looks a name up once for all who wait for it.

    A name server that does not answer holds a thread for half a minute. However many
    operations wait for one name, it takes one thread, and the others go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self.set_default_executor(thread_pool("lookup", _LOOKUPS))

    async def getaddrinfo(self, *names: Any, **kinds: Any) -> Any:
        """Look a name up in a thread; raises OSError also where no thread can be started."""
        key = (names, *sorted(kinds.items()))
        if key not in self._lookups:
            try:
                found = self.run_in_executor(None, partial(socket.getaddrinfo, *names, **kinds))
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"the name was not looked up: {error}") from None
            self._lookups[key] = found
            found.add_done_callback(lambda _: self._lookups.pop(key))
        return await asyncio.shield(self._lookups[key])

    def close(self) -> None:
        """Close the loop; it waits for no look-up, and none reports to it any more."""
        for lookup in self._lookups.values():
            lookup.cancel()
        super().close()


def run_to_end(main: Callable[[], Coroutine[None, None, int]]) -> int:
    """`asyncio.run` without its wait for threads, and with signals that wait for the loop."""
    with block_signals():
        loop = Loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()


@contextmanager
def signals(
    stop: Callable[[], None], hangup: Callable[[], object] | None = None
) -> Iterator[None]:
    """Handle SIGTERM, SIGINT and, with `hangup`, SIGHUP on the loop; afterwards as before."""
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[], object]] = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if hangup is not None:
        handlers[signal.SIGHUP] = hangup
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number, handler_before in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler_before)
