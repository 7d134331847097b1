"""What is committed about the configuration agrees with the code."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.config import load
from exporter.config.model import (
    Abandonment,
    Asa,
    Operation,
    ServiceLevel,
    Skill,
    SlaEntry,
)
from exporter.config.reference import rewrite, schema, tables
from exporter.config.values import KEYS

DOCS = Path(__file__).parent.parent / "docs"


def test_the_schema_is_that_of_the_code() -> None:
    """Regenerate with: make docs."""
    committed = json.loads((DOCS / "wolkvox.schema.json").read_text(encoding="utf-8"))
    assert committed == schema()


def test_the_reference_is_that_of_the_code() -> None:
    """Regenerate with: make docs."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert page == rewrite(page)
    assert tables() in page
    for key in KEYS["Operation"]:
        assert f"| `{key}` |" in page


def test_every_key_is_described() -> None:
    """A key that is added to the configuration is added to its reference."""
    for model in (Operation, SlaEntry, ServiceLevel, Abandonment, Asa):
        fields = model.model_fields.items()
        assert {field.alias or name for name, field in fields} == set(KEYS[model.__name__])
    assert {field.name for field in dataclasses.fields(Skill)} == set(KEYS["Skill"])


def test_both_are_written_by_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of `make docs` writes tables into a page, and the schema."""
    page, file = tmp_path / "page.md", tmp_path / "wolkvox.schema.json"
    page.write_text(
        "a\n<!-- keys: begin (generated) -->\noutdated\n<!-- keys: end -->\nb\n", "utf-8"
    )
    monkeypatch.delitem(sys.modules, "exporter.config.reference")
    monkeypatch.setattr(sys, "argv", ["reference", str(page), str(file)])
    runpy.run_module("exporter.config.reference", run_name="__main__")
    assert json.loads(file.read_text(encoding="utf-8")) == schema()
    assert "outdated" not in page.read_text(encoding="utf-8")
    assert tables() in page.read_text(encoding="utf-8")


def properties(part: Any) -> list[dict[str, Any]]:
    """Collect every property of every object in a schema."""
    if isinstance(part, list):
        return [found for item in part for found in properties(item)]
    if not isinstance(part, dict):
        return []
    own = list(part.get("properties", {}).values()) if part.get("type") == "object" else []
    return own + [found for item in part.values() for found in properties(item)]


def test_the_schema_helps_editors() -> None:
    """Every key is described, its examples are right, and no object is open."""
    made = schema()
    found = properties(made["$defs"]) + list(made["properties"].values())
    assert len(found) > 30
    for key in found:
        assert key["description"].endswith(".")
        for example in key.get("examples", []):
            if "pattern" in key:
                assert re.search(key["pattern"], example)
            if "enum" in key:
                assert example in key["enum"]
    for definition in made["$defs"].values():
        assert definition["additionalProperties"] is False
        assert definition["description"].endswith(".")
    operation = made["$defs"]["Operation"]
    assert next(iter(operation["properties"])) == "name"
    assert operation["required"] == ["name"]
    assert [len(choice["oneOf"]) for choice in operation["allOf"]] == [2, 3]
    assert set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(made))) == made["$defs"].keys()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example of the documentation, with the token files that it names."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name in ("globex", "initech"):
        (tmp_path / "secrets" / name).write_text(f"canary-{name}", encoding="utf-8")
        (tmp_path / "secrets" / name).chmod(0o600)
    shutil.copy(DOCS / "example.yml", tmp_path)
    return tmp_path / "example.yml"


def test_the_example_is_right(example: Path) -> None:
    """The documented example loads without a warning."""
    configuration = load([example], {"ACME_TOKEN": "canary-acme"})
    assert [one.name for one in configuration.operations] == ["acme", "globex", "initech"]
    assert configuration.warnings == ()
    globex = configuration.operations[1]
    assert dict(globex.labels) == {
        "country": "colombia",
        "client": "globex-bank",
        "site": "lima",
    }
    assert len(globex.sla) == 2


def test_the_example_shows_every_key() -> None:
    """Each key of an operation stands in the example, some of them as a comment."""
    text = (DOCS / "example.yml").read_text(encoding="utf-8")
    for key in set(KEYS["Operation"]) - {"token"}:
        assert f"{key}:" in text


def test_the_smallest_example_of_the_page_is_right(tmp_path: Path) -> None:
    """The YAML of the page loads, apart from the place of its token."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(operations:.*?)```", page, flags=re.DOTALL)
    assert blocks
    (tmp_path / "token").write_text("canary", encoding="utf-8")
    for block in blocks:
        file = tmp_path / "page.yml"
        file.write_text(block.replace("/run/secrets/acme", "token"), encoding="utf-8")
        assert load([file], {}).operations
