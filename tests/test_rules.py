"""The rules as promtool sees them: their form, and every alert in hand-written scenes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests import needs
from tests.rules_cases import CASES
from tests.rules_scene import PAIR, Scene
from tests.rules_support import (
    APART,
    ROOT,
    Case,
    Rule,
    alerts,
    as_tests,
    hastened,
    needed,
    promtool,
    question,
    shipped,
)

# Dashboards, routes and habits are built on these names.
NAMES = {
    "WolkvoxServiceLevelBelowTarget": ("10m", "warning", "service_level"),
    "WolkvoxServiceLevelCollapse": ("0m", "critical", "service_level"),
    "WolkvoxSmallQueueBelowTarget": ("4m", "warning", "service_level"),
    "WolkvoxServiceLevelDayBreached": ("15m", "info", "service_level"),
    "WolkvoxAbandonmentHigh": ("10m", "warning", "abandonment"),
    "WolkvoxAnswerSlow": ("15m", "warning", "asa"),
    "WolkvoxNobodyAnswers": ("5m", "critical", "answering"),
    "WolkvoxTrafficVanished": ("15m", "warning", "traffic"),
    "WolkvoxOperationTrafficVanished": ("15m", "warning", "traffic"),
    "WolkvoxTrafficLost": ("15m", "warning", "traffic"),
    "WolkvoxTrafficSpike": ("10m", "info", "traffic"),
    "WolkvoxExporterDown": ("5m", "critical", "exporter"),
    "WolkvoxExporterAbsent": ("10m", "critical", "exporter"),
    "WolkvoxDataStale": ("5m", "critical", "data"),
    "WolkvoxOperationStale": ("5m", "critical", "data"),
    "WolkvoxBucketsMissing": ("15m", "critical", "data"),
    "WolkvoxBudgetBurn": ("0m", "warning", "budget"),
    "WolkvoxMonthAtRisk": ("10m", "warning", "month"),
    "WolkvoxTokenRejected": ("5m", "critical", "token"),
    "WolkvoxApiFailing": ("10m", "warning", "api"),
    "WolkvoxQuotaLow": ("10m", "warning", "quota"),
    "WolkvoxQuotaPredicted": ("15m", "warning", "quota"),
    "WolkvoxQuotaExhausted": ("0m", "critical", "quota"),
    "WolkvoxAnswerUnreadable": ("10m", "warning", "data"),
    "WolkvoxDataInconsistent": ("15m", "warning", "data"),
    "WolkvoxSkillWithoutTarget": ("1h", "info", "target"),
    "WolkvoxPollLate": ("15m", "warning", "data"),
    "WolkvoxConfigReloadFailed": ("5m", "warning", "config"),
    "WolkvoxExporterRestarting": ("0m", "warning", "exporter"),
    "WolkvoxWatchdog": ("0m", "none", "watchdog"),
}
# Those whose value is 1 or 0, whatever happens.
SPEAK_FOR_THEMSELVES = {
    "WolkvoxSkillWithoutTarget", "WolkvoxExporterDown", "WolkvoxExporterAbsent",
    "WolkvoxTokenRejected", "WolkvoxQuotaExhausted", "WolkvoxConfigReloadFailed",
    "WolkvoxWatchdog",
}  # fmt: skip
RUNBOOK = "{{ $externalLabels.runbook_url }}/README.md#"
BOARD = re.compile(r"\{\{ \$externalLabels\.grafana_url \}\}/d/(wolkvox-\w+)(\?\S.*)?")


def test_messages_read_as_they_should() -> None:
    """A committed few: labels and annotations of firing alerts, word for word."""
    file = ROOT / "tests/data/rules/messages.test.yml"
    run = needs.run("promtool", "test", "rules", file.name, cwd=file.parent)

    assert run.returncode == 0, run.stdout + run.stderr


# Hand-written scenes --------------------------------------------------------------------------


def verdict_of(
    cases: Sequence[Case], rules: Iterable[Rule], directory: Path, interval: str = "1m"
) -> str:
    """What promtool says of scenes; empty where all is as it must be."""
    names = {name: name for name in alerts() if name not in APART}
    tests = as_tests(cases, names)
    end = max(one.scene.minutes for one in cases)
    for test in tests:
        nameless = f'ALERTS{{skill_id!="",skill=""}}[{end}m]'
        test["promql_expr_test"].append(question(f"count_over_time({nameless})", end))
    return promtool(directory, rules, tests, interval) or ""


def shortest() -> list[Case]:
    """Few and short scenes in which every alert fires once."""
    missing, found = set(alerts()) - {*APART}, []
    for one in sorted(CASES, key=lambda one: one.scene.minutes):
        if one.expected & missing:
            missing -= one.expected
            found.append(one)
    for one in found[:]:
        others = [case.expected for case in found if case is not one]
        if one.expected <= set().union(*others):
            found.remove(one)
    return found


def test_every_alert_fires_in_a_scene_and_in_no_other(tmp_path: Path) -> None:
    """The shortest scenes of all; the long ones with the rules of their own alerts alone."""
    # Every two minutes will do for these: the slow tests look at every one.
    rules = [
        rule.changed(expr=rule.expr.replace("[1h]) > 50", "[1h]) > 25"))
        for rule in hastened(shipped())
    ]
    for least, most in ((0, 100), (101, 200), (201, 999)):
        cases = [one for one in shortest() if least <= one.scene.minutes <= most]
        read = [needed(rules, name) for one in cases for name in one.expected]
        theirs = [rule for rule in rules if least == 0 or any(rule in some for some in read)]

        assert verdict_of(cases, theirs, tmp_path, "2m") == "", most


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool says of all scenes together."""
    return verdict_of(CASES, hastened(shipped()), tmp_path_factory.mktemp("rules"))


@pytest.mark.slow
def test_every_scene(verdict: str) -> None:
    """What fires in a scene is what must fire."""
    blocks = verdict.split("    expr: ")
    for one in CASES:
        noted = (f"{one.name}[.]", f'"{one.name}.')
        assert not [block for block in blocks if any(part in block for part in noted)], one.name


@pytest.mark.slow
def test_nothing_else_fires(verdict: str) -> None:
    """No other alert fires in any scene, and each alert on a skill carries its name."""
    assert verdict == ""


def test_every_alert_is_tried() -> None:
    """Each alert fires in some scene."""
    for name in alerts().keys() - {*APART}:
        assert any(name in one.expected for one in CASES), name


# Over days, every ten minutes ----------------------------------------------------------------

STEPS = 3 * 144 + 36


def _days(scene: Scene, operation: str, late: Sequence[float], opened: Sequence[float]) -> None:
    """Add a queue of 40 in each ten minutes, `late` of which are late."""
    who = PAIR | {"operation": operation}
    query = {key: who[key] for key in ("operation", "skill_id", "skill")}
    scene.constant("wolkvox_up", 1, **query)
    scene.constant("wolkvox_query_interval_seconds", 600, **query)
    polled = [600.0 * step for step in range(STEPS)]
    scene.add("wolkvox_last_success_timestamp_seconds", polled, **query)
    offered = [40.0 * step for step in range(STEPS)]
    within = [one - sum(late[:step]) for step, one in enumerate(offered)]
    scene.pair({"offered": offered, "within": within}, operation=operation)
    scene.targets(opened=[*opened], operation=operation)


@pytest.mark.slow
def test_the_budget_is_judged_by_six_hours_and_three_days(tmp_path: Path) -> None:
    """Late at three times the allowance for 6 hours, or above it for 3 days, while open."""
    scene = Scene(STEPS)
    always, by_day = [1.0] * STEPS, [float(step // 36 % 2) for step in range(STEPS)]
    fine, bad, worse = 4.0, 9.0, 30.0
    _days(scene, "fine", [fine] * STEPS, always)
    _days(scene, "slow", [bad] * STEPS, always)
    _days(scene, "fast", [fine] * (STEPS - 37) + [worse] * 37, always)
    _days(scene, "brief", [fine] * (STEPS - 18) + [worse] * 18, always)
    _days(scene, "young", [0.0] * (STEPS - 12) + [worse] * 12,
          [0.0] * (STEPS - 12) + [1.0] * 12)  # fmt: skip
    _days(scene, "nights", [fine if one else worse for one in by_day], by_day)
    burning = 'ALERTS{alertname="WolkvoxBudgetBurn",alertstate="firing"}'
    labels = '{{operation="{}", route="ticket", severity="warning", window="{}"}}'
    asked = question(
        f"count by (operation, window, route, severity) ({burning})",
        (STEPS - 1) * 10,
        (labels.format("fast", "6h"), 1),
        (labels.format("slow", "3d"), 1),
    )
    test = {
        "interval": "10m",
        "input_series": scene.as_input(),
        "promql_expr_test": [asked],
    }

    rules = needed(shipped(), "WolkvoxBudgetBurn")

    assert promtool(tmp_path, rules, [test], interval="10m") is None


# What an alert tells --------------------------------------------------------------------------


def test_the_alerts_are_these() -> None:
    """Names, waiting times, severities and indicators are what others rely on."""
    found = {
        name: (rule.body["for"], rule.body["labels"]["severity"], rule.body["labels"]["sli"])
        for name, rule in alerts().items()
    }

    assert found == NAMES


def test_each_says_who_and_how_much() -> None:
    """Summary and description name what the alert is about and tell the value, humanised."""
    for rule in alerts().values():
        notes = rule.body["annotations"]
        of_a_pair = "/wolkvox-skill?" in notes["dashboard_url"]
        wanted = ("operation",) if "operation" in rule.expr else ()
        for text in (notes["summary"], notes["description"]):
            for label in ("operation", "skill", "type_interaction") if of_a_pair else wanted:
                assert f"$labels.{label} " in text, rule.name
            assert "\n" not in text, rule.name
        valued = "$value" in notes["summary"] + notes["description"]
        assert ("value" in notes) == valued, rule.name
        assert valued != (rule.name in SPEAK_FOR_THEMSELVES), rule.name


def test_each_has_a_runbook() -> None:
    """Its link leads to a heading of its own, in English and in Spanish, with four parts."""
    for page in ("README.md", "es.md"):
        text = (ROOT / "docs/runbooks" / page).read_text(encoding="utf-8")
        found = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        parts = dict(found)
        assert parts.keys() == NAMES.keys(), page  # none is left over from one that is gone
        assert len(found) == len(parts), page
        for rule in alerts().values():
            assert rule.body["annotations"]["runbook_url"] == RUNBOOK + rule.name.lower()
            headings = re.findall(r"^\*\*[^*]+\.\*\* ", parts[rule.name], re.MULTILINE)
            assert len(headings) == 4, rule.name


def test_each_has_a_dashboard() -> None:
    """Its link leads to a board, with the variables filled from the labels."""
    meant = {"skill": "skill", "channel": "type_interaction", "threshold": "threshold_seconds"}
    for rule in alerts().values():
        match = BOARD.fullmatch(rule.body["annotations"]["dashboard_url"])
        assert match is not None, rule.name
        inside = r"var-(\w+)=\{\{ urlquery \$labels\.(\w+) \}\}"
        filled = dict(re.findall(inside, match[2] or ""))
        assert all(meant.get(name, name) == label for name, label in filled.items()), rule.name
        if match[1] == "wolkvox-skill":
            assert filled.keys() >= {"job", "operation", "skill", "channel"}, rule.name


def test_only_metrics_of_the_exporter_are_read() -> None:
    """Every metric in an expression stands in the table of metrics."""
    from exporter.metrics.families import TABLE

    known = {family.name for family in TABLE}
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "count", "sum")}
    words = {
        word
        for rule in shipped()
        for word in re.findall(r"\b(wolkvox_\w+|process_\w+)\b(?!:)", rule.expr)
    }

    assert words - known - {"process_start_time_seconds"} == set()
