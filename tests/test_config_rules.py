"""Every rule of the configuration: a bad file each, and the exact words about it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import exporter.config
from exporter.config import load
from exporter.errors import ConfigError
from exporter.messages import catalogue

FILES = Path(__file__).parent / "data" / "config"

RULES: dict[str, list[str]] = json.loads((FILES / "messages.json").read_text(encoding="utf-8"))


def problems_of(name: str) -> list[str]:
    """Load a bad file and return its problems without the directory of this checkout."""
    with pytest.raises(ConfigError) as caught:
        load([FILES / f"{name}.bad.yml"], {"ACME_TOKEN": "canary-0123456789"})
    lines = [str(problem) for problem in caught.value.problems]
    return [line.replace(f"{FILES}/", "").replace(str(FILES), "{files}") for line in lines]


@pytest.mark.parametrize("name", RULES)
def test_each_rule_says_what_to_write_instead(name: str) -> None:
    """A file that breaks a rule is refused in exactly these words."""
    assert problems_of(name) == RULES[name]


def test_every_bad_file_is_listed() -> None:
    """No bad file is forgotten in the table."""
    assert sorted(path.name[: -len(".bad.yml")] for path in FILES.glob("*.bad.yml")) == sorted(
        RULES
    )


@pytest.mark.parametrize("name", RULES)
def test_no_message_repeats_a_secret(name: str) -> None:
    """Tokens, passwords and whatever looks like them stay out of every message."""
    told = "\n".join(problems_of(name))
    assert "canary" not in told
    assert "7b2263616e6172" not in told


@pytest.mark.parametrize("name", RULES)
def test_messages_are_one_line_of_our_own_words(name: str) -> None:
    """Nothing of the libraries' jargon and no line break comes through."""
    for line in problems_of(name):
        assert "\n" not in line
        assert "Input should" not in line
        assert "valid" not in line


def test_every_message_is_used() -> None:
    """A text about the configuration that no code names any more is deleted."""
    folder = Path(exporter.config.__file__).parent
    code = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    named = set(re.findall(r'"(?:config\.)?(\w+)"', code))
    families = ("place_", "kind_", "hint_", "token_file_", "server_", "name_", "skills_")
    of_pydantic = {"missing", "tuple_type", "bool_type", "int_type", "greater_than_equal"}
    keys = {key.split(".")[1] for key in catalogue("en") if key.startswith("config.")}

    assert not [key for key in keys - named - of_pydantic if not key.startswith(families)]


def test_messages_in_spanish_name_the_same_places() -> None:
    """Each rule is reported in Spanish as well, at the same line and key."""
    for name, english in RULES.items():
        with pytest.raises(ConfigError) as caught:
            load([FILES / f"{name}.bad.yml"], {"ACME_TOKEN": "canary-01", "LANG": "es"})
        places = [f"{one}".removesuffix(one.reason) for one in caught.value.problems]
        shown = [place.replace(f"{FILES}/", "") for place in places]
        assert all(line.startswith(at) for line, at in zip(english, shown, strict=True))
