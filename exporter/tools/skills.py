"""The operation's skills as YAML to paste below `skills:`; reads no configuration.

A second call within the interval shows what was found before, which is kept in the state
file, since the API may not be asked again so soon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.errors import WolkvoxError
from exporter.polling.observer import SKILLS
from exporter.tools.asking import Desk, Held, Why
from exporter.tools.probe import ask_skills
from exporter.wolkvox.information import Skill

_FACT = "skills_listed"
# The configuration reads these as the same number; others must be text.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, and how many seconds ago."""

    skills: tuple[Skill, ...]
    age: float


async def list_skills(desk: Desk, now: float) -> Listing | Held | WolkvoxError:
    """Ask for the skills inside the desk's client; `now` in epoch seconds."""
    reply = await desk.ask(SKILLS, "#skills", desk.operation.interval, ask_skills)
    if isinstance(reply, Held):
        known = await desk.load_fact(_FACT)
        if reply.why is Why.RECENT and isinstance(known, dict):
            skills = tuple(Skill(*one) for one in known["skills"])
            return Listing(skills, max(0.0, now - known["at"]))
        return reply
    if reply.error is not None:
        return reply.error
    skills = reply.answer if isinstance(reply.answer, tuple) else ()
    found = [[one.id, one.name, one.last_use] for one in skills]
    await desk.save_fact(_FACT, {"at": now, "skills": found})
    return Listing(skills, 0.0)


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
