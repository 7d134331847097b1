"""A simulator on a socket whose clock a test stops and speeds up; its own truth by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, SimulatedSkill
from exporter.web.listen import address_of, bind
from exporter.web.server import HttpServer, Limits
from tests.e2e_support import PATIENCE, TOKEN, fetch

WITH_BODIES = Limits(keep_bodies=True)  # a scenario is switched by a JSON body
SKILLS = (
    SimulatedSkill("4173", "Ventas", {"inbound": 2500, "chat-whatsapp": 900}, agents=0.93),
    SimulatedSkill("4190", "Cobranza", {"inbound": 1200, "omni-email": 300}),
)


class StagedClock:
    """Stands still until `run`, then passes `factor` times as fast as the real one."""

    def __init__(self, start: datetime) -> None:
        self._moment = start
        self._factor = 0.0
        self._since = time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The moment on stage."""
        with self._lock:
            return self._passed()

    def run(self, factor: float) -> None:
        """Let the time pass, or stop it with 0."""
        with self._lock:
            self._moment, self._since = self._passed(), time.monotonic()
            self._factor = factor

    def _passed(self) -> datetime:
        seconds = (time.monotonic() - self._since) * self._factor
        return self._moment + timedelta(seconds=seconds)


class Stage:
    """One simulated operation, `wv0013`, whose contact centre lives by a staged clock."""

    def __init__(self, start: datetime) -> None:
        assert isinstance(start.tzinfo, ZoneInfo)
        self.zone = start.tzinfo
        self.clock = StagedClock(start)
        self.address = ""
        operation = SimulatedOperation("wv0013", TOKEN, start.tzinfo, SKILLS, 10**6)
        self._simulator = Simulator(
            [operation], seed=3, now=self.clock.now, sleep=asyncio.sleep, latency=0.01
        )
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        """The base URL of the operation."""
        return f"http://{self.address}/wv0013/api/v2/"

    @contextlib.contextmanager
    def run(self) -> Iterator[Stage]:
        """Serve from a thread of its own."""
        sockets = bind(["127.0.0.1:0"])
        self.address = address_of(sockets[0])
        opened = threading.Event()
        servers: list[HttpServer] = []

        async def serve() -> None:
            servers.append(HttpServer(self._simulator.app, sockets, limits=WITH_BODIES))
            opened.set()
            await servers[0].serve()

        thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()))
        thread.start()
        try:
            assert opened.wait(PATIENCE)
            yield self
        finally:
            self._loop.call_soon_threadsafe(servers[0].stop)
            thread.join()
            self._loop.close()

    def truth(
        self, skill: str, start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, dict[str, float]]:
        """What really happened in [start, end), by channel; the whole day without them."""
        day = self.clock.now().replace(hour=0, minute=0, second=0)
        # The last second of a window counts to its end.
        last = (end or day + timedelta(days=1)) - timedelta(seconds=1)
        window = {
            "operation": "wv0013",
            "skill_id": skill,
            "date_ini": f"{start or day:%Y%m%d%H%M%S}",
            "date_end": f"{last:%Y%m%d%H%M%S}",
        }
        page = fetch(self.address, f"/_simulator/truth?{urlencode(window)}")
        assert page.status == 200, page.text
        found: dict[str, dict[str, float]] = json.loads(page.text)
        return found
