"""`python -m benchmarks`: all in one run, printed as Markdown; see docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.fleets import FleetFigures, FleetPlan, fleet
from benchmarks.page import replace_run
from benchmarks.processes import BenchError
from benchmarks.scrapes import Pace, Scrapes, scrapes, sizes_in_words
from benchmarks.servers import NGINX_MISSING, nginx_binary
from benchmarks.starts import Start, starts
from benchmarks.tables import (
    LARGE,
    MIDDLE,
    SMALL,
    fleet_table,
    scrape_table,
    start_table,
    target_table,
    targets,
)

PARTS = ("scrapes", "starts", "fleet")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the rest out")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[SMALL, MIDDLE, LARGE], help="series"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="into which a load is cut")
    parser.add_argument("--fresh", type=int, default=8, help="scrapes one second apart")
    parser.add_argument("--tries", type=int, default=5, help="starts of each kind")
    parser.add_argument("--operations", type=int, default=200, help="of the fleet")
    parser.add_argument("--fleet-seconds", type=float, default=90.0, help="of the fleet")
    parser.add_argument("--fleet-warm", type=float, default=35.0, help="before it is measured")
    parser.add_argument("--fleet-interval", type=float, default=30.0, help="of its polls")
    parser.add_argument("--write", type=Path, help="put the result into this page as well")
    return parser.parse_args(argv)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def run(options: argparse.Namespace, directory: Path) -> str:
    """Measure what is asked for; returns the Markdown."""
    parts = options.only or PARTS
    lines = machine.describe()
    scraped: list[Scrapes] = []
    begun: list[Start] = []
    figures: FleetFigures | None = None
    if "starts" in parts:
        begun = starts(options.sizes, directory, options.tries, _say)
    if "scrapes" in parts:
        for series in options.sizes:
            pace = Pace(seconds=options.seconds, rounds=options.rounds, fresh=options.fresh)
            scraped += scrapes(series, directory / f"size-{series}", pace, _say)
    if "fleet" in parts:
        plan = FleetPlan(
            operations=options.operations,
            interval=options.fleet_interval,
            warm=options.fleet_warm,
            seconds=options.fleet_seconds,
        )
        figures = fleet(plan, directory, _say)
    return _page(lines, scraped, begun, figures)


def _page(
    lines: Sequence[str],
    scraped: Sequence[Scrapes],
    begun: Sequence[Start],
    figures: FleetFigures | None,
) -> str:
    page = ["\n".join(f"- {line}" for line in lines)]
    if scraped:
        text = f"### Scrapes\n\n{sizes_in_words(scraped)}"
        if nginx_binary() is None:
            text += f" Without nginx: {NGINX_MISSING}."
        page += [text, scrape_table(scraped)]
    if begun:
        page += ["### Start to the first full scrape", start_table(begun)]
    if figures is not None:
        page += ["### Fleet", fleet_table(figures)]
    page += ["### Targets", target_table(targets(scraped, begun, figures))]
    return "\n\n".join(page) + "\n"


def main() -> int:
    """Run the benchmarks; returns the exit code."""
    options = _arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as name:
        try:
            result = run(options, Path(name))
        except (BenchError, AssertionError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
    sys.stdout.write(result)
    if options.write:
        replace_run(options.write, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
