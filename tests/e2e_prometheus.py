"""A real Prometheus on loopback, and its tools."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e_support import PATIENCE, Labels, fetch, free_port, wait_for
from tests.needs import needs

_CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: wolkvox
    static_configs: [{{targets: {targets}}}]
"""


@dataclass
class Prometheus:
    """One running server; labels that answers are given without."""

    address: str
    hidden: Set[str] = frozenset({"__name__", "instance", "job"})

    def query(self, expression: str, at: float | None = None) -> dict[Labels, float]:
        """An instant query; the series' labels."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        data = self._ask("query", query=expression, **when)
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        return {self._labels(one): float(one["value"][1]) for one in data["result"]}

    def curves(
        self, expression: str, start: datetime, end: datetime, step: float
    ) -> dict[Labels, list[tuple[float, float]]]:
        """The curves between two moments, at multiples of the step as Grafana asks."""
        first, last = (at.timestamp() // step * step for at in (start, end))
        span = {"start": str(first), "end": str(last), "step": f"{step:g}"}
        data = self._ask("query_range", query=expression, **span)
        return {
            self._labels(one): [(float(t), float(v)) for t, v in one["values"]]
            for one in data["result"]
        }

    def _ask(self, path: str, **parameters: str) -> Any:
        answer = json.loads(fetch(self.address, f"/api/v1/{path}?{urlencode(parameters)}").text)
        assert answer["status"] == "success", answer
        return answer["data"]

    def _labels(self, series: Mapping[str, Any]) -> Labels:
        named = series["metric"].items()
        return frozenset((name, text) for name, text in named if name not in self.hidden)

    def number(self, expression: str, at: float | None = None) -> float | None:
        """The one value of a query, None where there is none."""
        found = list(self.query(expression, at).values())
        assert len(found) <= 1, found
        return found[0] if found else None

    def scraped_since(self, at: float) -> bool:
        """Whether every target was scraped, and that successfully, after a moment."""
        stamps = self.query("timestamp(up == 1)")
        return bool(stamps) and min(stamps.values()) > at


@contextlib.contextmanager
def serving(program: str, directory: Path, *flags: str) -> Iterator[str]:
    """Run a Prometheus or an Alertmanager, with its log in a folder; its address."""
    address, log = f"127.0.0.1:{free_port()}", directory / f"{program}.log"
    command = [needs(program), f"--web.listen-address={address}", "--log.level=warn", *flags]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as own,
    ):

        def ready() -> bool:
            assert own.poll() is None, log.read_text(encoding="utf-8")
            with contextlib.suppress(OSError):
                return fetch(address, "/-/ready").status == 200
            return False

        try:
            wait_for(ready, program, 60)
            yield address
        finally:
            own.kill()
            own.wait(PATIENCE)


@contextlib.contextmanager
def prometheus(directory: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes these addresses, with its data in a folder.

    More often than the exporter polls in tests, as in real life: a channel that joins shows
    0 from one poll to the next, and an increase that begins without it is less than the truth.
    """
    config, data = directory / "prometheus.yml", directory / "prometheus"
    config.write_text(_CONFIG.format(targets=json.dumps(list(targets))), encoding="utf-8")
    flags = (f"--config.file={config}", f"--storage.tsdb.path={data}")
    with serving("prometheus", directory, *flags, "--query.lookback-delta=10s") as address:
        yield Prometheus(address)
