"""The shapes of ASGI that the folder speaks: three types and one answer; no logic of routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
# Every answer: nothing here may be kept by a proxy, nor guessed at by a browser.
ALWAYS: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; Content-Length and the headers of every answer are added on sending."""

    status: int
    body: bytes
    headers: Headers = (PLAIN,)


def sentence(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """An answer for a person or a log: one line of text."""
    return Reply(status, f"{text}\n".encode(), (PLAIN, *headers))


def request_header(scope: Scope, name: bytes) -> str | None:
    """The value of a request header (lower-case name); several lines are one list."""
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values).decode("latin-1") if values else None


async def answer(send: Send, reply: Reply) -> None:
    """Send the reply; the server cuts a large body into pieces and waits for its reader."""
    length = (b"content-length", b"%d" % len(reply.body))
    headers = [*reply.headers, *ALWAYS, length]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
