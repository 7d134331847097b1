"""Tables for the arithmetic of slots, retries, closing polls and pauses."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from exporter.errors import Reason
from exporter.polling.schedule import (
    HOUR,
    Pause,
    day_to_close,
    early_retry,
    next_pause,
    stale_after_in_force,
    started_before,
    token_backoff,
    wait_after_restart,
)

TODAY, YESTERDAY, BEFORE = date(2026, 11, 18), date(2026, 11, 17), date(2026, 11, 16)


@pytest.mark.parametrize(
    ("last", "wait"),
    [
        (None, 0),  # never asked
        (1000.0, 300),  # just now
        (900.0, 200),
        (700.0, 0),  # exactly an interval ago
        (100.0, 0),
        (1100.0, 300),  # in the future: the clock was set back
        (1e9, 300),
    ],
)
def test_wait_after_restart(last: float | None, wait: float) -> None:
    """The slot is an interval after the recorded attempt, never more than one away."""
    assert wait_after_restart(last, now=1000.0, interval=300.0) == wait


@pytest.mark.parametrize(
    ("last", "wait"), [(None, 0), (1000.0, 300), (900.0, 201), (699.5, 0.5), (699.0, 0)]
)
def test_wait_after_restart_with_grace(last: float | None, wait: float) -> None:
    """The slot comes later by what the process that is gone took, within one interval."""
    assert wait_after_restart(last, now=1000.0, interval=300.0, grace=1.0) == wait


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


def test_stale_after_in_force() -> None:
    """Values live three intervals in force at least."""
    assert stale_after_in_force(900.0, 300.0) == 900.0
    assert stale_after_in_force(7200.0, 300.0) == 7200.0
    assert stale_after_in_force(900.0, 864.0) == 2592.0


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


def test_pauses_that_follow_one_another() -> None:
    """The quota waits an hour each time; a token doubles, and begins again after another."""
    first = next_pause(None, Reason.QUOTA, 1000.0, TODAY, 300.0, "abc")
    assert first == quota()
    assert next_pause(first, Reason.QUOTA, 5000.0, TODAY, 300.0, "abc").next_at == 8600.0
    token = next_pause(first, Reason.UNAUTHORIZED, 5000.0, TODAY, 300.0, "abc")
    assert (token.refusals, token.next_at) == (1, 5300.0)
    again = next_pause(token, Reason.UNAUTHORIZED, 6000.0, TODAY, 300.0, "abc")
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
