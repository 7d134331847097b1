"""`backfill`: past days of one operation as OpenMetrics, one request per skill and day.

A request for a past day is an attempt of its query like any other: at least the interval lies
between it and the exporter's own polls of that skill. Beside a running exporter it takes
the place of one poll, and the exporter has the next turn of that skill; so the day costs no
more requests than the exporter's plan, and no skill misses two polls in a row.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from exporter import flags
from exporter.config import Operation, Skill, format_duration
from exporter.config.values import duration
from exporter.errors import ConfigError, Problem, Reason, WolkvoxError
from exporter.messages import Words
from exporter.metrics.query import QueryHistory
from exporter.polling.limits import PAUSING, Why
from exporter.runtime import Clock
from exporter.tools.asking import Desk, Held
from exporter.tools.backfill_files import (
    Progress,
    completed,
    open_progress,
    stamps,
    write_openmetrics,
)
from exporter.tools.session import complain, demand, desks, system_means
from exporter.tools.skills import discover
from exporter.tools.terminal import ask, progress, run
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import Window, local_day, next_day_start, whole_day

DEFAULT_PACE = 300.0
TRIES = 3
FAILURES_IN_A_ROW = 5
_AHEAD = 2.0  # seconds before its moment at which a request queues for the token
_LOOK = 60.0  # seconds after which a wait is thought over: the exporter may have polled
_ENGLISH = Words("en")
_say = partial(click.echo, err=True)
_DAY = partial(click.option, required=True, type=click.DateTime(["%Y-%m-%d"]))


@click.command()
@flags.CONFIG_FILES
@flags.STORAGE
@flags.OPERATION
@_DAY("--from", "first", help="First day, in the operation's time zone.")
@_DAY("--to", "last", help="Last day, yesterday at the latest.")
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The OpenMetrics file; the progress is kept beside it, as FILE.progress.",
)
@click.option(
    "--pace",
    default="300s",
    show_default=True,
    metavar="DURATION",
    help="Time between two calls; less than 300s only where the operation is on loopback.",
)
@click.option("--job", default="wolkvox", show_default=True, help="The label job.")
@click.option(
    "--instance",
    default="127.0.0.1:19655",
    show_default=True,
    help="The label instance: as Prometheus scrapes the exporter.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Begin without asking, also where a day's budget cannot hold it: then it stops at the"
    " ceiling.",
)
@click.pass_context
def backfill(
    context: click.Context,
    config_files: tuple[str, ...],
    storage: str | None,
    operation: str | None,
    first: datetime,
    last: datetime,
    output: Path,
    pace: str,
    job: str,
    instance: str,
    yes: bool,
) -> None:
    """Write past days for `promtool tsdb create-blocks-from openmetrics`.

    One call for each skill and day. Ctrl-C ends it after the call under way; the same
    command goes on where it ended, without repeating a call.
    """
    configuration = flags.configuration_of(context, config_files)
    chosen = flags.operation_of(configuration, operation)
    means = system_means(flags.directory_of(context, storage))
    today = local_day(means.clock.now(), chosen.timezone)
    seconds = _checked(chosen, first.date(), last.date(), pace, today)
    days = days_between(first.date(), last.date())
    target = {"job": job, "instance": instance}
    with open_progress(output, chosen.base_url) as kept, desks(configuration, means) as opened:
        desk, beside = opened[chosen.name], [*opened.values()]
        filling = Backfill(desk, beside, kept, days, seconds, means.clock)
        code = run(partial(_fill, filling, output, target, yes), patient=True)
    context.exit(code)


def _checked(operation: Operation, first: date, last: date, pace: str, today: date) -> float:
    """The pace in seconds; raises ConfigError with all that cannot be."""
    problems, seconds = [], DEFAULT_PACE
    if last < first:
        problems.append(Problem("--to", f"{last} is before {first}"))
    if last >= today:
        text = f"{last} is not over yet in {operation.timezone}: write a past day"
        problems.append(Problem("--to", text))
    try:
        seconds = duration(pace)
    except ValueError as error:
        problems.append(Problem("--pace", str(error)))
    if seconds < DEFAULT_PACE and not operation.loopback:
        text = "must be 300s or more: Wolkvox advises one call per five minutes"
        problems.append(Problem("--pace", text))
    if problems:
        raise ConfigError(problems)
    return seconds


def days_between(first: date, last: date) -> list[date]:
    """Both ends included."""
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]


async def _fill(
    job: Backfill,
    output: Path,
    target: Mapping[str, str],
    yes: bool,
    stopping: asyncio.Event,
) -> int:
    """Request what is still missing and write the file; returns the exit code."""
    async with job.desk.client:
        await job.prepare()
        if job.why is None and not _agreed(job.desk, await job.plan(), yes=yes):
            return 1
        calls, pace = len(job.pending), job.pace
        with progress(calls, lines=True) as advance:

            def on_progress(text: str, left: int) -> None:
                ahead = f", {_ENGLISH.span((left - 1) * pace)} left" if left and pace else ""
                advance(f"{text}{ahead}", calls - left)

            await job.fetch(stopping, on_progress)
    if job.why is not None:
        complain(job.desk, job.why, _ENGLISH, job.clock.epoch())
    elif job.pending:
        _say(f"stopped: {len(job.pending)} calls are left; the same command goes on")
    if job.skills and (job.why is not None or not job.pending):
        _write(job, output, target)
    return 0 if job.complete else 1


def _write(job: Backfill, output: Path, target: Mapping[str, str]) -> None:
    """Write the file, and what it lacks."""
    for call in job.missing:
        _say(f"no answer: skill {call.skill.id} on {call.day}")
    if not job.complete:
        _say("not complete: the same command asks for the rest")
    operation, done = job.desk.operation, job.kept.done
    queries = []
    for skill in job.skills:
        days = completed([(day, done.get((skill.id, day), ())) for day in job.days])
        queries.append(QueryHistory((operation.name, skill.id, skill.name), days))
    moments = partial(stamps, operation.timezone, job.clock.now())
    samples, size = write_openmetrics(output, queries, moments, target)
    click.echo(f"{output}: {samples} samples, {size / 1e6:.1f} MB; import it with")
    click.echo(f"  promtool tsdb create-blocks-from openmetrics {output} DIRECTORY")


# What it costs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls of a backfill, at a pace, against what is left of today's budget.

    `ceiling` is None where none is configured; `next_day` begins in `left` seconds.
    """

    calls: int
    pace: float
    used: int
    ceiling: int | None
    left: float
    next_day: datetime

    @property
    def room(self) -> int:
        """How many calls the budget still allows today; without a ceiling all of them."""
        return self.calls if self.ceiling is None else max(0, self.ceiling - self.used)

    @property
    def fits(self) -> bool:
        """Whether the budget holds what would be requested today."""
        today = self.calls if self.pace == 0 else int(self.left // self.pace) + 1
        return min(self.calls, today) <= self.room


def _agreed(desk: Desk, plan: Plan, *, yes: bool) -> bool:
    """Write what it costs; ask where a person can answer."""
    for line in _costs(desk, plan):
        _say(line)
    if plan.calls == 0:
        return True
    if yes or plan.room == 0:
        return plan.room > 0
    if sys.stdin.isatty() and sys.stderr.isatty():
        return ask("Begin?")
    if not plan.fits:
        _say("not begun: say --yes to do what fits")
    return plan.fits


def _costs(desk: Desk, plan: Plan) -> Iterator[str]:
    if plan.calls == 0:
        yield "everything was asked before: nothing is asked again"
        return
    span = _ENGLISH.span((plan.calls - 1) * plan.pace)
    yield f"{plan.calls} calls, one every {format_duration(plan.pace)}: {span}"
    if plan.ceiling is None:
        yield f"{plan.used} calls were made today; no daily_requests are configured"
    else:
        yield f"{plan.used} of today's {plan.ceiling} calls are used"
    if desk.exporter_runs():
        yield "an exporter runs beside: each call takes the place of one of its polls"
    if not plan.fits:
        following = f"{plan.next_day:%Y-%m-%d %H:%M} ({desk.operation.timezone})"
        yield (
            f"today's budget holds {plan.room} of them: it stops there; the same command"
            f" goes on from {following}"
        )


# The requests ----------------------------------------------------------------------------


class Call(NamedTuple):
    """One skill on one day."""

    skill: Skill
    day: date


@dataclass(slots=True)
class Backfill:
    """Past days of an operation: calls that are still to be made, and why it ended early.

    `beside` are the desks that may share its budget; `missing` calls had no answer in three
    tries.
    """

    desk: Desk
    beside: Sequence[Desk]
    kept: Progress
    days: Sequence[date]
    pace: float
    clock: Clock
    skills: tuple[Skill, ...] = ()
    pending: list[Call] = field(default_factory=list)
    missing: list[Call] = field(default_factory=list)
    why: Held | WolkvoxError | None = None
    _next: float = 0.0
    _failed_in_a_row: int = 0
    _tries: Counter[Call] = field(default_factory=Counter)
    _own_attempts: dict[str, float | None] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every call has its answer."""
        return self.why is None and not self.pending and not self.missing

    async def prepare(self) -> None:
        """Find the skills and the calls to be made; raises StorageError.

        Day by day, so that no skill comes twice in a row.
        """
        skills = await self.desk.skills() or await discover(self.desk, self.clock.epoch())
        if not isinstance(skills, tuple):
            self.why = skills
            return
        self.skills = skills
        calls = [Call(skill, day) for day in self.days for skill in skills]
        self.pending = [one for one in calls if (one.skill.id, one.day) not in self.kept.done]
        for desk in self.beside:
            if desk.budget is self.desk.budget:
                share = demand(desk.operation, await desk.skills())
                desk.budget.set_demand(desk.operation.name, share)

    async def plan(self) -> Plan:
        """What it costs from this moment on; raises StorageError."""
        now, budget = self.clock.now(), self.desk.budget
        following = next_day_start(now, budget.zone)
        left = (following - now) / timedelta(seconds=1)
        used = await self.desk.used_today()
        local = following.astimezone(self.desk.operation.timezone)
        return Plan(len(self.pending), self.pace, used, budget.ceiling, left, local)

    async def fetch(
        self, stopping: asyncio.Event, on_progress: Callable[[str, int], None]
    ) -> None:
        """Make calls until all are answered or something ends it; raises StorageError.

        `stopping` ends it after the call under way; `on_progress` is called with a step and
        how many calls are left.
        """
        self._next = min(self.kept.last_at, self.clock.epoch()) + self.pace
        while self.pending and self.why is None and not stopping.is_set():
            call, moment = await self._choose()
            text, wait = "waiting", moment - self.clock.epoch() - _AHEAD
            if wait <= 0:
                text, wait = await self._request(call, moment)
            if text:
                on_progress(text, len(self.pending))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), min(wait, _LOOK))

    async def _choose(self) -> tuple[Call, float]:
        """The call that may be made first, and its moment in epoch seconds."""
        first: dict[str, Call] = {}
        for call in self.pending:
            first.setdefault(call.skill.id, call)
        attempts = await self.desk.attempted(first)
        beside = self.desk.exporter_runs()
        earliest = max(self.clock.epoch(), self._next)
        moments = {
            call: max(earliest, self._ready(call.skill, attempts[skill_id], beside))
            for skill_id, call in first.items()
        }
        return min(moments.items(), key=lambda one: one[1])

    def _ready(self, skill: Skill, last_at: float | None, beside: bool) -> float:
        """When a query may be requested again; the exporter's turn comes after our own."""
        if last_at is None:
            return 0.0
        gap = self._gap(skill)
        own = self._own_attempts.get(skill.id) == last_at
        if beside and own and gap >= (skill.interval or self.desk.operation.interval):
            limits = self.desk.budget.limits(self.clock.now())
            return last_at + 2 * limits.interval(gap) + _LOOK
        return last_at + gap

    def _gap(self, skill: Skill) -> float:
        operation = self.desk.operation
        interval = skill.interval or operation.interval
        return min(interval, self.pace) if operation.loopback else interval

    async def _request(self, call: Call, moment: float) -> tuple[str, float]:
        """Make a call at its moment; returns what happened, and how long to wait after it."""

        async def request(client: WolkvoxClient, token: str, _: Window) -> SkillReport:
            return await client.skill_11(token, skill.id, whole_day(call.day))

        skill = call.skill
        gap = self._gap(skill)
        reply = await self.desk.ask(skill.id, gap, request, not_before=moment)
        if isinstance(reply, Held):
            if reply.why in (Why.HOURS, Why.CLOSING):
                return str(reply.why), reply.wait
            if reply.why is not Why.RECENT:  # that is looked up again by `_choose`
                self.why = reply
            return "", 0.0
        attempt = (await self.desk.attempted([skill.id]))[skill.id]
        self._own_attempts[skill.id] = attempt
        requested_at = attempt or self.clock.epoch()  # a connection never made is on no record
        self._next = requested_at + self.pace
        self.pending.remove(call)
        if isinstance(reply.answer, SkillReport):
            self._failed_in_a_row = 0
            self.kept.add(skill.id, call.day, requested_at, reply.answer.channels)
            text = "fine" if reply.answer.channels else "no rows"
        else:
            text = self._failed(call, reply.error or WolkvoxError(Reason.INTERNAL, "no answer"))
        return f"{skill.id} {call.day} {text}", 0.0

    def _failed(self, call: Call, error: WolkvoxError) -> str:
        """Put a call behind the others, or give it up; returns the reason."""
        self._failed_in_a_row += 1
        self._tries[call] += 1
        (self.pending if self._tries[call] < TRIES else self.missing).append(call)
        if error.reason in PAUSING or self._failed_in_a_row >= FAILURES_IN_A_ROW:
            self.why = error
        return str(error.reason)
