"""Whole days of the simulated centre through the real exporter: who is alerted, and when.

Healthy is: staffed a third above what the mean load needs, and measured by 70 % within 20 s.
With just the mean load's staff a voice queue of this size falls below 80 % in one half-hour of
ten by chance alone: no rule can tell that from a team that is too small.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import pytest

from exporter.simulator.centre import SimulatedOperation, SimulatedSkill
from scripts.alert_study import Queue, Row, drawn, model_day
from tests.rules_collapse import Collapse, judge, play, told
from tests.rules_history import firing
from tests.rules_live import Play, Site
from tests.rules_support import promtool, question, shipped

BOGOTA = ZoneInfo("America/Bogota")


def _site(name: str, zone: ZoneInfo, *skills: SimulatedSkill, **keys: str) -> Site:
    token = "7b" + name.encode().hex() * 5
    simulated = SimulatedOperation(name, token, zone, skills, daily_limit=10**6)
    return Site(simulated, {"interval": "5m", **keys})


def _sla(level: int, **more: str) -> str:
    keys = {
        "channels": "[inbound]",
        "service_level": f"{{within: 20s, target: {level}%}}",
        **more,
    }
    return "[{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}]"


# A collapse, at every hour of the day --------------------------------------------------------


def _sample() -> list[Collapse]:
    """At each hour, in each minute between two polls, of queues from near the minimum up."""
    plan = [(hour, (hour * 2) % 5) for hour in range(24) if hour not in {10, 17}]
    plan += [(hour, phase) for hour in (10, 17) for phase in range(5)]
    volumes = (24.0, 28.0, 32.0, 40.0, 60.0)
    made = [Collapse(volumes[n % 5], hour, phase) for n, (hour, phase) in enumerate(plan)]
    # Slow ones among 600: a window of 20 minutes alone tells them half a minute too late.
    slow = ((24.0, 12, 2), (32.0, 11, 2), (32.0, 15, 2), (40.0, 2, 2))
    return list(dict.fromkeys([*made, *(Collapse(*one) for one in slow)]))


@pytest.mark.slow
def test_a_collapse_pages_soon_at_any_hour(tmp_path: Path, state_directory: Path) -> None:
    """Right before or after a poll, by day and by night, where it is above the minimum.

    Half of them within twenty minutes, all within twenty-five.
    """
    collapses = _sample()
    scene = play(collapses, state_directory)

    verdicts = list(judge(collapses, told(scene, tmp_path)))

    above = [one for one in verdicts if one.above]
    assert len(above) > 20
    assert not [one for one in above if one.late]
    assert median(one.minutes for one in above if one.minutes is not None) <= 20
    assert not [one for one in verdicts if one.early]


@pytest.mark.slow
def test_the_truth_is_the_simulators(state_directory: Path) -> None:
    """Who is said to arrive is counted, but for the few who wait just then."""
    one = Collapse(60.0, 10, 0)
    scene = play([one], state_directory)
    counted = next(
        values for name, values in scene.series.items() if "offered_interactions" in name
    )
    last, first = counted[60], counted[5]
    assert isinstance(last, float)
    assert isinstance(first, float)

    (arrived,) = one.arrived((300, 3600))

    assert abs(arrived - (last - first)) <= 5
    assert arrived > 60


# Days on which nothing happens ---------------------------------------------------------------


def _quiet_days() -> list[Site]:
    """Five queues with different chances, a tight quota, hours of polling, a small skill."""
    seeds = []
    for number in range(5):
        chat = {"chat-whatsapp": 300.0} if number == 0 else {}
        skill = SimulatedSkill("4173", "Ventas", {"inbound": 1500.0, **chat}, agents=1.3)
        sla = _sla(70, abandonment="{max: 15%}", asa="{max: 60s}")
        seeds.append(_site(f"seed{number}", BOGOTA, skill, sla=sla))
    skills = [SimulatedSkill(str(n), f"S{n}", {"inbound": 700.0}, agents=1.3) for n in range(2)]
    tight = _site(
        "tight", BOGOTA, *skills, sla=_sla(70), daily_requests="200", token_info="true"
    )
    shop = _site(
        "shop", BOGOTA, SimulatedSkill("1", "Tienda", {"inbound": 1500.0}, agents=1.3),
        sla=_sla(70, hours='"Mo-Su 08:00-18:00"'), daily_requests="150",
        poll_hours='"Mo-Su 07:00-20:00"',
    )  # fmt: skip
    small = _site(
        "small", BOGOTA, SimulatedSkill("1", "Quejas", {"inbound": 45.0}, agents=0.7),
        sla=_sla(80, abandonment="{max: 5%}"),
    )  # fmt: skip
    return [*seeds, tight, shop, small]


@pytest.mark.slow
def test_healthy_days_are_silent(tmp_path: Path, state_directory: Path) -> None:
    """Nights, mornings, midnight, a restart, a tight quota and low volume alert nobody."""
    start = datetime(2026, 11, 17, 23, 0, tzinfo=BOGOTA)
    minutes = 25 * 60 + 30
    play = Play(start, minutes, _quiet_days(), down=range(15 * 60, 15 * 60 + 3))
    scene = play.scene(state_directory)
    firing = 'ALERTS{alertstate="firing",alertname!="WolkvoxWatchdog"}'
    asked = [
        question(
            f"count by (alertname, operation) (count_over_time({firing}[{minutes}m]))", minutes
        )
    ]
    test = {"interval": "1m", "input_series": scene.as_input(), "promql_expr_test": asked}

    # Every two minutes will do for silence, at half the cost.
    assert promtool(tmp_path, shipped(), [test], interval="2m") is None


@pytest.mark.slow
def test_of_sixty_healthy_skills_and_one_that_collapses_only_that_one_pages(
    tmp_path: Path,
) -> None:
    """A day from seven to seven in a real Prometheus, and each critical alert's expression."""
    rows = [*model_day()] * 6
    day = [Queue(row, row.name(number), begin=0) for number, row in enumerate(rows)]
    collapse = Row("collapse", 0.8, 0.86, 40, then=0.15, answered=0.5, daily=True)
    day.append(Queue(collapse, "collapses", begin=301.5))
    critical = {
        rule.name
        for rule in shipped()
        if rule.alert and rule.body["labels"]["severity"] == "critical"
    }

    found = firing(drawn(day, seed="61"), critical, tmp_path)

    fires = {key: min(when) for key, when in found.items() if "critical" in key and when}
    page = ("WolkvoxServiceLevelCollapse", "critical", "collapses")
    assert fires.keys() == {page}
    assert 302 < fires[page] <= 326
