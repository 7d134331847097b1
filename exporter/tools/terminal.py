"""Running a tool in a terminal: signals, progress; knows no API and no configuration."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import click

from exporter.mainloop import Loop
from exporter.wolkvox.text import one_line

INTERRUPTED = 1
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
"""Is told what is being done and how many steps are done."""


@contextmanager
def progress(total: int | None, *, lines: bool) -> Iterator[Advance]:
    """A bar on stderr where that is a terminal; else a line each with `lines`, or nothing."""
    if not sys.stderr.isatty():
        yield _print_line(total) if lines else _silent
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task("", total=total)

        def advance(text: str, done: int) -> None:
            shown = one_line(text, 120).replace("[", "\\[")
            bar.update(task, description=shown, completed=done)

        yield advance


def _print_line(total: int | None) -> Advance:
    before = ""

    def advance(text: str, done: int) -> None:
        nonlocal before
        if text != before:
            before = text
            click.echo(f"{done}/{total or '?'} {one_line(text, 120)}", err=True)

    return advance


def _silent(text: str, done: int) -> None:
    """Show nothing: a script reads the result alone."""
