"""The building blocks of the boards' PromQL against series made for the purpose.

`promtool test rules` evaluates them: who is added up to whom, what a target judges, and what
is shown where there is nothing to show.
"""

from __future__ import annotations

import json
import re
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


def level(skill_id: str, channel: str = "inbound", within: int = 20) -> str:
    """The service level of today at a threshold."""
    labels = skill("acme", skill_id, channel, window="today", threshold_seconds=f"{within}")
    return f"wolkvox_skill_service_level_ratio{{{labels}}}"


def target(skill_id: str, channel: str = "inbound", within: int = 20) -> str:
    """The target of a pair at a threshold."""
    labels = skill("acme", skill_id, channel, threshold_seconds=f"{within}")
    return f"wolkvox_sla_service_level_target_ratio{{{labels}}}"


def record(name: str, skill_id: str, channel: str, within: int, **more: str) -> str:
    """A record of the rules, which knows no name of a skill."""
    labels = skill("acme", skill_id, channel, threshold_seconds=f"{within}", **more)
    labels = re.sub(r'(instance|skill)="[^"]*",?', "", labels)
    return f"wolkvox:{name}{{{labels}}}"


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

    def as_test(self, other: str) -> dict[str, object]:
        """The case as promtool takes it, with another exporter of the same beside the first."""
        twice = {
            k.replace('instance="a"', f'instance="{other}"'): v for k, v in self.series.items()
        }
        written = {
            name: value if isinstance(value, str) else f"{value:g}x70"
            for name, value in (twice | dict(self.series)).items()
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


TOTAL = q.total(q.INBOUND)
BY_OPERATION = q.total(q.INBOUND, "operation")
VERDICT = q.verdict(q.level(), ">=", "round(100 * {}, 0.1)")
WITHOUT = q.level_without_target()
OFFERED = f"wolkvox_skill_offered_interactions_total{{{skill('acme', '1')}}}"


def day(
    skill_id: str, came: float, share: float, channel: str = "inbound", within: int = 20
) -> Series:
    """What came to a skill of acme today, and the share that was answered in time."""
    return {inbound("acme", skill_id, channel): came, level(skill_id, channel, within): share}


def polled(skill_id: str, success: float, pace: float) -> Series:
    """A query's last success, and how often it is asked."""
    name = up("acme", skill_id)
    return {
        name: 1,
        name.replace("_up", "_last_success_timestamp_seconds"): success,
        name.replace("_up", "_query_interval_seconds"): pace,
    }


# The day of one chat that nobody answers, under a green voice line ------------------------

# Skill, channel, threshold; what came; its level until the fortieth minute, and now; target.
PAIRS = (
    ("1", "inbound", 20, 400, 0.95, 0.95, 0.8),
    ("1", "chat-web", 30, 9, 0, 0, 0.8),
    ("2", "inbound", 20, 200, 0.95, 0.5, 0.9),
    ("2", "chat-whatsapp", 10, 50, 0.55, 0.45, 0.5),
    ("3", "omni-email", 20, 30, 1, 1, 0.9),
)


def green_voice_and_a_dead_chat() -> Series:
    """The pairs as the exporter and the rules show them; one has an alert."""
    series = ups("acme 1", "acme 2", "acme 3")
    for skill_id, channel, within, came, before, now, aim in PAIRS:
        curve = f"{before}x39 {now}x30"
        series |= day(skill_id, came, now, channel, within)
        series[level(skill_id, channel, within)] = curve
        series[target(skill_id, channel, within)] = aim
        series[record("service_level:target", skill_id, channel, within)] = aim
        series[record("service_level:day", skill_id, channel, within)] = curve
        middle = record("window:service_level", skill_id, channel, within, window="middle")
        series[middle] = now
    # A chat is late at 20 s too; what is judged is its own threshold.
    series[level("2", "chat-whatsapp", 20)] = 0.99
    alert = skill("acme", "2", "inbound", sli="service_level", alertname="WolkvoxCollapse")
    series[f"ALERTS_FOR_STATE{{{alert}}}"] = 1200
    series[record("window:z", "1", "chat-web", 30, window="long")] = 5
    series[record("window:z", "2", "chat-whatsapp", 10, window="long")] = "0x19 3x50"
    return series


def rows(column: str, **values: float) -> Vector:
    """A column of the table of trouble."""
    named = {
        "chat": ("1", "chat-web"),
        "voice": ("2", "inbound"),
        "app": ("2", "chat-whatsapp"),
    }
    found = {}
    for name, value in values.items():
        labels = re.sub(r'instance="a",', "", skill("acme", *named[name], column=column))
        found[f"{{{labels}}}"] = value
    return found


TROUBLE = {
    **rows("gap", chat=0.8, voice=0.4, app=0.05),
    **rows("wolkvox_skill_service_level_ratio", chat=0.0, voice=0.5, app=0.45),
    **rows("wolkvox_sla_service_level_target_ratio", chat=0.8, voice=0.9, app=0.5),
    **rows("wolkvox_skill_inbound_interactions", chat=9.0, voice=200.0, app=50.0),
    # The chat since there is a figure, voice since its alert, the app since its two hours fell.
    **rows("since", chat=0.0, voice=1_200_000.0, app=900_000.0),
}


def strip_row(distance: str, skill_id: str, channel: str, within: int) -> str:
    """The labels of a row of the strip."""
    more = {"threshold_seconds": f"{within}", "window": "middle"}
    labels = re.sub(r'instance="a",', "", skill("acme", skill_id, channel, **more))
    return f'{{distance="{distance}",{labels}}}'


WORST = re.sub('instance="a",', "", f"{{{skill('acme', '1', 'chat-web', target='80')}}}")
STRIP = {
    strip_row("0.2", "1", "chat-web", 30): -0.8,
    strip_row("0.6", "2", "inbound", 20): -0.4,
    strip_row("0.95", "2", "chat-whatsapp", 10): -0.05,
    strip_row("1.1", "3", "omni-email", 20): 0.1,
    strip_row("1.15", "1", "inbound", 20): 0.15,
}


def rest_of_day(came: float, within: float, expected: float) -> Series:
    """A pair with a target of 80 %, and what the rules make of its day."""
    series = ups("acme 1") | {target("1"): 0.8}
    for name, value in (
        ("shown:offered", came),
        ("shown:within", within),
        ("period:expected", expected),
    ):
        series[record(name, "1", "inbound", 20, window="today")] = value
    return series


ALL_BESIDE_ONE: Series = {
    **ups("acme 1", "acme all"),
    inbound("acme", "1"): 10,
    inbound("acme", "all"): 35,
}
CASES = (
    Case(
        "An operation that is polled as a whole is its `all`, another the sum of its skills.",
        {
            **ups("acme 1", "acme 2", "acme all", "globex 1", "globex 2"),
            **{inbound("acme", "1"): 10, inbound("acme", "2"): 20, inbound("acme", "all"): 35},
            **{inbound("globex", "1"): 200, inbound("globex", "2"): 200},
        },
        {
            TOTAL: {"{}": 435},
            BY_OPERATION: {'{operation="acme"}': 35.0, '{operation="globex"}': 400.0},
        },
    ),
    Case(
        "With one skill selected, `all` does not stand for it.",
        ALL_BESIDE_ONE,
        {TOTAL: {"{}": 10}},
        {**EVERYTHING, "skill": ("Skill 1",)},
    ),
    Case(
        "The sum is of what is configured, with data or without: nothing jumps to the skills.",
        {**ALL_BESIDE_ONE, up("acme", "all"): 0, inbound("acme", "all"): "35x20 stale"},
        {TOTAL: {}, q.reporting(): {"{}": 0.5}},
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
        {TOTAL: {"{}": 10.0}, q.hourly()["inbound"]: {"{}": 60.0}},
    ),
    Case(
        "A small good skill does not lift a large bad one: 10 of 10 and 0 of 90 are 10 %.",
        {
            **ups("acme 1", "acme 2"),
            **day("1", 10, 1),
            **day("2", 90, 0),
            **{target("1"): 0.8, target("2"): 0.8},
        },
        {VERDICT: {'{met="0",target="80"}': 0.1}},
    ),
    Case(
        "Mail that nobody answers within 20 s does not break the target of the voice channel.",
        {
            **ups("acme 1"),
            **day("1", 100, 0.9),
            target("1"): 0.8,
            **day("1", 100, 0, "omni-email"),
        },
        {VERDICT: {'{met="1",target="80"}': 0.9}, WITHOUT: {}},
    ),
    Case(
        "Two channels are judged at their own thresholds: 80 of 100 at 20 s, 40 of 50 at 30 s.",
        {
            **ups("acme 1"),
            **day("1", 100, 0.8),
            **day("1", 50, 0.2, "chat-web"),
            **day("1", 50, 0.8, "chat-web", 30),
            **{target("1"): 0.9, target("1", "chat-web", 30): 0.6},
        },
        # 80 % of a target of (100 x 90 % + 50 x 60 %) / 150.
        {VERDICT: {'{met="1",target="80"}': 0.8}},
    ),
    Case(
        "The target of `all` judges an operation where it has one; else those of its skills.",
        {
            **ups("acme 1", "acme all"),
            **day("1", 10, 0),
            **day("all", 100, 0.7),
            **{target("1"): 0.8, target("all"): 0.6},
        },
        {VERDICT: {'{met="1",target="60"}': 0.7}},
    ),
    Case(
        "A day below its target is that and nothing else.",
        {**ups("acme 1"), **day("1", 100, 0.9), target("1"): 0.95},
        {VERDICT: {'{met="0",target="95"}': 0.9}, WITHOUT: {}},
    ),
    Case(
        "Without a target a day is shown at the chosen threshold and not judged.",
        {**ups("acme 1"), **day("1", 10, 0.5)},
        {VERDICT: {}, WITHOUT: {"{}": 0.5}, q.trouble(): {}},
    ),
    Case(
        "Zero of zero is a dash, not NaN and not 0 %.",
        {**ups("acme 1"), **{inbound("acme", "1"): 0, target("1"): 0.8}},
        {one: {} for one in (VERDICT, WITHOUT, q.ratio(q.abandonment()), q.trouble())},
    ),
    Case(
        "A row whose service level is unreadable is in neither sum, not answered late.",
        {
            **ups("acme 1", "acme 2"),
            **day("1", 100, 0.9),
            inbound("acme", "2"): 100,
            **{target("1"): 0.8, target("2"): 0.8},
        },
        {VERDICT: {'{met="1",target="80"}': 0.9}},
    ),
    Case(
        "One chat at 0 % of its target under a green voice line is what the board shows.",
        green_voice_and_a_dead_chat(),
        {
            f"round({q.trouble()}, 0.001)": TROUBLE,
            f"round({q.strip()}, 0.001)": STRIP,
            f"topk(1, round({q.worst()}, 0.001))": {WORST: 80},
            f"count({q.worst()})": {"{}": 3},
            q.none_below(): {},
        },
    ),
    Case(
        "A day without trouble says how many have a target.",
        {**ups("acme 1"), **day("1", 100, 0.9), target("1"): 0.8},
        {q.worst(): {}, q.none_below(): {"{}": 1}, q.trouble(): {}},
    ),
    Case(
        "609 late and 354 allowed cannot be reached.",
        rest_of_day(1370, 761, 400),
        {q.reach()[0]: {}, q.reach()[1]: {'{allowed="354",late="609",window="today"}': 1}},
    ),
    Case(
        "100 late and 200 allowed: 100 more may be.",
        rest_of_day(500, 400, 500),
        {
            q.reach()[0]: {'{allowed="200",late="100",window="today"}': 100},
            q.reach()[1]: {},
        },
    ),
    Case(
        "20 late and 20 allowed: it can just be reached.",
        rest_of_day(50, 30, 50),
        {q.reach()[0]: {'{allowed="20",late="20",window="today"}': 0}, q.reach()[1]: {}},
    ),
    Case(
        "The age is counted in polls of the query's own: 600 s at 300 s, not 900 s at 3,600.",
        {**polled("1", 3000, 300), **polled("2", 2700, 3600)},
        {q.age(): {'{job="wolkvox",operation="acme",skill="Skill 1",skill_id="1"}': 2}},
    ),
)


def test_the_building_blocks_give_what_they_say(tmp_path: Path) -> None:
    """Each case, with one exporter and with two; what promtool says holds its sentence."""
    file = tmp_path / "cases.yml"
    # Prometheus gives the series of a strip in the order of their labels: the worst first.
    assert list(STRIP) == sorted(STRIP)
    tests = [case.as_test(other) for case in CASES for other in ("a", "b")]
    file.write_text(json.dumps({"tests": tests}), encoding="utf-8")
    done = run("promtool", "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
