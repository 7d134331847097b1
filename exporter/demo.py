"""`demo` and `simulate`: the simulator with an exporter beside it, or alone, on loopback."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import click

from exporter import flags
from exporter.config import Configuration, Operation, values
from exporter.errors import ConfigError, StartError
from exporter.messages import here
from exporter.operations import Operations
from exporter.runtime import block_signals, system_clock
from exporter.service import Settings, run, serve_alone
from exporter.simulator.api import Simulator
from exporter.simulator.centre import Scenario, SimulatedOperation, demo_operations
from exporter.web.asgi import Receive, Scope, Send
from exporter.web.listen import address_of, bind
from exporter.web.server import HttpServer, Limits

INTERVAL = "5s"
SIMULATOR_ADDRESS = "127.0.0.1:19656"
WITH_BODIES = Limits(keep_bodies=True)  # a scenario is switched by a JSON body
SEED = 20
# Where it is day when Latin America sleeps: the demo always shows a busy centre.
_ZONES = (
    ("America/Bogota", "America/Santiago"),
    ("Pacific/Honolulu", "Pacific/Auckland"),
    ("Asia/Tokyo", "Asia/Manila"),
    ("Asia/Dubai", "Asia/Kolkata"),
    ("Europe/Madrid", "Atlantic/Canary"),
)
# Voice by the usual 80/20; mail and social channels are not measured in seconds.
_TARGETS = {
    "channels": ["inbound"],
    "service_level": {"within": "20s", "target": "80%"},
    "abandonment": {"max": "5%"},
    "asa": {"max": "30s"},
}
_NAMES = {"wv0013": "acme", "wv0042": "globex"}


def demo_zones(now: datetime) -> tuple[ZoneInfo, ZoneInfo]:
    """Return the first pair of zones in which both have eight hours of the day behind them.

    Right after midnight even a centre that works around the clock has little to show.
    """

    def earliest(pair: tuple[str, str]) -> int:
        return min(now.astimezone(ZoneInfo(name)).hour for name in pair)

    first, second = next((pair for pair in _ZONES if earliest(pair) >= 8), _ZONES[0])
    return ZoneInfo(first), ZoneInfo(second)


@click.command()
@flags.listen("127.0.0.1:19655")
def demo(listen: tuple[str, ...]) -> None:
    """Simulator and exporter together on loopback; nothing to set up."""
    clock = system_clock()
    operations = demo_operations(*demo_zones(clock.now()))
    simulator = Simulator(operations, seed=SEED, now=clock.now, sleep=clock.sleep)
    # Signals are held back until the directory is gone again.
    with (
        closing(_socket_of_simulator()) as api,
        block_signals(),
        TemporaryDirectory(prefix="wolkvox-demo-") as name,
    ):
        base = f"http://{address_of(api)}"
        configuration = Configuration(tuple(_configured(one, base) for one in operations))
        settings = Settings(lambda: configuration, Path(name), hangup_ends=True)
        sockets = bind(listen)
        click.echo(_greeting(address_of(sockets[0]), base, operations))
        code = run(settings, configuration, sockets, partial(_beside, simulator, api))
    sys.exit(code)


def _socket_of_simulator() -> socket.socket:
    """Where it always is; where that is taken, any free port."""
    try:
        return bind((SIMULATOR_ADDRESS,))[0]
    except StartError:
        return bind(("127.0.0.1:0",))[0]


def _beside(
    simulator: Simulator, listener: socket.socket, exporter: Operations
) -> list[HttpServer]:
    """Its server; after a switch the exporter waits no hour for a quota that is back."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await simulator.app(scope, receive, send)
        if scope.get("method") == "POST":
            await exporter.resume()

    return [HttpServer(app, [listener], limits=WITH_BODIES)]


def _configured(one: SimulatedOperation, base: str) -> Operation:
    keys = {
        "name": _NAMES[one.name],
        "url": f"{base}/{one.name}/api/v2/",
        "token": one.token,
        "timezone": str(one.timezone),
        "interval": INTERVAL,
        "token_info": True,
        "skills": [{"id": skill.id, "name": skill.name} for skill in one.skills],
        "sla": [_TARGETS],
    }
    return Operation.model_validate(keys)


def _greeting(address: str, base: str, operations: Sequence[SimulatedOperation]) -> str:
    """What there is to see, and what can be made to happen, in the terminal's language."""
    words = here()
    zones = ", ".join(str(operation.timezone) for operation in operations)
    places = {"address": address, "base": base, "zones": zones, "interval": INTERVAL}
    lines = (
        words.text("demo.greeting", **places, clock=words.text("demo.clock")),
        f'  curl -X POST {base}/_simulator/scenario -d \'{{"scenario": "collapse"}}\'',
        *(f"    {one:<13} {words.text(f'demo.scenario.{one}')}" for one in Scenario),
        words.text("demo.end"),
    )
    return "\n".join(lines)


@click.command()
@flags.listen(SIMULATOR_ADDRESS)
@click.option("--seed", type=int, default=SEED, show_default=True, help="Which contact centre.")
@click.option(
    "--timezone",
    default="America/Bogota",
    show_default=True,
    help="Time zone of both operations.",
)
def simulate(listen: tuple[str, ...], seed: int, timezone: str) -> None:
    """A look-alike of the Wolkvox API as a server, with two simulated operations."""
    words = here()
    try:
        zone = values.timezone(timezone)
    except values.Invalid as wrong:
        raise ConfigError.at("--timezone", wrong.text(words.language)) from None
    clock, operations = system_clock(), demo_operations(zone, zone)
    simulator = Simulator(operations, seed=seed, now=clock.now, sleep=clock.sleep)
    sockets = bind(listen)
    base = f"http://{address_of(sockets[0])}"
    head = words.text("demo.simulator", base=base)
    click.echo(f"{head}   ({words.text('demo.clock')})")
    for operation in operations:
        skills = ", ".join(f"{skill.id} {skill.name}" for skill in operation.skills)
        click.echo(f"  url: {base}/{operation.name}/api/v2/")
        click.echo(f"       token {operation.token}   skills {skills}")
    click.echo(words.text("demo.end"))
    sys.exit(serve_alone(HttpServer(simulator.app, sockets, limits=WITH_BODIES)))
