"""Five weeks of a polled contact centre, as a Prometheus that scraped the exporter keeps them.

The simulator is asked at each slot, and what it says goes the exporter's own way: rows,
report, ledger, rendering. Only HTTP, the state file and the waiting are left out, so five
weeks take seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.config import Operation, Skill
from exporter.errors import Reason
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.operation import OperationTelemetry
from exporter.metrics.page import MetricsPage
from exporter.metrics.sla import Targets
from exporter.polling.choice import day_to_close, month_to_ask
from exporter.polling.request import SKILL_11, TOKEN_INFO
from exporter.simulator.api import Simulator, report_rows
from exporter.simulator.centre import Figures, demo_operations
from exporter.state.models import (
    QueryKey,
    QueryMemory,
    QueryStatus,
    Stored,
    apply_report,
    failed,
)
from exporter.wolkvox.report import TOKEN_COUNTS, read_report
from exporter.wolkvox.windows import Window, day_so_far, local_day, whole_day
from tests.virtual import configuration

BOGOTA, SANTIAGO = ZoneInfo("America/Bogota"), ZoneInfo("America/Santiago")
END = datetime(2026, 11, 19, 17, 40, tzinfo=BOGOTA)
MIDNIGHT = END.replace(hour=0, minute=0)
START = MIDNIGHT - timedelta(days=35)
PHASE = timedelta(minutes=2, seconds=17)
"""Slots are no grid of the clock: the first poll was some time after midnight."""
COLLAPSE = END.replace(hour=14, minute=35)
COLLAPSED = ("acme", "4180", "Atención al cliente")
ALERTED = COLLAPSE + timedelta(minutes=12)
LATE_CHAT = ("acme", "4180", "chat-whatsapp")
"""Whom the other day is about: answered, but nobody within the seconds of the target."""
RESTART = END.replace(hour=9, minute=12)
SCRAPE = timedelta(minutes=1)
INTERVAL = timedelta(minutes=5)
SEED = 20
_SERVERS = {"acme": "wv0013", "globex": "wv0042"}
DETAIL = MIDNIGHT - timedelta(hours=1)
"""From here on everything is kept, as scraped each minute."""
LAST_WEEK = (DETAIL - timedelta(days=7), MIDNIGHT - timedelta(days=6))
MONTHS = DETAIL - timedelta(hours=2)
"""From here on months are asked for, in every zone on the day before and today."""
DAYS_BACK = MIDNIGHT - timedelta(days=8)
_TIMEOUTS = (100, 101, 143)  # slots of the last day at which one query gets no answer
_WORDS = """
operations:
  - name: acme
    server: "0013"
    token_file: {token0}
    timezone: America/Bogota
    daily_requests: 3000
    token_info: true
    labels: {client: acme-bank}
    skills:
      - {id: 4173, name: Ventas}
      - {id: 4180, name: Atención al cliente}
      - {id: 4190, name: Cobranza}
      - {id: all, name: Todas}
    sla:
      - channels: [inbound]
        service_level: {within: 20s, target: 80%}
        abandonment: {max: 10%}
        asa: {max: 30s}
      - channels: [chat-web]
        service_level: {within: 30s, target: 70%}
      - channels: [chat-whatsapp]
        skills: [4173, 4180]
        service_level: {within: 30s, target: 65%}
  - name: globex
    server: "0042"
    token_file: {token1}
    timezone: America/Santiago
    skills: [{id: all, name: Todas}]
    sla:
      - channels: [inbound]
        service_level: {within: 20s, target: 90%}
        abandonment: {max: 10%}
        asa: {max: 30s}
      - channels: [chat-web]
        service_level: {within: 30s, target: 70%}
"""


@dataclass(slots=True)
class _Now:
    at: datetime

    def epoch(self) -> float:
        return self.at.timestamp()


async def _no_sleep(_seconds: float) -> None:
    raise AssertionError("nothing sleeps here")


@dataclass(slots=True)
class _Query:
    """One query on its way through the weeks."""

    operation: Operation
    skill: Skill
    telemetry: OperationTelemetry
    memory: QueryMemory = field(default_factory=QueryMemory)
    last_attempt: datetime | None = None

    def window(self, now: datetime) -> Window:
        """What the next attempt asks for: the finished day right after midnight."""
        zone = self.operation.timezone
        local = now.astimezone(zone)
        stored = Stored(self.last_attempt.timestamp() if self.last_attempt else None)
        day = day_to_close(stored, QueryMemory(closed=self.memory.closed), local)
        if day is not None:
            return whole_day(day)
        month = month_to_ask(self.memory, local) if now >= MONTHS else None
        return month or day_so_far(now, zone)


class Weeks:
    """The simulated weeks; `pages` plays them once, `truth` tells what really happened."""

    def __init__(self, directory: Path, *, late_chat: bool = False) -> None:
        """Instead of a skill that collapses a chat that is late all day, if wanted."""
        self.late_chat = late_chat
        self._now = _Now(START)
        self._random = random.Random(SEED)
        self._simulator = Simulator(
            demo_operations(BOGOTA, SANTIAGO),
            seed=SEED,
            now=lambda: self._now.at,
            sleep=_no_sleep,
        )
        self.configuration = configuration(directory, _WORDS, ("7b00", "7b01"))
        self._page = MetricsPage(self._now.epoch)
        self._exporter = ExporterTelemetry(self._page, "0.1.0", "0" * 12, START.timestamp())
        self._used: dict[tuple[str, date], int] = {}
        self._queries = [
            query
            for operation in self.configuration.operations
            for query in self._of(operation)
        ]

    def truth(
        self, operation: str, skill_id: str, start: datetime, end: datetime
    ) -> dict[str, Figures]:
        """What ended its wait in [start, end), by channel."""
        found = self._simulator.truth(_SERVERS[operation], skill_id, start, end)
        each = {name: Figures(**figures) for name, figures in found.items()}  # type: ignore[arg-type]
        *query, chat = LATE_CHAT
        mine = [operation, skill_id] == query and chat in each
        if self.late_chat and mine and start >= MIDNIGHT:
            waited = each[chat].answer_wait_seconds + 90 * each[chat].answered
            none = dict.fromkeys(("within_10", "within_20", "within_30"), 0)
            each[chat] = each[chat]._replace(answer_wait_seconds=waited, **none)
        return each

    def polled_until(self, operation: str, skill_id: str, before: datetime) -> datetime:
        """The start of a query's last attempt of today at or before a moment."""
        names = [(one.operation.name, one.skill.id) for one in self._queries]
        late = PHASE + timedelta(seconds=2 * names.index((operation, skill_id)) + 1)
        return MIDNIGHT + (before - MIDNIGHT - late) // INTERVAL * INTERVAL + late

    def pages(self) -> Iterator[tuple[datetime, bytes]]:
        """Every scrape with its moment, in the order of time."""
        slot = START + PHASE
        while slot < END:
            step = _interval(slot)
            self._switch(slot)
            for place, query in enumerate(self._queries):
                self._now.at = slot + timedelta(seconds=2 * place + 1)
                self._poll(query, step, self._fails(slot, place))
            yield from self._scrapes(slot, step)
            slot += step
        self._now.at = END

    def _of(self, operation: Operation) -> list[_Query]:
        told = OperationTelemetry(operation.name, self._page, {})
        told.configure(operation, Targets(operation))
        return [_Query(operation, skill, told) for skill in operation.skills]

    def _switch(self, slot: datetime) -> None:
        if slot - INTERVAL < COLLAPSE <= slot and not self.late_chat:
            self._now.at = COLLAPSE
            operation, skill_id, _name = COLLAPSED
            self._simulator.set_scenario("collapse", _SERVERS[operation], skill_id)

    def _fails(self, slot: datetime, place: int) -> bool:
        today = slot >= MIDNIGHT
        return today and place == 2 and (slot - MIDNIGHT) // INTERVAL in _TIMEOUTS

    def _scrapes(self, slot: datetime, step: timedelta) -> Iterator[tuple[datetime, bytes]]:
        # Half a minute past, so that no scrape falls together with a poll.
        every = SCRAPE if _is_detailed(slot) else INTERVAL
        for number in range(step // every):
            self._now.at = slot + timedelta(seconds=30) + number * every
            yield self._now.at, self._page.render()

    def _poll(self, query: _Query, step: timedelta, fails: bool) -> None:
        now, told = self._now.at, query.telemetry
        window = query.window(now)
        query.last_attempt = now
        seconds = min(0.3 + self._random.expovariate(1.5), 8.0)
        error: tuple[Reason, str] | None = None
        if fails:
            query.memory, error = failed(query.memory), (Reason.TIMEOUT, "no answer")
        else:
            report = read_report(self._rows(query, window, now))
            done = now.timestamp() + seconds
            query.memory = apply_report(query.memory, window, report, done)
        if now >= DETAIL:
            self._tell(query, now, 60.0 if fails else seconds, error[0] if error else None)
        last = query.memory.last_success_at
        status = QueryStatus(
            QueryKey(query.operation.name, query.skill.id),
            query.skill.name,
            query.memory,
            last_attempt_at=now.timestamp(),
            live_until=None if last is None else last + 3 * step.total_seconds(),
            error=error,
            interval=INTERVAL.total_seconds(),
        )
        told.publish(status, self._now.epoch())

    def _rows(self, query: _Query, window: Window, now: datetime) -> list[dict[str, str]]:
        zone = query.operation.timezone
        start = datetime.strptime(window.start, "%Y%m%d%H%M%S").replace(tzinfo=zone)
        last = datetime.combine(window.day, datetime.min.time(), zone)
        end = last + timedelta(days=1) if window.closing or window.month else now
        found = self.truth(query.operation.name, query.skill.id, start, end)
        return report_rows(found)

    def _tell(
        self, query: _Query, now: datetime, seconds: float, reason: Reason | None
    ) -> None:
        """What the poll loop says of an attempt; once a round what it says of the operation."""
        told, operation = query.telemetry, query.operation
        day = (operation.name, local_day(now, operation.timezone))
        self._used[day] = self._used.get(day, 0) + 1
        told.requested(SKILL_11)
        told.answered(SKILL_11, seconds, reason)
        if query.skill is not operation.skills[-1]:
            return
        lag = self._random.uniform(0.0, 0.4)
        told.show(
            poll_interval_seconds=INTERVAL.total_seconds(),
            poll_cycle_seconds=2.0 * len(operation.skills),
            poll_lag_seconds=lag,
        )
        if operation.token_info and now.minute < 5:
            self._used[day] += 1
            told.requested(TOKEN_INFO)
            told.answered(TOKEN_INFO, 0.2, None)
            used = self._used[day]
            counts = (6000, used, used + 812, 6000 - used - 812)
            told.show(**dict(zip(TOKEN_COUNTS, counts, strict=True)))
        told.show(
            daily_requests_used=self._used[day], daily_requests_limit=operation.daily_requests
        )


def _is_detailed(slot: datetime) -> bool:
    return slot >= DETAIL or LAST_WEEK[0] <= slot < LAST_WEEK[1]


def _interval(slot: datetime) -> timedelta:
    """Today and last week are polled as usual; what is summed up of other days, less often."""
    if _is_detailed(slot):
        return INTERVAL
    return INTERVAL * (6 if slot >= DAYS_BACK or slot.weekday() == END.weekday() else 12)
