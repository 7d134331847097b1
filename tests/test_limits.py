"""The judge of "may I ask now", and the arithmetic of slots, retries, closing and pauses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.config.hours import OpenHours
from exporter.errors import Reason, WolkvoxError
from exporter.polling.limits import (
    HOUR,
    Budget,
    Facts,
    Limits,
    Pause,
    Wait,
    Why,
    early_retry,
    may_ask,
    pause_after,
    started_before,
    token_backoff,
)
from tests.polling_support import BOGOTA, moment

TODAY, YESTERDAY, BEFORE = date(2026, 11, 18), date(2026, 11, 17), date(2026, 11, 16)


def test_an_attempt_of_an_earlier_process_is_placed_on_this_ones_clock() -> None:
    """The future counts as now."""
    for last, started in ((None, None), (900.0, -50.0), (1000.0, 50.0), (1100.0, 50.0)):
        assert started_before(last, now=1000.0, monotonic=50.0) == started, last


def test_early_retry() -> None:
    """Doubles from min(5 s, interval) up to the interval, with up to half as jitter."""
    cases = [
        (1, 300.0, 0.0, 5.0),
        (1, 300.0, 1.0, 7.5),
        (2, 300.0, 0.0, 10.0),
        (4, 300.0, 0.5, 50.0),
        (7, 300.0, 0.0, 300.0),
        (9999, 300.0, 1.0, 300.0),
        (1, 2.0, 0.0, 2.0),
        (1, 2.0, 1.0, 2.0),
        (1, 3600.0, 0.0, 5.0),
        (11, 3600.0, 0.0, 3600.0),
    ]
    for *given_, seconds in cases:
        assert early_retry(*given_) == seconds, given_  # type: ignore[arg-type]


def test_token_backoff() -> None:
    """Doubles from the interval up to an hour, and is never below the interval in force."""
    cases = [(1, 300, 300), (2, 300, 600), (4, 300, 2400), (5, 300, 3600), (999, 300, 3600),
             (1, 3600, 3600), (2, 3600, 3600), (1, 5000, 5000), (1, 2, 2)]  # fmt: skip
    for failures, interval, seconds in cases:
        assert token_backoff(failures, interval) == seconds, (failures, interval)


def quota(**changes: Any) -> Pause:
    """A pause because of the quota, begun at epoch 1000."""
    fields = {"refusals": 1, "next_at": 4600.0, "day": TODAY, "digest": "abc", **changes}
    return Pause(Reason.QUOTA, **fields)


def test_a_quota_pause_is_over_with_its_day() -> None:
    """Another token does not bring the quota back; another day does."""
    assert not quota().over(TODAY, "another")
    assert quota().over(date(2026, 11, 19), "abc")


def test_a_token_pause_is_over_with_its_token() -> None:
    """Another token ends it, another day does not; None: it cannot be read."""
    cases = [("abc", "abc", False), ("abc", "other", True), ("abc", None, False),
             (None, "abc", True), (None, None, False)]  # fmt: skip
    for refused_, now, over in cases:
        pause = Pause(Reason.UNAUTHORIZED, 1, 1300.0, TODAY, refused_)
        assert pause.over(date(2026, 11, 19), now) is over, (refused_, now)


def test_a_pause_waits_an_hour_at_most() -> None:
    """Whatever the clock did."""
    for now, wait in ((1000.0, 3600.0), (4000.0, 600.0), (5000.0, 0.0), (-1e9, HOUR)):
        assert quota().wait(now) == wait, now


def refused(before: Pause | None, reason: Reason, now: float) -> Pause:
    """The pause after a refusal."""
    pause = pause_after(before, WolkvoxError(reason, ""), now, TODAY, 300.0, "abc")
    assert pause is not None
    return pause


def test_pauses_that_follow_one_another() -> None:
    """The quota waits an hour each time; a token doubles, and begins again after another."""
    first = refused(None, Reason.QUOTA, 1000.0)
    assert first == quota()
    assert refused(first, Reason.QUOTA, 5000.0).next_at == 8600.0
    token = refused(first, Reason.UNAUTHORIZED, 5000.0)
    assert (token.refusals, token.next_at) == (1, 5300.0)
    again = refused(token, Reason.UNAUTHORIZED, 6000.0)
    assert (again.refusals, again.next_at) == (2, 6600.0)


def test_a_pause_survives_its_json() -> None:
    """The state file gives back an equal pause; one refusal is the least there can be."""
    for pause in (quota(), quota(digest=None)):
        assert Pause.from_json(pause.to_json()) == pause
    for refusals in (-3, 0, 1):
        assert Pause.from_json(quota(refusals=refusals).to_json()) == quota(), refusals


def test_what_is_no_pause() -> None:
    """Anything else in the state file is no pause."""
    good = quota().to_json()
    bad = {"reason": "tired", "day": "tomorrow", "next_at": "soon"}
    cases: list[object] = [
        *(None, {}, [], "quota"),
        *(good | {name: value} for name, value in bad.items()),
        good | {"refusals": float("inf")},
        good | {"next_at": 10**400},
        {name: value for name, value in good.items() if name != "digest"},
    ]
    for data in cases:
        assert Pause.from_json(data) is None, data


def budget(used: int, ceiling: int | None) -> Budget:
    """The requests of 2026-11-18 so far, and the most there may be."""
    made = Budget((1,), ceiling, BOGOTA)
    made.counted = used, TODAY
    return made


NOON = moment("2026-11-18 12:00")
DAYTIME = OpenHours("Mo-Su 08:00-20:00", BOGOTA)
FREE = Facts(
    interval=300.0,
    age=400.0,
    budget=budget(0, None),
    hours=OpenHours(None, BOGOTA),
    zone=BOGOTA,
    token="abc",
)


REFUSED = Pause(Reason.UNAUTHORIZED, 1, 0.0, TODAY, "abc")
AFTERNOON = OpenHours("Mo-Su 13:00-14:00", BOGOTA)


def test_each_reason_to_wait() -> None:
    """The judge says why a query must wait, and until when."""
    cases: list[tuple[dict[str, Any], Why, float]] = [
        ({"age": 299.0}, Why.RECENT, 1),
        ({"age": 0.0}, Why.RECENT, 300),
        ({"age": -9e9}, Why.RECENT, 300),  # in the future
        ({"limits": Limits(864.0, 0.0, HOUR)}, Why.RECENT, 464),  # stretched
        ({"limits": Limits(0.0, 1000.0, HOUR)}, Why.RECENT, 600),  # a costly day
        ({"budget": budget(9, 9)}, Why.BUDGET, 43200),
        ({"hours": AFTERNOON}, Why.HOURS, 3600),
        ({"exporter_first": 7.0}, Why.CLOSING, 7),
        ({"token": None}, Why.TOKEN, 300),
        ({"pause": quota(), "pause_left": 60.0}, Why.QUOTA, 60),
        ({"pause": REFUSED, "pause_left": 60.0}, Why.UNAUTHORIZED, 60),
    ]
    for changes, why, seconds in cases:
        verdict = may_ask(replace(FREE, **changes), NOON)
        assert verdict == Wait(NOON.timestamp() + seconds, why), changes


def test_what_may_be_asked() -> None:
    """Nothing holds the query back."""
    cases: list[dict[str, Any]] = [
        {},
        {"age": 300.0},  # exactly an interval ago
        {"age": None},  # never asked
        {"budget": budget(8, 9)},  # one request is left
        {"limits": Limits(0.0, 1e6, 0.0)},  # a new day begins
        {"pause": quota()},  # the attempt of the hour
        {"pause": quota(day=YESTERDAY), "pause_left": 60.0},  # the quota is back
        {"pause": replace(REFUSED, digest="old"), "pause_left": 60.0},  # another token
        {"hours": AFTERNOON, "closing": True},  # closed, but the day is to be closed
    ]
    for changes in cases:
        assert may_ask(replace(FREE, **changes), NOON) is None, changes


PAUSES = st.none() | st.builds(
    Pause,
    st.sampled_from([Reason.QUOTA, Reason.UNAUTHORIZED]),
    st.just(1),
    st.just(0.0),
    st.sampled_from([TODAY, YESTERDAY]),
    st.sampled_from([None, "abc", "old"]),
)
SECONDS = st.floats(-1e6, 1e6)
FACTS = st.builds(
    Facts,
    interval=st.sampled_from([300.0, 900.0, 3600.0]),
    age=st.none() | SECONDS,
    budget=st.builds(budget, st.integers(0, 12), st.sampled_from([None, 10])),
    hours=st.sampled_from([OpenHours(None, BOGOTA), DAYTIME]),
    zone=st.just(BOGOTA),
    token=st.sampled_from([None, "abc"]),
    limits=st.builds(Limits, *[st.floats(0, 1e5)] * 3),
    pause=PAUSES,
    pause_left=SECONDS,
    closing=st.booleans(),
    exporter_first=st.sampled_from([0.0, 30.0]),
)
MOMENTS = st.integers(0, 86399).map(
    lambda second: moment("2026-11-18 00:00") + timedelta(seconds=second)
)


@given(FACTS, MOMENTS)
def test_ready_means_that_nothing_stands_in_the_way(facts: Facts, now: datetime) -> None:
    """Never inside a spacing or a pause, over the budget, outside hours, without a token."""
    if may_ask(facts, now) is not None:
        return
    today = now.astimezone(BOGOTA).date()
    lasting = max(facts.interval, facts.limits.lasting)
    assert facts.age is None or facts.age >= lasting
    assert facts.budget.ceiling is None or facts.budget.used(now) < facts.budget.ceiling
    assert facts.closing or facts.hours.wait(now) == 0
    assert facts.token is not None
    assert facts.exporter_first <= 0
    pause = facts.pause
    assert pause is None or facts.pause_left <= 0 or pause.over(today, facts.token)


@given(FACTS, MOMENTS)
def test_a_wait_is_of_use(facts: Facts, now: datetime) -> None:
    """It ends no sooner than now, and its reason is gone when it has ended."""
    verdict = may_ask(facts, now)
    if verdict is None:
        return
    passed = verdict.until - now.timestamp()
    assert passed >= 0
    later = replace(
        facts,
        age=None if facts.age is None else max(0.0, facts.age) + passed + 1e-3,
        limits=replace(facts.limits, left=facts.limits.left - passed - 1e-3),
        pause_left=facts.pause_left - passed - 1e-3,
        exporter_first=facts.exporter_first - passed - 1e-3,
    )
    again = may_ask(later, datetime.fromtimestamp(verdict.until + 1e-3, UTC))
    assert again is None or again.why is not verdict.why or again.why is Why.TOKEN


def test_the_pause_after_an_attempt() -> None:
    """A refusal begins or lengthens it, an answer ends it, what never arrived leaves it."""
    cases = [
        (None, Reason.QUOTA, Reason.QUOTA, 1),
        (None, Reason.TIMEOUT, None, 0),
        (quota(), None, None, 0),  # an answer
        (quota(), Reason.TIMEOUT, Reason.QUOTA, 2),  # it was the attempt of the hour
        (quota(), Reason.CONNECT, Reason.QUOTA, 1),  # it was none
        (quota(), Reason.UNAUTHORIZED, Reason.UNAUTHORIZED, 1),
    ]
    for before, error, reason, refusals in cases:
        failed = None
        if error is not None:
            failed = WolkvoxError(error, "", reached=error is not Reason.CONNECT)
        pause = pause_after(before, failed, 2000.0, TODAY, 300.0, "abc")
        assert (pause.reason if pause else None) is reason, (before, error)
        assert (pause.refusals if pause else 0) == refusals, (before, error)
