"""The frame of the proof: what it refuses, and what a part that breaks off leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.page import BEGIN, END
from proof import __main__ as frame
from proof.part import Part, Say, Scale


def test_a_part_that_breaks_off_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parts after it run, and all of it stands between the marks of the page."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    scales: list[Scale] = []

    def breaks(scale: Scale, directory: Path, say: Say) -> Part:
        raise AssertionError("waited 30 s in vain for\n  an answer")

    def holds(scale: Scale, directory: Path, say: Say) -> Part:
        scales.append(scale)
        return Part("Held", "All is well.", ("what",), (("this",),))

    for name, prove in (("crash", breaks), ("soak", holds)):
        module = ModuleType(f"proof.{name}")
        module.prove = prove  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"proof.{name}", module)

    parts = ["--only", "crash", "--only", "soak", "--kills", "7", "--fuzz-seconds", "2.5"]
    assert frame.main([*parts, "--write", str(page)]) == 1

    assert scales == [Scale(kills=7, fuzz_seconds=2.5)]
    out = capsys.readouterr().out
    assert "- crash broke off: AssertionError: waited 30 s in vain for an answer\n" in out
    assert "### Held" in out
    assert "Traceback" not in out
    assert page.read_text(encoding="utf-8").startswith(f"before\n{BEGIN}\n{out}")


@pytest.mark.parametrize(
    "argv", [["--kills", "0"], ["--soak-seconds", "nan"], ["--write", "no-such-page.md"]]
)
def test_what_cannot_work_is_refused_at_once(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs, by the name of its flag."""
    with pytest.raises(SystemExit) as ended:
        frame.main(["--only", "fuzz", *argv])
    assert ended.value.code == 2
    assert argv[0] in capsys.readouterr().err
