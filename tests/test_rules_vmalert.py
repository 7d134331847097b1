"""The rules in vmalert, which is no Prometheus: `make test-servers` brings its vmalert-tool."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import needs
from tests.rules_cases import CASES
from tests.rules_support import APART, alerts, as_tests, hastened, shipped, write_tests

pytestmark = pytest.mark.skipif(not shutil.which("vmalert-tool"), reason="vmalert-tool")

# There a rule reads what its own group has just recorded an evaluation late, and what a counter
# begins with has increased. So these scenes are minutes late, early, or at their edge.
OTHERWISE = {
    "answers_unreadable", "closing", "closing_ends_the_page", "collapse_that_one_window_shows",
    "flapping", "renamed_skill", "restarting",
}  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--external.label=site=bogota",)])
def test_what_fires_in_prometheus_fires_in_vmalert(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Every alert of the scenes of two hours and a half and less, and no other; also where
    each record has a label that what is scraped has not.
    """
    short = [one for one in CASES if one.scene.minutes <= 150 and not one.alone]
    cases = [one for one in short if one.name not in OTHERWISE]
    assert len(cases) > 20
    tests = as_tests(cases, {name: name for name in alerts() if name not in APART})
    for test in tests:
        test["metricsql_expr_test"] = test.pop("promql_expr_test")
    file = write_tests(tmp_path, hastened(shipped()), tests)
    run = needs.run("vmalert-tool", "unittest", f"--files={file}", *flags)
    assert run.returncode == 0, run.stdout + run.stderr
