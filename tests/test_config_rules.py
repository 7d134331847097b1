"""Every rule of the configuration: a bad file each, and the exact words about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import exporter.config
from exporter.config import load
from exporter.errors import ConfigError, Problem
from exporter.messages import catalogue

FILES = Path(__file__).parent / "data" / "config"

RULES: dict[str, list[str]] = json.loads((FILES / "messages.json").read_text(encoding="utf-8"))


def problems_of(name: str, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Load a bad file and return its problems."""
    with pytest.raises(ConfigError) as caught:
        load([FILES / f"{name}.bad.yml"], environ)
    return caught.value.problems


def test_each_rule_says_what_to_write_instead() -> None:
    """A file that breaks a rule is refused in exactly these words, and none is forgotten.

    The words are ours, one line each, and repeat neither a token nor a password.
    """
    files = {path.name.removesuffix(".bad.yml") for path in FILES.glob("*.bad.yml")}
    assert files == RULES.keys()
    for name, lines in RULES.items():
        found = problems_of(name, {"ACME_TOKEN": "canary-0123456789"})
        told = "\n".join(map(str, found)).replace(f"{FILES}/", "")
        assert told.replace(str(FILES), "{files}") == "\n".join(lines), name
        assert not re.search("canary|7b2263616e6172|Input should|valid", told), name


def test_messages_in_spanish_name_the_same_places() -> None:
    """Each rule is reported in Spanish as well, at the same line and key."""
    for name, english in RULES.items():
        found = problems_of(name, {"ACME_TOKEN": "canary-01", "LANG": "es"})
        places = [f"{one}".removesuffix(one.reason).replace(f"{FILES}/", "") for one in found]
        for place, line in zip(places, english, strict=True):
            assert line.startswith(place), name
        assert not {one.reason for one in found} & {line.split(": ", 3)[-1] for line in english}


def test_every_message_is_used() -> None:
    """A text about the configuration that no code names any more is deleted."""
    folder = Path(exporter.config.__file__).parent
    code = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    named = set(re.findall(r'"(?:config\.)?(\w+)"', code))
    families = ("place_", "kind_", "hint_", "token_file_", "server_", "name_", "skills_")
    of_pydantic = {"missing", "tuple_type", "bool_type", "int_type", "greater_than_equal"}
    keys = {key.split(".")[1] for key in catalogue("en") if key.startswith("config.")}

    assert not [key for key in keys - named - of_pydantic if not key.startswith(families)]
