"""Configurations for tests, from YAML text through the loader."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from exporter.config import Configuration, Operation, SlaEntry, load
from exporter.errors import ConfigError, Problem

TOKENS = {"ACME_TOKEN": "canary-0123456789", "OTHER_TOKEN": "canary-9876543210"}


def loaded(text: str, environ: Mapping[str, str] = TOKENS) -> Configuration:
    """Load a text as `wolkvox.yml`."""
    with tempfile.TemporaryDirectory(prefix="wolkvox-tests-") as directory:
        file = Path(directory) / "wolkvox.yml"
        file.write_text(text, encoding="utf-8")
        return load([file], environ)


def problems_of(text: str, environ: Mapping[str, str] = TOKENS) -> tuple[Problem, ...]:
    """Load a text that is wrong, and return its problems."""
    try:
        loaded(text, environ)
    except ConfigError as error:
        return error.problems
    raise AssertionError("the configuration is right")


def written(name: str = "acme", /, **keys: object) -> str:
    """Write one operation in flow style; a key that is None is left out."""
    least = {
        "name": name,
        "server": "'0013'",
        "token_env": "ACME_TOKEN",
        "skills": "[{id: 4173}]",
    }
    chosen = {key: value for key, value in {**least, **keys}.items() if value is not None}
    return "  - {" + ", ".join(f"{key}: {value}" for key, value in chosen.items()) + "}\n"


def configuration(*operations: str, defaults: str = "") -> Configuration:
    """Load operations of `written` over defaults in flow style."""
    return loaded(text_of(*operations, defaults=defaults))


def text_of(*operations: str, defaults: str = "") -> str:
    """Write a file of operations of `written` over defaults in flow style."""
    head = f"defaults: {{{defaults}}}\n" if defaults else ""
    return f"{head}operations:\n{''.join(operations or (written(),))}"


def operation(**keys: object) -> Operation:
    """Load one operation."""
    return configuration(written(**keys)).operations[0]


def sla(entries: str) -> tuple[SlaEntry, ...]:
    """Load the targets of an operation whose skills are discovered."""
    return operation(skills="discover", sla=f"[{entries}]").sla
