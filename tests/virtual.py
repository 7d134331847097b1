"""Virtual time: days of polling in seconds, with the real loops, state file and simulator.

`VirtualLoop` is an asyncio loop whose clock jumps to the next timer when nothing else is
to do, so that asyncio's own sleeps and time-outs pass at once and in order.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.config import Configuration, Operation, load
from exporter.errors import ConfigError, Problem
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.page import MetricsPage
from exporter.operations import Operations
from exporter.runtime import Clock
from exporter.state.locks import TokenGate
from exporter.state.storage import State, Storage
from exporter.wolkvox.client import WolkvoxClient
from tests import e2e_api

T = TypeVar("T")
_SHORTEST = 1e-6  # seconds; asyncio's resolution is a thousandth of it


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: tells the loop to jump instead."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0 if timeout is None or timeout > 0 else timeout)
        if not events and timeout is None:
            return super().select(0.01)  # no timer at all: something real must happen
        if not events and timeout:
            self.jump(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual; it begins at 0."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.jump = self._jump
        self._virtual = 0.0
        super().__init__(selector)

    def _jump(self, seconds: float) -> None:
        self._virtual += seconds

    def time(self) -> float:
        return self._virtual


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@dataclass(slots=True)
class VirtualWorld:
    """The wall clock of a virtual loop: a start, which a test may move (`shift`)."""

    start: datetime
    shift: timedelta = timedelta()

    def now(self) -> datetime:
        """The virtual moment, in UTC."""
        passed = timedelta(seconds=asyncio.get_running_loop().time())
        return self.start.astimezone(UTC) + passed + self.shift

    def clock(self) -> Clock:
        """The clock that the exporter gets."""
        return Clock(self.now, lambda: asyncio.get_running_loop().time(), _sleep)


async def _sleep(seconds: float) -> None:
    """Sleep as long as time is seen to pass: no clock stands still, but this one would.

    asyncio runs what is due within its resolution at once, without a jump: whoever waits for
    the rounding error of a sum would wait for ever.
    """
    await asyncio.sleep(max(seconds, _SHORTEST) if seconds > 0 else seconds)


@dataclass(slots=True)
class Exporter:
    """A running exporter in virtual time, without its HTTP server."""

    operations: Operations
    page: MetricsPage
    telemetry: ExporterTelemetry
    storage: Storage
    refuse: set[str]
    """Operations whose client cannot be made (a proxy that cannot be used)."""

    def samples(self, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a name whose labels include `labels`, by their sorted labels."""
        found = {}
        for family in text_string_to_metric_families(self.page.render().decode()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one sample that matches, None where there is none."""
        found = list(self.samples(name, **labels).values())
        assert len(found) <= 1, f"{name} {labels}: {len(found)} samples"
        return found[0] if found else None


@asynccontextmanager
async def exporter(
    configuration: Configuration,
    directory: Path,
    world: VirtualWorld,
    transport: httpx.AsyncBaseTransport,
    seed: int = 1,
) -> AsyncIterator[Exporter]:
    """Run the poll loops of a configuration; leaving ends them as a SIGTERM would."""
    clock = world.clock()
    storage = Storage.open(directory, clock.epoch)
    page = MetricsPage(clock.epoch)
    telemetry = ExporterTelemetry(page, "0.0.0", "", clock.epoch())

    refuse: set[str] = set()

    def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
        if operation.name in refuse:
            raise ConfigError([Problem("proxy", "cannot be used")])
        url, timeout = operation.base_url, operation.timeout
        return WolkvoxClient(url, lambda: transport, timeout=timeout, monotonic=clock.monotonic)

    try:
        async with asyncio.TaskGroup() as group:
            operations = Operations(
                group,
                clock=clock,
                rng=random.Random(seed),
                state=State(storage),
                gate=TokenGate(directory, clock),
                page=page,
                storage_writable=telemetry.storage,
                connect=connect,
            )
            await operations.apply(configuration)
            try:
                yield Exporter(operations, page, telemetry, storage, refuse)
            finally:
                operations.stop()
    finally:
        storage.close()


def configuration(
    directory: Path, text: str, tokens: Sequence[str] = ("canary",)
) -> Configuration:
    """Load YAML in which `{token0}`, `{token1}` … stand for the paths of token files."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, token in enumerate(tokens):
        path = directory / f"token{number}"
        path.touch(mode=0o600)
        path.write_text(token, encoding="utf-8")
        text = text.replace(f"{{token{number}}}", str(path))
    file = directory / "wolkvox.yml"
    file.write_text(text, encoding="utf-8")
    return load([file], {})


Answer = Callable[["Seen"], Awaitable[httpx.Response] | httpx.Response]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the scripted API saw it.

    `at` is the world's epoch time, which a test may shift; `monotonic` is never shifted.
    """

    at: float
    url: httpx.URL
    token: str
    monotonic: float = 0.0
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def report(self) -> str:
        return self.params.get("api", "")

    @property
    def skill(self) -> str:
        return self.params.get("skill_id", "")

    @property
    def window(self) -> tuple[str, str]:
        return self.params.get("date_ini", ""), self.params.get("date_end", "")


@dataclass(slots=True)
class ScriptedApi(httpx.AsyncBaseTransport):
    """An API that a test scripts: takes `seconds` a request and notes every one.

    `answer` gets the request and returns the response or raises an httpx error;
    `connecting` gives the seconds before a request can leave.
    """

    world: VirtualWorld
    answer: Answer
    seconds: float = 0.5
    connecting: Callable[[], float] = float
    seen: list[Seen] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    most_in_flight: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["wolkvox-token"]
        if delay := self.connecting():
            await asyncio.sleep(delay)
        monotonic = asyncio.get_running_loop().time()
        params = dict(request.url.params)
        seen = Seen(self.world.now().timestamp(), request.url, token, monotonic, params)
        self.seen.append(seen)
        self.in_flight[token] = self.in_flight.get(token, 0) + 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight[token])
        try:
            if trace := request.extensions.get("trace"):
                # As httpcore says it: from now on the server may have seen the request.
                await trace("http11.send_request_headers.started", {"request": request})
            await asyncio.sleep(self.seconds)
            response = self.answer(seen)
            made = response if isinstance(response, httpx.Response) else await response
            # A fresh one, not read yet, as it would come from a socket.
            stream = httpx.ByteStream(made.content)
            return httpx.Response(made.status_code, headers=made.headers, stream=stream)
        finally:
            self.in_flight[token] -= 1


def row(
    channel: str = "inbound", inbound: int = 100, answered: int = 90, **more: str
) -> dict[str, str]:
    """A row as the API writes it, with figures that agree."""
    abandoned = inbound - answered
    figures = {
        "answer_calls": str(answered),
        "abandon_calls": str(abandoned),
        "service_level_20seg": "60.00 %",
        "service_level_30seg": "80.00 %",
        "abandon": f"{100 * abandoned / inbound if inbound else 0:.2f} %",
    }
    return e2e_api.row(channel, inbound, **figures | more)


def _response(reply: e2e_api.Reply) -> httpx.Response:
    return httpx.Response(reply.status, headers=reply.headers, content=reply.body)


def ok(*rows: dict[str, str]) -> httpx.Response:
    """A good answer."""
    return _response(e2e_api.found(*rows))


def no_rows() -> httpx.Response:
    """What the API says where the window has no rows."""
    return httpx.Response(
        404, json={"code": "404", "error": "NOT FOUND", "msg": "Validate dates entered"}
    )


def refusal(msg: str, status: int = 403) -> httpx.Response:
    """An error of the API's table."""
    return _response(e2e_api.refused(msg, status))
