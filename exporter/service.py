"""The composition root: one task group holds the poll loops and the server.

It owns the signals and is the only place with a real clock, sleep and randomness. If a
loop or the server dies unexpectedly, the process ends with 1 rather than serve old data.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter import __version__
from exporter.config import Configuration
from exporter.config.redacted import redacted
from exporter.errors import ConfigError, ExporterError, Problem
from exporter.fleet import Fleet, Means, connect
from exporter.logs import SECRETS, say
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import ExporterTelemetry, ProcessMetrics
from exporter.sdnotify import ServiceManager
from exporter.sharding import WHOLE, Shard
from exporter.state.journal import Journal
from exporter.state.locks import DirectoryLock, TokenGate
from exporter.state.snapshot import Snapshot
from exporter.state.storage import Storage
from exporter.times import Clock
from exporter.web.app import Document, check_telemetry_path, create_app
from exporter.web.asgi import ASGIApp
from exporter.web.guard import LiveConfig, guard
from exporter.web.healthsocket import health_socket
from exporter.web.landing import StatusPage
from exporter.web.negotiation import Format
from exporter.web.server import HttpServer, address_of, bind, parse_listen_address
from exporter.web.status import ExporterView

log = logging.getLogger(__name__)
TEXT = "text/plain; charset=utf-8"  # what a browser shows rather than saves
DOCUMENTS = ("/config", "/docs")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def system_clock() -> Clock:
    """The machine's own clock."""
    return Clock(lambda: datetime.now(UTC), time.monotonic, asyncio.sleep)


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, except for what the configuration files say.

    `load` reads the configuration (again at a reload) and raises ConfigError.
    """

    load: Callable[[], Configuration]
    listen: tuple[str, ...]
    telemetry_path: str
    storage: Path
    lifecycle: bool = False
    max_requests: int = 40
    process_metrics: bool = True
    web_config: Path | None = None
    shard: Shard = WHOLE


class Site:
    """What the server shows: implements `web.app.Pages`."""

    def __init__(
        self,
        page: Exposition,
        snapshot: Snapshot,
        fleet: Fleet,
        clock: Clock,
        telemetry: ExporterTelemetry,
        telemetry_path: str,
        reload: Callable[[], str | None],
    ) -> None:
        self._page = page
        self._fleet = fleet
        self._telemetry = telemetry
        self._telemetry_path = telemetry_path
        self._reload = reload
        self._redacted: tuple[Configuration, Document] | None = None
        self._status = StatusPage(clock, snapshot, fleet.overview, self._exporter)

    def metrics(self, fmt: Format, gzip: bool) -> bytes:
        """The exposition."""
        page = self._page
        if fmt is Format.TEXT:
            return page.text_gzip() if gzip else page.text()
        return page.openmetrics_gzip() if gzip else page.openmetrics()

    def healthy(self) -> bool:
        """Whether the poll loops live."""
        return self._fleet.healthy()

    def ready(self) -> bool:
        """Whether each query has an ended attempt or a restored result."""
        return self._fleet.ready()

    def landing(self, accept_language: str | None) -> bytes:
        """The page for people."""
        return self._status.html(accept_language)

    def documents(self) -> Mapping[str, Callable[[], Document]]:
        """The further pages by their paths."""
        return {"/config": self._config, "/docs": reference_page}

    def _config(self) -> Document:
        """The configuration in force without its secrets; made once for each reload."""
        configuration = self._fleet.configuration
        if self._redacted is None or self._redacted[0] is not configuration:
            text = SECRETS.scrub(redacted(configuration))
            self._redacted = (configuration, Document(TEXT, text.encode("utf-8", "replace")))
        return self._redacted[1]

    def _exporter(self) -> ExporterView:
        reloaded, at = self._telemetry.last_reload
        return ExporterView(
            version=__version__,
            revision=self._telemetry.revision,
            storage_writable=self._telemetry.writable,
            reload_failed=not reloaded,
            reloaded_at=at,
            telemetry_path=self._telemetry_path,
        )

    async def reload(self) -> str | None:
        """Read the configuration again."""
        return self._reload()


def reference_page() -> Document:
    """What this version exposes and what it can be told, as Markdown."""
    # Seldom asked for: nothing of it is loaded before.
    from exporter.config.reference import tables  # noqa: PLC0415
    from exporter.metrics.reference import reference  # noqa: PLC0415

    text = f"{reference()}\n# Configuration\n\n{tables()}"
    return Document(TEXT, text.encode("utf-8"))


def run(
    settings: Settings,
    configuration: Configuration,
    *,
    beside: Callable[[], Sequence[HttpServer]] = list,
    announce: Callable[[tuple[str, ...]], None] = lambda addresses: None,
) -> int:
    """Run until a signal ends it; returns the exit code.

    `beside` makes further servers (the demo's simulator); `announce` is told the addresses
    once they are open. Raises StartError (exit 1) and ConfigError (exit 2) before anything
    was asked.
    """
    try:
        check_telemetry_path(settings.telemetry_path, dict.fromkeys(DOCUMENTS))
    except ValueError as error:
        raise usage_error("--web.telemetry-path", str(error)) from error
    door = LiveConfig(settings.web_config, time.monotonic) if settings.web_config else None
    sockets = listen(settings.listen)
    try:
        with _state(settings.storage) as storage:
            announce(tuple(address_of(listener) for listener in sockets))
            return _run(lambda: _serve(settings, configuration, storage, sockets, door, beside))
    finally:
        for listener in sockets:
            listener.close()


def listen(addresses: Sequence[str]) -> list[socket.socket]:
    """Open the listening sockets; raises ConfigError or StartError with a sentence."""
    try:
        return bind([parse_listen_address(address) for address in addresses])
    except ValueError as error:
        raise usage_error("--web.listen-address", str(error)) from error


def usage_error(flag: str, reason: str) -> ConfigError:
    """A wrong flag in the form of a configuration problem."""
    return ConfigError([Problem(flag, reason)])


def serve_alone(server: Callable[[], HttpServer]) -> int:
    """Run one server until a signal ends it; for the simulator by itself."""

    async def main() -> int:
        single = server()
        with _signals(single.stop, lambda: None):
            await single.serve()
        return 0

    return _run(main)


def _run(main: Callable[[], Coroutine[None, None, int]]) -> int:
    """`asyncio.run` without its wait for threads, and with signals that wait for the loop.

    A name server that does not answer holds a thread for half a minute; whoever ends the
    exporter does not wait for what it finds (`cli.main` leaves such threads behind).

    A signal is held back until the loop has its handlers (`_signals`): none meets a loop
    that is half made, or half closed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextmanager
def _state(directory: Path) -> Iterator[Storage]:
    lock = DirectoryLock.take(directory)
    try:
        storage = Storage.open(directory)
        try:
            yield storage
        finally:
            storage.close()
    finally:
        lock.release()


async def _serve(
    settings: Settings,
    configuration: Configuration,
    storage: Storage,
    sockets: list[socket.socket],
    door: LiveConfig | None,
    beside: Callable[[], Sequence[HttpServer]],
) -> int:
    clock = system_clock()
    process = ProcessMetrics() if settings.process_metrics else None
    page = Exposition(
        clock.epoch,
        process.text if process else bytes,
        process.openmetrics if process else bytes,
    )
    revision = os.environ.get("WOLKVOX_EXPORTER_REVISION", "")
    telemetry = ExporterTelemetry(page, __version__, revision, clock.epoch(), settings.shard)
    journal = Journal(storage)
    manager = ServiceManager.of(os.environ)
    stopped = False
    try:
        async with asyncio.TaskGroup() as group:
            gate = TokenGate(settings.storage, clock)
            rng = random.Random()  # noqa: S311 - jitter
            snapshot = Snapshot()
            means = Means(clock, rng, journal, gate, page, snapshot, telemetry, connect)
            fleet = Fleet(means, group)

            def reload() -> str | None:
                return _reload(settings, fleet, door, telemetry, clock)

            path = settings.telemetry_path
            site = Site(page, snapshot, fleet, clock, telemetry, path, reload)
            app = create_app(
                site,
                telemetry_path=path,
                lifecycle=settings.lifecycle,
                max_requests=settings.max_requests,
                documents=site.documents(),
            )
            servers = [_server(app, sockets, door), *beside()]

            def stop() -> None:
                nonlocal stopped
                stopped = True
                manager.tell("STOPPING=1")
                fleet.stop()
                for server in servers:
                    server.stop()

            with health_socket(settings.storage, fleet.healthy), _signals(stop, reload):
                serving = [group.create_task(server.serve()) for server in servers]
                fleet.apply(configuration)
                say(log, logging.INFO, "started", version=__version__,
                    operations=len(configuration.operations),
                    listen=",".join(map(address_of, sockets)))  # fmt: skip
                manager.tell("READY=1")
                watch = group.create_task(manager.watch(fleet.healthy, clock.sleep))
                await asyncio.wait(serving)
                watch.cancel()
    except BaseExceptionGroup as crash:
        if stopped and crash.split(asyncio.CancelledError)[1] is None:
            return 0
        expected, defects = crash.split(ExporterError)
        if defects is None and expected is not None:
            raise expected.exceptions[0] from None
        log.critical("a part of the exporter died; it ends rather than serve old data",
                     exc_info=crash)  # fmt: skip
        return 1
    finally:
        journal.close()
    say(log, logging.INFO, "stopped")
    return 0


def _server(
    app: ASGIApp, sockets: Sequence[socket.socket], door: LiveConfig | None
) -> HttpServer:
    if door is None:
        return HttpServer(app, sockets)
    return HttpServer(guard(app, door, time.monotonic), sockets, tls=door.tls)


def _reload(
    settings: Settings,
    fleet: Fleet,
    door: LiveConfig | None,
    telemetry: ExporterTelemetry,
    clock: Clock,
) -> str | None:
    try:
        configuration = settings.load()
        web = door.load() if door is not None else None
        fleet.apply(configuration)
    except ConfigError as error:
        telemetry.reload_failed()
        say(log, logging.ERROR, "configuration not reloaded, the old one stays in force",
            reason="; ".join(map(str, error.problems)))  # fmt: skip
        return "\n".join(map(str, error.problems))
    if door is not None and web is not None:
        door.use(web)
    telemetry.reloaded(clock.epoch())
    for warning in configuration.warnings:
        log.warning("%s", warning)
    say(log, logging.INFO, "configuration reloaded", operations=len(configuration.operations))
    return None


@contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handlers = dict(zip(_SIGNALS, (stop, stop, reload), strict=True))
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number, handler_before in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler_before)
