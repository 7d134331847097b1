"""The process around the event loop: signals, its end, and when memory is looked through.

Before there is anything to end well a signal ends the process on the spot; then signals are
held back until the loop has handlers for them. It knows nothing of what runs.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

from exporter import logs

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A poll makes thousands of objects and few cycles: looking for them after each 700, as is
# Python's default, takes a fifteenth of a busy exporter's time.
_COLLECT_AFTER = (20_000, 10, 10)


@contextmanager
def starting() -> Iterator[None]:
    """Look for no cycles before `settled`: what a start makes is there to stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settled() -> None:
    """Look for cycles from now on, among what comes; what is there is left out for good."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    gc.enable()


def ends_at_once(code: int = 0) -> None:
    """Let SIGTERM and SIGINT end the process, wherever it is: nothing is begun yet that a
    kill could not interrupt as well.

    It does not unwind: an exception out of a handler comes up in any code at all, and what
    calls back from C (a reader of forms, a weak reference) drops it or makes another of it.
    Then nobody would end the process any more.
    """

    def end(number: int, frame: FrameType | None) -> None:
        logs.finish(0.2)
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back while files are open and locked, but for the time of `signals`.

    None meets a loop that is half made, or half closed; what came is dealt with afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_to_end(main: Callable[[], Coroutine[None, None, int]]) -> int:
    """`asyncio.run` without its wait for threads, and with signals that wait for the loop.

    A name server that does not answer holds a thread for half a minute; whoever ends the
    exporter does not wait for what it finds (`cli.main` leaves such threads behind).
    """
    with held():
        loop = asyncio.new_event_loop()
        # Such a thread begins while signals are let through, and would take one that comes
        # when they are held back again.
        loop.set_default_executor(
            ThreadPoolExecutor(
                thread_name_prefix="asyncio",
                initializer=signal.pthread_sigmask,
                initargs=(signal.SIG_BLOCK, _SIGNALS),
            )
        )
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()


@contextmanager
def signals(stop: Callable[[], None], hangup: Callable[[], object]) -> Iterator[None]:
    """Handle SIGTERM and SIGINT, and SIGHUP, on the running loop; afterwards as before."""
    loop = asyncio.get_running_loop()
    handlers = dict(zip(_SIGNALS, (stop, stop, hangup), strict=True))
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
