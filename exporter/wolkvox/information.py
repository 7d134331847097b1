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
_TOKEN_INFO = (
    "token_limit",
    "token_use_today",
    "all_token_today",
    "available_consumption_options",
)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The day's calls as Wolkvox counts them; None = not in the answer or not readable."""

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
    counts = (read_count(row.get(name)) for name in _TOKEN_INFO)
    return TokenInfo(*(float(one) if isinstance(one, int) else None for one in counts))


def read_skills(rows: Sequence[object]) -> tuple[Skill, ...]:
    """The skills in the API's order, each id once; rows without a numeric id are left out."""
    skills: dict[str, Skill] = {}
    for row in rows:
        if isinstance(row, dict):
            keys = ("skill_id", "skill_name", "last_use")
            skill_id, name, last_use = (_text(row.get(key)) for key in keys)
            if re.fullmatch(r"[0-9]{1,20}", skill_id):
                skills.setdefault(skill_id, Skill(skill_id, name or skill_id, last_use))
    return tuple(skills.values())


def _text(value: object) -> str:
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    return one_line(str(value), _MAX_NAME) if is_text else ""
