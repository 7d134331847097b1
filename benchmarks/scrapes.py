"""Scrapes of one size: the exporter, prometheus_client and nginx under the same load."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.api import CHANNELS
from benchmarks.load import Load, Order, load, pooled
from benchmarks.processes import Child, python, running
from benchmarks.servers import (
    Served,
    exporter_command,
    nginx_binary,
    nginx_command,
    serving,
)
from benchmarks.state import SERIES_PER_SKILL, Centre, configure, fill
from tests.e2e_support import free_port

EXPORTER, LIBRARY, NGINX = "exporter", "prometheus_client", "nginx"
STILL, LANDING, FRESH = "still", "landing", "fresh"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
_QUIET = 3600.0  # an interval in which nothing falls due while it is measured
_CONNECTIONS = 4
_MOST_INTERVAL = 300.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a measurement, its rounds, and the `fresh` scrapes one second apart."""

    seconds: float
    rounds: int
    fresh: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for: `series` of contact centres, `samples` on the whole page."""

    series: int
    samples: int
    gzip: bool
    state: str


@dataclass(frozen=True, slots=True)
class Scrapes:
    """One server in one case: one client after another, and several at once.

    `cpu` is the server's seconds per scrape, `rss` MiB after all of them.
    """

    case: Case
    server: str
    one: Load
    many: Load | None
    cpu: float
    rss: float


def scrapes(series: int, directory: Path, pace: Pace) -> list[Scrapes]:
    """Everything about one size; nginx is left out where it is not installed."""
    found: list[Scrapes] = []
    for state in (STILL, LANDING):
        with _servers(series, directory, state) as (samples, servers):
            for gzip in (False, True):
                logging.info("%s series, %s, gzip %s", series, state, gzip)
                case = Case(series, samples, gzip, state)
                found += _measure(case, servers, pace)
                if state == LANDING:
                    found.append(_fresh(case, servers[EXPORTER], pace))
    return found


@contextmanager
def _servers(
    series: int, directory: Path, state: str
) -> Iterator[tuple[int, dict[str, Served]]]:
    """All servers at once, with the samples on their page; nginx only where nothing lands."""
    with ExitStack() as stack:
        enter, landing = stack.enter_context, state == LANDING
        served = enter(_polling(series, directory, landing=landing))
        served.get(gzip=True, accept=OPENMETRICS)  # memory is to hold both formats
        plain, packed, page = served.get(), served.get(gzip=True), directory / "page.txt"
        page.write_bytes(plain)
        samples = sum(not line.startswith(b"#") for line in plain.splitlines())
        port = free_port()
        peer = python("-m", "benchmarks.peer", str(page), str(port), str(int(landing)))
        servers = {EXPORTER: served, LIBRARY: enter(serving(peer, port, directory, LIBRARY))}
        if not landing and nginx_binary() is not None:
            port = free_port()
            command = nginx_command(directory, port, plain, packed)
            servers[NGINX] = enter(serving(command, port, directory, NGINX))
        yield samples, servers


@contextmanager
def _polling(series: int, directory: Path, *, landing: bool) -> Iterator[Served]:
    """An exporter with that many series; with `landing`, one result or more a second."""
    skills = max(1, series // SERIES_PER_SKILL)
    interval = min(_MOST_INTERVAL, float(max(skills, 2))) if landing else _QUIET
    centre = Centre("acme", skills, interval, free_port())
    work = directory / f"{series}-{'landing' if landing else 'still'}"
    work.mkdir(parents=True)
    config = configure(work, [centre])
    with running(python("-m", "benchmarks.api", str(centre.api_port)), directory, "api"):
        fill(work / "state", centre, landing=landing)
        port, samples = free_port(), skills * SERIES_PER_SKILL
        command = exporter_command(config, work / "state", port)
        with serving(command, port, directory, EXPORTER, samples) as served:
            yield served


def _measure(case: Case, servers: Mapping[str, Served], pace: Pace) -> Iterator[Scrapes]:
    """One client, then four; the servers take turns, so that they share what else goes on."""
    rounds: dict[str, list[tuple[Load, float, Load]]] = {name: [] for name in servers}
    for _ in range(pace.rounds):
        for name, served in servers.items():
            served.get(gzip=case.gzip)
            order = Order(served.port, case.gzip, pace.seconds / pace.rounds, fewest=2)
            many = replace(order, connections=_CONNECTIONS, fewest=1)
            one, cpu = _with_cpu(served.child, order)
            rounds[name].append((one, cpu, load(many, served.child.log.parent)))
    for name, served in servers.items():
        ones, cpus, manies = zip(*rounds[name], strict=True)
        one = pooled(ones)
        cpu, rss = sum(cpus) / len(one.times), served.child.rss()
        yield Scrapes(case, name, one, pooled(manies), cpu, rss)


def _fresh(case: Case, served: Served, pace: Pace) -> Scrapes:
    """Scrapes so far apart that each finds something new."""
    order = Order(served.port, case.gzip, float(pace.fresh), pause=1.0, fewest=1)
    one, cpu = _with_cpu(served.child, order)
    rss = served.child.rss()
    return Scrapes(replace(case, state=FRESH), EXPORTER, one, None, cpu / len(one.times), rss)


def _with_cpu(child: Child, order: Order) -> tuple[Load, float]:
    before = child.cpu()
    done = load(order, child.log.parent)
    return done, child.cpu() - before


def sizes_in_words(found: Sequence[Scrapes]) -> str:
    """What the sizes mean, for the reader of the table."""
    sizes = sorted({(row.case.series, row.case.samples) for row in found})
    on_page = ", ".join(f"{samples:,} at {series:,}" for series, samples in dict(sizes).items())
    return (
        f"{SERIES_PER_SKILL} series a skill ({len(CHANNELS)} channels), text format; samples "
        f"on the page with those about the exporter: {on_page}."
    )
