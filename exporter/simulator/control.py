"""The endpoints beside the API, for demonstrations and tests: truth, scenarios, requests.

No part of the look-alike: the real server has nothing below `/_simulator/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.simulator.scenarios import Scenario
from exporter.simulator.windows import read_window
from exporter.simulator.world import World

PREFIX = "/_simulator/"


@dataclass(frozen=True, slots=True)
class ControlReply:
    """An answer of a control endpoint."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"


def control(
    world: World, method: str, path: str, query: Mapping[str, str], body: bytes
) -> ControlReply:
    """Answer one request below `/_simulator/`."""
    match method, path.removeprefix(PREFIX):
        case "GET", "truth":
            return _truth(world, query)
        case "GET", "requests":
            return _json(200, world.journal.as_json())
        case "POST", "scenario":
            return _scenario(world, body)
        case _, "truth" | "requests" | "scenario":
            return _json(405, {"error": "truth and requests are for GET, scenario for POST"})
    return _json(404, {"error": "no such control endpoint"})


def index_page(world: World) -> ControlReply:
    """Return the page that says what this is and where everything stands; no token."""
    lines = [
        "A simulator of the Wolkvox API. Everything it says is made up.",
        "",
        "Operations (header wolkvox-token needed):",
    ]
    for operation in world.operations:
        lines.append(f"  /{operation.name}/api/v2/   {operation.timezone.key}")
        lines += [f"    skill {skill.id}  {skill.name}" for skill in operation.skills]
    lines += [
        "",
        "    reports_manager.php?api=skill_11&skill_id=<id or all>"
        "&date_ini=YYYYmmddHHMMSS&date_end=YYYYmmddHHMMSS",
        "    information.php?api=skills",
        "    information.php?api=token_info",
        "",
        "Control:",
        f"  GET  {PREFIX}truth?operation=&skill_id=&date_ini=&date_end=",
        f'  POST {PREFIX}scenario   {{"scenario": "", "operation": "", "skill_id": ""}}',
        f"       scenarios: {', '.join(Scenario)}",
        f"  GET  {PREFIX}requests",
        "",
    ]
    return ControlReply(200, "\n".join(lines).encode(), "text/plain; charset=utf-8")


def _truth(world: World, query: Mapping[str, str]) -> ControlReply:
    operation, skill_id = query.get("operation", ""), query.get("skill_id", "all")
    try:
        zone = world.find(operation, skill_id).timezone
    except ValueError as exc:
        return _json(400, {"error": str(exc)})
    window = read_window(query.get("date_ini", ""), query.get("date_end", ""), zone)
    if window is None:
        return _json(400, {"error": "date_ini and date_end are YYYYmmddHHMMSS, in order"})
    start, end = (datetime.fromtimestamp(at, tz=UTC) for at in (window.start, window.end))
    return _json(200, world.truth(operation, skill_id, start, end))


def _scenario(world: World, body: bytes) -> ControlReply:
    names = ("scenario", "operation", "skill_id")
    try:
        order = json.loads(body)
        wanted = order if isinstance(order, dict) else {}
        scenario, operation, skill_id = (_text(wanted.get(name)) for name in names)
        world.set_scenario(scenario or "", operation, skill_id)
    except (ValueError, RecursionError) as exc:
        return _json(400, {"error": str(exc), "scenarios": list(Scenario)})
    return _json(200, dict(zip(names, (scenario, operation, skill_id), strict=True)))


def _text(value: object) -> str | None:
    # An id may come as a number; empty means not given.
    return str(value) if value not in (None, "") else None


def _json(status: int, body: object) -> ControlReply:
    return ControlReply(status, json.dumps(body, ensure_ascii=False).encode())
