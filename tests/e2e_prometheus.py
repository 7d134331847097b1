"""A real Prometheus on loopback, and its tools."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    """One running server."""

    address: str

    def query(self, expression: str, at: float | None = None) -> dict[Labels, float]:
        """An instant query; the series' labels without those of the target."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        asked = urlencode({"query": expression, **when})
        answer = json.loads(fetch(self.address, f"/api/v1/query?{asked}").text)
        assert answer["status"] == "success", answer
        return {
            frozenset(
                (name, text)
                for name, text in series["metric"].items()
                if name not in {"__name__", "instance", "job"}
            ): float(series["value"][1])
            for series in answer["data"]["result"]
        }

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
def prometheus(directory: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes these addresses, with its data in a folder.

    More often than the exporter polls in tests, as in real life: a channel that joins shows
    0 from one poll to the next, and an increase that begins without it is less than the truth.
    """
    config = directory / "prometheus.yml"
    config.write_text(_CONFIG.format(targets=json.dumps(list(targets))), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    log = directory / "prometheus.log"
    command = [
        needs("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={address}",
        "--query.lookback-delta=10s",
        "--log.level=warn",
    ]
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
            wait_for(ready, "Prometheus")
            yield Prometheus(address)
        finally:
            own.kill()
            own.wait(PATIENCE)
