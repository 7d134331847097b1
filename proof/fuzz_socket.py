"""Raw bytes over real sockets to a real exporter, and what is left of it afterwards."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proof.fuzz_mutate import Mutator, read_corpus, read_dictionary
from proof.fuzz_target import corpus, dictionary
from tests.e2e_api import Api, Asked, Reply, found, row
from tests.e2e_support import Launch, Life, Nursery, fetch, operation, wait_for, write_config

_AT_ONCE = 16  # connections open while others are made
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the end of the connection is a reset
_LISTENING = 2  # seconds to wait for an answer to bytes that may deserve none


@dataclass(frozen=True, slots=True)
class Storm:
    """What was tried: connections, how many a second, the size of the process; what broke."""

    connections: int
    rate: float
    known: int
    rss: float
    broken: tuple[str, ...]


def storm(
    seconds: float, seed: int, directory: Path, prelude: str = "", patience: float = 30.0
) -> Storm:
    """Start an exporter, throw bytes at it for so long, and look at what is left.

    `prelude` is Python that breaks it before its start; `patience` are the seconds that it
    has for closing what is still open.
    """
    directory.mkdir()
    nursery = Nursery()
    launch = Launch(nursery, directory)
    try:
        with Api(_answer).run() as api:
            config = write_config(directory, operation(api.url()))
            life = launch.serve(config, prelude=prelude)
            wait_for(lambda: "wolkvox_up{" in life.get("/metrics").text, "the first poll")
            return _storm(life, seconds, random.Random(seed), patience)
    finally:
        launch.close()
        nursery.close()


def _answer(asked: Asked) -> Reply:
    return found(row("inbound"))


def _storm(life: Life, seconds: float, rng: random.Random, patience: float) -> Storm:
    known = [one[2:] for one in read_corpus(corpus("http"))]
    mutator = Mutator(rng, known, read_dictionary(dictionary("http")))
    before = descriptors(life.pid)
    began = time.monotonic()
    count = 0
    open_ones: list[socket.socket] = []
    while not life.ended() and (count < 100 or time.monotonic() - began < seconds):
        connection = _throw(life.addresses[0], mutator.draw(), rng)
        count += 1
        if connection is not None:
            open_ones.append(connection)
        if len(open_ones) > _AT_ONCE:
            open_ones.pop(rng.randrange(len(open_ones))).close()
    for connection in open_ones:
        connection.close()
    rate = count / (time.monotonic() - began)
    broken = tuple(f"sockets: {text}" for text in _left(life, before, patience))
    return Storm(count, rate, len(known), 0.0 if life.ended() else rss(life.pid), broken)


def _throw(address: str, data: bytes, rng: random.Random) -> socket.socket | None:
    """Say it in pieces, and end as clients end: politely, by half, by a reset, or not yet."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=_LISTENING)
    with contextlib.suppress(OSError):
        cut = rng.randrange(len(data) + 1)
        connection.sendall(data[:cut])
        connection.sendall(data[cut:])
        match rng.randrange(5):
            case 0:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            case 1:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            case 2:
                return connection  # held open while others come
            case _:
                pass
    connection.close()
    return None


def _left(life: Life, before: int, patience: float) -> list[str]:
    """What is wrong with the process afterwards."""
    if life.ended():
        return [f"the process ended with code {life.code}: {life.log()[-300:]}"]
    wrong = []
    page = fetch(life.addresses[0], "/metrics")
    if page.status != 200 or "wolkvox_up{" not in page.text:
        wrong.append(f"a scrape is answered {page.status}")
    if "Traceback" in life.log():
        at = life.log().index("Traceback")
        wrong.append(f"a traceback is in the log: …{life.log()[at:][-300:]}")
    # Answering one scrape, or asking the API, takes a descriptor for a moment.
    if not _comes_true(lambda: descriptors(life.pid) <= before + 1, patience):
        wrong.append(f"{descriptors(life.pid)} descriptors are open, {before} were before")
    return wrong


def _comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descriptors(pid: int) -> int:
    """The files that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def rss(pid: int) -> float:
    """Its most resident memory ever, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
