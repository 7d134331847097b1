"""`probe`: one request per configured query, a verdict for each, a table or JSON of all.

A query that was requested less than its interval ago is not requested again: where the
exporter's own answer is in the state file, that one is judged.
"""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import click

from exporter import flags
from exporter.config import Configuration, Operation, Skill
from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.polling.limits import Why
from exporter.polling.request import Request
from exporter.runtime import system_clock
from exporter.tools import recording
from exporter.tools.session import Session, Verdict, sessions, shown, titled
from exporter.tools.skills import skills_of
from exporter.tools.terminal import Row, align, file_option, progress, run, short_heads, show
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from exporter.wolkvox.report import UNKNOWN_CHANNEL, SkillReport, read_report
from exporter.wolkvox.text import scrub
from exporter.wolkvox.windows import local_day

NO_REPORT = SkillReport((), (), 0)
PAUSE = 1.0  # seconds between two requests with one token; none on loopback
# Reasons for which every further request of the operation fails too.
_HOPELESS = (Reason.CONNECT, Reason.UNAUTHORIZED, Reason.QUOTA)
SHAPE = 1
_CELL = 40


@click.command()
@flags.configuration()
@flags.STORAGE
@flags.LANGUAGE
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for scripts.",
)
@file_option(
    "--record",
    help="Keep the answers in a file, without token and names, to report an odd one.",
)
def probe(
    configuration: Configuration,
    directory: Path,
    words: Words,
    output: str,
    record: str | None,
) -> None:
    """Ask each configured query once and say what is right and wrong with it.

    Exit code 0 when every query is fine or has no rows today, 1 otherwise.
    """
    if record is not None:
        recording.write(Path(record), "")  # an answer that cannot be kept costs a request

    async def ask() -> int:
        clock = system_clock()
        async with sessions(configuration, directory, clock) as opened:
            known = [await session.known_skills() for session in opened.values()]
            total = sum(map(len, known)) if all(known) else None
            with progress(total, lines=False) as advance:
                begun = count()
                queries = await probe_all(
                    opened.values(), lambda text: advance(text, next(begun))
                )
        now = clock.now()
        if output == "json":
            click.echo(as_json(queries, words, now), nl=False)
        else:
            show(partial(table, queries, words))
        if record is not None:
            answers = recording.save(Path(record), queries, now)
            click.echo(words.text("tools.recorded", count=answers, file=record), err=True)
        return 0 if all(one.verdict.good for one in queries) else 1

    run(ask())


@dataclass(frozen=True, slots=True)
class Probed:
    """One query and its verdict.

    `rows` are as sent, without the token, and `raw` is the whole answer; `request` is None
    where nothing was sent.
    """

    operation: Operation
    skill: Skill
    verdict: Verdict
    request: Request | None = None
    report: SkillReport = NO_REPORT
    rows: tuple[object, ...] = ()
    raw: recording.Raw | None = None

    @property
    def name(self) -> str:
        """Operation, skill id and, where it has one, the skill's name."""
        return titled(self.skill, self.operation.name)


async def probe_all(
    opened: Iterable[Session], on_progress: Callable[[str], None]
) -> list[Probed]:
    """Request every query, one after the other for each token.

    `on_progress` is called with the name of each query as its turn comes. Raises StorageError
    where an attempt cannot be noted.
    """
    turns = defaultdict[tuple[int, ...], asyncio.Lock](asyncio.Lock)

    async def in_turn(session: Session) -> list[Probed]:
        async with turns[session.budget.account]:
            return await _operation(session, on_progress)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(in_turn(session)) for session in opened]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [one for task in tasks for one in task.result()]


async def _operation(session: Session, on_progress: Callable[[str], None]) -> list[Probed]:
    operation = session.operation
    if not await session.known_skills():
        on_progress(operation.name)
    skills = await skills_of(session)
    if isinstance(skills, Verdict):
        return [Probed(operation, Skill("", "(skills)"), skills)]
    found: list[Probed] = []
    for skill in skills:
        last = found[-1] if found else None
        if last is not None and last.verdict.reason in _HOPELESS:
            found.append(Probed(operation, skill, replace(last.verdict, key="after")))
            continue
        on_progress(f"{operation.name} {skill.name}")
        found.append(await _query(session, skill))
        if found[-1].request is not None and not operation.loopback:
            await session.clock.sleep(PAUSE)
    return found


async def _query(session: Session, skill: Skill) -> Probed:
    raw: list[recording.Raw] = []

    async def request(
        client: WolkvoxClient, token: str, asked: Request
    ) -> tuple[SkillReport, tuple[object, ...]]:
        client.witness = lambda *answer: raw.append(answer)
        report = await client.skill_11(token, skill.id, asked.window)
        return report, tuple(_as_sent(row, token) for row in report.rows)

    gap = skill.interval or session.operation.interval
    reply = await session.ask(skill.id, gap, request)
    if reply.verdict.key == Why.RECENT:
        return await _known(session, skill, reply.verdict)
    probed = Probed(
        session.operation, skill, reply.verdict, reply.request, raw=raw[0] if raw else None
    )
    if reply.answer is None:
        return probed
    report, sent = reply.answer
    key = "unreadable" if report.errors else "fine" if report.channels else "no_rows"
    verdict = replace(reply.verdict, key=key, unreadable=len(report.errors))
    return replace(probed, verdict=verdict, report=report, rows=sent)


async def _known(session: Session, skill: Skill, verdict: Verdict) -> Probed:
    """Judge the exporter's own answer, where the last attempt is too recent for another."""
    probed, row = Probed(session.operation, skill, verdict), session.identity.id
    stored, memory = await session.state.write(
        lambda db: (db.stored(row, skill.id), db.memory(row, skill.id))
    )
    if memory is None or memory.failures:
        return probed
    attempt_at, good_at = stored.attempt_at, memory.last_success_at
    if attempt_at is None or good_at is None:
        return probed
    # A month takes the place of a poll and changes nothing of the day's answer.
    if max((good_at, *memory.month.asked_at, *memory.last_month.asked_at)) < attempt_at:
        return probed
    now = session.clock.now()
    today = local_day(now, session.operation.timezone)
    result = memory.today
    channels = result.rows if result is not None and result.day == today else ()
    verdict = replace(verdict, key="known", good=True, ago=now.timestamp() - good_at)
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


class Finding(NamedTuple):
    """Denominator of the service levels, and how many figures decide it.

    `unknown`: there is too little volume; `neither`: the figures contradict each other.
    """

    denominator: str
    telling: int


def find_denominator(rows: Iterable[ChannelFigures]) -> Finding:
    """The denominator of the service levels of some rows."""
    votes: Counter[str] = Counter()
    for row in rows:
        inbound, answered = row.inbound, row.answered
        if not inbound or answered is None or inbound == answered or inbound > _LARGEST:
            continue
        for level in (row.service_level_10, row.service_level_20, row.service_level_30):
            if level is not None and 0 < level < 1:
                fits = [
                    name
                    for name, of in (("inbound", inbound), ("answered", answered))
                    if abs(level * of - round(level * of)) <= of * _STEP + 1e-9
                ]
                if len(fits) < 2:  # a whole count either way decides nothing
                    votes[fits[0] if fits else "neither"] += 1
    telling = votes.total()
    if telling < _ENOUGH:
        return Finding("unknown", telling)
    return Finding(next(iter(votes)) if len(votes) == 1 else "neither", telling)


def _service_level(queries: Iterable[Probed]) -> Finding:
    # Each row by itself: merged rows would no longer be what the API computed.
    reports = [read_report([row]) for one in queries for row in one.rows]
    return find_denominator(row for report in reports for row in report.channels)


# Output ----------------------------------------------------------------------------------
#
# Below each channel as the exporter reads it stand the strings as the API sent them.


def table(queries: Sequence[Probed], words: Words, width: int | None) -> str:
    """The figures and the verdicts, for a terminal of that many columns in colours.

    Without a width, for a pipe or a file: aligned, and without any control character.
    """
    lines = align([*_rows(queries, words)], width)
    if width is None and lines:
        lines.append("")
    for good, text in _verdicts(queries, words):
        if width is None:
            lines.append(text)
            continue
        mark = click.style("✔", fg="green") if good else click.style("✘", fg="red")
        lines.append(f"{mark} " + "\n  ".join(textwrap.wrap(text, max(width - 2, 20))))
    return "\n".join([*lines, ""])


def _rows(queries: Iterable[Probed], words: Words) -> Iterator[Row]:
    heads = short_heads(words)
    for probed in queries:
        if probed.report.channels:
            yield {"bold": True}, shown(probed.name, _CELL), heads
        for figures in probed.report.channels:
            values = ((one.kind, getattr(figures, one.attribute)) for one in COLUMNS)
            read = [words.figure(kind, value, close=True) for kind, value in values]
            yield {}, shown(figures.channel, _CELL), read
            for row in (one for one in probed.rows if isinstance(one, dict)):
                channel = str(row.get("type_interaction") or "").strip() or UNKNOWN_CHANNEL
                if channel == figures.channel:
                    sent = [_sent(row.get(column.field, "")) for column in COLUMNS]
                    yield {"dim": True}, "  " + words.text("tools.sent"), sent


def _sent(cell: object) -> str:
    """As JSON wrote it; a string without its quotes, where they would tell nothing."""
    plain_text = isinstance(cell, str) and cell.strip() == cell != ""
    return shown(str(cell) if plain_text else json.dumps(cell, ensure_ascii=False), 14)


def _verdicts(queries: Sequence[Probed], words: Words) -> Iterator[tuple[bool, str]]:
    """Whether it is good, and a sentence or two, for each query; then for all of them."""
    for probed in queries:
        yield probed.verdict.good, f"{probed.name}: {probed.verdict.sentence(words)}"
    level = _service_level(queries)
    expected = level.denominator in ("inbound", "unknown")
    yield expected, words.text(f"denominator.{level.denominator}", count=level.telling)
    good = sum(one.verdict.good for one in queries)
    text = words.text("tools.summary", good=good, count=len(queries))
    yield good == len(queries), text


def as_json(queries: Sequence[Probed], words: Words, now: datetime) -> str:
    """For scripts: `shape` changes whenever a key changes its name or meaning."""
    document = {
        "shape": SHAPE,
        "checked_at": now.isoformat(timespec="seconds"),
        "ok": all(one.verdict.good for one in queries),
        "service_level": _service_level(queries)._asdict(),
        "queries": [_as_data(probed, words) for probed in queries],
    }
    return SECRETS.scrub(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def _as_data(probed: Probed, words: Words) -> dict[str, Any]:
    verdict, request, report = probed.verdict, probed.request, probed.report
    message, advice = verdict.texts(words)
    channels = [asdict(figures) for figures in report.channels]
    return {
        "operation": probed.operation.name,
        "server": probed.operation.server,
        "skill_id": probed.skill.id,
        "skill": probed.skill.name,
        "verdict": verdict.key,
        "ok": verdict.good,
        "asked": request is not None,
        "reason": verdict.reason and str(verdict.reason),
        "detail": verdict.detail,
        "message": message,
        "advice": advice,
        "date_ini": request and request.window.start,
        "date_end": request and request.window.end,
        "seconds": request and round(request.seconds, 3),
        "asked_seconds_ago": verdict.ago and round(verdict.ago, 3),
        "retry_in_seconds": verdict.wait and round(verdict.wait, 3),
        "channels": [{"type_interaction": one.pop("channel"), **one} for one in channels],
        "rows": list(probed.rows),
        "unreadable": [asdict(error) for error in report.errors],
        "dropped": report.dropped,
    }
