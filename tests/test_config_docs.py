"""What is committed about the configuration agrees with the code."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import load
from exporter.config.model import (
    TOKEN_KEYS,
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


KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def fits(value: Any, part: dict[str, Any]) -> bool:
    """Whether a value has the form that a part of the schema asks for."""
    if "$ref" in part:
        return fits(value, schema()["$defs"][part["$ref"].rpartition("/")[2]])
    kind = KINDS.get(part.get("type", ""), object)
    if not isinstance(value, kind) or (kind is int and value is True):
        return False
    rules: list[object] = [
        value in part.get("enum", [value]),
        value == part.get("const", value),
        all(fits(value, one) for one in part.get("allOf", [])),
        "anyOf" not in part or any(fits(value, one) for one in part["anyOf"]),
        "oneOf" not in part or sum(fits(value, one) for one in part["oneOf"]) == 1,
    ]
    if isinstance(value, str):
        rules += [re.search(part.get("pattern", ""), value)]
        rules += [part.get("minLength", 0) <= len(value) <= part.get("maxLength", len(value))]
    elif isinstance(value, int):
        rules += [value >= part.get("minimum", value)]
    elif isinstance(value, list):
        rules += [len(value) >= part.get("minItems", 0)]
        rules += [fits(item, part.get("items", {})) for item in value]
    elif isinstance(value, dict):
        known, other = part.get("properties", {}), part.get("additionalProperties", {})
        rules += [set(part.get("required", [])) <= value.keys()]
        rules += [fits(key, part.get("propertyNames", {})) for key in value]
        rules += [
            fits(one, known[key]) if key in known else other is not False and fits(one, other)
            for key, one in value.items()
        ]
    return all(rules)


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
    assert [entry.channels for entry in globex.sla] == [
        None,
        ("inbound",),
        ("chat-web", "chat-whatsapp"),
    ]


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


def examples() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Find every configuration in the documentation and among what is shipped."""
    root = DOCS.parent
    texts = []
    for file in (*root.glob("*.md"), *DOCS.rglob("*.md")):
        found = re.findall(
            r"^ *```yaml\n(.*?)```", file.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        texts += [(file, text) for text in found]
    files = [*DOCS.glob("*.yml"), *(root / "deploy").rglob("*.y*ml")]
    texts += [(file, file.read_text("utf-8")) for file in files]
    for file, text in texts:
        with suppress(yaml.YAMLError):  # a template
            for document in filter(
                None, yaml.load_all(textwrap.dedent(text), yaml.CSafeLoader)
            ):
                inner = document.get("data", document) if isinstance(document, dict) else {}
                held = inner.get("wolkvox.yml", inner.get("config", document))
                made = yaml.load(held, yaml.CSafeLoader) if isinstance(held, str) else held
                if isinstance(made, dict) and made.get("operations"):
                    for one in made["operations"]:
                        if not one.keys() & set(TOKEN_KEYS):  # the chart adds it
                            assert "config" in inner, file
                            one["token_file"] = "acme"
                    yield file, json.loads(json.dumps(made, default=str))  # days are text


def test_the_schema_takes_every_example() -> None:
    """An editor finds no fault with what is documented or shipped, and faults elsewhere."""
    found = list(examples())
    assert len({file for file, _ in found}) > 9
    for file, made in found:
        assert fits(made, schema()), file
    good = found[0][1]
    for wrong in ("[{}]", "[{name: a b}]", "[{name: a, server: '13', token: t}]", "[1]", "1"):
        assert not fits({**good, "operations": yaml.safe_load(wrong)}, schema()), wrong
    for wrong in (
        "{interval: 5}",
        "{skills: []}",
        "{shard: true}",
        "{name: a}",
        "{labels: {'': x}}",
    ):
        assert not fits({**good, "defaults": yaml.safe_load(wrong)}, schema()), wrong
