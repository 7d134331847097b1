"""Running a tool in a terminal: signals, progress; knows no API and no configuration."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any

import click

from exporter.mainloop import Loop
from exporter.wolkvox.text import one_line

INTERRUPTED = 1
_CLEAR = "\r\x1b[K"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, int]], *, patient: bool) -> int:
    """Run to the end; returns the exit code.

    A first SIGINT or SIGTERM sets the event where the tool is `patient`; a second one, or
    the first where it is not, ends it at once with 1. Unlike `asyncio.run` it does not wait
    for the look-up of a name that hangs.
    """
    loop = Loop()
    stopping = asyncio.Event()
    task = loop.create_task(main(stopping))

    def stop() -> None:
        if stopping.is_set() or not patient:
            task.cancel()
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def ask(question: str) -> bool:
    """Wait for yes or no; raises click.Abort at a signal, which the loop would not see yet."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        return click.confirm(question, default=True, err=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Advance = Callable[[str, int], None]
"""Reports the step that begins and how many are done."""


@contextmanager
def progress(total: int | None, *, lines: bool) -> Iterator[Advance]:
    """Report steps on stderr: in one place on a terminal; else a line each with `lines`."""
    terminal = sys.stderr.isatty()
    before = ""

    def advance(text: str, done: int) -> None:
        nonlocal before
        limit = get_terminal_size().columns - 1 if terminal else 120
        line = one_line(f"{done}/{total or '?'} {text}", limit)
        if terminal:
            click.echo(f"{_CLEAR}{line}", err=True, nl=False)
        elif lines and text != before:
            click.echo(line, err=True)
        before = text

    try:
        yield advance
    finally:
        if terminal:
            click.echo(_CLEAR, err=True, nl=False)
