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

from exporter.simulator.centre import Figures
from tests.dashboards_history import BOGOTA, COLLAPSE, COLLAPSED, END, MIDNIGHT, SANTIAGO, Weeks
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
DAY, WEEK = timedelta(days=1), timedelta(days=7)
SKILLS: Choice = {**ACME, "skill": ("Ventas", "Atención al cliente", "Cobranza")}
# The pairs with a target, and what of them is in time: see the configuration of the history.
TARGETS = {
    ("acme", "4173", "inbound"): ("within_20", 0.8),
    ("acme", "4180", "inbound"): ("within_20", 0.8),
    ("acme", "4190", "inbound"): ("within_20", 0.8),
    ("acme", "4173", "chat-web"): ("within_30", 0.7),
    ("acme", "4173", "chat-whatsapp"): ("within_30", 0.65),
    ("acme", "4180", "chat-whatsapp"): ("within_30", 0.65),
    ("globex", "all", "inbound"): ("within_20", 0.9),
    ("globex", "all", "chat-web"): ("within_30", 0.7),
}
# Targets that rightly give nothing at the end of the history: each verdict answers once.
VERDICTS = (
    "Service level today",
    "Last 2 open hours",
    "Abandonment today",
    "ASA today",
    "The target of the day",
    "Furthest below target",
)
# Panels of the exporter's board that list what is wrong, which nothing is then.
WRONG = ("Firing alerts", "Queries in trouble", "Queries that failed")


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

    def columns(
        self, name: str, choice: Choice = EVERYTHING, **labels: str
    ) -> dict[str, dict[tuple[str, ...], float]]:
        """A table by its columns; the rows by operation, skill and channel, or the rest."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for row, value in self.values(f"{name}/A", choice).items():
            named = dict(row)
            column = named.pop("column")
            if labels.items() <= named.items():
                names = ("operation", "skill_id", "type_interaction")
                key = tuple(named[one] for one in names if one in named)
                found.setdefault(column, {})[key] = value
        return found

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
        """Everything of both operations, each polled as a whole."""
        found = [self.day(operation, "all", at) for operation in ("acme", "globex")]
        each = [
            figures
            for channels in found
            for name, figures in channels.items()
            if channel in {None, name}
        ]
        return added(each)

    def voice(self) -> Figures:
        """The voice channels that have limits: of single skills, and of globex."""
        pairs = [pair for pair in TARGETS if pair[2] == "inbound"]
        return added([self.day(one, skill_id)[name] for one, skill_id, name in pairs])

    def in_time(self) -> tuple[float, float, float]:
        """What was in time, what came in, and what should have been in time, of all targets."""
        within = came = wanted = 0.0
        for (operation, skill_id, channel), (name, target) in TARGETS.items():
            figures = self.day(operation, skill_id)[channel]
            within += getattr(figures, name)
            came += figures.inbound
            wanted += target * figures.inbound
        return within, came, wanted


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
    """Everything, one and several chosen: no panel is empty, and a verdict is one."""
    answers: dict[str, list[bool]] = {}
    for target in targets(name):
        found = bool(answer(history.store, target, CHOICES[choice]))
        answers.setdefault(target.panel["title"], []).append(found)

    for title, found_each in answers.items():
        if name == "exporter" and title in WRONG:
            assert choice == "everything" or not any(found_each), title
        elif title in VERDICTS:
            assert found_each.count(True) == 1, title
        else:
            assert all(found_each), title


def test_a_query_that_fails_stands_on_the_exporters_board(history: History) -> None:
    """While it lasts, in the table and in the strip; no other query does."""
    at = MIDNIGHT + timedelta(hours=8, minutes=30)

    for name, values in (("in trouble/B", [2]), ("that failed/A", [0])):
        found = history.values(f"exporter/Queries {name}", at=at)
        assert [dict(labels)["skill_id"] for labels in found] == ["4190"], name
        assert list(found.values()) == values, name
    assert history.values("exporter/Queries in trouble/A", at=at)


def test_volumes_of_the_day_are_those_of_the_contact_centre(history: History) -> None:
    """Inbound, answered, abandoned: to the last interaction, and each counted once."""
    real = history.whole()
    today = history.columns("skill/Days and months", window="today")

    for name in ("overview", "skill"):
        assert history.value(f"{name}/Inbound today/A") == real.inbound
    assert list(today["inbound"].values()) == [real.inbound]
    assert list(today["answered"].values()) == [real.answered]
    assert list(today["abandoned"].values()) == [real.abandoned]


def test_choosing_the_skills_of_an_operation_gives_their_sum(history: History) -> None:
    """As if it was not polled as a whole."""
    real = added(f for skill_id in SINGLE for f in history.day("acme", skill_id).values())

    assert history.value("overview/Inbound today/A", SKILLS) == real.inbound


def test_service_levels_of_the_day_agree_with_the_truth(history: History) -> None:
    """Each pair at its own threshold; counts are restored from ratios, so it is exact."""
    within, came, wanted = history.in_time()
    found = history.values("overview/Service level today/A")

    [(labels, value)] = found.items()
    assert close(value, within / came, 1e-9)
    assert dict(labels)["target"] == f"{100 * wanted / came:.1f}".removesuffix(".0")


@pytest.mark.parametrize("threshold", ["10", "30"])
def test_a_channel_without_target_is_shown_at_the_chosen_threshold(
    history: History, threshold: str
) -> None:
    """And not judged."""
    choice: Choice = {**EVERYTHING, "channel": ("chat-instagram",)}
    real = history.day("globex", "all")["chat-instagram"]

    level = history.value("overview/Service level today/B", choice, threshold=threshold)
    within = real.within_10 if threshold == "10" else real.within_30
    assert close(level, within / real.inbound, 1e-9)
    assert not history.values("overview/Service level today/A", choice, threshold=threshold)


def test_the_level_of_two_open_hours_is_that_of_their_polls(history: History) -> None:
    """Those of the skill that collapsed: nobody in time."""
    operation, skill_id, _name = COLLAPSED
    until = history.weeks.polled_until(operation, skill_id, END)
    real = history.weeks.truth(operation, skill_id, until - timedelta(hours=2), until)

    level = history.value("overview/Last 2 open hours/A", ONE)
    assert abs(level - real["inbound"].within_20 / real["inbound"].inbound) < 0.01


def test_abandonment_and_waits_agree_with_the_truth(history: History) -> None:
    """Waits come in whole seconds, so within half a second."""
    real = history.voice()
    today = history.columns("skill/Days and months", window="today")

    abandonment = history.value("overview/Abandonment today/A")
    assert close(abandonment, real.abandoned / real.inbound, 1e-9)
    asa = history.value("overview/ASA today/A")
    assert abs(asa - real.answer_wait_seconds / real.answered) <= 0.5
    [ata] = today["ata"].values()
    assert abs(ata - real.abandon_wait_seconds / real.abandoned) <= 0.5


def test_a_lost_day_says_how_many_were_late_and_how_many_may_be(history: History) -> None:
    """For the skill that collapsed; the day is expected to be as long as last week's."""
    operation, skill_id, _name = COLLAPSED
    real = history.day(operation, skill_id)["inbound"]
    before = history.weeks.truth(operation, skill_id, MIDNIGHT - WEEK, MIDNIGHT - WEEK + DAY)
    expected = max(before["inbound"].inbound, real.inbound)

    [labels] = history.values("skill/The target of the day/B", ONE)
    said = dict(labels)
    assert said["late"] == str(real.inbound - real.within_20)
    assert said["allowed"] == str(math.floor(0.2 * expected + 1e-6))


def test_the_month_is_that_of_the_operations_calendar(history: History) -> None:
    """From the first to now, in time over inbound."""
    operation, skill_id, _name = COLLAPSED
    month = history.weeks.truth(operation, skill_id, MIDNIGHT.replace(day=1), MIDNIGHT)
    real = added([month["inbound"], history.day(operation, skill_id)["inbound"]])
    found = history.columns("skill/Today and this month", ONE, window="month")

    [level] = found["level"].values()
    # A month of 10,000s is known to two decimals of a percentage.
    assert abs(level - real.within_20 / real.inbound) < 1e-4
    assert set(found) == {"level", "target", "left", "needed", "projected"}
    assert list(found["target"].values()) == [0.8]


def test_last_week_is_that_day(history: History) -> None:
    """At the same time of the day."""
    at = END - WEEK
    real = added(history.day("acme", "all", at).values())

    assert history.value("overview/Inbound today/B", ACME) == real.inbound


def test_hours_add_up_to_the_day(history: History) -> None:
    """Increases are extrapolated to the whole hour: 2 to 4 % too high at most."""
    [hourly] = targets_of("overview/By hour")
    curves = history.store.curves(interpolated(hourly, ACME, step=3600), MIDNIGHT, END, 3600)
    found = {
        dict(labels)["column"]: [v for at, v in points if at > MIDNIGHT.timestamp()]
        for labels, points in curves.items()
    }

    at = END.replace(minute=0)
    real = added(history.day("acme", "all", at).values())
    for column, whole in (("answered", real.answered), ("abandoned", real.abandoned)):
        assert -0.02 < sum(found[column]) / whole - 1 < 0.06, column
    assert -0.005 < sum(found["inbound"]) / real.inbound - 1 < 0.045
    assert found["level"][-1] < 0.75 < 0.85 < found["level"][10]


def test_last_week_stands_beside_today_by_hour(history: History) -> None:
    """Its volumes and its service level, at the same hours."""
    [hourly] = targets_of("skill/By hour")
    expr = interpolated(hourly, ONE, step=3600)
    curves = history.store.curves(expr, MIDNIGHT, END, 3600)
    last = {dict(labels)["column"]: points[-1][1] for labels, points in curves.items()}
    hour = END.replace(minute=0) - WEEK - timedelta(hours=1)
    real = history.weeks.truth("acme", COLLAPSED[1], hour, hour + timedelta(hours=1))["inbound"]

    assert abs(last["inbound_before"] / real.inbound - 1) < 0.1
    assert abs(last["level_before"] - real.within_20 / real.inbound) < 0.05
    assert last["level"] < 0.05


def targets_of(prefix: str) -> list[str]:
    """The PromQL of a panel's targets."""
    return [one.expr for one in targets() if one.name.startswith(f"{prefix}/")]


def test_levels_of_each_threshold_agree_with_the_truth(history: History) -> None:
    """Those of every channel, at 10, 20 and 30 s."""
    real = history.whole()
    today = history.columns("skill/Days and months", window="today")

    for name in ("within_10", "within_20", "within_30"):
        [level] = today[name].values()
        assert close(level, getattr(real, name) / real.inbound, 1e-9), name


def test_the_table_holds_what_is_in_trouble_since_when(history: History) -> None:
    """Those below their own target or over a limit, and no other; the collapse is the worst."""
    found = history.columns("overview/In trouble, worst first")
    operation, skill_id, _name = COLLAPSED
    collapsed = (operation, skill_id, "inbound")
    below = set()
    for pair, (name, target) in TARGETS.items():
        figures = history.day(pair[0], pair[1])[pair[2]]
        if getattr(figures, name) < target * figures.inbound:
            below.add(pair)

    # The chats of the same skill collapse with it; whatever else is below is so by little.
    assert {collapsed, (operation, skill_id, "chat-whatsapp")} <= below
    assert below <= set(found["gap"]) < set(TARGETS)
    assert max(found["gap"], key=found["gap"].__getitem__) == collapsed
    assert found["gap"][collapsed] > 0.75
    assert found["wolkvox:period:needed"][collapsed] > 1
    since = datetime.fromtimestamp(found["since"][collapsed] / 1000, BOGOTA)
    assert COLLAPSE < since < COLLAPSE + timedelta(minutes=20)
    worst = history.values("overview/Furthest below target/A")
    labels = dict(max(worst.items(), key=lambda one: one[1])[0])
    assert (labels["skill"], labels["target"]) == (COLLAPSED[2], "80")


def test_the_strip_is_red_since_the_collapse_worst_first(history: History) -> None:
    """Above the target until 14:30, far below it from 15:30 to the end; the others stay."""
    [strip] = targets_of("overview/Distance to the target by half hour, worst first")
    curves = history.store.curves(interpolated(strip, ACME, step=1800), MIDNIGHT, END, 1800)
    rows = {
        (
            dict(labels)["distance"],
            dict(labels)["skill_id"],
            dict(labels)["type_interaction"],
        ): (dict(points))
        for labels, points in curves.items()
    }
    first = min(rows)
    late = [END.replace(hour=hour, minute=30).timestamp() for hour in (15, 16, 17)]

    assert first[1:] == (COLLAPSED[1], "inbound")
    assert all(rows[first][at] < -0.7 for at in late)
    assert rows[first][END.replace(hour=14, minute=30).timestamp()] > -0.1
    assert all(
        rows[row][at] > -0.3
        for row in rows
        for at in late
        if row[1:] in {("4173", "inbound"), ("4190", "inbound")}
    )


def test_right_after_midnight_nothing_of_the_day_before_is_shown_as_today(
    history: History,
) -> None:
    """Until the second poll every figure of today is a dash; then the new day begins."""
    before, after = MIDNIGHT + timedelta(minutes=6), MIDNIGHT + timedelta(minutes=9)
    today = [
        one
        for one in targets("overview", "skill")
        if "oday" in one.panel["title"] + one.target["legendFormat"]
        and "yesterday" not in one.panel["title"]
        and one.target["instant"]
        # Records that promtool made have no marks of what ended: they outlive it by minutes.
        and "wolkvox:" not in one.expr
    ]
    assert len(today) > 10

    for target in today:
        assert not history.store.query(interpolated(target.expr, ACME), before.timestamp()), (
            target.name
        )
    assert history.value("overview/Skills reporting today/A", ACME, after) == 1.0
    assert history.value("overview/Inbound today/A", ACME, after) < 100
    # What does not speak of today goes on: the recent window and the age of the data.
    assert history.value("overview/Age of the data, in polls/A", ACME, before) < 2
    rows = history.values("skill/Days and months/A", ACME, before)
    assert {dict(labels)["window"] for labels in rows} >= {"yesterday"}
    assert "today" not in {dict(labels)["window"] for labels in rows}


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
