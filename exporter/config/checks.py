"""What only shows when operations stand side by side; knows the operations, not their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from exporter.config.form import SkillForm
from exporter.config.meaning import Merged, skill_key, sla_skills
from exporter.config.model import Operation
from exporter.config.reading import Problems
from exporter.config.tokens import TokenUnreadable, token_digest
from exporter.config.values import ALL_SKILLS


@dataclass(frozen=True, slots=True)
class Placed:
    """An operation (None where it is wrong), where it was written, and whom to tell."""

    path: str
    merged: Merged
    problems: Problems
    operation: Operation | None


def check_names(placed: Sequence[Placed]) -> None:
    """Refuse a name that stands twice over all files."""
    first: dict[str, Placed] = {}
    for one in placed:
        name = one.merged.form.name
        if not name:
            continue
        other = first.setdefault(name, one)
        if other is not one:
            one.problems.add(
                one.merged.where("name"), f'"{name}" is already the name of {other.path}'
            )


def check_default_targets(placed: Sequence[Placed]) -> None:
    """Refuse a skill in the targets of one file's defaults that none of its operations has."""
    users = [one for one in placed if "sla" not in one.merged.own.given]
    if not users or not all(isinstance(one.merged.form.skills, list) for one in users):
        return
    known = {skill_key(s.id) for one in users for s in _listed(one.merged)}
    defaults = users[0].merged.defaults
    for entry, number, skill_id in sla_skills(defaults.form.sla):
        if skill_key(skill_id) not in known:
            users[0].problems.add(
                f"{defaults.path}.sla.{entry}.skills.{number}",
                f"no operation of this file that takes these defaults has the skill {skill_id}",
            )


def shared_tokens(placed: Sequence[Placed]) -> tuple[tuple[str, ...], ...]:
    """Group the names of operations with the same token.

    They must state the same ceiling, and on one server no skill may be asked by two of them.
    """
    groups: dict[str, list[tuple[Placed, Operation]]] = defaultdict(list)
    for one in placed:
        if one.operation is None:
            continue
        try:
            digest = token_digest(one.operation.token.read())
        except TokenUnreadable as exc:  # it was readable a moment ago
            one.problems.add(one.path, str(exc))
            continue
        groups[digest].append((one, one.operation))
    shared = [group for group in groups.values() if len(group) > 1]
    for (_, first), *others in shared:
        for one, operation in others:
            if operation.daily_requests != first.daily_requests:
                one.problems.add(
                    one.merged.where("daily_requests"),
                    f"must be the same as that of {first.name}"
                    f" ({first.daily_requests or 'none'}): both use the same token",
                )
    for group in shared:
        for (_, first), (one, operation) in combinations(group, 2):
            _check_same_skills(first, one, operation)
    return tuple(tuple(operation.name for _, operation in group) for group in shared)


def _check_same_skills(first: Operation, one: Placed, operation: Operation) -> None:
    """Refuse a skill that two operations of one server ask with one token: it is the same."""
    if operation.base_url != first.base_url:
        return
    both = {skill.id for skill in first.skills} & {skill.id for skill in operation.skills}
    if first.discover or operation.discover or both:
        what = f"the skill {min(both)}" if both else "the skills that discover finds"
        one.problems.add(
            one.merged.where("skills"),
            f"{first.name} asks {what} with the same token already: leave it to one of them",
        )


def warnings(placed: Iterable[Placed]) -> tuple[str, ...]:
    """Return what is allowed, but probably not meant, each in one sentence."""
    return tuple(
        warning
        for one in placed
        if one.operation is not None
        for warning in _own_warnings(one, one.operation)
    )


def _own_warnings(one: Placed, operation: Operation) -> list[str]:
    found = []
    if "token" in one.merged.own.given:
        found.append(f"{one.path}.token: stands in plain text here; token_file keeps it apart")
    if odd := operation.token.oddity():
        found.append(f"{one.path}: the token in {operation.token.describe()} {odd}")
    if operation.token.exposed():
        found.append(
            f"{one.path}.token_file: every user of this machine may read"
            f" {operation.token.describe()}; chmod 600 keeps it private"
        )
    if not operation.loopback and _unusual_path(operation):
        found.append(f"{one.path}.url: Wolkvox answers below /api/v2/, which is not in it")
    singles = operation.discover or any(s.id != ALL_SKILLS for s in operation.skills)
    if singles and any(entry.skills == (ALL_SKILLS,) for entry in operation.sla):
        found.append(
            f"{one.merged.where('sla')}: targets for all have no effect where single skills"
            " are polled too"
        )
    return found


def _unusual_path(operation: Operation) -> bool:
    return ".wolkvox.com/" in operation.base_url and not operation.base_url.endswith("/api/v2/")


def _listed(merged: Merged) -> list[SkillForm]:
    return merged.form.skills if isinstance(merged.form.skills, list) else []
