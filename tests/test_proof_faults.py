"""The proof's part `faults` finds what is broken, and misses no reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import Reason
from proof.faults import matrix
from proof.faults_catalogue import Group, groups, single_faults
from proof.faults_trial import Event, trial
from tests.e2e_support import Nursery

pytestmark = pytest.mark.usefixtures("linux")


@pytest.fixture(scope="module")
def own_nursery() -> Iterator[Nursery]:
    """Starts processes, and ends them all."""
    made = Nursery()
    yield made
    made.close()


@pytest.mark.slow
def test_the_matrix_holds(tmp_path: Path, own_nursery: Nursery) -> None:
    """Every fault of a server has its row, every reason a fault, and all of it holds."""
    reasons = {fault.reason for group in groups() for fault in group.faults}
    assert set(Reason) - reasons == {Reason.INTERNAL}  # its own defects
    plots = matrix(groups())
    result = trial(
        tmp_path / "matrix", own_nursery, Event.NOTHING, plots, strict=False, each=True
    )

    assert result.broken == []
    assert {plot.title for plot in plots} - {row[0] for row in result.rows} <= {
        "name that does not resolve (.invalid)"  # where no mount is allowed
    }


# A reason that is wrong, a slot that comes too early, a token in the log; a state that is in
# memory only, so that nothing notices a full disk.
BROKEN = """
from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.polling.limits import Limits
from exporter.wolkvox import answer
answer._BY_STATUS[403] = Reason.HTTP
Limits.slot = lambda self, started, interval, now: started + interval / 2
SECRETS.scrub = lambda text: text + " 7bc0ffee12"
import sqlite3
real = sqlite3.connect
sqlite3.connect = lambda path, **settings: path.touch() or real(":memory:", **settings)
"""


@pytest.mark.slow
def test_a_trial_finds_what_is_broken(tmp_path: Path, own_nursery: Nursery) -> None:
    """An exporter with four defects is found to have each of them."""
    chosen = [fault for fault in single_faults() if fault.name == "403 maintenance"]
    plots = matrix([Group(fault.name, (fault,)) for fault in chosen])

    work = tmp_path / "disk"
    result = trial(work, own_nursery, Event.DISK, plots, strict=False, prelude=BROKEN)

    told = "\n".join(result.broken)
    assert "counted as {'http'" in told
    assert "was asked too often" in told
    assert "a piece of a token" in told
    assert "requests left" in told
    assert "storage_writable is not 0" in told
