"""What the tests of the boards share: the boards, Grafana's substitution, a real Prometheus.

The history of `dashboards_history` is made once, loaded as blocks into a Prometheus on
loopback, and asked as Grafana would ask it.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests import needs
from tests.dashboards_history import END, MIDNIGHT, SCRAPE, Weeks
from tests.dashboards_openmetrics import write_openmetrics
from tests.e2e_support import free_port, wait_for

FOLDER = Path(__file__).parents[1] / "grafana-dashboards"
NAMES = ("overview", "skill", "exporter")
LANGUAGES = {"en": FOLDER, "es": FOLDER / "es"}
Choice = Mapping[str, tuple[str, ...]]
Json = dict[str, Any]

EVERYTHING: Choice = dict.fromkeys(("job", "operation", "skill", "channel"), (".+",))
ONE: Choice = {
    "job": ("wolkvox",),
    "operation": ("acme",),
    "skill": ("Atención al cliente",),
    "channel": ("inbound",),
}
SEVERAL: Choice = {
    "job": ("wolkvox",),
    "operation": ("acme", "globex"),
    "skill": ("Ventas", "Atención al cliente", "Todas"),
    "channel": ("inbound", "chat-whatsapp"),
}
CHOICES: Mapping[str, Choice] = {"everything": EVERYTHING, "one": ONE, "several": SEVERAL}


def board(name: str, language: str = "en") -> Json:
    """A board as it is committed."""
    found: Json = json.loads((LANGUAGES[language] / f"{name}.json").read_text("utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a board and where it stands."""

    board: str
    panel: Json
    target: Json

    @property
    def name(self) -> str:
        """Board, panel title, refId."""
        return f"{self.board}/{self.panel['title']}/{self.target['refId']}"

    @property
    def expr(self) -> str:
        """The PromQL with Grafana's variables in it."""
        return str(self.target["expr"])


def targets(*names: str) -> list[Target]:
    """Every query of the boards, in English."""
    return [
        Target(name, panel, target)
        for name in names or NAMES
        for panel in board(name)["panels"]
        for target in panel.get("targets", ())
    ]


# Grafana's variables ----------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def interpolated(
    expr: str,
    choice: Choice = EVERYTHING,
    *,
    step: float = 300,
    span: float = (END - MIDNIGHT).total_seconds(),
    threshold: str = "20",
    window: str = "30m",
) -> str:
    """What Grafana sends: one value as it is, several as a group, both escaped for a regex."""
    scrape = SCRAPE.total_seconds()
    values = {name: _joined(values) for name, values in choice.items()}
    values |= {"threshold": threshold, "window": window}
    values |= {
        "__range": f"{span:.0f}s",
        "__interval": f"{step:.0f}s",
        "__rate_interval": f"{max(step + scrape, 4 * scrape):.0f}s",
    }
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)


def _joined(values: Sequence[str]) -> str:
    if tuple(values) == (".+",):
        return ".+"
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def seconds(duration: str | None, default: float) -> float:
    """`30m` in seconds."""
    if not duration:
        return default
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


# A real Prometheus ------------------------------------------------------------------------

Labels = frozenset[tuple[str, str]]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Asks a Prometheus at an address on loopback."""

    address: str

    def instant(self, expr: str, at: datetime) -> dict[Labels, float]:
        """The vector at a moment; a scalar comes without labels."""
        data = self._ask("query", query=expr, time=str(at.timestamp()))
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        return {
            frozenset(one["metric"].items()): float(one["value"][1]) for one in data["result"]
        }

    def range(
        self, expr: str, start: datetime, end: datetime, step: float
    ) -> dict[Labels, list[Point]]:
        """The curves between two moments, at multiples of the step as Grafana asks."""
        first = start.timestamp() // step * step
        data = self._ask(
            "query_range",
            query=expr,
            start=str(first),
            end=str(end.timestamp() // step * step),
            step=f"{step:g}",
        )
        return {
            frozenset(one["metric"].items()): [(float(t), float(v)) for t, v in one["values"]]
            for one in data["result"]
        }

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, path: str, **parameters: str) -> Any:
        body = urllib.parse.urlencode(parameters).encode()
        url = f"http://{self.address}/api/v1/{path}"
        try:
            with urllib.request.urlopen(url, body, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as failure:
            raise AssertionError(f"{parameters['query']}: {failure.read().decode()}") from None


def answer(store: Prometheus, target: Target, choice: Choice, at: datetime = END) -> int:
    """How many series a target gives, asked as its panel asks: of now, or over the day."""
    if target.target["instant"]:
        return len(store.instant(interpolated(target.expr, choice), at))
    least = target.target.get("interval") or target.panel.get("interval")
    step = seconds(least, 300)
    expr = interpolated(target.expr, choice, step=step)
    return len(store.range(expr, MIDNIGHT, at, step))


def load(weeks: Weeks, directory: Path) -> Path:
    """The weeks as blocks of a Prometheus: the directory of its storage."""
    blocks = directory / "tsdb"
    blocks.mkdir(exist_ok=True)
    for path in write_openmetrics(weeks, directory):
        # Long blocks: promtool reads its file once for each of them.
        long = "--max-block-duration=720h"
        create = ("tsdb", "create-blocks-from", "openmetrics", long)
        needs.run("promtool", *create, path, blocks).check_returncode()
        path.unlink()
    return blocks


@contextmanager
def prometheus(blocks: Path, directory: Path) -> Iterator[Prometheus]:
    """Debian's Prometheus over these blocks; it scrapes nothing and ends with the block."""
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    log = directory / "prometheus.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                needs.needs("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={blocks}",
                "--storage.tsdb.retention.time=20y",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            stdout=sink,
            stderr=sink,
        )
    try:
        store = Prometheus(address)
        wait_for(store.ready, f"Prometheus; its log: {log}", 60)
        yield store
    finally:
        process.terminate()
        process.wait(30)
