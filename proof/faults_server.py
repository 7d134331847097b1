"""Servers that misbehave on order, one for each operation, and note whatever reaches them.

All live in one thread of their own. What an answer says, and how badly it is sent, is the
business of `faults_catalogue`; here stand the sockets and what goes wrong below HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from exporter.errors import Reason
from tests.e2e_api import found, row

T = TypeVar("T")
GOOD = "good"


class Low(StrEnum):
    """What goes wrong before a request can be read; some are names of certificates too."""

    REFUSED = "refused"
    SILENT = "silent"
    RESET = "reset"
    CLOSED = "closed"
    HANDSHAKE = "handshake"
    EXPIRED = "expired"
    STRANGER = "stranger"
    UNKNOWN = "unknown"
    NAME = "name"

    @property
    def tls(self) -> bool:
        """Whether it needs a server that speaks TLS."""
        return self in {Low.HANDSHAKE, Low.EXPIRED, Low.STRANGER, Low.UNKNOWN, Low.NAME}

    @property
    def unseen(self) -> bool:
        """Whether the server sees nothing of a try."""
        return self in {Low.REFUSED, Low.SILENT, Low.NAME}


@dataclass(slots=True)
class Exchange:
    """One request that was read, and the means to answer it."""

    place: Place
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes; raises ConnectionError where nobody takes them any more."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection by RST."""
        linger = struct.pack("ii", 1, 0)
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Act = Callable[[Exchange], Awaitable[bool]]
"""Answers a request; whether the connection lives on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail: below HTTP (`low`), or by what is done with a request (`act`).

    `reason` is what the exporter must call it, None where the contract says success; `also`
    what it may call it as well, where that hangs on a race in the kernel; `large` is what an
    answer may take in MiB: its cap twice, as it comes and as it is read, and more for letters
    that Python holds in four bytes.
    """

    name: str
    reason: Reason | None
    act: Act | None = None
    low: Low | None = None
    also: Reason | None = None
    large: float = 0.0

    @property
    def pauses(self) -> bool:
        """Whether the operation as a whole holds still."""
        return self.reason in {Reason.QUOTA, Reason.UNAUTHORIZED}

    @property
    def slow(self) -> bool:
        """Whether only a deadline ends it."""
        return self.reason is Reason.TIMEOUT or self.low is Low.SILENT


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, or one connection that could not bring any; `at` is epoch time.

    `until` is the request's own `date_end`: when the exporter began it, in whole seconds.
    """

    at: float
    until: str
    skill: str
    token: str
    fault: Fault | None

    @property
    def begun(self) -> float:
        """`until` as epoch time; what arrived late was still begun early."""
        if not self.until:
            return self.at
        return datetime.strptime(self.until, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


async def good(exchange: Exchange) -> bool:
    """Answer well."""
    await exchange.send(found(row()).wire())
    return True


@dataclass(slots=True)
class Place:
    """One server on loopback, of one operation; `faults` by skill, none where it is well."""

    name: str
    contexts: Mapping[str, ssl.SSLContext]
    host: str = "127.0.0.1"
    port: int = 0
    faults: Mapping[str, Fault] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    connections: int = 0
    most_sent: int = 0
    """The most bytes that one answer without an end brought through."""
    _server: asyncio.Server | None = None
    _silent: list[socket.socket] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "https" if self.contexts else "http"
        return f"{scheme}://{self.host}:{self.port}/{self.name}/api/v2/"

    def of(self, skill: str, since: float = 0.0, until: float = 9e9) -> list[Visit]:
        """The visits for a skill that began within a time."""
        return [one for one in self.visits if one.skill == skill and since <= one.at < until]

    def _low(self) -> Low | None:
        return next((fault.low for fault in self.faults.values() if fault.low), None)

    def _note(self, query: Mapping[str, str], token: str, fault: Fault | None) -> None:
        until, skill = query.get("date_end", ""), query.get("skill_id", "")
        self.visits.append(Visit(time.time(), until, skill, token, fault))

    async def open(self) -> None:
        """Listen, on the same port as ever."""
        for listener in self._silent:
            listener.close()
        self._silent.clear()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=64
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self._drop()

    async def become(self, faults: Mapping[str, Fault]) -> None:
        """Misbehave like this from now on; nothing means well."""
        before, self.faults = self._low(), faults
        low = self._low()
        if before in {Low.REFUSED, Low.SILENT}:
            await self.close()
            await self.open()
        if low in {Low.REFUSED, Low.SILENT}:
            await self.close()
        if low is Low.SILENT:
            self._deaf()
        if low is not None:
            self._drop()

    def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _deaf(self) -> None:
        """A listener whose queue is full: the kernel drops what else wants to connect."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._silent.append(listener)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._silent.append(filler)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        try:
            if await self._greet(Exchange(self, reader, writer)):
                while await self._answer(Exchange(self, reader, writer)):
                    pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away
        finally:
            self._open.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _greet(self, exchange: Exchange) -> bool:
        """What happens before the first request; whether one may come."""
        low = self._low()
        if low is not None:
            skill, fault = next(iter(self.faults.items()))
            self._note({"skill_id": skill}, "", fault)
        if low in {Low.RESET, Low.CLOSED}:
            if low is Low.RESET:
                exchange.reset()
            return False
        if self.contexts:
            if low is Low.HANDSHAKE:
                await exchange.reader.read(1)
                exchange.reset()
                return False
            writer, before = exchange.writer, exchange.writer.transport
            with contextlib.suppress(
                AttributeError
            ):  # CPython, where the client went meanwhile
                await writer.start_tls(self.contexts.get(low or GOOD, self.contexts[GOOD]))
            if writer.transport is None:
                writer._transport = before  # else close() breaks
                return False
        return True

    async def _answer(self, exchange: Exchange) -> bool:
        head = await exchange.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2] for line in lines}
        query = dict(parse_qsl(urlsplit(first.split(" ")[1]).query))
        fault = self.faults.get(query.get("skill_id", ""))
        self._note(query, headers.get("wolkvox-token", "").strip(), fault)
        act = fault.act if fault is not None and fault.act is not None else good
        return await act(exchange)


class Servers:
    """The places of a run and the thread in which they live."""

    def __init__(self, contexts: Mapping[str, ssl.SSLContext]) -> None:
        self._contexts = contexts
        self._loop = asyncio.new_event_loop()
        # Aborted handshakes and writes into closed connections are what is wanted here.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty servers")
        self.places: list[Place] = []

    @contextlib.contextmanager
    def run(self) -> Iterator[Servers]:
        """Serve until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self.do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def place(self, name: str, *, tls: bool = False, host: str = "127.0.0.1") -> Place:
        """Open one more; `host` is what its URL says."""
        place = Place(name, self._contexts if tls else {}, host)
        self.do(place.open())
        self.places.append(place)
        return place

    def become(self, faults: Mapping[str, Mapping[str, Fault]]) -> None:
        """Let every place misbehave as its name says; those not named are well."""
        self.do(self._become(faults))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread of the servers."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _become(self, faults: Mapping[str, Mapping[str, Fault]]) -> None:
        for place in self.places:
            await place.become(faults.get(place.name, {}))

    async def _end(self) -> None:
        for place in self.places:
            await place.become({})
            await place.close()
        mine = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not mine]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
