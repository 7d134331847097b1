"""What is seen of the long run from outside: every request, and every page of metrics.

It keeps the last of each thing and counts the rest, so that its own memory stays level.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import httpx

from exporter.simulator import Scenario
from proof.soak_centre import PAUSING, PLAIN, Member
from tests.polling_support import NEARLY
from tests.virtual import VirtualWorld

KEEP_DAYS = 8
_COUNTERS = (
    b"wolkvox_skill_offered_interactions_total{",
    b"wolkvox_skill_answer_wait_seconds_",
    b"wolkvox_skill_abandon_wait_seconds_",
)
Query = tuple[str, str, str]  # operation, report, skill
Pair = tuple[str, str, str]  # operation, skill, channel


@dataclass(slots=True)
class Asked:
    """One query: its last request, and its requests of each of the latest days."""

    last: float | None = None
    days: Counter[date] = field(default_factory=Counter)


@dataclass(slots=True)
class Told:
    """One pair as the API told it: the highest total of its last day, and the growth."""

    day: date
    highest: int
    grown: int


@dataclass
class Tally:
    """What was counted over the whole run."""

    requests: int = 0
    early: int = 0
    gaps: int = 0
    lags: Counter[float] = field(default_factory=Counter)
    most_in_flight: int = 0
    most_a_day: Counter[int] = field(default_factory=Counter)
    fewest_a_day: int | None = None
    statuses: Counter[int] = field(default_factory=Counter)
    fallen: int = 0
    pages: int = 0
    problems: list[str] = field(default_factory=list)

    def p99_lag(self) -> float:
        """Seconds by which 99 of 100 gaps exceeded the interval at most."""
        left = math.ceil(0.99 * sum(self.lags.values()))
        for lag, count in sorted(self.lags.items()):
            left -= count
            if left <= 0:
                return lag
        return 0.0


class Centre(httpx.AsyncBaseTransport):
    """The network: every operation's simulator, behind one witness."""

    def __init__(self, members: Sequence[Member], world: VirtualWorld) -> None:
        self.tally = Tally()
        self.told: dict[Pair, Told] = {}
        self.returned: set[Pair] = set()
        self._members = {one.name: one for one in members}
        self._world = world
        self._asked: dict[Query, Asked] = {}
        self._observed: set[tuple[str, str]] = set()
        self._in_flight: Counter[str] = Counter()
        self._paused: set[tuple[str, date]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note a request and let its simulator answer it."""
        member = self._members[request.url.path.split("/")[1]]
        query, token = dict(request.url.params), request.headers["wolkvox-token"]
        self._note(member, query)
        self._in_flight[token] += 1
        most = max(self.tally.most_in_flight, self._in_flight[token])
        self.tally.most_in_flight = most
        try:
            if trace := request.extensions.get("trace"):
                await trace("http11.send_request_headers.started", {"request": request})
            reply = await member.simulator.answer(request.url.path, query, token)
        finally:
            self._in_flight[token] -= 1
        self.tally.statuses[reply.status] += 1
        body = reply.body
        if query["api"] == "skill_11":
            if reply.status == 200:
                body = self._tell(member, query, body)
            if reply.status in (200, 404):  # no rows: an answer as well
                self._observed.add((member.name, query["skill_id"]))
        headers = {"content-type": "application/json"}
        return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(body))

    def switched(self, member: Member, scenario: Scenario, now: datetime) -> None:
        """Note a scenario: days with a pause may have fewer requests."""
        if scenario in PAUSING:
            for hours in (0, 3, 4, 5):
                at = now + timedelta(hours=hours)
                self._paused.add((member.name, at.astimezone(member.zone).date()))

    def forget(self, today: date) -> None:
        """Judge the days that are over, and drop what is not needed any more."""
        for query, asked in self._asked.items():
            here = self._world.now().astimezone(self._members[query[0]].zone).date()
            for day in [day for day in asked.days if day < here]:
                self._judge_day(query, day, asked.days.pop(day))
        self._paused = {one for one in self._paused if (today - one[1]).days < 4}
        for pair, one in list(self.told.items()):
            renamed = self._members[pair[0]].kind.renamed
            if (today - one.day).days > (KEEP_DAYS + 1 if renamed else 30):
                del self.told[pair]

    def _note(self, member: Member, query: dict[str, str]) -> None:
        key = (member.name, query["api"], query.get("skill_id", ""))
        asked, now = self._asked.setdefault(key, Asked()), asyncio.get_running_loop().time()
        self.tally.requests += 1
        shortest = member.kind.interval if key[1] == "skill_11" else 3600.0
        if asked.last is not None:
            gap = now - asked.last
            self.tally.gaps += 1
            if gap < shortest - NEARLY:
                self.tally.early += 1
                self.tally.problems.append(f"{key}: {gap:.3f} s between two requests")
            if member.kind is PLAIN and gap < 2 * shortest:
                self.tally.lags[round(gap - shortest, 2)] += 1
        asked.last = now
        asked.days[self._world.now().astimezone(member.zone).date()] += 1

    def _judge_day(self, query: Query, day: date, count: int) -> None:
        member = self._members[query[0]]
        if query[1] != "skill_11":
            return
        hours = _hours(day, member)
        most = math.ceil(hours * 3600 / member.kind.interval)
        if member.kind is PLAIN:
            self.tally.most_a_day[hours] = max(self.tally.most_a_day[hours], count)
            unpaused = (member.name, day) not in self._paused
            if hours == 24 and unpaused and _start_of(day, member) >= self._world.start:
                least = self.tally.fewest_a_day
                self.tally.fewest_a_day = count if least is None else min(least, count)
        if count > most:
            self.tally.problems.append(f"{query}: {count} requests on {day}, of {most}")

    def _tell(self, member: Member, query: dict[str, str], body: bytes) -> bytes:
        """Rename a channel where that is the operation's way, and note the totals."""
        begun = query["date_ini"]
        day = date(int(begun[:4]), int(begun[4:6]), int(begun[6:8]))
        if member.kind.renamed:
            body = body.replace(b'"chat-web"', f'"chat-{day:%m%d}"'.encode())
        observed = (member.name, query["skill_id"])
        for row in json.loads(body)["data"]:
            pair = (*observed, row["type_interaction"])
            self._told(
                pair, day, int(row["inbound_calls"]), first=observed not in self._observed
            )
        return body

    def _told(self, pair: Pair, day: date, total: int, *, first: bool) -> None:
        before = self.told.get(pair)
        if before is not None and (day - before.day).days > KEEP_DAYS:
            self.returned.add(pair)
            before = None
        if before is None:
            self.told[pair] = Told(day, total, 0 if first else total)
            return
        highest = before.highest if before.day == day else 0
        before.grown += max(0, total - highest)
        before.day, before.highest = day, max(total, highest)


class Pages:
    """The counters of every page, compared with the highest before."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._highest: dict[bytes, tuple[float, date]] = {}

    def take(self, text: bytes, today: date) -> None:
        """Compare one page."""
        tally = self._centre.tally
        tally.pages += 1
        for line in text.splitlines():
            if not line.startswith(_COUNTERS):
                continue
            key, _, number = line.rpartition(b" ")
            value = float(number)
            before = self._highest.get(key)
            if (
                before is not None
                and value < before[0]
                and not self._returned(key, before[1], today)
            ):
                tally.fallen += 1
                tally.problems.append(f"{key.decode()}: {before[0]:g}, then {value:g}")
            self._highest[key] = (value, today)

    def forget(self, today: date) -> None:
        """Drop series that are gone: no pause makes one vanish for days."""
        gone = [key for key, one in self._highest.items() if (today - one[1]).days > 2]
        for key in gone:
            del self._highest[key]

    def _returned(self, key: bytes, seen: date, today: date) -> bool:
        """Whether the series had ended for days, and belongs to a pair that was forgotten."""
        text = key.decode()
        return (today - seen).days > 1 and any(
            f'operation="{pair[0]}"' in text and f'type_interaction="{pair[2]}"' in text
            for pair in self._centre.returned
        )


def _start_of(day: date, member: Member) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=member.zone)


def _hours(day: date, member: Member) -> int:
    start, end = (_start_of(one, member).timestamp() for one in (day, day + timedelta(days=1)))
    return round((end - start) / 3600)
