"""The day's calls on one token, and the interval that keeps them under the ceiling; pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from exporter.config.hours import OpenHours
from exporter.config.plan import DAY, Load, calls_of, stretch
from exporter.wolkvox.windows import day_start, local_day


@dataclass(frozen=True, slots=True)
class Demand:
    """What one operation asks of the budget: its queries' intervals, its other calls.

    `other_calls` are those of a full day that are no query: token_info and skills.
    """

    intervals: tuple[float, ...]
    other_calls: int
    hours: OpenHours


@dataclass(frozen=True, slots=True)
class Limits:
    """How far apart the attempts of a query must be, in seconds; 0: no limit.

    `lasting` is what whole days need. `today` is what is left of the budget, spread over
    what is left of the day: it may be longer than that, and says nothing about tomorrow,
    which begins in `left` seconds. `occupied` is how long one round of the token's requests
    takes where that is longer than the slots allow: it is shown, and moves no slot.
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
        end_of_day = now + self.left
        return max(
            started + max(configured, self.lasting), min(started + self.today, end_of_day)
        )


NO_LIMITS = Limits(0.0, 0.0, 0.0)


@dataclass(slots=True)
class Budget:
    """The calls of one token: shared by the operations that use it, one count a day.

    `account` names its count in the state file; `ceiling` is `daily_requests`.
    """

    account: tuple[int, ...]
    ceiling: int | None
    zone: ZoneInfo
    demands: dict[str, Demand] = field(default_factory=dict)
    _used: int = 0
    _day: date | None = None
    _whole_day: tuple[date, float] | None = None
    _taken: dict[tuple[str, str], Load] = field(default_factory=dict)
    _busy: float = 0.0

    def set_demand(self, operation: str, demand: Demand) -> None:
        """Say what an operation will ask (again after a discovery)."""
        self.demands[operation] = demand
        self._whole_day = None

    def drop_demand(self, operation: str) -> None:
        """Forget an operation that asks no more."""
        self.demands.pop(operation, None)
        self._whole_day = None
        self.keep_taken(operation, ())

    def note_taken(self, operation: str, query: str, interval: float, seconds: float) -> None:
        """Note how long the last request of a query held the token."""
        before = self._taken.get((operation, query))
        load = self._taken[operation, query] = Load(interval, seconds)
        self._busy += _share(load) - _share(before)

    def keep_taken(self, operation: str, queries: Collection[str]) -> None:
        """Forget the requests of an operation's queries that are not among these."""
        for key in [
            one for one in self._taken if one[0] == operation and one[1] not in queries
        ]:
            self._busy -= _share(self._taken.pop(key))

    @property
    def occupied(self) -> float:
        """The seconds of a round of requests where they fill the token's time, else 0."""
        if self._busy <= 1.0:
            return 0.0
        return stretch(list(self._taken.values()), 0, 1) or 0.0

    def note(self, used: int, day: date) -> None:
        """Take over the count from the state file."""
        self._used, self._day = used, day

    def used(self, today: date) -> int:
        """Calls of the day so far."""
        return self._used if self._day == today else 0

    def spent(self, now: datetime) -> bool:
        """Whether no call is left today."""
        return self.ceiling is not None and self.used(local_day(now, self.zone)) >= self.ceiling

    def limits(self, now: datetime) -> Limits:
        """What the budget demands of every query at this moment."""
        today = local_day(now, self.zone)
        end = day_start(today + timedelta(days=1), self.zone)
        left = max(0.0, (end - now).total_seconds())
        if self.ceiling is None:
            return Limits(0.0, 0.0, left, self.occupied)
        rest = self._fit(self.ceiling - self.used(today), now, end, left / DAY)
        lasting = self._lasting(self.ceiling, today, end)
        return Limits(lasting, rest, left, self.occupied)

    def _lasting(self, ceiling: int, today: date, end: datetime) -> float:
        if self._whole_day is None or self._whole_day[0] != today:
            start = day_start(today, self.zone)
            # Where polling is closed at midnight, closing the day comes on top.
            closing = sum(
                len(demand.intervals)
                for demand in self.demands.values()
                if demand.hours.wait(start) > 0
            )
            whole = self._fit(ceiling - closing, start, end, share=1.0)
            self._whole_day = (today, whole)
        return self._whole_day[1]

    def _fit(self, calls: int, start: datetime, end: datetime, share: float) -> float:
        demands = self.demands.values()
        other = sum(math.ceil(demand.other_calls * share) for demand in demands)
        loads = [
            Load(interval, seconds)
            for demand in demands
            for seconds in [demand.hours.open_seconds(start, end)]
            for interval in demand.intervals
        ]
        if calls_of(loads) + other <= calls:
            return 0.0
        shortest = stretch(loads, other, calls)
        return DAY if shortest is None else shortest


def _share(load: Load | None) -> float:
    """The part of a token's time that a query's requests take."""
    return 0.0 if load is None else load.seconds / load.interval
