"""The contact centre behind the simulator: its figures agree and never look ahead."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.centre import Interaction, Outcome, draw_arrivals, serve, simulate
from exporter.simulator.demo import demo_operations
from exporter.simulator.model import Figures
from exporter.simulator.records import DayRecord, Records
from exporter.simulator.scenarios import Scenario, Segment, Timeline
from exporter.simulator.staffing import TAIL_SECONDS, DayPlan, plan_day
from tests.simulator_support import BOGOTA, OPERATION

DAY = date(2026, 11, 18)
MIDNIGHT = datetime(2026, 11, 18, tzinfo=BOGOTA).timestamp()
SANTIAGO = ZoneInfo("America/Santiago")

seeds = st.integers(min_value=0, max_value=2**32)
moments = st.integers(min_value=0, max_value=86_400)
channels = st.sampled_from(["inbound", "chat-whatsapp", "omni-email"])


def plan(
    channel: str = "inbound", volume: float = 500, day: date = DAY, *, always_open: bool = True
) -> DayPlan:
    """Return a plan in Bogota with just enough staff."""
    return plan_day(channel, volume, day, BOGOTA, always_open=always_open, staff=1.0)


def run(seed: int, *segments: Segment, of: DayPlan | None = None) -> tuple[Outcome, ...]:
    """Return a day's outcomes."""
    return simulate(of or plan(), random.Random(seed), segments)


def caller(at: float, *, patience: float = 1000, pickup: float = 0, talk: float) -> Interaction:
    """Return somebody in whole figures."""
    return Interaction(at, patience, pickup, talk)


def test_one_agent_serves_in_the_order_of_arrival() -> None:
    """Who came first is answered first, each as soon as the agent is free."""
    outcomes = serve([caller(0, talk=50), caller(10, talk=50), caller(20, talk=1)], [(0, 1)])
    assert outcomes == (Outcome(0, 0, True), Outcome(50, 40, True), Outcome(100, 80, True))


def test_impatient_callers_leave_the_queue_and_tie_up_nobody() -> None:
    """A caller whose patience ends in the queue is abandoned at that moment, not later."""
    outcomes = serve(
        [caller(0, talk=100), caller(10, patience=30, talk=500), caller(20, talk=1)], [(0, 1)]
    )
    assert outcomes == (Outcome(0, 0, True), Outcome(40, 30, False), Outcome(100, 80, True))


def test_hanging_up_while_it_rings_ties_the_agent_until_then() -> None:
    """The ring counts as waiting; the next one gets the agent when the first hangs up."""
    outcomes = serve(
        [caller(0, patience=5, pickup=8, talk=100), caller(1, pickup=2, talk=1)], [(0, 1)]
    )
    assert outcomes == (Outcome(5, 5, False), Outcome(7, 6, True))


def test_agents_who_leave_finish_their_talk_and_who_come_start_at_once() -> None:
    """With nobody left callers wait until somebody comes, or give up."""
    outcomes = serve(
        [caller(0, talk=100), caller(20, talk=1), caller(30, patience=5, talk=1)],
        [(0, 1), (10, 0), (500, 2)],
    )
    assert outcomes == (Outcome(0, 0, True), Outcome(35, 5, False), Outcome(500, 480, True))


def test_those_left_when_the_day_is_over_give_up() -> None:
    """Without agents everybody is abandoned after just their patience."""
    assert serve([caller(3, patience=7, talk=1)], [(0, 0)]) == (Outcome(10, 7, False),)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, channel=channels)
def test_everybody_who_arrives_ends_exactly_once(seed: int, channel: str) -> None:
    """Nobody is lost or counted twice, and each end is an arrival plus its wait."""
    day = plan(channel, 200)
    outcomes = run(seed, of=day)
    arrivals = sorted(one.at for one in draw_arrivals(day, random.Random(seed)))
    assert sorted(one.end - one.wait for one in outcomes) == pytest.approx(arrivals)
    assert all(day.start <= at < day.end for at in arrivals)
    assert all(one.end <= day.tail_end for one in outcomes if not one.answered)
    assert all(first.end <= second.end for first, second in pairwise(outcomes))


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    switch=moments,
    scenarios=st.lists(st.sampled_from([*Scenario][:3]), min_size=1, max_size=3),
)
def test_a_scenario_changes_nothing_before_it_begins(
    seed: int, switch: int, scenarios: list[Scenario]
) -> None:
    """What ended before the first switch is the same to the last digit, whatever follows."""
    at = MIDNIGHT + switch
    segments = [Segment(at + 600 * n, scenario) for n, scenario in enumerate(scenarios)]

    def before(outcomes: tuple[Outcome, ...]) -> list[Outcome]:
        return [one for one in outcomes if one.end < at]

    assert before(run(seed, *segments)) == before(run(seed))


def test_a_scenario_shifts_nobody_who_comes_after_it() -> None:
    """A silence over lunch leaves the arrivals of the evening as they were."""
    noon, evening = MIDNIGHT + 43_200, MIDNIGHT + 20 * 3600
    silent = run(5, Segment(noon, Scenario.SILENCE), Segment(noon + 3600, Scenario.HEALTHY))

    def arrivals(outcomes: tuple[Outcome, ...]) -> set[int]:
        return {round(one.end - one.wait) for one in outcomes if one.end - one.wait > evening}

    assert arrivals(silent) == arrivals(run(5))
    assert not [one for one in silent if noon <= one.end - one.wait < noon + 3600]


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    """Days are repeatable, in other processes too, and do not depend on what was asked."""
    assert run(3) == run(3) != run(4)
    first = Records(OPERATION, 9, Timeline())
    second = Records(OPERATION, 9, Timeline())
    second.figures(OPERATION.skills, MIDNIGHT - 86_400, MIDNIGHT)
    window = (OPERATION.skills, MIDNIGHT, MIDNIGHT + 86_400)
    assert first.figures(*window) == second.figures(*window)
    assert first.figures(*window) != Records(OPERATION, 10, Timeline()).figures(*window)


def test_a_known_day_stays_as_it_is() -> None:
    """The figures of a seed are part of demonstrations: a change of them is noticed."""
    figures = Records(OPERATION, 1, Timeline()).figures(
        OPERATION.skills, MIDNIGHT, MIDNIGHT + 86_400
    )
    assert {channel: (one.inbound, one.answered) for channel, one in figures.items()} == {
        "chat-whatsapp": (149, 145),
        "inbound": (685, 645),
        "omni-email": (55, 53),
    }


@cache
def healthy_records(seed: int) -> Records:
    """Return the records of the small operation, its days simulated once for all examples."""
    return Records(OPERATION, seed, Timeline())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 3), cuts=st.lists(moments, min_size=3, max_size=3))
def test_windows_add_up_and_agree_with_themselves(seed: int, cuts: list[int]) -> None:
    """Two windows side by side count what the one over both counts, on every channel."""
    records = healthy_records(seed)
    start, middle, end = (MIDNIGHT + cut for cut in sorted(cuts))
    for skill in OPERATION.skills:
        whole = records.figures((skill,), start, end)
        parts = [records.figures((skill,), *w) for w in ((start, middle), (middle, end))]
        assert set(whole) == set(parts[0]) | set(parts[1])
        for channel, figures in whole.items():
            check_agreement(figures)
            added = sum((part.get(channel, Figures()) for part in parts), Figures())
            assert counts(added) == counts(figures)
            assert added.answer_wait_seconds == pytest.approx(figures.answer_wait_seconds)
            assert added.abandon_wait_seconds == pytest.approx(figures.abandon_wait_seconds)


def counts(figures: Figures) -> tuple[int, ...]:
    """Return the counts alone."""
    return (
        figures.inbound,
        figures.answered,
        figures.abandoned,
        figures.within_10,
        figures.within_20,
        figures.within_30,
    )


def check_agreement(figures: Figures) -> None:
    """Hold the figures of one window against each other."""
    assert figures.inbound == figures.answered + figures.abandoned
    assert 0 <= figures.within_10 <= figures.within_20 <= figures.within_30 <= figures.answered
    late = figures.answered - figures.within_30
    assert figures.answer_wait_seconds >= 30 * late - 1e-6
    assert (figures.abandon_wait_seconds > 1e-9) <= (figures.abandoned > 0)


@settings(max_examples=30, deadline=None)
@given(
    outcomes=st.lists(
        st.builds(
            Outcome,
            st.integers(0, 50).map(float),
            st.sampled_from([0.0, 9.5, 10.0, 10.5, 20.0, 25.0, 30.0, 31.0]),
            st.booleans(),
        ),
        max_size=30,
    ),
    start=st.integers(0, 50),
    end=st.integers(0, 50),
)
def test_a_day_on_record_is_what_counting_one_by_one_gives(
    outcomes: list[Outcome], start: int, end: int
) -> None:
    """Running sums change nothing; a wait of exactly 20 seconds is within 20 seconds."""
    outcomes.sort(key=lambda one: one.end)
    inside = [one for one in outcomes if start <= one.end < end]
    answered = [one.wait for one in inside if one.answered]
    w10, w20, w30 = (sum(wait <= limit for wait in answered) for limit in (10, 20, 30))
    lost = [one.wait for one in inside if not one.answered]
    assert DayRecord(outcomes).between(start, end) == Figures(
        len(inside), len(answered), len(lost), w10, w20, w30, sum(answered), sum(lost)
    )


def test_all_skills_are_the_sum_of_the_skills() -> None:
    """A channel that two skills share is one entry with both skills' figures."""
    records = Records(OPERATION, 1, Timeline())
    window = (MIDNIGHT, MIDNIGHT + 86_400)
    first, second = (records.figures((skill,), *window) for skill in OPERATION.skills)
    both = records.figures(OPERATION.skills, *window)
    assert list(both) == ["chat-whatsapp", "inbound", "omni-email"]
    assert counts(both["inbound"]) == counts(first["inbound"] + second["inbound"])
    assert both["omni-email"] == second["omni-email"]


def test_who_came_before_midnight_and_is_answered_after_belongs_to_the_new_day() -> None:
    """A window is about ends of waits: nobody who waits over midnight is lost."""
    records = Records(OPERATION, 1, Timeline())
    mail = OPERATION.skills[1:]
    days = [MIDNIGHT + n * 86_400 for n in range(15)]
    each = [
        records.figures(mail, first, last)["omni-email"].inbound
        for first, last in pairwise(days)
    ]
    assert sum(each) == records.figures(mail, days[0], days[-1])["omni-email"].inbound
    began = [
        len(simulate(plan("omni-email", 60, DAY + timedelta(n)), random.Random(n), ()))
        for n in range(14)
    ]
    assert sum(each) == pytest.approx(sum(began), rel=0.25)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_healthy_weekday_looks_like_one(seed: int) -> None:
    """Voice is mostly answered in time and little abandoned; writing is answered later."""
    operations = demo_operations(BOGOTA, ZoneInfo("America/Lima"))
    for operation in operations:
        records = Records(operation, seed, Timeline())
        for skill in operation.skills:
            for channel, one in records.figures((skill,), MIDNIGHT, MIDNIGHT + 86_400).items():
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


def test_the_demo_has_traffic_on_every_channel_around_the_clock() -> None:
    """Six channels and five skills in all; each hour of the day has calls to count."""
    operations = demo_operations(BOGOTA, BOGOTA)
    skills = [skill for operation in operations for skill in operation.skills]
    assert len({skill.id for skill in skills}) == 5
    assert len({channel for skill in skills for channel in skill.channels}) == 6
    for operation in operations:
        records = Records(operation, 1, Timeline())
        for hour in range(24):
            start = MIDNIGHT + 3600 * hour
            assert records.figures(operation.skills, start, start + 3600)["inbound"].inbound > 5


def test_a_day_has_the_shape_of_a_working_day() -> None:
    """Mornings beat lunch and lunch beats the night; Sundays are quiet."""
    total = dict.fromkeys(range(24), 0)
    for seed in range(20):
        for one in draw_arrivals(plan(), random.Random(seed)):
            total[int((one.at - MIDNIGHT) // 3600)] += 1
    assert total[10] > total[13] > total[20] > total[3] > 0
    assert sum(total.values()) / 20 == pytest.approx(500, rel=0.05)
    sunday = len(list(draw_arrivals(plan(day=date(2026, 11, 22)), random.Random(1))))
    assert sunday < 0.5 * len(list(draw_arrivals(plan(), random.Random(1))))


def test_a_service_with_opening_hours_is_silent_outside_them() -> None:
    """Weekdays from 7 to 20, Saturdays in the morning, Sundays not at all."""
    hours = {
        day: {
            int((one.at - MIDNIGHT) // 3600) % 24
            for one in draw_arrivals(plan(day=day, always_open=False), random.Random(1))
        }
        for day in (DAY, DAY + timedelta(3), DAY + timedelta(4))
    }
    assert [sorted(open_hours) for open_hours in hours.values()] == [
        list(range(7, 20)),
        list(range(8, 13)),
        [],
    ]


def test_a_collapse_is_seen_within_minutes() -> None:
    """A quarter of an hour after most agents left hardly anybody is answered in time."""
    timeline = Timeline()
    ten = MIDNIGHT + 10 * 3600
    timeline.switch(ten, Scenario.COLLAPSE, "wv0013", "4173")
    records = Records(OPERATION, 1, timeline)
    skill = OPERATION.skills[:1]
    before = records.figures(skill, ten - 7200, ten)["inbound"]
    after = records.figures(skill, ten + 900, ten + 4500)["inbound"]
    assert before.within_20 / before.inbound > 0.75
    assert after.within_20 / after.inbound < 0.2
    assert after.abandoned / after.inbound > 0.5
    other = Records(OPERATION, 1, Timeline()).figures(OPERATION.skills[1:], ten, ten + 3600)
    assert records.figures(OPERATION.skills[1:], ten, ten + 3600) == other


def test_silence_empties_the_windows() -> None:
    """Once those in the queue are through, a silent skill has no figures at all."""
    timeline = Timeline()
    ten = MIDNIGHT + 10 * 3600
    timeline.switch(ten, Scenario.SILENCE, None, None)
    records = Records(OPERATION, 1, timeline)
    assert records.figures(OPERATION.skills[:1], ten + 7200, ten + 14_400) == {}
    timeline.switch(ten + 14_400, Scenario.HEALTHY, None, None)
    assert records.figures(OPERATION.skills[:1], ten + 14_400, ten + 18_000) != {}


def test_a_switch_reaches_days_already_looked_at() -> None:
    """What was asked before a switch does not freeze the rest of the day."""
    timeline = Timeline()
    records = Records(OPERATION, 1, timeline)
    window = (OPERATION.skills, MIDNIGHT, MIDNIGHT + 86_400)
    healthy = records.figures(*window)
    timeline.switch(MIDNIGHT + 43_200, Scenario.SILENCE, None, None)
    assert records.figures(*window)["inbound"].inbound < healthy["inbound"].inbound


def test_fewer_agents_make_longer_waits() -> None:
    """A skill's staff factor shows in its service level."""
    thin = replace(
        OPERATION, skills=tuple(replace(skill, agents=0.6) for skill in OPERATION.skills)
    )
    window = (MIDNIGHT, MIDNIGHT + 86_400)
    few = Records(thin, 1, Timeline()).figures(thin.skills, *window)["inbound"]
    enough = Records(OPERATION, 1, Timeline()).figures(OPERATION.skills, *window)["inbound"]
    assert few.within_20 / few.inbound < enough.within_20 / enough.inbound - 0.1


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param(date(2026, 4, 4), 25, id="an hour twice"),
        pytest.param(date(2026, 9, 6), 23, id="midnight does not exist"),
        pytest.param(date(2026, 9, 7), 24, id="ordinary"),
    ],
)
def test_days_of_another_length_are_whole(day: date, hours: int) -> None:
    """Where clocks change, a local day has 23 or 25 hours and the next one follows on."""
    shifted = plan_day("inbound", 500, day, SANTIAGO, always_open=True, staff=1.0)
    assert shifted.end - shifted.start == hours * 3600
    following = plan_day(
        "inbound", 500, day + timedelta(1), SANTIAGO, always_open=True, staff=1.0
    )
    assert following.start == shifted.end
    assert shifted.tail_end == shifted.end + TAIL_SECONDS


def test_a_skills_last_use_is_the_last_end_before_now() -> None:
    """Just after midnight it lies on the day before; without any traffic there is none."""
    records = Records(OPERATION, 1, Timeline())
    skill = OPERATION.skills[0]
    late = records.last_use(skill, MIDNIGHT + 1)
    assert late is not None
    assert MIDNIGHT - 7200 < late < MIDNIGHT + 1
    silent = Timeline()
    silent.switch(0, Scenario.SILENCE, None, None)
    assert Records(OPERATION, 1, silent).last_use(skill, MIDNIGHT) is None


class TestTimeline:
    """Switches over everything, an operation and a skill."""

    def test_the_latest_switch_that_covers_a_skill_wins(self) -> None:
        """A wider switch overrides a narrower one that came before, and the other way round."""
        timeline = Timeline()
        assert timeline.fault("a", "1") is None
        timeline.switch(1, Scenario.MAINTENANCE, "a", "1")
        assert timeline.fault("a", "1") is Scenario.MAINTENANCE
        assert timeline.fault("a", "2") is timeline.fault("a", None) is None
        timeline.switch(2, Scenario.QUOTA, None, None)
        assert timeline.fault("a", "1") is timeline.fault("b", None) is Scenario.QUOTA
        timeline.switch(3, Scenario.HEALTHY, "a", None)
        assert timeline.fault("a", "1") is None
        assert timeline.fault("b", "1") is Scenario.QUOTA

    def test_a_fault_leaves_the_contact_centre_as_it_was(self) -> None:
        """Maintenance of the API in a collapse does not bring the agents back."""
        timeline = Timeline()
        timeline.switch(10, Scenario.COLLAPSE, "a", None)
        timeline.switch(20, Scenario.MAINTENANCE, "a", None)
        assert timeline.segments("a", "1", 0, 100) == (Segment(10, Scenario.COLLAPSE),)

    def test_segments_are_cut_to_the_span_and_say_nothing_twice(self) -> None:
        """Equal spans give equal tuples, so that nothing is simulated a second time."""
        timeline = Timeline()
        timeline.switch(10, Scenario.HEALTHY, None, None)
        timeline.switch(20, Scenario.COLLAPSE, None, None)
        timeline.switch(30, Scenario.COLLAPSE, "a", None)
        timeline.switch(40, Scenario.SILENCE, None, None)
        timeline.switch(50, Scenario.COLLAPSE, "b", None)
        timeline.switch(60, Scenario.HEALTHY, None, None)
        assert timeline.segments("a", "1", 0, 20) == ()
        assert timeline.segments("a", "1", 0, 100) == (
            Segment(20, Scenario.COLLAPSE),
            Segment(40, Scenario.SILENCE),
            Segment(60, Scenario.HEALTHY),
        )
        assert timeline.segments("a", "1", 35, 50) == (
            Segment(35, Scenario.COLLAPSE),
            Segment(40, Scenario.SILENCE),
        )
        assert timeline.segments("a", "1", 45, 50) == (Segment(45, Scenario.SILENCE),)
        assert timeline.segments("a", "1", 70, 90) == ()

    def test_a_clock_set_back_cannot_rewrite_what_happened(self) -> None:
        """A switch counts from the one before it at the earliest."""
        timeline = Timeline()
        timeline.switch(100, Scenario.COLLAPSE, None, None)
        timeline.switch(50, Scenario.SILENCE, None, None)
        assert timeline.segments("a", "1", 0, 200) == (Segment(100, Scenario.SILENCE),)
