"""The boards against a real Prometheus with five weeks of history, and against the truth.

The truth is the simulator's own; the history went through the exporter's rows, ledger and
rendering. Both are made once for all tests here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from exporter.simulator import Figures
from tests.dashboards_history import BOGOTA, COLLAPSED, END, MIDNIGHT, SANTIAGO, Weeks
from tests.dashboards_support import (
    CHOICES,
    EVERYTHING,
    NAMES,
    ONE,
    Choice,
    alert_queries,
    answer,
    board,
    interpolated,
    load,
    prometheus,
    targets,
)
from tests.e2e_prometheus import Prometheus

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SINGLE = ("4173", "4180", "4190")
ACME: Choice = {**EVERYTHING, "operation": ("acme",)}
WEEK = timedelta(days=7)
# Targets that rightly give nothing at the end of the history, and why.
ONE_OF_THREE = "the three judge one value: on target, below it, without a target"
WELL = "lists what is wrong, and nothing is at the end"
EMPTY = {
    ("everything", "several"): {
        "overview/Service level today/B": ONE_OF_THREE,
        "skill/Service level today/B": ONE_OF_THREE,
    },
    ("one",): {
        "overview/Service level today/A": ONE_OF_THREE,
        "skill/Service level today/A": ONE_OF_THREE,
    },
    ("one", "several"): {"exporter/Queries that failed/A": "the one that failed is not chosen"},
    ("everything", "one", "several"): {
        "exporter/Firing alerts/A": WELL,
        "exporter/Queries in trouble/A": WELL,
        "exporter/Queries in trouble/B": WELL,
        "overview/Service level today/C": ONE_OF_THREE,
        "skill/Service level today/C": ONE_OF_THREE,
        "overview/Service level, last $window/A": ONE_OF_THREE,
        "overview/Service level, last $window/C": ONE_OF_THREE,
        "skill/Service level, last $window/A": ONE_OF_THREE,
        "skill/Service level, last $window/C": ONE_OF_THREE,
    },
}


@dataclass(frozen=True, slots=True)
class History:
    """The weeks as they were simulated, and the Prometheus that holds them."""

    weeks: Weeks
    store: Prometheus

    def value(
        self, name: str, choice: Choice = EVERYTHING, at: datetime = END, threshold: str = "20"
    ) -> float:
        """The one value that a target gives at a moment."""
        [value] = self.values(name, choice, at, threshold).values()
        return value

    def values(
        self, name: str, choice: Choice = EVERYTHING, at: datetime = END, threshold: str = "20"
    ) -> dict[frozenset[tuple[str, str]], float]:
        """What a target gives at a moment."""
        [target] = [one for one in targets() if one.name == name]
        span = (at - MIDNIGHT).total_seconds()
        expr = interpolated(target.expr, choice, span=span, threshold=threshold)
        return self.store.query(expr, at.timestamp())

    def day(self, operation: str, skill_id: str, at: datetime = END) -> dict[str, Figures]:
        """What really ended between the local midnight and the poll before a moment."""
        zone = BOGOTA if operation == "acme" else SANTIAGO
        start = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        until = self.weeks.polled_until(operation, skill_id, at)
        return self.weeks.truth(operation, skill_id, start, until)

    def whole(self, channel: str | None = None, at: datetime = END) -> Figures:
        """Everything of both operations: single skills, and `all` where there are none."""
        found = [self.day("acme", skill_id, at) for skill_id in SINGLE]
        found.append(self.day("globex", "all", at))
        each = [
            figures
            for channels in found
            for name, figures in channels.items()
            if channel in {None, name}
        ]
        return added(each)


def added(each: Iterable[Figures]) -> Figures:
    """Add figures up."""
    return Figures._make(map(sum, zip(*each, strict=True)))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Five weeks in a real Prometheus; half a minute of work, once."""
    directory = tmp_path_factory.mktemp("boards")
    weeks = Weeks(directory)
    with prometheus(load(weeks, directory), directory) as store:
        yield History(weeks, store)


def close(found: float, real: float, part: float) -> bool:
    """Whether two figures agree within a part of the real one."""
    return math.isclose(found, real, rel_tol=part)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", NAMES)
def test_each_query_of_a_board_answers(history: History, name: str, choice: str) -> None:
    """Everything, one and several chosen: no panel is empty without a reason."""
    empty = {
        target.name
        for target in targets(name)
        if not answer(history.store, target, CHOICES[choice])
    }

    expected = {
        target
        for names, reasons in EMPTY.items()
        for target in reasons
        if choice in names and target.startswith(f"{name}/")
    }
    assert empty == expected


def test_volumes_of_the_day_are_those_of_the_contact_centre(history: History) -> None:
    """Inbound, answered, abandoned: to the last interaction, and each counted once."""
    real = history.whole()

    for name in ("overview", "skill"):
        assert history.value(f"{name}/Inbound today/A") == real.inbound
        assert history.value(f"{name}/Answered today/A") == real.answered
        assert history.value(f"{name}/Abandoned today/A") == real.abandoned


def test_choosing_the_operation_as_a_whole_gives_the_sum_of_its_skills(
    history: History,
) -> None:
    """`all` of acme is what its three skills are together."""
    whole = {**ACME, "skill": ("Todas",)}

    real = added(history.day("acme", "all").values())
    assert history.value("overview/Inbound today/A", whole) == real.inbound


def test_service_levels_of_the_day_agree_with_the_truth(history: History) -> None:
    """Counts are restored from the rounded ratios, so the levels are exact."""
    voice, everything = history.whole("inbound"), history.whole()

    found = history.value("overview/Service level today/A")
    assert close(found, voice.within_20 / voice.inbound, 1e-9)
    for ref, within in (
        ("A", everything.within_10),
        ("B", everything.within_20),
        ("C", everything.within_30),
    ):
        level = history.value(f"skill/Answered within 10, 20, 30 s today/{ref}")
        assert close(level, within / everything.inbound, 1e-9)


@pytest.mark.parametrize("threshold", ["10", "30"])
def test_another_limit_has_no_target_and_shows_all_channels(
    history: History, threshold: str
) -> None:
    """The target is at 20 s: at 10 and 30 s the level stands there unjudged."""
    real = history.whole()

    level = history.value("overview/Service level today/C", threshold=threshold)
    within = real.within_10 if threshold == "10" else real.within_30
    assert close(level, within / real.inbound, 1e-9)
    assert not history.values("overview/Service level today/B", threshold=threshold)


def test_the_level_of_the_window_is_that_of_its_polls(history: History) -> None:
    """The last half hour of the skill that collapsed: nobody in time."""
    operation, skill_id, _name = COLLAPSED
    until = history.weeks.polled_until(operation, skill_id, END)
    real = history.weeks.truth(operation, skill_id, until - timedelta(minutes=30), until)

    level = history.value("overview/Service level, last $window/B", ONE)
    assert abs(level - real["inbound"].within_20 / real["inbound"].inbound) < 0.01


def test_abandonment_and_waits_agree_with_the_truth(history: History) -> None:
    """Waits come in whole seconds, so within half a second."""
    real = history.whole("inbound")

    abandonment = history.value("overview/Abandonment today/A")
    assert close(abandonment, real.abandoned / real.inbound, 1e-9)
    asa = history.value("overview/ASA today/A")
    assert abs(asa - real.answer_wait_seconds / real.answered) <= 0.5
    ata = history.value("overview/ATA today/A")
    assert abs(ata - real.abandon_wait_seconds / real.abandoned) <= 0.5


def test_the_way_back_and_the_budget_agree_with_the_truth(history: History) -> None:
    """For the skill that collapsed."""
    operation, skill_id, _name = COLLAPSED
    real = history.day(operation, skill_id)["inbound"]

    needed = math.ceil((0.8 * real.inbound - real.within_20) / 0.2 - 1e-6)
    assert history.value("skill/Answers in a row to recover/A", ONE) == needed
    used = (1 - real.within_20 / real.inbound) / 0.2
    assert close(history.value("skill/Error budget used today/A", ONE), used, 1e-9)


def test_last_weeks_and_the_mean_of_four_are_those_days(history: History) -> None:
    """At the same time of the day, one to four weeks ago."""
    found = {
        name: history.value(f"skill/Inbound today, cumulative/{name}", ACME) for name in "ABC"
    }
    stat = history.value("overview/Inbound today/B", ACME)

    def real(weeks: int) -> int:
        at = END - weeks * WEEK
        skills = [history.day("acme", skill_id, at).values() for skill_id in SINGLE]
        return sum(figures.inbound for skill in skills for figures in skill)

    assert (found["A"], found["B"], stat) == (real(0), real(1), real(1))
    # The weeks before the last were polled less often: some minutes of the day may lack.
    assert close(found["C"], sum(real(weeks) for weeks in range(1, 5)) / 4, 0.03)


def test_half_hours_add_up_to_the_day(history: History) -> None:
    """Increases are extrapolated to the whole half hour: 2 to 4 % too high at most."""
    [answered, abandoned, _last] = targets_of("overview/Inbound by half hour")
    found = 0.0
    for target in (answered, abandoned):
        expr = interpolated(target, ACME, step=1800)
        [points] = history.store.curves(expr, MIDNIGHT, END, 1800).values()
        found += sum(value for at, value in points if at > MIDNIGHT.timestamp())

    # Up to the last whole half hour.
    at = END.replace(minute=30)
    skills = [history.day("acme", skill_id, at).values() for skill_id in SINGLE]
    real = sum(figures.inbound for skill in skills for figures in skill)
    assert -0.005 < found / real - 1 < 0.045


def targets_of(prefix: str) -> list[str]:
    """The PromQL of a panel's targets."""
    return [one.expr for one in targets() if one.name.startswith(f"{prefix}/")]


def test_the_histogram_holds_the_answered(history: History) -> None:
    """Its four bars are the answered of the day, and each of them the truth's."""
    real = history.whole()
    bars = [history.value(f"skill/How long the answered waited/{ref}", ACME) for ref in "ABCD"]
    acme = [f for skill_id in SINGLE for f in history.day("acme", skill_id).values()]
    answered = sum(figures.answered for figures in acme)

    assert close(sum(bars), answered, 0.02)
    assert close(bars[0], sum(figures.within_10 for figures in acme), 0.02)
    assert answered < real.answered


def test_the_worst_skill_is_the_one_that_collapsed(history: History) -> None:
    """The row furthest below its target, and the alerts tell since when."""
    rows = history.values("overview/Skills in trouble, worst first/D")
    worst = dict(max(rows, key=lambda labels: rows[frozenset(labels)]))
    since = history.values("overview/Firing alerts/A")

    assert (worst["operation"], worst["skill_id"], worst["skill"]) == COLLAPSED
    assert {dict(labels)["skill"] for labels in since} == {COLLAPSED[2]}
    assert all(
        MIDNIGHT.timestamp() < value / 1000 < END.timestamp() for value in since.values()
    )


def test_the_strip_turns_red_when_the_skill_collapses(history: History) -> None:
    """Good half hours before 14:30, bad ones from 15:00 to the end; the others stay good."""
    [strip] = targets_of("overview/Service level by skill and half hour")
    curves = history.store.curves(interpolated(strip, ACME, step=1800), MIDNIGHT, END, 1800)
    by_skill = {dict(labels)["skill_id"]: dict(points) for labels, points in curves.items()}
    late = [END.replace(hour=hour, minute=30).timestamp() for hour in (15, 16, 17)]

    assert all(by_skill["4180"][at] < 0.1 for at in late)
    assert by_skill["4180"][END.replace(hour=14, minute=30).timestamp()] > 0.7
    assert all(by_skill[other][at] > 0.5 for other in ("4173", "4190") for at in late)


def test_right_after_midnight_nothing_of_the_day_before_is_shown_as_today(
    history: History,
) -> None:
    """Until the second poll every figure of today is a dash; then the new day begins."""
    before, after = MIDNIGHT + timedelta(minutes=5), MIDNIGHT + timedelta(minutes=9)
    today = [
        one
        for one in targets("overview", "skill")
        if "oday" in one.panel["title"] + one.target["legendFormat"]
        and "yesterday" not in one.panel["title"]
        and one.target["instant"]
    ]
    assert len(today) > 20

    for target in today:
        assert not history.store.query(interpolated(target.expr, ACME), before.timestamp()), (
            target.name
        )
    assert history.value("overview/Skills with figures of today/A", ACME, after) == 1.0
    assert history.value("overview/Inbound today/A", ACME, after) < 100
    # What does not speak of today goes on: the recent window and the age of the data.
    assert history.value("overview/Age of the data/A", ACME, before) < 600
    rows = history.values("skill/Today beside yesterday/A", ACME, before)
    assert [dict(labels)["window"] for labels in rows] == ["yesterday"]


def test_a_picture_of_a_board_can_be_drawn(history: History) -> None:
    """A PNG small enough for a page, from the queries as they are."""
    from scripts.dashboards.picture import picture  # loads matplotlib
    from tests.dashboards_pictures import asking

    ask = asking(history.store, EVERYTHING)
    drawn = picture(board("overview", "es"), ask, MIDNIGHT, END, BOGOTA, "es")

    assert drawn.startswith(b"\x89PNG")
    assert 20_000 < len(drawn) < 300_000


def test_grafanas_own_alerts_name_the_skill_in_trouble(history: History) -> None:
    """Of all that the exporter showed in five weeks, only the skill that collapsed."""
    for title, queries in alert_queries().items():
        answered = history.store.query(queries["A"], END.timestamp())
        found = {
            (one.get("operation"), one.get("skill_id"), one.get("skill"))
            for one in map(dict, answered)
        }
        if title.startswith("WolkvoxServiceLevel"):
            assert found == {COLLAPSED}, title
        elif title != "WolkvoxAbandonmentHigh":
            assert not found, title
        assert found <= {COLLAPSED}, title
