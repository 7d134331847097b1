"""The rules in vmalert, which is no Prometheus: `make test-servers` brings its vmalert-tool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import needs
from tests.rules_cases import CASES
from tests.rules_support import (
    APART,
    GROUPS,
    alerts,
    as_tests,
    hastened,
    needed,
    shipped,
    write_rules,
)

pytestmark = pytest.mark.skipif(not shutil.which("vmalert-tool"), reason="vmalert-tool")

# There a rule reads what its own group has just recorded an evaluation late, and what a counter
# begins with has increased. So these scenes are minutes late, early, or at their edge.
OTHERWISE = {
    "answers_unreadable", "closing", "closing_ends_the_page", "collapse_that_one_window_shows",
    "flapping", "renamed_skill", "restarting",
}  # fmt: skip


def verdict_of(names: set[str], directory: Path, *flags: str, alert: str = "") -> str:
    """What vmalert-tool says of all alerts in scenes, or of one; empty where all is well."""
    rules = hastened(shipped())
    rules = needed(rules, alert) if alert else rules
    cases = [one for one in CASES if one.name in names]
    judged = {alert} if alert else {*alerts()} - {*APART}
    tests = as_tests(cases, {name: name for name in judged})
    for test in tests:
        test["metricsql_expr_test"] = test.pop("promql_expr_test")
    groups = {rule.group for rule in rules}
    document = {
        "rule_files": [str(write_rules(directory / "rules.yml", rules))],
        "evaluation_interval": "1m",
        "group_eval_order": [name for name in GROUPS if name in groups],
        "tests": tests,
    }
    file = directory / "tests.yml"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    run = needs.run("vmalert-tool", "unittest", f"--files={file}", *flags)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def test_what_fires_in_prometheus_fires_in_vmalert(tmp_path: Path) -> None:
    """Every alert of the scenes of two hours and a half and less, and no other."""
    short = {one.name for one in CASES if one.scene.minutes <= 150 and not one.alone}
    assert len(short - OTHERWISE) > 20
    assert verdict_of(short - OTHERWISE, tmp_path) == ""


def test_a_label_on_every_record_blinds_no_page(tmp_path: Path) -> None:
    """`-external.label` puts it on records and not on what is scraped."""
    names = {"collapse_of_a_small_queue", "half_late_of_few", "ten_bad_minutes_after_a_rush"}
    flags = ("--external.label=site=bogota",)
    assert not verdict_of(names, tmp_path, *flags, alert="WolkvoxServiceLevelCollapse")
