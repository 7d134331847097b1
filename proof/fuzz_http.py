"""Raw bytes over real sockets to real exporters, their answers, and what is left of it.

The first byte of an input says which exporter it goes to (`p`: an open one, `g`: one with
users and headers), the second in how large pieces the bytes come (`0`: whole, `1`: a byte at a
time, and by each further digit twice as much, up to 256 bytes).
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import descriptors, resident
from proof.fuzz_driver import CORPUS, Mutator, read_corpus, read_dictionary
from proof.scene import with_exporter
from tests.e2e_support import Life, fetch, wait_for

HASH = "$2b$04$J5IJhBoPeVLCP4f3vyKit.MJiGRvpWWfTMQJ0BAXQg75JQwtlLWGm"  # of wonder
ALICE = "Basic YWxpY2U6d29uZGVy"  # alice:wonder
GUARDED = f"""
basic_auth_users: {{alice: {HASH}}}
http_server_config: {{headers: {{X-Frame-Options: deny}}}}
"""
_STATUSES = frozenset({200, 400, 401, 403, 404, 405, 413, 429, 431, 501, 503, 505})
_HEADERS = frozenset(
    {
        *("date", "content-type", "content-length", "connection", "cache-control", "vary"),
        *("x-content-type-options", "content-security-policy", "referrer-policy"),
        *("x-frame-options", "www-authenticate", "allow", "retry-after", "content-encoding"),
    }
)
_AT_ONCE = 16  # connections open while others are made
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the end of the connection is a reset
_LISTENING = 2  # seconds to wait for an answer to bytes that may deserve none


@dataclass(slots=True)
class Storm:
    """What was tried: connections, how many a second, the size of the process; what broke."""

    connections: int = 0
    rate: float = 0.0
    known: int = 0
    rss: float = 0.0
    broken: list[str] = field(default_factory=list)


def storm(
    seconds: float, seed: int, directory: Path, prelude: str = "", patience: float = 30.0
) -> Storm:
    """Start two exporters, throw bytes at them for so long, and look at what is left.

    `prelude` is Python that breaks them before their start; `patience` are the seconds that
    they have for closing what is still open.
    """
    with contextlib.ExitStack() as stack:
        lives = []
        for name, flags in ((b"p", ()), (b"g", ("--web.config.file", "web.yml"))):
            place = directory / name.decode()
            place.mkdir(parents=True)
            (place / "web.yml").write_text(GUARDED, encoding="utf-8")
            life, api = stack.enter_context(with_exporter(place, *flags, prelude=prelude))
            wait_for(lambda api=api: api.asked, "the first poll")  # type: ignore[misc]
            lives.append(life)
        return _storm(lives, seconds, random.Random(seed), patience)


def _storm(lives: list[Life], seconds: float, rng: random.Random, patience: float) -> Storm:
    known = read_corpus(CORPUS / "http")
    mutator = Mutator(rng, known, read_dictionary(CORPUS / "http.dict"))
    found = Storm(known=len(known))
    before = [descriptors(life.pid)[0] for life in lives]
    began = time.monotonic()
    open_ones: list[socket.socket] = []
    while time.monotonic() - began < seconds or found.connections < len(known):
        count = found.connections
        data = known[count] if count < len(known) else mutator.draw()
        connection, wrong = _try(lives[data[:1] == b"g"], data, rng, patience)
        if wrong:
            found.broken.append(f"connection {count + 1}: {wrong}")
            break
        found.connections += 1
        if connection is not None:
            open_ones.append(connection)
        if len(open_ones) > _AT_ONCE:
            open_ones.pop(rng.randrange(len(open_ones))).close()
    for connection in open_ones:
        connection.close()
    found.rate = found.connections / (time.monotonic() - began)
    for life, files in zip(lives, before, strict=True):
        if life.ended():  # whatever else was seen follows from it
            found.broken = [f"the process ended with code {life.code}: {life.log()[-300:]}"]
            break
        found.broken += _left(life, files, patience)
        found.rss = max(found.rss, resident(life.pid, "VmHWM"))
    return found


def _try(
    life: Life, data: bytes, rng: random.Random, patience: float
) -> tuple[socket.socket | None, str]:
    """One connection, which may stay open, and what was wrong with it."""
    if life.ended():
        return None, "nothing listens any more"
    try:
        return _throw(life.addresses[0], data, rng, patience), ""
    except OSError as error:  # it is dead, or hangs and accepts nothing any more
        return None, f"it was not taken: {error}"
    except (AssertionError, ValueError) as error:
        return None, f"the answer to {data!r} is none: {error!r}"[:1000]


def step_of(size: bytes, length: int) -> int:
    """How many bytes come at once, of so many, for the second byte of an input."""
    step = 2 ** (int(size) - 1) if size.isdigit() and size != b"0" else length
    # Of more than a kilobyte a byte at a time would only be slow.
    return max(step, length // 64, 1)


def _throw(
    address: str, data: bytes, rng: random.Random, patience: float
) -> socket.socket | None:
    """Say it in pieces, and end as clients end: politely, by half, by a reset, or not yet.

    OSError where nothing takes the connection in all that time, AssertionError where what
    comes back is no answer.
    """
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=patience)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(_LISTENING)
    said, step, received = data[2:], step_of(data[1:2], len(data) - 2), None
    with contextlib.suppress(OSError):
        for start in range(0, len(said), step):
            connection.sendall(said[start : start + step])
        match rng.randrange(5):
            case 0 | 1:
                connection.shutdown(socket.SHUT_WR)
                pieces = []
                while piece := connection.recv(65536):
                    pieces.append(piece)
                received = b"".join(pieces)
            case 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            case 3:
                return connection  # held open while others come
            case _:
                pass
    connection.close()
    if received is not None:  # else a reset took some of it away
        check_answers(received, said)
    return None


def check_answers(written: bytes, said: bytes) -> None:
    """Every answer is whole and holds nothing but what the server says by itself."""
    count = 0
    while written:
        head, end, rest = written.partition(b"\r\n\r\n")
        assert end, "an answer is cut off"
        first, *lines = head.decode("ascii").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) [ -~]+", first)
        assert found, first
        assert int(found[1]) in _STATUSES, first
        headers = dict(line.split(": ", 1) for line in lines)
        named = {name.lower() for name in headers}
        assert named <= _HEADERS, f"a foreign header: {named - _HEADERS}"
        size = int(next(headers[name] for name in headers if name.lower() == "content-length"))
        bodiless = b"HEAD" in said and (not rest or rest.startswith(b"HTTP/1.1 "))
        assert bodiless or len(rest) >= size, "an answer is shorter than it says"
        written = rest if bodiless else rest[size:]
        count += 1
    lines_said = said.count(b"\n") + 1
    assert count <= lines_said, f"{count} answers to {lines_said} lines"


def _left(life: Life, before: int, patience: float) -> list[str]:
    """What is wrong with the process afterwards."""
    wrong = []
    try:
        page = fetch(life.addresses[0], "/metrics", Authorization=ALICE)
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
        wait_for(
            lambda: life.ended() or descriptors(life.pid)[0] <= most,
            "closed descriptors", patience,
        )  # fmt: skip
    except AssertionError:
        wrong.append(f"{descriptors(life.pid)[0]} descriptors are open, {before} were before")
    return wrong
