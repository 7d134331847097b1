"""ASGI as the folder speaks it: requests, replies, and the form that a client asks for.

Negotiation is pure and total. No header, however odd, raises: what cannot be read counts as
not said, and a client that says nothing gets plain text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.messages import LANGUAGES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
# Every answer: nothing here may be kept by a proxy, nor guessed at by a browser.
ALWAYS: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; Content-Length and the headers of every answer are added on sending."""

    status: int
    body: bytes
    headers: Headers = (PLAIN,)


def sentence(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """An answer for a person or a log: one line of text."""
    return Reply(status, f"{text}\n".encode(), (PLAIN, *headers))


def request_header(scope: Scope, name: bytes) -> str:
    """The value of a request header (lower-case name), "" without it; several are one list."""
    return b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


async def answer(send: Send, reply: Reply) -> None:
    """Send the reply, a large body in pieces.

    So a slow reader holds the page that all share, and no copy of its own.
    """
    headers = [*reply.headers, *ALWAYS, (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = memoryview(reply.body)
    while len(body) > _PIECE_BYTES:
        piece, body = body[:_PIECE_BYTES], body[_PIECE_BYTES:]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": body})


# Negotiation -------------------------------------------------------------------------------

# The two forms of the exposition, by their Content-Type.
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Prometheus' own Accept header has about 300 characters. What is far longer is no
# negotiation, and reading it would be work that a stranger orders.
_LONGEST_HEADER: Final = 2048

# The OpenMetrics versions that the 1.0.0 form serves: Prometheus 2.5 to 2.33 asked for 0.0.1,
# and reads 1.0.0 with the same parser.
_OPENMETRICS_VERSIONS = frozenset({"", "0.0.1", "1.0.0"})
_TEXT_VERSIONS = frozenset({"", "0.0.4"})
ESCAPING: Final = re.compile(
    r';\s*escaping="?(allow-utf-8|underscores|dots|values)"?\s*(?=[;,]|$)', re.IGNORECASE
)
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_UNNAMED: Final = 0.0005  # liked less than anything named, but not forbidden


# Scrapers say the same each time; reading it anew would cost more than sending a small body.
@functools.lru_cache(maxsize=16)
def choose_format(accept: str | None) -> str:
    """The form that the Accept header prefers (RFC 9110, 12.5.1).

    OpenMetrics only where it is named, in a version that is served, with a weight not below
    that of plain text (at equal weights the one named first). Everything else is plain text:
    no header, wildcards, unknown versions and types. Never 406: a scrape that gets the
    older form is worth more than one that fails.
    """

    def form(name: str, version: str) -> str:
        if name == "application/openmetrics-text" and version in _OPENMETRICS_VERSIONS:
            return OPENMETRICS
        if name == "text/plain" and version in _TEXT_VERSIONS:
            return TEXT
        return "any" if name in ("text/*", "*/*") else ""

    weights = _weights(accept, form)
    candidates = [one for one in (*weights, TEXT) if one in (TEXT, OPENMETRICS)]
    weights[TEXT] = max(weights.get(TEXT, weights.get("any", 0.0)), _UNNAMED)
    return max(candidates, key=weights.__getitem__)


@functools.lru_cache(maxsize=16)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the answer is to be compressed with gzip (RFC 9110, 12.5.3).

    Gzip must be allowed (by name or by `*`, `q=0` forbids) and not be liked less than
    `identity`, which counts only where it is named.
    """
    weights = _weights(accept_encoding, lambda name, _: name.removeprefix("x-"))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0.0 and gzip >= weights.get("identity", 0.0)


@functools.lru_cache(maxsize=16)
def choose_language(accept_language: str | None) -> str:
    """The language that an Accept-Language header likes best (RFC 9110, 12.5.4).

    `es-CO` asks for Spanish; `q=0` forbids; at equal weights the one named first.
    """
    weights = _weights(accept_language, lambda name, _: name.partition("-")[0])
    unnamed = weights.get("*", _UNNAMED)
    candidates = (*(one for one in weights if one in LANGUAGES), *LANGUAGES)
    return max(candidates, key=lambda one: weights.get(one, unnamed))


def _weights(header: str | None, kind: Callable[[str, str], str]) -> dict[str, float]:
    """The best weight of each kind of item, by name and version, in the order they are named.

    An item with a broken weight is left out.
    """
    weights: dict[str, float] = {}
    whole = "" if header is None or len(header) > _LONGEST_HEADER else header
    for part in whole.split(","):
        name, *raw = part.split(";")
        pairs = (pair.partition("=") for pair in raw)
        params = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        weight = params.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            one = kind(name.strip().lower(), params.get("version", ""))
            weights[one] = max(weights.get(one, 0.0), float(weight))
    return weights
