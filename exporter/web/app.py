"""Who may read it: the routes, as one bare ASGI application.

It decides which page a request gets and with which headers. It renders nothing (`Pages` hands
over ready bytes), holds no socket and knows neither TLS nor users.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from exporter.web.asgi import (
    Headers,
    Receive,
    Reply,
    Scope,
    Send,
    answer,
    request_header,
    sentence,
)
from exporter.web.negotiation import Format, accepts_gzip, choose_format
from exporter.web.status_page import style_source

# The status page is one file: its own style sheet, known by its hash, no script, nothing
# from elsewhere.
_HTML_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src {style_source()}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'".encode(),
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"deny"),
    (b"vary", b"Accept-Language"),
)
_LANGUAGE = re.compile(rb"(?:^|&)lang=([a-zA-Z]{2,8})(?:&|$)")
_SLASHES = re.compile("//+")
_READ = ("GET", "HEAD")
_LIFECYCLE_OFF = (
    "Lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP."
)


class Pages(Protocol):
    """What there is to read; called on the event loop, so that nothing here may block."""

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        """The whole exposition, in OpenMetrics or as text, compressed if `gzip`."""
        ...

    def healthy(self) -> bool:
        """Whether the poll loops live; never asks Wolkvox."""
        ...

    def ready(self) -> bool:
        """Whether each query has an ended attempt or a restored result."""
        ...

    def landing(self, accept_language: str | None) -> bytes:
        """The status page as HTML."""
        ...

    async def reload(self) -> str | None:
        """Read the configuration again: None, or why the old one stays in force."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A further page, such as the redacted configuration."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Route:
    methods: tuple[str, ...]
    reply: Callable[[Scope], Awaitable[Reply]]


def create_app(
    pages: Pages,
    *,
    telemetry_path: str = "/metrics",
    lifecycle: bool = False,
    max_requests: int = 40,
    documents: Mapping[str, Callable[[], Document]] = MappingProxyType({}),
) -> App:
    """The application; ValueError with a sentence for a telemetry path that cannot be.

    `max_requests` caps the pages being made at once (0: no cap), `documents` are
    further pages by path.
    """
    check_telemetry_path(telemetry_path, documents)
    return App(pages, telemetry_path, lifecycle, max_requests, documents)


class App:
    """The ASGI callable; use `create_app`."""

    def __init__(
        self,
        pages: Pages,
        telemetry_path: str,
        lifecycle: bool,
        max_requests: int,
        documents: Mapping[str, Callable[[], Document]],
    ) -> None:
        self._pages = pages
        self._telemetry_path = telemetry_path
        self._lifecycle = lifecycle
        self._max_requests = max_requests
        self._under_way = 0
        self._routes = {
            "/": _Route(_READ, self._landing),
            "/-/healthy": _Route(_READ, self._healthy),
            "/-/ready": _Route(_READ, self._ready),
            "/-/reload": _Route(("POST",), self._reload),
        } | {path: _Route(_READ, _document(make)) for path, make in documents.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a request body is never read."""
        if "//" in scope["path"]:
            scope["path"] = _SLASHES.sub("/", scope["path"])
        if scope["path"].startswith("/-/"):  # short answers: health is told whatever goes on
            reply = await self._route(scope)
        elif self._max_requests and self._under_way >= self._max_requests:
            text = f"{self._max_requests} requests are under way: see --web.max-requests."
            reply = sentence(503, text, (b"retry-after", b"1"))
        else:
            reply = await self._counted(scope)
        await answer(send, reply)

    async def _counted(self, scope: Scope) -> Reply:
        """Count it until its page is made: how fast the client reads is not its neighbours'."""
        self._under_way += 1
        try:
            await asyncio.sleep(0)  # noqa: TID251 - no time: all that came at once are counted
            if scope["path"] == self._telemetry_path and scope["method"] in _READ:
                return self._scrape(scope)
            return await self._route(scope)
        finally:
            self._under_way -= 1

    def _scrape(self, scope: Scope) -> Reply:
        fmt = choose_format(request_header(scope, b"accept"))
        gzip = accepts_gzip(request_header(scope, b"accept-encoding"))
        body = self._pages.metrics(fmt is Format.OPENMETRICS, gzip)
        return Reply(200, body, _METRICS_HEADERS[fmt, gzip])

    async def _route(self, scope: Scope) -> Reply:
        path = scope["path"]
        telemetry = path == self._telemetry_path
        route = None if telemetry else self._routes.get(path)
        if route is None and not telemetry:
            return sentence(404, "There is no such page.")
        methods = _READ if route is None else route.methods
        if route is None or scope["method"] not in methods:
            allow = ", ".join(methods)
            return sentence(405, f"Only {allow} here.", (b"allow", allow.encode()))
        return await route.reply(scope)

    async def _landing(self, scope: Scope) -> Reply:
        language = _language_asked(scope) or request_header(scope, b"accept-language")
        return Reply(200, self._pages.landing(language), _HTML_HEADERS)

    async def _healthy(self, scope: Scope) -> Reply:
        if self._pages.healthy():
            return sentence(200, "Healthy: the poll loops live.")
        return sentence(503, "Not healthy: a poll loop does not move.")

    async def _ready(self, scope: Scope) -> Reply:
        if self._pages.ready():
            return sentence(200, "Ready.")
        return sentence(503, "Not ready: a query still waits for the end of its first poll.")

    async def _reload(self, scope: Scope) -> Reply:
        if not self._lifecycle:
            return sentence(403, _LIFECYCLE_OFF)
        reason = await self._pages.reload()
        if reason is None:
            return sentence(200, "Reloaded.")
        return sentence(500, f"Not reloaded, the old configuration stays in force: {reason}")


def _language_asked(scope: Scope) -> str | None:
    """The language of `?lang=es`, which goes before what the browser prefers."""
    found = _LANGUAGE.search(scope.get("query_string", b""))
    return found[1].decode() if found else None


def _document(make: Callable[[], Document]) -> Callable[[Scope], Awaitable[Reply]]:
    async def reply(scope: Scope) -> Reply:
        document = make()
        return Reply(200, document.body, ((b"content-type", document.content_type.encode()),))

    return reply


def _metrics_headers(fmt: Format, gzip: bool) -> Headers:
    headers: Headers = (
        (b"content-type", fmt.content_type.encode()),
        (b"vary", b"Accept, Accept-Encoding"),
    )
    return (*headers, (b"content-encoding", b"gzip")) if gzip else headers


_METRICS_HEADERS = {
    (fmt, gzip): _metrics_headers(fmt, gzip) for fmt in Format for gzip in (False, True)
}


def check_telemetry_path(path: str, documents: Mapping[str, object]) -> None:
    """ValueError with a sentence for a telemetry path that cannot be.

    Requests are compared by their decoded path: what could never match is an error."""
    if not path.startswith("/"):
        raise ValueError(f"the telemetry path {path!r} must begin with /")
    if not path.isascii() or not path.isprintable() or set(path) & set(" %?#\\"):
        raise ValueError(
            f"the telemetry path {path!r} may hold only ASCII, no spaces and none of % ? # \\"
        )
    if "//" in path:
        raise ValueError(f"the telemetry path {path!r} may hold no // (it is read as one /)")
    if path.startswith("/-/") or path in documents:
        raise ValueError(f"the telemetry path {path!r} is taken by another page")
