"""probe and skills from their flags to an exit code, on the real clock; composed of parts."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial
from pathlib import Path
from shutil import get_terminal_size

import click

from exporter.config import Configuration, Operation, Skill
from exporter.errors import WolkvoxError
from exporter.fleet import connect
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.service import system_clock
from exporter.state.locks import DirectoryLock
from exporter.times import Clock
from exporter.tools import tables
from exporter.tools.asking import Desk, Held, Means
from exporter.tools.opening import desks
from exporter.tools.probe import Prober, Result, failed, held_back
from exporter.tools.recording import Recorder
from exporter.tools.skills import Listing, as_yaml, list_skills
from exporter.tools.terminal import progress, run


def real_means(directory: Path) -> Means:
    """The real clock and connections, on a state directory."""
    # What the tools have to say they say themselves.
    logging.getLogger("exporter").setLevel(logging.ERROR)
    return Means(system_clock(), connect, directory, partial(DirectoryLock.is_held, directory))


# probe -----------------------------------------------------------------------------------


def run_probe(
    configuration: Configuration,
    directory: Path,
    language: str,
    output: str,
    record: Path | None,
) -> int:
    """Probe every query and print the result; raises StartError and StorageError."""
    means = real_means(directory)
    recorder = Recorder(record) if record is not None else None

    async def ask(stopping: asyncio.Event) -> int:
        with desks(configuration, means) as open_desks:
            result = await _probe(list(open_desks.values()), means.clock, recorder)
        words = Words(language)
        _print_result(result, words, output, means.clock)
        if recorder is not None:
            recorder.save(means.clock.now())
            text = words.text("probe.recorded", count=recorder.answers, file=recorder.path)
            click.echo(text, err=True)
        return 0 if result.good else 1

    return run(ask, patient=False)


async def _probe(open_desks: list[Desk], clock: Clock, recorder: Recorder | None) -> Result:
    known = [await desk.skills() for desk in open_desks]
    total = sum(map(len, known)) if all(known) else None
    with progress(total, lines=False) as advance:
        asked = 0

        def told(text: str) -> None:
            nonlocal asked
            advance(text, asked)
            asked += 1

        return await Prober(clock, recorder, told).run(open_desks)


def _print_result(result: Result, words: Words, output: str, clock: Clock) -> None:
    if output == "json":
        click.echo(tables.as_json(result, words, clock.now()), nl=False)
    elif sys.stdout.isatty():
        text = tables.styled(result, words, get_terminal_size().columns)
        click.echo(text, nl=False, color=False if os.environ.get("NO_COLOR") else None)
    else:
        click.echo(tables.plain(result, words), nl=False)


# skills ----------------------------------------------------------------------------------


def run_skills(
    configuration: Configuration, operation: Operation, directory: Path, language: str
) -> int:
    """Print the operation's skills as YAML; raises StartError and StorageError."""
    means = real_means(directory)

    async def ask(stopping: asyncio.Event) -> int:
        with desks(configuration, means) as open_desks:
            desk = open_desks[operation.name]
            async with desk.client:
                listing = await list_skills(desk, means.clock.epoch())
        if not isinstance(listing, Listing):
            complain(operation, listing, Words(language), means.clock.epoch())
            return 1
        age = f", as of {Words(language).span(listing.age)} ago" if listing.age else ""
        count = len(listing.skills)
        click.echo(f"      # {count} skills of {operation.name} ({operation.server}){age}")
        click.echo(SECRETS.scrub(as_yaml(listing.skills, "last use")), nl=False)
        return 0

    return run(ask, patient=False)


def complain(operation: Operation, why: Held | WolkvoxError, words: Words, now: float) -> None:
    """Say on stderr why there is no answer and what to do."""
    nothing = Skill("", "")
    if isinstance(why, Held):
        probed = held_back(operation, nothing, why, now)
    else:
        probed = failed(operation, nothing, why)
    click.echo(f"{operation.name}: {tables.sentence(probed, words)}", err=True)
