"""The proof by kills finds an exporter that forgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proof import crash
from proof.part import TINY
from tests.e2e_support import Samples
from tests.kill_support import COUNTERS, Highest

# The attempt is written once the answer has come, in the place of before the request.
FORGETFUL = """
from exporter.state.storage import Storage
Storage._write = lambda self, attempt, stored, used: None
"""


@pytest.mark.slow
def test_kills_cost_nothing(tmp_path: Path) -> None:
    """At points of writing: nothing early, nothing fallen, all exact."""
    part = crash.prove(TINY, tmp_path, lambda text: None)

    assert part.broken == ()
    killed = [row for row in part.rows if row[0] != crash.UNHARMED]
    assert len(killed) >= 2
    assert all(row[0].startswith("while ") and int(row[2]) >= 1 for row in killed)


@pytest.mark.slow
def test_an_exporter_that_forgets_its_attempts_is_found(tmp_path: Path) -> None:
    """Where an attempt is not written, the witness sees it at the request."""
    part = crash.prove(replace(TINY, kills=2), tmp_path, lambda text: None, FORGETFUL)

    assert any("not in the state" in text for text in part.broken)


def test_a_counter_that_falls_is_found() -> None:
    """Every page is compared with the highest value of all pages before."""
    highest = Highest()
    for value in (5, 7, 6):
        highest.take(Samples(f'{COUNTERS[0]}{{skill_id="1"}} {value}'))
    assert highest.fallen == 1
    assert "7, then 6" in highest.problems[0]
