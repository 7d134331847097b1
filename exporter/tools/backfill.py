"""`backfill`: past days or months of one operation, one request per skill and each of them.

A request for the past is an attempt of its query like any other: at least the interval lies
between it and the exporter's own polls of that skill. Beside a running exporter it takes
the place of one poll, and the exporter has the next turn of that skill; so the day costs no
more requests than the exporter's plan, and no skill misses two polls in a row.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from exporter import flags
from exporter.config import Configuration, Operation, Skill
from exporter.config.hours import OpenHours
from exporter.config.plan import other_calls
from exporter.config.values import Invalid, duration, format_duration
from exporter.errors import ConfigError, Problem
from exporter.messages import here
from exporter.metrics.query import QueryHistory, history
from exporter.polling.limits import PAUSING, Demand, Why
from exporter.runtime import system_clock
from exporter.tools import backfill_files as files
from exporter.tools.session import Session, Verdict, sessions
from exporter.tools.skills import skills_of
from exporter.tools.terminal import ask, file_option, progress, run
from exporter.wolkvox.windows import (
    DAY,
    MONTH,
    Window,
    local_day,
    month_after,
    month_to,
    next_day_start,
    whole_day,
)

DEFAULT_PACE = 300.0
TRIES = 3
FAILURES_IN_A_ROW = 5
_AHEAD = 2.0  # seconds before its moment at which a request queues for the token
_LOOK = 60.0  # seconds after which a wait is thought over: the exporter may have polled
_DAY = partial(click.option, required=True, type=click.DateTime(["%Y-%m-%d"]))


@click.command()
@flags.configuration()
@flags.STORAGE
@flags.OPERATION
@_DAY("--from", "first", help="First day, in the operation's time zone.")
@_DAY("--to", "last", help="Last day, yesterday at the latest.")
@click.option(
    "--months",
    is_flag=True,
    help="Whole months instead of days, from that of --from to that of --to: one request for"
    " each skill and month.",
)
@file_option(
    "--output",
    required=True,
    help="The OpenMetrics file; the progress is kept beside it, as FILE.progress.",
)
@click.option(
    "--pace",
    default="300s",
    show_default=True,
    metavar="DURATION",
    help="Time between two requests; less than 300s only where the operation is on loopback.",
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
def backfill(
    configuration: Configuration,
    directory: Path,
    operation: str | None,
    first: datetime,
    last: datetime,
    months: bool,
    output: str,
    pace: str,
    job: str,
    instance: str,
    yes: bool,
) -> None:
    """Write past days or months for `promtool tsdb create-blocks-from openmetrics`.

    One request for each skill and day or month. Ctrl-C ends it after the request under way;
    the same command goes on where it ended, without repeating a request.
    """
    chosen = flags.operation_of(configuration, operation)
    clock = system_clock()
    today = local_day(clock.now(), chosen.timezone)
    begin, end = first.date(), last.date()
    if months:
        begin, end = begin.replace(day=1), month_after(end) - DAY
    seconds = _checked(chosen, begin, end, pace, today)
    owner, windows = chosen.base_url, [*map(whole_day, days_between(begin, end))]
    if months:
        ends = [one.day for one in windows if month_after(one.day) == one.day + DAY]
        owner, windows = f"{owner}#month", [month_to(day, MONTH) for day in ends]
    write = partial(_write, Path(output), {"job": job, "instance": instance})
    stopping = asyncio.Event()

    async def fill() -> int:
        with files.open_progress(Path(output), owner) as kept:
            async with sessions(configuration, directory, clock) as opened:
                own, beside = opened[chosen.name], [*opened.values()]
                job = Backfill(own, beside, kept, windows, seconds)
                return await _fill(job, write, stopping, yes=yes)

    run(fill(), stopping)


def _say(key: str, **values: object) -> None:
    """Write a text below `backfill` in messages.toml to stderr, in the terminal's language."""
    click.echo(here().text(f"backfill.{key}", **values), err=True)


def _checked(operation: Operation, first: date, last: date, pace: str, today: date) -> float:
    """The pace in seconds; raises ConfigError with every problem."""
    problems, seconds, words = [], DEFAULT_PACE, here()
    if last < first:
        problems.append(Problem("--to", words.text("backfill.order", last=last, first=first)))
    if last >= today:
        text = words.text("backfill.not_over", last=last, zone=operation.timezone)
        problems.append(Problem("--to", text))
    try:
        seconds = duration(pace)
    except Invalid as wrong:
        problems.append(Problem("--pace", wrong.text(words.language)))
    if seconds < DEFAULT_PACE and not operation.loopback:
        short = Invalid("interval_short", duration=pace)
        problems.append(Problem("--pace", short.text(words.language)))
    if problems:
        raise ConfigError(problems)
    return seconds


def days_between(first: date, last: date) -> list[date]:
    """Both ends included."""
    return [first + ahead * DAY for ahead in range((last - first).days + 1)]


async def _fill(
    job: Backfill, write: Callable[[Backfill], None], stopping: asyncio.Event, *, yes: bool
) -> int:
    """Request what is still missing and write the file; returns the exit code."""
    await job.prepare()
    if job.why is None and not await _agreed(job, yes=yes):
        return 1
    calls, pace, words = len(job.pending), job.pace, here()
    with progress(calls, lines=True) as advance:

        def on_progress(text: str, left: int) -> None:
            if left and pace:
                span = words.span((left - 1) * pace)
                text = words.text("backfill.left", text=text, span=span)
            advance(text, calls - left)

        await job.fetch(stopping, on_progress)
    if job.why is not None:
        click.echo(f"{job.session.operation.name}: {job.why.sentence(words)}", err=True)
    elif job.pending:
        _say("stopped", count=len(job.pending))
        return 1
    if job.skills:
        write(job)
    return 0 if job.complete else 1


async def _agreed(job: Backfill, *, yes: bool) -> bool:
    """Write the costs; return whether to begin, which is asked on a terminal."""
    session, calls, pace, words = job.session, len(job.pending), job.pace, here()
    if calls == 0:
        _say("none")
        return True
    zone, ceiling = session.budget.zone, session.budget.ceiling
    now, used = session.clock.now(), await session.used_today()
    next_day = next_day_start(now, zone)
    room = calls if ceiling is None else max(0, ceiling - used)
    fits = calls_today(calls, pace, next_day - now) <= room
    every, span = format_duration(pace), words.span((calls - 1) * pace)
    click.echo(words.plural("backfill.calls", calls, pace=every, span=span), err=True)
    _say("sent" if ceiling is None else "used", used=used, ceiling=ceiling)
    if session.exporter_runs():
        _say("beside")
    if not fits:
        local = next_day.astimezone(session.operation.timezone)
        _say("budget", room=room, next=f"{local:%Y-%m-%d %H:%M}", zone=local.tzinfo)
    if yes or room == 0:
        return room > 0
    if sys.stdin.isatty() and sys.stderr.isatty():
        return ask(words.text("backfill.begin"))
    if not fits:
        _say("refused")
    return fits


def calls_today(calls: int, pace: float, left: timedelta) -> int:
    """How many of the calls the pace allows in the rest of the day."""
    return min(calls, int(left / timedelta(seconds=pace)) + 1) if pace else calls


def _write(output: Path, target: Mapping[str, str], job: Backfill) -> None:
    """Write the file, and name the calls without an answer."""
    for call in job.missing:
        _say("missing", skill=call.skill.id, name=call.name)
    if not job.complete:
        _say("rest")
    operation, done = job.session.operation, job.kept.done
    queries, month = [], job.windows[0].month
    for skill in job.skills:
        answers = [(one.day, done.get((skill.id, one.day), ())) for one in job.windows]
        # A channel that a day lacks counts as 0 there; in a month it is not known to be one.
        days = answers if month else [*files.completed(answers)]
        queries.append(QueryHistory((operation.name, skill.id, skill.name), days))
    moments = partial(files.stamps, operation.timezone, job.session.clock.now())
    pieces = history(queries, moments, target, month or "yesterday")
    samples, size = files.write_openmetrics(output, pieces)
    words = here()
    written = {"file": output, "samples": samples, "size": words.number(size / 1e6, ".1f")}
    click.echo(words.text("backfill.written", **written))
    if samples:  # promtool refuses an empty file
        click.echo(f"  → promtool tsdb create-blocks-from openmetrics {output} DIRECTORY")


# The requests ----------------------------------------------------------------------------


class Call(NamedTuple):
    """One skill on one day or in one month."""

    skill: Skill
    window: Window

    @property
    def name(self) -> str:
        """The day or the month, for people."""
        return f"{self.window.day:%Y-%m}" if self.window.month else f"{self.window.day}"


@dataclass(slots=True)
class Backfill:
    """Past days or months of an operation: calls still to be made, and why it ended early.

    `beside` are the sessions that may share its budget; `missing` calls had no answer in three
    tries.
    """

    session: Session
    beside: Sequence[Session]
    kept: files.Progress
    windows: Sequence[Window]
    pace: float
    skills: tuple[Skill, ...] = ()
    pending: list[Call] = field(default_factory=list)
    missing: list[Call] = field(default_factory=list)
    why: Verdict | None = None
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
        skills = await skills_of(self.session)
        if isinstance(skills, Verdict):
            self.why = skills
            return
        self.skills, done = skills, self.kept.done
        self.pending = [
            Call(skill, window)
            for window in self.windows
            for skill in skills
            if (skill.id, window.day) not in done
        ]
        for one in self.beside:
            operation, known = one.operation, await one.known_skills()
            intervals = tuple(skill.interval or operation.interval for skill in known)
            hours = OpenHours(operation.poll_hours, operation.timezone)
            demand = Demand(intervals, other_calls(operation), hours)
            one.budget.demands[operation.name] = demand

    async def fetch(
        self, stopping: asyncio.Event, on_progress: Callable[[str, int], None]
    ) -> None:
        """Make calls until all are answered or something ends it; raises StorageError.

        `stopping` ends it after the call under way; `on_progress` is called with a step and
        how many calls are left.
        """
        clock = self.session.clock
        self._next = min(self.kept.last_at, clock.epoch()) + self.pace
        while self.pending and self.why is None and not stopping.is_set():
            call, moment = await self._choose()
            text, wait = here().text("backfill.waiting"), moment - clock.epoch() - _AHEAD
            if wait <= 0:
                text, wait = await self._request(call, moment)
            if text:
                on_progress(text, len(self.pending))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), min(wait, _LOOK))

    async def _choose(self) -> tuple[Call, float]:
        """The call that may be made first, and its moment in epoch seconds."""
        session, first = self.session, dict[str, Call]()
        for call in self.pending:
            first.setdefault(call.skill.id, call)
        attempts = await session.state.write(
            lambda db: {one: db.stored(session.identity.id, one).last_at for one in first}
        )
        beside = session.exporter_runs()
        earliest = max(session.clock.epoch(), self._next)
        moments = {
            call: max(earliest, self._ready(call.skill, attempts[skill_id], beside))
            for skill_id, call in first.items()
        }
        return min(moments.items(), key=lambda one: one[1])

    def _ready(self, skill: Skill, last_at: float | None, beside: bool) -> float:
        """When a query may be requested again; the exporter's turn comes after our own."""
        if last_at is None:
            return 0.0
        session, gap = self.session, self._gap(skill)
        own = self._own_attempts.get(skill.id) == last_at
        if beside and own and gap >= (skill.interval or session.operation.interval):
            limits = session.budget.limits(session.clock.now())
            return last_at + 2 * limits.interval(gap) + _LOOK
        return last_at + gap

    def _gap(self, skill: Skill) -> float:
        operation = self.session.operation
        interval = skill.interval or operation.interval
        return min(interval, self.pace) if operation.loopback else interval

    async def _request(self, call: Call, moment: float) -> tuple[str, float]:
        """Make a call at its moment; returns the outcome, and the seconds to wait after it."""
        skill_id, window = call.skill.id, call.window
        reply = await self.session.ask(
            skill_id,
            self._gap(call.skill),
            lambda client, token, _: client.skill_11(token, skill_id, window),
            not_before=moment,
        )
        verdict = reply.verdict
        if reply.request is None:
            if verdict.key in (Why.HOURS, Why.CLOSING):
                return verdict.texts(here())[0], verdict.wait or 0.0
            if verdict.key != Why.RECENT:  # that is looked up again by `_choose`
                self.why = verdict
            return "", 0.0
        attempt = self._own_attempts[skill_id] = reply.request.stored.last_at
        # A connection that was never made is on no record.
        requested_at = attempt or self.session.clock.epoch()
        self._next = requested_at + self.pace
        self.pending.remove(call)
        if reply.answer is not None:
            self._failed_in_a_row = 0
            channels = reply.answer.channels
            self.kept.add(skill_id, window.day, requested_at, channels)
            outcome = here().text("verdict.fine" if channels else "report.note.empty")
            return f"{skill_id} {call.name} {outcome}", 0.0
        self._failed_in_a_row += 1
        self._tries[call] += 1
        (self.pending if self._tries[call] < TRIES else self.missing).append(call)
        if verdict.reason in PAUSING or self._failed_in_a_row >= FAILURES_IN_A_ROW:
            self.why = verdict
        return f"{skill_id} {call.name} {verdict.texts(here())[0]}", 0.0
