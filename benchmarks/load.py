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
import threading
import time
from collections.abc import Sequence
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
    path: str = "/metrics"
    fewest: int = 5  # requests, however long they take

    def request(self) -> bytes:
        """The request as it goes over the wire."""
        encoding = "gzip" if self.gzip else "identity"
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {LOOPBACK}:{self.port}\r\n"
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
    def requests(self) -> int:
        """How many were answered."""
        return len(self.times)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.elapsed

    @property
    def own_share(self) -> float:
        """What the generator took of a core."""
        return self.own_cpu / self.elapsed

    def percentile(self, share: float) -> float:
        """Seconds that so large a share of the requests did not exceed."""
        return percentile(self.times, share)


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


class _Connection:
    """One client: a blocking socket that is opened again where the server closes it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._request = order.request()
        self._view = memoryview(bytearray(_BUFFER))
        self._socket: socket.socket | None = None
        self.times: list[float] = []
        self.body_bytes = 0

    def run(self, until: float) -> None:
        """Ask again and again, one request after the other."""
        while time.perf_counter() < until or len(self.times) < self._order.fewest:
            if self._order.pause:
                time.sleep(self._order.pause)
            before = time.perf_counter()
            self._ask()
            self.times.append(time.perf_counter() - before)
        if self._socket is not None:
            self._socket.close()

    def _ask(self) -> None:
        if self._socket is None:
            self._socket = socket.create_connection((LOOPBACK, self._order.port), PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._request)
        if not self._receive(self._socket):
            self._socket.close()
            self._socket = None

    def _receive(self, connection: socket.socket) -> bool:
        """Read one answer; whether the connection stays open."""
        got, ends = 0, -1
        while ends < 0:
            got += _some(connection.recv_into(self._view[got:]))
            ends = bytes(self._view[: min(got, 4096)]).find(b"\r\n\r\n")
        head = bytes(self._view[: ends + 2])
        length = _LENGTH.search(head)
        if b" 200 " not in head[:20] or length is None:
            raise BenchError(f"not an answer to measure: {head[:200]!r}")
        self.body_bytes = int(length[1])
        left = self.body_bytes - (got - ends - 4)
        while left > 0:
            left -= _some(connection.recv_into(self._view))
        return head.startswith(b"HTTP/1.1") and _CLOSE.search(head) is None


def _some(received: int) -> int:
    if not received:
        raise BenchError("the server closed the connection amid an answer")
    return received


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def generate(order: Order) -> Load:
    """Do what is ordered, in this process."""
    connections = [_Connection(order) for _ in range(order.connections)]
    began, cpu = time.perf_counter(), time.process_time()
    until = began + order.seconds
    threads = [threading.Thread(target=one.run, args=(until,)) for one in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    return Load(
        [round(seconds, 7) for one in connections for seconds in one.times],
        elapsed,
        connections[0].body_bytes,
        time.process_time() - cpu,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(generate(Order(**json.loads(sys.argv[1]))))))
