"""backfill from its flags to an exit code, on the real clock; composed of parts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from exporter.config import Configuration, Operation, Skill, format_duration
from exporter.errors import ConfigError, Problem
from exporter.messages import Words
from exporter.times import Clock
from exporter.tools.asking import Desk
from exporter.tools.backfill import (
    DEFAULT_PACE,
    Backfill,
    Call,
    End,
    Ended,
    Plan,
    calls_for,
    days_between,
    make_plan,
)
from exporter.tools.backfill_output import histories, stamps_of, write_openmetrics
from exporter.tools.backfill_progress import Progress, open_progress
from exporter.tools.errands import complain, real_means
from exporter.tools.opening import demand, desks
from exporter.tools.skills import Listing, list_skills
from exporter.tools.terminal import ask, progress, run
from exporter.wolkvox.windows import local_day

_ENGLISH = Words("en")


@dataclass(frozen=True, slots=True)
class BackfillOrder:
    """What to fetch and how: `pace` in seconds, `target` the labels of a scrape."""

    operation: Operation
    first: date
    last: date
    output: Path
    pace: float
    target: Mapping[str, str]
    yes: bool


def run_backfill(configuration: Configuration, directory: Path, order: BackfillOrder) -> int:
    """Ask for what is still missing and write the file.

    Raises ConfigError, StartError and StorageError.
    """
    means = real_means(directory)
    operation = order.operation
    check_order(order, local_day(means.clock.now(), operation.timezone))
    with (
        open_progress(order.output, operation.base_url) as kept,
        desks(configuration, means) as opened,
    ):
        job = _Job(order, opened[operation.name], list(opened.values()), kept, means.clock)
        return run(job.run, patient=True)


def check_order(order: BackfillOrder, today: date) -> None:
    """Refuse what cannot be; raises ConfigError with all of it."""
    problems = []
    if order.last < order.first:
        problems.append(Problem("--to", f"{order.last} is before {order.first}"))
    if order.last >= today:
        text = f"{order.last} is not over yet in {order.operation.timezone}: write a past day"
        problems.append(Problem("--to", text))
    if order.pace < DEFAULT_PACE and not order.operation.loopback:
        text = "must be 300s or more: Wolkvox advises one call per five minutes"
        problems.append(Problem("--pace", text))
    if problems:
        raise ConfigError(problems)


@dataclass(frozen=True, slots=True)
class _Job:
    order: BackfillOrder
    desk: Desk
    desks: list[Desk]
    kept: Progress
    clock: Clock

    async def run(self, stopping: asyncio.Event) -> int:
        async with self.desk.client:
            skills = await self._skills()
            if not skills:
                return 1
            days = days_between(self.order.first, self.order.last)
            pending = calls_for(skills, days, self.kept)
            now = self.clock.now()
            planned = await make_plan(self.desk, len(pending), self.order.pace, now)
            if not self._agreed(planned):
                return 1
            ended = await self._fetch(pending, stopping)
        if ended.end is End.STOPPED:
            _say(f"stopped: {len(pending)} calls are left; the same command goes on")
            return 1
        self._explain(ended)
        self._write(skills, days)
        return 0 if ended.end is End.DONE else 1

    async def _skills(self) -> tuple[Skill, ...]:
        """What to ask for; it also tells the budget what the exporter asks of it."""
        skills = await self.desk.skills()
        if not skills:
            listing = await list_skills(self.desk, self.clock.epoch())
            if not isinstance(listing, Listing):
                complain(self.order.operation, listing, _ENGLISH, self.clock.epoch())
                return ()
            skills = tuple(Skill(one.id, one.name) for one in listing.skills)
        for one in self.desks:
            if one.budget is self.desk.budget:
                share = demand(one.operation, await one.skills())
                one.budget.set_demand(one.operation.name, share)
        return skills

    def _agreed(self, planned: Plan) -> bool:
        """Say what it costs; ask where a person can answer."""
        for line in _costs(planned, self.desk):
            _say(line)
        if not planned.calls:
            return True
        if planned.room == 0:
            return False
        if self.order.yes:
            return True
        if sys.stdin.isatty() and sys.stderr.isatty():
            return ask("Begin?")
        if not planned.fits:
            _say("not begun: say --yes to do what fits")
        return planned.fits

    async def _fetch(self, pending: list[Call], stopping: asyncio.Event) -> Ended:
        total, pace = len(pending), self.order.pace
        with progress(total, lines=True) as advance:

            def told(text: str, left: int) -> None:
                ahead = f", {_ENGLISH.span((left - 1) * pace)} left" if left and pace else ""
                advance(f"{text}{ahead}", total - left)

            fetching = Backfill(self.desk, self.kept, pace, self.clock, stopping, told, pending)
            return await fetching.run()

    def _explain(self, ended: Ended) -> None:
        """Say why it ended early, and what is missing."""
        why = ended.held or ended.error
        if why is not None:
            complain(self.order.operation, why, _ENGLISH, self.clock.epoch())
        for call in ended.missing:
            _say(f"no answer: skill {call.skill.id} on {call.day}")
        if ended.end is not End.DONE:
            _say("not complete: the same command asks for the rest")

    def _write(self, skills: tuple[Skill, ...], days: list[date]) -> None:
        operation, output = self.order.operation, self.order.output
        queries = histories(operation.name, skills, days, self.kept.done)
        stamps = stamps_of(operation.timezone, self.clock.now())
        written = write_openmetrics(output, queries, stamps, self.order.target)
        size = f"{written.samples} samples, {written.size / 1e6:.1f} MB"
        click.echo(f"{output}: {size}; import it with")
        click.echo(f"  promtool tsdb create-blocks-from openmetrics {output} DIRECTORY")


def _costs(planned: Plan, desk: Desk) -> Iterator[str]:
    if not planned.calls:
        yield "everything was asked before: nothing is asked again"
        return
    pace, took = format_duration(planned.pace), _ENGLISH.span(planned.seconds)
    yield f"{planned.calls} calls, one every {pace}: {took}"
    if planned.ceiling is None:
        yield f"{planned.used} calls were made today; no daily_requests are configured"
    else:
        yield f"{planned.used} of today's {planned.ceiling} calls are used"
    if desk.exporter_runs():
        yield "an exporter runs beside: each call takes the place of one of its polls"
    if not planned.fits:
        following = f"{planned.next_day:%Y-%m-%d %H:%M} ({desk.operation.timezone})"
        yield (
            f"today's budget holds {planned.room} of them: it stops there; the same command"
            f" goes on from {following}"
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
