"""Process around the event loop: signals, its end, garbage collection.

While nothing needs an orderly end a signal ends the process at once; then signals are blocked
until the loop has handlers for them.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any

from exporter import logs
from exporter.errors import StartError

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOKUPS = 32  # names looked up at once


def collect_garbage_less_often() -> None:
    """Look for cycles after 20,000 objects instead of Python's 700.

    A poll makes thousands of objects and few cycles: looking so often takes a fifteenth of a
    busy exporter's time.
    """
    gc.set_threshold(20_000, 10, 10)


def exit_on_signal(code: int = 0) -> None:
    """End the process at SIGTERM and SIGINT, wherever it is.

    For the time in which nothing is begun that a kill could not interrupt as well. It does
    not unwind: an exception out of a handler is raised in any code at all, and what calls
    back from C (a reader of forms, a weak reference) drops it or makes another of it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        logs.finish(0.2)
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


@contextmanager
def block_signals() -> Iterator[None]:
    """Block signals while files are open and locked, but for the time of `signals`.

    So none meets a loop that is half made or half closed; those that came are handled
    afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def thread_limit(error: RuntimeError) -> StartError:
    """Return the error that names the limit of processes; raises `error` if it is another."""
    if "start new thread" not in str(error):
        raise error
    return StartError("no thread can be started: a limit of processes is reached")


def thread_pool(name: str, most: int) -> ThreadPoolExecutor:
    """Make a pool of at most `most` threads, which take no signals: the loop handles them."""
    return ThreadPoolExecutor(
        most,
        thread_name_prefix=name,
        initializer=signal.pthread_sigmask,
        initargs=(signal.SIG_BLOCK, _SIGNALS),
    )


class Loop(asyncio.SelectorEventLoop):
    """An event loop that looks a name up once for all who wait for it.

    A name server that does not answer holds a thread for half a minute. However many
    operations wait for one name, it takes one thread, and the others go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self.set_default_executor(thread_pool("lookup", _LOOKUPS))

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Look a name up in a thread; raises OSError also where no thread can be started."""
        key = (host, port, family, type, proto, flags)
        if key not in self._lookups:
            try:
                lookup = self.run_in_executor(None, socket.getaddrinfo, *key)
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"the name was not looked up: {error}") from None
            self._lookups[key] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(key))
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
    """Handle SIGTERM and SIGINT, and SIGHUP, on the running loop; afterwards as before.

    Without `hangup`, SIGHUP keeps what the process was started with (`nohup` ignores it).
    """
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
