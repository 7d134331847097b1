"""`skills`: the skills of an operation, requested once an interval, shown as YAML to paste.

The list is kept in the state file, for the exporter and for the next tool.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import click

from exporter import config, flags
from exporter.config import in_environment
from exporter.errors import Reason, WolkvoxError
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.polling.limits import Why
from exporter.tools.asking import Desk, Held
from exporter.tools.session import complain, desks, system_means
from exporter.tools.terminal import run
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import Skill
from exporter.wolkvox.windows import Window

_LISTED = "skills_listed"  # with the last use of each, which only this list shows
_DISCOVERED = "skills"  # as the exporter writes and reads it
# The configuration reads these as the same number; others must be text.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@click.command()
@flags.CONFIG_FILES
@flags.STORAGE
@flags.LANGUAGE
@flags.OPERATION
@click.pass_context
def skills(
    context: click.Context,
    config_files: tuple[str, ...],
    storage: str | None,
    language: str,
    operation: str | None,
) -> None:
    """List the operation's skills as YAML to paste below `skills:`.

    Without a configuration file WOLKVOX_SERVER and WOLKVOX_TOKEN are enough.
    """
    environ = dict(os.environ)
    if in_environment(environ):
        environ["WOLKVOX_SKILLS"] = environ.get("WOLKVOX_SKILLS") or "discover"
    configuration = flags.configuration_of(context, config_files, environ)
    chosen = flags.operation_of(configuration, operation)
    means, words = system_means(flags.directory_of(context, storage)), Words(language)

    async def show(stopping: asyncio.Event) -> int:
        with desks(configuration, means) as opened:
            desk = opened[chosen.name]
            async with desk.client:
                listing = await list_skills(desk, means.clock.epoch())
        if not isinstance(listing, Listing):
            complain(desk, listing, words, means.clock.epoch())
            return 1
        age = f", as of {words.span(listing.age)} ago" if listing.age else ""
        count = len(listing.skills)
        click.echo(f"      # {count} skills of {chosen.name} ({chosen.server}){age}")
        click.echo(SECRETS.scrub(as_yaml(listing.skills)), nl=False)
        return 0

    context.exit(run(show, patient=False))


@dataclass(frozen=True, slots=True)
class Listing:
    """The skills that were found, and how many seconds ago."""

    skills: tuple[Skill, ...]
    age: float


async def list_skills(desk: Desk, now: float) -> Listing | Held | WolkvoxError:
    """Request the skills inside the desk's client and keep them; `now` in epoch seconds.

    Within the interval of a request the list of before is returned.
    """

    async def request(client: WolkvoxClient, token: str, window: Window) -> object:
        return await client.skills(token)

    reply = await desk.ask("#skills", desk.operation.interval, request)
    if isinstance(reply, Held):
        return await _listed_before(desk, reply, now) or reply
    if reply.error is not None:
        return reply.error
    listed = reply.answer if isinstance(reply.answer, tuple) else ()
    rows = [[one.id, one.name, one.last_use] for one in listed]
    await desk.save_fact(_LISTED, {"at": now, "skills": rows})
    if listed:  # an operation does not lose all of them
        await desk.save_fact(_DISCOVERED, [[one.id, one.name] for one in listed])
    return Listing(listed, 0.0)


async def _listed_before(desk: Desk, held: Held, now: float) -> Listing | None:
    if held.why is not Why.RECENT or held.last_at is None:
        return None
    known = await desk.load_fact(_LISTED)
    if isinstance(known, dict):
        listed = tuple(Skill(*one) for one in known["skills"])
        return Listing(listed, max(0.0, now - known["at"]))
    listed = tuple(Skill(one.id, one.name, "") for one in await desk.discovered())
    return Listing(listed, max(0.0, now - held.last_at)) if listed else None


async def discover(desk: Desk, now: float) -> tuple[config.Skill, ...] | Held | WolkvoxError:
    """The skills of an operation that has none configured; none found is an error."""
    listing = await list_skills(desk, now)
    if not isinstance(listing, Listing):
        return listing
    if not listing.skills:
        return WolkvoxError(Reason.NOT_FOUND, "the operation has no skills")
    return tuple(config.Skill(one.id, one.name) for one in listing.skills)


def as_yaml(listed: Sequence[Skill]) -> str:
    """One flow mapping a line, indented as below an operation's `skills:`.

    JSON's strings are YAML's double-quoted ones, whatever stands in the name.
    """
    lines = []
    for skill in listed:
        number = skill.id if _NUMBER.fullmatch(skill.id) else json.dumps(skill.id)
        line = f"      - {{id: {number}, name: {json.dumps(skill.name, ensure_ascii=False)}}}"
        lines.append(f"{line}  # last use {skill.last_use}" if skill.last_use else line)
    return "".join(f"{line}\n" for line in lines)
