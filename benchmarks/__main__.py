"""`python -m benchmarks`: all in one run, printed as Markdown; see docs/performance.md."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, tables
from benchmarks.fleets import FleetPlan, fleet
from benchmarks.page import replace_run
from benchmarks.processes import BenchError
from benchmarks.scrapes import Pace, scrapes, sizes_in_words
from benchmarks.servers import NGINX_MISSING, nginx_binary
from benchmarks.starts import starts

PARTS = ("scrapes", "starts", "fleet")
SIZES = (tables.SMALL, tables.MIDDLE, tables.LARGE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the rest out")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="series")
    parser.add_argument("--write", type=Path, help="put the result into this page as well")
    for name, default, words in (
        ("seconds", 3.0, "of each load"),
        ("rounds", 3, "into which a load is cut"),
        ("fresh", 8, "scrapes one second apart"),
        ("tries", 5, "starts of each kind"),
        ("operations", 200, "of the fleet"),
        ("fleet-seconds", 90.0, "of the fleet"),
        ("fleet-warm", 105.0, "before it is measured"),
        ("fleet-interval", 30.0, "of its polls"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=words)
    return parser.parse_args()


def run(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """Measure what is asked for; the parts of the page in Markdown."""
    parts = options.only or PARTS
    yield "\n".join(f"- {line}" for line in machine.describe())
    begun = starts(options.sizes, directory, options.tries) if "starts" in parts else []
    scraped, figures = [], None
    if "scrapes" in parts:
        pace = Pace(options.seconds, options.rounds, options.fresh)
        for series in options.sizes:
            scraped += scrapes(series, directory / f"size-{series}", pace)
        missing = "" if nginx_binary() else f" Without nginx: {NGINX_MISSING}."
        yield f"### Scrapes\n\n{sizes_in_words(scraped)}{missing}"
        yield tables.scrape_table(scraped)
    if begun:
        yield "### Start to the first full scrape"
        yield tables.start_table(begun)
    if "fleet" in parts:
        plan = FleetPlan(
            options.operations,
            interval=options.fleet_interval,
            warm=options.fleet_warm,
            seconds=options.fleet_seconds,
        )
        figures = fleet(plan, directory)
        yield "### Fleet"
        yield tables.fleet_table(figures)
    yield "### Targets"
    yield tables.target_table([*tables.targets(scraped, begun, figures)])


def main() -> int:
    """Run the benchmarks; returns the exit code."""
    options = _arguments()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    with tempfile.TemporaryDirectory(prefix="wolkvox-bench-") as name:
        try:
            result = "\n\n".join(run(options, Path(name))) + "\n"
        except (BenchError, AssertionError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
    sys.stdout.write(result)
    if options.write:
        replace_run(options.write, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
