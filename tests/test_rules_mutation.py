"""Faults planted into the rules: the scenes must notice every one of them.

A fault is a comparison turned round, a gate left out, or a `for` that does not wait. Each is
given to a copy of the alert (and of every record on the way to it) under a name of its own, so
that one run of promtool tries them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from tests.rules_cases import CASES
from tests.rules_support import (
    APART,
    GROUPS,
    ROOT,
    Case,
    Rule,
    alerts,
    as_tests,
    hastened,
    needed,
    promtool,
    shipped,
)

TRIED = [name for name in alerts() if name not in APART]
_TURNED = {"<": ">", ">": "<", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}
_COMPARISON = re.compile(r'(?<![=!~<>"])(<=|>=|==|!=|<|>)(?![=~"])')
_GATE = re.compile(r"^(and|unless)\b")


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule with a fault, and what was done to it."""

    rule: Rule
    what: str

    @property
    def named(self) -> str:
        """Where it was planted, and what was done."""
        return f"{self.rule.name}: {self.what}"


def faults_of(rule: Rule) -> Iterator[Fault]:
    """Every fault that can be planted into a rule."""
    expr = rule.expr
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', lambda text: "_" * len(text[0]), expr)
    for match in _COMPARISON.finditer(bare):
        turned = expr[: match.start()] + _TURNED[match[1]] + expr[match.end() :]
        yield Fault(rule.changed(expr=turned), f"{match[1]} turned at {match.start()}")
    for gate in _gates(expr.splitlines()):
        left = [line for number, line in enumerate(expr.splitlines()) if number not in gate]
        yield Fault(rule.changed(expr="\n".join(left)), f"lines {gate} left out")
    if rule.alert and rule.body["for"] != "0m":
        yield Fault(rule.changed(**{"for": "0m"}), "no wait")
    if "keep_firing_for" in rule.body:
        yield Fault(rule.changed(keep_firing_for=None), "not kept")


def _gates(lines: Sequence[str]) -> Iterator[range]:
    """The lines of each gate: from its keyword to the next word at its own depth."""
    for first, line in enumerate(lines):
        text = line.lstrip()
        if not _GATE.match(text):
            continue
        indent, last = len(line) - len(text), first + 1
        while last < len(lines):
            below = lines[last]
            depth = len(below) - len(below.lstrip())
            word = below.strip().split(" ")[0]
            closing = word.startswith(")") and depth < indent
            if closing or (depth <= indent and word in {"and", "unless", "or"}):
                break
            last += 1
        yield range(first, last)


def variant(rules: Sequence[Rule], fault: Fault, mark: str) -> list[Rule]:
    """The faulty rule and all that depend on it, under names that end in `mark`."""
    renamed = {fault.rule.name}
    copies = [fault.rule.changed(**_named(fault.rule, mark))]
    # An alert of two severities is two rules of one name.
    copies += [rule.changed(**_named(rule, mark)) for rule in rules if _twins(rule, fault.rule)]
    after = next(n for n, rule in enumerate(rules) if rule.name == fault.rule.name)
    for rule in rules[after + 1 :]:
        used = set(re.findall(r"wolkvox:\w+(?::\w+)*", rule.expr)) & renamed
        if used:
            expr = re.sub(
                r"wolkvox:\w+(?::\w+)*",
                lambda found: found[0] + mark if found[0] in renamed else found[0],
                rule.expr,
            )
            renamed.add(rule.name)
            copies.append(rule.changed(expr=expr, **_named(rule, mark)))
    # An alert that goes on until it has recovered looks at itself.
    return [
        one.changed(expr=re.sub(r'(alertname="\w+)"', rf'\1{mark}"', one.expr))
        for one in copies
    ]


def _twins(one: Rule, other: Rule) -> bool:
    return one.alert and one.name == other.name and one.body["labels"] != other.body["labels"]


def _named(rule: Rule, mark: str) -> dict[str, str]:
    return {"alert" if rule.alert else "record": rule.name + mark}


def beside(rules: Sequence[Rule], copies: Sequence[list[Rule]]) -> list[Rule]:
    """The records and the copies, group by group; alerts without a fault are not asked."""
    records = [rule for rule in rules if not rule.alert]
    both = [*records, *chain.from_iterable(copies)]
    return sorted(both, key=lambda rule: GROUPS.index(rule.group))


def called(rule: Rule) -> str:
    """The name of a rule, or of its copy with a fault."""
    return str(rule.body.get("alert") or rule.body["record"])


def noticed(
    copies: Sequence[list[Rule]], told: Callable[[Sequence[list[Rule]]], str]
) -> set[int]:
    """The copies of which promtool tells that something is wrong.

    It ends where a rule cannot be evaluated, whatever the others do: again without that one.
    """
    found: set[int] = set()
    broken = True
    while broken:
        said = told([made for number, made in enumerate(copies) if number not in found])
        found |= {int(mark) for mark in re.findall(r"__(\d+)_", said)}
        broken = re.search(r"rule: \S+__\d+_,|could not parse", said) is not None
    return found


UNNOTICED: dict[str, dict[str, str]] = json.loads(
    (ROOT / "tests/data/rules/unnoticed.json").read_text(encoding="utf-8")
)

# Where an alert on a pair must be silent because of its gates.
_SILENT = ("low_volume", "closed", "late_but_not_expired")
# The scenes in which an alert's faults show, beside its own and the silent ones.
_MORE = {
    "WolkvoxTrafficLost": (
        "vanished", "traffic_after_a_long_gap", "traffic_polled_more_seldom",
    ),
    "WolkvoxSmallQueueBelowTarget": ("lunch", "slow_burn", "healthy", "mail_over_night"),
    "WolkvoxAnswerSlow": ("healthy",),
    "WolkvoxNobodyAnswers": ("healthy", "just_opened", "few_later_in_the_day"),
    "WolkvoxTrafficVanished": (
        "silence_after_a_gap", "silence_after_a_long_gap", "vanished_needs_last_week",
    ),
    "WolkvoxTrafficSpike": (
        "traffic_after_a_gap", "traffic_after_a_gap_last_week", "new_pair",
        "traffic_polled_more_seldom",
    ),
    "WolkvoxSkillWithoutTarget": ("all_beside_single_skills",),
    "WolkvoxQuotaLow": (
        "quota_as_planned", "quota_spent_by_the_closing_of_polling",
        "platform_count_of_yesterday",
    ),
    "WolkvoxQuotaPredicted": ("quota_as_planned", "platform_count_of_yesterday"),
    "WolkvoxQuotaExhausted": ("quota_as_planned", "quota_spent_by_the_closing_of_polling"),
}  # fmt: skip
# Many scenes speak of these alerts; some are enough.
_ENOUGH = {
    "WolkvoxServiceLevelBelowTarget": (
        "slow_burn", "kept_over_one_good_poll", "quiet_after_rush", "stretched",
        "flapping", "target_of_100_percent", "steady_volume_at_the_minimum",
        "a_little_below_the_target", "a_long_burn_and_its_end",
    ),
    "WolkvoxServiceLevelCollapse": (
        "slow_burn", "collapse", "collapse_of_a_low_target",
        "collapse_is_kept", "bad_from_the_opening_on", "just_opened_on_a_tight_quota",
        "one_bad_poll_on_a_tight_quota", "collapse_of_a_small_queue", "four_late_of_four",
        "ten_bad_minutes_after_a_rush", "buckets_vanish", "lunch", "target_of_100_percent",
        "collapse_every_seven_minutes", "stretched", "all_beside_single_skills",
        "collapse_ends_near_the_target", "closing_ends_the_page", "half_late_of_few",
        "five_late_of_a_high_target",
    ),
    "WolkvoxAbandonmentHigh": ("abandonment", "abandonment_below_the_volume", "stretched"),
    "WolkvoxDataStale": (
        "stale", "never_succeeded", "full_disk", "stale_while_closed", "one_failed_poll",
        "hung_while_polling_is_allowed", "closed_over_night", "not_polled_after_the_opening",
        "hung_after_a_night", "a_slower_skill",
    ),
}  # fmt: skip


def scenes_of(alert: str) -> list[Case]:
    """The scenes in which faults of an alert are looked for."""
    own = _ENOUGH.get(alert) or [
        one.name for one in CASES if any(check.alert == alert for check in one.checks)
    ]
    gated = "wolkvox:pair:gate" in alerts()[alert].expr
    names = {*own, *_MORE.get(alert, ("healthy",)), *(_SILENT if gated else ())}
    return [one for one in CASES if one.name in names]


# A fault in a record is looked for in the alert that reads it most directly, or in this one.
_GUARDS = {
    "wolkvox:pair:open": "WolkvoxServiceLevelCollapse",
    "wolkvox:pair:gate": "WolkvoxServiceLevelCollapse",
    "wolkvox:pair:closed_timestamp_seconds": "WolkvoxServiceLevelCollapse",
    "wolkvox:window:service_level": "WolkvoxServiceLevelBelowTarget",
    "wolkvox:within:total": "WolkvoxServiceLevelBelowTarget",
    "wolkvox:query:age_seconds": "WolkvoxDataStale",
    "wolkvox:query:steady": "WolkvoxTrafficVanished",
}


def guard_of(record: Rule, rules: Sequence[Rule]) -> str:
    """The alert whose scenes must notice a fault in a record."""
    readers = [name for name in alerts() if record in needed(rules, name)]
    fault = Fault(record, "")
    return _GUARDS.get(record.name) or min(
        readers, key=lambda name: len(variant(needed(rules, name), fault, "_"))
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the faults that are looked for in one alert's scenes."""

    planted: int
    missed: tuple[str, ...]


def trial(alert: str, directory: Path) -> Trial:
    """Plant the faults of an alert, and of the records that it guards."""
    rules = hastened(shipped())
    used = needed(rules, alert)
    mine = [
        rule
        for rule in used
        if rule.name == alert
        or (not rule.alert and faulty(rule) and guard_of(rule, rules) == alert)
    ]
    planted = [fault for rule in mine for fault in faults_of(rule)]
    copies = [variant(used, fault, f"__{n}_") for n, fault in enumerate(planted)]

    def told(left: Sequence[list[Rule]]) -> str:
        names = {called(rule): alert for made in left for rule in made if rule.alert}
        tests = as_tests(scenes_of(alert), names)
        return promtool(directory / alert, beside(used, left), tests) or ""

    found = noticed(copies, told)
    missed = [fault.named for number, fault in enumerate(planted) if number not in found]
    return Trial(len(planted), tuple(missed))


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Trial]:
    """Every alert's trial, two at a time."""
    directory = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(TRIED, pool.map(lambda one: trial(one, directory), TRIED), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("alert", TRIED)
def test_every_fault_is_noticed(alert: str, trials: Mapping[str, Trial]) -> None:
    """No comparison can be turned round and no gate be left out without a scene that fails.

    unnoticed.json lists what no scene looks at, and why: it may only become shorter.
    """
    assert trials[alert].planted
    assert sorted(trials[alert].missed) == sorted(UNNOTICED.get(alert, {}))


def faulty(rule: Rule) -> bool:
    """Whether a fault can be planted into a rule."""
    return any(faults_of(rule))
