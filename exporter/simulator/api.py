"""The simulator: the API as the vendor's server gives it, and control over what happens.

The real server has nothing below `/_simulator/`: there stand what really happened, the
requests seen, and the switches for scenarios and corrections.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from exporter.simulator import replies
from exporter.simulator.centre import ALL, Centre, Figures, Scenario, SimulatedOperation
from exporter.simulator.replies import Reply

_SIMULTANEOUS = 2
_LONGEST = timedelta(days=31)
_KEPT_REQUESTS = 10_000
_ENDPOINTS = ("reports_manager.php", "information.php")
_CONTROL = "/_simulator/"
Query = Mapping[str, str]
Message = MutableMapping[str, Any]


class Simulator:
    """Some operations under one clock, their API, and control over what happens.

    `app` is an ASGI 3 application, to be served without the server's own `Server` header.
    `now` returns aware instants and `sleep` takes seconds of the same clock. A reply takes
    `latency` seconds, and `slow_seconds` in the scenario `slow`. A name that is not known
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
        slow_seconds: float = 30.0,
    ) -> None:
        self.operations = tuple(operations)
        self._centres = {one.name: Centre(one, seed) for one in self.operations}
        if len(self._centres) < len(self.operations):
            raise ValueError("two simulated operations have the same name")
        self._now, self._sleep = now, sleep
        self._latency, self._slow_seconds = latency, slow_seconds
        self._used: Counter[tuple[str, date]] = Counter()
        self._under_way: Counter[tuple[str, str | None]] = Counter()
        self._most_at_once: Counter[str | None] = Counter()
        self._requests: deque[dict[str, object]] = deque(maxlen=_KEPT_REQUESTS)

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
            centre = self._find(one, skill)
            centre.switch(self._now().timestamp(), Scenario(name), skill)

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
        found = self._figures(centre, skill_id, start.timestamp(), end.timestamp())
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
            reply = replies.WRONG_METHOD
        else:
            token = dict(scope["headers"]).get(b"wolkvox-token", b"").decode("latin-1")
            reply = await self.answer(path, query, token)
        start = {"status": reply.status, "headers": list(reply.headers)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": reply.body})

    async def answer(self, path: str, query: Query, token: str | None) -> Reply:
        """Answer one GET request, and record it."""
        operations, endpoint = self._route(path)
        if not operations:
            return replies.NO_PAGE
        own = next((one for one in operations if one.token == token), None)
        # Below the shared URL a wrong token belongs to no operation.
        one = operations[0] if len(operations) == 1 else own
        name = one.name if one else None
        tokens = [each.token for each in self.operations]
        record: dict[str, object] = {
            "start": self._now().timestamp(),
            "end": None,
            "operation": name,
            "path": path,
            **{key: query.get(key) for key in ("api", "skill_id", "date_ini", "date_end")},
            "status": None,
            "token": (tokens.index(token) if token in tokens else -1) if token else None,
        }
        self._requests.append(record)
        under_way = ("token", token), ("operation", name)
        self._under_way.update(under_way)
        most = max(self._most_at_once[name], self._under_way["operation", name])
        self._most_at_once[name] = most
        try:
            reply = await self._reply(own, endpoint, query, token)
            record["status"] = reply.status
        finally:
            record["end"] = self._now().timestamp()
            self._under_way.subtract(under_way)
        return reply

    def _route(self, path: str) -> tuple[tuple[SimulatedOperation, ...], str]:
        """Return the operations that a path may mean, and its endpoint."""
        match path.split("/"):
            case ["", "api", "v2", endpoint] if endpoint in _ENDPOINTS:
                return self.operations, endpoint
            case ["", name, "api", "v2", endpoint] if endpoint in _ENDPOINTS:
                centre = self._centres.get(name)
                return ((centre.operation,) if centre else ()), endpoint
        return (), ""

    async def _reply(
        self,
        operation: SimulatedOperation | None,
        endpoint: str,
        query: Query,
        token: str | None,
    ) -> Reply:
        if operation is None:
            return replies.WRONG_TOKEN if token else replies.MISSING_TOKEN
        centre = self._centres[operation.name]
        fault = centre.fault(query.get("skill_id", ALL).lower())
        refusal = self._refusal(operation, fault)
        if refusal is not None:
            return refusal
        await self._sleep(self._slow_seconds if fault is Scenario.SLOW else self._latency)
        match endpoint, query.get("api"):
            case _, None:
                return replies.MISSING_PARAMETERS
            case "reports_manager.php", "skill_11":
                return self._skill_11(centre, query)
            case "information.php", "skills":
                return self._skills(centre, query)
            case "information.php", "token_info":
                return self._token_info(operation)
        return replies.UNKNOWN_API

    def _refusal(self, operation: SimulatedOperation, fault: Scenario | None) -> Reply | None:
        today = self._today(operation)
        if fault is Scenario.UNAUTHORIZED:
            return replies.WRONG_TOKEN
        exhausted = self._used[today] + operation.used_elsewhere >= operation.daily_limit
        if exhausted or fault is Scenario.QUOTA:
            return replies.QUOTA
        # From here on the request costs one, whatever comes of it.
        self._used[today] += 1
        if fault is Scenario.MAINTENANCE:
            return replies.MAINTENANCE
        if self._under_way["token", operation.token] > _SIMULTANEOUS:
            return replies.CONCURRENCY
        return None

    def _today(self, operation: SimulatedOperation) -> tuple[str, date]:
        return operation.name, self._now().astimezone(operation.timezone).date()

    def _skill_11(self, centre: Centre, query: Query) -> Reply:
        if not all(query.get(name) for name in ("skill_id", "date_ini", "date_end")):
            return replies.MISSING_PARAMETERS
        window = replies.read_window(query, centre.operation.timezone)
        if window is None:
            return replies.NO_ROWS
        start, last = window
        if last - start > _LONGEST:
            return replies.TOO_LONG
        skill_id, end = query["skill_id"], last.timestamp() + 1
        rows = replies.report_rows(self._figures(centre, skill_id, start.timestamp(), end))
        return replies.found(rows) if rows else replies.NO_ROWS

    def _figures(
        self, centre: Centre, skill_id: str, start: float, end: float
    ) -> dict[str, Figures]:
        skills = centre.operation.select(skill_id.lower())
        return centre.figures(skills, start, min(end, self._now().timestamp()))

    def _skills(self, centre: Centre, query: Query) -> Reply:
        zone, rows = centre.operation.timezone, []
        for skill in centre.operation.select(query.get("skill", ALL)):
            used = centre.last_use(skill, self._now().timestamp())
            at = "" if used is None else datetime.fromtimestamp(used, zone)
            row = {"skill_id": skill.id, "skill_name": skill.name}
            row["skill_description"] = f"Cola de {skill.name}"
            rows.append({**row, "last_use": f"{at:%Y-%m-%d %H:%M:%S}" if at else ""})
        return replies.found(rows) if rows else replies.NO_ROWS

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
        return replies.found([row])

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
                    return Reply(200, self._index().encode(), (replies.TEXT,))
                case "GET", "truth":
                    return replies.control(200, self._truth(query))
                case "GET", "requests":
                    return replies.control(200, self.requests())
                case "POST", "scenario":
                    return replies.control(200, self._scenario(_order(body)))
                case "POST", "correction":
                    return replies.control(200, self._correction(_order(body)))
                case _, "/" | "truth" | "requests" | "scenario" | "correction":
                    return replies.control(405, {"error": "GET reads, POST switches"})
        except (ValueError, RecursionError) as error:
            return replies.control(400, {"error": str(error), "scenarios": list(Scenario)})
        return replies.control(404, {"error": "no such control endpoint"})

    def _truth(self, query: Query) -> object:
        operation, skill_id = query.get("operation", ""), query.get("skill_id", ALL)
        zone = self._find(operation, skill_id.lower()).operation.timezone
        window = replies.read_window(query, zone)
        if window is None:
            raise ValueError("date_ini and date_end are YYYYmmddHHMMSS, in order")
        start, last = (one.astimezone(UTC) for one in window)
        return self.truth(operation, skill_id, start, last + timedelta(seconds=1))

    def _scenario(self, order: Query) -> object:
        names = ("scenario", "operation", "skill_id")
        scenario, operation, skill_id = (order.get(name) for name in names)
        self.set_scenario(scenario or "", operation, skill_id)
        return dict(zip(names, (scenario, operation, skill_id), strict=True))

    def _correction(self, order: Query) -> object:
        names = ("operation", "skill_id", "type_interaction", "interactions")
        operation, skill_id, channel, count = (order.get(name, "") for name in names)
        if not count.isdecimal():
            raise ValueError("interactions is how many to take back")
        return {"taken_back": self.take_back(operation, skill_id, channel, int(count))}

    def _index(self) -> str:
        lines = []
        for one in self.operations:
            lines.append(f"  /{one.name}/api/v2/   {one.timezone.key}")
            lines += [f"    skill {skill.id}  {skill.name}" for skill in one.skills]
        return _INDEX.format(operations="\n".join(lines), scenarios=", ".join(Scenario))


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


def _order(body: bytes) -> dict[str, str]:
    """Read a JSON object; a number stands for its text, and empty means not given."""
    order = json.loads(body)
    if not isinstance(order, dict):
        raise ValueError("a JSON object is needed")  # noqa: TRY004 - a mistake in the request
    return {name: str(value) for name, value in order.items() if value not in (None, "")}


def _unknown(kind: str, name: str | None, known: Iterable[str]) -> str:
    return f"unknown {kind} {name!r}; known: {', '.join(known)}"
