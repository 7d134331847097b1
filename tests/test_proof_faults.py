"""The proof's part `faults`: it runs, its table is whole, and it finds what is broken.

Also what it has found: the exporter out of file descriptors.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.errors import Reason
from proof import faults, faults_environment, faults_pairs
from proof.faults_bounds import crowded, enough, memory_bound
from proof.faults_catalogue import Group, groups, single_faults
from proof.faults_clock import PLAYS, clock
from proof.faults_damage import DAMAGES
from proof.faults_environment import environment, full_disk
from proof.faults_matrix import matrix
from proof.faults_pairs import Event, Pair, draw, pairs
from proof.faults_scene import Found, Plot
from proof.faults_server import Visit
from proof.part import TINY
from tests.e2e_api import Api, Script, found, row
from tests.e2e_support import Launch, operation, wait_for, write_config

pytest_plugins = ("tests.e2e_fixtures",)
Serve = Callable[[Script], Api]


pytestmark = pytest.mark.usefixtures("linux")


@contextlib.contextmanager
def no_room(directory: Path) -> Iterator[None]:
    """What `open_room` is on a machine that allows no mount."""
    (directory / "disk").mkdir()
    yield None


# --- every piece runs and holds ----------------------------------------------------------


@pytest.mark.slow
def test_matrix_holds(tmp_path: Path) -> None:
    """Every fault of a server has its row, with its reason, and all of it holds."""
    result = matrix(tmp_path / "matrix", groups(), rounds=2, strict=TINY.strict)

    assert result.broken == []
    by_name = {cells[0]: cells for cells in result.rows}
    assert {group.name for group in groups()} < by_name.keys()
    assert len(by_name) == len(groups()) + 3  # redirects, the unknown name, the memory
    for group in groups():
        fault = group.faults[0]
        names = [str(name or "success") for name in (fault.reason, fault.also or fault.reason)]
        effect = by_name[group.name][1]
        assert any(name in effect for name in names), (group.name, effect)


def test_every_reason_has_a_fault() -> None:
    """Whatever the exporter can call a failure is met, but for its own defects."""
    reasons = {fault.reason for group in groups() for fault in group.faults}

    assert set(Reason) - reasons == {Reason.INTERNAL, Reason.REDIRECT}  # made by `redirects`


@pytest.mark.slow
def test_machine_holds(tmp_path: Path) -> None:
    """A full disk, no files, many clients, damaged states: each has its row, and all holds."""
    result = environment(tmp_path / "environment", strict=TINY.strict)

    assert result.broken == []
    names = [cells[0] for cells in result.rows]
    for begin in ("disk full (", "out of file", "400 idle", "7 MiB", "log on a full"):
        assert [name for name in names if name.startswith(begin)], names
    assert len([name for name in names if name.startswith("state file")]) == len(DAMAGES)


@pytest.mark.slow
def test_clocks_hold(state_directory: Path) -> None:
    """Every jump of the clock has its row, and no slot is lost or early: seconds of work."""
    result = clock(state_directory / "clock")

    assert result.broken == []
    assert [cells[0] for cells in result.rows] == list(PLAYS)


@pytest.mark.slow
def test_full_disk_holds_without_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no mount is allowed a limit stands for the full disk, and all holds too."""
    monkeypatch.setattr(faults_environment, "open_room", no_room)

    result = full_disk(tmp_path / "disk", strict=TINY.strict)

    assert result.broken == []
    names = [cells[0] for cells in result.rows]
    assert names == ["disk full (as RLIMIT_FSIZE: no mount allowed)"]


@pytest.mark.slow
def test_pairs_hold_without_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the server and the limit that stands for a full disk: it holds as well."""
    fault = {
        "4001": next(fault for fault in single_faults() if fault.name == "403 maintenance")
    }
    drawn = [Pair("maintenance and a full disk", Event.DISK, fault, fault)]
    monkeypatch.setattr(faults_pairs, "draw", lambda count, seed: drawn)
    monkeypatch.setattr(faults_pairs, "open_room", no_room)

    result = pairs(tmp_path / "pairs", 1, 1, strict=TINY.strict)

    assert result.broken == []
    assert len(result.rows) == 1


@pytest.mark.slow
def test_pairs_hold(tmp_path: Path) -> None:
    """A few random pairs: a row for each kind of event, and all of it holds."""
    result = pairs(tmp_path / "pairs", TINY.pairs, TINY.seed, strict=TINY.strict)

    assert result.broken == []
    drawn = {pair.event for pair in draw(TINY.pairs, TINY.seed)}
    assert len(result.rows) == len(drawn)


def test_prove_is_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and broken sentences of all four pieces stand in the part, in their order."""
    pieces = ("matrix", "environment", "clock", "pairs")
    for name in pieces:
        line = Found([(name, "", "", "", "")], [f"{name} broke"])
        monkeypatch.setattr(faults, name, lambda *given, line=line, **named: line)
    said: list[str] = []

    part = faults.prove(TINY, tmp_path, said.append)

    assert [cells[0] for cells in part.rows] == list(pieces)
    assert part.broken == tuple(f"{name} broke" for name in pieces)
    assert len(said) == 4
    assert all(len(cells) == len(part.header) for cells in part.rows)


def test_pairs_are_drawn_by_their_seed() -> None:
    """The same seed draws the same pairs; many of them hold every kind of event."""
    titles = [pair.title for pair in draw(60, 1)]

    assert titles == [pair.title for pair in draw(60, 1)]
    assert titles != [pair.title for pair in draw(60, 2)]
    assert {pair.event for pair in draw(60, 1)} == set(Event)


# --- it finds what is broken -------------------------------------------------------------

# A reason that is wrong, a slot that comes too early, a token in the log.
BROKEN = """
from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.polling.limits import Limits
from exporter.wolkvox import answer
answer._BY_STATUS[403] = Reason.HTTP
Limits.slot = lambda self, started, interval, now: started + interval / 2
SECRETS.scrub = lambda text: text + " 7bc0ffee12"
"""
# A state that is in memory only: nothing notices that the disk is full.
FORGETFUL = """
import sqlite3
real = sqlite3.connect
def forget(path, **settings):
    path.touch()
    return real(":memory:", **settings)
sqlite3.connect = forget
"""


@pytest.mark.slow
def test_matrix_finds_what_is_broken(tmp_path: Path) -> None:
    """An exporter with three defects is told to have each of them."""
    chosen = [fault for fault in single_faults() if fault.name == "403 maintenance"]

    result = matrix(
        tmp_path / "matrix",
        [Group(fault.name, (fault,)) for fault in chosen],
        rounds=2,
        prelude=BROKEN,
        strict=TINY.strict,
    )

    told = "\n".join(result.broken)
    assert "403 maintenance: counted as {'http'" in told
    assert "403 maintenance: skill 4001 was asked too often" in told
    assert "a piece of a token" in told


@pytest.mark.slow
@pytest.mark.parametrize("mounts", [True, False])
def test_full_disk_finds_a_request_that_leaves(
    mounts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter that does not write down its attempts is told to ask on a full disk."""
    if not mounts:
        monkeypatch.setattr(faults_environment, "open_room", no_room)

    result = full_disk(tmp_path / "disk", FORGETFUL, strict=TINY.strict)

    told = "\n".join(result.broken)
    assert "disk full" in told
    assert "requests left" in told
    assert "storage_writable is not 0" in told


def visits(*seconds: int) -> list[Visit]:
    """Requests that were begun in these seconds of a minute and arrived at once."""
    start = 1_800_000_000  # a whole minute
    texts = [time.strftime("%Y%m%d%H%M%S", time.gmtime(start + at)) for at in seconds]
    return [
        Visit(start + at, text, "4001", "", None)
        for at, text in zip(seconds, texts, strict=True)
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ((), ""),
        ((0,), ""),
        ((0, 2, 4, 7), ""),
        ((0, 2, 3, 5), "gaps of 2, 1, 2 s"),
        ((0, 2, 2), "gaps of 2, 0 s"),
    ],
)
def test_crowded(seconds: tuple[int, ...], told: str) -> None:
    """Requests begun less than an interval apart are told by their gaps."""
    assert crowded(visits(*seconds)) == told


def test_crowded_counts_what_names_no_moment() -> None:
    """Connections that brought no request are counted against the time they took."""
    start = 1_800_000_000.0
    bare = [Visit(start + at / 4, "", "4001", "", None) for at in range(8)]

    assert crowded(bare) == "8 requests in 1.8 s"
    assert not crowded(bare[::8])


@pytest.mark.parametrize(
    ("rounds", "due", "strict", "held"),
    [(3, 6, True, True), (2, 6, True, False), (1, 6, False, True), (0, 6, False, False)],
)
def test_polls_that_are_too_few(rounds: int, due: int, strict: bool, held: bool) -> None:
    """Half of the polls that are due are enough; where the machine may be slow, one is."""
    assert enough(rounds, due, strict=strict) is held


def test_large_answers_may_take_memory_each() -> None:
    """Each operation with a large answer adds to what may be taken, however many answers."""
    large = next(fault for fault in single_faults() if fault.large)
    small = next(fault for fault in single_faults() if not fault.large)
    plots = [
        Plot("one", {"4001": large, "4002": small}, {"4001": large}),
        Plot("other", {"4001": small}, {"4001": small}),
    ]

    assert memory_bound(plots) == memory_bound(plots[1:]) + 16


# --- what it has found -------------------------------------------------------------------


@pytest.mark.slow
def test_no_file_descriptors_are_told_once(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """A client that cannot be accepted costs one line, not a thousand tracebacks a second."""
    api = serve_api(lambda asked: found(row()))
    life = launch.serve(write_config(tmp_path, operation(api.url(), interval="1h")))
    wait_for(lambda: life.get("/-/ready").status == 200, "the first answer")
    host, _, port = life.addresses[0].rpartition(":")
    before = resource.prlimit(life.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(life.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with socket.create_connection((host, int(port))) as client:
        wait_for(lambda: "accept" in life.log(), "what it says of the client")
        time.sleep(2.5)  # it tries again each second
        resource.prlimit(life.pid, resource.RLIMIT_NOFILE, before)
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(30)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert life.stop() == 0
    assert life.log().count("accept") == 1
    assert "Traceback" not in life.log()


@pytest.mark.slow
def test_many_clients_at_once_leave_file_descriptors(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """More clients than files, all at once: the limit closes some before files run out."""
    api = serve_api(lambda asked: found(row()))
    life = launch.serve(
        write_config(tmp_path, operation(api.url(), interval="1h")),
        prelude="import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n",
    )
    wait_for(lambda: life.get("/-/ready").status == 200, "the first answer")
    host, _, port = life.addresses[0].rpartition(":")
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert life.get("/metrics").status == 200
    assert life.stop() == 0
    assert "accept" not in life.log()
