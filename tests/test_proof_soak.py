"""The proof by a long run finds what drifts or grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.polling.limits import Limits
from proof import soak, soak_days, soak_minutes
from proof.part import TINY
from proof.soak_days import Days
from proof.soak_line import fit
from proof.soak_minutes import Minutes

pytestmark = pytest.mark.usefixtures("linux")


@pytest.mark.slow
def test_a_short_run_holds(tmp_path: Path) -> None:
    """A virtual day and a few real seconds: nothing is broken."""
    part = soak.prove(TINY, tmp_path, lambda text: None)
    assert part.broken == ()
    assert {len(row) for row in part.rows} == {len(part.header)}


@pytest.mark.slow
def test_an_exporter_that_asks_too_early_is_found(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a slot comes after half of the interval, the virtual days say so."""
    honest = Limits.slot

    def hasty(self: Limits, started: float, configured: float, now: float) -> float:
        return honest(self, started, configured / 2, now)

    monkeypatch.setattr(Limits, "slot", hasty)
    monkeypatch.setattr("exporter.polling.poll.LONGEST_IDLE", 300.0)
    found = soak_days.run(1, 1, 1, state_directory)
    assert any("requests came early" in text for text in soak_days.judge(found, 1, 1))


def test_what_grows_is_named() -> None:
    """Memory and the state by their slopes, files by their level."""
    days = Days(scenarios=[""] * 8, blocks=[200_000] * 30, state=[4_000_000] * 30)
    assert soak_days.judge(days, 30, 50) == []
    days.blocks = [200_000 + 2000 * day for day in range(30)]
    days.state = [4_000_000 + 90_000 * day for day in range(30)]
    assert soak_days.judge(days, 30, 50) == [
        "2,000 more blocks of memory a day",
        "the state grows by 90,000 bytes a day",
    ]
    level = [30.0] * 300
    minutes = Minutes(3600.0, alive=3600.0, moments=[12.0 * at for at in range(300)])
    minutes.values = {"rss": level, "files": level, "sockets": level, "threads": level}
    assert soak_minutes.judge(minutes) == []
    rising = [30.0 + at / 10 for at in range(300)]
    minutes.values |= {"rss": rising, "files": rising}
    assert len(soak_minutes.judge(minutes)) == 2


def test_a_line_is_fitted_with_its_error() -> None:
    """Least squares and the standard error of the slope, by an example done by hand."""
    assert fit([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 2.0, 5.0]) == pytest.approx((1.1, 0.5196), 1e-4)
