"""Simulator, exporter, Prometheus and Alertmanager on loopback, with the shipped files.

    .venv/bin/python deploy/demo-stack/demo_stack.py

The simulated contact centre lives `--speed` times as fast as we do, and everything that waits
or looks back does so in proportion: polls, scrapes, windows of the rules, `for`, group_wait. So
a collapse that is alerted after a quarter of an hour is alerted after a quarter of a minute,
by the rules as they are shipped. Nothing leaves the machine: what Alertmanager would send to a
chat or a pager is printed here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from hastened import (
    DEPLOY,
    alertmanager_config,
    hastened_rules,
    prometheus_config,
    shorter,
)

from exporter.simulator.api import Simulator
from exporter.simulator.centre import SimulatedOperation, demo_operations
from exporter.web.listen import address_of, bind
from exporter.web.server import HttpServer, Limits

NAMES = {"wv0013": "acme", "wv0042": "globex"}
# A Wednesday morning: the busiest hours lie ahead.
START = datetime(2026, 11, 18, 9, 30, tzinfo=ZoneInfo("America/Bogota"))
STAFF = 1.3  # with just enough agents a healthy hour misses its target now and then
TARGETS = (
    "{channels: [inbound], service_level: {within: 20s, target: 70%}, abandonment: {max: 15%}}"
)
Say = Callable[[str], None]


# The contact centre ------------------------------------------------------------------------


def operations() -> tuple[SimulatedOperation, ...]:
    """The demo's operations, well staffed."""
    made = demo_operations(ZoneInfo("America/Bogota"), ZoneInfo("America/Bogota"))
    return tuple(
        replace(one, skills=tuple(replace(skill, agents=STAFF) for skill in one.skills))
        for one in made
    )


def on_stage(app: Any, now: Callable[[], datetime]) -> Any:
    """The simulator's application, with the windows that are asked for moved to its own day.

    The exporter asks by our clock; the centre lives by its own, of which the day that began
    with START goes on past midnight.
    """

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            if "date_end" in query and scope["path"].endswith(".php"):
                query["date_ini"] = f"{START:%Y%m%d}000000"
                query["date_end"] = f"{now():%Y%m%d%H%M%S}"
                scope = {**scope, "query_string": urlencode(query).encode()}
        await app(scope, receive, send)

    return application


@contextmanager
def contact_centre(speed: float) -> Iterator[str]:
    """Serve the simulator from a thread of its own; gives its base URL."""
    began = time.monotonic()  # noqa: TID251 - a program's edge

    def now() -> datetime:  # Bogotá never changes its clocks
        return START + timedelta(seconds=(time.monotonic() - began) * speed)  # noqa: TID251

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / speed)  # noqa: TID251

    simulator = Simulator(operations(), seed=20, now=now, sleep=sleep)
    sockets = bind(["127.0.0.1:0"])
    loop = asyncio.new_event_loop()
    server = HttpServer(on_stage(simulator.app, now), sockets, limits=Limits(keep_bodies=True))
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()))
    thread.start()
    try:
        yield f"http://{address_of(sockets[0])}"
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join()
        loop.close()


def exporter_config(speed: float, base: str) -> str:
    """The exporter's configuration: polls every 5 minutes of the centre's time."""
    lines = ["operations:"]
    for one in operations():
        lines += [
            f"  - name: {NAMES[one.name]}",
            f"    url: {base}/{one.name}/api/v2/",
            f"    token: {one.token}",
            f"    interval: {shorter('5m', speed)}",
            # The day by our clock is never over before the one on stage.
            "    timezone: UTC",
            "    skills:",
            *(f"      - {{id: {skill.id}, name: {skill.name}}}" for skill in one.skills),
            "    sla:",
            f"      - {TARGETS}",
        ]
    return "\n".join(lines) + "\n"


# The chat ----------------------------------------------------------------------------------


@contextmanager
def chat(say: Say, log: Path | None) -> Iterator[str]:
    """Take in what Alertmanager sends, say it, and keep it as JSON lines; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            message = json.loads(self.rfile.read(length))
            name = self.path.strip("/")
            if log is not None:
                line = json.dumps({"to": name, "message": message}) + "\n"
                with log.open("ab", buffering=0) as lines:  # whole: others write and read it
                    lines.write(line.encode())
            if name != "dead-mans-switch":
                say(f"[{name}] {_text(message)}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _text(message: Mapping[str, Any]) -> str:
    if "attachments" in message:
        return "\n".join(f"{one['title']}\n{one['text']}" for one in message["attachments"])
    return str(message.get("payload", {}).get("summary", message.get("event_action", message)))


# Processes ---------------------------------------------------------------------------------


def tool(name: str) -> str:
    """The path of a program; ends with what to install where it is missing."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(
            f"{name} is not on PATH: apt-get install --no-install-recommends "
            "prometheus prometheus-alertmanager"
        )
    return found


@contextmanager
def process(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block; its output goes to a file."""
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - our own words only
            argv, stdout=output, stderr=output, start_new_session=True
        ) as own,
    ):
        try:
            yield own
        finally:
            own.terminate()
            try:
                own.wait(10)
            except subprocess.TimeoutExpired:
                own.kill()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    stack: ExitStack, options: argparse.Namespace, directory: Path, say: Say
) -> list[Any]:
    """Start everything; says where it is. Returns the processes."""
    speed = float(options.speed)
    programs = {name: tool(name) for name in ("prometheus", "prometheus-alertmanager")}
    ports = [free_port() for _ in range(3)] if options.free_ports else [19655, 9090, 9093]
    exporter, prometheus, alertmanager = (f"127.0.0.1:{port}" for port in ports)
    base = stack.enter_context(contact_centre(speed))
    sink = stack.enter_context(chat(say, options.messages))
    files = {
        "wolkvox.yml": exporter_config(speed, base),
        "wolkvox.rules.yml": hastened_rules(
            (DEPLOY / "prometheus/wolkvox.rules.yml").read_text(encoding="utf-8"), speed
        ),
        "prometheus.yml": json.dumps(prometheus_config(speed, exporter, alertmanager)),
        "alertmanager.yml": json.dumps(alertmanager_config(speed, sink)),
    }
    for name, text in files.items():
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text, encoding="utf-8")
    commands = {
        "exporter": (
            sys.executable, "-m", "exporter",
            f"--config.file={directory}/wolkvox.yml",
            f"--storage.path={directory}/state",
            f"--web.listen-address={exporter}",
        ),
        "alertmanager": (
            programs["prometheus-alertmanager"],
            f"--config.file={directory}/alertmanager.yml",
            f"--storage.path={directory}/alertmanager",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ),
        "prometheus": (
            programs["prometheus"],
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/prometheus",
            f"--web.listen-address={prometheus}",
            f"--query.lookback-delta={shorter('5m', speed)}",
            f"--rules.alert.resend-delay={shorter('1m', speed)}",
        ),
    }  # fmt: skip
    running = [
        stack.enter_context(process(argv, directory / f"{name}.log"))
        for name, argv in commands.items()
    ]
    for line in (
        f"exporter      http://{exporter}/",
        f"prometheus    http://{prometheus}/alerts",
        f"alertmanager  http://{alertmanager}/",
        f"simulator     {base}/",
        f"time passes {speed:g} times as fast; logs in {directory}",
        "After a minute, break it (scenarios: collapse, silence, maintenance, healthy):",
        f"  curl -X POST {base}/_simulator/scenario -d "
        '\'{"scenario": "collapse", "operation": "wv0013", "skill_id": "4173"}\'',
        "Ctrl-C ends it. What Alertmanager sends:",
    ):
        say(line)
    return running


def options(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="The whole chain of alerts on loopback.")
    parser.add_argument("--speed", type=float, default=60, help="1: in real time")
    parser.add_argument("--free-ports", action="store_true", help="not 19655, 9090 and 9093")
    parser.add_argument("--messages", type=Path, help="keep what is sent, as JSON lines")
    return parser.parse_args(argv)


def main() -> int:
    """Run until a signal, or until one of the programs ends."""
    chosen, over = options(sys.argv[1:]), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wolkvox-")))
        os.environ["PYTHONPATH"] = str(DEPLOY.parent)
        running = start(stack, chosen, directory, lambda text: print(text, flush=True))
        while not over.wait(0.5):
            for own in running:
                if own.poll() is not None:
                    name = Path(str(own.args[0])).name
                    print(f"{name} ended with {own.returncode}", file=sys.stderr)
                    for log in sorted(directory.glob("*.log")):
                        print(
                            log.name, log.read_text(encoding="utf-8")[-2000:], file=sys.stderr
                        )
                    return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
