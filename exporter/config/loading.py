"""Files or environment variables -> the whole Configuration, or every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.config.addresses import server, url
from exporter.config.checks import (
    Placed,
    check_default_targets,
    check_names,
    shared_tokens,
    warnings,
)
from exporter.config.form import DefaultsForm, FileForm, OperationForm
from exporter.config.meaning import Place, build, merge
from exporter.config.model import Configuration
from exporter.config.reading import Problems, read_form
from exporter.config.values import kind
from exporter.config.yamlfile import read_yaml
from exporter.errors import ConfigError, Problem

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


def load(paths: Sequence[Path], environ: Mapping[str, str]) -> Configuration:
    """Load configuration files; a directory means its `*.yml` in the order of their names.

    Operations add up; the defaults of a file are for its own operations. Raises ConfigError
    with all problems; they name the file where there is more than one.
    """
    found: list[Problem] = []
    more: list[str] = []
    files = [file for path in paths for file in _expand(path, found, more)]
    if not paths:
        found.append(Problem("", "no configuration file is given"))
    placed: list[Placed] = []
    collectors: list[Problems] = []
    for file in files:
        problems = Problems(f"{file}: " if len(files) > 1 else "")
        collectors.append(problems)
        try:
            placed += _read_file(file, environ, problems)
        except ConfigError as exc:
            found += exc.problems
    return _assemble(placed, found, collectors, more)


def _assemble(
    placed: list[Placed], found: list[Problem], collectors: list[Problems], more: list[str]
) -> Configuration:
    """Compare the operations with each other and put them together."""
    check_names(placed)
    shared = shared_tokens(placed)
    found += [problem for collector in collectors for problem in collector.found]
    if found:
        raise ConfigError(found)
    operations = tuple(one.operation for one in placed if one.operation is not None)
    return Configuration(operations, (*more, *warnings(placed)), shared)


def _expand(path: Path, found: list[Problem], more: list[str]) -> list[Path]:
    """Return the files that a path of the command line means."""
    try:
        if not path.is_dir():
            return [path]
        names = sorted(path.iterdir())
    except (OSError, ValueError):
        found.append(Problem(str(path), "cannot be read"))
        return []
    more += [
        f"{one}: is not read: its name must end in .yml"
        for one in names
        if one.suffix == ".yaml"
    ]
    files = [one for one in names if one.suffix == ".yml" and not one.name.startswith(".")]
    if not files:
        found.append(Problem(str(path), "the directory holds no file *.yml"))
    return files


def _read_file(file: Path, environ: Mapping[str, str], problems: Problems) -> list[Placed]:
    """Read one file; what is wrong with its keys goes to `problems`."""
    document = read_yaml(file)
    for duplicate in document.duplicates:
        problems.note(Problem(str(file), duplicate))
    raw = document.value
    if raw is None:
        raise ConfigError([Problem(str(file), "the file is empty: it must list operations")])
    if not isinstance(raw, dict):
        reason = f"the file must be a mapping that begins with operations:, not {kind(raw)}"
        raise ConfigError([Problem(str(file), reason)])
    top = {key: value for key, value in raw.items() if key not in FileForm.model_fields}
    read_form(FileForm, {**top, "operations": [{}]}, "", problems)
    defaults = read_form(DefaultsForm, raw.get("defaults", {}), "defaults", problems)
    listed = raw.get("operations")
    if not isinstance(listed, list) or not listed:
        problems.add(
            "operations", "must be a list of at least one operation, as in - name: acme"
        )
        return []
    place = Place(file.parent, environ)
    placed = []
    for index, item in enumerate(listed):
        path = f"operations.{index}"
        merged = merge(read_form(OperationForm, item, path, problems), defaults)
        if isinstance(item, dict):
            operation = build(merged, place, problems)
            placed.append(Placed(f"{problems.prefix}{path}", merged, problems, operation))
    check_default_targets(placed)
    return placed


def in_environment(environ: Mapping[str, str]) -> bool:
    """Tell whether environment variables describe an operation, or try to."""
    return any(environ.get(name) for name in set(_VARIABLES.values()) - {"WOLKVOX_TIMEZONE"})


def from_environment(environ: Mapping[str, str]) -> Configuration:
    """Make one operation from WOLKVOX_SERVER, WOLKVOX_TOKEN and the like.

    It is named after its server: `wv0013`, or the host of a URL. Raises ConfigError whose
    problems name the variables.
    """
    raw = _from_variables(environ)
    problems = Problems()
    own = read_form(OperationForm, raw, "", problems)
    defaults = read_form(DefaultsForm, {}, "defaults", problems)
    merged = merge(own, defaults)
    operation = build(merged, Place(Path(), environ), problems)
    named = Problems()
    for problem in problems.found:
        key = problem.path.split(".")[0]
        if key == "token_file" and key not in raw:
            key = "token"
        named.add(_VARIABLES.get(key, key), _in_words_of_variables(problem.reason))
    placed = Placed("WOLKVOX_SERVER", merged, named, operation)
    return _assemble([placed], [], [named], [])


def _from_variables(environ: Mapping[str, str]) -> dict[str, object]:
    """Write the variables as the mapping that would stand in a file; empty ones are not set."""
    raw: dict[str, object] = {}
    address = environ.get("WOLKVOX_SERVER", "").strip()
    if address:
        raw["url" if "/" in address else "server"] = address
    raw["name"] = _name_of(address)
    if environ.get("WOLKVOX_TOKEN"):
        raw["token_env"] = "WOLKVOX_TOKEN"  # noqa: S105  # the variable's name
    if environ.get("WOLKVOX_TOKEN_FILE"):
        raw["token_file"] = environ["WOLKVOX_TOKEN_FILE"]
    if environ.get("WOLKVOX_TIMEZONE"):
        raw["timezone"] = environ["WOLKVOX_TIMEZONE"]
    listed = [item.strip() for item in environ.get("WOLKVOX_SKILLS", "").split(",")]
    skills = [_skill(item) for item in listed if item]
    if skills:
        raw["skills"] = "discover" if listed == ["discover"] else skills
    return raw


def _name_of(address: str) -> str:
    try:
        endpoint = url(address) if "/" in address else server(address)
    except ValueError:
        return "unnamed"  # the address itself is told to be wrong
    name = endpoint.host if endpoint.loopback or "." in endpoint.server else endpoint.server
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", name)


def _skill(item: str) -> dict[str, object]:
    """Read `4173=Ventas` or `4173`."""
    number, equals, name = (part.strip() for part in item.partition("="))
    return {"id": number, "name": name} if equals else {"id": number}


def _in_words_of_variables(reason: str) -> str:
    """Replace the keys of a file by the variables that stand for them."""
    replaced = (
        ("token_file, token_env or token", "WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE"),
        ("stands beside token_file: write only one of", "is set as well: set only one of"),
        ("write one of server or url", "set it to 0013, wv0013 or a URL"),
        ("list the skills to poll, or write skills: discover", "set it as in 4173=Ventas,all"),
        ("is missing: write one of", "is not set: set"),
        ("is missing: ", "is not set: "),
        ("an address belongs in the key url", "an address begins with https://"),
    )
    for old, new in replaced:
        reason = reason.replace(old, new)
    return reason
