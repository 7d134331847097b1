"""What the tests of the boards share: the boards, Grafana's substitution, a real Prometheus.

The history of `dashboards_history` is made once, loaded as blocks into a Prometheus on
loopback, and asked as Grafana would ask it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tests import needs
from tests.dashboards_history import DAYS_BACK, DETAIL, END, LAST_WEEK, MIDNIGHT, SCRAPE, Weeks
from tests.dashboards_openmetrics import write_openmetrics
from tests.e2e_prometheus import Prometheus, serving

FOLDER = Path(__file__).parents[1] / "grafana-dashboards"
NAMES = ("overview", "skill", "exporter")
LANGUAGES = {"en": FOLDER, "es": FOLDER / "es"}
Choice = Mapping[str, tuple[str, ...]]
Json = dict[str, Any]

EVERYTHING: Choice = {
    "job": (".+",),
    **dict.fromkeys(("operation", "skill", "channel"), (".*",)),
}
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


def alert_queries() -> dict[str, dict[str, str]]:
    """The PromQL of each of Grafana's own alert rules, by its title and refId."""
    path = FOLDER.parent / "deploy/grafana/alerting/rules.yml"
    (group,) = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return {
        rule["title"]: {
            one["refId"]: one["model"]["expr"]
            for one in rule["data"]
            if one["datasourceUid"] != "__expr__"
        }
        for rule in group["rules"]
    }


# Grafana's variables ----------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def interpolated(
    expr: str,
    choice: Choice = EVERYTHING,
    *,
    step: float = 300,
    span: float = (END - MIDNIGHT).total_seconds(),
    threshold: str = "20",
) -> str:
    """What Grafana sends: one value as it is, several as a group, both escaped for a regex."""
    scrape = SCRAPE.total_seconds()
    values = {name: _joined(values) for name, values in choice.items()}
    values |= {"threshold": threshold}
    values |= {
        "__range": f"{span:.0f}s",
        "__interval": f"{step:.0f}s",
        "__rate_interval": f"{max(step + scrape, 4 * scrape):.0f}s",
    }
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)


def _joined(values: Sequence[str]) -> str:
    if tuple(values) in {(".+",), (".*",)}:
        return values[0]
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def seconds(duration: str | None, default: float) -> float:
    """`30m` in seconds."""
    if not duration:
        return default
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


# A real Prometheus ------------------------------------------------------------------------


def answer(store: Prometheus, target: Target, choice: Choice, at: datetime = END) -> int:
    """How many series a target gives, asked as its panel asks: of now, or over the day."""
    if target.target["instant"]:
        return len(store.query(interpolated(target.expr, choice), at.timestamp()))
    least = target.target.get("interval") or target.panel.get("interval")
    step = seconds(least, 300)
    expr = interpolated(target.expr, choice, step=step)
    return len(store.curves(expr, MIDNIGHT, at, step))


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
    add_records(blocks, directory)
    return blocks


def add_records(blocks: Path, directory: Path) -> None:
    """What the rules would have recorded, of the records that the boards read.

    A round for each depth of records that read records, since promtool asks a server.
    """
    rules = recording_rules()
    wanted = _closure(rules, (n for one in targets() for n in RECORD.findall(one.expr)))
    # What is expected, and what the last week was, read records of then.
    weekly = _closure(rules, ("wolkvox:shown:offered",))
    within = _closure(rules, ("wolkvox:within:offered",)) - weekly
    done: set[str] = set()
    while wanted - done:
        ready = {n for n in wanted - done if set(RECORD.findall(rules[n])) <= done}
        with prometheus(blocks, directory) as store:
            for kept, span, step in (
                (ready & weekly, (DAYS_BACK, DETAIL), "5m"),
                (ready & within, LAST_WEEK, "5m"),
                (ready, (DETAIL, END), "1m"),
            ):
                _evaluate(blocks, directory, store, {n: rules[n] for n in kept}, span, step)
        done |= ready


def _closure(rules: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """The records, and those that they read."""
    found: set[str] = set()
    queue = set(names)
    while queue:
        found |= queue
        queue = {n for name in queue for n in RECORD.findall(rules[name])} - found
    return found


RECORD = re.compile(r"\bwolkvox:[a-z0-9_:]+")


def recording_rules() -> dict[str, str]:
    """The expression of each record of the shipped rules."""
    path = FOLDER.parent / "deploy/prometheus/wolkvox.rules.yml"
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return {one["record"]: one["expr"] for g in groups for one in g["rules"] if "record" in one}


def _evaluate(
    blocks: Path,
    directory: Path,
    store: Prometheus,
    rules: Mapping[str, str],
    span: tuple[datetime, datetime],
    step: str,
) -> None:
    """Write these records between two moments as blocks."""
    if not rules:
        return
    listed = [{"record": name, "expr": expr} for name, expr in rules.items()]
    group = {"name": "records", "interval": step, "rules": listed}
    file = directory / "records.yml"
    file.write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    start, end = (at.timestamp() for at in span)
    when = (f"--start={start:.0f}", f"--end={end:.0f}", f"--eval-interval={step}")
    where = (f"--url=http://{store.address}", f"--output-dir={blocks}")
    create = ("tsdb", "create-blocks-from", "rules", *when, *where)
    needs.run("promtool", *create, file).check_returncode()


@contextmanager
def prometheus(blocks: Path, directory: Path) -> Iterator[Prometheus]:
    """Debian's Prometheus over these blocks; it scrapes nothing and ends with the block."""
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    kept = (f"--storage.tsdb.path={blocks}", "--storage.tsdb.retention.time=20y")
    with serving("prometheus", directory, f"--config.file={config}", *kept) as address:
        yield Prometheus(address)
