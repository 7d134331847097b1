"""The operation's skills: read, kept for the exporter and the tools, and shown as YAML.

Within the interval of a call the list of before is shown, which is kept in the state file,
since the API may not be asked again so soon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.errors import WolkvoxError
from exporter.polling.limits import Why
from exporter.polling.request import SKILLS
from exporter.tools.asking import Desk, Held
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.information import Skill
from exporter.wolkvox.windows import Window

_LISTED = "skills_listed"  # with the last use of each, which only this list shows
_DISCOVERED = "skills"  # as the exporter writes and reads it
# The configuration reads these as the same number; others must be text.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, and how many seconds ago."""

    skills: tuple[Skill, ...]
    age: float


async def list_skills(desk: Desk, now: float) -> Listing | Held | WolkvoxError:
    """Ask for the skills inside the desk's client and keep them; `now` in epoch seconds."""
    reply = await desk.ask(SKILLS, "#skills", desk.operation.interval, _call)
    if isinstance(reply, Held):
        return await _listed_before(desk, reply, now) or reply
    if reply.error is not None:
        return reply.error
    skills = reply.answer if isinstance(reply.answer, tuple) else ()
    found = [[one.id, one.name, one.last_use] for one in skills]
    await desk.save_fact(_LISTED, {"at": now, "skills": found})
    if skills:  # an operation does not lose all of them
        await desk.save_fact(_DISCOVERED, [[one.id, one.name] for one in skills])
    return Listing(skills, 0.0)


async def _listed_before(desk: Desk, held: Held, now: float) -> Listing | None:
    """The list of the last call, where it is too early for another one."""
    if held.why is not Why.RECENT or held.last_at is None:
        return None
    known = await desk.load_fact(_LISTED)
    if isinstance(known, dict):
        skills = tuple(Skill(*one) for one in known["skills"])
        return Listing(skills, max(0.0, now - known["at"]))
    skills = tuple(Skill(one.id, one.name, "") for one in await desk.discovered())
    return Listing(skills, max(0.0, now - held.last_at)) if skills else None


async def _call(client: WolkvoxClient, token: str, window: Window) -> tuple[Skill, ...]:
    return await client.skills(token)


def as_yaml(skills: Sequence[Skill], last_use: str) -> str:
    """One flow mapping a line, indented as below an operation's `skills:`.

    JSON's strings are YAML's double-quoted ones, whatever stands in the name.
    """
    lines = []
    for skill in skills:
        number = skill.id if _NUMBER.fullmatch(skill.id) else json.dumps(skill.id)
        line = f"      - {{id: {number}, name: {json.dumps(skill.name, ensure_ascii=False)}}}"
        lines.append(f"{line}  # {last_use} {skill.last_use}" if skill.last_use else line)
    return "".join(f"{line}\n" for line in lines)
