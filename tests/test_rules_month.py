"""The month and the rest of the day: against written months, and against the simulator."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.simulator.api import Simulator, report_rows
from exporter.simulator.centre import Figures, SimulatedOperation, SimulatedSkill
from tests.e2e_support import Run
from tests.polling_support import BOGOTA, Stage, operation
from tests.rules_live import wanted
from tests.rules_months import (
    A_DAY_OLD,
    AT_RISK,
    DAYS,
    FEW,
    JANUARY,
    LOST,
    MONTHS,
    NOT_CLOSED,
    ON_TARGET,
    OPENS,
    QUIET,
    RECOVERED,
    SLOTS,
    STEP,
    TARGET,
    TICKET,
    TWO_DAYS_OLD,
    YOUNG,
    Day,
    Month,
    minute,
)
from tests.rules_scene import Scene
from tests.rules_support import Rule, needed, promtool, question, shipped
from tests.status_page_support import Element, read, served
from tests.tools_support import Desk, sheet
from tests.virtual import Seen, ok, run_virtual

RISK = "WolkvoxMonthAtRisk"
Question = tuple[str, int, float | None]


def used() -> tuple[Rule, ...]:
    """The rules of the month, and what they read."""
    names = [rule.name for rule in shipped() if rule.group == "wolkvox-month"]
    read = {rule.name for name in names for rule in needed(shipped(), name)}
    return tuple(rule for rule in shipped() if rule.name in read)


def figure(month: Month, record: str, window: str) -> str:
    """The expression for a figure of a pair's month, to four places."""
    return f'round(wolkvox:{record}{{operation="{month.name}",window="{window}"}}, 0.0001)'


def truth(month: Month, day: int, slot: int, window: str) -> dict[str, float]:
    """Each figure as it follows from the days themselves."""
    first = JANUARY if day >= JANUARY else 0
    offered, within = month.so_far(day, slot)
    rest: float = max(month.day(day - 7)[0] - offered, 0)
    week = month.sums(day - 7, day)
    if window == "month":
        before = month.sums(first, day)
        offered, within = offered + before[0], within + before[1]
        rest += week[0] / 7 * ((JANUARY if day < JANUARY else JANUARY + 28) - 1 - day)
    told = {
        "period:late_left": within - TARGET * offered,
        "period:expected": rest,
        "period:needed": (TARGET * (offered + rest) - within) / rest,
        "period:projected": (within + rest * week[1] / week[0]) / (offered + rest),
    }
    if window == "month":
        told |= {"period:offered": offered, "period:within": within}
    return told


def figures() -> Iterator[Question]:
    """What the records must be at noon of some days."""
    for month, days in (
        (ON_TARGET, (7, 14, 30, 31, 32)), (LOST, (26,)), (YOUNG, (27,)),
        (A_DAY_OLD, (28, 32)), (QUIET, (28,)),
    ):  # fmt: skip
        for day in days:
            for window in ("today", "month"):
                for record, value in truth(month, day, 24, window).items():
                    yield figure(month, record, window), minute(day, 12), value
    # The third of the month: no week lies behind, but all of the month.
    before, today = ON_TARGET.sums(0, 2), ON_TARGET.so_far(2, 24)
    offered, within = before[0] + today[0], before[1] + today[1]
    for record, third in (
        ("period:offered", offered), ("period:within", within),
        ("period:late_left", within - TARGET * offered), ("period:needed", None),
        ("period:projected", None),
    ):  # fmt: skip
        yield figure(ON_TARGET, record, "month"), minute(2, 12), third


def edges() -> Iterator[Question]:
    """What they must be where something is not told: of a day, of yesterday, of the month."""
    nothing = (
        (YOUNG, 25, "projected"), (YOUNG, 19, "within"), (TWO_DAYS_OLD, 28, "offered"),
        (TWO_DAYS_OLD, 28, "within"), (NOT_CLOSED, 28, "offered"), (NOT_CLOSED, 28, "within"),
    )  # fmt: skip
    # Nothing has been told of the day yet; and a day on which nothing came.
    yield figure(FEW, "period:offered", "month"), minute(28, 2), None
    yield figure(FEW, "period:within", "month"), minute(28, 2), None
    for place, record in enumerate(("offered", "within")):
        asked = figure(QUIET, f"period:{record}", "month")
        yield asked, minute(27, 12), QUIET.sums(0, 27)[place]
    yield figure(QUIET, "period:within", "week"), minute(28, 12), QUIET.sums(21, 28)[1]
    # What came yesterday is in the month, whatever was told of yesterday alone.
    whole = NOT_CLOSED.sums(0, 26)[1] + NOT_CLOSED.so_far(26, 24)[1]
    yield figure(NOT_CLOSED, "period:within", "month"), minute(26, 12), whole
    for month, day, record in nothing:
        yield figure(month, f"period:{record}", "month"), minute(day, 12), None
    # An hour past midnight the month still lacks a day, and on the second it is not there.
    for day, first in ((14, 0), (32, 31)):
        for place, record in enumerate(("offered", "within")):
            early = ON_TARGET.sums(first, day)[place] + ON_TARGET.so_far(day, 2)[place]
            yield figure(ON_TARGET, f"period:{record}", "month"), minute(day, 1), early


def operations() -> Iterator[Question]:
    """An operation of one skill has that skill's figures."""
    for record in ("late_left", "needed", "projected"):
        for window in ("today", "month"):
            told = truth(ON_TARGET, 29, 24, window)[f"period:{record}"]
            yield figure(ON_TARGET, f"operation:{record}", window), minute(29, 12), told


def firings() -> Iterator[Question]:
    """When a ticket is written, and when it is over."""
    for month, told, silent in (
        # The first day with a week behind it. Without hours it is judged at 8.
        (AT_RISK, (minute(25, 9), minute(25, 20), minute(26, 7), minute(30, 12)),
         (minute(24, 12), minute(25, 6), minute(25, 8))),
        (LOST, (minute(26, 12),), ()),
        (RECOVERED, (minute(22, 12),), (minute(29, 12),)),
        (OPENS, (minute(25, 10), minute(26, 8)), (minute(25, 8.5), minute(25, 9))),
        # The request for the month is late: two hours after the opening at 8.
        (A_DAY_OLD, (minute(25, 11), minute(25, 20)), (minute(25, 9.5),)),
        (YOUNG, (minute(27, 12),), (minute(26, 12),)),
    ):  # fmt: skip
        yield from ((firing(month), at, 1) for at in told)
        yield from ((firing(month), at, None) for at in silent)
    # The new month has too little, until the ticket of the old one is over.
    yield firing(AT_RISK), minute(JANUARY + 1, 12), None
    for month in (ON_TARGET, TWO_DAYS_OLD, NOT_CLOSED, FEW):
        ever = f'ALERTS{{alertstate="firing",alertname="{RISK}",operation="{month.name}"}}'
        yield f"count(count_over_time({ever}[{DAYS}d]))", (DAYS - 1) * 1440, None


def firing(month: Month) -> str:
    """How many tickets on a month there are."""
    return f'count(ALERTS{{alertstate="firing",alertname="{RISK}",operation="{month.name}"}})'


def ask(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Questions for promtool."""
    asked = []
    for expr, at, value in questions:
        about = expr
        # The labels are no matter here, and promtool compares values to the last digit.
        about = about if value is None else f"sum({about})" if "count" not in about else about
        if value is not None:
            about = f"abs({about} - {value}) < bool 0.0002"
        samples = [] if value is None else [{"labels": "{}", "value": 1}]
        asked.append({"expr": about, "eval_time": f"{at}m", "exp_samples": samples})
    return asked


def run(
    directory: Path,
    rules: Sequence[Rule],
    asked: list[dict[str, Any]],
    months: Sequence[Month] = MONTHS,
    days: int = DAYS,
    **more: object,
) -> str:
    """What promtool says of the written months; empty where all is as it must be."""
    series = [one for month in months for one in month.scene(days).as_input()]
    test = {"interval": f"{STEP}m", "input_series": series, "promql_expr_test": asked, **more}
    return promtool(directory, rules, [test], f"{STEP}m") or ""


QUESTIONS = [*figures(), *edges(), *operations(), *firings()]


def test_half_a_month_and_the_rest_of_the_day(tmp_path: Path) -> None:
    """On the third and the eighth, with all of the month; no ticket."""
    few, days = (ON_TARGET,), 9
    names = [f'"{month.name}"' for month in few]
    asked = [
        one
        for one in QUESTIONS
        if one[1] < minute(days - 1, 18) and any(name in one[0] for name in names)
    ]

    assert len(asked) > 10
    assert run(tmp_path, used(), ask(asked), few, days) == ""


@pytest.mark.slow
def test_the_month_and_the_rest_of_the_day(tmp_path: Path) -> None:
    """On the first, the third, the fifteenth and the last; a day old, older; young; lost."""
    assert run(tmp_path, used(), ask(QUESTIONS)) == ""


@pytest.mark.slow
def test_what_is_sent_of_a_lost_month(tmp_path: Path) -> None:
    """Labels and texts of a ticket, word for word: the tests of the messages send these."""
    sent = {f"exp_{name}": values for name, values in TICKET.items()}
    told = {"eval_time": f"{minute(26, 12)}m", "alertname": RISK, "exp_alerts": [sent]}
    links = {"grafana_url": "https://grafana.test", "runbook_url": "https://runbooks.test"}
    more = {"alert_rule_test": [told], "external_labels": links}

    assert run(tmp_path, used(), [], (LOST,), 27, **more) == ""


def test_a_lost_month_needs_more_than_all() -> None:
    """The written month that is lost is: the rest would have to be better than perfect."""
    assert truth(LOST, 26, 24, "month")["period:needed"] > 1


# The simulator's truth ------------------------------------------------------------------------

# January 2027 stands for that of 1970, in which promtool's time begins.
BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
SKILLS = (
    SimulatedSkill("1", "Ventas", {"inbound": 900.0, "chat": 200.0}, agents=0.95),
    SimulatedSkill("2", "Soporte", {"inbound": 350.0}, agents=1.3),
    SimulatedSkill("3", "Quejas", {"inbound": 60.0}, agents=0.8),
)
SLA = "[{channels: [inbound], service_level: {within: 20s, target: 80%}}]"
PLAN = len(SKILLS) * 24
# At two the month still lacks a day, and on the second of February it is not there.
MOMENTS = ((2, 12), (14, 2), (14, 18), (30, 12), (31, 12), (32, 2))


class Centre:
    """A simulated operation that is polled for a month, and what it knows itself."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        centre = SimulatedOperation("acme", "7b00", BOGOTA, SKILLS)
        self.over: datetime | None = None
        self.simulator = Simulator([centre], seed=3, now=self._now, sleep=asyncio.sleep)
        stage.api.answer = self._answer
        self.polled: dict[str, list[datetime]] = {}
        self.shown: dict[tuple[int, float], tuple[Element, list[dict[str, str]]]] = {}

    def _now(self) -> datetime:
        return self.stage.world.now() if self.over is None else self.over

    def _answer(self, seen: Seen) -> httpx.Response:
        """A report as the vendor rounds it; the ends of requests for today are kept."""
        start, end = (
            datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BOGOTA)
            for text in seen.window
        )
        if end.second != 59:
            self.polled.setdefault(seen.skill, []).append(end)
        return ok(*report_rows(self._figures(seen.skill, start, end + timedelta(seconds=1))))

    def _figures(self, skill: str, start: datetime, end: datetime) -> dict[str, Figures]:
        found = self.simulator.truth("acme", skill, start, end)
        return {name: Figures(**figures) for name, figures in found.items()}  # type: ignore[arg-type]

    def count(self, skill: str, start: datetime, end: datetime) -> Day:
        """What came in by telephone, and what of it was answered within 20 s."""
        found = self._figures(skill, start, end).get("inbound", Figures())
        return found.inbound, found.within_20

    async def month(self, desk: Desk) -> Scene:
        """Poll it every hour, a page every half-hour; at some moments people look."""
        steps, names = (DAYS - 1) * SLOTS, wanted()
        scene = Scene(steps)
        skills = "[" + ", ".join(f"{{id: {one.id}, name: {one.name}}}" for one in SKILLS) + "]"
        looked = {minute(*one) // STEP: one for one in MOMENTS}
        polled = operation(skills, month="true", interval="1h", sla=SLA, daily_requests=PLAN)
        async with self.stage.run(polled) as running:
            for step in range(steps):
                at = BEGIN + timedelta(minutes=STEP * step)
                await asyncio.sleep(max(0.0, (at - self.stage.world.now()).total_seconds()))
                scene.scrape(step, running.page.render().decode(), names, BEGIN.timestamp())
                if step in looked:
                    local = f"{at.astimezone(BOGOTA):%Y-%m-%d %H:%M}"
                    sheets = sheet(desk.report("--csv", "-", at=local).output)
                    self.shown[looked[step]] = read(served(self.stage, running)), sheets
        self.over = self._now()
        return scene

    def today(self, skill: str, day: int, hour: float) -> tuple[Day, Day]:
        """What was told of a day by an hour, and the whole of that day a week before."""
        at = BEGIN + timedelta(minutes=minute(day, hour))
        seen = max(end for end in self.polled[skill] if end < at) + timedelta(seconds=1)
        return self.count(skill, midnight(day), seen), self.days(skill, day - 7, day - 6)

    def days(self, skill: str, first: int, last: int) -> Day:
        """What came on some days, the last of them left out."""
        return self.count(skill, midnight(first), midnight(last))

    def truth(self, skill: str, day: int, hour: float, window: str) -> dict[str, float]:
        """The figures of a day or month, as they follow from what really happened."""
        (came, in_time), (last, _) = self.today(skill, day, hour)
        told: dict[str, float] = {"shown:offered": came, "shown:within": in_time}
        if window == "today":
            return told | ({"period:expected": max(last - came, 0)} if day > 7 else {})
        before = self.days(skill, JANUARY if day >= JANUARY else 0, day)
        offered, within = before[0] + came, before[1] + in_time
        told = {"offered": offered, "within": within, "late_left": within - TARGET * offered}
        if day > 7:
            week = self.days(skill, day - 7, day)
            remaining = (JANUARY if day < JANUARY else JANUARY + 28) - 1 - day
            rest = max(last - came, 0) + week[0] / 7 * remaining
            told["expected"] = rest
            told["needed"] = (TARGET * (offered + rest) - within) / rest
            told["projected"] = (within + rest * week[1] / week[0]) / (offered + rest)
        return {f"period:{name}": value for name, value in told.items()}

    def check_report(self, skill: str, day: int, hour: float) -> dict[str, float]:
        """Hold the windows of a report against what happened; their levels."""
        found = {}
        for one in self.shown[day, hour][1]:
            if (one["skill_id"], one["type_interaction"]) == (skill, "inbound"):
                first, last = (
                    (date.fromisoformat(one[name]) - midnight(0).date()).days
                    for name in ("start", "end")
                )
                inbound, within = self.days(skill, first, last + 1)
                level = float(one["service_level_20"])
                assert int(one["inbound"]) == inbound, one
                assert level == pytest.approx(within / inbound, abs=0.0000501), one
                found[one["window"]] = level
        # A month that has no day yet, or whose request is still to come.
        month = () if (day, hour) in ((31, 12), (32, 2)) else ("month",)
        assert found.keys() == {"yesterday", "last_month", *month}, (day, hour)
        return found

    def check_page(self, skill: str, day: int, hour: float, month: float | None) -> bool:
        """Hold a skill's day and month on the page against what happened; is it lost?"""
        (body,) = [
            one
            for one in self.shown[day, hour][0].all("tbody")
            if one.one("span", klass="skill").text.split()[-1] == skill
        ]
        (row,) = [one for one in body.rows() if one.one("th").text.startswith("inbound")]
        cells = [cell.text.replace("\u202f", "") for cell in row.all("td")]
        (came, within), (last, _) = self.today(skill, day, hour)
        late, allowed = came - within, round(20 * max(came, last)) // 100
        lost = day > 7 and late > allowed
        said = f"cannot be reached today: {late} late, {allowed} allowed" if lost else ""
        assert cells[0] == str(came), (day, hour)
        assert row.one("th").text.replace("\u202f", "").endswith(f"80%{said}"), (day, hour)
        for cell, level in ((cells[4], within / came if came else None), (cells[5], month)):
            if level is None:
                assert cell == "–", (day, hour)
                continue
            assert cell[0] == ("▼" if level < TARGET else "✓"), cell
            percent = cell[2:].removesuffix("%")
            assert float(percent) == pytest.approx(100 * level, abs=0.0551), cell
        return lost


def close(
    skill: str, window: str, record: str, value: float, near: float, at: int
) -> dict[str, Any]:
    """The question whether a record of a skill's telephone is what it must be."""
    who = f'skill_id="{skill}",type_interaction="inbound",window="{window}"'
    expr = f"abs(sum(wolkvox:{record}{{{who}}}) - {value}) <= bool {near}"
    return question(expr, at, ("{}", 1))


def midnight(day: int) -> datetime:
    """The moment at which a day begins."""
    return datetime.combine(date(2027, 1, 1) + timedelta(days=day), time(), BOGOTA)


@pytest.mark.slow
def test_a_month_of_three_skills_is_that_of_the_simulator(
    state_directory: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that page, report and records say of a polled month, within what the vendor rounds
    away; in no more requests than the day's ceiling, which the plan just meets.
    """
    stage = Stage(state_directory, "2026-12-31 19:00")
    centre = Centre(stage)
    scene = run_virtual(centre.month(Desk(state_directory, run, monkeypatch)))
    asked, lost = [], list[bool]()
    for skill in SKILLS:
        for day, hour in MOMENTS:
            levels = centre.check_report(skill.id, day, hour)
            lost.append(centre.check_page(skill.id, day, hour, levels.get("month")))
            told = centre.truth(skill.id, day, hour, "month")
            # A hundredth of a percent of a month is an interaction or two.
            near = {"period:projected": 0.001}
            near["period:needed"] = 2 / told.get("period:expected", 1)
            asked += [
                close(skill.id, "month", record, value, near.get(record, 2), minute(day, hour))
                for record, value in told.items()
            ]
            asked += [
                close(skill.id, "today", record, value, 0.01, minute(day, hour))
                for record, value in centre.truth(skill.id, day, hour, "today").items()
            ]
    test = {"interval": f"{STEP}m", "input_series": scene.as_input(), "promql_expr_test": asked}

    per_day = Counter(datetime.fromtimestamp(one.at, BOGOTA).date() for one in stage.seen())
    whole = [per_day[midnight(day).date()] for day in range(1, DAYS - 2)]
    assert {*whole} == {PLAN}
    assert {*lost} == {True, False}
    assert len(asked) > 120
    assert promtool(tmp_path, used(), [test], f"{STEP}m") is None
