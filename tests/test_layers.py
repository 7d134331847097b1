"""Imports follow the direction of the data; modules and functions are small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1] / "exporter"
# Each may import what stands left of it, and nothing else of the exporter.
ORDER = (
    *("messages", "errors", "runtime", "logs", "wolkvox"),
    *("config", "sharding", "flags", "state", "polling", "metrics", "web", "operations"),
    *("service", "simulator", "demo", "tools", "cli", "__main__"),
)
# Libraries that live behind one door.
DOORS = {
    "httpx": ("wolkvox/",),
    "h11": ("wolkvox/",),
    "pydantic": ("config/", "state/", "web/access_config.py"),
    "yaml": ("config/",),
    "holidays": ("config/hours.py",),
    "sqlite3": ("state/",),
    "prometheus_client": ("metrics/",),
    "isal": ("metrics/page.py",),
    "uvicorn": ("web/server.py",),
    "click": ("cli.py", "flags.py", "demo.py", "tools/"),
}
MODULE_LINES, FUNCTION_LINES = 450, 60
FILES = sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    """The dotted name of a module."""
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imported(file: Path) -> tuple[str, ...]:
    """The modules that a file imports, wherever it does so, except for types alone."""
    found: list[str] = []
    for node in walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inner = [name for name in names if name in MODULES]
            found += inner or [node.module]
    return tuple(found)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and vars(child.test).get("id") == "TYPE_CHECKING":
            continue
        yield child
        yield from walk(child)


def layer_of(module: str) -> str:
    """The folder or file right below `exporter`."""
    return module.split(".")[1] if "." in module else ""


MODULES = {name_of(file): file for file in FILES}


def test_every_folder_has_its_place() -> None:
    """A new folder or module is put into the order before anything imports it."""
    layers = {layer_of(name) for name in MODULES} - {""}
    assert not layers - set(ORDER), "put them into ORDER, where they stand in the data's way"
    assert not set(ORDER) - layers


def test_folders_import_leftwards_only() -> None:
    """Nobody knows what comes after him on the way from the API to Prometheus."""
    for layer in ORDER:
        allowed = {"", *ORDER[: ORDER.index(layer) + 1]}
        for name, file in MODULES.items():
            if layer_of(name) == layer:
                own = [one for one in imported(file) if one.split(".")[0] == "exporter"]
                assert {layer_of(one) for one in own} <= allowed, name


def test_the_simulator_is_an_independent_witness() -> None:
    """It imports nothing of the rest, and only the demo imports it."""
    for name, file in MODULES.items():
        for one in imported(file):
            if layer_of(name) == "simulator" and one.startswith("exporter"):
                assert layer_of(one) == "simulator", name
            if layer_of(one) == "simulator" and one.startswith("exporter"):
                assert layer_of(name) in {"simulator", "demo"}, name


def test_libraries_have_one_door() -> None:
    """A library is used where its job is, so that it can be replaced there."""
    for library, doors in DOORS.items():
        users = [
            file.relative_to(ROOT).as_posix()
            for file in FILES
            if any(one.split(".")[0] == library for one in imported(file))
        ]
        assert users, library
        assert not [user for user in users if not user.startswith(doors)], library


def test_no_module_imports_itself_in_a_circle() -> None:
    """Modules can be read one after the other, from the first to the last."""
    graph = {
        name: {one for one in imported(file) if one in MODULES and not name.startswith(one)}
        for name, file in MODULES.items()
    }
    TopologicalSorter(graph).prepare()


def test_modules_and_functions_are_small() -> None:
    """A module fits on a few screens and a function on one."""
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES, file
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None, file
                lines = node.end_lineno - node.lineno + 1
                assert lines <= FUNCTION_LINES, node.name


def test_every_module_says_what_it_is() -> None:
    """The first line of each module tells its place in the data's way."""
    for file in FILES:
        text = ast.get_docstring(tree_of(file))
        assert text, file
        assert len(text.splitlines()[0]) > 20, file


def test_one_broad_except_in_the_whole_project() -> None:
    """Only the poll loop catches whatever comes; everything else names what it expects."""
    broad = [
        name
        for name, file in MODULES.items()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    assert broad == ["exporter.polling.poll"]
