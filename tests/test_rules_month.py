"""The month and the rest of the day: against written months, and against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.simulator import (
    Figures,
    SimulatedOperation,
    SimulatedSkill,
    Simulator,
    report_rows,
)
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
    TWO_DAYS_OLD,
    YOUNG,
    Day,
    Month,
    minute,
)
from tests.rules_scene import Scene
from tests.rules_support import Rule, needed, promtool, question, shipped
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
    nothing = (
        (YOUNG, 25, "projected"), (YOUNG, 19, "within"), (TWO_DAYS_OLD, 28, "offered"),
        (TWO_DAYS_OLD, 28, "within"), (NOT_CLOSED, 28, "offered"), (NOT_CLOSED, 28, "within"),
    )  # fmt: skip
    # Nothing has been told of the day yet; and a day on which nothing came.
    yield figure(FEW, "period:offered", "month"), minute(28, 2), None
    yield figure(QUIET, "period:offered", "month"), minute(27, 12), QUIET.sums(0, 27)[0]
    for month, day, record in nothing:
        yield figure(month, f"period:{record}", "month"), minute(day, 12), None
    # An hour past midnight the month still lacks a day, and on the second it is not there.
    for day, first in ((14, 0), (32, 31)):
        early = ON_TARGET.sums(first, day)[0] + ON_TARGET.so_far(day, 2)[0]
        yield figure(ON_TARGET, "period:offered", "month"), minute(day, 1), early


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
) -> str:
    """What promtool says of the written months; empty where all is as it must be."""
    series = [one for month in months for one in month.scene(days).as_input()]
    test = {"interval": f"{STEP}m", "input_series": series, "promql_expr_test": asked}
    return promtool(directory, rules, [test], f"{STEP}m") or ""


QUESTIONS = [*figures(), *operations(), *firings()]


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

    async def month(self) -> Scene:
        """Poll it every hour; a page every half-hour."""
        steps, names = (DAYS - 1) * SLOTS, wanted()
        scene = Scene(steps)
        skills = "[" + ", ".join(f"{{id: {one.id}, name: {one.name}}}" for one in SKILLS) + "]"
        polled = operation(skills, month="true", interval="1h", sla=SLA, timezone=str(BOGOTA))
        async with self.stage.run(polled) as running:
            for step in range(steps):
                at = BEGIN + timedelta(minutes=STEP * step)
                await asyncio.sleep(max(0.0, (at - self.stage.world.now()).total_seconds()))
                scene.scrape(step, running.page.render().decode(), names, BEGIN.timestamp())
        self.over = self._now()
        return scene

    def truth(self, skill: str, day: int, hour: float) -> dict[str, float]:
        """The figures of a month, as they follow from what really happened."""
        at = BEGIN + timedelta(minutes=minute(day, hour))
        seen = max(end for end in self.polled[skill] if end < at) + timedelta(seconds=1)
        midnight = at.astimezone(BOGOTA).replace(hour=0, minute=0, second=0)
        first = midnight.replace(day=1)
        offered, within = self.count(skill, first, seen)
        told = {"offered": offered, "within": within, "late_left": within - TARGET * offered}
        if day > 7:
            came, _ = self.count(skill, midnight, seen)
            week = self.count(skill, midnight - timedelta(days=7), midnight)
            last, _ = self.count(
                skill, midnight - timedelta(days=7), midnight - timedelta(days=6)
            )
            length = JANUARY if day < JANUARY else 28
            rest = max(last - came, 0) + week[0] / 7 * (length - at.astimezone(BOGOTA).day)
            told["expected"] = rest
            told["needed"] = (TARGET * (offered + rest) - within) / rest
            told["projected"] = (within + rest * week[1] / week[0]) / (offered + rest)
        return {f"period:{name}": value for name, value in told.items()}


@pytest.mark.slow
def test_a_month_of_three_skills_is_that_of_the_simulator(
    state_directory: Path, tmp_path: Path
) -> None:
    """All that the records say of a polled month, within what the vendor rounds away."""
    centre = Centre(Stage(state_directory, "2026-12-31 19:00"))
    scene = run_virtual(centre.month())
    asked = []
    for skill in SKILLS:
        for day, hour in MOMENTS:
            told = centre.truth(skill.id, day, hour)
            for record, value in told.items():
                who = f'skill_id="{skill.id}",type_interaction="inbound",window="month"'
                # A hundredth of a percent of a month is an interaction or two.
                rest = told.get("period:expected", 1)
                near = {"period:projected": 0.001, "period:needed": 2 / rest}.get(record, 2)
                expr = f"abs(sum(wolkvox:{record}{{{who}}}) - {value}) <= bool {near}"
                asked.append(question(expr, minute(day, hour), ("{}", 1)))
    test = {"interval": f"{STEP}m", "input_series": scene.as_input(), "promql_expr_test": asked}

    assert len(asked) > 60
    assert promtool(tmp_path, used(), [test], f"{STEP}m") is None
