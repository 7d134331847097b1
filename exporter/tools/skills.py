"""`skills`: the skills of an operation, requested once an interval, shown as YAML to paste.

The list is kept in the state file, for the exporter and for the next tool.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from exporter import config, flags
from exporter.config import Configuration
from exporter.config.values import skill_number
from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.polling.tasks import remembered_skills
from exporter.runtime import system_clock
from exporter.state.storage import Storage
from exporter.tools.session import Session, Verdict, sessions
from exporter.tools.terminal import run
from exporter.wolkvox.report import Skill

_LISTED = "skills_listed"  # with the last use of each, which only this list shows
_DISCOVERED = "skills"  # as the exporter writes and reads it


@click.command()
@flags.configuration(WOLKVOX_SKILLS="discover")
@flags.STORAGE
@flags.LANGUAGE
@flags.OPERATION
def skills(
    configuration: Configuration, directory: Path, words: Words, operation: str | None
) -> None:
    """List the operation's skills as YAML to paste below `skills:`.

    Without a configuration file WOLKVOX_SERVER and WOLKVOX_TOKEN are enough.
    """
    chosen = flags.operation_of(configuration, operation)

    async def show() -> int:
        async with sessions(configuration, directory, system_clock()) as opened:
            listing = await list_skills(opened[chosen.name])
        if isinstance(listing, Verdict):
            for text in configuration.warnings:  # a token with quotes around it, perhaps
                click.echo(f"warning: {text}", err=True)
            click.echo(f"{chosen.name}: {listing.sentence(words)}", err=True)
            return 1
        age = words.text("tools.skills.age", age=words.age(listing.age)) if listing.age else ""
        count = len(listing.skills)
        click.echo(f"      # {chosen.name} ({chosen.server}), skills: {count}{age}")
        click.echo(SECRETS.scrub(as_yaml(listing.skills, words)), nl=False)
        return 0

    run(show())


class Listing(NamedTuple):
    """The skills that were found, and how many seconds ago."""

    skills: tuple[Skill, ...]
    age: float


async def list_skills(session: Session) -> Listing | Verdict:
    """Request the skills and keep them; within the interval the list of before is returned."""
    reply = await session.ask(
        "#skills", session.operation.interval, lambda client, token, _: client.skills(token)
    )
    listed, row, now = reply.answer, session.identity.id, session.clock.epoch()
    if listed is not None:

        def keep(db: Storage) -> None:
            rows = [[one.id, one.name, one.last_use] for one in listed]
            db.save_fact(row, _LISTED, {"at": now, "skills": rows})
            if listed:  # an operation does not lose all of them
                db.save_fact(row, _DISCOVERED, [[one.id, one.name] for one in listed])

        await session.state.write(keep)
        return Listing(listed, 0.0)
    if reply.verdict.ago is None:
        return reply.verdict
    kept, known = await session.state.write(
        lambda db: [db.load_fact(row, name) for name in (_LISTED, _DISCOVERED)]
    )
    if isinstance(kept, dict):
        before = tuple(Skill(*one) for one in kept["skills"])
        return Listing(before, max(0.0, now - kept["at"]))
    found = tuple(Skill(one.id, one.name, "") for one in remembered_skills(known))
    return Listing(found, reply.verdict.ago) if found else reply.verdict


async def skills_of(session: Session) -> tuple[config.Skill, ...] | Verdict:
    """The skills that are configured, known from before, or requested now: at least one."""
    if known := await session.known_skills():
        return known
    listing = await list_skills(session)
    if isinstance(listing, Verdict):
        return listing
    if not listing.skills:
        text = "the operation has no skills"
        return Verdict("not_found", reason=Reason.NOT_FOUND, detail=text)
    return tuple(config.Skill(one.id, one.name) for one in listing.skills)


def as_yaml(listed: Sequence[Skill], words: Words) -> str:
    """One flow mapping a line, indented as below an operation's `skills:`.

    JSON's strings are YAML's double-quoted ones, whatever stands in the name.
    """
    lines = []
    for skill in listed:
        number = json.dumps(skill_number(skill.id))
        line = f"      - {{id: {number}, name: {json.dumps(skill.name, ensure_ascii=False)}}}"
        used = words.text("tools.skills.used", at=skill.last_use)
        lines.append(f"{line}  # {used}" if skill.last_use else line)
    return "".join(f"{line}\n" for line in lines)
