"""What the tests of the web share: pages of ten lines, a running server, a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.config import Configuration
from exporter.web.app import App
from exporter.web.asgi import ASGIApp
from exporter.web.listen import bind
from exporter.web.server import HttpServer, Limits
from exporter.web.tls import TlsPolicy
from tests.needs import run

PATIENCE = 30.0  # seconds: far above what is expected, for a machine that is busy
# No time-out but the pause after a refusal ends anything while a test looks.
CALM = Limits(
    request_timeout=600.0, idle_timeout=600.0, write_timeout=600.0, handshake_timeout=600.0
)
QUICK = Limits(
    request_timeout=0.2,
    idle_timeout=0.5,
    write_timeout=0.2,
    handshake_timeout=0.5,
    linger=0.05,
    shutdown_timeout=0.2,
)


@dataclass
class FakePages:
    """Ready bytes; counts nothing, waits for nothing."""

    body: bytes = b"up 1\n"
    alive: bool = True
    polled: bool = True
    reason: str | None = None
    reloads: int = 0
    configuration: Configuration = field(default_factory=lambda: Configuration(()))
    asked: list[str] = field(default_factory=list)

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        self.asked.append(("openmetrics" if openmetrics else "text") + " gzip" * gzip)
        return self.body

    def landing(self, accept_language: str | None, asked: str, operation: str) -> bytes:
        return f"<html lang={asked or accept_language}>{operation}".encode()

    async def reload(self) -> str | None:
        self.reloads += 1
        return self.reason


def create_app(pages: FakePages, **settings: Any) -> App:
    """The application over pages that are all ready."""
    return App(
        pages.metrics,
        pages.landing,
        lambda: pages.configuration,
        lambda: pages.alive,
        lambda: pages.polled,
        pages.reload,
        **settings,
    )


@dataclass(frozen=True)
class Answer:
    """One answer of the server, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, *, head: bool = False) -> Answer:
        """The next answer on the connection; `head`: one without its body."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = raw.decode("latin-1").rstrip().split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            size = 0 if head else int(headers["content-length"])
            return Answer(int(status.split()[1]), headers, await self.reader.readexactly(size))

    async def ask(self, request: bytes, *, head: bool = False) -> Answer:
        self.send(request)
        return await self.receive(head=head)

    async def get(self, path: str, *lines: str) -> Answer:
        return await self.ask(request("GET", path, *lines))

    async def closed(self, seconds: float = PATIENCE) -> bool:
        """Whether the server ends the connection in that time, saying nothing more."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read() == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def request(method: str, path: str, *lines: str) -> bytes:
    """A request's bytes."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode(
        "latin-1"
    )


class Running:
    """A server that runs, and connections to it."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.failed_handshakes = 0
        self.server = server
        self.port = port
        self._stack = contextlib.AsyncExitStack()

    async def connect(
        self, tls: ssl.SSLContext | None = None, *, small_window: bool = False
    ) -> Client:
        limit = 1024 if small_window else 2**16
        hostname = None if tls is None else "localhost"
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, limit=limit, server_hostname=hostname
        )
        self._stack.push_async_callback(_close, writer)
        return Client(reader, writer)

    async def close_clients(self) -> None:
        await self._stack.aclose()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(2):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp | None = None,
    *,
    limits: Limits = CALM,
    tls: Callable[[], TlsPolicy | None] = lambda: None,
) -> AsyncIterator[Running]:
    """A server on a free port of loopback, until the end of the block."""
    sockets = bind(["127.0.0.1:0"])
    port = sockets[0].getsockname()[1]

    def failed() -> None:
        made.failed_handshakes += 1

    app = app or create_app(FakePages())
    server = HttpServer(app, sockets, limits=limits, tls=tls, handshake_failed=failed)
    made = Running(server, port)
    serving = asyncio.create_task(server.serve())
    try:
        yield made
    finally:
        await made.close_clients()
        server.stop()
        await asyncio.wait_for(serving, PATIENCE)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str, *names: str, issuer: Pair | None = None) -> Pair:
    """A certificate for these alternative names, by its own or an issuer's signature."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    command = [
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-out", str(pair.cert)),
        *("-keyout", str(pair.key)),
    ]
    if issuer is not None:
        command += ["-CA", str(issuer.cert), "-CAkey", str(issuer.key)]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    if names:
        command += ["-addext", f"subjectAltName={','.join(names)}"]
    run("openssl", *command).check_returncode()
    return pair


def trusting(pair: Pair, client: Pair | None = None) -> ssl.SSLContext:
    """A client's context that trusts this certificate, and may show one of its own."""
    context = ssl.create_default_context(cafile=str(pair.cert))
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context
