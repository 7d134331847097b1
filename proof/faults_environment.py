"""Faults of the machine below the exporter: its disk, its files, its clients, its memory."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proof.faults_bounds import crowded, enough, good_since
from proof.faults_catalogue import heavy
from proof.faults_damage import damage
from proof.faults_limits import no_disk
from proof.faults_limits import no_files as no_descriptors
from proof.faults_room import Room, open_room
from proof.faults_scene import (
    CONTROLS,
    INBOUND,
    INTERVAL,
    PATIENCE,
    Found,
    Plot,
    Scene,
    now,
    scene,
    together,
)
from tests.e2e_support import LOOPBACK, wait_for

WRITABLE = "wolkvox_exporter_storage_writable"
UNWRITABLE, UNACCEPTED = "the state cannot be written", "no connection can be accepted"
"""What it says, once."""
FEW_FILES, MANY_CLIENTS = 200, 400
HEAVY_MIB = 96.0
"""What one answer just under the cap may take, at four bytes a letter."""
BACK_WITHIN = 30.0
"""Seconds: the longest wait before a refused write is tried again, by rule."""


def environment(directory: Path, *, strict: bool) -> Found:
    """Try them all, four processes of the exporter side by side."""
    directory.mkdir()
    with ThreadPoolExecutor(4) as pool:  # they mostly wait
        found = [
            pool.submit(full_disk, directory / "disk", strict=strict),
            pool.submit(no_files, directory / "files", strict=strict),
            pool.submit(clients_and_memory, directory / "clients", strict=strict),
            pool.submit(damage, directory / "damage"),
        ]
        return together([one.result() for one in found])


# A full disk, no more files --------------------------------------------------------------


@dataclass(slots=True)
class Outage:
    """Something is taken away from a running exporter, and given back.

    `effect` checks what it did and says so; where the outage is `blind`, no page can be had
    while it lasts, and the effect is looked at just after.
    """

    name: str
    take: Callable[[], object]
    give: Callable[[], object]
    effect: Callable[[Scene, Found], str]
    blind: bool = False

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
        if self.blind:
            self.give()
        seen = self.effect(made, result)
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
        soon = longest <= BACK_WITHIN + INTERVAL or not made.strict
        result.check(soon, text)
        for name in CONTROLS:
            gaps = crowded(places[name].of("4001"))
            result.check(not gaps, f"{self.name}: {name} was asked too often: {gaps}")
        row = (self.name, seen, f"{sent}", "all wait, by rule", f"{longest:.1f} s")
        result.rows.append(row)


def full_disk(directory: Path, prelude: str = "", *, strict: bool) -> Found:
    """A disk that fills while the exporter runs, then a start on a full one.

    `prelude` is run before the exporter.
    """
    directory.mkdir()
    result = Found()
    with open_room(directory) as room:
        data = room.disk / "data" if room is not None else directory / "data"
        flags = ("--storage.path", str(data))
        enter = room.prelude if room is not None else ""
        prelude = enter + prelude
        with scene(directory, (), flags=flags, prelude=prelude, strict=strict) as made:
            made.start()
            made.healthy()
            _full_disk(made, room, data).run(made, result)
            # Under a limit a write that fits into the log of the state may still succeed.
            told, most = made.life.log().count(UNWRITABLE), 1 if room is not None else 3
            result.check(1 <= told <= most, f"the full disk was told {told} times")
            result.check(made.end() == 0, "after a full disk SIGTERM did not end with 0")
            if room is not None:
                _full_at_the_start(made, room, result)
            result.broken += made.leaks()
    return result


def no_files(directory: Path, *, strict: bool) -> Found:
    """No more file descriptors while the exporter runs."""
    directory.mkdir()
    result = Found()
    with scene(directory, (), strict=strict) as made:
        made.start()
        made.healthy()
        _no_files(made).run(made, result)
        result.check(made.end() == 0, "out of files: SIGTERM did not end with 0")
        result.broken += made.leaks()
    return result


def _full_disk(made: Scene, room: Room | None, data: Path) -> Outage:
    def effect(scene: Scene, result: Found) -> str:
        page, log = scene.metrics(), scene.life.log()
        result.check(page.value(WRITABLE) == 0, f"disk full: {WRITABLE} is not 0")
        # That no request left, pages are served and how often it is said: see the callers.
        times = log.count(UNWRITABLE)
        said = "once" if times == 1 else f"{times} times"
        return f"storage_writable 0, no request leaves, pages served, said {said}"

    if room is not None:
        name = "disk full (ENOSPC, on a tmpfs of its own)"
        return Outage(name, room.fill, room.free, effect)
    limit, name = no_disk(made.life.pid, data), "disk full (as RLIMIT_FSIZE: no mount allowed)"
    return Outage(name, limit.take, limit.give, effect)


def _full_at_the_start(made: Scene, room: Room, result: Found) -> None:
    room.fill()
    state = ("--storage.path", str(room.disk / "new"))
    life = made.launch(
        "--config.file", str(made.config), *LOOPBACK, *state, prelude=room.prelude
    )
    code = life.wait(PATIENCE)
    made.told.append(life.log())
    result.check(code == 1, f"disk full at the start: exit code {code}")
    text = "cannot be written"
    result.check(text in life.log(), f"disk full at the start: said {life.log()!r}")
    row = ("disk full at the start", f"exit code {code}, says that it {text}", "0", "—", "—")
    result.rows.append(row)


def _no_files(made: Scene) -> Outage:
    limit, name = no_descriptors(made.life.pid), "out of file descriptors"
    host, _, port = made.life.addresses[0].rpartition(":")
    client = socket.socket()

    def take() -> None:
        limit.take()
        client.connect((host, int(port)))
        wait_for(lambda: UNACCEPTED in made.life.log(), "what it says of a client", PATIENCE)

    def effect(scene: Scene, result: Found) -> str:
        with client:
            client.settimeout(PATIENCE)
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = client.recv(15)
        result.check(answer == b"HTTP/1.1 200 OK", f"{name}: the client got {answer!r}")
        lines = scene.life.log().count(UNACCEPTED)
        result.check(lines == 1, f"{name}: said {lines} times")
        failed: Counter[str] = Counter()
        for control in CONTROLS:
            counted = scene.failures().get(control, Counter())
            # A token read just before was followed by a socket that could not be had.
            known = bool(counted) and set(counted) <= {"unauthorized", "connect"}
            result.check(known, f"{name}: {control} counted {dict(counted)}")
            failed.update(counted)
        told = ", ".join(f"{reason} ×{count}" for reason, count in sorted(failed.items()))
        return f"no token file can be read: {told}; clients wait and are served, said once"

    title = f"{name} (RLIMIT_NOFILE at once 3)"
    return Outage(title, take, limit.give, effect, blind=True)


# Too many clients, too much memory -------------------------------------------------------


def clients_and_memory(directory: Path, *, strict: bool) -> Found:
    """More clients than files, then the heaviest answer that is still read."""
    directory.mkdir()
    result = Found()
    few = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_FILES},) * 2)\n"
    letter = heavy("\N{GRINNING FACE}")  # makes four bytes of each
    plot = Plot("heavy", {"4001": letter}, {"4001": letter})
    with scene(directory, (plot,), prelude=few, strict=strict) as made:
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
    text = f"{name}: {rounds} requests where {due} were due"
    result.check(enough(rounds, due, strict=made.strict), text)
    refused = made.life.log().count(UNACCEPTED)
    result.check(refused == 0, f"{name}: ran out of files")
    effect = f"the longest idle are closed, {opened} files open, /metrics 200"
    result.rows.append((name, effect, f"{rounds}", f"{rounds} of {due}", "—"))
