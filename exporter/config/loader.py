"""Files or environment variables -> the whole Configuration, or every problem at once.

Pydantic finds what is wrong with a key, messages.toml words it; the defaults of a file, tokens
and CA files are read here.
"""

from __future__ import annotations

import copy
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.checks import (
    Entry,
    Report,
    check_meant,
    check_names,
    check_targets,
    shared_tokens,
)
from exporter.config.invalid import Invalid, as_yaml, beside, kind, nearest
from exporter.config.model import (
    OWN_KEYS,
    TOKEN_KEYS,
    Configuration,
    Operation,
    problems_of,
)
from exporter.config.tokens import TokenUnreadable, token_digest
from exporter.config.values import server, url
from exporter.config.yamlfile import Document, Loc, is_plain_key, read_yaml
from exporter.errors import ConfigError
from exporter.messages import terminal_language

_VARIABLES = {
    "name": "WOLKVOX_SERVER",
    "server": "WOLKVOX_SERVER",
    "url": "WOLKVOX_SERVER",
    "token": "WOLKVOX_TOKEN",
    "token_env": "WOLKVOX_TOKEN",
    "token_file": "WOLKVOX_TOKEN_FILE",
    "skills": "WOLKVOX_SKILLS",
    "timezone": "WOLKVOX_TIMEZONE",
}
_TOP_KEYS = ("defaults", "operations")
# Different errors of pydantic that are the same to whoever wrote the file.
_SAME = {
    "unexpected_keyword_argument": "extra_forbidden",
    "dataclass_type": "dict_type",
    "model_type": "dict_type",
}


def load(paths: Sequence[Path], environ: Mapping[str, str]) -> Configuration:
    """Load configuration files; a directory means its `*.yml` in the order of their names.

    Operations add up; the defaults of a file are for its own operations. Raises ConfigError
    with all problems, in the language of the environment's locale.
    """
    report = Report(terminal_language(environ))
    if not paths:
        report.refuse_file("", "no_file")
    files = [file for path in paths for file in _expand(path, report)]
    found: list[Entry] = []
    for file in files:
        try:
            document = read_yaml(file, report.language)
        except ConfigError as error:
            report.problems |= dict.fromkeys(error.problems)
        else:
            found += _read_document(document, environ, report)
    return _assemble(found, report, [str(file) for file in files])


def _expand(path: Path, report: Report) -> list[Path]:
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
            report.warn_of_file(one, "not_yml")
    files = [one for one in names if one.suffix == ".yml"]
    if not files:
        report.refuse_file(path, "directory_empty")
    return files


def _read_document(
    document: Document, environ: Mapping[str, str], report: Report
) -> list[Entry]:
    """Read the operations of one file over its defaults."""
    raw = document.value
    for place, line in document.duplicates:
        report.refuse(document, place, Invalid("key_twice"), line)
    if not isinstance(raw, dict):
        message = "file_empty" if raw is None else "file_kind"
        report.refuse_file(document.path, message, kind=kind(raw))
        return []
    for key in [key for key in raw if key not in _TOP_KEYS]:
        message = "key_of_operation" if key in beside(("",)) else "extra_forbidden"
        report.refuse(document, (key,), _unknown(key, _TOP_KEYS, message))
    defaults, broken = _read_defaults(document, raw.get("defaults", {}), report)
    listed = raw.get("operations")
    if not isinstance(listed, list) or not listed:
        report.refuse(document, ("operations",), Invalid("operations"))
        return []
    found = []
    for number, own in enumerate(listed):
        if not isinstance(own, dict):
            wrong = Invalid("dict_type", kind=kind(own))
            report.refuse(document, ("operations", number), wrong)
            continue
        one = Entry(report, own, defaults, document, number)
        one.broken = broken - own.keys()
        _build(one, document.path.parent, environ)
        found.append(one)
    check_targets(found)
    return found


def _read_defaults(
    document: Document, raw: object, report: Report
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the defaults without their wrong keys, and which keys are wrong.

    They are validated as an operation of which nothing else is known, so that each problem is
    reported once, and at its place.
    """
    if not isinstance(raw, dict):
        wrong = Invalid("empty" if raw is None else "dict_type", kind=kind(raw))
        report.refuse(document, ("defaults",), wrong)
        return {}, frozenset()
    for key in [key for key in raw if key in OWN_KEYS]:
        report.refuse(document, ("defaults", key), Invalid("key_of_each"))
    given = {key: value for key, value in raw.items() if key not in OWN_KEYS}
    values = _validate(Entry(report, {}, given, document), given)
    return values, frozenset(given.keys() - values.keys())


def _build(one: Entry, directory: Path, environ: Mapping[str, str]) -> None:
    """Make the operation, and read what its keys point to."""
    merged = {**one.defaults, **one.own}
    shared, own = one.defaults.get("labels"), one.own.get("labels")
    if isinstance(shared, dict) and isinstance(own, dict):
        merged["labels"] = {**shared, **own}
    _validate(one, merged)
    for loc, wrong in problems_of(one.operation, one.broken):
        one.refuse(loc, wrong)
    _resolve(one, directory, environ)


def _validate(one: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the keys of an operation; return them without those that are wrong.

    Wrong keys are taken out, and the rest validated again: with a key of a list item gone, the
    item may lack it, and has to go as a whole.
    """
    reported: set[Loc] = set()
    left = dict(values)
    while True:
        try:
            one.operation = Operation.model_validate(left)
            return left
        except ValidationError as error:
            # Neither the url nor str(error): the latter quotes what stands in the file.
            errors = error.errors(include_url=False)
        left = copy.deepcopy(left)
        for each in errors:
            loc = tuple(part for part in each["loc"] if part != "[key]")
            if each["type"] == "default_factory_not_called":  # follows from another
                continue
            if loc not in reported:
                reported.add(loc)
                one.refuse(loc, _wrong(each, loc))
            _drop(left, loc)


def _drop(values: dict[str, Any], place: Loc) -> None:
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


def _wrong(error: ErrorDetails, loc: Loc) -> Invalid:
    """Return the message for one of pydantic's errors."""
    cause = error.get("ctx", {}).get("error")
    message = _SAME.get(error["type"], error["type"])
    if message == "extra_forbidden":
        return _unknown(str(loc[-1]), list(beside(loc)))
    if error["input"] is None:
        return Invalid("empty")
    if isinstance(cause, Invalid):
        return cause
    if cause is not None:
        return Invalid("said", said=str(cause))
    key = next(part for part in reversed(loc) if isinstance(part, str))
    example = beside((*loc[: loc.index(key)], key)).get(key, {}).get("example", "")
    if loc[-1] != key and isinstance(example, list):
        example = example[0]
    context = {name: limit for name, limit in error.get("ctx", {}).items() if name == "ge"}
    return Invalid(
        message, kind=kind(error["input"]), key=key, example=as_yaml(example), **context
    )


def _unknown(key: str, known: Iterable[str], message: str = "extra_forbidden") -> Invalid:
    if not is_plain_key(key):
        return Invalid("key_odd")
    return Invalid(message, nearest=nearest(key, known))


def _resolve(one: Entry, directory: Path, environ: Mapping[str, str]) -> None:
    """Find what paths and variables lead to; the token and the CA file are read once."""
    operation = one.operation
    update: dict[str, Any] = {}
    if operation.token_file is not None:
        update["token_file"] = directory / operation.token_file
    if operation.ca_file is not None:
        update["ca_file"] = directory / operation.ca_file
        if wrong := _wrong_ca(update["ca_file"]):
            one.refuse(("ca_file",), wrong)
    if operation.token_env is not None:
        if operation.token_env not in environ:
            one.refuse(
                ("token_env",), Invalid("token_env_unset", place=operation.token.place())
            )
        update["token_value"] = SecretStr(environ.get(operation.token_env, ""))
    one.operation = operation.model_copy(update=update)
    if one.broken.isdisjoint(TOKEN_KEYS):
        try:
            one.digest = token_digest(one.operation.token.read())
        except TokenUnreadable as error:
            key = next(key for key in TOKEN_KEYS if key in one.own)
            one.refuse((key,), error.why)


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


def _assemble(found: list[Entry], report: Report, files: list[str]) -> Configuration:
    """Compare the operations with each other and put them together."""
    check_names(found)
    shared = shared_tokens(found)
    if report.problems:
        order = {name: number for number, name in enumerate(files)}
        raise ConfigError(
            sorted(report.problems, key=lambda one: (order.get(one.file, -1), one.line))
        )
    for one in found:
        check_meant(one)
    operations = tuple(one.operation for one in found)
    return Configuration(operations, tuple(report.warnings), shared)


def in_environment(environ: Mapping[str, str]) -> bool:
    """Return whether environment variables describe an operation, or try to."""
    return any(environ.get(name) for name in set(_VARIABLES.values()) - {"WOLKVOX_TIMEZONE"})


def from_environment(environ: Mapping[str, str]) -> Configuration:
    """Make one operation from WOLKVOX_SERVER, WOLKVOX_TOKEN and the like.

    It is named after its server: `wv0013`, or the host of a URL. Raises ConfigError whose
    problems name the variables.
    """
    own = _from_variables(environ)
    report = Report(terminal_language(environ))
    one = Entry(report, own, variables=_VARIABLES)
    _build(one, Path(), environ)
    return _assemble([one], report, [])


def _from_variables(environ: Mapping[str, str]) -> dict[str, object]:
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
        endpoint = url(address) if "/" in address else server(address)
    except Invalid:
        return "unnamed"  # the address itself is reported as wrong
    name = endpoint.host if endpoint.loopback or "." in endpoint.server else endpoint.server
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", name)


def _skill(item: str) -> dict[str, object]:
    """Read `4173=Ventas` or `4173`."""
    number, equals, name = (part.strip() for part in item.partition("="))
    return {"id": number, "name": name} if equals else {"id": number}
