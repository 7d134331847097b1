"""Scenes in a real Prometheus: samples as blocks, rules as range queries over the whole time.

What a record says becomes a block again, those first that others read. What Prometheus makes of
an alert's answers (`for`, `keep_firing_for`, that it reads its own ALERTS) is done here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests import needs
from tests.dashboards_support import RECORD, seconds
from tests.e2e_prometheus import serving
from tests.rules_scene import Scene
from tests.rules_support import RULES, Rule, needed, shipped

# Some midnight. Scrapes come half a minute before the rules are evaluated.
ORIGIN, BEFORE = 1_795_046_400, 30
Firing = dict[tuple[str, str, str], set[int]]  # by alert, severity and operation: the minutes


def firing(scene: Scene, names: Collection[str], directory: Path) -> Firing:
    """When the shipped alerts of these names fire."""
    wanted = {id(rule) for name in names for rule in needed(shipped(), name)}
    used = [rule for rule in shipped() if id(rule) in wanted]
    _add(directory, _scraped(scene))
    left = {rule.name: rule for rule in used if not rule.alert}
    while left:
        ready = [one for one in left.values() if not left.keys() & RECORD.findall(one.expr)]
        with _prometheus(directory) as address:
            _add(directory, _recorded(address, ready, scene.minutes))
        for rule in ready:
            del left[rule.name]
    steps = _intervals()
    found: Firing = {}
    with _prometheus(directory) as address:
        for rule in used:
            if rule.alert:
                grid = range(0, scene.minutes, steps[rule.group])
                for operation, minutes in _fires(address, rule, grid):
                    key = rule.name, rule.body["labels"]["severity"], operation
                    found.setdefault(key, set()).update(minutes)
    return found


def _intervals() -> dict[str, int]:
    """The minutes between two evaluations of each group."""
    groups = yaml.load(RULES.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["groups"]
    return {one["name"]: round(seconds(one["interval"], 0) / 60) for one in groups}


def _scraped(scene: Scene) -> Iterator[str]:
    read = " ".join(rule.expr for rule in shipped())
    for series, values in scene.series.items():
        name = series.partition("{")[0]
        if name in read:
            moved = ORIGIN if name.endswith("_timestamp_seconds") else 0
            for minute, value in enumerate(values):
                if isinstance(value, float | int):
                    yield f"{series} {value + moved!r} {ORIGIN + minute * 60 - BEFORE}\n"


def _recorded(address: str, rules: Iterable[Rule], minutes: int) -> Iterator[str]:
    for rule in rules:
        for one in _range(address, rule.expr, range(minutes)):
            labels = {key: text for key, text in one["metric"].items() if key != "__name__"}
            inner = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items())
            series = f"{rule.name}{{{inner}}}"
            yield from (f"{series} {value} {at}\n" for at, value in one["values"])


def _fires(address: str, rule: Rule, grid: range) -> Iterator[tuple[str, Iterable[int]]]:
    """The operations of which an alert is true at times, and the minutes in which it fires."""
    # It reads whether it fires itself: asked once as if it never did, once as if it always did.
    own = re.compile(rf'ALERTS{{alertname="{rule.name}",alertstate="firing"}}')
    begins, holds = (
        {
            json.dumps(one["metric"], sort_keys=True): {
                (int(at) - ORIGIN) // 60 for at, _value in one["values"]
            }
            for one in _range(address, expr, grid)
        }
        for expr in (rule.expr, own.sub("wolkvox:service_level:target", rule.expr))
    )
    for labels, held in holds.items():
        minutes = _episodes(grid, begins.get(labels, set()), held, rule.body)
        yield json.loads(labels).get("operation", ""), minutes


def _episodes(
    grid: range, begins: set[int], holds: set[int], body: Mapping[str, Any]
) -> Iterator[int]:
    """When an alert fires that is true in `begins`, and in `holds` where it fires already."""
    wait, keep = (seconds(body.get(key), 0) / 60 for key in ("for", "keep_firing_for"))
    since = gone = None
    fires = False
    for minute in grid:
        if minute in begins or (fires and minute in holds):
            since, gone = minute if since is None else since, None
            fires = fires or minute - since >= wait
        else:
            since, gone = None, minute if gone is None else gone
            fires = fires and minute - gone < keep
        if fires:
            yield minute


def _range(address: str, expr: str, grid: range) -> Sequence[Mapping[str, Any]]:
    first, last = (ORIGIN + 60 * minute for minute in (grid[0], grid[-1]))
    asked = {"query": expr, "start": first, "end": last, "step": 60 * grid.step}
    with urlopen(f"http://{address}/api/v1/query_range", urlencode(asked).encode()) as answer:
        found: Sequence[Mapping[str, Any]] = json.load(answer)["data"]["result"]
    return found


def _prometheus(directory: Path) -> AbstractContextManager[str]:
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    # A record that was not written a minute ago is gone: blocks hold no stale markers.
    flags = ("--query.lookback-delta=59s", "--storage.tsdb.retention.time=20y")
    where = f"--storage.tsdb.path={directory / 'tsdb'}"
    return serving("prometheus", directory, f"--config.file={config}", where, *flags)


def _add(directory: Path, lines: Iterable[str]) -> None:
    path = directory / "samples.om"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.write("# EOF\n")
    # Long blocks: promtool reads its file once for each of them.
    create = ("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h")
    needs.run("promtool", *create, path, directory / "tsdb").check_returncode()
