"""The part `fuzz` of the proof: its corpus replayed, and that it finds what is broken."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from proof import fuzz, fuzz_config, fuzz_seeds
from proof.fuzz_driver import CORPUS, MUTATOR, TARGETS, target
from proof.fuzz_http import check_answers, storm
from proof.part import TINY

KEPT = 400 * 1024  # bytes that the corpus may take in the repository


SLOW = {"answer", "state"}  # each input is a life of an exporter
CORPORA = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TARGETS]


@pytest.mark.parametrize("name", CORPORA)
def test_every_known_input_keeps_the_promises(name: str) -> None:
    """What was thought of, and what a fuzzer found once, is tried without one each time."""
    for path in sorted((CORPUS / name).iterdir()):
        try:
            target(name)(path.read_bytes())
        except AssertionError as error:
            raise AssertionError(path) from error


def test_the_corpus_is_small() -> None:
    """All of it weighs less than a picture."""
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < KEPT


@pytest.mark.slow
def test_a_tiny_run_fuzzes_everything(tmp_path: Path) -> None:
    """A row for each target and one for the sockets, and nothing broke."""
    part = fuzz.prove(TINY, tmp_path, lambda text: None)

    assert not part.broken
    assert len(part.rows) == len(TARGETS) + 1
    for row in part.rows:
        assert len(row) == len(fuzz.HEADER)
        assert int(row[2].replace(",", "")) > 0


BROKEN = """
import sys
import proof.fuzz_driver as driver
import exporter.wolkvox.report as report

def read_figure(value, kind):
    return int(value)

report.read_figure = read_figure
driver.main(*sys.argv[1:])
"""


@pytest.mark.slow
def test_a_defect_is_found_and_kept(tmp_path: Path) -> None:
    """A reader that raises is noticed, and the input lies where people look."""
    kept = tmp_path / "kept"
    command = (sys.executable, "-c", BROKEN)
    run = fuzz.fuzz("answer", 30, 1, tmp_path, command=command, extra=(MUTATOR,), kept=kept)

    (found,) = kept.iterdir()
    (sentence,) = run.broken
    assert sentence.startswith("answer: ")
    assert str(found) in sentence


@pytest.mark.slow
def test_the_sockets_find_a_leak_and_a_traceback(tmp_path: Path) -> None:
    """A server that keeps descriptors and fails at a page does not pass."""
    prelude = (
        "import os\n"
        "from exporter.web import app\n"
        "def broken(self, scope):\n"
        "    for _ in range(5): os.dup(0)\n"
        "    raise RuntimeError('a defect')\n"
        "app.App._status = broken\n"
    )
    found = storm(0.1, 1, tmp_path / "leak", prelude=prelude, patience=0.5)

    told = "\n".join(found.broken)
    assert "500" in told
    assert "a traceback is in the log" in told


def test_seeds_are_the_same_at_every_hour() -> None:
    """What packs a seed writes no time into it: the corpus would grow with each making."""
    times = [
        moment
        for seed in fuzz_seeds.answers()
        for moment in re.findall(rb"\x1f\x8b\x08[\0-\x1f](....)", seed, re.DOTALL)
    ]
    assert len(times) >= 5
    assert set(times) == {bytes(4)}


def test_a_token_that_is_told_is_noticed() -> None:
    """In a problem of the configuration, whole or in pieces."""
    with pytest.raises(AssertionError, match="a token is told"):
        fuzz_config.check_silence(f"token: {fuzz_config.IN_FILE[10:18]}!", b"operations: []")
    with pytest.raises(AssertionError, match="a token is told"):
        fuzz_config.check_silence(fuzz_config.WRITTEN[5:30], fuzz_config.WRITTEN.encode())
    with pytest.raises(AssertionError, match="a password's hash is told"):
        fuzz_config.check_no_hash(f"basic_auth_users.alice: {fuzz_config.HASH[8:40]}")


def test_answers_that_are_none_are_noticed() -> None:
    """A defect, half an answer, a foreign header, more answers than requests, nonsense."""
    for written in (
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 3,
        b"no answer\r\n\r\n",
    ):
        with pytest.raises(AssertionError):
            check_answers(written, b"GET / HTTP/1.1\r\n")
