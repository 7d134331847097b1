"""Replies as the vendor's server writes them, and the windows that it reads. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from exporter.simulator.centre import Figures

JSON = (b"content-type", b"application/json; charset=utf-8")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
_HTML = (b"content-type", b"text/html; charset=iso-8859-1")
_SERVER = (b"server", b"Apache")
# As in a saved reply of the real server, which states no length either.
_API = (_SERVER, JSON, (b"cache-control", b"no-store"), (b"keep-alive", b"timeout=5, max=100"))


class Reply(NamedTuple):
    """A whole reply: the HTTP status, the body and the headers."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def control(status: int, body: object) -> Reply:
    """Return a reply of the control endpoints, which the real server does not have."""
    return Reply(status, json.dumps(body, ensure_ascii=False).encode(), (JSON,))


def found(rows: list[dict[str, str]]) -> Reply:
    """Return a success; the number in `msg` is for people."""
    message = f"{len(rows)} records were found"
    return _api_reply(200, {"code": 200, "error": None, "msg": message, "data": rows})


def _api_reply(status: int, body: object) -> Reply:
    return control(status, body)._replace(headers=_API)


def _failed(status: int, error: str, message: str) -> Reply:
    # The code is a string here and a number above, as in the real replies.
    return _api_reply(status, {"code": str(status), "error": error, "msg": message})


NO_ROWS = _failed(404, "NOT FOUND", "Validate dates entered")
UNKNOWN_API = _failed(400, "BAD REQUEST", "THE API YOU WANT TO CONSULT DOES NOT EXIST")
MISSING_PARAMETERS = _failed(400, "BAD REQUEST", "SOME PARAMETERS ARE REQUIRED")
MISSING_TOKEN = _failed(401, "UNAUTHORIZED", "PLEASE ENTER THE WOLKVOX-TOKEN")
WRONG_TOKEN = _failed(403, "FORBIDDEN", "PLEASE VALIDATE TOKEN")
QUOTA = _failed(403, "FORBIDDEN", "TOKEN LIMIT EXCEEDED")
CONCURRENCY = _failed(
    403, "FORBIDDEN", "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"
)
# The real server refuses these as well; its words are not known, so these are made up.
TOO_LONG = _failed(400, "BAD REQUEST", "THE RANGE CAN NOT BE GREATER THAN 31 DAYS")
MAINTENANCE = _failed(403, "FORBIDDEN", "API DISABLED DURING SERVER MAINTENANCE")
# The web server's own pages.
WRONG_METHOD = Reply(405, b"", (_SERVER, _HTML, (b"allow", b"GET")))
NO_PAGE = Reply(
    404,
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n'
    b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n",
    (_SERVER, _HTML),
)


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


def read_window(query: Mapping[str, str], zone: ZoneInfo) -> tuple[datetime, datetime] | None:
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
