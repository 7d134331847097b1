"""`demo` and `simulate`: the simulator with an exporter beside it, or alone, on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from exporter import flags
from exporter.config import load
from exporter.runtime import block_signals, system_clock
from exporter.service import Settings, run, serve_alone, usage_error
from exporter.service import listen as open_sockets
from exporter.simulator import SimulatedOperation, Simulator, demo_operations
from exporter.web.listen import address_of
from exporter.web.server import HttpServer, Limits

INTERVAL = "5s"
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
_TARGETS = (
    "{channels: [inbound], service_level: {within: 20s, target: 80%}, "
    "abandonment: {max: 5%}, asa: {max: 30s}}"
)
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
@click.pass_context
def demo(context: click.Context, listen: tuple[str, ...]) -> None:
    """Simulator and exporter together on loopback; nothing to set up."""
    clock = system_clock()
    operations = demo_operations(*demo_zones(clock.now()))
    simulator = Simulator(operations, seed=SEED, now=clock.now, sleep=clock.sleep)
    api = open_sockets(("127.0.0.1:0",))
    base = f"http://{address_of(api[0])}"
    # Signals are held back until the directory is gone again.
    with block_signals(), TemporaryDirectory(prefix="wolkvox-demo-") as name:
        directory = Path(name)
        _write_configuration(directory, base, operations)
        configured = partial(load, [directory / "wolkvox.yml"], {})
        settings = Settings(
            load=configured,
            listen=listen,
            telemetry_path="/metrics",
            storage=directory / "data",
            hangup_ends=True,
        )
        try:
            code = run(
                settings,
                configured(),
                beside=lambda: [HttpServer(simulator.app, api, limits=WITH_BODIES)],
                announce=lambda opened: click.echo(_greeting(opened[0], base, operations)),
            )
        finally:
            for listener in api:
                listener.close()
    context.exit(code)


def _write_configuration(
    directory: Path, base: str, operations: Sequence[SimulatedOperation]
) -> None:
    entries = []
    for one in operations:
        token = directory / f"{one.name}.token"
        token.touch(mode=0o600)
        token.write_text(one.token, encoding="utf-8")
        skills = ", ".join(f"{{id: {skill.id}, name: {skill.name}}}" for skill in one.skills)
        entries.append(f"""
  - name: {_NAMES[one.name]}
    url: {base}/{one.name}/api/v2/
    token_file: {token.name}
    timezone: {one.timezone}
    interval: {INTERVAL}
    token_info: true
    skills: [{skills}]
    sla:
      - {_TARGETS}
""")
    text = "operations:" + "".join(entries)
    (directory / "wolkvox.yml").write_text(text, encoding="utf-8")


def _greeting(address: str, base: str, operations: Sequence[SimulatedOperation]) -> str:
    zones = ", ".join(str(operation.timezone) for operation in operations)
    return f"""\
wolkvox-exporter demo: two simulated operations, five skills, six channels
  status    http://{address}/
  metrics   http://{address}/metrics
  simulator {base}/   (its clock is this machine's, in {zones})
  polled every {INTERVAL}; a real operation is polled every 5 minutes at most
  break it: curl -X POST {base}/_simulator/scenario -d '{{"scenario": "collapse"}}'
Ctrl-C ends it."""


@click.command()
@flags.listen("127.0.0.1:19656")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Which contact centre.")
@click.option(
    "--timezone",
    default="America/Bogota",
    show_default=True,
    help="Time zone of both operations.",
)
@click.pass_context
def simulate(context: click.Context, listen: tuple[str, ...], seed: int, timezone: str) -> None:
    """A look-alike of the Wolkvox API as a server, with two simulated operations."""
    try:
        zone = ZoneInfo(timezone)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        reason = f"{timezone!r} is no time zone: write one such as America/Bogota"
        raise usage_error("--timezone", reason) from None
    clock, operations = system_clock(), demo_operations(zone, zone)
    simulator = Simulator(operations, seed=seed, now=clock.now, sleep=clock.sleep)
    sockets = open_sockets(listen)
    base = f"http://{address_of(sockets[0])}"
    click.echo(f"simulator of the Wolkvox API on {base}/   (its clock is this machine's)")
    for operation in operations:
        skills = ", ".join(f"{skill.id} {skill.name}" for skill in operation.skills)
        click.echo(f"  url: {base}/{operation.name}/api/v2/")
        click.echo(f"       token {operation.token}   skills {skills}")
    click.echo("Ctrl-C ends it.")
    serve = partial(HttpServer, simulator.app, sockets, limits=WITH_BODIES)
    context.exit(serve_alone(serve))
