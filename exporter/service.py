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
from exporter.errors import ConfigError, ExporterError, StartError, StorageError
from exporter.logs import dropped, say
from exporter.messages import LANGUAGES, catalogue
from exporter.metrics.exporter import ExporterTelemetry, process_metrics
from exporter.metrics.page import MetricsPage
from exporter.operations import Operations
from exporter.runtime import Clock
from exporter.sharding import WHOLE, Shard
from exporter.state.locks import DirectoryLock, TokenGate, beat
from exporter.state.storage import Storage, ThreadedState
from exporter.web.app import App, check_telemetry_path
from exporter.web.listen import address_of
from exporter.web.server import HttpServer
from exporter.web.status_page import StatusPage

if TYPE_CHECKING:
    from exporter.web.access import LiveConfig

T = TypeVar("T")
log = logging.getLogger(__name__)
RESTORING_SECONDS = 2.0
SETTLING_SECONDS = 1.0  # a file that changed is read once it rests


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, except for what the configuration files say; named as the flags are.

    `load` reads the configuration (again at a reload) and raises ConfigError; `look` returns
    something that differs once its files changed, and returned `seen` before they were read.
    """

    load: Callable[[], Configuration]
    directory: Path
    web_telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    web_enable_lifecycle: bool = False
    web_max_requests: int = 40
    web_disable_exporter_metrics: bool = False
    config_auto_reload_interval: float | None = None
    look: Callable[[], object] = object
    seen: object = None
    shard: Shard = WHOLE
    hangup_ends: bool = False


def run(
    settings: Settings,
    configuration: Configuration,
    sockets: Sequence[socket.socket],
    beside: Callable[[Operations], Sequence[HttpServer]] = lambda operations: (),
) -> int:
    """Serve on listening sockets until a signal ends it; returns the exit code.

    `beside` makes further servers (the demo's simulator). Raises StartError (exit 1) and
    ConfigError (exit 2) before anything was asked.
    """
    check_telemetry_path(settings.web_telemetry_path)
    clock, door = runtime.system_clock(), None
    if settings.web_config_file is not None:
        # Its forms would take a tenth of every start.
        from exporter.web.access import LiveConfig  # noqa: PLC0415

        door = LiveConfig(settings.web_config_file, clock.monotonic)
    # A poll makes thousands of objects and few cycles: looking for them after every 700 takes a
    # fifteenth of a busy exporter's time.
    gc.set_threshold(20_000, 10, 10)
    with (
        runtime.block_signals(),
        closing(DirectoryLock.take(settings.directory)),
        closing(Storage.open(settings.directory, clock.epoch)) as storage,
    ):

        async def main() -> int:
            process = _Process(settings, clock, storage, door)
            return await process.serve(configuration, sockets, beside)

        return runtime.run_to_end(main)


def serve_alone(server: HttpServer) -> int:
    """Run one server until a signal ends it; for the simulator by itself."""

    async def main() -> int:
        with runtime.signals(server.stop, server.stop):
            await server.serve()
        return 0

    return runtime.run_to_end(main)


class _Process:
    """One running exporter: its parts, and what signals and reloads do to them."""

    def __init__(
        self, settings: Settings, clock: Clock, storage: Storage, door: LiveConfig | None
    ) -> None:
        for language in LANGUAGES:
            catalogue(language)  # a process that can open no more files still needs its words
        self._settings, self._clock, self._door = settings, clock, door
        # Its own thread: those of the loop may all wait for a name server.
        self._loader = runtime.thread_pool("reload", 1)
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
            *([] if settings.web_disable_exporter_metrics else [process_metrics]),
        )
        self._state = ThreadedState(storage)
        self._manager = runtime.ServiceManager.of(os.environ)
        self._servers: list[HttpServer] = []
        self._stopped = False

    async def serve(
        self,
        configuration: Configuration,
        sockets: Sequence[socket.socket],
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
                    gate=TokenGate(settings.directory, clock),
                    page=self._page,
                    storage_writable=self._telemetry.storage,
                )
                self._servers = [self._server(sockets), *beside(operations)]
                with runtime.signals(self._stop, hangup):
                    alive = beat(settings.directory, operations.healthy, clock)
                    beating = group.create_task(alive)
                    await operations.apply(configuration)
                    # A scrape before the state is read would see series end and begin again.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(operations.restored(), RESTORING_SECONDS)
                    serving = [group.create_task(server.serve()) for server in self._servers]
                    count = len(configuration.operations)
                    listening = ",".join(map(address_of, sockets))
                    fields = {"version": __version__, "operations": count, "listen": listening}
                    say(log, logging.INFO, "started", **fields)
                    self._manager.notify("READY=1")
                    signs = self._manager.watch(operations.healthy, clock.sleep)
                    others = [*map(group.create_task, (signs, self._reload_changes()))]
                    await asyncio.wait(serving)
                    for task in (beating, *others):
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
            settings.web_telemetry_path,
        )
        app = App(
            self._page.render,
            page.html,
            lambda: operations.configuration,
            operations.healthy,
            operations.ready,
            self._reload,
            telemetry_path=settings.web_telemetry_path,
            lifecycle=settings.web_enable_lifecycle,
            max_requests=settings.web_max_requests,
        )
        if door is None:
            return HttpServer(app, sockets)
        failed = self._telemetry.handshake_failed
        return HttpServer(door.guard(app), sockets, tls=door.tls, handshake_failed=failed)

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
                self._telemetry.reloaded(None)
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
        settings = self._settings
        every = settings.config_auto_reload_interval
        taken = before = settings.seen
        while every:
            await self._clock.sleep(every if before == taken else min(every, SETTLING_SECONDS))
            now = before
            with suppress(StartError):  # no thread for it: the next look tells
                now = await self._aside(settings.look)
            if now == before != taken:
                taken = now
                await self._reload()
            before = now

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work in a thread; raises StartError where none can be started."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._loader, work)
        except RuntimeError as error:
            self._loader = runtime.thread_pool("reload", 1)  # the old one would load once more
            raise runtime.thread_limit(error) from None
