"""Running a tool in a terminal: its end by a signal, questions, progress."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size

import click

from exporter.runtime import run_to_end, signals
from exporter.wolkvox.text import one_line

_CLEAR = "\r\x1b[K"


def run(main: Coroutine[None, None, int], stopping: asyncio.Event | None = None) -> int:
    """Run to the end; returns the exit code.

    SIGINT and SIGTERM end it at once with 1; where there is `stopping`, a first one only
    sets that.
    """
    # A tool reports on its requests itself, not through the log.
    logging.getLogger("exporter").setLevel(logging.ERROR)

    async def until_stopped() -> int:
        task = asyncio.ensure_future(main)

        def stop() -> None:
            if stopping is None or stopping.is_set():
                task.cancel()
            else:
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
