"""Faults planted into the rules of the month: the written months must notice every one.

Faults of records are asked for on the hour and in figures alone, those of the alert every half
hour and in tickets alone, each in the months that tell something of them: evaluations take
the time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.rules_months import (
    A_DAY_OLD,
    AT_RISK,
    DAYS,
    FEW,
    NOT_CLOSED,
    ON_TARGET,
    OPENS,
    QUIET,
    STEP,
    TWO_DAYS_OLD,
    Month,
)
from tests.rules_support import Rule, alerts, needed, promtool
from tests.test_rules_month import Question, ask, edges, figures, firings, operations, used
from tests.test_rules_mutation import Fault, called, faults_of, noticed, variant

HOUR = 60
# What tells of a fault in a record that no figure is asked of.
READER = "wolkvox:period:within"
SEEN_IN_FIGURES = (ON_TARGET, A_DAY_OLD, TWO_DAYS_OLD, NOT_CLOSED, FEW, QUIET)
SEEN_IN_TICKETS = (AT_RISK, OPENS, A_DAY_OLD, TWO_DAYS_OLD, NOT_CLOSED, FEW)
UNNOTICED = {
    "wolkvox:operation:projected: lines range(7, 8) left out": "each operation has one skill;"
    " it takes a second one, younger than a week",
}


def questions(
    told: Sequence[Question], copy: Sequence[Rule], mark: str
) -> list[dict[str, Any]]:
    """What is asked of a faulty rule and of its readers, under their names."""
    names = {called(rule).removesuffix(mark) for rule in copy}

    def renamed(found: re.Match[str]) -> str:
        return found[0] + mark if found[0] in names else found[0]

    named = [
        one | {"expr": re.sub(r"wolkvox:\w+(?::\w+)*|Wolkvox\w+", renamed, one["expr"])}
        for one in ask(told)
    ]
    return [one for one in named if mark in one["expr"]]


def missed(
    faults: Sequence[Fault],
    told: Sequence[Question],
    months: Sequence[Month],
    every: int,
    days: int,
    directory: Path,
) -> list[str]:
    """The faults that no question notices; it is asked of these months alone."""
    wanted = {one.name for fault in faults for one in needed(used(), fault.rule.name)}
    rules = [rule for rule in used() if rule.name in wanted and not rule.alert]
    names = "|".join(month.name for month in months)
    end = days * 24 * HOUR - every
    told = [
        (expr, min(at, end), value)
        for expr, at, value in told
        # What is asked of all days is asked at the end.
        if re.search(f'"({names})"', expr) and (at <= end or "over_time" in expr)
        if at % every == 0
    ]
    series = [one for month in months for one in month.scene(days).as_input()]
    made = []
    for number, fault in enumerate(faults):
        mark, kept = f"__{number}_", {fault.rule.name, READER}
        copies = variant([*rules, *alerts().values()], fault, mark)
        made.append([one for one in copies if called(one).removesuffix(mark) in kept])
    groups = [rule.group for rule in used()]

    def said(left: Sequence[list[Rule]]) -> str:
        both = sorted(
            [*rules, *chain.from_iterable(left)], key=lambda rule: groups.index(rule.group)
        )
        asked = [
            one
            for copy in left
            for one in questions(told, copy, re.findall(r"__\d+_", called(copy[0]))[0])
        ]
        test = {"interval": f"{STEP}m", "input_series": series, "promql_expr_test": asked}
        return promtool(directory, both, [test], f"{every}m") or ""

    found = noticed(made, said)
    return [fault.named for number, fault in enumerate(faults) if number not in found]


@pytest.mark.slow
def test_every_fault_in_the_rules_of_the_month_is_noticed(tmp_path: Path) -> None:
    """No comparison can be turned round and no gate be left out without a figure or a ticket
    that is wrong; UNNOTICED lists what no month looks at, and why.
    """
    planted = [
        fault for rule in used() if rule.group == "wolkvox-month" for fault in faults_of(rule)
    ]
    records = [fault for fault in planted if not fault.rule.alert]
    tickets = [fault for fault in planted if fault.rule.alert]
    asked = [*figures(), *edges(), *operations()]
    left = [
        *missed(records, asked, SEEN_IN_FIGURES, HOUR, DAYS, tmp_path / "records"),
        *missed(tickets, [*firings()], SEEN_IN_TICKETS, STEP, 27, tmp_path / "alert"),
    ]

    assert len(planted) > 25
    assert sorted(left) == sorted(UNNOTICED)
