"""Who may read it: the web configuration in force, and its door in front of the application.

It follows the files: a change counts from the next request or connection on, a change for
the worse is told once and leaves the old configuration in force.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from exporter.errors import ConfigError
from exporter.logs import say
from exporter.web.access import load_web_config
from exporter.web.asgi import (
    ASGIApp,
    Headers,
    Message,
    Receive,
    Reply,
    Scope,
    Send,
    answer,
    request_header,
    sentence,
)
from exporter.web.settings import RateLimit, WebConfig, stamp
from exporter.web.tls import TlsPolicy
from exporter.web.users import BasicAuth, Verdict

log = logging.getLogger(__name__)

# A look at the files' times costs some microseconds; one a second is soon enough.
_LOOK_SECONDS = 1.0
_CHALLENGE = (b"www-authenticate", b'Basic realm="wolkvox-exporter", charset="UTF-8"')
_LOGIN = sentence(401, "A user and a password are asked for here.", _CHALLENGE)
_RATE = sentence(429, "Too many requests: see rate_limit in the web configuration.")
_BUSY = sentence(429, "Too many passwords are being checked.", (b"retry-after", b"1"))


class LiveConfig:
    """The file of `--web.config.file`, read again when it or a file it names changes.

    ConfigError at the start where it cannot be used. `monotonic` are seconds.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._config = load_web_config(path)
        self._looked = monotonic()
        self._told = ""
        self._warn(self._config)

    def load(self) -> WebConfig:
        """Read the file without putting it in force; ConfigError where it cannot be used."""
        return load_web_config(self._path)

    def use(self, config: WebConfig) -> None:
        """Put it in force, from the next request and the next connection on."""
        self._config = config
        self._told = ""
        self._warn(config)

    def current(self) -> WebConfig:
        """The configuration in force, after a look at the files, at most one a second."""
        now = self._monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._follow()
        return self._config

    def tls(self) -> TlsPolicy | None:
        """How the next connection shakes hands."""
        return self.current().tls

    def _follow(self) -> None:
        files = self._config.files
        if not self._told and all(stamp(path) == known for path, known in files.items()):
            return
        try:
            config = self.load()
        except ConfigError as exc:
            # Tried again at each look: the missing piece may be a file that is not known yet.
            self._complain("; ".join(map(str, exc.problems)))
            return
        if lost := self._config.protections - config.protections:
            # Perhaps the file is just being written, and has only its first lines yet.
            self._complain(f"{', '.join(sorted(lost))} is gone: reload if that is meant")
            return
        self.use(config)
        say(log, logging.INFO, "web configuration reloaded", file=self._path)

    def _complain(self, reason: str) -> None:
        """Once for each reason: the files are looked at every second."""
        if reason != self._told:
            message = "web configuration not reloaded, the old one stays in force"
            say(log, logging.ERROR, message, file=self._path, reason=reason)
        self._told = reason

    def _warn(self, config: WebConfig) -> None:
        for warning in config.warnings:
            say(log, logging.WARNING, warning, file=self._path)


def guard(app: ASGIApp, live: LiveConfig, monotonic: Callable[[], float]) -> ASGIApp:
    """The application behind the configuration's headers, rate limit and users."""
    auth = BasicAuth()
    bucket = TokenBucket(monotonic)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        config = live.current()
        if config.headers:
            send = _with_headers(send, config.headers)
        refusal: Reply | None = None
        if not bucket.take(config.rate_limit):
            refusal = _RATE
        elif config.users:
            header = request_header(scope, b"authorization")
            refusal = _REFUSALS.get(await auth.judge(config.users, header))
        if refusal is None:
            await app(scope, receive, send)
        else:
            await answer(send, refusal)

    return guarded


_REFUSALS = {Verdict.UNKNOWN: _LOGIN, Verdict.BUSY: _BUSY}


class TokenBucket:
    """One request each interval, saved up to a burst; a changed limit starts full."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._limit: RateLimit | None = None
        self._tokens = 0.0
        self._filled = 0.0

    def take(self, limit: RateLimit | None) -> bool:
        """Whether one more request is within the limit; None is no limit."""
        now = self._monotonic()
        if limit != self._limit:
            self._limit = limit
            self._tokens = 0.0 if limit is None else float(limit.burst)
            self._filled = now
        if limit is None:
            return True
        earned = (now - self._filled) / limit.interval
        self._tokens = min(self._tokens + earned, float(limit.burst))
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def _with_headers(send: Send, headers: Headers) -> Send:
    names = frozenset(name for name, _ in headers)

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] not in names]
            message["headers"] = [*kept, *headers]
        await send(message)

    return sending
