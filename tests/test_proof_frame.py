"""The frame of the proof: what it takes and refuses, and what a part that breaks off leaves."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.page import BEGIN, END
from proof import __main__ as frame
from proof.part import TINY, Part, Say, Scale

HELD = Part("Held", "All is well.", ("what",), (("this",),))
Stand = Callable[..., None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts something that is cheap in the place of a part."""

    def put(name: str, prove: Callable[[Scale, Path, Say], Part]) -> None:
        module = ModuleType(f"proof.{name}")
        module.prove = prove  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"proof.{name}", module)

    return put


def breaks(error: BaseException) -> Callable[[Scale, Path, Say], Part]:
    """A part that ends so."""

    def prove(scale: Scale, directory: Path, say: Say) -> Part:
        raise error

    return prove


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of arguments that are refused, before anything runs."""
    with pytest.raises(SystemExit) as ended:
        frame.main(argv)
    assert ended.value.code == 2
    return capsys.readouterr().err


# --- a part that breaks off --------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AssertionError("waited 30 s in vain for\n  an answer"), "AssertionError: waited 30 s"),
        (pytest.fail.Exception("no import"), "Failed: no import"),
        (pytest.skip.Exception("no openssl"), "Skipped: no openssl"),
        (RuntimeError("x" * 5000), f"RuntimeError: {'x' * 400} …"),
    ],
)
def test_a_part_that_breaks_off(
    error: BaseException, told: str, stand_in: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    """It did not hold, in one line; the parts before and after it stand in the result."""
    stand_in("fuzz", lambda scale, directory, say: HELD)
    stand_in("crash", breaks(error))
    stand_in("soak", lambda scale, directory, say: HELD)

    code = frame.main(["--only", "fuzz", "--only", "crash", "--only", "soak"])

    out, err = capsys.readouterr()
    assert code == 1
    assert out.count("### Held") == 2
    assert "| Crash | **no** |" in out
    assert "It broke off." in out
    line = next(line for line in out.splitlines() if line.startswith("- crash broke off: "))
    assert line.startswith(f"- crash broke off: {told}")
    assert len(line) < 500
    assert "Traceback" not in out
    assert "Traceback" in err


def test_a_part_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a part needs and the machine lacks is told like everything that breaks off."""
    monkeypatch.setitem(sys.modules, "proof.fuzz", None)

    assert frame.main(["--only", "fuzz"]) == 1

    assert "- fuzz broke off: ModuleNotFoundError: " in capsys.readouterr().out


def test_an_interrupt_ends_it_all(stand_in: Stand) -> None:
    """Whoever types Ctrl-C wants the whole run to end."""
    stand_in("fuzz", breaks(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        frame.main(["--only", "fuzz"])


# --- what is asked for -------------------------------------------------------------------


def test_the_scale_that_is_asked_for(stand_in: Stand) -> None:
    """Each flag has its place in the scale, which is strict; a part named twice runs once."""
    scales: list[Scale] = []

    def prove(scale: Scale, directory: Path, say: Say) -> Part:
        scales.append(scale)
        return HELD

    stand_in("fuzz", prove)

    sizes = ["--kills", "7", "--fuzz-seconds", "2.5", "--seed", "3"]
    assert frame.main(["--only", "fuzz", "--only", "fuzz", *sizes]) == 0

    assert scales == [Scale(kills=7, fuzz_seconds=2.5, seed=3, strict=True)]
    assert not TINY.strict


def test_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each size says what it is, in words, and how much it is when nobody asks."""
    with pytest.raises(SystemExit):
        frame.main(["--help"])

    text = " ".join(capsys.readouterr().out.split())
    for field in fields(Scale):
        flag = "--" + field.name.replace("_", "-")
        assert (flag in text) == (field.name != "strict")
    assert "--pairs N random pairs of faults (default: 60)" in text
    assert "--soak-seconds SECONDS the soak in real time (default: 600)" in text
    assert text.count("python -m proof") == 1


@pytest.mark.parametrize("field", frame.SIZES, ids=lambda field: str(field.name))
@pytest.mark.parametrize("value", ["0", "-1", "nan", "much"])
def test_sizes_that_nothing_can_be_tried_with(
    field: object, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A size that is not above 0 is refused at once, by the name of its flag."""
    flag = "--" + str(getattr(field, "name")).replace("_", "-")  # noqa: B009

    told = refused(["--only", "fuzz", flag, value], capsys)

    assert f"argument {flag}" in told
    assert value in told


@pytest.mark.parametrize("names", [["faults"], ["fuzz", "transport"], []])
def test_openssl_is_missing(
    names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parts that make certificates are refused before anything runs."""
    monkeypatch.setattr(shutil, "which", lambda program, **more: None)
    argv = [text for name in names for text in ("--only", name)]

    told = refused(argv, capsys)

    assert "the parts faults and transport need the program openssl" in told


def test_openssl_is_missing_and_not_needed(
    stand_in: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other parts run without it."""
    monkeypatch.setattr(shutil, "which", lambda program, **more: None)
    stand_in("soak", lambda scale, directory, say: HELD)

    assert frame.main(["--only", "soak"]) == 0


# --- the page ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "# A page\n", f"{BEGIN}\n", b"\xff\xfe"])
def test_a_page_without_a_place(
    text: str | bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that the result cannot be put into is told before anything runs."""
    page = tmp_path / "page.md"
    if text is not None:
        page.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert "--write: " in refused(["--only", "fuzz", "--write", str(page)], capsys)


def test_the_result_is_put_into_the_page(tmp_path: Path, stand_in: Stand) -> None:
    """The run stands between the marks; what is around them stays."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    stand_in("fuzz", lambda scale, directory, say: HELD)

    assert frame.main(["--only", "fuzz", "--write", str(page)]) == 0

    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}")
    assert text.endswith(f"{END}after\n")
    assert "### Held" in text
    assert "old" not in text
