"""Routes: the pages of the exporter as one ASGI application, each with its headers.

It holds no socket and knows neither TLS nor users.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

from exporter.config import Configuration
from exporter.config.model import redacted
from exporter.errors import ConfigError
from exporter.logs import SECRETS
from exporter.web import asgi
from exporter.web.asgi import Headers, Receive, Reply, Scope, Send, answer, sentence
from exporter.web.status_page import style_source

_ASKED = re.compile(r"(?:^|&)(lang|operation)=([\w.-]{1,128})(?=&|$)", re.ASCII)
_SLASHES = re.compile("//+")
_READ = ("GET", "HEAD")
_DOCUMENTS = ("/config", "/docs")


@dataclass
class App:
    """The ASGI callable.

    `metrics` renders the exposition, in OpenMetrics or as text, compressed or not; `status` the
    status page for an Accept-Language header, a language and an operation that the address
    names; `configuration` is the one in force; `healthy`: the poll loops live; `ready`: each
    query has an ended attempt, a restored result or a reason to wait; `reload` reads the
    configuration again and returns None, or why the old one stays. `max_requests` caps the
    pages being made at once (0: no cap).
    """

    metrics: Callable[[bool, bool], bytes]
    status: Callable[[str | None, str, str], bytes]
    configuration: Callable[[], Configuration]
    healthy: Callable[[], bool]
    ready: Callable[[], bool]
    reload: Callable[[], Awaitable[str | None]]
    telemetry_path: str = "/metrics"
    lifecycle: bool = False
    max_requests: int = 40
    _under_way: int = 0
    _shown: tuple[Configuration, bytes] | None = None

    def __post_init__(self) -> None:
        self._routes = {
            "/": (_READ, self._status),
            "/config": (_READ, self._config),
            "/docs": (_READ, self._docs),
            "/-/healthy": (_READ, self._healthy),
            "/-/ready": (_READ, self._ready),
            "/-/reload": (("POST",), self._reload),
            self.telemetry_path: (_READ, self._metrics),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a request body is never read.

        A request counts until its page is made: how fast a client reads is not its
        neighbours'. Those under `/-/` are short and count nothing: health is told always.
        """
        scope["path"] = _SLASHES.sub("/", scope["path"])
        counts = not scope["path"].startswith("/-/")
        if counts and 0 < self.max_requests <= self._under_way:
            text = f"{self.max_requests} requests are under way: see --web.max-requests."
            await answer(send, sentence(503, text, (b"retry-after", b"1")))
            return
        self._under_way += counts
        try:
            if counts:  # takes no time: all that came at once are counted
                await asyncio.sleep(0)  # noqa: TID251 - see above
            reply = await self._route(scope)
        finally:
            self._under_way -= counts
        await answer(send, reply)

    async def _route(self, scope: Scope) -> Reply:
        if scope["path"] not in self._routes:
            return sentence(404, "There is no such page.")
        methods, handler = self._routes[scope["path"]]
        if scope["method"] not in methods:
            allow = ", ".join(methods)
            return sentence(405, f"Only {allow} here.", (b"allow", allow.encode()))
        return await handler(scope)

    async def _metrics(self, scope: Scope) -> Reply:
        accept = asgi.request_header(scope, b"accept")
        content_type = asgi.choose_format(accept)
        # Prometheus 3 says how it wants names written; ours are the same in every way.
        escaping = asgi.ESCAPING.search(accept)
        gzip = asgi.accepts_gzip(asgi.request_header(scope, b"accept-encoding"))
        body = self.metrics(content_type == asgi.OPENMETRICS, gzip)
        content_type += f"; escaping={escaping[1].lower()}" if escaping else ""
        vary = (b"vary", b"Accept, Accept-Encoding")
        headers: Headers = ((b"content-type", content_type.encode()), vary)
        return Reply(200, body, (*headers, (b"content-encoding", b"gzip")) if gzip else headers)

    async def _status(self, scope: Scope) -> Reply:
        # ?lang=es goes before what the browser prefers.
        asked = dict(_ASKED.findall(scope.get("query_string", b"").decode("latin-1")))
        accepted = asgi.request_header(scope, b"accept-language")
        page = self.status(accepted, asked.get("lang", ""), asked.get("operation", ""))
        return Reply(200, page, _html_headers())

    async def _config(self, scope: Scope) -> Reply:
        """The configuration in force without its secrets; made once for each reload."""
        configuration = self.configuration()
        if self._shown is None or self._shown[0] is not configuration:
            text = SECRETS.scrub(redacted(configuration))
            self._shown = (configuration, text.encode("utf-8", "replace"))
        return Reply(200, self._shown[1])

    async def _docs(self, scope: Scope) -> Reply:
        """What this version exposes and what can be configured, as Markdown."""
        # Seldom asked for: nothing of it is loaded before.
        from exporter.config.reference import tables  # noqa: PLC0415
        from exporter.metrics.reference import reference  # noqa: PLC0415

        return Reply(200, f"{reference()}\n# Configuration\n\n{tables()}".encode())

    async def _healthy(self, scope: Scope) -> Reply:
        if self.healthy():
            return sentence(200, "Healthy: the poll loops are alive.")
        return sentence(503, "Not healthy: a poll loop does not move.")

    async def _ready(self, scope: Scope) -> Reply:
        if self.ready():
            return sentence(200, "Ready.")
        return sentence(503, "Not ready: a query still waits for the end of its first poll.")

    async def _reload(self, scope: Scope) -> Reply:
        if not self.lifecycle:
            text = "start with --web.enable-lifecycle, or send SIGHUP."
            return sentence(403, f"Lifecycle API is not enabled: {text}")
        reason = await self.reload()
        if reason is None:
            return sentence(200, "Reloaded.")
        return sentence(500, f"Not reloaded, the old configuration stays in force: {reason}")


@cache
def _html_headers() -> Headers:
    """The status page is one file: its own style sheet, no script, nothing from elsewhere."""
    policy = (
        f"default-src 'none'; style-src {style_source()}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"deny"),
        (b"vary", b"Accept-Language"),
    )


def check_telemetry_path(path: str) -> None:
    """Raise ConfigError for a telemetry path that cannot be.

    Requests are compared by their decoded path: what could never match is an error.
    """
    reason = ""
    if not path.startswith("/"):
        reason = "must begin with /"
    elif not path.isascii() or not path.isprintable() or set(path) & set(" %?#\\"):
        reason = "may hold only ASCII, no spaces and none of % ? # \\"
    elif "//" in path:
        reason = "may hold no // (it is read as one /)"
    elif path.startswith("/-/") or path in _DOCUMENTS:
        reason = "is taken by another page"
    if reason:
        raise ConfigError.at("--web.telemetry-path", f"the telemetry path {path!r} {reason}")
