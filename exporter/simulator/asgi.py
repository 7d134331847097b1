"""The way in: from ASGI 3 to the API and the control endpoints, and their answers back.

What an answer says is decided in api and control; no state is kept here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from exporter.simulator.control import PREFIX, control, index_page
from exporter.simulator.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[None, None, None]]
Headers = Iterable[tuple[bytes, bytes]]

_BODY_LIMIT = 65_536
_ENDPOINTS = {"reports_manager.php", "information.php"}
# As in a saved answer of the real server, which does not state a length either.
_API_HEADERS = (
    (b"server", b"Apache"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"keep-alive", b"timeout=5, max=100"),
)
_PAGE_HEADERS = ((b"server", b"Apache"), (b"content-type", b"text/html; charset=iso-8859-1"))
_NOT_FOUND = (
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n'
    b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
)


def build_application(world: World) -> Application:
    """Return the ASGI 3 application of a world; it needs no lifespan but answers one.

    A plain function: uvicorn tells ASGI 3 from 2 by it, and takes a bound method for 2.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await _serve_http(world, scope, receive, send)

    return application


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _serve_http(world: World, scope: Scope, receive: Receive, send: Send) -> None:
    method, path = scope["method"], scope["path"]
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    if path == "/" or path.startswith(PREFIX):
        body = await _read_body(receive)
        reply = index_page(world) if path == "/" else control(world, method, path, query, body)
        kind = (b"content-type", reply.content_type.encode())
        await _respond(send, reply.status, [kind], reply.body)
        return
    operation, endpoint = _route(world, path)
    if operation is None:
        await _respond(send, 404, _PAGE_HEADERS, _NOT_FOUND)
    elif method != "GET":
        await _respond(send, 405, [*_PAGE_HEADERS, (b"allow", b"GET")], b"")
    else:
        await _serve_api(world, operation, endpoint, query, scope, send)


async def _serve_api(
    world: World,
    operation: str,
    endpoint: str,
    query: Mapping[str, str],
    scope: Scope,
    send: Send,
) -> None:
    token = next(
        (
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"wolkvox-token"
        ),
        None,
    )
    index = world.token_index(token)
    # In flight until the answer has left, whether or not anybody still waits for it.
    with world.journal.request(operation, scope["path"], query, index) as record:
        reply = await world.apis[operation].handle(endpoint, query, token)
        record.status = reply.status
        await _respond(send, reply.status, _API_HEADERS, reply.body)


def _route(world: World, path: str) -> tuple[str | None, str]:
    """Return the operation and the endpoint of a path; no operation where nothing is."""
    parts = path.lstrip("/").split("/")
    if parts[0] == "api" and len(world.operations) == 1:
        parts = [world.operations[0].name, *parts]
    match parts:
        case [name, "api", "v2", endpoint] if name in world.apis and endpoint in _ENDPOINTS:
            return name, endpoint
    return None, ""


async def _read_body(receive: Receive) -> bytes:
    """Return the body up to the limit; what is cut off is no JSON and refused as such."""
    body, more = b"", True
    while more and len(body) < _BODY_LIMIT:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body[:_BODY_LIMIT]


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
