"""What an exporter meets at its start: a damaged state file, a full disk, a full log."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proof.faults_room import open_room
from proof.faults_scene import CONTROLS, INTERVAL, PATIENCE, Found, Scene, now, scene
from proof.faults_trial import FILE
from tests.e2e_support import LOOPBACK, Launch, Nursery, fetch, free_port

ASIDE, NEW = "put aside, said, goes on", "taken for new"


def _page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = os.urandom(8192)
    path.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to the state file of a stopped exporter, and what must come of it."""

    name: str
    spoil: Callable[[Path], object]
    effect: str = ASIDE
    harmless: bool = False


DAMAGES = (
    Damage("garbage", lambda path: path.write_bytes(b"not a database " * 1000)),
    Damage("cut in half", lambda path: os.truncate(path, path.stat().st_size // 2)),
    Damage("two pages of noise", _page),
    Damage("empty", lambda path: path.write_bytes(b""), NEW),
    Damage(
        "noise as its log",
        lambda path: path.with_name(f"{FILE}-wal").write_bytes(os.urandom(50_000)),
        "ignored, the spacing holds",
        harmless=True,
    ),
)


def starts(directory: Path, nursery: Nursery, *, strict: bool) -> Found:
    """Start on each damaged state file, on a full disk, and with a log that takes nothing."""
    directory.mkdir()
    result, launch = Found(), Launch(nursery, directory)
    try:
        with scene(directory, (), launch, strict=strict) as made:
            made.start()
            made.healthy(1)
            made.end()
            for each in DAMAGES:
                _damaged(made, each, result)
            _full_disk(made, result)
            _full_log(made, result)
            result.broken += made.leaks()
    finally:
        launch.close()
    return result


def _damaged(made: Scene, each: Damage, result: Found) -> None:
    path = made.directory / "data" / FILE
    aside = len(list(path.parent.glob("*damaged-?")))
    each.spoil(path)
    name, places, began = f"state file: {each.name}", made.places(), now()
    made.start()
    made.healthy(1)
    kept = len(list(path.parent.glob("*damaged-?"))) - aside
    said, noticed = "is damaged" in made.life.log(), each.effect is ASIDE
    result.check((kept, said) == (noticed,) * 2, f"{name}: put aside {kept}, said: {said}")
    for one in CONTROLS if each.harmless else ():
        before, after = places[one].of("4001", 0, began), places[one].of("4001", began)
        gap = after[0].begun - before[-1].begun
        result.check(gap >= INTERVAL, f"{name}: asked {gap:.1f} s later")
    result.check(made.end() == 0, f"{name}: SIGTERM did not end with 0")
    result.rows.append((name, each.effect, f"{made.control_rounds(began)}", "yes", "—"))


def _full_disk(made: Scene, result: Found) -> None:
    """Refuse to start where the state cannot be written."""
    place = made.directory / "room"
    place.mkdir()
    with open_room(place, 256) as room:
        if room is None:
            return
        room.fill()
        flags = ("--config.file", str(made.config), *LOOPBACK)
        state = ("--storage.path", str(room.disk / "new"))
        life = made.launch(*flags, *state, prelude=room.prelude)
        code = life.wait(PATIENCE)
        made.told.append(life.log())
    said = "cannot be written" in life.log()
    result.check(code == 1 and said, f"full disk at the start: {code}, {life.log()!r}")
    effect = f"exit code {code}, says that it cannot be written"
    result.rows.append(("disk full at the start", effect, "0", "—", "—"))


def _full_log(made: Scene, result: Found) -> None:
    """A log on /dev/full: what cannot be said costs nothing else."""
    address, began = f"127.0.0.1:{free_port()}", now()
    full = "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
    flags = ("--config.file", str(made.config), "--web.listen-address", address)
    life = made.launch(*flags, "--log.level", "debug", prelude=full)
    made.await_rounds(3, began)
    status, code = fetch(address, "/metrics").status, life.stop()
    name = "log on a full device (/dev/full)"
    result.check((status, code) == (200, 0), f"{name}: /metrics {status}, exit code {code}")
    effect = f"/metrics {status}, polls go on, exit code {code}"
    result.rows.append((name, effect, f"{made.control_rounds(began)}", "yes", "—"))
