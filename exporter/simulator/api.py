"""The face of the API: one request in, one answer out, as the vendor's server gives it.

Tokens, quota, concurrency, the error table and the two endpoints; no ASGI (app) and no
figures of its own (records).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from exporter.simulator.journal import Journal
from exporter.simulator.model import ALL_SKILLS, SimulatedOperation
from exporter.simulator.records import Records
from exporter.simulator.rows import TimeForm, report_rows
from exporter.simulator.scenarios import Scenario, Timeline
from exporter.simulator.windows import LONGEST, read_window

_SIMULTANEOUS = 2
_KNOWN = {"reports_manager.php": {"skill_11"}, "information.php": {"skills", "token_info"}}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the HTTP status and the JSON body."""

    status: int
    body: bytes


def found(rows: list[dict[str, str]]) -> Reply:
    """Return a success; the number in `msg` is for people."""
    message = f"{len(rows)} records were found"
    return _reply(200, {"code": 200, "error": None, "msg": message, "data": rows})


def failed(status: int, error: str, message: str) -> Reply:
    """Return a failure; its `code` is a string, as it is in part of the real answers."""
    return _reply(status, {"code": str(status), "error": error, "msg": message})


def _reply(status: int, body: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())


# 404 is what the real server says where a window holds no rows, in just these words.
NO_ROWS = failed(404, "NOT FOUND", "Validate dates entered")
UNKNOWN_API = failed(400, "BAD REQUEST", "THE API YOU WANT TO CONSULT DOES NOT EXIST")
MISSING_PARAMETERS = failed(400, "BAD REQUEST", "SOME PARAMETERS ARE REQUIRED")
# The vendor names the limit but not the answer; any 4xx may come.
TOO_LONG = failed(400, "BAD REQUEST", "THE RANGE CAN NOT BE GREATER THAN 31 DAYS")
MISSING_TOKEN = failed(401, "UNAUTHORIZED", "PLEASE ENTER THE WOLKVOX-TOKEN")
WRONG_TOKEN = failed(403, "FORBIDDEN", "PLEASE VALIDATE TOKEN")
QUOTA = failed(403, "FORBIDDEN", "TOKEN LIMIT EXCEEDED")
CONCURRENCY = failed(
    403, "FORBIDDEN", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"
)
# Known to be a 403; its real words are not public.
MAINTENANCE = failed(403, "FORBIDDEN", "API DISABLED DURING SERVER MAINTENANCE")


class _Quota:
    """Calls of the local day; another day begins at 0."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._day: date | None = None
        self._used = 0

    def used(self, now: datetime) -> int:
        day = now.astimezone(self._zone).date()
        if day != self._day:
            self._day, self._used = day, 0
        return self._used

    def spend(self, now: datetime) -> None:
        self._used = self.used(now) + 1


class OperationApi:
    """The API of one operation; `handle` is called inside the journal's request."""

    def __init__(
        self,
        operation: SimulatedOperation,
        token_index: int,
        *,
        records: Records,
        timeline: Timeline,
        journal: Journal,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        time_form: TimeForm,
        latency: float,
        slow_seconds: float,
    ) -> None:
        self.operation = operation
        self._token_index = token_index
        self._records = records
        self._timeline = timeline
        self._journal = journal
        self._now = now
        self._sleep = sleep
        self._time_form = time_form
        self._latency = latency
        self._slow_seconds = slow_seconds
        self._quota = _Quota(operation.timezone)

    async def handle(self, endpoint: str, query: Mapping[str, str], token: str | None) -> Reply:
        """Answer one GET of an endpoint (`reports_manager.php`, `information.php`)."""
        fault = self._timeline.fault(self.operation.name, _skill_of(query))
        refusal = self._refuse(token, fault)
        if refusal is not None:
            return refusal
        await self._sleep(self._slow_seconds if fault is Scenario.SLOW else self._latency)
        if not query.get("api"):
            return MISSING_PARAMETERS
        if query["api"] not in _KNOWN[endpoint]:
            return UNKNOWN_API
        if query["api"] == "skill_11":
            return self._skill_11(query)
        return self._skills(query) if query["api"] == "skills" else self._token_info()

    def _refuse(self, token: str | None, fault: Scenario | None) -> Reply | None:
        if not token:
            return MISSING_TOKEN
        if token != self.operation.token or fault is Scenario.UNAUTHORIZED:
            return WRONG_TOKEN
        now = self._now()
        exhausted = self._used_by_all(now) >= self.operation.daily_limit
        if exhausted or fault is Scenario.QUOTA:
            return QUOTA
        # From here on the call is paid for, whatever comes of it.
        self._quota.spend(now)
        if fault is Scenario.MAINTENANCE:
            return MAINTENANCE
        if self._journal.in_flight(self._token_index) > _SIMULTANEOUS:
            return CONCURRENCY
        return None

    def _used_by_all(self, now: datetime) -> int:
        return self._quota.used(now) + self.operation.used_elsewhere

    def _skill_11(self, query: Mapping[str, str]) -> Reply:
        names = ("skill_id", "date_ini", "date_end")
        skill_id, date_ini, date_end = (query.get(name, "") for name in names)
        if not (skill_id and date_ini and date_end):
            return MISSING_PARAMETERS
        window = read_window(date_ini, date_end, self.operation.timezone)
        if window is None:
            return NO_ROWS
        if window.length > LONGEST:
            return TOO_LONG
        figures = self._records.figures(
            self.operation.skills_named(skill_id),
            window.start,
            min(window.end, self._now().timestamp()),
        )
        rows = report_rows(figures, self._time_form)
        return found(rows) if rows else NO_ROWS

    def _skills(self, query: Mapping[str, str]) -> Reply:
        rows = []
        for skill in self.operation.skills_named(query.get("skill") or None):
            last_use = self._records.last_use(skill, self._now().timestamp())
            rows.append(
                {
                    "skill_id": skill.id,
                    "skill_name": skill.name,
                    "skill_description": f"Cola de {skill.name}",
                    "last_use": "" if last_use is None else self._wall_clock(last_use),
                }
            )
        return found(rows) if rows else NO_ROWS

    def _token_info(self) -> Reply:
        now = self._now()
        used = self._used_by_all(now)
        row = {
            "description": "wolkvox-exporter",
            "token_limit": str(self.operation.daily_limit),
            "token_use_today": str(self._quota.used(now)),
            "all_token_today": str(used),
            "available_consumption_options": str(max(0, self.operation.daily_limit - used)),
        }
        return found([row])

    def _wall_clock(self, moment: float) -> str:
        local = datetime.fromtimestamp(moment, tz=self.operation.timezone)
        return local.strftime("%Y-%m-%d %H:%M:%S")


def _skill_of(query: Mapping[str, str]) -> str | None:
    """Return the one skill a query is about, None for all of them or for another endpoint."""
    skill_id = query.get("skill_id")
    return None if skill_id is None or skill_id.lower() == ALL_SKILLS else skill_id
