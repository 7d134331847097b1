"""prometheus_client's own server over the samples of a saved page, a process of its own.

`python -m benchmarks.peer PAGE PORT LANDING`: the collector hands over ready families, so
that nothing but the library's rendering and its server is measured. With LANDING 1 some
values change each second.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.processes import LOOPBACK


class Ready(Collector):
    """The families of a page, as they were read."""

    def __init__(self, page: str) -> None:
        self.families = list(text_string_to_metric_families(page))

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self.families

    def land(self) -> None:
        """Change the first sample of each family."""
        for family in self.families:
            for number, sample in enumerate(family.samples[:1]):
                family.samples[number] = sample._replace(value=sample.value + 1)


def main(page: str, port: str, landing: str) -> None:
    """Serve until killed."""
    collector = Ready(Path(page).read_text(encoding="utf-8"))
    registry = CollectorRegistry()
    registry.register(collector)
    start_http_server(int(port), LOOPBACK, registry)
    for _ in itertools.count():
        time.sleep(1.0)
        if landing == "1":
            collector.land()


if __name__ == "__main__":
    main(*sys.argv[1:])
