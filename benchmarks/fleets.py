"""A fleet: many operations polled at once, against an API that answers at once."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import percentile
from benchmarks.processes import PATIENCE, BenchError, python, running
from benchmarks.servers import Served, exporter_command
from benchmarks.state import Centre, configure
from tests.e2e_support import free_port, wait_for

SCRAPE_EVERY = 15.0
# The exporter times a request when it hands it to the socket; the API sees it later, and not
# always equally late.
SLACK = 0.01
_LAG = b"wolkvox_poll_lag_seconds{"
_FAILURES = b"wolkvox_api_request_failures_total{"


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """So many operations with so many skills each; times in seconds.

    The first rounds after a start, when all is due at once, are not measured: three and a half.
    """

    operations: int = 200
    skills: int = 10
    interval: float = 30.0
    warm: float = 105.0
    seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """What the API saw of the spacing, and what the exporter says of itself.

    `shortest` and `p95` are seconds between two requests of one query, `early` how many
    gaps were shorter than the interval by more than SLACK, `wasted` how many requests gave
    no answer; `lag` is the exporter's own gauge; `cpu` in cores.
    """

    plan: FleetPlan
    requests: int
    elapsed: float
    shortest: float
    p95: float
    early: int
    wasted: int
    lag: float
    cpu: float
    rss: float


def fleet(plan: FleetPlan, directory: Path) -> FleetFigures:
    """Run it, scraped like by a Prometheus; raises BenchError if no query came twice."""
    size = plan.operations, plan.skills, plan.interval
    logging.info("fleet of %s operations x %s skills, %g s", *size)
    work = directory / "fleet"
    work.mkdir(parents=True)
    api_port, port = free_port(), free_port()
    centres = [
        Centre(f"op{number}", plan.skills, plan.interval, api_port)
        for number in range(plan.operations)
    ]
    config = configure(work, centres)
    with (
        running(python("-m", "benchmarks.api", str(api_port)), directory, "api") as api,
        running(exporter_command(config, work / "state", port), directory, "exporter") as child,
    ):
        witness, served = Served(api_port, api), Served(port, child)
        wait_for(lambda: _values(served.look(), _LAG), "the fleet's first attempt", PATIENCE)
        time.sleep(plan.warm)
        witness.get(path="/_gaps")
        began, before = time.monotonic(), child.cpu()
        lags: list[float] = []
        while (left := began + plan.seconds - time.monotonic()) > 0:
            time.sleep(min(left, SCRAPE_EVERY))
            lags += _values(served.get(), _LAG)
        cpu, elapsed = child.cpu() - before, time.monotonic() - began
        gaps = json.loads(witness.get(path="/_gaps"))
        if not gaps:
            raise BenchError("no query of the fleet was asked twice")
        return FleetFigures(
            plan=plan,
            requests=len(gaps),
            elapsed=elapsed,
            shortest=min(gaps),
            p95=percentile(gaps, 0.95),
            early=sum(gap < plan.interval * (1 - SLACK) for gap in gaps),
            wasted=round(sum(_values(served.get(), _FAILURES))),
            lag=percentile(lags, 0.95),
            cpu=cpu / elapsed,
            rss=child.rss(),
        )


def _values(page: bytes, name: bytes) -> list[float]:
    lines = [line for line in page.splitlines() if line.startswith(name)]
    return [float(line.rpartition(b" ")[2]) for line in lines]
