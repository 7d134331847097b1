"""The mutation run: a small run of mutmut itself, and the list of known survivors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from proof import mutation
from proof.mutation import BEGIN, END, ROOT, SURVIVORS, read_survivors


def test_the_list_of_survivors_speaks_of_lines_that_exist() -> None:
    """A survivor of a line that was edited since is to be looked at anew."""
    for function, before, _ in read_survivors(SURVIVORS):
        parts = function.split(".")
        paths = [ROOT.joinpath(*parts[:end]).with_suffix(".py") for end in range(2, len(parts))]
        source = next(path for path in paths if path.is_file()).read_text("utf-8")
        assert before, function
        assert {line.strip() for line in source.splitlines()} >= set(before), function


SETTINGS = """
[tool.mutmut]
source_paths = ["exporter"]
only_mutate = ["exporter/strong.py", "exporter/weak.py"]
pytest_add_cli_args_test_selection = ["tests/test_both.py"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
use_git_change_detection = false
use_setproctitle = false

[tool.pytest]
addopts = ["--import-mode=importlib"]
pythonpath = ["."]
"""
SOURCE = "def above(a: int, b: int) -> bool:\n    return a > b\n"
TESTS = """
from exporter import strong, weak

def test_strong():
    assert [strong.above(n, 5) for n in (4, 5, 6)] == [False, False, True]

def test_weak():
    assert weak.above(6, 5)
"""
LISTED = """
[[survivor]]
function = "exporter.weak.above"
reason = "tried here"
changes = ['''
- return a > b
+ return a >= b
''']
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mutmut") is None, reason="mutmut is not installed"
)
@pytest.mark.parametrize(("listed", "code"), [("", 1), (LISTED, 0)])
def test_a_run_finds_the_module_that_is_tested_badly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listed: str, code: int
) -> None:
    """A survivor breaks the run unless it is listed with its reason; no source is touched."""
    files = {
        "pyproject.toml": SETTINGS,
        "exporter/__init__.py": "",
        "exporter/strong.py": SOURCE,
        "exporter/weak.py": SOURCE,
        "tests/test_both.py": TESTS,
        "page.md": f"before\n{BEGIN}old\n{END}after\n",
        "survivors.toml": listed,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    page, survivors = tmp_path / "page.md", tmp_path / "survivors.toml"
    options = ["--root", tmp_path, "--survivors", survivors, "--write", page]

    assert mutation.main([str(option) for option in options]) == code

    out = capsys.readouterr().out
    assert "| `exporter/strong.py` | 1 | 1 | 0 | 0 | 100.0 % |" in out
    assert "| `exporter/weak.py` | 1 | 0 | 1 | 0 | 0.0 % |" in out
    assert "exporter.weak.above:\n  - return a > b\n  + return a >= b\n" in out
    assert "| `exporter/weak.py` | 1 | 0 |" in page.read_text()
    assert (tmp_path / "exporter/weak.py").read_text() == SOURCE
