"""Access control: users and passwords, rate limit and headers, in front of the application.

It follows the web configuration file: a change counts from the next request or connection on,
one that cannot be used is logged once and leaves the old configuration in force.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import bcrypt

from exporter.errors import ConfigError
from exporter.logs import say
from exporter.runtime import thread_pool
from exporter.web import asgi
from exporter.web.access_config import RateLimit, WebConfig, load_web_config, stamp
from exporter.web.tls import TlsPolicy

log = logging.getLogger(__name__)

# A look at the files' times costs some microseconds; one a second is soon enough.
_LOOK_SECONDS = 1.0
_CHALLENGE = (b"www-authenticate", b'Basic realm="wolkvox-exporter", charset="UTF-8"')
_LOGIN = asgi.sentence(401, "A user and a password are asked for here.", _CHALLENGE)
_RATE = asgi.sentence(429, "Too many requests: see rate_limit in the web configuration.")
_BUSY = asgi.sentence(429, "Too many passwords are being checked.", (b"retry-after", b"1"))
_REMEMBERED = 100  # verdicts of each kind
# Checks waiting for the one thread. More of them is guessing, not scraping.
_QUEUE = 32
# bcrypt reads no further; the hashes of htpasswd and Go's were made the same way.
_BCRYPT_BYTES = 72


class LiveConfig:
    """The file of `--web.config.file`, read again when it or a file it names changes.

    ConfigError at the start where it cannot be used. `monotonic` are seconds.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._looked = monotonic()
        self.use(self.load())

    def load(self) -> WebConfig:
        """Read the file without putting it in force; ConfigError where it cannot be used."""
        return load_web_config(self._path)

    def use(self, config: WebConfig) -> None:
        """Put it in force, from the next request and the next connection on."""
        self._config = config
        self._told = ""
        for warning in config.warnings:
            log.warning("%s", warning)

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

    def guard(self, app: asgi.ASGIApp) -> asgi.ASGIApp:
        """The application behind the configuration's headers, rate limit and users."""
        auth, bucket = BasicAuth(), TokenBucket(self._monotonic)

        async def guarded(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            config = self.current()
            if config.headers:
                send = _with_headers(send, config.headers)
            if not bucket.take(config.rate_limit):
                await asgi.answer(send, _RATE)
                return
            header = asgi.request_header(scope, b"authorization")
            known = not config.users or await auth.judge(config.users, header)
            if known:
                await app(scope, receive, send)
            else:
                await asgi.answer(send, _BUSY if known is None else _LOGIN)

        return guarded

    def _follow(self) -> None:
        files = self._config.files
        if not self._told and all(stamp(path) == known for path, known in files.items()):
            return
        try:
            config = self.load()
            # Perhaps the file is just being written, and has only its first lines yet.
            reason = ""
            if self._config.users and not config.users:
                reason = "basic_auth_users is gone: reload if that is meant"
            if self._config.tls and not config.tls:
                reason = "tls_server_config is gone: reload if that is meant"
        except ConfigError as exc:
            # Tried again at each look: the missing piece may be a file that is not known yet.
            reason = "; ".join(map(str, exc.problems))
        if not reason:
            self.use(config)
            say(log, logging.INFO, "web configuration reloaded", file=self._path)
        elif reason != self._told:  # once for each reason
            message = "web configuration not reloaded, the old one stays in force"
            say(log, logging.ERROR, message, file=self._path, reason=reason)
        self._told = reason


class TokenBucket:
    """One request each interval, saved up to a burst; a changed limit starts full."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._limit: RateLimit | None = None
        self._full_at = 0.0  # when the whole burst is there again

    def take(self, limit: RateLimit | None) -> bool:
        """Whether one more request is within the limit; None is no limit."""
        if limit != self._limit:
            self._limit, self._full_at = limit, 0.0
        if limit is None:
            return True
        now = self._monotonic()
        full_at = max(self._full_at, now)
        if full_at - now > limit.interval * (limit.burst - 1):
            return False
        self._full_at = full_at + limit.interval
        return True


def _with_headers(send: asgi.Send, headers: asgi.Headers) -> asgi.Send:
    names = frozenset(name for name, _ in headers)

    async def sending(message: asgi.Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] not in names]
            message["headers"] = [*kept, *headers]
        await send(message)

    return sending


class BasicAuth:
    """Checks passwords, one at a time in a thread of its own, and remembers the last verdicts.

    They are kept by a digest: no password stays in memory. Good and bad ones do not push each
    other out, so that a guesser cannot make the scraper's password be computed again and again.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._verdicts = {good: OrderedDict[bytes, None]() for good in (True, False)}
        self._thread = thread_pool("password", 1)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def judge(self, users: Mapping[bytes, bytes], header: str | None) -> bool | None:
        """Whether the header names a user (name -> bcrypt hash) and his password.

        None where too many others are being checked: nothing was decided.
        """
        credentials = read_basic(header)
        if credentials is None:
            return False
        user, password = credentials
        known = user in users
        # A stranger is checked too, at the usual cost: the time does not tell the names.
        costs = Counter(one[4:6] for one in users.values())
        hashed = users[user] if known else max(users.values(), key=lambda one: costs[one[4:6]])
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in (b"user" if known else b"nobody", user, hashed, password):
            digest.update(b"%d:" % len(part) + part)
        key = digest.digest()
        verdict = self._recall(key)
        if verdict is not None or self._waiting >= _QUEUE:
            return verdict
        self._waiting += 1
        try:
            async with self._turn:
                verdict = self._recall(key)  # one before in the queue may have said the same
                if verdict is None:
                    verdict = await self._same(password, hashed) and known
                    kept = self._verdicts[verdict]
                    kept[key] = None
                    if len(kept) > _REMEMBERED:  # the one not asked for longest is forgotten
                        kept.popitem(last=False)
        finally:
            self._waiting -= 1
        return verdict

    def _recall(self, key: bytes) -> bool | None:
        for verdict, kept in self._verdicts.items():
            if key in kept:
                kept.move_to_end(key)
                return verdict
        return None

    async def _same(self, password: bytes, hashed: bytes) -> bool:
        check = partial(bcrypt.checkpw, password[:_BCRYPT_BYTES], hashed)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, check)
        except RuntimeError:  # no thread can be started: rather late than never
            self._thread = thread_pool("password", 1)  # the old one would check it once more
            return check()


def read_basic(authorization: str | None) -> tuple[bytes, bytes] | None:
    """User and password of a Basic header (RFC 7617), None for anything else."""
    scheme, _, encoded = (authorization or "").strip().partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return (user, password) if colon and scheme.lower() == "basic" else None
