"""Running a tool in a terminal: its end by a signal, questions, progress."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size

import click

from exporter.runtime import run_to_end, signals
from exporter.wolkvox.text import one_line

_CLEAR = "\r\x1b[K"


def run(main: Callable[[asyncio.Event], Coroutine[None, None, int]], *, patient: bool) -> int:
    """Run to the end; returns the exit code.

    A first SIGINT or SIGTERM sets the event where the tool is `patient`; a second one, or
    the first where it is not, ends it at once with 1.
    """

    async def until_stopped() -> int:
        stopping = asyncio.Event()
        task = asyncio.ensure_future(main(stopping))

        def stop() -> None:
            if stopping.is_set() or not patient:
                task.cancel()
            stopping.set()

        with signals(stop):
            return await task

    try:
        return run_to_end(until_stopped)
    except asyncio.CancelledError:
        click.echo("interrupted", err=True)
        return 1


def ask(question: str) -> bool:
    """Wait for yes or no; raises click.Abort at a signal, which the loop would not see yet."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, signal.default_int_handler)
    try:
        return click.confirm(question, default=True, err=True)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def progress(total: int | None, *, lines: bool) -> Iterator[Callable[[str, int], None]]:
    """Show the step that begins, and how many are done, on stderr.

    In one place on a terminal; elsewhere, with `lines`, each new text on a line of its own.
    """
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
