"""The composition root: one task group holds the poll loops and the server.

It owns the signals and gives everything the real clock, sleep and randomness. If a
loop or the server dies unexpectedly, the process ends with 1 rather than serve old data.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from exporter import __version__, runtime
from exporter.config import Configuration
from exporter.errors import ConfigError, ExporterError, Problem, StartError, StorageError
from exporter.logs import dropped, say
from exporter.messages import LANGUAGES, catalogue
from exporter.metrics.exporter import ExporterTelemetry, process_metrics
from exporter.metrics.page import MetricsPage
from exporter.operations import Operations
from exporter.runtime import (
    Clock,
    ServiceManager,
    block_signals,
    run_to_end,
    signals,
    thread_limit,
    thread_pool,
)
from exporter.sharding import WHOLE, Shard
from exporter.state.locks import DirectoryLock, TokenGate, beat
from exporter.state.storage import Storage, ThreadedState
from exporter.web.app import App, check_telemetry_path
from exporter.web.listen import address_of, bind, handed_over, parse_listen_address
from exporter.web.server import HttpServer
from exporter.web.status_page import StatusPage

if TYPE_CHECKING:
    from exporter.web.access import LiveConfig

T = TypeVar("T")
log = logging.getLogger(__name__)
RESTORING_SECONDS = 2.0
SETTLING_SECONDS = 1.0  # a file that changed is read once it rests


@dataclass(frozen=True, slots=True)
class Watched:
    """What the configuration files look like, and how often to look again (0: never)."""

    every: float = 0.0
    look: Callable[[], object] = object
    seen: object = None


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
    hangup_ends: bool = False
    from_systemd: bool = False
    watched: Watched = Watched()


def run(
    settings: Settings,
    configuration: Configuration,
    *,
    beside: Callable[[Operations], Sequence[HttpServer]] = lambda operations: (),
    announce: Callable[[tuple[str, ...]], None] = lambda addresses: None,
) -> int:
    """Run until a signal ends it; returns the exit code.

    `beside` makes further servers (the demo's simulator); `announce` is told the addresses
    once they are open. Raises StartError (exit 1) and ConfigError (exit 2) before anything
    was asked.
    """
    try:
        check_telemetry_path(settings.telemetry_path)
    except ValueError as error:
        raise usage_error("--web.telemetry-path", str(error)) from error
    clock = runtime.system_clock()
    door = _door(settings.web_config, clock)
    sockets = _activated() if settings.from_systemd else listen(settings.listen)
    # A poll makes thousands of objects and few cycles: looking for them after every 700 takes a
    # fifteenth of a busy exporter's time.
    gc.set_threshold(20_000, 10, 10)
    try:
        with (
            block_signals(),
            closing(DirectoryLock.take(settings.storage)),
            closing(Storage.open(settings.storage, clock.epoch)) as storage,
        ):
            announce(tuple(address_of(listener) for listener in sockets))

            async def main() -> int:
                process = _Process(settings, clock, storage, door)
                return await process.serve(configuration, sockets, beside)

            return run_to_end(main)
    finally:
        for listener in sockets:
            listener.close()


def listen(addresses: Sequence[str]) -> list[socket.socket]:
    """Open the listening sockets; raises ConfigError or StartError with a sentence."""
    try:
        return bind([parse_listen_address(address) for address in addresses])
    except ValueError as error:
        raise usage_error("--web.listen-address", str(error)) from error


def _activated() -> list[socket.socket]:
    try:
        return handed_over(os.environ)
    except ValueError as error:
        raise usage_error("--web.systemd-socket", str(error)) from error


def usage_error(flag: str, reason: str) -> ConfigError:
    """A wrong flag in the form of a configuration problem."""
    return ConfigError([Problem(flag, reason)])


def serve_alone(server: Callable[[], HttpServer]) -> int:
    """Run one server until a signal ends it; for the simulator by itself."""

    async def main() -> int:
        single = server()
        with signals(single.stop, single.stop):
            await single.serve()
        return 0

    return run_to_end(main)


def _door(path: Path | None, clock: Clock) -> LiveConfig | None:
    if path is None:
        return None
    # Its forms would take a tenth of every start.
    from exporter.web.access import LiveConfig  # noqa: PLC0415

    return LiveConfig(path, clock.monotonic)


class _Process:
    """One running exporter: its parts, and what signals and reloads do to them."""

    def __init__(
        self, settings: Settings, clock: Clock, storage: Storage, door: LiveConfig | None
    ) -> None:
        for language in LANGUAGES:
            catalogue(language)  # a process that can open no more files still needs its words
        self._settings, self._clock, self._door = settings, clock, door
        # Its own thread: those of the loop may all wait for a name server.
        self._loader = thread_pool("reload", 1)
        self._reloading = asyncio.Lock()
        self._hangups: set[asyncio.Task[str | None]] = set()
        self._page = MetricsPage(clock.epoch)
        self._telemetry = ExporterTelemetry(
            self._page,
            __version__,
            os.environ.get("WOLKVOX_EXPORTER_REVISION", ""),
            clock.epoch(),
            settings.shard,
            dropped,
            *([process_metrics] if settings.process_metrics else []),
        )
        self._state = ThreadedState(storage)
        self._manager = ServiceManager.of(os.environ)
        self._servers: list[HttpServer] = []
        self._stopped = False

    async def serve(
        self,
        configuration: Configuration,
        sockets: list[socket.socket],
        beside: Callable[[Operations], Sequence[HttpServer]],
    ) -> int:
        """Run until stopped; 0 then, 1 where a part died."""
        clock, settings = self._clock, self._settings
        # A demo belongs to its terminal, and ends when that is closed.
        hangup = self._stop if settings.hangup_ends else self._hang_up
        try:
            async with asyncio.TaskGroup() as group:
                operations = self._operations = Operations(
                    group,
                    clock=clock,
                    rng=random.Random(),  # noqa: S311 - jitter
                    state=self._state,
                    gate=TokenGate(settings.storage, clock),
                    page=self._page,
                    storage_writable=self._telemetry.storage,
                )
                self._servers = [self._server(sockets), *beside(operations)]
                with signals(self._stop, hangup):
                    alive = beat(settings.storage, operations.healthy, clock)
                    beating = group.create_task(alive)
                    await operations.apply(configuration)
                    # A scrape before the state is read would see series end and begin again.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(operations.restored(), RESTORING_SECONDS)
                    serving = [group.create_task(server.serve()) for server in self._servers]
                    self._started(configuration, sockets)
                    watch = group.create_task(
                        self._manager.watch(operations.healthy, clock.sleep)
                    )
                    reloading = group.create_task(self._reload_changes())
                    await asyncio.wait(serving)
                    for task in (watch, beating, reloading):
                        task.cancel()
        except BaseExceptionGroup as crash:
            return self._crashed(crash)
        finally:
            self._state.close()
        say(log, logging.INFO, "stopped")
        return 0

    def _server(self, sockets: Sequence[socket.socket]) -> HttpServer:
        settings, operations, door = self._settings, self._operations, self._door
        page = StatusPage(
            self._clock,
            operations.statuses.values(),
            operations.overview,
            self._telemetry,
            settings.telemetry_path,
        )
        app = App(
            self._page.render,
            page.html,
            lambda: operations.configuration,
            operations.healthy,
            operations.ready,
            self._reload,
            telemetry_path=settings.telemetry_path,
            lifecycle=settings.lifecycle,
            max_requests=settings.max_requests,
        )
        if door is None:
            return HttpServer(app, sockets)
        from exporter.web.access import guard  # noqa: PLC0415 - as in _door

        return HttpServer(
            guard(app, door, self._clock.monotonic),
            sockets,
            tls=door.tls,
            handshake_failed=self._telemetry.handshake_failed,
        )

    def _started(self, configuration: Configuration, sockets: Sequence[socket.socket]) -> None:
        count, listening = len(configuration.operations), ",".join(map(address_of, sockets))
        fields = {"version": __version__, "operations": count, "listen": listening}
        say(log, logging.INFO, "started", **fields)
        self._manager.notify("READY=1")

    def _stop(self) -> None:
        self._stopped = True
        self._manager.notify("STOPPING=1")
        self._operations.stop()
        for server in self._servers:
            server.stop()

    def _crashed(self, crash: BaseExceptionGroup[BaseException]) -> int:
        if self._stopped and crash.split(asyncio.CancelledError)[1] is None:
            return 0
        expected, defects = crash.split(ExporterError)
        if defects is None and expected is not None:
            raise expected.exceptions[0] from None
        message = "a part of the exporter died; it ends rather than serve old data"
        log.critical(message, exc_info=crash)
        return 1

    def _hang_up(self) -> None:
        task = asyncio.create_task(self._reload(), name="reload")
        self._hangups.add(task)
        task.add_done_callback(self._hangups.discard)

    async def _reload(self) -> str | None:
        """Take over the files as they are now, whole; else say why nothing changed."""
        load, door = self._settings.load, self._door
        async with self._reloading:
            try:
                configuration, web = await self._aside(
                    lambda: (load(), door.load() if door is not None else None)
                )
                await self._operations.apply(configuration)
            except (ConfigError, StartError, StorageError) as error:
                reason = str(error)
                self._telemetry.reload_failed()
                message = "configuration not reloaded, the old one stays in force"
                say(log, logging.ERROR, message, reason=reason.replace("\n", "; "))
                return reason
            if door is not None and web is not None:
                door.use(web)
            self._telemetry.reloaded(self._clock.epoch())
            for warning in configuration.warnings:
                log.warning("%s", warning)
            count = len(configuration.operations)
            say(log, logging.INFO, "configuration reloaded", operations=count)
            return None

    async def _reload_changes(self) -> None:
        """Reload when the files changed; each change is taken up, or refused, once."""
        watched = self._settings.watched
        taken = before = watched.seen
        while watched.every:
            pause = watched.every if before == taken else SETTLING_SECONDS
            await self._clock.sleep(min(pause, watched.every))
            now = before
            with suppress(StartError):  # no thread for it: the next look tells
                now = await self._aside(watched.look)
            if now == before != taken:
                taken = now
                await self._reload()
            before = now

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work in a thread; raises StartError where none can be started."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._loader, work)
        except RuntimeError as error:
            self._loader = thread_pool("reload", 1)  # the old one would load once more
            raise thread_limit(error) from None
