"""The proof by kills: it holds at a small scale, and it finds an exporter that forgets."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter import service
from exporter.state.identity import Claim
from exporter.state.storage import Storage
from proof import crash, crash_points
from proof.crash_moments import Seen
from proof.crash_scenes import Try
from proof.crash_witness import Pages, Recorded, Tallied, Witness, wrong_totals
from proof.part import TINY
from tests.e2e_api import Asked
from tests.e2e_support import Life, Nursery, Page, Samples

FORGETFUL = (
    "from exporter.state.storage import Storage\n"
    "Storage._write = lambda self, attempt, stored, used: None\n"
)


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.mark.slow
def test_kills_cost_nothing(tmp_path: Path) -> None:
    """At random moments and at points of writing: nothing early, nothing fallen, all exact."""
    part = crash.prove(TINY, tmp_path, quiet)
    assert part.broken == ()
    assert {len(row) for row in part.rows} == {len(part.header)}
    first, *points = part.rows
    assert first[:3] == ("at random moments", "–", "4")
    killed = [row for row in points if row[0] != crash.UNHARMED]
    assert all(row[0].startswith("while ") and int(row[2]) >= 1 for row in killed)
    assert len(killed) >= 2
    assert {row[4] for row in part.rows} == {"0"}
    assert {cell for row in part.rows for cell in row[6:]} == {"0"}


@pytest.mark.slow
def test_an_exporter_that_forgets_its_attempts_is_found(tmp_path: Path) -> None:
    """Where an attempt is not written, the witness sees it at the request."""
    nursery = Nursery()
    try:
        seen = crash.random_ones(replace(TINY, kills=2), nursery, tmp_path, quiet, FORGETFUL)
    finally:
        nursery.close()
    assert seen.early > 0
    assert any("not in the state" in text for text in seen.problems)


def asked(number: int, at: float) -> Asked:
    """A request of the one query."""
    query = {"skill_id": "4173", "date_ini": "20261118000000", "date_end": "20261118100000"}
    return Asked(number, at, "/acme/api/v2/reports_manager.php", query, "token")


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (Recorded(10.5, Counter({"1970-01-01": 2}), True, 0.0, ""), "0.500 s apart"),
        (Recorded(12.0, Counter({"1970-01-01": 1}), True, 0.0, ""), "1 calls counted, 2"),
        (Recorded(12.0, Counter({"1970-01-01": 2}), True, 99.0, "1970-01-01"), "a pause"),
        (Recorded(4e9, Counter({"1970-01-01": 2}), True, 0.0, ""), "in the future"),
        (Recorded(None, Counter({"1970-01-01": 2}), True, 0.0, ""), "not in the state"),
    ],
)
def test_the_witness_judges_by_what_is_recorded(second: Recorded, problem: str) -> None:
    """Too near, not counted, in a pause, in the future, not written: each is named."""
    witness = Witness(Path(), 1.0, lambda asked, state: 10, ZoneInfo("UTC"))
    witness._judge(asked(0, 0.0), Recorded(10.0, Counter({"1970-01-01": 1}), False, 0.0, ""))
    assert witness.problems == []
    witness._judge(asked(1, 0.0), second)
    assert any(problem in text for text in witness.problems)


class Shown(Life):
    """A process that shows one page."""

    def __init__(self, text: str) -> None:
        self.text = text

    def log(self) -> str:
        return "listen=there"

    def get(self, path: str, **headers: str) -> Page:
        return Page(200, {}, self.text.encode())


def page(offered: int, within_10: int = 0, within_20: int = 0) -> Life:
    """A page with one pair."""
    labels = 'operation="acme",skill_id="4173",type_interaction="inbound"'
    buckets = {"10.0": within_10, "20.0": within_20, "30.0": within_20, "+Inf": within_20}
    name = "wolkvox_skill_answer_wait_seconds_bucket"
    lines = [f'{name}{{{labels},le="{le}"}} {count}' for le, count in buckets.items()]
    lines.append(f"wolkvox_skill_offered_interactions_total{{{labels}}} {offered}")
    return Shown("\n".join(lines))


def test_a_counter_that_falls_is_found() -> None:
    """Every page is compared with the highest value of all pages before."""
    pages = Pages()
    pages.take(page(5))
    pages.take(page(7))
    assert pages.fallen == 0
    pages.take(page(6))
    assert pages.fallen == 1
    assert "7, then 6" in pages.problems[0]


def test_buckets_that_are_not_cumulative_are_found() -> None:
    """A narrower bucket with more in it than a wider one, or than was offered, is named."""
    pages = Pages()
    pages.take(page(5, 1, 2))
    assert pages.problems == []
    pages.take(page(9, 3, 2))
    pages.take(page(9, 3, 10))
    assert len(pages.problems) == 2


def test_what_was_told_is_added_over_the_days() -> None:
    """The last answer before anything was saved counts nothing; a new day begins at 0."""
    tallied = Tallied()
    for day, total, known in (
        ("18", 900, False), ("18", 1000, False), ("18", 1500, True), ("18", 1400, True),
        ("19", 500, True),
    ):  # fmt: skip
        tallied.tell(day, total, known=known)
    assert tallied.grown() == 1000
    shown = 'x{operation="acme"} 1'
    wrong = wrong_totals(Samples(shown), {("acme", "4173"): tallied})
    assert any("None shown, 1000 told" in text for text in wrong)
    assert any("None shown, 2000 told" in text for text in wrong)


def test_points_are_before_each_statement_and_after_each_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening, writing and closing have points, reading has none."""
    reached: list[str] = []
    countdown = crash_points._Countdown()
    monkeypatch.setattr(crash_points, "_countdown", countdown)
    monkeypatch.setattr(countdown, "lock", threading.Lock())
    monkeypatch.setattr(
        crash_points._Countdown,
        "reach",
        lambda self, moment: reached.append(f"{self.doing}: {moment}") if self.doing else None,
    )
    for name in ("open", "transact"):
        monkeypatch.setattr(Storage, name, getattr(Storage, name))
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)
    monkeypatch.setattr(service, "system_clock", lambda: None)
    monkeypatch.setattr(crash_points, "_shifted", lambda clock, shift: clock)
    crash_points.arm(1, tmp_path / "note")
    with closing(Storage.open(tmp_path, lambda: 0.0)) as storage:
        opening = len(reached)
        assert set(reached) == {
            f"{crash_points.OPENING}: {moment}"
            for moment in (crash_points.BEFORE, crash_points.WRITTEN, crash_points.COMMITTED)
        }
        storage.transact([lambda db: db.claim([Claim("acme", "url", None)])])
        storage.transact([lambda db: db.stored(1, "4173")])
        assert len(reached) == opening
        storage.transact([lambda db: db.save_fact(1, "pause", {"day": 1})])
        assert reached[opening:] == [
            f"{crash_points.PAUSE}: {moment}"
            for moment in (
                crash_points.BEFORE,
                crash_points.WRITTEN,
                crash_points.WRITTEN,
                crash_points.COMMITTED,
            )
        ]
    assert reached[-1] == f"{crash_points.ENDING}: {crash_points.BEFORE}"


def test_rows_are_grouped_by_the_point_of_the_first_death() -> None:
    """Tries that died at the same kind of point are one row, with all of their kills."""
    tries = [
        Try(1, ["the result is written|before it"], Seen(kills=2, requests=5)),
        Try(2, ["the result is written|before it", "x|y"], Seen(kills=1, requests=6)),
        Try(3, ["the pause is written|before it"], Seen(kills=1, damaged=1)),
    ]
    rows = crash.rows(tries)
    assert [row[:4] for row in rows] == [
        ("while the pause is written: before it", "1", "1", "0"),
        ("while the result is written: before it", "2", "3", "11"),
    ]
    assert rows[0][-2] == "1"
