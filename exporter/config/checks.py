"""What only shows when operations stand side by side, and what is probably not meant."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.config.invalid import Invalid, may_show, nearest
from exporter.config.model import TOKEN_KEYS, Operation
from exporter.config.values import NAME_PATTERN, skill_key
from exporter.config.yamlfile import Document, Loc, dotted
from exporter.errors import Problem

# The 16 channels that Wolkvox documents for skill_11; those of mail and social networks, where
# an answer takes hours, apart.
SLOW_CHANNELS = frozenset(
    ("chat-email", "omni-email", "omni-facebook_page", "omni-instagram", "omni-twitter")
)
CHANNELS = (
    *("inbound", "internalcall_que", "out_pre", "chat-configurationbox", "chat-facebook"),
    *("chat-instagram", "chat-line", "chat-telegram", "chat-transferSkill", "chat-web"),
    *("chat-whatsapp", *SLOW_CHANNELS),
)
KNOWN_CHANNELS = frozenset((*CHANNELS, "unknown"))  # the exporter's own, for an empty one
_MEANT = {one: one for one in CHANNELS} | dict.fromkeys(
    ("voz", "voice", "llamada", "llamadas", "call", "calls", "phone", "telefono"), "inbound"
)


@dataclass
class Report:
    """What was found in all files so far, each problem and each warning once."""

    language: str
    problems: dict[Problem, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    def refuse_file(self, file: Path | str, message: str, **details: object) -> None:
        """Report a problem of a whole file."""
        reason = Invalid(message, **details).text(self.language)
        self.problems.setdefault(Problem("", reason, str(file)))

    def warn_of_file(self, file: Path, message: str) -> None:
        """Report a file that is probably not as it was meant."""
        reason = Invalid(message).text(self.language)
        self.warnings.setdefault(str(Problem("", reason, str(file))))

    def refuse(self, document: Document, place: Loc, wrong: Invalid, line: int = 0) -> None:
        """Report a problem at a place of a file."""
        self.problems.setdefault(located(document, place, wrong.text(self.language), line))


def located(document: Document, place: Loc, reason: str, line: int = 0) -> Problem:
    """Return a problem at a place of a file; those of an operation name the operation."""
    found = document.problem(place, reason, line)
    if place[:1] != ("operations",) or len(place) < 2:
        return found
    own = document.value["operations"][place[1]]
    name = own.get("name") if isinstance(own, dict) else None
    known = isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) and may_show(name)
    label = f"operation {name}" if known else f"operation #{int(place[1]) + 1}"
    return Problem(dotted(place[2:]), reason, found.file, found.line, label)


@dataclass
class Entry:
    """An operation as it stands in its file, over the defaults, and as it was read.

    `operation` lacks the keys in `broken`, which are wrong; `digest` is that of its token.
    Without a document it comes from the environment: `variables` are those of its keys.
    """

    report: Report
    own: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    document: Document | None = None
    number: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    operation: Operation = field(init=False)
    broken: frozenset[str] = frozenset()
    digest: str = ""

    def refuse(self, loc: Loc, wrong: Invalid) -> None:
        """Report a problem at a key of the operation."""
        self.broken |= {str(loc[0])}
        self.report.problems.setdefault(self.problem(loc, wrong))

    def warn(self, loc: Loc, message: str, **details: object) -> None:
        """Report something that is allowed, but probably not meant."""
        self.report.warnings.setdefault(str(self.problem(loc, Invalid(message, **details))))

    def problem(self, loc: Loc, wrong: Invalid) -> Problem:
        """Return a problem at the place where a key was written, or should have been."""
        if self.document is None:
            reason = wrong.text(self.report.language, variable=True)
            return Problem(self.variables[str(loc[0])], reason)
        place: Loc = ("operations", self.number, *loc)
        own, key = self.own, loc[0]
        if key == "labels" and len(loc) > 1:  # those of the defaults are added, one by one
            own, key = self.own.get("labels", {}), loc[1]
        if loc[0] in self.defaults and key not in own:
            place = ("defaults", *loc)
        return located(self.document, place, wrong.text(self.report.language))


def check_names(found: Sequence[Entry]) -> None:
    """Refuse a name that stands twice over all files."""
    first: dict[str, Entry] = {}
    for one in found:
        name = one.operation.name
        other = first.setdefault(name, one)
        if name and other is not one:
            place = other.problem(("name",), Invalid("name_twice", place=""))
            one.refuse(("name",), Invalid("name_twice", place=f"{place.file}:{place.line}"))


def check_targets(found: Sequence[Entry]) -> None:
    """Refuse targets for skills that an operation of one file does not have.

    Those of the defaults may name the skills of any operation that takes them.
    """
    own = [[one] for one in found if "sla" in one.own]
    for users in [*own, [one for one in found if "sla" not in one.own]]:
        operations = [one.operation for one in users]
        if not operations or not all(one.skills for one in operations):
            continue
        known = {skill_key(skill.id) for one in operations for skill in one.skills}
        for index, entry in enumerate(operations[0].sla):
            for number, skill in enumerate(entry.skills or ()):
                if skill_key(skill) not in known:
                    message = "sla_skill" if "sla" in users[0].own else "sla_skill_defaults"
                    users[0].refuse(
                        ("sla", index, "skills", number), Invalid(message, skill=skill)
                    )


def shared_tokens(found: Sequence[Entry]) -> tuple[tuple[str, ...], ...]:
    """Group the names of operations with the same token, and check what they must agree on."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for one in found:
        if one.digest and not one.broken:
            groups[one.digest].append(one)
    shared = [group for group in groups.values() if len(group) > 1]
    for group in shared:
        first = group[0].operation
        for one in group[1:]:
            if one.operation.daily_requests != first.daily_requests:
                ceiling = first.daily_requests or "none"
                wrong = Invalid("ceilings", name=first.name, ceiling=ceiling)
                one.refuse(("daily_requests",), wrong)
        for position, one in enumerate(group):
            for other in group[:position]:
                if one.operation.base_url == other.operation.base_url:
                    _check_queries(other.operation, one)
    return tuple(tuple(one.operation.name for one in group) for group in shared)


def _check_queries(first: Operation, one: Entry) -> None:
    """Refuse that two operations with one token on one server poll the same skill."""
    if first.discover or one.operation.discover:
        one.refuse(("skills",), Invalid("skills_shared", name=first.name))
    known = {skill_key(skill.id) for skill in first.skills}
    for index, skill in enumerate(one.operation.skills):
        if skill_key(skill.id) in known:
            wrong = Invalid("skill_shared", skill=skill.id, name=first.name)
            one.refuse(("skills", index, "id"), wrong)


def check_meant(one: Entry) -> None:
    """Report what is allowed in an operation, but probably not meant."""
    operation = one.operation
    if "token" in one.own:
        one.warn(("token",), "token_plain")
    if operation.token.exposed():
        one.warn(("token_file",), "token_exposed", place=operation.token.place())
    if odd := operation.token.oddity():
        key = next(key for key in TOKEN_KEYS if key in one.own)
        one.warn((key,), odd.message, **odd.details)
    address = operation.base_url
    if ".wolkvox.com/" in address and not address.endswith("/api/v2/"):
        one.warn(("url",), "url_path")
    if offset := re.fullmatch(r"Etc/GMT([-+])([1-9][0-9]*)", operation.timezone.key):
        sign = "-" if offset[1] == "+" else "+"
        one.warn(("timezone",), "timezone_etc", offset=f"UTC{sign}{offset[2]}")
    _check_channels(one, operation)


def _check_channels(one: Entry, operation: Operation) -> None:
    for index, entry in enumerate(operation.sla):
        for number, channel in enumerate(entry.channels or ()):
            if channel not in KNOWN_CHANNELS:
                hint = nearest(channel, _MEANT)
                place = ("sla", index, "channels", number)
                one.warn(place, "channel", quoted=channel, nearest=hint)
        if _reaches_slow_channels(operation, index):
            one.warn(("sla", index), "channels_missing")


def _reaches_slow_channels(operation: Operation, index: int) -> bool:
    """Return whether a target in seconds holds for mail, which is hardly meant."""
    entry = operation.sla[index]
    if entry.service_level is None or entry.channels is not None:
        return False
    later = [one for one in operation.sla[index + 1 :] if one.service_level is not None]
    return not any(
        (one.skills is None or one.skills == entry.skills)
        and (one.channels is None or SLOW_CHANNELS.issubset(one.channels))
        for one in later
    )
