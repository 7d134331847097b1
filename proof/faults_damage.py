"""What an exporter meets at its start: a damaged state file, a log that takes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proof.faults_bounds import good_since
from proof.faults_scene import CONTROLS, INTERVAL, Found, Scene, now, scene
from tests.e2e_support import fetch, free_port

FILE = "wolkvox-exporter.db"


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = os.urandom(8192)
    path.write_bytes(data)


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


def _log(path: Path) -> None:
    path.with_name(f"{FILE}-wal").write_bytes(os.urandom(50_000))


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to the state file of a stopped exporter, and what must come of it."""

    name: str
    spoil: Callable[[Path], None]
    effect: str
    noticed: bool = True
    harmless: bool = False


DAMAGES = (
    Damage("garbage", _garbage, "put aside, said, goes on"),
    Damage("cut in half", _half, "put aside, said, goes on"),
    Damage("two pages of noise", _page, "put aside, said, goes on"),
    Damage("empty", _nothing, "taken for new", noticed=False),
    Damage(
        "noise as its log", _log, "ignored, the spacing holds", noticed=False, harmless=True
    ),
)


def damage(directory: Path) -> Found:
    """Starts on a damaged state file, and one with a log that takes nothing."""
    directory.mkdir()
    result = Found()
    with scene(directory, ()) as made:
        made.start()
        made.healthy(1)
        made.end()
        for each in DAMAGES:
            _start_damaged(made, each, result)
        _log_full(made, result)
        result.broken += made.leaks()
    return result


def _start_damaged(made: Scene, each: Damage, result: Found) -> None:
    path = made.directory / "data" / FILE
    aside = len(list(path.parent.glob("*damaged-?")))
    each.spoil(path)
    name, places, began = f"state file: {each.name}", made.places(), now()
    made.start()
    made.healthy(1)
    kept = len(list(path.parent.glob("*damaged-?"))) - aside
    said = "is damaged" in made.life.log()
    expected = (each.noticed, each.noticed)
    result.check((kept, said) == expected, f"{name}: put aside {kept}, said: {said}")
    if each.harmless:
        for one in CONTROLS:
            before, after = places[one].of("4001", 0, began), places[one].of("4001", began)
            gap = after[0].begun - before[-1].begun
            result.check(gap >= INTERVAL, f"{name}: asked {gap:.1f} s later")
    waits = [good_since(places[one], "4001", began) for one in CONTROLS]
    longest = max(wait for wait in waits if wait is not None)
    asked = made.control_rounds(began)
    result.rows.append((name, each.effect, f"{asked}", "yes", f"{longest:.1f} s"))
    result.check(made.end() == 0, f"{name}: SIGTERM did not end with 0")


def _log_full(made: Scene, result: Found) -> None:
    """A log on /dev/full: what cannot be said costs nothing else."""
    address = f"127.0.0.1:{free_port()}"
    full = "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
    began = now()
    flags = ("--config.file", str(made.config), "--web.listen-address", address)
    life = made.launch(*flags, "--log.level", "debug", prelude=full)
    made.await_rounds(3, began)
    status = fetch(address, "/metrics").status
    ended = now()
    code = life.stop(signal.SIGTERM)
    name = "log on a full device (/dev/full)"
    result.check((status, code) == (200, 0), f"{name}: /metrics {status}, exit code {code}")
    rounds, due = made.control_rounds(began, ended), int((ended - began) / INTERVAL)
    effect = f"/metrics {status}, polls go on, exit code {code}"
    result.rows.append((name, effect, f"{rounds}", f"{rounds} of {due}", "—"))
