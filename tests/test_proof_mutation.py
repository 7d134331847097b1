"""The mutation run: its reading, its list of survivors, and a small run of mutmut itself."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proof import mutation
from proof.mutation import BEGIN, END, ROOT, SURVIVORS, bare_caches, judge, modules_of
from proof.mutation_results import Mutant, Score, Unfinished, read_mutants, score
from proof.mutation_survivors import compare, key_of, read_survivors
from proof.part import Say

MUTANT = Mutant("m.x_f__mutmut_1", "m", "f", ("return 1",), ("return 2",), "survived")
PATH = "exporter/small.py"
# As mutmut writes it: the function that dispatches, the original and the mutants.
WRITTEN = """
def f(a):
    return trampoline(a)
def x_f__mutmut_orig(
    a, b=1
):
    if a:

        return 1
    return 0
def x_f__mutmut_1(
    a, b=2
):
    if a:

        return 1
    return 0
def x_f__mutmut_2(
    a, b=1
):
    if a:

        return 2
    return 0
class Door:
    def xǁDoorǁopen__mutmut_orig(self):
        return self.a + 1
    def xǁDoorǁopen__mutmut_1(self):
        return self.a - 1
    other = 5
"""
ENDS = {"x_f__mutmut_1": 1, "x_f__mutmut_2": -24, "xǁDoorǁopen__mutmut_1": 0}


def left_behind(directory: Path, ends: Mapping[str, int | None]) -> Path:
    """A directory as mutmut leaves it after it tried one module."""
    source = directory / "mutants" / PATH
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(WRITTEN, encoding="utf-8")
    codes = {f"exporter.small.{name}": code for name, code in ends.items()}
    source.with_name("small.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return directory / "mutants"


def test_what_mutmut_leaves_is_read(tmp_path: Path) -> None:
    """Each mutant has its function, the lines that differ, and how it ended."""
    (found,) = read_mutants(left_behind(tmp_path, ENDS), [PATH]).values()

    assert [(m.place, m.before, m.after, m.outcome) for m in found] == [
        ("exporter.small.f", ("a, b=1",), ("a, b=2",), "killed"),
        ("exporter.small.f", ("return 1",), ("return 2",), "timeout"),
        (
            "exporter.small.Door.open",
            ("return self.a + 1",),
            ("return self.a - 1",),
            "survived",
        ),
    ]
    assert "exporter.small.Door.open:\n  - return self.a + 1\n" in found[2].diff()


def test_a_timeout_counts_as_noticed() -> None:
    """The score is the share of mutants that did not survive; of none it is whole."""
    ends = [MUTANT, replace(MUTANT, outcome="killed"), replace(MUTANT, outcome="timeout")]

    assert score([*ends, ends[1]]) == Score(4, 2, 1, 1)
    assert score([*ends, ends[1]]).percent == 75.0
    assert score([]).percent == 100.0


@pytest.mark.parametrize("code", [5, 33])
def test_a_mutant_without_a_test_survives(tmp_path: Path, code: int) -> None:
    """Nothing notices what nothing runs."""
    (found,) = read_mutants(left_behind(tmp_path, {"x_f__mutmut_1": code}), [PATH]).values()

    assert found[0].outcome == "survived"


@pytest.mark.parametrize("code", [None, 2, 34, 35, 37, 99])
def test_a_mutant_that_was_not_tried_is_no_result(tmp_path: Path, code: int | None) -> None:
    """A run that was broken off, or ended in an unknown way, has no score."""
    with pytest.raises(Unfinished, match="x_f__mutmut_1"):
        read_mutants(left_behind(tmp_path, {"x_f__mutmut_1": code}), [PATH])


def test_a_module_without_mutants_is_no_result(tmp_path: Path) -> None:
    """A path that mutmut does not know is a mistake in the settings."""
    with pytest.raises(Unfinished, match=r"exporter/other\.py"):
        read_mutants(left_behind(tmp_path, ENDS), ["exporter/other.py"])


def project(directory: Path) -> list[str]:
    """A project with nothing to mutate, and the options to name it."""
    for name in ("exporter", "tests"):
        (directory / name).mkdir()
    (directory / "pyproject.toml").write_text("[tool.mutmut]\nonly_mutate = []\n")
    return ["--root", str(directory), "--survivors", str(listed(directory, ""))]


def test_a_run_that_breaks_off_is_an_error_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was wrong and what to do, without a table and without a traceback."""

    def broken_off(*_: object) -> None:
        raise Unfinished("mutmut ended with 1: see mutmut.log")

    monkeypatch.setattr(mutation, "try_all", broken_off)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)

    assert mutation.main(project(tmp_path)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: mutmut ended with 1: see mutmut.log\n")
    assert "again" in told.err


def test_without_mutmut_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is copied, and nothing is tried."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert mutation.main(project(tmp_path)) == 1
    assert capsys.readouterr().err.startswith("error: mutmut is not installed: `make install`")
    assert not (tmp_path / "build").exists()


def listed(directory: Path, text: str) -> Path:
    """A list of survivors."""
    page = directory / "survivors.toml"
    page.write_text(text, encoding="utf-8")
    return page


ENTRY = """
[[survivor]]
function = "m.f"
reason = "the same"
changes = ['''
- return 1
+ return 2
''', '''
- gone()
''']
"""


def test_survivors_are_compared_with_the_list(tmp_path: Path) -> None:
    """A listed change is known, any other is new, and an entry that is not met is gone."""
    reasons = read_survivors(listed(tmp_path, ENTRY))
    other = replace(MUTANT, after=("return 3",))
    killed = replace(MUTANT, after=("return 4",), outcome="killed")

    found = compare([MUTANT, other, killed], reasons)

    assert key_of(MUTANT) in reasons
    assert found.known == ((MUTANT, "the same"),)
    assert found.new == (other,)
    assert found.gone == ("m.f: gone() -> (nothing)",)
    assert compare([replace(MUTANT, module="other")], reasons).gone == ()


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.replace("the same", " "),
        ENTRY + ENTRY,
        '[[survivor]]\nfunction = "m.f"\nreason = "the same"\nchanges = []\n',
    ],
)
def test_a_list_without_reasons_is_refused(tmp_path: Path, text: str) -> None:
    """Each entry needs a reason and a change, and stands there once."""
    with pytest.raises(ValueError, match=r"survivors\.toml"):
        read_survivors(listed(tmp_path, text))


@pytest.mark.parametrize(("killed", "breaks"), [(8, True), (9, False)])
def test_a_new_survivor_breaks_a_run_below_ninety_percent(killed: int, breaks: bool) -> None:
    """Above it the survivor is told and nothing more; a listed one breaks nothing."""
    rest = [replace(MUTANT, outcome="killed")] * killed
    none = [MUTANT] * (9 - killed)
    every = [MUTANT, *none, *rest]

    part = judge({"m.py": every}, compare(every, {}))
    known = judge({"m.py": every}, compare(every, {key_of(MUTANT): "the same"}))

    assert bool(part.broken) is breaks
    assert not known.broken
    assert part.rows[0] == (
        "`m.py`",
        "10",
        str(killed),
        f"{10 - killed}",
        "0",
        f"{killed}0.0 %",
    )
    assert part.rows[-1][0] == "all"


def test_what_took_too_long_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that was busy with something else makes no survivor a mutant noticed."""
    asked = []

    def run(directory: Path, names: Sequence[str], jobs: int, say: Say) -> None:
        asked.append((list(names), jobs))
        later = {"x_f__mutmut_2": 0} if len(asked) > 1 else {}
        left_behind(directory, ENDS | later)

    monkeypatch.setattr(mutation, "run_mutmut", run)
    (found,) = mutation.try_all(tmp_path, [PATH], 2, lambda _: None).values()

    assert asked == [(["exporter.small.*"], 2), (["exporter.small.x_f__mutmut_2"], 1)]
    assert [mutant.outcome for mutant in found] == ["killed", "survived", "survived"]


def test_caches_are_taken_off_the_copy(tmp_path: Path) -> None:
    """mutmut leaves decorated functions alone."""
    source = tmp_path / "m.py"
    source.write_text("@lru_cache(maxsize=9)\ndef f():\n    @lru_cache\n    def g(): ...\n")

    bare_caches(tmp_path, ["m.py"])

    assert source.read_text() == "def f():\n    def g(): ...\n"


def test_the_list_speaks_of_lines_that_exist() -> None:
    """A survivor of a line that was edited since is to be looked at anew."""
    modules = modules_of(ROOT)
    for place, before, _ in read_survivors(SURVIVORS):
        path = next(p for p in modules if place.startswith(p[:-3].replace("/", ".") + "."))
        lines = {line.strip() for line in (ROOT / path).read_text("utf-8").splitlines()}
        assert before, place
        assert lines >= set(before), place


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


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mutmut") is None, reason="mutmut is not installed"
)
def test_a_run_finds_the_module_that_is_tested_badly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The strong test notices every mutant, the weak one does not; no source is touched."""
    files = {
        "pyproject.toml": SETTINGS,
        "exporter/__init__.py": "",
        "exporter/strong.py": SOURCE,
        "exporter/weak.py": SOURCE,
        "tests/test_both.py": TESTS,
        "page.md": f"before\n{BEGIN}old\n{END}after\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    page = tmp_path / "page.md"
    options = ["--root", tmp_path, "--survivors", listed(tmp_path, ""), "--write", page]

    code = mutation.main([str(option) for option in options])

    out = capsys.readouterr().out
    assert code == 1
    assert "| `exporter/strong.py` | 1 | 1 | 0 | 0 | 100.0 % |" in out
    assert "| `exporter/weak.py` | 1 | 0 | 1 | 0 | 0.0 % |" in out
    assert "exporter.weak.above:\n  - return a > b\n  + return a >= b\n" in out
    assert "| `exporter/weak.py` | 1 | 0 |" in page.read_text()
    for name in ("exporter/strong.py", "exporter/weak.py", "tests/test_both.py"):
        assert (tmp_path / name).read_text() == files[name]
