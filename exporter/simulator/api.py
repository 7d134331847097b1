"""The simulator: the API as the vendor's server gives it, and control over what happens.

The real server has nothing below `/_simulator/`: there stand what really happened, the
requests seen, and the switches for scenarios and corrections.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, date, datetime, timedelta
from operator import add
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from exporter.simulator.centre import ALL, DAY, Centre, Figures, Scenario, SimulatedOperation

_SIMULTANEOUS = 2
_SLOW = 30.0
_LONGEST = 31 * DAY
_KEPT_REQUESTS = 10_000
_CONTROL = "/_simulator/"
_PATH = re.compile(r"(?:/([^/]+))?/api/v2/(reports_manager\.php|information\.php)")
Query = Mapping[str, str]
Headers = tuple[tuple[bytes, bytes], ...]
Message = MutableMapping[str, Any]


class Reply(NamedTuple):
    """A whole reply: the HTTP status, the body and the headers."""

    status: int
    body: bytes
    headers: Headers


class Simulator:
    """Some operations under one clock, their API, and control over what happens.

    `app` is an ASGI 3 application, to be served without the server's own `Server` header.
    `now` returns aware instants and `sleep` takes seconds of the same clock. A reply takes
    `latency` seconds, and half a minute in the scenario `slow`. A name that is not known
    raises ValueError, with those that are.
    """

    def __init__(
        self,
        operations: Iterable[SimulatedOperation],
        *,
        seed: int,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        latency: float = 0.05,
    ) -> None:
        self.operations = tuple(operations)
        self._centres = {one.name: Centre(one, seed) for one in self.operations}
        if len(self._centres) < len(self.operations):
            raise ValueError("two simulated operations have the same name")
        self._now, self._sleep, self._latency = now, sleep, latency
        self._used: Counter[tuple[str, date]] = Counter()
        self._under_way: Counter[tuple[str, str | None]] = Counter()
        self._most_at_once: Counter[str] = Counter()
        self._requests: deque[dict[str, object]] = deque(maxlen=_KEPT_REQUESTS)

    # Control -----------------------------------------------------------------------------

    def set_scenario(
        self, name: str, operation: str | None = None, skill_id: str | None = None
    ) -> None:
        """Switch everything, an operation or one of its skills to a scenario from now on."""
        if name not in set(Scenario):
            raise ValueError(_unknown("scenario", name, Scenario))
        if operation is None and skill_id is not None:
            raise ValueError("a skill needs its operation")
        skill = (skill_id or ALL).lower()
        for one in self._centres if operation is None else [operation]:
            self._find(one, skill).switch(self._now().timestamp(), Scenario(name), skill)

    def take_back(self, operation: str, skill_id: str, channel: str, count: int) -> int:
        """Take today's last interactions of a channel back, as Wolkvox corrects its totals.

        Returns how many there were to take back.
        """
        centre = self._find(operation, skill_id)
        for skill in centre.operation.skills:
            if skill.id == skill_id and channel in skill.channels:
                return centre.drop(skill, channel, count, self._now().timestamp())
        raise ValueError(f"skill {skill_id!r} has no channel {channel!r} of its own")

    def truth(
        self, operation: str, skill_id: str, start: datetime, end: datetime
    ) -> dict[str, dict[str, float]]:
        """Return what happened in [start, end) up to now, by channel, unrounded.

        The keys are those of `Figures`; channels without traffic are left out.
        """
        centre = self._find(operation, skill_id.lower())
        skills = centre.operation.select(skill_id.lower())
        last = min(end, self._now()).timestamp()
        found = _add_up(centre.figures(skills, start.timestamp(), last))
        return {channel: figures._asdict() for channel, figures in found.items()}

    def requests(self) -> dict[str, object]:
        """Return the latest requests, oldest first, and the most at once by operation.

        `token` is the place of the first operation with the token, -1 where none has it.
        """
        return {"requests": list(self._requests), "max_in_flight": dict(self._most_at_once)}

    def forget(self) -> None:
        """Free the memory of very long runs: the requests, and the days computed so far."""
        self._requests.clear()
        for centre in self._centres.values():
            centre.forget()

    def _find(self, operation: str, skill_id: str) -> Centre:
        if operation not in self._centres:
            raise ValueError(_unknown("operation", operation, self._centres))
        centre = self._centres[operation]
        if not centre.operation.select(skill_id):
            ids = [skill.id for skill in centre.operation.skills]
            raise ValueError(_unknown("skill", skill_id, [*ids, ALL]))
        return centre

    def _control(self, method: str, path: str, query: Query, body: bytes) -> Reply:
        try:
            match method, path.removeprefix(_CONTROL):
                case "GET", "/":
                    return Reply(200, self._index().encode(), (_TEXT,))
                case "GET", "truth":
                    return _json(200, self._truth(query))
                case "GET", "requests":
                    return _json(200, self.requests())
                case "POST", "scenario":
                    order = _order(body, "scenario", "operation", "skill_id")
                    scenario, operation, skill_id = order.values()
                    self.set_scenario(scenario or "", operation, skill_id)
                    return _json(200, order)
                case "POST", "correction":
                    return _json(200, {"taken_back": self._correct(body)})
                case _, "/" | "truth" | "requests" | "scenario" | "correction":
                    return _json(405, {"error": "GET reads, POST switches"})
        except (ValueError, RecursionError) as error:
            return _json(400, {"error": str(error), "scenarios": list(Scenario)})
        return _json(404, {"error": "no such control endpoint"})

    def _truth(self, query: Query) -> object:
        operation, skill_id = query.get("operation", ""), query.get("skill_id", ALL)
        window = _window(query, self._find(operation, skill_id.lower()).operation.timezone)
        if window is None:
            raise ValueError("date_ini and date_end are YYYYmmddHHMMSS, in order")
        start, last = (one.astimezone(UTC) for one in window)
        return self.truth(operation, skill_id, start, last + timedelta(seconds=1))

    def _correct(self, body: bytes) -> int:
        order = _order(body, "operation", "skill_id", "type_interaction", "interactions")
        operation, skill_id, channel, count = (value or "" for value in order.values())
        if not count.isdecimal():
            raise ValueError("interactions is how many to take back")
        return self.take_back(operation, skill_id, channel, int(count))

    def _index(self) -> str:
        lines = []
        for one in self.operations:
            lines.append(f"  /{one.name}/api/v2/   {one.timezone.key}")
            lines += [f"    skill {skill.id}  {skill.name}" for skill in one.skills]
        return _INDEX.format(operations="\n".join(lines), scenarios=", ".join(Scenario))

    # The API -----------------------------------------------------------------------------

    async def app(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one HTTP request of an ASGI 3 server."""
        method, path = scope["method"], scope["path"]
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if path == "/" or path.startswith(_CONTROL):
            body, more = b"", True
            while more:  # the server limits its length
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            reply = self._control(method, path, query, body)
        elif method != "GET":
            reply = _WRONG_METHOD
        else:
            token = dict(scope["headers"]).get(b"wolkvox-token", b"").decode("latin-1")
            reply = await self.answer(path, query, token)
        start = {"status": reply.status, "headers": list(reply.headers)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": reply.body})

    async def answer(self, path: str, query: Query, token: str | None) -> Reply:
        """Answer one GET request, and record it."""
        found = _PATH.fullmatch(path)
        meant = [one for one in self.operations if found and found[1] in (None, one.name)]
        if found is None or not meant:
            return _NO_PAGE
        own = next((one for one in meant if one.token == token), None)
        # Below the shared URL a wrong token belongs to no operation.
        one = meant[0] if len(meant) == 1 else own
        tokens = [each.token for each in self.operations]
        record: dict[str, object] = {
            "start": self._now().timestamp(),
            "end": None,
            "operation": one and one.name,
            "path": path,
            **{key: query.get(key) for key in ("api", "skill_id", "date_ini", "date_end")},
            "status": None,
            "token": (tokens.index(token) if token in tokens else -1) if token else None,
        }
        self._requests.append(record)
        under_way = [("token", token), *([("operation", one.name)] if one else ())]
        self._under_way.update(under_way)
        if one is not None:
            at_once = self._under_way["operation", one.name]
            self._most_at_once[one.name] = max(self._most_at_once[one.name], at_once)
        try:
            if own is None:
                reply = _WRONG_TOKEN if token else _MISSING_TOKEN
            else:
                reply = await self._reply(self._centres[own.name], found[2], query)
            record["status"] = reply.status
        finally:
            record["end"] = self._now().timestamp()
            self._under_way.subtract(under_way)
        return reply

    async def _reply(self, centre: Centre, endpoint: str, query: Query) -> Reply:
        fault = centre.fault(query.get("skill_id", ALL).lower())
        refusal = self._refusal(centre.operation, fault)
        if refusal is not None:
            return refusal
        await self._sleep(_SLOW if fault is Scenario.SLOW else self._latency)
        match endpoint, query.get("api"):
            case _, None:
                return _MISSING_PARAMETERS
            case "reports_manager.php", "skill_11":
                longest = DAY if fault is Scenario.SHORT_RANGES else _LONGEST
                return await self._skill_11(centre, query, longest)
            case "information.php", "skills":
                return self._skills(centre, query.get("skill", ALL))
            case "information.php", "token_info":
                return self._token_info(centre.operation)
        return _UNKNOWN_API

    def _refusal(self, operation: SimulatedOperation, fault: Scenario | None) -> Reply | None:
        today = self._today(operation)
        if fault is Scenario.UNAUTHORIZED:
            return _WRONG_TOKEN
        exhausted = self._used[today] + operation.used_elsewhere >= operation.daily_limit
        if exhausted or fault is Scenario.QUOTA:
            return _QUOTA
        # From here on the request costs one, whatever comes of it.
        self._used[today] += 1
        if fault is Scenario.MAINTENANCE:
            return _MAINTENANCE
        many = self._under_way["token", operation.token] > _SIMULTANEOUS
        return _CONCURRENCY if many else None

    def _today(self, operation: SimulatedOperation) -> tuple[str, date]:
        return operation.name, self._now().astimezone(operation.timezone).date()

    async def _skill_11(self, centre: Centre, query: Query, longest: timedelta) -> Reply:
        if not all(query.get(name) for name in ("skill_id", "date_ini", "date_end")):
            return _MISSING_PARAMETERS
        window = _window(query, centre.operation.timezone)
        if window is None:
            return _NO_ROWS
        start, last = window
        if last - start > longest:
            return _TOO_LONG
        end = min(last.timestamp() + 1, self._now().timestamp())
        skills = centre.operation.select(query["skill_id"].lower())
        pieces = list[tuple[str, Figures]]()
        for piece in centre.figures(skills, start.timestamp(), end):
            pieces.append(piece)
            await self._sleep(0)  # a month takes a second: others have their turn meanwhile
        return _found(report_rows(_add_up(pieces)))

    def _skills(self, centre: Centre, skill_id: str) -> Reply:
        zone, rows = centre.operation.timezone, []
        for skill in centre.operation.select(skill_id):
            used = centre.last_use(skill, self._now().timestamp())
            row = {"skill_id": skill.id, "skill_name": skill.name}
            row["skill_description"] = f"Cola de {skill.name}"
            at = datetime.fromtimestamp(used or 0.0, zone)
            rows.append({**row, "last_use": f"{at:%Y-%m-%d %H:%M:%S}" if used else ""})
        return _found(rows)

    def _token_info(self, operation: SimulatedOperation) -> Reply:
        own = self._used[self._today(operation)]
        used = own + operation.used_elsewhere
        row = {
            "description": "wolkvox-exporter",
            "token_limit": str(operation.daily_limit),
            "token_use_today": str(own),
            "all_token_today": str(used),
            "available_consumption_options": str(max(0, operation.daily_limit - used)),
        }
        return _found([row])


# What the server writes and reads ----------------------------------------------------------

_JSON = (b"content-type", b"application/json; charset=utf-8")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_HTML = (b"content-type", b"text/html; charset=iso-8859-1")
_SERVER = (b"server", b"Apache")
# As in a saved reply of the real server, which states no length either.
_API = (_SERVER, _JSON, (b"cache-control", b"no-store"), (b"keep-alive", b"timeout=5, max=100"))


def _json(status: int, body: object, headers: Headers = (_JSON,)) -> Reply:
    return Reply(status, json.dumps(body, ensure_ascii=False).encode(), headers)


def _failed(status: int, error: str, message: str) -> Reply:
    # The code is a string here and a number in a success, as in the real replies.
    return _json(status, {"code": str(status), "error": error, "msg": message}, _API)


def _found(rows: list[dict[str, str]]) -> Reply:
    if not rows:
        return _NO_ROWS
    # The number is for people.
    message = f"{len(rows)} records were found"
    return _json(200, {"code": 200, "error": None, "msg": message, "data": rows}, _API)


_NO_ROWS = _failed(404, "NOT FOUND", "Validate dates entered")
_UNKNOWN_API = _failed(400, "BAD REQUEST", "THE API YOU WANT TO CONSULT DOES NOT EXIST")
_MISSING_PARAMETERS = _failed(400, "BAD REQUEST", "SOME PARAMETERS ARE REQUIRED")
_MISSING_TOKEN = _failed(401, "UNAUTHORIZED", "PLEASE ENTER THE WOLKVOX-TOKEN")
_WRONG_TOKEN = _failed(403, "FORBIDDEN", "PLEASE VALIDATE TOKEN")
_QUOTA = _failed(403, "FORBIDDEN", "TOKEN LIMIT EXCEEDED")
_CONCURRENCY = _failed(
    403, "FORBIDDEN", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"
)
# The real server refuses these as well; its words are not known, so these are made up.
_TOO_LONG = _failed(400, "BAD REQUEST", "THE RANGE CAN NOT BE GREATER THAN 31 DAYS")
_MAINTENANCE = _failed(403, "FORBIDDEN", "API DISABLED DURING SERVER MAINTENANCE")
# The web server's own pages.
_WRONG_METHOD = Reply(405, b"", (_SERVER, _HTML, (b"allow", b"GET")))
_NO_PAGE = Reply(
    404,
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n'
    b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n",
    (_SERVER, _HTML),
)
_INDEX = """A simulator of the Wolkvox API. Everything it says is made up.

Operations (header wolkvox-token needed; /api/v2/ serves all, told apart by their tokens):
{operations}

  reports_manager.php?api=skill_11&skill_id=&date_ini=YYYYmmddHHMMSS&date_end=YYYYmmddHHMMSS
  information.php?api=skills
  information.php?api=token_info

Control:
  GET  /_simulator/truth?operation=&skill_id=&date_ini=&date_end=
  GET  /_simulator/requests
  POST /_simulator/scenario    {{"scenario": "", "operation": "", "skill_id": ""}}
       scenarios: {scenarios}
  POST /_simulator/correction  {{"operation": "", "skill_id": "", "type_interaction": "",
       "interactions": 1}}    takes today's last ones back
"""


def _add_up(pieces: Iterable[tuple[str, Figures]]) -> dict[str, Figures]:
    """Return the sum of each channel that has traffic."""
    sums: dict[str, Figures] = {}
    for channel, found in pieces:
        if found.inbound:
            sums[channel] = Figures(*map(add, sums.get(channel, Figures()), found))
    return dict(sorted(sums.items()))


def report_rows(channels: Mapping[str, Figures]) -> list[dict[str, str]]:
    """Return the rows of skill_11: every field a string, in the vendor's order.

    Service level is of all that came in, not of the answered.
    """

    def percent(part: int, whole: int) -> str:
        if part in {0, whole}:
            return "100 %" if part else "0 %"
        return f"{100 * part / whole:.2f} %"

    def mean(seconds: float, count: int) -> str:
        return str(round(seconds / count)) if count else ""

    return [
        {
            "type_interaction": channel,
            "inbound_calls": str(one.inbound),
            "answer_calls": str(one.answered),
            "abandon_calls": str(one.abandoned),
            "service_level_10seg": percent(one.within_10, one.inbound),
            "service_level_20seg": percent(one.within_20, one.inbound),
            "service_level_30seg": percent(one.within_30, one.inbound),
            "abandon": percent(one.abandoned, one.inbound),
            "asa": mean(one.answer_wait_seconds, one.answered),
            "ata": mean(one.abandon_wait_seconds, one.abandoned),
        }
        for channel, one in channels.items()
    ]


def _window(query: Query, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """Return `date_ini` and `date_end`; None where they are no dates in order."""
    texts = query.get("date_ini", ""), query.get("date_end", "")
    if not all(re.fullmatch("[2-8][0-9]{13}", text) for text in texts):
        return None
    try:
        first, last = (datetime.fromisoformat(f"{text[:8]}T{text[8:]}") for text in texts)
    except ValueError:
        return None
    # An hour that happens twice is counted whole.
    window = first.replace(tzinfo=zone, fold=0), last.replace(tzinfo=zone, fold=1)
    return window if first <= last else None


def _order(body: bytes, *names: str) -> dict[str, str | None]:
    """Read these names of a JSON object, as text; what is empty is not given."""
    order = json.loads(body)
    if not isinstance(order, dict):
        raise ValueError("a JSON object is needed")  # noqa: TRY004 - a mistake in the request
    given = {name: order.get(name) for name in names}
    return {name: None if one in (None, "") else str(one) for name, one in given.items()}


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"unknown {kind} {name!r}; known: {', '.join(known)}"
