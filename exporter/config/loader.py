"""Files or environment variables -> the whole Configuration, or every problem at once.

Pydantic finds what is wrong with a key, messages.toml words it; the defaults of a file, tokens
and CA files are read here, and operations are compared with each other.
"""

from __future__ import annotations

import copy
import re
import ssl
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from exporter.config import model, values
from exporter.config.mistakes import FOLLOWS, meant_keys, mistakes, place_of, unknown_key
from exporter.config.model import OWN_KEYS, TOKEN_KEYS, Configuration, Operation
from exporter.config.tokens import TokenUnreadable, token_digest
from exporter.config.values import KEYS, Invalid, kind, skill_key
from exporter.config.yamlfile import Document, Loc, read_yaml
from exporter.errors import ConfigError, Problem
from exporter.messages import terminal_language

VARIABLES = {
    "name": "WOLKVOX_SERVER",
    "server": "WOLKVOX_SERVER",
    "url": "WOLKVOX_SERVER",
    "token": "WOLKVOX_TOKEN",
    "token_env": "WOLKVOX_TOKEN",
    "token_file": "WOLKVOX_TOKEN_FILE",
    "skills": "WOLKVOX_SKILLS",
    "timezone": "WOLKVOX_TIMEZONE",
}
"""The variable that each key comes from."""


def load(paths: Sequence[Path], environ: Mapping[str, str]) -> Configuration:
    """Load configuration files; a directory means its `*.yml` in the order of their names.

    Operations add up; the defaults of a file are for its own operations. Raises ConfigError
    with all problems, in the language of the environment's locale.
    """
    report = _Report(environ)
    if not paths:
        report.refuse_file("", "no_file")
    files = [file for path in paths for file in _expand(path, report)]
    entries: list[_Entry] = []
    for file in files:
        try:
            document = read_yaml(file, report.language, "config_missing")
        except ConfigError as error:
            report.problems |= dict.fromkeys(error.problems)
        else:
            entries += _read_document(document, report)
    return _assemble(entries, report, [str(file) for file in files])


def from_environment(environ: Mapping[str, str]) -> Configuration:
    """Make one operation, named after its server, from the variables; raises ConfigError."""
    report = _Report(environ)
    entry = _Entry(report, keys_of(environ))
    entry.build()
    return _assemble([entry], report, [])


class _Report:
    """What was found so far, each problem and each warning once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ, self.language = environ, terminal_language(environ)
        self.problems: dict[Problem, None] = {}
        self.warnings: dict[str, None] = {}

    def refuse_file(self, file: Path | str, message: str, **details: object) -> None:
        """Report a problem of a whole file."""
        reason = Invalid(message, **details).text(self.language)
        self.problems.setdefault(Problem("", reason, str(file)))

    def refuse(self, document: Document, place: Loc, wrong: Invalid, line: int = 0) -> None:
        """Report a problem at a place of a file."""
        self.problems.setdefault(document.problem(place, wrong.text(self.language), line))


@dataclass
class _Entry:
    """An operation as it stands in its file, over the defaults, and as it was read.

    `operation` lacks the keys in `broken`, which are wrong; `digest` is that of its token.
    Without a document it comes from environment variables.
    """

    report: _Report
    own: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    document: Document | None = None
    number: int = 0
    operation: Operation = field(init=False)
    broken: frozenset[str] = frozenset()
    digest: str = ""

    def problem(self, loc: Loc, wrong: Invalid) -> Problem:
        """Return a problem at the place where a key was written, or should have been."""
        language = self.report.language
        if self.document is None:
            return Problem(VARIABLES[str(loc[0])], wrong.text(language, "variable"))
        if loc == ("team",) and "team" not in {**self.own, **self.defaults}:
            loc = ("labels", "team")
        own, key = self.own, loc[0]
        if key == "labels" and len(loc) > 1:  # those of the defaults are added, one by one
            own, key = self.own.get("labels", {}), loc[1]
        inherited = loc[0] in self.defaults and key not in own
        holder: Loc = ("defaults",) if inherited else ("operations", self.number)
        return self.document.problem((*holder, *loc), wrong.text(language))

    def refuse(self, loc: Loc, wrong: Invalid) -> None:
        """Report a problem at a key of the operation."""
        self.broken |= {str(loc[0])}
        self.report.problems.setdefault(self.problem(loc, wrong))

    def warn(self, loc: Loc, wrong: Invalid) -> None:
        """Report something that is allowed, but probably not meant."""
        self.report.warnings.setdefault(str(self.problem(loc, wrong)))

    def validate(self, values: Mapping[str, Any]) -> None:
        """Make the operation of these keys; wrong ones are reported and left out."""
        directory = self.document.path.parent if self.document else None
        reported: set[Loc] = set()
        left = dict(values)
        while True:
            try:
                self.operation = Operation.model_validate(left, context=directory)
                return
            except ValidationError as error:
                # Neither the url nor str(error): the latter quotes what stands in the file.
                errors = error.errors(include_url=False)
            left = copy.deepcopy(left)
            for loc, wrong in mistakes(errors):
                if loc not in reported:
                    reported.add(loc)
                    self.refuse(loc, wrong)
                    if len(loc) == 1:  # what is misspelt is not missing
                        self.broken |= meant_keys(wrong)
            for each in errors:
                if each["type"] != FOLLOWS:
                    drop(left, place_of(each))

    def build(self) -> None:
        """Make the operation, and read what its keys point to."""
        defaults, own = _team_apart(self.defaults), _team_apart(self.own)
        merged = {**defaults, **own}
        if isinstance(defaults.get("labels"), dict) and isinstance(own.get("labels"), dict):
            merged["labels"] = {**defaults["labels"], **own["labels"]}
        if (defaults, own) != (self.defaults, self.own):
            self.warn(("labels", "team"), Invalid("team_label"))
        self.validate(merged)
        for loc, wrong in model.problems_of(self.operation, self.broken):
            self.refuse(loc, wrong)
        operation = self.operation
        if operation.ca_file and (wrong_ca := _wrong_ca(operation.ca_file)):
            self.refuse(("ca_file",), wrong_ca)
        if operation.token_env is not None:
            token = self.report.environ.get(operation.token_env)
            if token is None and "token_env" not in self.broken:
                place = operation.token.place()
                self.refuse(("token_env",), Invalid("token_env_unset", place=place))
            update = {"token_value": SecretStr(token or "")}
            self.operation = operation.model_copy(update=update)
        if self.broken.isdisjoint(TOKEN_KEYS):
            try:
                self.digest = token_digest(self.operation.token.read())
            except TokenUnreadable as error:
                self.refuse((self.operation.token.key,), error.why)


def _team_apart(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a team out of the labels: it is a key, whose label every operation has."""
    labels = keys.get("labels")
    if not isinstance(labels, dict) or "team" not in labels:
        return keys
    rest = {name: value for name, value in labels.items() if name != "team"}
    return {"team": labels["team"], **keys, "labels": rest}


def _expand(path: Path, report: _Report) -> list[Path]:
    """Return the files that a path of the command line means."""
    try:
        if not path.is_dir():
            return [path]
        names = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    except (OSError, ValueError):
        report.refuse_file(path, "path")
        return []
    for one in names:
        if one.suffix == ".yaml":
            reason = Invalid("not_yml").text(report.language)
            report.warnings.setdefault(str(Problem("", reason, str(one))))
    files = [one for one in names if one.suffix == ".yml"]
    if not files:
        report.refuse_file(path, "directory_empty")
    return files


def _read_document(document: Document, report: _Report) -> list[_Entry]:
    """Read the operations of one file over its defaults."""
    raw = document.value
    for place, line in document.duplicates:
        report.refuse(document, place, Invalid("key_twice"), line)
    if not isinstance(raw, dict):
        message = "file_empty" if raw is None else "file_kind"
        report.refuse_file(document.path, message, kind=kind(raw))
        return []
    unknown = {key: unknown_key(key, KEYS["File"]) for key in raw if key not in KEYS["File"]}
    for key, wrong in unknown.items():
        report.refuse(document, (key,), wrong)
        document.rename(key, str(wrong.details.get("nearest", "")))
    defaults = _read_defaults(document, raw.get("defaults", {}), report)
    listed = raw.get("operations")
    if not isinstance(listed, list) or not listed:
        report.refuse(document, ("operations",), Invalid("operations"))
        return []
    entries = []
    for number, own in enumerate(listed):
        if isinstance(own, dict):
            entry = _Entry(report, own, defaults, document, number)
            entry.build()
            entries.append(entry)
        else:
            wrong = Invalid("dict_type", kind=kind(own))
            report.refuse(document, ("operations", number), wrong)
    _check_targets(entries)
    return entries


def _read_defaults(document: Document, raw: object, report: _Report) -> dict[str, Any]:
    """Return the defaults, validated even if no operation takes them: each wrong one once."""
    if not isinstance(raw, dict):
        wrong = Invalid("empty" if raw is None else "dict_type", kind=kind(raw))
        report.refuse(document, ("defaults",), wrong)
        return {}
    for key in [key for key in raw if key in OWN_KEYS]:
        report.refuse(document, ("defaults", key), Invalid("key_of_each"))
    defaults = {key: value for key, value in raw.items() if key not in OWN_KEYS}
    _Entry(report, {}, defaults, document).validate(defaults)
    return defaults


def drop(values: dict[str, Any], place: Loc) -> None:
    """Take out the key at a place; for an item of a list or a missing key, what holds it."""
    holder, last = values, str(place[0])
    here: Any = values
    for step in place:
        if isinstance(here, dict) and step in here:
            holder, last = here, str(step)
        elif not isinstance(here, list):
            break
        here = here[step]
    holder.pop(last, None)


def _wrong_ca(path: Path) -> Invalid | None:
    """Return what keeps a CA file from being loaded."""
    try:
        if not path.is_file():
            return Invalid("ca_missing")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return Invalid("ca_pem")
    except OSError as error:
        return Invalid("unreadable", why=error.strerror)
    return None


def _assemble(entries: list[_Entry], report: _Report, files: list[str]) -> Configuration:
    """Compare the operations with each other and put them together."""
    first: dict[str, _Entry] = {}
    for entry in entries:
        name = entry.operation.name
        other = first.setdefault(name, entry)
        if name and other is not entry:
            place = other.problem(("name",), Invalid("name_twice", place=""))
            entry.refuse(("name",), Invalid("name_twice", place=f"{place.file}:{place.line}"))
    shared = _shared_tokens(entries)
    if report.problems:
        rank = {name: number for number, name in enumerate(files)}
        raise ConfigError(sorted(report.problems, key=lambda p: (rank.get(p.file, -1), p.line)))
    for entry in entries:
        _warn(entry)
    operations = tuple(entry.operation for entry in entries)
    return Configuration(operations, tuple(report.warnings), shared)


def _check_targets(entries: Sequence[_Entry]) -> None:
    """Refuse targets for skills that none of the operations has that take them."""
    groups = [[entry] for entry in entries if "sla" in entry.own]
    groups.append([entry for entry in entries if "sla" not in entry.own])
    for users in groups:
        if not users or any(entry.operation.discover for entry in users):
            continue
        known = {skill_key(skill.id) for entry in users for skill in entry.operation.skills}
        message = "sla_skill" if "sla" in users[0].own else "sla_skill_defaults"
        for index, target in enumerate(users[0].operation.sla):
            for number, skill in enumerate(target.skills or ()):
                if skill_key(skill) not in known:
                    loc = ("sla", index, "skills", number)
                    users[0].refuse(loc, Invalid(message, skill=skill))


def _shared_tokens(entries: Sequence[_Entry]) -> tuple[tuple[str, ...], ...]:
    """Group the names of operations with the same token, and check what they must agree on."""
    groups: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        if entry.digest and not entry.broken:
            groups[entry.digest].append(entry)
    shared = [group for group in groups.values() if len(group) > 1]
    for group in shared:
        first = group[0].operation
        for position, entry in enumerate(group):
            if entry.operation.daily_requests != first.daily_requests:
                message = "ceilings" if first.daily_requests else "ceilings_none"
                wrong = Invalid(message, name=first.name, ceiling=first.daily_requests)
                entry.refuse(("daily_requests",), wrong)
            for other in group[:position]:
                if entry.operation.base_url == other.operation.base_url:
                    _check_queries(other.operation, entry)
    return tuple(tuple(entry.operation.name for entry in group) for group in shared)


def _check_queries(first: Operation, entry: _Entry) -> None:
    """Refuse that two operations with one token on one server poll the same skill."""
    if first.discover or entry.operation.discover:
        entry.refuse(("skills",), Invalid("skills_shared", name=first.name))
    known = {skill_key(skill.id) for skill in first.skills}
    for index, skill in enumerate(entry.operation.skills):
        if skill_key(skill.id) in known:
            wrong = Invalid("skill_shared", skill=skill.id, name=first.name)
            entry.refuse(("skills", index, "id"), wrong)


def _warn(entry: _Entry) -> None:
    """Report what is allowed in an operation and its token, but probably not meant."""
    token = entry.operation.token
    if token.key == "token":
        entry.warn(("token",), Invalid("token_plain"))
    if token.exposed():
        entry.warn(("token_file",), Invalid("token_exposed", place=token.place()))
    if odd := token.oddity():
        entry.warn((token.key,), odd)
    for loc, doubt in model.doubts_of(entry.operation):
        entry.warn(loc, doubt)


# Environment variables --------------------------------------------------------------------


def in_environment(environ: Mapping[str, str]) -> bool:
    """Return whether environment variables describe an operation, or try to."""
    return any(environ.get(name) for name in set(VARIABLES.values()) - {"WOLKVOX_TIMEZONE"})


def keys_of(environ: Mapping[str, str]) -> dict[str, object]:
    """Write the variables as the mapping that would stand in a file; empty ones are not set."""
    address = environ.get("WOLKVOX_SERVER", "").strip()
    listed = [item.strip() for item in environ.get("WOLKVOX_SKILLS", "").split(",")]
    skills = [_skill(item) for item in listed if item]
    keys: dict[str, object] = {
        "url" if "/" in address else "server": address,
        "token_env": "WOLKVOX_TOKEN" if environ.get("WOLKVOX_TOKEN") else "",
        "token_file": environ.get("WOLKVOX_TOKEN_FILE"),
        "timezone": environ.get("WOLKVOX_TIMEZONE"),
        "skills": "discover" if listed == ["discover"] else skills,
    }
    return {"name": _name_of(address), **{key: value for key, value in keys.items() if value}}


def _name_of(address: str) -> str:
    try:
        base_url = values.url(address) if "/" in address else values.server(address)
    except Invalid:
        return "unnamed"  # the address itself is reported as wrong
    name, host = values.server_of(base_url), values.host_of(base_url)
    name = host if values.is_loopback(host) or "." in name else name
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", name)


def _skill(item: str) -> dict[str, object]:
    """Read `4173=Ventas` or `4173`."""
    number, equals, name = (part.strip() for part in item.partition("="))
    return {"id": number, "name": name} if equals else {"id": number}
