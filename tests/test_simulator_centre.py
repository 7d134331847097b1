"""The contact centre behind the simulator: its days are believable and never look ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.api import Simulator
from exporter.simulator.centre import (
    Figures,
    Scenario,
    SimulatedOperation,
    SimulatedSkill,
    demo_operations,
)
from tests.simulator_support import (
    BOGOTA,
    INFORMATION,
    OPERATION,
    HandClock,
    ask,
    make_simulator,
    skill_11,
)

pytestmark = pytest.mark.anyio

MIDNIGHT = datetime(2026, 11, 18, tzinfo=BOGOTA)  # of a Wednesday
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEXT = MIDNIGHT + DAY
SANTIAGO = ZoneInfo("America/Santiago")
NAME = OPERATION.name

Found = Mapping[str, Mapping[str, float]]
seconds = st.integers(0, 86_400).map(lambda number: timedelta(seconds=number))


def late(*operations: SimulatedOperation, seed: int = 1) -> Simulator:
    """Return a simulator whose clock stands weeks after the day that is looked at."""
    return make_simulator(*operations, clock=HandClock(NEXT + 30 * DAY), seed=seed)


@cache
def healthy(seed: int = 1) -> Simulator:
    """Return a simulator in which nothing was switched."""
    return late(seed=seed)


def switched(*switches: tuple[datetime, str], skill_id: str | None = None) -> Simulator:
    """Return a simulator that was switched to scenarios at some moments."""
    clock = HandClock()
    simulator = make_simulator(clock=clock)
    for clock.at, scenario in switches:
        simulator.set_scenario(scenario, NAME, skill_id)
    clock.at = NEXT + 30 * DAY
    return simulator


def voice(simulator: Simulator, start: datetime, end: datetime, skill: str = "4173") -> Figures:
    """Return the calls of a window."""
    found = simulator.truth(NAME, skill, start, end).get("inbound", {})
    return Figures(**found)  # type: ignore[arg-type]


def same(found: Found, other: Found) -> bool:
    """Whether two results agree, but for the rounding of sums of waits."""
    return found.keys() == other.keys() and all(
        found[channel] == pytest.approx(other[channel]) for channel in found
    )


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    """Days are repeatable and do not depend on what was asked before.

    The figures of a seed are part of demonstrations: a change of them is noticed.
    """
    asked, fresh = late(seed=9), late(seed=9)
    asked.truth(NAME, "all", MIDNIGHT - DAY, MIDNIGHT + HOUR)
    whole = (NAME, "all", MIDNIGHT, NEXT)
    known = healthy().truth(*whole)
    assert asked.truth(*whole) == fresh.truth(*whole) != known
    fresh.forget()
    assert fresh.truth(*whole) == asked.truth(*whole)
    assert {name: (one["inbound"], one["answered"]) for name, one in known.items()} == {
        "chat-whatsapp": (153, 149),
        "inbound": (687, 642),
        "omni-email": (57, 54),
    }


@settings(max_examples=settings().max_examples * 2 // 5)
@given(seed=st.integers(0, 3), cuts=st.lists(seconds, min_size=3, max_size=3))
def test_windows_add_up_and_agree_with_themselves(seed: int, cuts: list[timedelta]) -> None:
    """Two windows side by side count what the one over both counts, on every channel."""
    start, middle, end = (MIDNIGHT + cut for cut in sorted(cuts))
    for skill in OPERATION.skills:
        whole, first, second = (
            healthy(seed).truth(NAME, skill.id, *window)
            for window in ((start, end), (start, middle), (middle, end))
        )
        for one in whole.values():
            check_agreement(Figures(**one))  # type: ignore[arg-type]
        assert same(whole, added(first, second))


def added(*parts: Found) -> Found:
    """Add figures up, channel by channel."""
    channels = sorted({channel for part in parts for channel in part})
    return {
        channel: {
            name: sum(part[channel][name] for part in parts if channel in part)
            for name in Figures._fields
        }
        for channel in channels
    }


def check_agreement(one: Figures) -> None:
    """Hold the figures of one window against each other."""
    assert one.inbound == one.answered + one.abandoned
    assert 0 <= one.within_10 <= one.within_20 <= one.within_30 <= one.answered
    assert one.answer_wait_seconds >= 30 * (one.answered - one.within_30) - 1e-6
    assert (one.abandon_wait_seconds > 1e-9) <= (one.abandoned > 0)


def test_all_skills_are_the_sum_of_the_skills() -> None:
    """A channel that two skills share is one entry with both skills' figures."""
    both, *single = (
        healthy().truth(NAME, skill_id, MIDNIGHT, NEXT) for skill_id in ("all", "4173", "4190")
    )
    assert list(both) == ["chat-whatsapp", "inbound", "omni-email"]
    assert same(both, added(*single))


async def test_a_month_is_the_sum_of_its_days() -> None:
    """A window over 31 days, whole or cut within its first and last day."""
    simulator, first = healthy(), datetime(2026, 10, 1, tzinfo=BOGOTA)
    days = [first + number * DAY for number in range(32)]
    each = [simulator.truth(NAME, "all", *days[n : n + 2]) for n in range(31)]
    whole = simulator.truth(NAME, "all", days[0], days[-1])
    assert same(whole, added(*each))
    answer = await skill_11(simulator, "all", "20261001000000", "20261031235959")
    inbound = {row["type_interaction"]: row["inbound_calls"] for row in answer.json()["data"]}
    assert inbound == {channel: str(one["inbound"]) for channel, one in whole.items()}
    cut = days[0] + 10 * HOUR, days[-2] + 15 * HOUR
    edges = (
        simulator.truth(NAME, "all", cut[0], days[1]),
        simulator.truth(NAME, "all", days[-2], cut[1]),
    )
    assert same(simulator.truth(NAME, "all", *cut), added(*edges, *each[1:-1]))


@settings(max_examples=settings().max_examples // 5)
@given(at=seconds, scenarios=st.lists(st.sampled_from([*Scenario]), min_size=1, max_size=3))
def test_a_scenario_changes_nothing_before_it_begins(
    at: timedelta, scenarios: list[Scenario]
) -> None:
    """What ended before the first switch is the same to the last digit, whatever follows."""
    begun = MIDNIGHT + at
    simulator = switched(
        *((begun + n * timedelta(minutes=10), one) for n, one in enumerate(scenarios))
    )
    window = (NAME, "all", MIDNIGHT, begun)
    assert simulator.truth(*window) == healthy().truth(*window)


async def test_every_scenario_can_be_left_again() -> None:
    """An hour after `healthy` the API answers, and the evening has the calls it always had."""
    ten, evening = MIDNIGHT + 10 * HOUR, (MIDNIGHT + 18 * HOUR, NEXT)
    usual = voice(healthy(), *evening)
    for number, scenario in enumerate(Scenario):
        skill_id = "4173" if number % 2 else None
        simulator = switched((ten, scenario), (ten + HOUR, "healthy"), skill_id=skill_id)
        assert (await skill_11(simulator)).status_code == 200
        found = voice(simulator, *evening)
        assert abs(found.inbound - usual.inbound) <= 1, scenario
        assert found.within_20 / found.inbound > 0.75, scenario


def test_a_collapse_is_seen_within_minutes() -> None:
    """A quarter of an hour after most agents left hardly anybody is answered in time."""
    ten = MIDNIGHT + 10 * HOUR
    simulator = switched((ten, "collapse"), skill_id="4173")
    before = voice(simulator, ten - 2 * HOUR, ten)
    after = voice(simulator, ten + HOUR / 4, ten + 1.25 * HOUR)
    assert before.within_20 / before.inbound > 0.75
    assert after.within_20 / after.inbound < 0.2
    assert after.abandoned / after.inbound > 0.5
    window = (NAME, "4190", ten, ten + HOUR)
    assert simulator.truth(*window) == healthy().truth(*window)


def test_a_fault_leaves_the_contact_centre_as_it_was_and_silence_empties_it() -> None:
    """Maintenance of the API in a collapse does not bring the agents back.

    Once those in the queue are through, a silent skill has no figures at all.
    """
    ten = MIDNIGHT + 10 * HOUR
    both = switched((ten, "collapse"), (ten + HOUR, "maintenance"))
    alone = switched((ten, "collapse"))
    assert both.truth(NAME, "all", ten, NEXT) == alone.truth(NAME, "all", ten, NEXT)
    silent = switched((ten, "silence"), (ten + 4 * HOUR, "healthy"))
    assert silent.truth(NAME, "4173", ten + 2 * HOUR, ten + 4 * HOUR) == {}


async def test_a_switch_reaches_what_was_looked_at_before() -> None:
    """A report of the whole day does not freeze the rest of it."""
    clock = HandClock(MIDNIGHT + 12 * HOUR)
    simulator = make_simulator(clock=clock)
    await skill_11(simulator)
    simulator.set_scenario("silence")
    clock.at = NEXT
    found, usual = (voice(one, MIDNIGHT, NEXT) for one in (simulator, healthy()))
    assert found.inbound < 0.8 * usual.inbound


async def test_the_latest_switch_that_covers_a_skill_counts() -> None:
    """A wider switch overrides a narrower one that came before, and the other way round."""
    simulator = late()

    async def status(skill_id: str) -> int:
        return (await skill_11(simulator, skill_id)).status_code

    simulator.set_scenario("maintenance", NAME, "4173")
    assert [await status(one) for one in ("4173", "4190", "all")] == [403, 200, 200]
    simulator.set_scenario("quota")
    assert [await status(one) for one in ("4173", "4190", "all")] == [403, 403, 403]
    simulator.set_scenario("healthy", NAME, "4173")
    assert [await status(one) for one in ("4173", "4190", "all")] == [200, 403, 403]


def test_a_day_loses_its_last_interactions_and_goes_on() -> None:
    """What ended before them and what comes after them is as it was."""
    clock = HandClock(MIDNIGHT + 12 * HOUR)
    simulator = make_simulator(clock=clock)
    before = voice(simulator, MIDNIGHT, NEXT)
    early = voice(simulator, MIDNIGHT, MIDNIGHT + 9 * HOUR)
    assert simulator.take_back(NAME, "4173", "inbound", 10) == 10
    assert voice(simulator, MIDNIGHT, NEXT).inbound == before.inbound - 10
    assert voice(simulator, MIDNIGHT, MIDNIGHT + 9 * HOUR) == early
    assert simulator.take_back(NAME, "4173", "inbound", 5) == 5
    clock.at = NEXT + HOUR
    whole = voice(healthy(), MIDNIGHT, NEXT).inbound
    assert voice(simulator, MIDNIGHT, NEXT).inbound == whole - 15
    month = (MIDNIGHT - 10 * DAY, NEXT)
    assert voice(simulator, *month).inbound == voice(healthy(), *month).inbound - 15


def test_no_more_is_taken_back_than_there_was_today() -> None:
    """Yesterday and the other channels keep theirs."""
    simulator = make_simulator(clock=HandClock(MIDNIGHT + 8 * HOUR))
    others = simulator.truth(NAME, "4190", MIDNIGHT, NEXT)
    there = voice(simulator, MIDNIGHT, NEXT).inbound
    assert 0 < there == simulator.take_back(NAME, "4173", "inbound", 10**6)
    assert "inbound" not in simulator.truth(NAME, "4173", MIDNIGHT, NEXT)
    assert simulator.truth(NAME, "4190", MIDNIGHT, NEXT) == others
    yesterday = (MIDNIGHT - DAY, MIDNIGHT)
    assert voice(simulator, *yesterday) == voice(healthy(), *yesterday)


def test_a_healthy_weekday_looks_like_one() -> None:
    """Voice is mostly answered in time and little abandoned; writing is answered later.

    There are six channels and five skills in all; each hour of the day has calls to count.
    """
    operations = demo_operations(BOGOTA, ZoneInfo("America/Lima"))
    pairs = [(one, skill) for one in operations for skill in one.skills]
    assert len({skill.id for _, skill in pairs}) == 5
    assert len({channel for _, skill in pairs for channel in skill.channels}) == 6
    simulator = late(*operations, seed=2)
    for operation, skill in pairs:
        for channel, found in simulator.truth(operation.name, skill.id, MIDNIGHT, NEXT).items():
            one = Figures(**found)  # type: ignore[arg-type]
            level = one.within_20 / one.inbound
            asa = one.answer_wait_seconds / one.answered
            assert one.inbound == pytest.approx(skill.channels[channel], rel=0.35)
            assert one.abandoned / one.inbound < 0.09
            if channel == "inbound":
                assert 0.78 < level < 0.97
                assert 5 < asa < 20
                assert one.abandoned / one.inbound > 0.015
            else:
                assert level < 0.75
                assert asa > 14
    for operation in operations:
        for hour in range(24):
            start = MIDNIGHT + hour * HOUR
            found_then = simulator.truth(operation.name, "all", start, start + HOUR)
            assert found_then["inbound"]["inbound"] > 5


def test_a_day_has_the_shape_of_a_working_day() -> None:
    """Mornings beat lunch and lunch beats the night; Sundays are quiet."""
    skill = SimulatedSkill("1", "Ventas", {"inbound": 10_000, "chat-web": 0})
    simulator = late(replace(OPERATION, skills=(skill,)))

    def calls(start: datetime, end: datetime) -> int:
        return voice(simulator, start, end, "all").inbound

    hours = {n: calls(MIDNIGHT + n * HOUR, MIDNIGHT + (n + 1) * HOUR) for n in (3, 10, 13, 20)}
    assert hours[10] > hours[13] > hours[20] > hours[3] > 0
    assert calls(MIDNIGHT, NEXT) == pytest.approx(10_000, rel=0.2)
    assert calls(MIDNIGHT + 4 * DAY, NEXT + 4 * DAY) < 0.5 * calls(MIDNIGHT, NEXT)


async def test_days_of_another_length_are_whole() -> None:
    """Where clocks change, the report of a local day is the sum of its 23 or 25 hours."""
    skill = SimulatedSkill("4173", "Ventas", {"inbound": 4000})
    simulator = late(replace(OPERATION, timezone=SANTIAGO, skills=(skill,)))
    for midnight, hours in (
        ("2026-04-04", 25),  # an hour twice
        ("2026-09-06", 23),  # midnight does not exist
        ("2026-09-07", 24),
    ):
        first = datetime.fromisoformat(midnight).replace(tzinfo=SANTIAGO).astimezone(UTC)
        each = [
            simulator.truth(NAME, "4173", first + n * HOUR, first + (n + 1) * HOUR)
            for n in range(hours)
        ]
        assert all(each)
        day = midnight.replace("-", "")
        answer = await skill_11(simulator, "4173", f"{day}000000", f"{day}235959")
        (row,) = answer.json()["data"]
        assert row["inbound_calls"] == str(added(*each)["inbound"]["inbound"])


async def test_a_skills_last_use_is_the_last_end_before_now() -> None:
    """Just after midnight it lies on the day before."""
    simulator = make_simulator(clock=HandClock(MIDNIGHT + timedelta(seconds=1)))
    answer = await ask(simulator, INFORMATION, api="skills", skill="4173")
    (row,) = answer.json()["data"]
    assert "2026-11-17 22:00:00" < row["last_use"] < "2026-11-18 00:00:01"
