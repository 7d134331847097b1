"""An API that a test scripts, on a real socket; it knows no rule of the real one.

It notes every request with its time: the witness of what left the exporter and when.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the API saw it; `at` is epoch time, `number` counts from 0."""

    number: int
    at: float
    path: str
    query: Mapping[str, str]
    token: str

    @property
    def operation(self) -> str:
        """The first part of the path: each operation of a test has its own."""
        return self.path.split("/")[1]

    @property
    def skill(self) -> str:
        """The skill asked for."""
        return self.query.get("skill_id", "")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `raw` replaces all of it by bytes, after which the connection is closed.

    `drip` is a pause in seconds after each byte, until somebody gives up.
    """

    body: bytes = b""
    status: int = 200
    headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)
    raw: bytes | None = None
    drip: float = 0.0

    def wire(self) -> bytes:
        """The answer as it goes over the wire."""
        if self.raw is not None:
            return self.raw
        length = ("Content-Length", str(len(self.body)))
        lines = [f"{name}: {value}" for name, value in (*self.headers, length)]
        head = "\r\n".join([f"HTTP/1.1 {self.status} Such", *lines, "", ""])
        return head.encode("latin-1") + self.body


class Script(Protocol):
    """What the API answers; may wait for `api.closing` to answer never."""

    def __call__(self, asked: Asked) -> Reply: ...


@dataclass
class Api:
    """A server that answers as a script says, and notes every request."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    connections: set[socket.socket] = field(default_factory=set)
    address: str = ""

    def url(self, operation: str = "acme") -> str:
        """The base URL of an operation."""
        return f"http://{self.address}/{operation}/api/v2/"

    def of(self, operation: str, skill: str) -> list[Asked]:
        """The requests of one query."""
        return [one for one in self.asked if (one.operation, one.skill) == (operation, skill)]

    @contextlib.contextmanager
    def run(self) -> Iterator[Api]:
        """Serve on a free port of loopback."""
        with _Server(("127.0.0.1", 0), _Handler) as server:
            server.api = self
            self.address = f"127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                self.closing.set()
                server.shutdown()
                thread.join()
                for connection in list(self.connections):
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


Serve = Callable[[Script], Api]


class _Server(socketserver.ThreadingTCPServer):
    api: Api
    request_queue_size = 256
    lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.api.connections.add(self.connection)

    def finish(self) -> None:
        self.server.api.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        api, parts = self.server.api, urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        token = self.headers.get("wolkvox-token", "")
        with self.server.lock:
            asked = Asked(len(api.asked), time.time(), parts.path, query, token)
            api.asked.append(asked)
        reply = api.script(asked)
        if api.closing.is_set() or reply.raw is not None:
            self.close_connection = True
        if not reply.drip:
            self.wfile.write(reply.wire())
            return
        for byte in reply.wire():
            self.wfile.write(bytes([byte]))
            if api.closing.wait(reply.drip):
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def row(channel: str = "inbound", inbound: int = 100, **more: str) -> dict[str, str]:
    """A row as the API writes it: of the inbound four in five answered, three within 20 s."""
    answered = inbound * 4 // 5
    share = f"{100 * (inbound * 3 // 5) / inbound:.2f} %" if inbound else "0 %"
    figures = {
        "type_interaction": channel,
        "inbound_calls": str(inbound),
        "answer_calls": str(answered),
        "abandon_calls": str(inbound - answered),
        "service_level_10seg": "40.00 %",
        "service_level_20seg": share,
        "service_level_30seg": share,
        "abandon": "20.00 %",
        "asa": "12",
        "ata": "30",
    }
    return figures | more


def found(*rows: Mapping[str, str]) -> Reply:
    """A good answer."""
    text = f"{len(rows)} records were found"
    data = {"code": 200, "error": None, "msg": text, "data": rows}
    return Reply(json.dumps(data, ensure_ascii=False).encode())


def refused(msg: str, status: int = 403) -> Reply:
    """An error as the API writes it."""
    body = {"code": str(status), "error": "FORBIDDEN", "msg": msg}
    return Reply(json.dumps(body).encode(), status)
