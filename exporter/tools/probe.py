"""`probe`: one request per configured query, a verdict for each, a table or JSON of all.

A query that was requested less than its interval ago is not requested again: where the
exporter's own answer is in the state file, that one is judged.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Literal

import click

from exporter import flags
from exporter.config import Operation, Skill
from exporter.errors import Reason, WolkvoxError
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.polling.limits import Why
from exporter.runtime import Clock
from exporter.tools.asking import Desk, Held
from exporter.tools.recording import Recorder
from exporter.tools.session import Verdict, desks, shown, system_means
from exporter.tools.skills import discover
from exporter.tools.terminal import progress, run
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Column, Kind
from exporter.wolkvox.report import UNKNOWN_CHANNEL, SkillReport, read_report
from exporter.wolkvox.text import scrub
from exporter.wolkvox.windows import Window, day_so_far, local_day

NO_REPORT = SkillReport((), (), 0)
PAUSE = 1.0  # seconds between two requests with one token; none on loopback
# Reasons for which every further request of the operation fails too.
_HOPELESS = (Reason.CONNECT, Reason.UNAUTHORIZED, Reason.QUOTA)
SHAPE = 1
_CELL, _NARROWEST = 40, 8


@click.command()
@flags.CONFIG_FILES
@flags.STORAGE
@flags.LANGUAGE
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for scripts.",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the answers in a file, without token and names, to report an odd one.",
)
@click.pass_context
def probe(
    context: click.Context,
    config_files: tuple[str, ...],
    storage: str | None,
    language: str,
    output: str,
    record: Path | None,
) -> None:
    """Ask each configured query once and say what is right and wrong with it.

    Exit code 0 when every query is fine or has no rows today, 1 otherwise.
    """
    configuration = flags.configuration_of(context, config_files)
    means, words = system_means(flags.directory_of(context, storage)), Words(language)
    recorder = Recorder(record) if record is not None else None

    async def show(stopping: asyncio.Event) -> int:
        with desks(configuration, means) as opened:
            known = [await desk.skills() for desk in opened.values()]
            total = sum(map(len, known)) if all(known) else None
            with progress(total, lines=False) as advance:
                begun = count()
                prober = Prober(means.clock, lambda text: advance(text, next(begun)), recorder)
                result = await prober.run(opened.values())
        now = means.clock.now()
        if output == "json":
            click.echo(as_json(result, words, now), nl=False)
        else:
            width = get_terminal_size().columns if sys.stdout.isatty() else None
            text = table(result, words, width)
            click.echo(text, nl=False, color=False if os.environ.get("NO_COLOR") else None)
        if recorder is not None:
            recorder.save(result.queries, now)
            answers, file = len(recorder.answers), recorder.path
            click.echo(words.text("probe.recorded", count=answers, file=file), err=True)
        return 0 if result.good else 1

    context.exit(run(show, patient=False))


@dataclass(frozen=True, slots=True)
class Probed:
    """One query and its verdict.

    `rows` are as sent, without the token; `window` is None where nothing was requested;
    `seconds` is how long the answer took.
    """

    operation: Operation
    skill: Skill
    verdict: Verdict
    report: SkillReport = NO_REPORT
    rows: tuple[object, ...] = ()
    window: Window | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        """Operation, skill id and, where it has one, the skill's name."""
        skill = self.skill
        return (
            f"{self.operation.name} {skill.id} {'' if skill.name == skill.id else skill.name}"
        )


Denominator = Literal["inbound", "answered", "neither", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Denominator of the service levels, and how many figures decide it.

    `unknown`: there is too little volume; `neither`: the figures contradict each other.
    """

    denominator: Denominator
    telling: int


@dataclass(frozen=True, slots=True)
class Result:
    """All queries, and what the service level of their rows is a share of."""

    queries: tuple[Probed, ...]
    service_level: Finding

    @property
    def good(self) -> bool:
        """Whether every query is fine or empty."""
        return all(one.verdict.good for one in self.queries)


@dataclass(frozen=True, slots=True)
class Prober:
    """Requests every query of several operations, one after the other for each token.

    `on_progress` is called with the name of each query as its turn comes.
    """

    clock: Clock
    on_progress: Callable[[str], None]
    recorder: Recorder | None = None

    async def run(self, desks: Iterable[Desk]) -> Result:
        """Request all; raises StorageError where an attempt cannot be noted."""
        turns = defaultdict[tuple[int, ...], asyncio.Lock](asyncio.Lock)

        async def probe(desk: Desk) -> list[Probed]:
            async with turns[desk.budget.account], desk.client:
                return await self._operation(desk)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(probe(desk)) for desk in desks]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        queries = tuple(one for task in tasks for one in task.result())
        # Each row by itself: merged rows would no longer be what the API computed.
        reports = [read_report([row]) for one in queries for row in one.rows]
        rows = [row for report in reports for row in report.channels]
        return Result(queries, find_denominator(rows))

    async def _operation(self, desk: Desk) -> list[Probed]:
        operation = desk.operation
        skills: tuple[Skill, ...] | Held | WolkvoxError = await desk.skills()
        if not skills:
            self.on_progress(operation.name)
            skills = await discover(desk, self.clock.epoch())
        if not isinstance(skills, tuple):
            verdict = Verdict.of(skills, self.clock.epoch())
            return [Probed(operation, Skill("", "(skills)"), verdict)]
        found: list[Probed] = []
        for skill in skills:
            if found and found[-1].verdict.reason in _HOPELESS:
                after = replace(found[-1].verdict, key="after")
                found.append(replace(found[-1], skill=skill, window=None, verdict=after))
                continue
            self.on_progress(f"{operation.name} {skill.name}")
            found.append(await self._query(desk, skill))
            if found[-1].window is not None and not operation.loopback:
                await self.clock.sleep(PAUSE)
        return found

    async def _query(self, desk: Desk, skill: Skill) -> Probed:
        operation = desk.operation
        windows: list[Window] = []

        async def request(client: WolkvoxClient, token: str, _: Window) -> object:
            # Always today's figures, also where the exporter would close yesterday.
            windows.append(day_so_far(self.clock.now(), operation.timezone))
            if self.recorder is not None:
                client.witness = self.recorder.witness(operation, skill)
            rows = await client.skill_11_rows(token, skill.id, windows[0])
            return rows, tuple(_as_sent(row, token) for row in rows)

        gap = skill.interval or operation.interval
        reply = await desk.ask(skill.id, gap, request)
        if isinstance(reply, Held):
            return await self._held(desk, skill, reply)
        report, sent = NO_REPORT, ()
        if isinstance(reply.answer, tuple):
            rows, sent = reply.answer
            report = read_report(rows)
            key = "unreadable" if report.errors else "fine" if report.channels else "no_rows"
            verdict = Verdict(key, good=True, unreadable=len(report.errors))
        else:
            error = reply.error or WolkvoxError(Reason.INTERNAL, "no answer")
            verdict = Verdict.of(error, self.clock.epoch())
        window = windows[0] if windows else None
        return Probed(operation, skill, verdict, report, sent, window, reply.seconds)

    async def _held(self, desk: Desk, skill: Skill, held: Held) -> Probed:
        """Judge the exporter's own answer, if its last attempt is too recent for another."""
        probed = Probed(desk.operation, skill, Verdict.of(held, self.clock.epoch()))
        known = await desk.known(skill.id)
        memory, attempt_at = known.memory, known.stored.attempt_at
        if held.why is not Why.RECENT or memory is None or attempt_at is None:
            return probed
        if memory.failures or (memory.last_success_at or 0.0) < attempt_at:
            return probed
        today = local_day(self.clock.now(), desk.operation.timezone)
        result = memory.today
        channels = result.rows if result is not None and result.day == today else ()
        verdict = replace(probed.verdict, key="known", good=True)
        return replace(probed, verdict=verdict, report=SkillReport(channels, (), 0))


def _as_sent(value: object, token: str, *, nested: bool = False) -> object:
    """A row, or a cell of it, without anything of the token; what is nested is only named."""
    if isinstance(value, str):
        return scrub(value, token)
    if isinstance(value, dict):
        if nested:
            return "[an object]"
        return {
            scrub(key, token): _as_sent(one, token, nested=True) for key, one in value.items()
        }
    return "[a list]" if isinstance(value, list) else value


# The denominator of the service level ----------------------------------------------------
#
# A service level has two decimals, so that it gives its count back: 65.67 % of 67 inbound are
# 43.999, nearly whole; of 66 answered they would be 43.342. Figures that are nearly whole both
# ways, or too large for two decimals, decide nothing.

_STEP = 1e-4  # rounded or cut off after two decimals of a percentage: off by less than this
_LARGEST = 2000  # so many interactions blur a count by a fifth: chance would pass too often
_ENOUGH = 3
# By whether it gives a whole count of inbound, and of answered.
_BY_FIT: dict[tuple[bool, bool], Denominator] = {
    (True, True): "unknown",
    (True, False): "inbound",
    (False, True): "answered",
    (False, False): "neither",
}


def find_denominator(rows: Iterable[ChannelFigures]) -> Finding:
    """The denominator of the service levels of some rows."""
    votes: Counter[Denominator] = Counter()
    for row in rows:
        inbound, answered = row.inbound, row.answered
        if not inbound or answered is None or inbound == answered or inbound > _LARGEST:
            continue
        for level in (row.service_level_10, row.service_level_20, row.service_level_30):
            if level is not None and 0 < level < 1:
                votes[_BY_FIT[_is_whole(level, inbound), _is_whole(level, answered)]] += 1
    del votes["unknown"]
    telling = votes.total()
    if telling < _ENOUGH:
        return Finding("unknown", telling)
    return Finding(next(iter(votes)) if len(votes) == 1 else "neither", telling)


def _is_whole(level: float, of: int) -> bool:
    count = level * of
    return abs(count - round(count)) <= of * _STEP + 1e-9


# Output ----------------------------------------------------------------------------------
#
# Below each channel as the exporter reads it stand the strings as the API sent them.


def table(result: Result, words: Words, width: int | None) -> str:
    """The figures and the verdicts, for a terminal of that many columns in colours.

    Without a width, for a pipe or a file: aligned, and without any control character.
    """
    rows = [*_rows(result, words)]
    gap = 2 if width is None else 1
    columns = zip(*(cells for _, _, cells in rows), strict=True)
    sizes = [max(map(len, column)) + gap for column in columns]
    names = max((len(name) for _, name, _ in rows), default=0)
    if width is not None:  # the names have the room that the figures leave
        names = max(_NARROWEST, min(names, width - sum(sizes)))
    lines = []
    for style, name, cells in rows:
        aligned = (cell.rjust(size) for cell, size in zip(cells, sizes, strict=True))
        line = name[:names].ljust(names) + "".join(aligned)
        lines.append(line if width is None else click.style(line, **style))
    if width is None and lines:
        lines.append("")
    for good, text in _verdicts(result, words):
        if width is None:
            lines.append(text)
            continue
        mark = click.style("✔", fg="green") if good else click.style("✘", fg="red")
        lines.append(f"{mark} " + "\n  ".join(textwrap.wrap(text, max(width - 2, 20))))
    return "\n".join([*lines, ""])


_Row = tuple[dict[str, Any], str, Sequence[str]]
"""The style of a line, its name, its figures."""


def _rows(result: Result, words: Words) -> Iterator[_Row]:
    heads = [words.text(f"column.{column.attribute}.short") for column in COLUMNS]
    for probed in result.queries:
        if probed.report.channels:
            yield {"bold": True}, shown(probed.name, _CELL), heads
        for figures in probed.report.channels:
            read = [_read(column, figures, words) for column in COLUMNS]
            yield {}, shown(figures.channel, _CELL), read
            for row in (one for one in probed.rows if isinstance(one, dict)):
                channel = str(row.get("type_interaction") or "").strip() or UNKNOWN_CHANNEL
                if channel == figures.channel:
                    sent = [_sent(row.get(column.field, "")) for column in COLUMNS]
                    yield {"dim": True}, "  " + words.text("probe.sent"), sent


def _read(column: Column, figures: ChannelFigures, words: Words) -> str:
    value = getattr(figures, column.attribute)
    if value is None:
        return "-"
    if column.kind is Kind.COUNT:
        return str(value)
    seconds = column.kind is Kind.SECONDS
    return words.number(value, "g") if seconds else words.percent(value, ".2f")


def _sent(cell: object) -> str:
    """As JSON wrote it; a string without its quotes, where they would tell nothing."""
    plain_text = isinstance(cell, str) and cell.strip() == cell != ""
    return shown(str(cell) if plain_text else json.dumps(cell, ensure_ascii=False), 14)


def _verdicts(result: Result, words: Words) -> Iterator[tuple[bool, str]]:
    """Whether it is good, and a sentence or two, for each query; then for all of them."""
    for probed in result.queries:
        sentence = probed.verdict.sentence(words)
        yield probed.verdict.good, f"{shown(probed.name, 200)}: {sentence}"
    level = result.service_level
    expected = level.denominator in ("inbound", "unknown")
    yield expected, words.text(f"denominator.{level.denominator}", count=level.telling)
    good = sum(one.verdict.good for one in result.queries)
    yield result.good, words.text("probe.summary", good=good, count=len(result.queries))


def as_json(result: Result, words: Words, now: datetime) -> str:
    """For scripts: `shape` changes whenever a key changes its name or meaning."""
    document = {
        "shape": SHAPE,
        "checked_at": now.isoformat(timespec="seconds"),
        "ok": result.good,
        "service_level": asdict(result.service_level),
        "queries": [_query(probed, words) for probed in result.queries],
    }
    return SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def _query(probed: Probed, words: Words) -> dict[str, Any]:
    verdict, window, report = probed.verdict, probed.window, probed.report
    message, advice = verdict.texts(words)
    channels = [asdict(figures) for figures in report.channels]
    return {
        "operation": probed.operation.name,
        "server": probed.operation.server,
        "skill_id": probed.skill.id,
        "skill": probed.skill.name,
        "verdict": verdict.key,
        "ok": verdict.good,
        "asked": window is not None,
        "reason": verdict.reason and str(verdict.reason),
        "detail": verdict.detail,
        "message": message,
        "advice": advice,
        "date_ini": window and window.start,
        "date_end": window and window.end,
        "seconds": _rounded(probed.seconds),
        "asked_seconds_ago": _rounded(verdict.ago),
        "retry_in_seconds": _rounded(verdict.wait),
        "channels": [{"type_interaction": one.pop("channel"), **one} for one in channels],
        "rows": list(probed.rows),
        "unreadable": [asdict(error) for error in report.errors],
        "dropped": report.dropped,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
