"""Who may read it: basic authentication against bcrypt hashes, off the event loop.

It judges one Authorization header. Where the hashes come from, and what is answered to
somebody unknown, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from enum import Enum, auto
from functools import partial

import bcrypt

from exporter.mainloop import thread_pool

BCRYPT_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

_REMEMBERED = 100
# Checks waiting for the one thread. More of them is guessing, not scraping.
_QUEUE = 32
# bcrypt reads no further; the hashes of htpasswd and Go's were made the same way.
_BCRYPT_BYTES = 72


class Verdict(Enum):
    """What is known of whoever asks."""

    WELCOME = auto()
    UNKNOWN = auto()
    BUSY = auto()
    """Too many others are being checked; nothing was decided."""


class Memory:
    """The last verdicts, by a digest: no password stays in memory.

    Good and bad ones do not push each other out, so that a guesser cannot make the
    scraper's password be computed again and again.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._verdicts: dict[bool, OrderedDict[bytes, None]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }

    def key(self, *parts: bytes) -> bytes:
        """The digest under which a verdict on these bytes is kept."""
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in parts:
            digest.update(b"%d:" % len(part) + part)
        return digest.digest()

    def recall(self, key: bytes) -> bool | None:
        """The verdict, or None where there is none (any more)."""
        for verdict, kept in self._verdicts.items():
            if key in kept:
                kept.move_to_end(key)
                return verdict
        return None

    def keep(self, key: bytes, verdict: bool) -> None:
        """Remember it; the one not asked for longest is forgotten."""
        kept = self._verdicts[verdict]
        kept[key] = None
        if len(kept) > _REMEMBERED:
            kept.popitem(last=False)


class BasicAuth:
    """Checks passwords one at a time in a thread; remembers the last verdicts."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._thread = thread_pool("password", 1)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def judge(self, users: Mapping[bytes, bytes], authorization: str | None) -> Verdict:
        """Whether the header names one of the users (name -> bcrypt hash) and his password."""
        credentials = read_basic(authorization)
        if credentials is None:
            return Verdict.UNKNOWN
        user, password = credentials
        known = user in users
        # Somebody unknown is checked against a hash too: the time tells no names.
        hashed = users[user] if known else _usual_hash(users)
        key = self._memory.key(b"user" if known else b"nobody", user, hashed, password)
        verdict = self._memory.recall(key)
        if verdict is None:
            if self._waiting >= _QUEUE:
                return Verdict.BUSY
            verdict = await self._check(key, known, password, hashed)
        return Verdict.WELCOME if verdict else Verdict.UNKNOWN

    async def _check(self, key: bytes, known: bool, password: bytes, hashed: bytes) -> bool:
        self._waiting += 1
        try:
            async with self._turn:
                verdict = self._memory.recall(key)  # somebody before in the queue said the same
                if verdict is None:
                    verdict = await self._same(password, hashed) and known
                    self._memory.keep(key, verdict)
        finally:
            self._waiting -= 1
        return verdict

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
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def _usual_hash(users: Mapping[bytes, bytes]) -> bytes:
    """A hash of the cost that most users have; whether it fits is not looked at."""
    cost = Counter(hashed[4:6] for hashed in users.values()).most_common(1)[0][0]
    return next(hashed for hashed in users.values() if hashed[4:6] == cost)
