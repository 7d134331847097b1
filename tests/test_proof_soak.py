"""The proof by a long run: it holds at a small scale, and it finds what drifts or grows."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.polling.limits import Limits
from proof import soak, soak_centre, soak_days, soak_minutes
from proof.part import TINY, Scale, shortened
from proof.soak_days import Days
from proof.soak_judge import fit, rise, second_half
from proof.soak_minutes import Minutes, Sample
from proof.soak_process import NAMED
from tests.virtual import VirtualWorld, in_virtual_time

pytestmark = pytest.mark.usefixtures("linux")


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.mark.slow
def test_a_short_run_holds(tmp_path: Path) -> None:
    """A virtual day and a few real seconds: every row is there, and nothing is broken."""
    part = soak.prove(TINY, tmp_path, quiet)
    assert part.broken == ()
    assert {len(row) for row in part.rows} == {len(part.header)}
    seen = {row[0]: row[1] for row in part.rows}
    assert seen["virtual time"] == "1 days, 3 operations: 2 at 5 min, 1 at 15 min"
    assert seen["gaps between requests of a query; too short"].endswith("; 0")
    assert seen["counters compared with what the API told; wrong"].endswith("; 0")
    assert seen["real time"].startswith("6 s: 20 operations x 2 skills")
    assert int(seen["scrapes; compressed ones; reloads"].split(";")[1]) > 0
    assert "tasks of the event loop" in seen
    assert seen["allocated blocks of memory, last day; a day more"].endswith(
        "; no slope is fitted to so few days"
    )
    assert NAMED not in os.environ  # it is the child's own


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
    broken = soak.judge_days(found, TINY)
    assert found.early > 250
    assert any("requests came early" in text for text in broken)


GOOD_DAYS = Days(
    requests=8640, gaps=8639, most_in_flight=1, most_a_day={24: 288}, fewest_a_day=287,
    scenarios=[""] * 7, series=[500] * 30, blocks=[200_000] * 30, objects=[50_000] * 30,
    rss=[60.0] * 30, state=[4_000_000] * 30,
)  # fmt: skip
LISTS = ("series", "blocks", "objects", "rss", "state")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"early": 2}, "2 requests came early"),
        ({"fallen": 1}, "1 counters fell"),
        ({"most_in_flight": 2}, "at once with one token"),
        ({"p99_lag": 3.0}, "schedule drifts"),
        ({"most_a_day": {23: 277}}, "277 requests of a query on a day of 23 hours"),
        ({"fewest_a_day": 280}, "only 280 requests"),
        ({"scenarios": ["quota"]}, "only these scenarios"),
        ({"wrong": ["a total"]}, "a total"),
        ({"blocks": [200_000 + 2000 * day for day in range(30)]}, "2,000 more blocks"),
        ({"state": [4_000_000 + 90_000 * day for day in range(30)]}, "grows by 90,000 bytes"),
    ],
)
def test_days_that_do_not_hold_are_named(wrong: dict[str, object], named: str) -> None:
    """Each bound of the virtual days has its sentence."""
    scale = replace(TINY, days=30, operations=50)
    assert soak.judge_days(GOOD_DAYS, scale) == []
    assert any(named in text for text in soak.judge_days(replace(GOOD_DAYS, **wrong), scale))  # type: ignore[arg-type]


def minutes(seconds: float, **rising: float) -> Minutes:
    """Real minutes in which these figures rise by so much over the whole."""
    level = {"rss": 60.0, "files": 30, "sockets": 20, "threads": 2, "tasks": 40, "blocks": 9}
    count = 300
    samples = [
        Sample(
            at=seconds * number / count,
            **{
                name: value + rising.get(name, 0.0) * number / count
                for name, value in level.items()
            },  # type: ignore[arg-type]
        )
        for number in range(count)
    ]
    return Minutes(seconds, seconds, samples, most_at_once=1)


@pytest.mark.parametrize(
    ("seconds", "rising", "named"),
    [
        (3600.0, {"rss": 5.0}, "memory rises by 5.00"),
        (600.0, {"rss": 4.0}, "memory: "),
        (600.0, {"files": 30.0}, "files: "),
        (600.0, {"sockets": 30.0}, "sockets: "),
        (600.0, {"threads": 6.0}, "threads: "),
        (600.0, {"tasks": 30.0}, "tasks: "),
    ],
)
def test_what_grows_in_real_time_is_named(
    seconds: float, rising: dict[str, float], named: str
) -> None:
    """Memory by its slope, or in a short run by its growth; files, threads, tasks by level."""
    assert soak_minutes.judge(minutes(seconds)) == []
    assert soak_minutes.judge(minutes(seconds, rss=1.0)) == []
    broken = soak_minutes.judge(minutes(seconds, **rising))
    assert len(broken) == 1
    assert broken[0].startswith(named)


def test_requests_at_once_are_named() -> None:
    """Two requests with one token at the same time break the rule, and so do too many."""
    found = minutes(600.0)
    found.most_at_once, found.most_a_query = 2, 1000
    broken = soak_minutes.judge(found)
    assert broken[0].startswith("2 requests at once")
    assert broken[1].startswith("1000 requests of a query")


def test_requests_are_counted_against_the_time_that_really_passed() -> None:
    """A machine that stands still gives the exporter more time than was planned, not less."""
    found = minutes(600.0)
    found.alive, found.most_a_query = 700.0, 702
    assert soak_minutes.judge(found) == []
    found.alive = 699.0
    assert soak_minutes.judge(found) == ["702 requests of a query in 699.0 s"]


def test_days_that_were_not_lived_are_told() -> None:
    """Where the time was over before the days were, nothing is known of the rest."""
    scale = Scale()
    short = replace(
        GOOD_DAYS, seconds=1201.4, **{name: getattr(GOOD_DAYS, name)[:13] for name in LISTS}
    )
    assert soak.judge_days(short, scale) == ["only 13 of 30 days were lived through in 1201 s"]
    assert soak.judge_days(short, replace(scale, days=13)) == []
    seen = {row[0]: row[1] for row in soak.rows(short, minutes(600.0))}
    assert seen["state file, last day; a day more"].endswith(
        "; no slope is fitted to so few days"
    )
    seen = {row[0]: row[1] for row in soak.rows(GOOD_DAYS, minutes(600.0))}
    assert seen["state file, last day; a day more"].endswith("; +0 ± 0 bytes (over 18 days)")


def test_days_that_hang_are_ended_and_told(tmp_path: Path) -> None:
    """Virtual time that stands still would hold up everything that comes after."""
    endless = (sys.executable, "-c", "import time; time.sleep(600)")
    found = soak_days.run_beside(1, 1, 1, tmp_path, quiet, command=endless, patience=0.5)

    assert soak.judge_days(found, TINY) == [
        "the virtual days hung for 0.5 s; last told: nothing",
        "only 0 of 1 days were lived through in 0 s",
    ]
    assert soak.rows(found, minutes(600.0))[0][1] == "not a single day"


@in_virtual_time
async def test_a_wait_below_the_resolution_passes() -> None:
    """Time that only jumps would stand still for whoever waits for a rounding error."""
    clock, loop = VirtualWorld(soak_centre.START).clock(), asyncio.get_running_loop()
    await clock.sleep(7200.8)
    began = loop.time()
    await clock.sleep(1e-12)
    assert began < loop.time() < began + 1e-5


def test_a_figure_that_there_is_not_is_no_number() -> None:
    """A run without a whole day at 5 minutes has no fewest requests of one."""
    none = replace(GOOD_DAYS, fewest_a_day=None)
    assert soak.judge_days(none, Scale()) == []
    seen = {row[0]: row[1] for row in soak.rows(none, minutes(600.0))}
    assert seen["fewest, at 5 min, on a whole day without a pause"] == "no such day"


def test_what_is_not_shown_is_counted() -> None:
    """A table names twelve sentences, and how many there are beside them."""
    assert shortened(["a"] * 12) == ("a",) * 12
    assert shortened(["a"] * 15) == (*("a",) * 12, "and 3 more")


def test_a_line_is_fitted_with_its_error() -> None:
    """Least squares and the standard error of the slope, by an example done by hand."""
    line = fit([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 2.0, 5.0])
    assert line.slope == pytest.approx(1.1)
    assert line.error == pytest.approx(0.5196, abs=1e-4)
    assert line.surely == pytest.approx(0.5804, abs=1e-4)
    assert fit([1.0, 2.0], [1.0, 9.0]).slope == 0.0


def test_levels_are_compared_by_their_floors() -> None:
    """The first third is warming up; peaks are no growth, and no more is a single dip."""
    assert rise([9.0] * 10 + [1.0] * 10 + [1.0] * 5 + [50.0] * 5) == 0.0
    assert rise([9.0] * 10 + [0.0] + [1.0] * 9 + [1.0] * 10) == 0.0
    assert rise([1.0] * 20 + [4.0] * 10) == 3.0
    assert second_half([0.0] * 50 + [1.0] * 25 + [2.0] * 25) == 1.0
