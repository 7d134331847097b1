"""The load generator, a process of its own: raw sockets, and as little work as possible.

It reads answers into one buffer and looks at nothing but their heads. Its own share of a
core is part of what it tells: where that comes near 1, the generator was measured.
"""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.processes import LOOPBACK, PATIENCE, BenchError, environment, python

_BUFFER = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask: for so many seconds, over so many connections, `pause` apart."""

    port: int
    gzip: bool
    seconds: float
    connections: int = 1
    pause: float = 0.0
    fewest: int = 5  # requests, however long they take

    def request(self) -> bytes:
        """The request as it goes over the wire."""
        encoding = "gzip" if self.gzip else "identity"
        return (
            f"GET /metrics HTTP/1.1\r\nHost: {LOOPBACK}:{self.port}\r\n"
            f"Accept: text/plain;version=0.0.4\r\nAccept-Encoding: {encoding}\r\n\r\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it; times in seconds, `own_cpu` of the generator in processor seconds."""

    times: Sequence[float]
    elapsed: float
    body_bytes: int
    own_cpu: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.times) / self.elapsed

    @property
    def own_share(self) -> float:
        """What the generator took of a core."""
        return self.own_cpu / self.elapsed


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def pooled(loads: Sequence[Load]) -> Load:
    """Several rounds as one."""
    return Load(
        [seconds for one in loads for seconds in one.times],
        sum(one.elapsed for one in loads),
        loads[-1].body_bytes,
        sum(one.own_cpu for one in loads),
    )


def load(order: Order, directory: Path) -> Load:
    """Run the generator in a process of its own; raises BenchError where it fails."""
    done = subprocess.run(
        python("-m", "benchmarks.load", json.dumps(asdict(order))),
        capture_output=True,
        env=environment(directory),
        timeout=order.seconds + PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(done.stderr.decode(errors="replace")[-500:])
    return Load(**json.loads(done.stdout))


def client(order: Order) -> tuple[list[float], int]:
    """Ask again and again, one request after the other; the times, and the last size.

    The socket blocks, and is opened again where the server closes it.
    """
    request, view = order.request(), memoryview(bytearray(_BUFFER))
    times: list[float] = []
    connection, size, stays = socket.socket(), 0, False
    until = time.perf_counter() + order.seconds
    while time.perf_counter() < until or len(times) < order.fewest:
        if order.pause:
            time.sleep(order.pause)
        before = time.perf_counter()
        if not stays:
            connection.close()
            connection = socket.create_connection((LOOPBACK, order.port), PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        size, stays = receive(connection, view)
        times.append(round(time.perf_counter() - before, 7))
    connection.close()
    return times, size


def receive(connection: socket.socket, view: memoryview) -> tuple[int, bool]:
    """Read one answer: the size of its body, and whether the connection stays open."""

    def some(place: memoryview) -> int:
        if not (received := connection.recv_into(place)):
            raise BenchError("the server closed the connection amid an answer")
        return received

    got, ends = 0, -1
    while ends < 0:
        got += some(view[got:])
        ends = bytes(view[: min(got, 4096)]).find(b"\r\n\r\n")
    head = bytes(view[: ends + 2])
    length = _LENGTH.search(head)
    if b" 200 " not in head[:20] or length is None:
        raise BenchError(f"not an answer to measure: {head[:200]!r}")
    left = int(length[1]) - (got - ends - 4)
    while left > 0:
        left -= some(view)
    return int(length[1]), head.startswith(b"HTTP/1.1") and _CLOSE.search(head) is None


def generate(order: Order) -> Load:
    """Do what is ordered, in this process."""
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(order.connections) as pool:
        found = list(pool.map(client, [order] * order.connections))
    elapsed = time.perf_counter() - began
    times = [seconds for times, _ in found for seconds in times]
    return Load(times, elapsed, found[0][1], time.process_time() - cpu)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(generate(Order(**json.loads(sys.argv[1]))))))
