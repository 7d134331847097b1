"""The judge of "may I ask now", and the arithmetic of slots, retries, closing and pauses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
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
    Ready,
    Wait,
    Why,
    day_to_close,
    early_retry,
    may_ask,
    pause_after,
    started_before,
    token_backoff,
)
from tests.polling_support import BOGOTA, moment

TODAY, YESTERDAY, BEFORE = date(2026, 11, 18), date(2026, 11, 17), date(2026, 11, 16)


@pytest.mark.parametrize(
    ("last", "started"), [(None, None), (900.0, -50.0), (1000.0, 50.0), (1100.0, 50.0)]
)
def test_started_before(last: float | None, started: float | None) -> None:
    """An attempt of an earlier process on this one's monotonic clock, the future as now."""
    assert started_before(last, now=1000.0, monotonic=50.0) == started


@pytest.mark.parametrize(
    ("failures", "interval", "jitter", "seconds"),
    [
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
    ],
)
def test_early_retry(failures: int, interval: float, jitter: float, seconds: float) -> None:
    """Doubles from min(5 s, interval) up to the interval, with up to half as jitter."""
    assert early_retry(failures, interval, jitter) == seconds


@pytest.mark.parametrize(
    ("failures", "interval", "seconds"),
    [
        (1, 300.0, 300.0),
        (2, 300.0, 600.0),
        (4, 300.0, 2400.0),
        (5, 300.0, 3600.0),
        (999, 300.0, 3600.0),
        (1, 3600.0, 3600.0),
        (2, 3600.0, 3600.0),
        (1, 5000.0, 5000.0),  # a stretched interval: never below the interval in force
        (1, 2.0, 2.0),
    ],
)
def test_token_backoff(failures: int, interval: float, seconds: float) -> None:
    """Doubles from the interval up to an hour."""
    assert token_backoff(failures, interval) == seconds


@pytest.mark.parametrize(
    ("last", "closed", "tried", "tries", "closes"),
    [
        pytest.param(None, None, None, 0, None, id="a fresh query"),
        pytest.param(YESTERDAY, None, None, 0, YESTERDAY, id="the first slot after midnight"),
        pytest.param(YESTERDAY, BEFORE, BEFORE, 1, YESTERDAY, id="as on the day before"),
        pytest.param(BEFORE, None, None, 0, YESTERDAY, id="two midnights without a poll"),
        pytest.param(date(2026, 1, 1), None, None, 0, YESTERDAY, id="long ago"),
        pytest.param(TODAY, None, None, 0, None, id="asked today, nothing tried"),
        pytest.param(TODAY, YESTERDAY, YESTERDAY, 1, None, id="closed"),
        pytest.param(TODAY, None, YESTERDAY, 1, YESTERDAY, id="tried once"),
        pytest.param(TODAY, None, YESTERDAY, 2, YESTERDAY, id="tried twice"),
        pytest.param(TODAY, None, YESTERDAY, 3, None, id="tried three times"),
        pytest.param(TODAY, BEFORE, BEFORE, 1, None, id="asked today, the day before closed"),
        pytest.param(YESTERDAY, None, BEFORE, 3, YESTERDAY, id="the day before given up"),
        pytest.param(YESTERDAY, TODAY, None, 0, None, id="the clock was set back"),
    ],
)
def test_day_to_close(
    last: date | None,
    closed: date | None,
    tried: date | None,
    tries: int,
    closes: date | None,
) -> None:
    """Only yesterday, only once, only after a recorded attempt, and three times at most."""
    assert day_to_close(TODAY, last, closed, tried, tries) == closes


def quota(**changes: Any) -> Pause:
    """A pause because of the quota, begun at epoch 1000."""
    fields = {"refusals": 1, "next_at": 4600.0, "day": TODAY, "digest": "abc", **changes}
    return Pause(Reason.QUOTA, **fields)


def test_a_quota_pause_is_over_with_its_day() -> None:
    """Another token does not bring the quota back; another day does."""
    assert not quota().over(TODAY, "another")
    assert quota().over(date(2026, 11, 19), "abc")


@pytest.mark.parametrize(
    ("refused", "now", "over"),
    [
        ("abc", "abc", False),
        ("abc", "other", True),
        ("abc", None, False),  # it cannot be read just now
        (None, "abc", True),  # it could not be read, now it can
        (None, None, False),
    ],
)
def test_a_token_pause_is_over_with_its_token(
    refused: str | None, now: str | None, over: bool
) -> None:
    """Another token ends it, another day does not."""
    pause = Pause(Reason.UNAUTHORIZED, 1, 1300.0, TODAY, refused)
    assert pause.over(date(2026, 11, 19), now) is over


@pytest.mark.parametrize(
    ("now", "wait"), [(1000.0, 3600.0), (4000.0, 600.0), (5000.0, 0.0), (-1e9, HOUR)]
)
def test_a_pause_waits_an_hour_at_most(now: float, wait: float) -> None:
    """Whatever the clock did."""
    assert quota().wait(now) == wait


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


@pytest.mark.parametrize("pause", [quota(), quota(digest=None)])
def test_a_pause_survives_its_json(pause: Pause) -> None:
    """The state file gives back an equal pause."""
    assert Pause.from_json(pause.to_json()) == pause


@pytest.mark.parametrize("refusals", [-3, 0, 1])
def test_a_pause_has_one_refusal_at_least(refusals: int) -> None:
    """A count below it in the state file does not shorten the next backoff."""
    found = Pause.from_json(quota(refusals=refusals).to_json())

    assert found == quota(refusals=1)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        "quota",
        quota().to_json() | {"reason": "tired"},
        quota().to_json() | {"day": "tomorrow"},
        quota().to_json() | {"next_at": "soon"},
        quota().to_json() | {"refusals": float("inf")},
        quota().to_json() | {"next_at": 10**400},
        {key: value for key, value in quota().to_json().items() if key != "digest"},
    ],
)
def test_what_is_no_pause(data: object) -> None:
    """Anything else in the state file is no pause."""
    assert Pause.from_json(data) is None


def budget(used: int, ceiling: int | None) -> Budget:
    """The requests of 2026-11-18 so far, and the most there may be."""
    made = Budget((1,), ceiling, BOGOTA)
    made.note(used, TODAY)
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


@pytest.mark.parametrize(
    ("facts", "why", "seconds"),
    [
        pytest.param(replace(FREE, age=299.0), Why.RECENT, 1, id="recent"),
        pytest.param(replace(FREE, age=0.0), Why.RECENT, 300, id="just now"),
        pytest.param(replace(FREE, age=-9e9), Why.RECENT, 300, id="in the future"),
        pytest.param(
            replace(FREE, limits=Limits(864.0, 0.0, HOUR)), Why.RECENT, 464, id="stretched"
        ),
        pytest.param(
            replace(FREE, limits=Limits(0.0, 1000.0, HOUR)), Why.RECENT, 600, id="costly day"
        ),
        pytest.param(replace(FREE, budget=budget(9, 9)), Why.BUDGET, 43200, id="spent"),
        pytest.param(
            replace(FREE, hours=OpenHours("Mo-Su 13:00-14:00", BOGOTA)),
            Why.HOURS,
            3600,
            id="closed",
        ),
        pytest.param(replace(FREE, exporter_first=7.0), Why.CLOSING, 7, id="exporter first"),
        pytest.param(replace(FREE, token=None), Why.TOKEN, 300, id="no token"),
        pytest.param(replace(FREE, pause=quota(), pause_left=60.0), Why.QUOTA, 60, id="quota"),
        pytest.param(
            replace(
                FREE,
                pause=Pause(Reason.UNAUTHORIZED, 1, 0.0, TODAY, "abc"),
                pause_left=60.0,
            ),
            Why.UNAUTHORIZED,
            60,
            id="token refused",
        ),
    ],
)
def test_each_reason_to_wait(facts: Facts, why: Why, seconds: float) -> None:
    """The judge says why a query must wait, and until when."""
    assert may_ask(facts, NOON) == Wait(NOON.timestamp() + seconds, why)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(FREE, id="an interval ago"),
        pytest.param(replace(FREE, age=300.0), id="exactly an interval ago"),
        pytest.param(replace(FREE, age=None), id="never asked"),
        pytest.param(replace(FREE, budget=budget(8, 9)), id="one request is left"),
        pytest.param(replace(FREE, limits=Limits(0.0, 1e6, 0.0)), id="a new day begins"),
        pytest.param(replace(FREE, pause=quota()), id="the attempt of the hour"),
        pytest.param(
            replace(FREE, pause=quota(day=YESTERDAY), pause_left=60.0), id="quota is back"
        ),
        pytest.param(
            replace(
                FREE,
                pause=Pause(Reason.UNAUTHORIZED, 1, 0.0, TODAY, "old"),
                pause_left=60.0,
            ),
            id="another token",
        ),
        pytest.param(
            replace(FREE, hours=OpenHours("Mo-Su 13:00-14:00", BOGOTA), closing=True),
            id="closed, but the day is to be closed",
        ),
    ],
)
def test_what_may_be_asked(facts: Facts) -> None:
    """Nothing holds the query back."""
    assert may_ask(facts, NOON) == Ready()


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
    if may_ask(facts, now) != Ready():
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
    if verdict == Ready():
        return
    assert isinstance(verdict, Wait)
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
    assert isinstance(again, Ready) or again.why is not verdict.why or again.why is Why.TOKEN


@pytest.mark.parametrize(
    ("before", "error", "reason", "refusals"),
    [
        (None, Reason.QUOTA, Reason.QUOTA, 1),
        (None, Reason.TIMEOUT, None, 0),
        (quota(), None, None, 0),  # an answer
        (quota(), Reason.TIMEOUT, Reason.QUOTA, 2),  # it was the attempt of the hour
        (quota(), Reason.CONNECT, Reason.QUOTA, 1),  # it was none
        (quota(), Reason.UNAUTHORIZED, Reason.UNAUTHORIZED, 1),
    ],
)
def test_the_pause_after_an_attempt(
    before: Pause | None, error: Reason | None, reason: Reason | None, refusals: int
) -> None:
    """A refusal begins or lengthens it, an answer ends it, what never arrived leaves it."""
    failed = None
    if error is not None:
        failed = WolkvoxError(error, "no answer", reached=error is not Reason.CONNECT)
    pause = pause_after(before, failed, 2000.0, TODAY, 300.0, "abc")
    assert (pause.reason if pause else None) is reason
    assert (pause.refusals if pause else 0) == refusals
