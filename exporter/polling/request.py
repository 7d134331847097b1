"""The steps of one request: the token, its turn, the attempt on the disk, the call.

The poll loops and the tools take them one after the other: one request at a time per token,
in this process and beside others; the time of the attempt is on the disk before the request
leaves; a connection that was never made is taken back, since the server cannot have seen it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from exporter.config.tokens import TokenSource, TokenUnreadable, token_digest
from exporter.errors import Reason, StorageError, WolkvoxError
from exporter.logs import SECRETS
from exporter.polling.limits import Budget, HeldBack, Wait, Why
from exporter.runtime import Clock
from exporter.state.identity import Identity
from exporter.state.locks import TokenGate
from exporter.state.models import Attempt, QueryMemory, Refused, Stored
from exporter.state.storage import State
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import Window, local_day, next_day_start

SKILL_11, TOKEN_INFO, SKILLS = "skill_11", "token_info", "skills"  # the API's reports
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """The token of this moment; without a digest it cannot be read, and `error` says why."""

    text: str = ""
    digest: str = ""
    error: str = ""


NO_TOKEN = Token()


def read_token(source: TokenSource, known: Token = NO_TOKEN) -> Token:
    """Read the token, which no log line shows from now on; `known` is the one read before."""
    try:
        secret = source.read()
    except TokenUnreadable as error:
        return Token(error=str(error))
    text = secret.get_secret_value()
    if text == known.text:
        return known
    SECRETS.add(text)
    return Token(text, token_digest(secret))


@dataclass(slots=True)
class Request:
    """A request whose attempt is on the disk, and the window that it asks for.

    `started` is the monotonic second at which it left, as far as is known. `stored` is the
    state's view of the query, `before` the one before this attempt. `seconds` is how long the
    answer took, and `ended_at` the epoch second at which it was whole.
    """

    attempt: Attempt
    asked_at: datetime
    window: Window
    started: float
    before: Stored
    stored: Stored
    rotated: bool
    seconds: float = 0.0
    ended_at: float = 0.0


async def _skill_11(client: WolkvoxClient, token: str, request: Request) -> SkillReport:
    report = await client.skill_11(token, request.attempt.skill_id, request.window)
    if request.window.rows_seen and not report.channels:
        text = "no rows of a month that had some: the range may be refused"
        raise WolkvoxError(Reason.NOT_FOUND, text)
    return report


CALLS: Mapping[str, Callable[[WolkvoxClient, str, Request], Awaitable[object]]] = {
    SKILL_11: _skill_11,
    TOKEN_INFO: lambda client, token, _: client.token_info(token),
    SKILLS: lambda client, token, _: client.skills(token),
}
"""How each report is requested."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Sends the requests of one operation; decides nothing that `limits` decides."""

    identity: Identity
    client: WolkvoxClient
    state: State
    gate: TokenGate
    budget: Budget
    clock: Clock

    async def begin(
        self,
        skill_id: str,
        now: datetime,
        window: Window,
        token: Token,
        *,
        gap: float,
        known_at: float | None = None,
        memory: QueryMemory | None = None,
    ) -> Request:
        """Write the attempt of `now` and count it, right before the request leaves.

        `known_at` is the last attempt of the query that was judged already; `memory` is written
        with this one. No request may leave after HeldBack (the state says no) or StorageError.
        """
        attempt = Attempt(
            operation=self.identity.id,
            skill_id=skill_id,
            at=now.timestamp(),
            known_at=known_at,
            gap=gap,
            account=self.budget.account,
            day=local_day(now, self.budget.zone),
            ceiling=self.budget.ceiling,
            token=token.digest,
            closing=window.day if window.closing else None,
            memory=memory,
        )
        granted = await self.state.write(lambda storage: storage.begin_attempt(attempt))
        if granted.used is not None:
            self.budget.counted = granted.used, attempt.day
        if isinstance(granted, Refused):
            if granted.last_at is not None:
                raise HeldBack(Wait(granted.last_at + gap, Why.RECENT, granted.last_at))
            if granted.used is not None:
                tomorrow = next_day_start(now, self.budget.zone).timestamp()
                raise HeldBack(Wait(tomorrow, Why.BUDGET))
            until, why = attempt.at + gap, "the token is that of another operation"
            raise HeldBack(Wait(until, Why.TOKEN), why)
        started, before, after = self.clock.monotonic(), granted.before, granted.after
        return Request(attempt, now, window, started, before, after, granted.rotated)

    async def fetch(
        self,
        request: Request,
        token: Token,
        call: Callable[[WolkvoxClient, str, Request], Awaitable[T]],
    ) -> T:
        """Send the request and return what was read; raises WolkvoxError alone."""
        began = request.started
        try:
            answer = await call(self.client, token.text, request)
        except WolkvoxError as error:
            if not error.reached:
                attempt, before = request.attempt, request.before
                with suppress(StorageError):  # what cannot be undone stays counted
                    used = await self.state.write(lambda db: db.take_back(attempt, before))
                    self.budget.counted = used, attempt.day
                    request.stored = before
            raise
        finally:
            request.seconds = self.clock.monotonic() - began
            request.ended_at = self.clock.now().timestamp()
            # Connecting takes its time: what the server sees is when the request left.
            request.started = max(began, self.client.left_at or began)
        if request.rotated:
            row, accepted = self.identity.id, token.digest
            with suppress(StorageError):  # the next answer accepts it
                await self.state.write(lambda storage: storage.accept(row, accepted))
        return answer
