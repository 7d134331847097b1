"""The benchmarks: that they run and print their tables; no time is asserted."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from benchmarks.page import BEGIN, END
from benchmarks.tables import Target, target_table

TINY = {
    "--sizes": "54",
    "--seconds": "0.1",
    "--fresh": "1",
    "--rounds": "1",
    "--tries": "1",
    "--operations": "2",
    "--fleet-interval": "1",
    "--fleet-warm": "0.1",
    "--fleet-seconds": "2.5",
}


@pytest.mark.slow
def test_small_run_prints_every_table(tmp_path: Path) -> None:
    """Each server, start and fleet has its line, and a page gets the result in its place."""
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *chain(*TINY.items()), "--write", str(page)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    for state in ("still", "results land", "1 scrape/s, results land"):
        assert f"| 54 gzip, {state} | exporter |" in done.stdout
    assert "| 54 identity, still | prometheus_client |" in done.stdout
    assert "| 54 identity, still | nginx |" in done.stdout or "nginx is not" in done.stdout
    for line in ("54 series restored", "demo", "20 (2 operations x 10 skills)", "fleet: CPU"):
        assert line in done.stdout
    written = page.read_text(encoding="utf-8")
    assert done.stdout in written
    assert written.startswith(f"before\n{BEGIN}")
    assert written.endswith(f"{END}after\n")


def test_targets_that_are_missed_stand_out() -> None:
    """A bound from above and one from below, one reached and one not."""
    table = target_table(
        [
            Target("speed", 50.0, 97.1, least=True, unit=" times"),
            Target("memory", 80.0, 81.0, least=False, unit=" MiB"),
        ]
    )

    assert "| speed | yes | ≥ 50 times | 97.10 times |" in table
    assert "| memory | **no** | ≤ 80 MiB | 81.00 MiB |" in table
