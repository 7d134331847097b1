"""The part `fuzz` of the proof: its corpus replayed, its engines, what they found."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from exporter.config import Skill
from exporter.config.tokens import TokenSource, TokenUnreadable
from exporter.errors import Reason
from exporter.polling.roster import remembered_skills
from exporter.polling.schedule import next_pause
from exporter.state import counters
from exporter.state.codec import memory_from_json, memory_to_json
from exporter.state.counters import NO_COUNTERS, ChannelLedger
from proof import (
    fuzz,
    fuzz_answer,
    fuzz_config,
    fuzz_http,
    fuzz_seeds,
    fuzz_socket,
    fuzz_state,
    fuzz_target,
    fuzz_web_config,
)
from proof.fuzz import Run
from proof.fuzz_mutate import MAX_LENGTH, Mutator, read_dictionary
from proof.fuzz_socket import storm
from proof.fuzz_target import MUTATOR, ROOT, TARGETS, corpus, dictionary, engine, target
from proof.part import TINY
from tests.e2e_support import Life
from tests.quirks import cells, envelope
from tests.statuses import CHAT, DAY, NOW, VOICE, status

INPUTS = [
    pytest.param(name, path, id=f"{name}/{path.name}")
    for name in TARGETS
    for path in sorted(corpus(name).iterdir())
]
KEPT = 400 * 1024  # bytes that the corpus may take in the repository


def say(text: str) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(("name", "path"), INPUTS)
def test_every_known_input_keeps_the_promises(name: str, path: Path) -> None:
    """What was thought of, and what a fuzzer found once, is tried without one each time."""
    target(name)(path.read_bytes())


def test_the_corpus_is_small_and_whole() -> None:
    """Each target has inputs and words; all of it weighs less than a picture."""
    assert {path.name for path in (ROOT / "corpus").iterdir()} == {
        *TARGETS,
        *(f"{name}.dict" for name in TARGETS),
    }
    files = [path for path in (ROOT / "corpus").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < KEPT
    for name in TARGETS:
        assert len(read_dictionary(dictionary(name))) > 20
        assert len(list(corpus(name).iterdir())) >= 5


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_keeps_the_promises(name: str, tmp_path: Path) -> None:
    """What `python -m proof.fuzz_seeds` would write now, from the quirks and the docs."""
    fuzz_seeds.write(name, tmp_path)

    for path in tmp_path.iterdir():
        target(name)(path.read_bytes())


@pytest.mark.slow
def test_a_tiny_run_fuzzes_everything(tmp_path: Path) -> None:
    """A row for each target and one for the sockets, and nothing broke."""
    part = fuzz.prove(TINY, tmp_path, say)

    assert not part.broken
    assert [row[0] for row in part.rows] == [
        *fuzz.WHAT.values(),
        "the same over real sockets, against a process",
    ]
    for row in part.rows:
        assert len(row) == len(fuzz.HEADER)
        assert int(row[2].replace(",", "")) > 0
        assert row[6] == "0"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris here")
def test_atheris_guides_by_coverage(tmp_path: Path) -> None:
    """Its statistics are read, and inputs that reach new code stay out of the repository."""
    before = list(corpus("state").iterdir())
    run = fuzz.fuzz("state", 1, 1, tmp_path)

    assert not list(run.broken())
    assert run.engine == engine() == "atheris"
    assert (run.statistic("number_of_executed_units") or 0) > len(before)
    assert run.coverage.endswith(" edges")
    assert list(corpus("state").iterdir()) == before
    assert run.found == len(list((tmp_path / "state").iterdir()))


BROKEN = """
import sys
import proof.fuzz_target as child
from exporter.errors import Reason
import exporter.wolkvox.report as report

def read_count(value):
    return int(value)

report.read_count = read_count
child.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("guided", [False, True])
def test_a_defect_is_found_and_kept(tmp_path: Path, guided: bool) -> None:
    """A reader that raises is told by its exception, and the input lies where people look."""
    if guided and importlib.util.find_spec("atheris") is None:
        pytest.skip("no atheris here")
    kept = tmp_path / "kept"
    command = (sys.executable, "-c", BROKEN)
    extra = () if guided else (MUTATOR,)
    run = fuzz.fuzz("answer", 30, 1, tmp_path, command=command, extra=extra, kept=kept)

    (found,) = run.crashes
    assert found.parent == kept
    (sentence,) = run.broken()
    assert sentence.startswith("answer: ")
    assert "Error" in sentence
    assert str(found) in sentence
    assert run.row()[6] == "1"


def test_a_fuzzer_that_does_not_run_is_told() -> None:
    """An end without statistics is no success."""
    run = Run("http", "atheris", 1, "ModuleNotFoundError: no module", 3, 0)

    assert list(run.broken()) == [
        "http: the fuzzer ended with code 1: ModuleNotFoundError: no module"
    ]
    assert run.row()[2:5] == ("?", "?", "not measured")


def test_an_unknown_target_is_refused() -> None:
    """With the names that there are."""
    done = subprocess.run(
        [sys.executable, "-m", "proof.fuzz_target", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT.parent,
    )
    assert done.returncode == 1
    assert "no such target: nonsense (there are answer, " in done.stderr


def test_without_a_target_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and the code of a mistake in the command."""
    with pytest.raises(SystemExit) as ended:
        fuzz_target.main([])

    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: python -m proof.fuzz_target {answer,config,")
    assert told.count("\n") == 1


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
    assert "a traceback is in the log" in told
    assert "descriptors are open" in told


@pytest.mark.slow
def test_the_sockets_tell_of_an_exporter_that_dies(tmp_path: Path) -> None:
    """Its end is what is found, with its code; nobody's connections fail over it."""
    prelude = (
        "import os\n"
        "from exporter.web import app\n"
        "app.App._status = lambda self, scope: os._exit(7)\n"
    )
    found = storm(0.1, 1, tmp_path / "dies", prelude=prelude, patience=5.0)

    (told,) = found.broken
    assert told.startswith("sockets: the process ended with code 7: ")


class Deaf:
    """A process (this one) that listens and never takes a connection."""

    pid = os.getpid()
    code = None

    def __init__(self, listener: socket.socket) -> None:
        self.addresses = [f"127.0.0.1:{listener.getsockname()[1]}"]

    def ended(self) -> bool:
        """It lives."""
        return False

    def log(self) -> str:
        """And says nothing."""
        return ""


def test_the_sockets_tell_of_an_exporter_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes the connections, nobody answers the scrape: two sentences, no traceback."""
    monkeypatch.setattr("tests.e2e_support.PATIENCE", 0.2)
    monkeypatch.setattr(fuzz_socket, "_LISTENING", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        life = cast("Life", Deaf(listener))
        found = fuzz_socket._storm(life, 0.1, random.Random(1), 0.5)

    assert len(found.broken) == 2
    assert " was not taken: timed out" in found.broken[0]
    assert found.broken[1].startswith("sockets: a scrape is not answered: ")


def test_seeds_are_the_same_at_every_hour() -> None:
    """What packs a seed writes no time into it: the corpus would grow with each making."""
    times = [
        moment
        for seed in fuzz_seeds.answers()
        for moment in re.findall(rb"\x1f\x8b\x08[\0-\x1f](....)", seed, re.DOTALL)
    ]
    assert len(times) >= 5
    assert set(times) == {bytes(4)}


@pytest.mark.parametrize(
    ("size", "length", "step"),
    [
        (b"0", 700, 700),
        (b"1", 700, 1),
        (b"2", 700, 2),
        (b"9", 700, 256),
        (b"x", 700, 700),
        (b"", 0, 1),
        (b"1", 5120, 10),
    ],
)
def test_a_request_comes_in_pieces_down_to_single_bytes(
    size: bytes, length: int, step: int
) -> None:
    """The second byte of an input says how much comes at once; long ones in larger pieces."""
    assert fuzz_http.step_of(size, length) == step


def test_mutations_are_many_and_reproducible() -> None:
    """One seed, one series; inputs stay below the length that is tried."""
    first, second = (Mutator(random.Random(7), [b"abc" * 9000], [b"word"]) for _ in range(2))
    drawn = [first.draw() for _ in range(300)]

    assert drawn == [second.draw() for _ in range(300)]
    assert len(set(drawn)) > 200
    assert max(map(len, drawn)) <= MAX_LENGTH


# What the promises are worth: each is broken once -------------------------------------------


def history(*counts: str, days: int = 0) -> bytes:
    """Answers with these inbound counts."""
    bodies = [envelope([cells(inbound_calls=count)]) for count in counts]
    return fuzz_answer.SEPARATOR.join(
        fuzz_answer.Wire(200, None, None, days, body).encoded() for body in bodies
    )


def test_a_counter_that_falls_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A correction downward holds a counter still; a ledger that falls is a defect."""
    fuzz_answer.one(history("67", "90", "80", "95"))
    counted, turns = counters._counted, iter((False, True))

    def sometimes(*args: Any, **more: Any) -> ChannelLedger:
        channel = counted(*args, **more)
        return replace(channel, counters=NO_COUNTERS) if next(turns) else channel

    monkeypatch.setattr(counters, "_counted", sometimes)
    with pytest.raises(AssertionError, match="fell"):
        fuzz_answer.one(history("67", "90", "190"))


def test_a_token_that_is_told_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a problem of the configuration, and in the name of a channel."""
    with pytest.raises(AssertionError, match="a token is told"):
        fuzz_config.check_silence(f"token: {fuzz_config.IN_FILE[10:18]}!", b"operations: []")
    with pytest.raises(AssertionError, match="a token is told"):
        fuzz_config.check_silence(fuzz_config.WRITTEN[5:30], fuzz_config.WRITTEN.encode())
    monkeypatch.setattr(fuzz_answer, "scrub_body", lambda body, token: body)
    answer = fuzz_answer.Wire(200, None, None, 0, envelope([cells(fuzz_answer.TOKEN)]))
    with pytest.raises(AssertionError):
        fuzz_answer.one(answer.encoded())


def test_a_hash_that_is_told_is_noticed() -> None:
    """Anywhere but in the name of a user, which is told and may be any word."""
    piece = fuzz_web_config.HASH[8:40]
    fuzz_web_config.check_silence(f"basic_auth_users.alice{piece[:24]}: is no bcrypt hash")
    for told in (f"basic_auth_users.alice: {piece}", fuzz_web_config.HASH):
        with pytest.raises(AssertionError, match="a password's hash is told"):
            fuzz_web_config.check_silence(told)


@pytest.mark.parametrize(
    "written",
    [
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 3,
        b"no answer\r\n\r\n",
    ],
)
def test_answers_that_are_none_are_noticed(written: bytes) -> None:
    """A defect, half an answer, a foreign header, more answers than requests, nonsense."""
    with pytest.raises(AssertionError):
        fuzz_http.check_answers(written, b"GET / HTTP/1.1\r\n")


# Defects that fuzzing found ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("failures",), float("inf")),
        (("failures",), -1),
        (("failures",), True),
        (("last_success_at",), "yesterday"),
        (("last_success_at",), float("nan")),
        (("last_success_at",), 1e300),
        (("today", "at"), 10**400),
        (("today", "day"), "9999-12-31"),
        (("closed",), "0001-01-01"),
        (("ledger", "day"), "0001-01-01"),
        (("today", "rows", 0, "channel"), "in\nbound"),
        (("today", "rows", 0, "channel"), "\ud800"),
        (("today", "rows", 0, "channel"), ""),
        (("today", "rows", 0, "channel"), "x" * 129),
        (("today", "rows", 0, "channel"), 5),
        (("today", "rows", 0, "inbound"), "67"),
        (("today", "rows", 0, "inbound"), 0.5),
        (("today", "rows", 0, "service_level_10"), float("nan")),
        (("today", "rows", 0, "asa"), -1.0),
        (("today", "rows", 1), {"channel": VOICE.channel}),
    ],
)
def test_a_row_of_the_state_that_no_exporter_wrote_is_refused(
    path: tuple[str | int, ...], value: object
) -> None:
    """Restored as it stands it would end a poll loop or a page later, start after start."""
    data = memory_to_json(status(VOICE, CHAT).memory)
    place = data
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]

    with pytest.raises((ValueError, TypeError, KeyError)):
        memory_from_json(data)
    fuzz_state.one(json.dumps(data).encode())


@pytest.mark.parametrize(
    "path",
    ["7bd7250a9f3e61c84b0729f5d6e1a3b87c40f29/x", "x/7bd7250a9f3e61c84b07/y/7bd7250a9f3e61c8"],
)
def test_a_token_with_slashes_is_not_told_as_a_path(path: str, tmp_path: Path) -> None:
    """Pasted into token_file it looks like folders, which were told."""
    source = TokenSource(file=tmp_path / "in" / path)

    with pytest.raises(TokenUnreadable) as caught:
        source.read()
    told = f"{caught.value} {source.describe()}"
    assert "7bd7250a9f" not in told
    assert str(tmp_path / "in") in told


@pytest.mark.parametrize(
    ("field", "value"),
    [("refusals", float("inf")), ("refusals", -(10**400)), ("next_at", 10**400)],
)
def test_a_pause_that_no_exporter_wrote_holds_nobody_up(field: str, value: object) -> None:
    """Numbers beyond floats are no ValueError; an endless backoff would be one too."""
    pause = next_pause(None, Reason.UNAUTHORIZED, NOW, DAY, 300.0, None)
    fuzz_state.one(json.dumps(pause.to_json() | {field: value}).encode())


def test_skills_that_no_exporter_wrote_are_left_out() -> None:
    """The pairs of texts of what was discovered yesterday; the rest does not count."""
    odd = [["4173", "Ventas"], 5, None, ["1"], ["2", 3], ["", "x"], {"a": "b"}, ["4", "a\nb"]]

    assert remembered_skills(odd) == [Skill("4173", "Ventas"), Skill("4", "a\ufffdb")]
    assert remembered_skills({"a": "b"}) == []


def test_a_row_that_is_too_deep_counts_as_nothing() -> None:
    """Python's reader of JSON raises RecursionError there, which is no ValueError."""
    fuzz_state.one(b"[" * 100_000)
    assert fuzz_state.storage().memory(fuzz_state.ROW, fuzz_state.SKILL) is None
