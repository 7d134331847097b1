"""What the contact centre has on record: the figures of any window, cheaply.

Keeps the latest simulated days, each as sorted ends with running sums, so that a window is
two searches a day. It knows instants only; wall clocks are read by the API.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate

from exporter.simulator.centre import Outcome, simulate
from exporter.simulator.model import Figures, SimulatedOperation, SimulatedSkill
from exporter.simulator.scenarios import Segment, Timeline
from exporter.simulator.staffing import TAIL_SECONDS, day_bounds, plan_day

# Days of one channel kept; 500 interactions are about 20 kB.
_KEPT_DAYS = 300


class DayRecord:
    """One channel's day: ends of waits in order, and sums over all that ended before each."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        answered = [outcome.answered for outcome in outcomes]
        waits = [outcome.wait for outcome in outcomes]
        served = [wait if yes else 0.0 for wait, yes in zip(waits, answered, strict=True)]
        lost = [0.0 if yes else wait for wait, yes in zip(waits, answered, strict=True)]
        self._ends = array("d", (outcome.end for outcome in outcomes))
        self._answered = array("i", accumulate(answered, initial=0))
        self._within = tuple(
            array(
                "i",
                accumulate(
                    (yes and wait <= limit for wait, yes in zip(waits, answered, strict=True)),
                    initial=0,
                ),
            )
            for limit in (10.0, 20.0, 30.0)
        )
        self._answer_wait = array("d", accumulate(served, initial=0.0))
        self._abandon_wait = array("d", accumulate(lost, initial=0.0))

    def between(self, start: float, end: float) -> Figures:
        """Return the figures of [start, end), epoch seconds."""
        first = bisect_left(self._ends, start)
        last = max(first, bisect_left(self._ends, end))
        answered = self._answered[last] - self._answered[first]
        within_10, within_20, within_30 = (sums[last] - sums[first] for sums in self._within)
        return Figures(
            inbound=last - first,
            answered=answered,
            abandoned=last - first - answered,
            within_10=within_10,
            within_20=within_20,
            within_30=within_30,
            answer_wait_seconds=self._answer_wait[last] - self._answer_wait[first],
            abandon_wait_seconds=self._abandon_wait[last] - self._abandon_wait[first],
        )

    def last_end(self, before: float) -> float | None:
        """Return when the latest wait ended before an instant (epoch seconds), if any did."""
        position = bisect_left(self._ends, before)
        return self._ends[position - 1] if position else None


class Records:
    """One operation's contact centre on record; asked by instants (epoch seconds)."""

    def __init__(self, operation: SimulatedOperation, seed: int, timeline: Timeline) -> None:
        self._operation = operation
        self._seed = seed
        self._timeline = timeline
        self._skills = {skill.id: skill for skill in operation.skills}
        self._record = lru_cache(maxsize=_KEPT_DAYS)(self._simulate)

    def figures(
        self, skills: Sequence[SimulatedSkill], start: float, end: float
    ) -> dict[str, Figures]:
        """Return the figures of [start, end) by channel with traffic, summed over skills."""
        totals: dict[str, Figures] = {}
        for skill in skills:
            for channel in skill.channels:
                for day in self._days(start, end):
                    figures = self._day(skill.id, channel, day).between(start, end)
                    totals[channel] = totals.get(channel, Figures()) + figures
        return {
            channel: totals[channel] for channel in sorted(totals) if totals[channel].inbound
        }

    def last_use(self, skill: SimulatedSkill, before: float) -> float | None:
        """Return when somebody last ended waiting in a skill, today or yesterday."""
        ends = [
            self._day(skill.id, channel, day).last_end(before)
            for channel in skill.channels
            for day in self._days(before, before)
        ]
        return max((end for end in ends if end is not None), default=None)

    def _days(self, start: float, end: float) -> list[date]:
        zone = self._operation.timezone
        # What began the day before may end in the window.
        first = datetime.fromtimestamp(start, tz=zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(end, tz=zone).date()
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]

    def _day(self, skill_id: str, channel: str, day: date) -> DayRecord:
        start, end = day_bounds(day, self._operation.timezone)
        segments = self._timeline.segments(
            self._operation.name, skill_id, start, end + TAIL_SECONDS
        )
        # The scenarios are part of the key: a switch needs nothing to be thrown away.
        return self._record(skill_id, channel, day, segments)

    def _simulate(
        self, skill_id: str, channel: str, day: date, segments: tuple[Segment, ...]
    ) -> DayRecord:
        operation, skill = self._operation, self._skills[skill_id]
        plan = plan_day(
            channel,
            skill.channels[channel],
            day,
            operation.timezone,
            always_open=operation.always_open,
            staff=skill.agents,
        )
        name = f"{self._seed}/{operation.name}/{skill_id}/{channel}/{day.isoformat()}"
        rng = random.Random(name)  # noqa: S311  # nobody's secret: it has to be repeatable
        return DayRecord(simulate(plan, rng, segments))
