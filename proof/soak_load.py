"""The real minutes' load: twenty operations, some of which fail now and then, and scrapes."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e_api import Api, Asked, Reply, found, refused, row
from tests.e2e_support import PATIENCE, TOKEN, operation

OPERATIONS = 20
FAILING = {
    "op15": "errors 500",
    "op16": "connections that are closed without an answer",
    "op17": "pages that are no JSON",
    "op18": "connections that are refused",
    "op19": "answers after the time is over",
}
_COUNTERS = (b"wolkvox_skill_offered", b"wolkvox_skill_answer_wait", b"wolkvox_skill_abandon_w")


class Centre:
    """The script: totals that grow, failures by turns, and how many asked at once."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.most_at_once = 0
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._asked: Counter[tuple[str, str]] = Counter()
        self._at_once: Counter[str] = Counter()
        self.api = Api(self)
        # Bound, and never listening: nobody else gets the port, and connections are refused.
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))

    def __call__(self, asked: Asked) -> Reply:
        """Answer, and keep nothing of it."""
        with self._lock:
            self.requests += 1
            query = (asked.operation, asked.skill)
            self._asked[query] += 1
            number = self._asked[query]
            self._at_once[asked.token] += 1
            # A server that is late does not see that nobody waits for it any more.
            if not FAILING.get(asked.operation, "").endswith("over"):
                self.most_at_once = max(self.most_at_once, self._at_once[asked.token])
            self.api.asked.clear()
        try:
            return self._answer(asked.operation, number)
        finally:
            with self._lock:
                self._at_once[asked.token] -= 1

    def close(self) -> None:
        """Give the port that refuses connections free."""
        self._closed.close()

    def most_a_query(self) -> int:
        """The requests of the query that was asked most often."""
        with self._lock:
            return max(self._asked.values(), default=0)

    def yaml(self, *, changed: bool) -> list[str]:
        """The operations; a changed configuration has other names and one more."""
        entries = []
        for number in range(OPERATIONS + changed):
            name, token = f"op{number}", f"{TOKEN}{number:02}"
            url = self.api.url(name)
            keys = {"stale_after": "1m"}
            if FAILING.get(name, "").endswith("refused"):
                url = f"http://127.0.0.1:{self._closed.getsockname()[1]}/{name}/api/v2/"
            if FAILING.get(name, "").endswith("over"):
                keys["timeout"] = "1s"
            if changed and number % 5 == 0:
                keys["labels"] = "{changed: 'yes'}"
            entries.append(operation(url, "4173", "4190", name=name, token=token, **keys))
        return entries

    def _answer(self, name: str, number: int) -> Reply:
        way = FAILING.get(name)
        if way and number % 3:
            self.failures += 1
            if name == "op15":
                return refused("PLEASE TRY AGAIN LATER", 500)
            if name == "op16":
                return Reply(raw=b"")
            if name == "op17":
                return Reply(b"<html>maintenance</html>")
            self.api.closing.wait(1.5)
        total = 1000 + int((time.monotonic() - self._begun) * 3)
        return found(row("inbound", total), row("chat-web", total // 2), row("omni-email", 40))


@dataclass
class Scraper:
    """Prometheus and a browser: a new connection for each page, compressed by turns."""

    address: str
    pages: int = 0
    packed: int = 0
    fallen: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    _highest: dict[bytes, float] = field(default_factory=dict)

    def scrape(self) -> None:
        """Read the metrics once and compare the counters."""
        packed = self.pages % 2 == 1
        status, body = self.get("/metrics", "gzip" if packed else "identity")
        self.pages += 1
        if status != 200:
            self.refused += 1
            return
        if body[:2] == b"\x1f\x8b":
            self.packed += 1
            body = gzip.decompress(body)
        for line in body.splitlines():
            if line.startswith(_COUNTERS):
                key, _, number = line.rpartition(b" ")
                if float(number) < self._highest.get(key, 0.0):
                    self.fallen += 1
                    self.problems.append(f"{key.decode()} fell to {float(number):g}")
                self._highest[key] = float(number)

    def get(self, path: str, encoding: str = "identity") -> tuple[int, bytes]:
        """One page over a connection of its own."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": encoding})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
