"""The rows of information.php (token_info, skills) become values; pure and total.

Every cell is a string; `available_consumption_options` is the limit minus the use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.wolkvox.report import read_count
from exporter.wolkvox.text import one_line

_MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The day's calls as Wolkvox counts them; None = not told or not readable."""

    limit: float | None
    used: float | None
    used_all: float | None
    available: float | None


@dataclass(frozen=True, slots=True)
class Skill:
    """A queue of the operation; `last_use` as the API writes it, "" where it does not."""

    id: str
    name: str
    last_use: str


def read_token_info(rows: Sequence[object]) -> TokenInfo:
    """The first row that is an object; all None where there is none."""
    row = next((row for row in rows if isinstance(row, dict)), {})
    return TokenInfo(
        limit=_number(row.get("token_limit")),
        used=_number(row.get("token_use_today")),
        used_all=_number(row.get("all_token_today")),
        available=_number(row.get("available_consumption_options")),
    )


def read_skills(rows: Sequence[object]) -> tuple[Skill, ...]:
    """The skills in the API's order, each id once; rows without a numeric id are left out."""
    skills: dict[str, Skill] = {}
    for row in rows:
        if not isinstance(row, dict):
            continue
        skill_id = _text(row.get("skill_id"))
        if re.fullmatch(r"[0-9]{1,20}", skill_id):
            name = _text(row.get("skill_name")) or skill_id
            skills.setdefault(skill_id, Skill(skill_id, name, _text(row.get("last_use"))))
    return tuple(skills.values())


def _number(value: object) -> float | None:
    count = read_count(value)
    return float(count) if isinstance(count, int) else None


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return str(value)
    return one_line(value, _MAX_NAME) if isinstance(value, str) else ""
