"""The shipped rules as values, cases for promtool, and promtool itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from tests import needs
from tests.rules_scene import Scene

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy/prometheus/wolkvox.rules.yml"
GROUPS = [
    "wolkvox-numbers", "wolkvox-pairs", "wolkvox-sla", "wolkvox-warnings", "wolkvox-budget",
    "wolkvox-exporter", "wolkvox-month",
]  # fmt: skip
WATCHDOG = "WolkvoxWatchdog"
# Always firing, and over days: they have tests of their own.
APART = (WATCHDOG, "WolkvoxBudgetBurn", "WolkvoxMonthAtRisk")
# Last week is two hours and a half ago in hand-written scenes: promtool evaluates every minute.
WEEK = 150

# Rules ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the file; `alert` tells the two kinds apart."""

    group: str
    name: str
    alert: bool
    body: Mapping[str, Any]

    @property
    def expr(self) -> str:
        """The expression."""
        return str(self.body["expr"])

    def changed(self, **fields: Any) -> Rule:
        """The rule with other fields; None removes one."""
        body = {
            key: value for key, value in {**self.body, **fields}.items() if value is not None
        }
        return replace(self, body=body)


@cache
def shipped() -> tuple[Rule, ...]:
    """The rules as they are shipped."""
    return read_rules(RULES.read_text(encoding="utf-8"))


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a file."""
    return tuple(
        Rule(group["name"], rule.get("alert") or rule["record"], "alert" in rule, rule)
        for group in yaml.load(text, Loader=yaml.CSafeLoader)["groups"]
        for rule in group["rules"]
    )


def alerts() -> dict[str, Rule]:
    """The shipped alerts by name."""
    return {rule.name: rule for rule in shipped() if rule.alert}


def needed(rules: Sequence[Rule], alert: str) -> tuple[Rule, ...]:
    """An alert and every record that it reads, directly or not, in their order."""
    records = {rule.name: rule for rule in rules if not rule.alert}
    wanted, todo = {alert}, [rule for rule in rules if rule.name == alert]
    while todo:
        for name in re.findall(r"wolkvox:\w+(?::\w+)*", todo.pop().expr):
            if name not in wanted:
                wanted.add(name)
                todo.append(records[name])
    return tuple(rule for rule in rules if rule.name in wanted)


def hastened(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules with last week `WEEK` minutes ago, and without texts: they cost a third."""
    shorter = {
        "offset 1w": f"offset {WEEK}m",
        "offset 167h30m": f"offset {WEEK - 30}m",
    }
    made = []
    for rule in rules:
        expr = rule.expr
        for long, short in shorter.items():
            expr = expr.replace(long, short)
        made.append(rule.changed(expr=expr, annotations=None))
    return tuple(made)


def write_rules(path: Path, rules: Iterable[Rule], interval: str = "1m") -> Path:
    """Write rules as a file for Prometheus; JSON is YAML, and read much faster."""
    groups = [
        {"name": name, "interval": interval, "rules": [dict(rule.body) for rule in members]}
        for name, members in groupby(rules, key=lambda rule: rule.group)
    ]
    path.write_text(json.dumps({"groups": groups}), encoding="utf-8")
    return path


# promtool ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """So many alerts of a name fire in a minute; `where` are matchers of further labels."""

    alert: str
    minute: int
    firing: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A scene and what must come of it: no other alert may fire at any time.

    All scenes run side by side, as operations of one Prometheus, since promtool's time goes
    into evaluations and hardly into series; one that is about the job as a whole runs `alone`.
    """

    name: str
    scene: Scene
    checks: tuple[Check, ...] = ()
    alone: bool = False

    @property
    def expected(self) -> set[str]:
        """The alerts that fire at some time."""
        return {check.alert for check in self.checks if check.firing}

    def series(self) -> Iterator[dict[str, str]]:
        """The series, under names of the case's own."""
        for one in self.scene.as_input():
            name = one["series"]
            if not self.alone:
                name = _OWN.sub(rf'\1="{self.name}.', name)
            yield {"series": name, "values": one["values"] + " stale"}


_OWN = re.compile(r'\b(operation|instance|server)="')


def questions(
    cases: Sequence[Case], alert: str, name: str | None = None
) -> list[dict[str, Any]]:
    """What must be true of an alert (or of its variant `name`) in scenes that run together.

    It is asked a minute before and after as well: Prometheus 3 leaves the first sample of a
    window out, so that at a knife edge it says something else than Prometheus 2.
    """
    name = name or alert
    asked = []
    for one in cases:
        for check in one.checks:
            if check.alert == alert:
                matcher = "" if one.alone else f'=~"{one.name}[.].*"'
                firing = _firing(name, matcher, where=check.where)
                samples = [("{}", check.firing)] if check.firing else []
                end = min(check.minute + 2, one.scene.minutes)
                beside = range(max(check.minute - 1, 0), end)
                asked += [question(f"count({firing})", minute, *samples) for minute in beside]
    noisy = [one for one in cases if alert in one.expected]
    if not any(one.alone for one in noisy):
        names = "|".join(one.name for one in noisy) or "-"
        end = max(one.scene.minutes for one in cases)
        firing = _firing(name, f'!~"({names})[.].*"', f"[{end}m]")
        asked.append(question(f"count by (operation) (count_over_time({firing}))", end))
    return asked


def _firing(name: str, matcher: str, window: str = "", where: str = "") -> str:
    chosen = f'alertstate="firing",alertname="{name}"{where}'
    if not matcher:
        return f"ALERTS{{{chosen}}}{window}"
    # Alerts about a target carry no operation.
    if window:
        return f"ALERTS{{{chosen},operation{matcher},instance{matcher}}}{window}"
    return (
        f"(ALERTS{{{chosen},operation{matcher}}}"
        f' or ALERTS{{{chosen},operation="",instance{matcher}}})'
    )


def as_tests(cases: Sequence[Case], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """All cases as tests for promtool; `names` maps the alerts (or variants) to the alerts."""
    # One run for all that go together: most of the time goes into evaluating a rule at all.
    sets = [[one] for one in cases if one.alone]
    sets.append([one for one in cases if not one.alone])
    return [
        {
            "name": members[0].name if len(members) == 1 else "together",
            "interval": "1m",
            "input_series": [series for one in members for series in one.series()],
            "promql_expr_test": [
                asked
                for name, alert in names.items()
                for asked in questions(members, alert, name)
            ],
        }
        for members in sets
        if members
    ]


def question(expr: str, minute: int, *samples: tuple[str, float]) -> dict[str, Any]:
    """What an expression must answer in a minute."""
    listed = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": listed}


def write_tests(
    directory: Path,
    rules: Iterable[Rule],
    tests: Sequence[Mapping[str, Any]],
    interval: str = "1m",
) -> Path:
    """Write rules and tests on them as files for promtool; returns that of the tests."""
    directory.mkdir(parents=True, exist_ok=True)
    rule_file = write_rules(directory / "rules.yml", rules, interval)
    document = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": interval,
        "group_eval_order": GROUPS,
        "tests": list(tests),
    }
    file = directory / "tests.yml"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return file


def promtool(
    directory: Path,
    rules: Iterable[Rule],
    tests: Sequence[Mapping[str, Any]],
    interval: str = "1m",
) -> str | None:
    """Run tests on rules; None where all hold, else what promtool says."""
    file = write_tests(directory, rules, tests, interval)
    environ = {**os.environ, "GOGC": "400"}  # memory is there, time is not
    said = needs.run("promtool", "test", "rules", file, env=environ)
    return None if said.returncode == 0 else said.stdout + said.stderr


def ask(url: str, body: bytes | None = None) -> bytes:
    """GET a page of loopback, or POST JSON to it; raises OSError where that fails."""
    request = Request(url, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        text: bytes = answer.read()
    return text
