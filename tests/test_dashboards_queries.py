"""The building blocks of the boards' PromQL against series made for the purpose.

`promtool test rules` evaluates them: who is added up to whom, what a target judges, and what
is shown where there is nothing to show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.dashboards import queries as q
from tests.dashboards_support import EVERYTHING, Choice, interpolated
from tests.needs import run

Vector = Mapping[str, float]
"""Labels as PromQL writes them, and the value."""
Series = dict[str, float | str]
"""Values by series: a number is a constant, text in promtool's notation, one a minute."""


def skill(operation: str, skill_id: str, channel: str = "inbound", **more: str) -> str:
    """The labels of one pair."""
    name = {"all": "Todas"}.get(skill_id, f"Skill {skill_id}")
    labels = {
        "job": "wolkvox",
        "instance": "a",
        "operation": operation,
        "skill_id": skill_id,
        "skill": name,
        "type_interaction": channel,
    } | more
    return ",".join(f'{key}="{value}"' for key, value in labels.items())


def up(operation: str, skill_id: str, **more: str) -> str:
    """The series that says that a query is configured."""
    labels = skill(operation, skill_id, **more).replace('type_interaction="inbound"', "")
    return f"wolkvox_up{{{labels.rstrip(',').replace(',,', ',')}}}"


def inbound(operation: str, skill_id: str, channel: str = "inbound", **more: str) -> str:
    """The inbound of today."""
    labels = skill(operation, skill_id, channel, window="today", **more)
    return f"wolkvox_skill_inbound_interactions{{{labels}}}"


def level(operation: str, skill_id: str, channel: str = "inbound") -> str:
    """The service level of today at 20 s."""
    labels = skill(operation, skill_id, channel, window="today", threshold_seconds="20")
    return f"wolkvox_skill_service_level_ratio{{{labels}}}"


def target(operation: str, skill_id: str, channel: str = "inbound") -> str:
    """The target of a pair at 20 s."""
    labels = skill(operation, skill_id, channel, threshold_seconds="20")
    return f"wolkvox_sla_service_level_target_ratio{{{labels}}}"


def least(operation: str, skill_id: str, channel: str = "inbound") -> str:
    """The minimum volume of a pair, which each pair with a target has."""
    return f"wolkvox_sla_min_interactions{{{skill(operation, skill_id, channel)}}}"


def ups(*queries: str) -> Series:
    """The queries that are configured, such as `acme 1`."""
    return {up(*one.split()): 1 for one in queries}


@dataclass(frozen=True, slots=True)
class Case:
    """What expressions must give after an hour of these series."""

    sentence: str
    series: Series
    expected: Mapping[str, Vector]
    choice: Choice | None = None

    def as_test(self) -> dict[str, object]:
        """The case as promtool takes it."""
        written = {
            name: value if isinstance(value, str) else f"{value:g}x70"
            for name, value in self.series.items()
        }
        return {
            "name": self.sentence,
            "interval": "1m",
            "input_series": [{"series": k, "values": v} for k, v in written.items()],
            "promql_expr_test": [
                {
                    "expr": interpolated(expr, self.choice or EVERYTHING),
                    "eval_time": "60m",
                    "exp_samples": [{"labels": k, "value": v} for k, v in vector.items()],
                }
                for expr, vector in self.expected.items()
            ],
        }


TOTAL = q.total(q.day("inbound_interactions"))
BY_OPERATION = q.total(q.day("inbound_interactions"), "operation")
MET, MISSED, WITHOUT = q.judged_today()
OFFERED = f"wolkvox_skill_offered_interactions_total{{{skill('acme', '1')}}}"
WATCHDOG = 'ALERTS{alertname="WolkvoxWatchdog",alertstate="firing",sli="watchdog"}'
FIRING = (
    'ALERTS{alertname="WolkvoxServiceLevelCollapse",alertstate="firing",job="wolkvox",'
    'operation="acme",skill="Skill 1",type_interaction="inbound",sli="service_level"}'
)


def day(skill_id: str, came: float, share: float, channel: str = "inbound") -> Series:
    """What came to a skill of acme today, and the share that was answered in time."""
    return {inbound("acme", skill_id, channel): came, level("acme", skill_id, channel): share}


def success(skill_id: str) -> str:
    """The series of a query's last success."""
    return up("acme", skill_id).replace("_up", "_last_success_timestamp_seconds")


def volumes() -> Series:
    """Three pairs of the same traffic: a minimum of 5, of 40 and none of their own."""
    series = ups("acme 1", "acme 2", "acme 3") | {least("acme", "1"): 5, least("acme", "2"): 40}
    for number in ("1", "2", "3"):
        pair = skill("acme", number)
        series[f"wolkvox_skill_offered_interactions_total{{{pair}}}"] = "0+1x70"
        series[f'wolkvox_skill_answer_wait_seconds_bucket{{{pair},le="20.0"}}'] = "0+0.5x70"
    return series


ALL_BESIDE_ONE: Series = {
    **ups("acme 1", "acme all"),
    inbound("acme", "1"): 10,
    inbound("acme", "all"): 35,
}
CASES = (
    Case(
        "An operation with single skills is their sum, one without is its `all`.",
        {
            **ups("acme 1", "acme 2", "acme all", "globex all"),
            **{inbound("acme", "1"): 10, inbound("acme", "2"): 20, inbound("acme", "all"): 35},
            inbound("globex", "all"): 400,
        },
        {
            TOTAL: {"{}": 430},
            BY_OPERATION: {'{operation="acme"}': 30.0, '{operation="globex"}': 400.0},
        },
    ),
    Case(
        "With only `all` selected, nothing stands before it.",
        ALL_BESIDE_ONE,
        {TOTAL: {"{}": 35}},
        {**EVERYTHING, "skill": ("Todas",)},
    ),
    Case(
        "Where `all` is selected beside a skill, the skill counts.",
        ALL_BESIDE_ONE,
        {TOTAL: {"{}": 10}},
        {**EVERYTHING, "skill": ("Todas", "Skill 1")},
    ),
    Case(
        "The sum is of what is configured, with data or without: nothing jumps to `all`.",
        {**ALL_BESIDE_ONE, up("acme", "1"): 0, inbound("acme", "1"): "10x20 stale"},
        {TOTAL: {}, q.reporting(): {}},
    ),
    Case(
        "One of two queries without figures of today: the board says 50 %.",
        {**ups("acme 2"), **ALL_BESIDE_ONE},
        {TOTAL: {"{}": 10}, q.reporting(): {"{}": 0.5}},
    ),
    Case(
        "Two exporters of one operation count once: gauges and growth of counters alike.",
        {
            **ups("acme 1"),
            up("acme", "1", instance="b"): 1,
            **{inbound("acme", "1", instance=one): 10 for one in ("a", "b")},
            OFFERED: "0+1x70",
            OFFERED.replace('instance="a"', 'instance="b"'): "100+1x70",
        },
        # Releases of Prometheus differ in the last digit of an increase.
        {TOTAL: {"{}": 10.0}, f"round({q.total(q.offered('30m'))}, 0.001)": {"{}": 30.0}},
    ),
    Case(
        "A small good skill does not lift a large bad one: 10 of 10 and 0 of 90 are 10 %.",
        {**ups("acme 1", "acme 2"), **day("1", 10, 1), **day("2", 90, 0)},
        {q.level_today(): {"{}": 0.1}},
    ),
    Case(
        "Mail that nobody answers within 20 s does not break the target of the voice channel.",
        {
            **ups("acme 1"),
            **day("1", 100, 0.9),
            **{target("acme", "1"): 0.8, least("acme", "1"): 20},
            **day("1", 100, 0, "omni-email"),
        },
        {MET: {"{}": 0.9}, MISSED: {}, WITHOUT: {}},
    ),
    Case(
        "A day below its target is that and nothing else.",
        {**ups("acme 1"), **day("1", 100, 0.9), target("acme", "1"): 0.95},
        {MET: {}, MISSED: {"{}": 0.9}, WITHOUT: {}},
    ),
    Case(
        "A day on target is that and nothing else.",
        {**ups("acme 1"), **day("1", 100, 0.9), target("acme", "1"): 0.8},
        {MET: {"{}": 0.9}, MISSED: {}, WITHOUT: {}},
    ),
    Case(
        "Without a target a day is shown and not judged; budget and way back stay empty.",
        {**ups("acme 1"), **day("1", 10, 0.5)},
        {
            **{MET: {}, MISSED: {}, WITHOUT: {"{}": 0.5}},
            **{q.budget_used(): {}, q.answers_to_recover(): {}},
        },
    ),
    Case(
        "70 of 100 in time and 80 % asked: 50 more in time make 120 of 150.",
        {**ups("acme 1"), **day("1", 100, 0.7), target("acme", "1"): 0.8},
        {q.answers_to_recover(): {"{}": 50}, f"round({q.budget_used()}, 0.001)": {"{}": 1.5}},
    ),
    Case(
        "Zero of zero is a dash, not NaN and not 0 %.",
        {
            **ups("acme 1"),
            **{inbound("acme", "1"): 0, target("acme", "1"): 0.8, least("acme", "1"): 20},
        },
        {one: {} for one in (q.level_today(), *q.judged_today(), q.abandonment())},
    ),
    Case(
        "A row whose service level is unreadable is in neither sum, not answered late.",
        {**ups("acme 1", "acme 2"), **day("1", 100, 0.9), inbound("acme", "2"): 100},
        {q.level_today(): {"{}": 0.9}},
    ),
    Case(
        "A ratio below the pair's own minimum is hidden, and below 20 where it has none.",
        volumes(),
        {
            q.masked_level("30m"): {
                f'{{operation="acme",skill="Skill {number}",skill_id="{number}",'
                'type_interaction="inbound"}': 0.5
                for number in ("1", "3")
            }
        },
    ),
    Case("No rules is not no alerts.", ups("acme 1"), {q.alerts_firing(): {}}),
    Case("Rules of which none fires are 0.", {WATCHDOG: 1}, {q.alerts_firing(): {"{}": 0}}),
    Case("One alert.", {WATCHDOG: 1, FIRING: 1}, {q.alerts_firing(): {"{}": 1}}),
    Case(
        "The age is that of the oldest query; an `all` beside single skills does not count.",
        {
            **ups("acme 1", "acme 2", "acme all"),
            **{success("1"): 3500, success("2"): 3000, success("all"): 100},
        },
        {q.age(): {"{}": 600}},
    ),
)


def test_the_building_blocks_give_what_they_say(tmp_path: Path) -> None:
    """Each case, by promtool; its sentence stands in what promtool says where it fails."""
    file = tmp_path / "cases.yml"
    tests = [case.as_test() for case in CASES]
    file.write_text(json.dumps({"tests": tests}), encoding="utf-8")
    done = run("promtool", "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
