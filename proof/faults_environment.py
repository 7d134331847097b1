"""Faults of the machine below the exporter: its disk, its files, its clients, its memory."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof.faults_catalogue import heavy
from proof.faults_damage import FILE, damage
from proof.faults_room import Room, open_room
from proof.faults_scene import (
    CONTROLS,
    INBOUND,
    INTERVAL,
    PATIENCE,
    Found,
    Plot,
    Scene,
    crowded,
    good_since,
    now,
    scene,
    together,
)

WRITABLE = "wolkvox_exporter_storage_writable"
FEW_FILES, MANY_CLIENTS = 200, 400
HEAVY_MIB = 96.0
"""What one answer just under the cap may take, at four bytes a letter."""
BACK_WITHIN = 30.0
"""Seconds: the longest wait before a refused write is tried again, by rule."""


def environment(directory: Path) -> Found:
    """Try them all, four processes of the exporter side by side."""
    directory.mkdir()
    parts = (full_disk, no_files, clients_and_memory, damage)
    with ThreadPoolExecutor() as pool:  # they mostly wait
        found = [pool.submit(part, directory / part.__name__) for part in parts]
        return together([one.result() for one in found])


# A full disk, no more files --------------------------------------------------------------


@dataclass(slots=True)
class Outage:
    """Something is taken away from a running exporter, and given back."""

    name: str
    take: Callable[[], object]
    give: Callable[[], object]
    effect: Callable[[Scene], str]

    def run(self, made: Scene, result: Found) -> None:
        """Take it for three intervals; add the row."""
        self.take()
        began = now()
        time.sleep(3 * INTERVAL)
        ended = now()
        sent = sum(
            one.begun > began + 1  # a request may just have been under way
            for name in CONTROLS
            for one in made.places()[name].of("4001", began, ended)
        )
        if self.name.startswith("out of"):  # else no page could be asked for
            self.give()
        seen = self.effect(made)
        page = made.metrics()
        result.check(len(page.of(INBOUND)) == len(CONTROLS), f"{self.name}: values were lost")
        result.check(made.life.get("/-/healthy").status == 200, f"{self.name}: not healthy")
        self.give()
        ended = now()
        made.healthy()
        places = made.places()
        waits = [good_since(places[name], "4001", ended) for name in CONTROLS]
        longest = max(wait for wait in waits if wait is not None)
        result.check(sent == 0, f"{self.name}: {sent} requests left")
        text = f"{self.name}: back after {longest:.1f} s"
        result.check(longest <= BACK_WITHIN + INTERVAL, text)
        for name in CONTROLS:
            gaps = crowded(places[name].of("4001"))
            result.check(not gaps, f"{self.name}: {name} was asked too often: {gaps}")
        row = (self.name, seen, f"{sent}", "all wait, by rule", f"{longest:.1f} s")
        result.rows.append(row)


def full_disk(directory: Path, prelude: str = "") -> Found:
    """A disk that fills while the exporter runs, then a start on a full one.

    `prelude` is run before the exporter.
    """
    directory.mkdir()
    result = Found()
    with open_room(directory) as room:
        data = room.disk / "data" if room is not None else directory / "data"
        flags = ("--storage.path", str(data))
        enter = room.prelude if room is not None else ""
        with scene(directory, (), flags=flags, prelude=enter + prelude) as made:
            made.start()
            made.healthy()
            _full_disk(made, room, data).run(made, result)
            told = made.life.log().count("the state cannot be written")
            result.check(told == 1, f"the full disk was told {told} times")
            result.check(made.end() == 0, "after a full disk SIGTERM did not end with 0")
            if room is not None:
                _full_at_the_start(made, room, result)
            result.broken += made.leaks()
    return result


def no_files(directory: Path) -> Found:
    """No more file descriptors while the exporter runs."""
    directory.mkdir()
    result = Found()
    with scene(directory, ()) as made:
        made.start()
        made.healthy()
        _no_files(made).run(made, result)
        result.check(made.end() == 0, "out of files: SIGTERM did not end with 0")
        result.broken += made.leaks()
    return result


def _full_disk(made: Scene, room: Room | None, data: Path) -> Outage:
    def effect(scene: Scene) -> str:
        writable = scene.metrics().value(WRITABLE)
        return f"storage_writable {writable:g}, no request leaves, pages served, said once"

    if room is not None:
        name = "disk full (ENOSPC, on a tmpfs of its own)"
        return Outage(name, room.fill, room.free, effect)
    before = resource.prlimit(made.life.pid, resource.RLIMIT_FSIZE)

    def limit() -> None:
        size = (data / f"{FILE}-wal").stat().st_size
        resource.prlimit(made.life.pid, resource.RLIMIT_FSIZE, (size, before[1]))

    def lift() -> None:
        resource.prlimit(made.life.pid, resource.RLIMIT_FSIZE, before)

    return Outage("disk full (as RLIMIT_FSIZE: no mount allowed)", limit, lift, effect)


def _full_at_the_start(made: Scene, room: Room, result: Found) -> None:
    room.fill()
    flags = ("--config.file", str(made.config), "--storage.path", str(room.disk / "new"))
    life = made.launch(*flags, prelude=room.prelude)
    code = life.wait(PATIENCE)
    made.told.append(life.log())
    result.check(code == 1, f"disk full at the start: exit code {code}")
    text = "cannot be written"
    result.check(text in life.log(), f"disk full at the start: said {life.log()!r}")
    row = ("disk full at the start", f"exit code {code}, says that it {text}", "0", "—", "—")
    result.rows.append(row)


def _no_files(made: Scene) -> Outage:
    before = resource.prlimit(made.life.pid, resource.RLIMIT_NOFILE)
    clients: list[socket.socket] = []

    def take() -> None:
        host, _, port = made.life.addresses[0].rpartition(":")
        resource.prlimit(made.life.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        clients.append(socket.create_connection((host, int(port))))

    def give() -> None:
        resource.prlimit(made.life.pid, resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.close()

    def effect(scene: Scene) -> str:
        lines = scene.life.log().count("no connection can be accepted")
        return f"no token file can be read: unauthorized; clients wait, said {lines} time(s)"

    return Outage("out of file descriptors (RLIMIT_NOFILE at once 3)", take, give, effect)


# Too many clients, too much memory -------------------------------------------------------


def clients_and_memory(directory: Path) -> Found:
    """More clients than files, then the heaviest answer that is still read."""
    directory.mkdir()
    result = Found()
    few = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_FILES},) * 2)\n"
    letter = heavy("\N{GRINNING FACE}")  # makes four bytes of each
    plot = Plot("heavy", {"4001": letter}, {"4001": letter})
    with scene(directory, (plot,), prelude=few) as made:
        made.start()
        made.healthy()
        _idle_clients(made, result)
        before = made.memory("VmRSS")
        made.forget_peak()
        began = now()
        made.servers.become({"heavy": plot.first})
        made.await_rounds(4, began)
        most, asked = made.memory("VmHWM"), len(made.places()["heavy"].of("4001", began))
        made.servers.become({})
        made.healthy()
        name = "7 MiB in one field, at four bytes a letter"
        result.check(most <= before + HEAVY_MIB, f"{name}: {before:.0f}, then {most:.0f} MiB")
        effect = f"success; {before:.0f} MiB before, {most:.0f} at most; bound: {HEAVY_MIB:.0f}"
        row = (name, effect + " more", f"{asked}", "yes", "—")
        result.rows.append(row)
        result.check(not made.failures(), f"{name}: {made.failures()}")
        result.check(made.end() == 0, "with many clients SIGTERM did not end with 0")
        result.broken += made.leaks()
    return result


def _idle_clients(made: Scene, result: Found) -> None:
    host, _, port = made.life.addresses[0].rpartition(":")
    began = now()
    clients = [socket.create_connection((host, int(port))) for _ in range(MANY_CLIENTS)]
    try:
        made.await_rounds(4, began)
        ended = now()
        status = made.life.get("/metrics").status
        opened = len(os.listdir(f"/proc/{made.life.pid}/fd"))
    finally:
        for client in clients:
            client.close()
    due = int((ended - began) / INTERVAL)
    rounds = made.control_rounds(began, ended)
    name = f"{MANY_CLIENTS} idle clients, {FEW_FILES} files allowed"
    result.check(status == 200, f"{name}: /metrics said {status}")
    result.check(opened < FEW_FILES, f"{name}: {opened} files open")
    result.check(rounds >= due / 2, f"{name}: {rounds} requests where {due} were due")
    refused = made.life.log().count("no connection can be accepted")
    result.check(refused == 0, f"{name}: ran out of files")
    effect = f"the longest idle are closed, {opened} files open, /metrics 200"
    result.rows.append((name, effect, f"{rounds}", f"{rounds} of {due}", "—"))
