"""Every rule of the configuration: a bad file each, and the exact words about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.config import load
from exporter.errors import ConfigError

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
