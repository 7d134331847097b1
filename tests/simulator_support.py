"""What the simulator's tests share: a small operation, a clock by hand, one way to ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, SimulatedSkill

BOGOTA = ZoneInfo("America/Bogota")
TOKEN = "7b" + "ab" * 26
# A Wednesday, in the middle of the afternoon.
WEDNESDAY = datetime(2026, 11, 18, 15, 30, tzinfo=BOGOTA)
REPORTS = "/wv0013/api/v2/reports_manager.php"
INFORMATION = "/wv0013/api/v2/information.php"

OPERATION = SimulatedOperation(
    name="wv0013",
    token=TOKEN,
    timezone=BOGOTA,
    skills=(
        SimulatedSkill("4173", "Atención  Ñandú", {"inbound": 400, "chat-whatsapp": 150}),
        SimulatedSkill("4190", "Cobranza", {"inbound": 200, "omni-email": 60}),
    ),
    used_elsewhere=7,
)


class HandClock:
    """A clock that stands still unless it is moved; sleeping on it moves it."""

    def __init__(self, at: datetime = WEDNESDAY) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def make_simulator(
    *operations: SimulatedOperation,
    clock: HandClock | None = None,
    sleep: Callable[[float], Awaitable[None]] | None = None,
    seed: int = 1,
    latency: float = 0.0,
) -> Simulator:
    """Return a simulator of the small operation (or others) on a clock by hand."""
    clock = clock or HandClock()
    return Simulator(
        operations or (OPERATION,),
        seed=seed,
        now=clock.now,
        sleep=sleep or clock.sleep,
        latency=latency,
    )


async def ask(
    simulator: Simulator,
    path: str,
    *,
    method: str = "GET",
    token: str | None = TOKEN,
    content: bytes | None = None,
    params: Mapping[str, str] | None = None,
    **query: str,
) -> httpx.Response:
    """Send one request to a simulator, in process."""
    transport = httpx.ASGITransport(app=simulator.app)
    headers = {} if token is None else {"wolkvox-token": token}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(
            method, path, params={**query, **(params or {})}, headers=headers, content=content
        )


async def skill_11(
    simulator: Simulator,
    skill_id: str = "4173",
    date_ini: str = "20261118000000",
    date_end: str = "20261118235959",
    path: str = REPORTS,
    token: str | None = TOKEN,
) -> httpx.Response:
    """Ask for the report of a window."""
    return await ask(
        simulator,
        path,
        token=token,
        api="skill_11",
        skill_id=skill_id,
        date_ini=date_ini,
        date_end=date_end,
    )
