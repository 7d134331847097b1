"""One operation and its queries in the words of the status page; renders nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.errors import Reason
from exporter.state.snapshot import QueryStatus
from exporter.web import status as judging
from exporter.web.status import Goal, Goals, OperationView, QueryState, Verdict
from exporter.web.status_format import Words, count, foreign, moment, seconds, span
from exporter.web.status_model import Advice, Cell, Fact, Failure, OperationPart, Query, Row
from exporter.wolkvox.report import ChannelFigures

COLUMNS: Final = (
    "inbound",
    "answered",
    "abandoned",
    "level_10",
    "level_20",
    "level_30",
    "abandonment",
    "asa",
    "ata",
)
# The word tells the state; the shape tells it from afar, and without its colour.
SYMBOLS: Final = {
    QueryState.FRESH: "●",
    QueryState.LATE: "▲",
    QueryState.EXPIRED: "■",
    QueryState.WAITING: "○",
    QueryState.PAUSED: "‖",
    QueryState.CLOSED: "◌",
}

ABSENT: Final = Cell("–")


@dataclass(slots=True)
class Tally:
    """What is counted over the whole page: rows of figures that may still be shown."""

    rows_left: int
    cut: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class PartBuilder:
    """Builds the part of one operation at one moment, in one language."""

    words: Words
    view: OperationView
    now: float
    tally: Tally

    def build(self, statuses: Sequence[QueryStatus]) -> OperationPart:
        """The whole part; counts what it shows and leaves out in the tally."""
        view, before = self.view, self.tally.missed
        ordered = judging.in_order(statuses, view)
        queries = [self._query(status) for status in ordered]
        zone = view.zone
        return OperationPart(
            anchor=f"op:{view.name}",
            name=view.name,
            server=foreign(view.server),
            zone=str(zone),
            clock=moment(self.now, zone, self.now),
            trouble=sum(not query.state.calm for query in queries),
            missed=self.tally.missed - before,
            facts=(self._interval(), self._calls(), self._hours()),
            notice=self._notice(),
            advice=tuple(self._advice(ordered)),
            skills=tuple(query for query in queries if query.skill_id != judging.WHOLE),
            whole=tuple(query for query in queries if query.skill_id == judging.WHOLE),
        )

    # The operation -----------------------------------------------------------------------

    def _interval(self) -> Fact:
        words, view = self.words, self.view
        stretched = view.interval > view.configured
        note = words.say("stretched", span(view.configured)) if stretched else ""
        return Fact(words["interval"], span(view.interval), note)

    def _calls(self) -> Fact:
        words, view = self.words, self.view
        label, used = words["calls_today"], count(view.used)
        if view.limit is None:
            return Fact(label, words.say("calls_unlimited", used=used))
        value = words.say("calls_of", used=used, limit=count(view.limit))
        return Fact(label, value, meter=(view.used, view.limit))

    def _hours(self) -> Fact:
        words, view = self.words, self.view
        label = words["poll_hours"]
        if view.poll_hours is None:
            return Fact(label, words["poll_always"])
        is_open, until = view.hours_open
        kind = "open" if is_open else "closed"
        if until is None:
            return Fact(label, view.poll_hours, words[f"{kind}_now"])
        return Fact(label, view.poll_hours, words.say(f"poll_{kind}", self._clock(until)))

    def _notice(self) -> str:
        words, view = self.words, self.view
        day_end = self._clock(view.day_ends_at)
        if view.pause is not None:
            key, at = f"pause_{view.pause.reason}", self._clock(view.pause.next_at)
            return words.say(key, next=at, day_end=day_end)
        if view.spent:
            return words.say("pause_ceiling", limit=count(view.used), day_end=day_end)
        return ""

    def _advice(self, statuses: Sequence[QueryStatus]) -> Iterator[Advice]:
        """Each reason once, however many queries fail for it."""
        reasons: dict[Reason, int] = {}
        for status in statuses:
            if status.error is not None:
                reasons[status.error[0]] = reasons.get(status.error[0], 0) + 1
        if self.view.pause is not None:  # after a restart only the pause is known
            reasons.setdefault(self.view.pause.reason, 0)
        for reason, number in reasons.items():
            yield Advice(
                anchor=self._anchor(reason),
                what=self.words[f"reason_{reason}"],
                queries=self.words.counted("queries", number) if number else "",
                todo=self.words[f"do_{reason}"],
            )

    def _anchor(self, reason: Reason) -> str:
        return f"do:{self.view.name}:{reason}"

    def _clock(self, at: float) -> str:
        return moment(at, self.view.zone, self.now).text

    # A query -----------------------------------------------------------------------------

    def _query(self, status: QueryStatus) -> Query:
        state = judging.state_of(status, self.view, self.now)
        figures = judging.figures_today(status, self.view.zone, self.now)
        note = ""
        if not figures:
            note = self.words["no_figures" if figures is None else "no_traffic"]
        return Query(
            name=foreign(status.skill),
            skill_id=foreign(status.key.skill_id),
            state=state,
            symbol=SYMBOLS[state],
            word=self.words[f"state_{state}"],
            age=self._age(status),
            due=self._due(status),
            failure=self._failure(status),
            rows=tuple(self._rows(status, figures or ())),
            note=note,
        )

    def _age(self, status: QueryStatus) -> str:
        at = status.memory.last_success_at
        return self.words["never"] if at is None else self.words.say("age", span(self.now - at))

    def _due(self, status: QueryStatus) -> str:
        """When it is asked next: its slot, or later where the operation is held back."""
        view, at = self.view, status.next_slot_at
        if view.pause is not None:
            at = max(at or 0.0, view.pause.next_at)
        elif view.spent:
            at = max(at or 0.0, view.day_ends_at)
        elif not view.hours_open[0]:
            at = max(at or 0.0, view.hours_open[1] or 0.0)
        if at is None:
            return ""
        left = at - self.now
        return self.words.say("next", span(left)) if left > 0 else self.words["due"]

    def _failure(self, status: QueryStatus) -> Failure | None:
        if status.error is None:
            return None
        reason, detail = status.error
        return Failure(
            self.words[f"reason_{reason}"], foreign(detail), f"#{self._anchor(reason)}"
        )

    # Figures -----------------------------------------------------------------------------

    def _rows(self, status: QueryStatus, figures: Sequence[ChannelFigures]) -> Iterator[Row]:
        tally, skill_id = self.tally, status.key.skill_id
        shown = figures[: tally.rows_left]
        tally.rows_left -= len(shown)
        tally.cut += len(figures) - len(shown)
        for row in shown:
            goals = judging.goals_of(self.view.targets.of(skill_id, row.channel))
            cells = self._cells(row, goals)
            tally.missed += sum(cell.kind == Verdict.MISSED for cell in cells)
            yield Row(foreign(row.channel), cells)

    def _cells(self, row: ChannelFigures, goals: Goals) -> tuple[Cell, ...]:
        """The figures in the order of COLUMNS."""
        return (
            self._count(row.inbound),
            self._count(row.answered),
            self._count(row.abandoned),
            self._ratio(row.service_level_10, goals.level_at(10)),
            self._ratio(row.service_level_20, goals.level_at(20)),
            self._ratio(row.service_level_30, goals.level_at(30)),
            self._ratio(row.abandonment, goals.abandonment),
            self._seconds(row.asa, goals.asa),
            self._seconds(row.ata, None),
        )

    def _count(self, value: int | None) -> Cell:
        return ABSENT if value is None else Cell(count(value))

    def _ratio(self, value: float | None, goal: Goal | None) -> Cell:
        if value is None:
            return ABSENT
        if goal is None:
            return Cell(self.words.percent(value))
        text = self.words.percent(value, goal.value)
        return self._judged(text, goal.verdict(value), goal, self.words.goal(goal.value))

    def _seconds(self, value: float | None, goal: Goal | None) -> Cell:
        if value is None:
            return ABSENT
        if goal is None:
            return Cell(seconds(value))
        text = seconds(value, goal.value)
        return self._judged(text, goal.verdict(value), goal, seconds(goal.value))

    def _judged(self, text: str, verdict: Verdict, goal: Goal, limit: str) -> Cell:
        if verdict is Verdict.MET:
            note = "goal_min" if goal.floor else "goal_max"
        else:
            note = "goal_below" if goal.floor else "goal_above"
        return Cell(text, str(verdict), self.words.say(note, limit))
