"""SECURITY.md: every point names tests that exist, and dependencies are pinned and audited."""

from __future__ import annotations

import ast
import functools
import re
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "SECURITY.md"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def lines_of(text: str) -> list[tuple[str, str]]:
    """The lines of the tables of adversaries: what is tried, and the cell that shows it."""
    found = []
    for section in text.split("\n## ")[1:]:
        rows = [line for line in section.splitlines() if line.startswith("|")]
        if rows and rows[0].endswith("| shown by |"):
            cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]
            found += [(row[0], row[-1]) for row in cells]
    return found


POINTS = lines_of(PAGE.read_text(encoding="utf-8"))


@functools.cache
def functions_of(name: str) -> frozenset[str]:
    """The test functions of a module, by name; none where there is no such module."""
    path = ROOT / "tests" / name
    if not path.exists():
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, kinds))


def missing(cell: str) -> list[str]:
    """What is wrong with a cell of the last column: no test, or one that is not there."""
    named = NAMED.findall(cell)
    lost = [f"{module}::{name}" for module, name in named if name not in functions_of(module)]
    rest = NAMED.sub("", cell).replace(",", "").strip()
    return lost + ([] if named else ["no test"]) + ([f"not a test: {rest}"] if rest else [])


def test_every_point_is_shown_by_tests_that_exist() -> None:
    """A promise of the page without a test would be a wish."""
    for tried, shown in POINTS:
        assert not missing(shown), tried


def test_every_adversary_has_his_points() -> None:
    """No table is read past, and each section has one."""
    text = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(sections) == 6
    assert text.count("| shown by |") == 5
    assert len(POINTS) == text.count("\n|") - 5 * 2 - 6  # without heads and the first table
    assert len(POINTS) > 30


def test_every_defect_found_has_a_test_that_exists() -> None:
    """So does the page of what was tried: a defect without its test could come back."""
    text = (ROOT / "docs" / "development" / "reliability.md").read_text(encoding="utf-8")
    named = NAMED.findall(text)
    assert len(named) >= 9
    assert not [where for where in named if where[1] not in functions_of(where[0])]


def test_a_missing_test_is_noticed() -> None:
    """A renamed test, an empty cell and a promise in words are told."""
    assert missing("`test_security_md.py::test_a_missing_test_is_noticed`") == []
    assert missing("`test_security_md.py::test_gone`") == ["test_security_md.py::test_gone"]
    assert missing("`test_gone.py::test_gone`") == ["test_gone.py::test_gone"]
    assert missing("") == ["no test"]
    assert missing("we looked at it") == ["no test", "not a test: we looked at it"]


def test_every_dependency_is_pinned_with_hashes() -> None:
    """One version each, with its hashes, and no address to fetch it from."""
    for name in ("requirements.lock", "requirements-dev.lock", "scripts/dist-audit.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]
        assert entries, name
        for entry in entries:
            assert re.match(r"[a-zA-Z0-9._-]+(\[[a-z0-9,-]+\])?==\S+ ", entry), entry
            assert "--hash=sha256:" in entry
        assert "://" not in text, name


def test_what_is_required_with_an_extra_is_pinned_with_it() -> None:
    """Else an older pip wants the newest release for it, of which there is no hash here."""
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9._-]+)(\S*)==", text, re.MULTILINE))
    assert "[toml]" in pinned["coverage"]  # of pytest-cov
    required = [Requirement(text) for found in distributions() for text in found.requires or ()]
    for one in required:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            assert one.extras <= {*re.findall(r"[\w-]+", pinned.get(one.name, ""))}, one


def test_the_pinned_versions_are_audited() -> None:
    """pip-audit, itself pinned, reads what is shipped: at each push, and once a week."""
    path = ROOT / ".github" / "workflows" / "dependencies.yml"
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    when = workflow[True]  # YAML 1.1 reads `on` as a truth value
    assert when["push"] == {"branches": ["main"]}
    (schedule,) = when["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    runs = [step.get("run", "") for step in workflow["jobs"]["audit"]["steps"]]
    assert "python -m pip install --quiet --require-hashes -r scripts/dist-audit.lock" in runs
    assert "pip-audit --strict --disable-pip --require-hashes -r requirements.lock" in runs
    lock = (ROOT / "scripts" / "dist-audit.lock").read_text(encoding="utf-8")
    assert re.search(r"^pip-audit==", lock, re.MULTILINE)
