"""The building blocks of the boards' PromQL against series made for the purpose.

`promtool test rules` evaluates them: who is added up to whom, what a target judges, and what
is shown where there is nothing to show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.dashboards import queries as q
from tests.dashboards_support import EVERYTHING, Choice, interpolated
from tests.needs import run

Vector = Mapping[str, float]
"""Labels as PromQL writes them, and the value."""

HOUR = "60m"


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


def holds(
    directory: Path,
    series: Mapping[str, float | str],
    cases: Mapping[str, Vector],
    choice: Choice = EVERYTHING,
) -> None:
    """Assert that the expressions give these vectors after an hour of these series.

    A number stands for a constant; text is in promtool's notation, an interval a minute.
    """
    tests = [
        {
            "expr": interpolated(expr, choice),
            "eval_time": HOUR,
            "exp_samples": [{"labels": k, "value": v} for k, v in vector.items()],
        }
        for expr, vector in cases.items()
    ]
    listed = [
        {"series": name, "values": value if isinstance(value, str) else f"{value:g}x70"}
        for name, value in series.items()
    ]
    test = {"interval": "1m", "input_series": listed, "promql_expr_test": tests}
    file = directory / "case.yml"
    file.write_text(json.dumps({"tests": [test]}), encoding="utf-8")
    done = run("promtool", "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


TOTAL = q.total(q.day("inbound_interactions"))
BY_OPERATION = q.total(q.day("inbound_interactions"), "operation")


def test_single_skills_are_added_up_and_their_operation_as_a_whole_is_not(
    tmp_path: Path,
) -> None:
    """An operation with single skills is their sum, one without is its `all`."""
    series = {
        up("acme", "1"): 1,
        up("acme", "2"): 1,
        up("acme", "all"): 1,
        up("globex", "all"): 1,
        inbound("acme", "1"): 10,
        inbound("acme", "2"): 20,
        inbound("acme", "all"): 35,
        inbound("globex", "all"): 400,
    }

    both = {'{operation="acme"}': 30.0, '{operation="globex"}': 400.0}
    holds(tmp_path, series, {TOTAL: {"{}": 430}, BY_OPERATION: both})


def test_the_operation_as_a_whole_is_shown_to_whoever_chooses_it(tmp_path: Path) -> None:
    """With only `all` selected, nothing stands before it."""
    series = {
        up("acme", "1"): 1,
        up("acme", "all"): 1,
        inbound("acme", "1"): 10,
        inbound("acme", "all"): 35,
    }

    holds(tmp_path, series, {TOTAL: {"{}": 35}}, {**EVERYTHING, "skill": ("Todas",)})
    holds(tmp_path, series, {TOTAL: {"{}": 10}}, {**EVERYTHING, "skill": ("Todas", "Skill 1")})


def test_expired_single_skills_are_not_replaced_by_the_operation_as_a_whole(
    tmp_path: Path,
) -> None:
    """The sum is of what is configured, whether it has data or not: nothing jumps."""
    series: dict[str, float | str] = {
        up("acme", "1"): 0,
        up("acme", "all"): 1,
        inbound("acme", "all"): 35,
        inbound("acme", "1"): "10x20 stale",
    }

    holds(tmp_path, series, {TOTAL: {}, q.reporting(): {}})


def test_a_missing_skill_shows_in_the_part_that_reports(tmp_path: Path) -> None:
    """One of two queries without figures of today: the board says 50 %."""
    series = {
        up("acme", "1"): 1,
        up("acme", "2"): 1,
        up("acme", "all"): 1,
        inbound("acme", "1"): 10,
        inbound("acme", "all"): 35,
    }

    holds(tmp_path, series, {TOTAL: {"{}": 10}, q.reporting(): {"{}": 0.5}})


def test_two_exporters_of_one_operation_count_once(tmp_path: Path) -> None:
    """Gauges and growth of counters alike."""
    offered = f"wolkvox_skill_offered_interactions_total{{{skill('acme', '1')}}}"
    series: dict[str, float | str] = {
        up("acme", "1"): 1,
        up("acme", "1", instance="b"): 1,
        inbound("acme", "1"): 10,
        inbound("acme", "1", instance="b"): 10,
        offered: "0+1x70",
        offered.replace('instance="a"', 'instance="b"'): "100+1x70",
    }

    # Releases of Prometheus differ in the last digit of an increase.
    grown = f"round({q.total(q.offered('30m'))}, 0.001)"
    holds(tmp_path, series, {TOTAL: {"{}": 10.0}, grown: {"{}": 30.0}})


def test_a_service_level_is_a_sum_of_counts_over_a_sum_of_counts(tmp_path: Path) -> None:
    """A small good skill does not lift a large bad one: 10 of 10 and 0 of 90 are 10 %."""
    series = {
        up("acme", "1"): 1,
        up("acme", "2"): 1,
        inbound("acme", "1"): 10,
        level("acme", "1"): 1,
        inbound("acme", "2"): 90,
        level("acme", "2"): 0,
    }

    holds(tmp_path, series, {q.level_today(): {"{}": 0.1}})


def test_channels_with_a_target_are_judged_without_the_others(tmp_path: Path) -> None:
    """Mail that nobody answers within 20 s does not break the target of the voice channel."""
    series = {
        up("acme", "1"): 1,
        inbound("acme", "1"): 100,
        level("acme", "1"): 0.9,
        target("acme", "1"): 0.8,
        least("acme", "1"): 20,
        inbound("acme", "1", "omni-email"): 100,
        level("acme", "1", "omni-email"): 0,
    }

    met, missed, without = q.judged_today()
    holds(tmp_path, series, {met: {"{}": 0.9}, missed: {}, without: {}})


@pytest.mark.parametrize(("asked", "place"), [(0.95, 1), (0.8, 0)])
def test_a_day_is_judged_by_the_targets_weighted_by_volume(
    tmp_path: Path, asked: float, place: int
) -> None:
    """One answer of three comes: on target or below it."""
    series = {
        up("acme", "1"): 1,
        inbound("acme", "1"): 100,
        level("acme", "1"): 0.9,
        target("acme", "1"): asked,
    }

    found = [{"{}": 0.9} if number == place else {} for number in range(3)]
    holds(tmp_path, series, dict(zip(q.judged_today(), found, strict=True)))


def test_without_a_target_a_day_is_shown_and_not_judged(tmp_path: Path) -> None:
    """The third answer; the budget and the way back need a target and stay empty."""
    series = {up("acme", "1"): 1, inbound("acme", "1"): 10, level("acme", "1"): 0.5}

    met, missed, without = q.judged_today()
    cases = {met: {}, missed: {}, without: {"{}": 0.5}}
    holds(tmp_path, series, {**cases, q.budget_used(): {}, q.answers_to_recover(): {}})


def test_the_way_back_to_the_target(tmp_path: Path) -> None:
    """70 of 100 in time and 80 % asked: 50 more in time make 120 of 150."""
    series = {
        up("acme", "1"): 1,
        inbound("acme", "1"): 100,
        level("acme", "1"): 0.7,
        target("acme", "1"): 0.8,
    }

    holds(tmp_path, series, {q.answers_to_recover(): {"{}": 50}})
    holds(tmp_path, series, {f"round({q.budget_used()}, 0.001)": {"{}": 1.5}})


def test_nothing_came_in_is_no_ratio(tmp_path: Path) -> None:
    """Zero of zero is a dash, not NaN and not 0 %."""
    series = {
        up("acme", "1"): 1,
        inbound("acme", "1"): 0,
        target("acme", "1"): 0.8,
        least("acme", "1"): 20,
    }

    for expression in (q.level_today(), *q.judged_today(), q.abandonment()):
        holds(tmp_path, series, {expression: {}})


def test_a_row_whose_service_level_is_unreadable_is_in_neither_sum(tmp_path: Path) -> None:
    """Its inbound would else read as answered late."""
    series = {
        up("acme", "1"): 1,
        up("acme", "2"): 1,
        inbound("acme", "1"): 100,
        level("acme", "1"): 0.9,
        inbound("acme", "2"): 100,
    }

    holds(tmp_path, series, {q.level_today(): {"{}": 0.9}})


def test_a_ratio_below_the_minimum_volume_is_hidden(tmp_path: Path) -> None:
    """A pair's own minimum counts, and 20 where it has none."""
    series: dict[str, float | str] = {}
    for number, minimum in (("1", 5), ("2", 40), ("3", None)):
        pair = skill("acme", number)
        series[up("acme", number)] = 1
        series[f"wolkvox_skill_offered_interactions_total{{{pair}}}"] = "0+1x70"
        series[f'wolkvox_skill_answer_wait_seconds_bucket{{{pair},le="20.0"}}'] = "0+0.5x70"
        if minimum is not None:
            series[least("acme", number)] = minimum

    shown = {
        f'{{operation="acme",skill="Skill {number}",skill_id="{number}",'
        'type_interaction="inbound"}': 0.5
        for number in ("1", "3")
    }
    holds(tmp_path, series, {q.masked_level("30m"): shown})


def test_no_rules_is_not_no_alerts(tmp_path: Path) -> None:
    """0 where the rules are loaded and none fires, nothing where they are not."""
    watchdog = 'ALERTS{alertname="WolkvoxWatchdog",alertstate="firing",sli="watchdog"}'
    firing = (
        'ALERTS{alertname="WolkvoxServiceLevelCollapse",alertstate="firing",job="wolkvox",'
        'operation="acme",skill="Skill 1",type_interaction="inbound",sli="service_level"}'
    )

    holds(tmp_path, {up("acme", "1"): 1}, {q.alerts_firing(): {}})
    holds(tmp_path, {watchdog: 1}, {q.alerts_firing(): {"{}": 0}})
    holds(tmp_path, {watchdog: 1, firing: 1}, {q.alerts_firing(): {"{}": 1}})


def test_the_age_is_that_of_the_oldest_query(tmp_path: Path) -> None:
    """Of what is added up: an `all` beside single skills does not count."""

    def success(skill_id: str) -> str:
        return up("acme", skill_id).replace("_up", "_last_success_timestamp_seconds")

    series = {
        up("acme", "1"): 1,
        up("acme", "2"): 1,
        up("acme", "all"): 1,
        success("1"): 3500,
        success("2"): 3000,
        success("all"): 100,
    }

    holds(tmp_path, series, {q.age(): {"{}": 600}})
