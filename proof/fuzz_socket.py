"""Raw bytes over real sockets to a real exporter, and what is left of it afterwards."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import descriptors, resident
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
    before, _ = descriptors(life.pid)
    began = time.monotonic()
    count = 0
    open_ones: list[socket.socket] = []
    shut: list[str] = []
    while not life.ended() and (count < 100 or time.monotonic() - began < seconds):
        try:
            connection = _throw(life.addresses[0], mutator.draw(), rng, patience)
        except OSError as error:  # it is dead, or hangs and takes nobody any more
            shut.append(f"connection {count + 1} was not taken: {error}")
            break
        count += 1
        if connection is not None:
            open_ones.append(connection)
        if len(open_ones) > _AT_ONCE:
            open_ones.pop(rng.randrange(len(open_ones))).close()
    for connection in open_ones:
        connection.close()
    rate = count / (time.monotonic() - began)
    wrong = [*shut, *_left(life, before, patience)]
    most = _peak(life)
    if life.ended():  # whatever else was seen follows from it
        wrong = [f"the process ended with code {life.code}: {life.log()[-300:]}"]
    return Storm(count, rate, len(known), most, tuple(f"sockets: {text}" for text in wrong))


def _throw(
    address: str, data: bytes, rng: random.Random, patience: float
) -> socket.socket | None:
    """Say it in pieces, and end as clients end: politely, by half, by a reset, or not yet.

    OSError where nobody takes the connection in all that time.
    """
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=patience)
    connection.settimeout(_LISTENING)
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
    wrong = []
    try:
        page = fetch(life.addresses[0], "/metrics")
    except (OSError, http.client.HTTPException) as error:
        wrong.append(f"a scrape is not answered: {error!r}")
    else:
        if page.status != 200 or "wolkvox_up{" not in page.text:
            wrong.append(f"a scrape is answered {page.status}")
    if "Traceback" in life.log():
        at = life.log().index("Traceback")
        wrong.append(f"a traceback is in the log: …{life.log()[at:][-300:]}")
    # Answering one scrape, or asking the API, takes a descriptor for a moment.
    most = before + 1
    try:
        wait_for(lambda: life.ended() or _open(life) <= most, "closed descriptors", patience)
    except AssertionError:
        wrong.append(f"{_open(life)} descriptors are open, {before} were before")
    return wrong


def _open(life: Life) -> int:
    """The files that it has open; none where it has just ended."""
    with contextlib.suppress(OSError):
        return descriptors(life.pid)[0]
    return 0


def _peak(life: Life) -> float:
    """Its most resident memory ever, in MiB; 0 where it has ended."""
    with contextlib.suppress(OSError):
        return resident(life.pid, "VmHWM")
    return 0.0
