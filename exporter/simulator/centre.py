"""The contact centre behind the API: draws a day's interactions and serves them in order.

Pure: the same seed and scenarios give the same day, and what a scenario changes lies after
the moment it begins. What is asked of a day (windows, channels) is the business of records.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from exporter.simulator.scenarios import Scenario, Segment
from exporter.simulator.staffing import STEP_SECONDS, TAIL_SECONDS, DayPlan

# Of ten agents one stays: calls are answered now and then, hardly ever in time.
_COLLAPSED_STAFF = 0.15


@dataclass(frozen=True, slots=True)
class Interaction:
    """Somebody who arrives (epoch seconds) with a patience, and what serving takes (seconds).

    Everything is drawn on arrival, whether it comes to be used or not: so no scenario
    shifts the draws of those who come later.
    """

    at: float
    patience: float
    pickup: float
    talk: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a wait: when (epoch seconds), after how many seconds, and how."""

    end: float
    wait: float
    answered: bool


def simulate(
    plan: DayPlan, rng: random.Random, segments: Sequence[Segment]
) -> tuple[Outcome, ...]:
    """Return how everybody who arrived on the day ended waiting, in the order of the ends."""
    arrivals = (
        interaction
        for interaction in draw_arrivals(plan, rng)
        if scenario_at(segments, interaction.at) is not Scenario.SILENCE
    )
    return serve(arrivals, _shifts(plan, segments))


def serve(
    arrivals: Iterable[Interaction], shifts: Iterable[tuple[float, int]]
) -> tuple[Outcome, ...]:
    """Serve arrivals first in, first out; `shifts` are (instant, agents from then on).

    Both in the order of time. Nothing that happens at an instant looks at a later one.
    """
    floor = _Floor()
    # A change of the staff goes before an arrival at the same instant: merge is stable.
    events: Iterable[tuple[float, Interaction | int]] = heapq.merge(
        shifts, ((one.at, one) for one in arrivals), key=lambda event: event[0]
    )
    for at, event in events:
        floor.advance(at)
        if isinstance(event, Interaction):
            floor.arrive(event)
        else:
            floor.staff(at, event)
    floor.finish()
    return tuple(sorted(floor.outcomes, key=lambda outcome: outcome.end))


def draw_arrivals(plan: DayPlan, rng: random.Random) -> Iterator[Interaction]:
    """Draw a Poisson process that follows the plan's rates, times the day's own mood."""
    mood = min(max(rng.gauss(1.0, 0.06), 0.85), 1.15)
    manner = plan.manner
    need = rng.expovariate(1.0)
    for step in takewhile(lambda step: step.start < plan.end, plan.steps):
        at, rate = step.start, step.rate * mood
        until = min(at + STEP_SECONDS, plan.end)
        while need < (until - at) * rate:
            at += need / rate
            yield Interaction(
                at,
                patience=min(rng.expovariate(1 / manner.patience), TAIL_SECONDS),
                pickup=manner.pickup * rng.gammavariate(3.0, 1 / 3),
                talk=manner.talk * rng.gammavariate(2.0, 1 / 2),
            )
            need = rng.expovariate(1.0)
        need -= (until - at) * rate


def scenario_at(segments: Sequence[Segment], at: float) -> Scenario:
    """Return the scenario in force at an instant; healthy before the first segment."""
    position = bisect_right(segments, at, key=lambda segment: segment.start)
    return segments[position - 1].scenario if position else Scenario.HEALTHY


def _shifts(plan: DayPlan, segments: Sequence[Segment]) -> list[tuple[float, int]]:
    """Return every change of the staff: the plan's, and those the scenarios force on it."""
    starts = [step.start for step in plan.steps]
    moments = set(starts) | {s.start for s in segments if plan.start < s.start < plan.tail_end}
    shifts = []
    for moment in sorted(moments):
        agents = plan.steps[bisect_right(starts, moment) - 1].agents
        if scenario_at(segments, moment) is Scenario.COLLAPSE:
            agents = int(agents * _COLLAPSED_STAFF)
        shifts.append((moment, agents))
    return shifts


class _Floor:
    """Agents and one queue, first in first out; time only moves by `advance`."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._waiting: deque[Interaction] = deque()
        self._busy_until: list[float] = []
        self._agents = 0

    def staff(self, at: float, agents: int) -> None:
        """Change the number of agents; who is talking finishes before leaving."""
        self._agents = agents
        self._seat(at)

    def arrive(self, interaction: Interaction) -> None:
        """Take somebody in at the end of the queue."""
        self._waiting.append(interaction)
        self._seat(interaction.at)

    def advance(self, at: float) -> None:
        """Let everything happen that becomes due up to an instant."""
        while self._busy_until and self._busy_until[0] <= at:
            self._seat(heapq.heappop(self._busy_until))

    def finish(self) -> None:
        """Let the day end: the last are served, or give up."""
        self.advance(float("inf"))
        while self._waiting:
            self._give_up(self._waiting.popleft())

    def _seat(self, at: float) -> None:
        while self._waiting and len(self._busy_until) < self._agents:
            head = self._waiting.popleft()
            gone = head.at + head.patience
            if gone <= at:
                self._give_up(head)
            elif gone < at + head.pickup:
                # Hung up while it rang: the agent was tied to it until then.
                self._give_up(head)
                heapq.heappush(self._busy_until, gone)
            else:
                answer = at + head.pickup
                self.outcomes.append(Outcome(answer, answer - head.at, answered=True))
                heapq.heappush(self._busy_until, answer + head.talk)

    def _give_up(self, interaction: Interaction) -> None:
        wait = interaction.patience
        self.outcomes.append(Outcome(interaction.at + wait, wait, answered=False))
