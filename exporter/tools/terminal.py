"""Running a tool in a terminal: its end by a signal, questions, progress, tables."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from shutil import get_terminal_size
from typing import Any, NoReturn

import click

from exporter.messages import Words, here
from exporter.runtime import run_to_end, signals
from exporter.wolkvox.columns import COLUMNS
from exporter.wolkvox.text import one_line

file_option = partial(click.option, metavar="FILE", type=click.Path(dir_okay=False))
_CLEAR = "\r\x1b[K"
_NARROWEST = 8  # that the names of a table may become


def run(main: Coroutine[None, None, int], stopping: asyncio.Event | None = None) -> NoReturn:
    """Run to the end, and exit with the code that it returns.

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
        sys.exit(run_to_end(until_stopped))
    except asyncio.CancelledError:
        click.echo(here().text("start.interrupted"), err=True)
        sys.exit(1)


def ask(question: str) -> bool:
    """Whether the answer is yes, in either language, or Enter alone.

    Raises click.Abort at a signal, which the loop would not see yet.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, signal.default_int_handler)
    try:
        answer = click.prompt(question, default="y", show_default=False, err=True)
        return answer.strip().lower() in ("y", "yes", "s", "si", "sí")
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


Row = tuple[dict[str, Any], str, Sequence[str]]
"""A line of a table: its style, its name, its cells; without any text in them a heading."""


def align(rows: Sequence[Row], width: int | None) -> list[str]:
    """The lines of a table for a terminal of that many columns, in colours.

    Without a width, for a pipe or a file: without any control character.
    """
    gap = 2 if width is None else 1
    columns = zip(*(cells for _, _, cells in rows), strict=True)
    sizes = [max(map(len, column)) + gap for column in columns]
    names = max((len(name) for _, name, cells in rows if any(cells)), default=0)
    if width is not None:  # the names have the room that the figures leave
        names = max(_NARROWEST, min(names, width - sum(sizes)))
    lines = []
    for style, name, cells in rows:
        aligned = (cell.rjust(size) for cell, size in zip(cells, sizes, strict=True))
        line = name[:names].ljust(names) + "".join(aligned) if any(cells) else name[:width]
        line = line.rstrip()
        lines.append(line if width is None else click.style(line, **style))
    return lines


def short_heads(words: Words) -> list[str]:
    """The headings of the figures, as short as a terminal needs them."""
    return [words.text(f"column.{column.attribute}.short") for column in COLUMNS]


def show(text: Callable[[int | None], str]) -> None:
    """Print a text of the terminal's width; None: standard output is a pipe or a file."""
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(text(width), nl=False, color=False if os.environ.get("NO_COLOR") else None)
