"""How fast an operation may ask just now: budget, hours, interval in force; asks nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from exporter.config import Operation
from exporter.config.hours import OpenHours
from exporter.logs import say
from exporter.polling.budget import NO_LIMITS, Budget, Demand, Limits
from exporter.polling.observer import Observer, Timing
from exporter.polling.roster import Roster
from exporter.polling.task import Rounds, Task
from exporter.times import Clock
from exporter.wolkvox.windows import local_day, next_day_start

log = logging.getLogger(__name__)


class Pace:
    """The interval in force of one operation, what holds its tasks back, and telling both."""

    def __init__(
        self,
        operation: Operation,
        roster: Roster,
        budget: Budget,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._operation = operation
        self._roster = roster
        self._budget = budget
        self._clock = clock
        self._observer = observer
        self._hours = OpenHours(operation.poll_hours, operation.timezone)
        self._rounds = Rounds()
        self._timing = Timing(operation.interval)
        self._limits = NO_LIMITS
        self._stretched_on: date | None = None
        self._spent_on: date | None = None
        self._told: tuple[int, int | None] | None = None

    @property
    def interval(self) -> float:
        """The interval in force of the operation, in seconds."""
        return self._timing.interval

    def interval_of(self, task: Task) -> float:
        """The interval in force of one query, in seconds."""
        return self._limits.interval(task.interval)

    def begin(self, used: int, today: date) -> None:
        """Take up the day's count of calls, and tell what follows from it."""
        self._budget.note(used, today)
        self.plan()
        self._stretch(self._clock.now())
        self._observer.timing(self._timing)
        self.tell_budget()

    def plan(self) -> None:
        """Say to the budget what the operation will ask: at the start, after a discovery."""
        intervals = tuple(task.interval for task in self._roster.queries)
        other = 24 * self._operation.token_info + self._operation.discover
        demand = Demand(intervals, other, self._hours)
        self._budget.set_demand(self._operation.name, demand)
        self._budget.keep_taken(self._operation.name, self._roster.tasks)

    def today(self, now: datetime) -> date:
        """The day in which the budget counts."""
        return local_day(now, self._budget.zone)

    def limits(self, task: Task, now: datetime) -> Limits:
        """How far apart the attempts of a task must be just now."""
        return self._stretch(now) if task.is_query else NO_LIMITS

    def hold(self, task: Task, now: datetime) -> float:
        """Seconds for which a task that is due must wait for the budget or the hours."""
        if self._budget.spent(now):
            self._say_spent(self.today(now))
            return self.until_next_day(now)
        zone = self._operation.timezone
        closed = 0.0 if self.closing(task, now) else self._hours.wait(now)
        # At midnight even a closed operation asks once more: for the finished day.
        return min(closed, _until_next_day(now, zone)) if closed > 0 else 0.0

    def held_back(self, now: datetime) -> bool:
        """Whether the budget is spent or the hours are closed."""
        return self._budget.spent(now) or self._hours.wait(now) > 0

    def until_next_day(self, now: datetime) -> float:
        """Seconds until the budget's next day begins."""
        return _until_next_day(now, self._budget.zone)

    def closing(self, task: Task, now: datetime) -> date | None:
        """The finished day that a task must ask for as a whole, if it is its turn."""
        zone = self._operation.timezone
        return task.closing(local_day(now, zone), zone)

    def tell_attempt(self, task: Task, seconds: float) -> None:
        """Tell how late an attempt was, and how long the round took that it ended.

        `seconds` is how long the attempt held the token.
        """
        name = self._operation.name
        self._budget.note_taken(name, task.skill_id, task.interval, seconds)
        if task.is_query and task.started is not None:
            cycle = self._rounds.attempt(task.skill_id, task.started)
            cycle = self._timing.cycle if cycle is None else cycle
            self._timing = replace(self._timing, cycle=cycle, lag=task.lag)
            self._observer.timing(self._timing)

    def tell_budget(self) -> None:
        """Tell the calls of the day, where they changed (at midnight they do by themselves)."""
        used = self._budget.used(self.today(self._clock.now()))
        if self._told != (used, self._budget.ceiling):
            self._told = (used, self._budget.ceiling)
            self._observer.budget(used, self._budget.ceiling)

    def _stretch(self, now: datetime) -> Limits:
        """What the budget demands just now; told, and said in the log when it begins."""
        limits, today = self._budget.limits(now), self.today(now)
        self._limits = limits
        if limits.lasting or limits.today:
            self._note_stretch(limits, today)
        interval = limits.interval(self._operation.interval)
        if interval != self._timing.interval:
            self._timing = replace(self._timing, interval=interval)
            self._observer.timing(self._timing)
        return limits

    def _note_stretch(self, limits: Limits, today: date) -> None:
        shortest = min((task.interval for task in self._roster.queries), default=0.0)
        if limits.interval(shortest) > shortest:
            before, self._stretched_on = self._stretched_on, today
            if before is None or (today - before).days > 1:
                self._say_stretched(limits.interval(shortest))

    def _say_spent(self, today: date) -> None:
        if self._spent_on != today:
            say(
                log,
                logging.WARNING,
                "daily_requests are used up: no request leaves before the next day",
                operation=self._operation.name,
                daily_requests=self._budget.ceiling,
            )
        self._spent_on = today

    def _say_stretched(self, interval: float) -> None:
        say(
            log,
            logging.WARNING,
            "interval stretched to keep within daily_requests",
            operation=self._operation.name,
            interval_seconds=round(interval),
            daily_requests=self._budget.ceiling,
        )


def _until_next_day(now: datetime, zone: ZoneInfo) -> float:
    left = next_day_start(now, zone) - now
    return max(0.05, left / timedelta(seconds=1))
