"""When a query may be asked: one judge for the poll loops and the tools; pure arithmetic.

`may_ask` returns nothing to wait for only where all of this holds:
- no pause is waiting: neither the quota nor the token was refused a short while ago;
- the interval in force has passed since the last attempt of the query, whoever made it; an
  attempt in the future (the clock was set back) counts as one of just now;
- the requests of the day are not used up;
- `poll_hours` allow it, or the request closes a finished day;
- an exporter that closes the day first (only a tool waits for it) has had its time;
- the token can be read.
It says when to try; `Storage.begin_attempt` says whether, in the transaction that writes the
attempt.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo

from exporter.config.hours import OpenHours
from exporter.config.plan import Load, calls_of, stretch
from exporter.errors import ExporterError, Reason, WolkvoxError
from exporter.wolkvox.windows import DAY, DAY_SECONDS, day_start, local_day, next_day_start

HOUR = 3600.0
SOONEST_RETRY = 5.0
RESTART_GRACE = 1.0
PAUSING = (Reason.QUOTA, Reason.UNAUTHORIZED)


# The judge ------------------------------------------------------------------------------


class Why(StrEnum):
    """Why a query must wait."""

    RECENT = "recent"
    CLOSING = "closing"
    HOURS = "hours"
    BUDGET = "budget"
    QUOTA = "quota"
    UNAUTHORIZED = "unauthorized"
    TOKEN = "token"  # noqa: S105 - no secret: the token cannot be read, or is a foreign one


@dataclass(frozen=True, slots=True)
class Wait:
    """The query must wait until then (epoch seconds).

    `last_at` is an attempt of another process that was found in the state only now.
    """

    until: float
    why: Why
    last_at: float | None = None


class HeldBack(ExporterError):
    """A request that must not leave now; `detail` is for people, where there is one."""

    def __init__(self, wait: Wait, detail: str = "") -> None:
        super().__init__(f"{wait.why}: {detail}")
        self.wait = wait
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Limits:
    """How far apart the attempts of a query must be, in seconds; 0: no limit.

    `lasting` is what whole days need. `today` is what is left of the budget, spread over
    what is left of the day: it may be longer than that, and says nothing about tomorrow,
    which begins in `left` seconds (0 where there is no ceiling). `occupied` is how long one
    round of the token's requests takes where the slots allow less: it is shown, moves no slot.
    """

    lasting: float
    today: float
    left: float
    occupied: float = 0.0

    def interval(self, configured: float) -> float:
        """The interval in force of a query that is configured with another one."""
        return max(configured, self.lasting, min(self.today, self.left), self.occupied)

    def slot(self, started: float, configured: float, now: float) -> float:
        """When a query is due again after an attempt; all in monotonic seconds."""
        lasting, end_of_day = max(configured, self.lasting), now + self.left
        return max(started + lasting, min(started + self.today, end_of_day))


NO_LIMITS = Limits(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides whether a query may be asked; durations are in seconds.

    `age` is that of its last attempt: None without one, negative for one of the future.
    `pause_left` is how long the pause waits. `token` is the digest of the token, None where
    it cannot be read. `closing`: the request would close a finished day. `exporter_first` is
    how long a running exporter has yet to close the day before a tool may ask.
    """

    interval: float
    age: float | None
    budget: Budget
    hours: OpenHours
    zone: ZoneInfo
    token: str | None
    limits: Limits = NO_LIMITS
    pause: Pause | None = None
    pause_left: float = 0.0
    closing: bool = False
    exporter_first: float = 0.0


def may_ask(facts: Facts, now: datetime) -> Wait | None:
    """Judge whether a query must wait at this moment; the head of the module says when."""
    at, pause = now.timestamp(), facts.pause
    paused = pause is not None and not pause.over(local_day(now, facts.zone), facts.token)
    if pause is not None and paused and facts.pause_left > 0:
        return Wait(at + facts.pause_left, Why(str(pause.reason)))
    if facts.age is not None:
        left = facts.limits.slot(-max(0.0, facts.age), facts.interval, 0.0)
        if left > 0:
            return Wait(at + left, Why.RECENT)
    if facts.budget.spent(now):
        return Wait(next_day_start(now, facts.budget.zone).timestamp(), Why.BUDGET)
    if not facts.closing and (closed := facts.hours.wait(now)) > 0:
        return Wait(at + closed, Why.HOURS)
    if facts.exporter_first > 0:
        return Wait(at + facts.exporter_first, Why.CLOSING)
    if facts.token is None:
        return Wait(at + facts.interval, Why.TOKEN)
    return None


# Spacing and retries --------------------------------------------------------------------


def started_before(last_attempt_at: float | None, now: float, monotonic: float) -> float | None:
    """The monotonic second of an attempt of another process; the future counts as now."""
    return None if last_attempt_at is None else monotonic - max(0.0, now - last_attempt_at)


def early_retry(failures: int, interval: float, jitter: float) -> float:
    """Seconds until a connection that was never made may be tried again.

    Doubles from min(5 s, interval) up to the interval; `jitter` (0 to 1) adds up to half,
    so that exporters that lost the same line do not come back in step.
    """
    first = min(SOONEST_RETRY, interval)
    doubled = first * 2.0 ** min(failures - 1, 30)
    return float(min(interval, doubled * (1.0 + 0.5 * jitter)))


def token_backoff(failures: int, interval: float) -> float:
    """Seconds an operation waits after its token was refused: from the interval to 1 h."""
    return float(min(max(HOUR, interval), interval * 2.0 ** min(failures - 1, 30)))


# Pauses ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """An operation holds still: why, since how many refusals, and until when.

    `next_at` is the epoch time of the next attempt; `day` the local day whose quota is
    used up; `digest` the token that was refused (its digest; None: it could not be read).
    """

    reason: Reason
    refusals: int
    next_at: float
    day: date
    digest: str | None

    def over(self, today: date, digest: str | None) -> bool:
        """Whether the reason is gone: a new day for the quota, another token otherwise."""
        if self.reason is Reason.QUOTA:
            return today != self.day
        return digest is not None and digest != self.digest

    def wait(self, now: float) -> float:
        """Seconds until the next attempt, an hour at most whatever the clock did."""
        return min(HOUR, max(0.0, self.next_at - now))

    def to_json(self) -> dict[str, Any]:
        """The pause as the state file keeps it."""
        return {**asdict(self), "reason": str(self.reason), "day": self.day.isoformat()}

    @classmethod
    def from_json(cls, data: Any) -> Self | None:
        """The reverse of `to_json`; None for anything that is no pause."""
        try:
            return cls(
                Reason(data["reason"]),
                max(1, int(data["refusals"])),
                float(data["next_at"]),
                date.fromisoformat(data["day"]),
                data["digest"],
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def pause_after(
    before: Pause | None,
    error: WolkvoxError | None,
    now: float,
    asked_on: date,
    interval: float,
    digest: str | None,
) -> Pause | None:
    """The pause in force after an attempt; `error` is None where it had an answer.

    One attempt an hour for the quota, doubling for a token. A refusal belongs to the day on
    which the request left. Any other failure of an attempt that the server may have seen was
    the one that the pause allows.
    """
    if error is None:
        return None
    if error.reason in PAUSING:
        reason = error.reason
    elif before is not None and error.reached:
        reason = before.reason
    else:
        return before
    again = before is not None and before.reason is reason
    refusals = before.refusals + 1 if before is not None and again else 1
    wait = HOUR if reason is Reason.QUOTA else token_backoff(refusals, interval)
    return Pause(reason, refusals, now + wait, asked_on, digest or None)


# The day's budget -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demand:
    """The requests of an operation: its queries' intervals, and a day's other calls."""

    intervals: tuple[float, ...]
    other_calls: int
    hours: OpenHours


@dataclass(slots=True)
class Budget:
    """The requests of one token: shared by the operations that use it, one count a day.

    `account` names its count in the state file; `ceiling` is `daily_requests`. `taken` is how
    long the last request of each query held the token, by operation and skill id; `counted`
    are the requests of a day, as the state file has them. From the monotonic second
    `months_from` on a month may be asked for.
    """

    account: tuple[int, ...]
    ceiling: int | None
    zone: ZoneInfo
    demands: dict[str, Demand] = field(default_factory=dict)
    taken: dict[tuple[str, str], Load] = field(default_factory=dict)
    counted: tuple[int, date | None] = (0, None)
    months_from: float = 0.0

    def keep_taken(self, operation: str, queries: Collection[str]) -> None:
        """Forget the requests of an operation's queries that are not among these."""
        for key in [*self.taken]:
            if key[0] == operation and key[1] not in queries:
                del self.taken[key]

    def took_month(self, seconds: float, interval: float, monotonic: float) -> None:
        """Let the figures of the day go before the next month, where one takes so long.

        Slow ones in a row would hold up every query of the token: they get a fifth of its time.
        """
        queries = sum(len(one.intervals) for one in self.demands.values())
        if queries * seconds > interval:
            self.months_from = monotonic + 4 * seconds

    def used(self, now: datetime) -> int:
        """Requests of the day so far."""
        requests, day = self.counted
        return requests if day == local_day(now, self.zone) else 0

    def spent(self, now: datetime) -> bool:
        """Whether no request is left today."""
        return self.ceiling is not None and self.used(now) >= self.ceiling

    def limits(self, now: datetime) -> Limits:
        """The limits that the budget sets to every query at this moment."""
        loads = self.taken.values()
        busy = sum(load.seconds / load.interval for load in loads)
        occupied = (stretch([*loads], 0, 1) or 0.0) if busy > 1 else 0.0
        if self.ceiling is None:
            return Limits(0.0, 0.0, 0.0, occupied)
        today = local_day(now, self.zone)
        start, end = day_start(today, self.zone), day_start(today + DAY, self.zone)
        left = max(0.0, (end - now).total_seconds())
        # Where polling is closed at midnight, closing the day comes on top.
        demands = self.demands.values()
        closing = sum(len(one.intervals) for one in demands if one.hours.wait(start) > 0)
        lasting = self._fit(self.ceiling - closing, start, end, 1.0)
        calls, share = self.ceiling - self.used(now), left / DAY_SECONDS
        costly = self._to_come(lasting, start, now, end, share) > calls
        rest = self._fit(calls, now, end, share) if costly else 0.0
        return Limits(lasting, rest, left, occupied)

    def _to_come(
        self, lasting: float, start: datetime, now: datetime, end: datetime, share: float
    ) -> int:
        """Count the day's requests to come where every query was asked at its slots so far."""
        count = 0
        for demand in self.demands.values():
            passed, whole = (demand.hours.open_seconds(start, until) for until in (now, end))
            for interval in (max(interval, lasting) for interval in demand.intervals):
                past = 1 + math.floor(passed / interval + 1e-6)  # the first slot begins the day
                count += max(0, calls_of([Load(interval, whole)]) - past)
            count += math.floor(demand.other_calls * share)
        return count

    def _fit(self, calls: int, start: datetime, end: datetime, share: float) -> float:
        demands = self.demands.values()
        other = sum(math.ceil(demand.other_calls * share) for demand in demands)
        loads: list[Load] = []
        for demand in demands:
            seconds = demand.hours.open_seconds(start, end)
            loads += (Load(interval, seconds) for interval in demand.intervals)
        if calls_of(loads) + other <= calls:
            return 0.0
        shortest = stretch(loads, other, calls)
        return DAY_SECONDS if shortest is None else shortest
