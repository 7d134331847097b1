"""Sends requests to the Wolkvox API; decides neither when to ask nor what an answer means.

One client per operation and one request at a time: the caller takes turns. Every way in
which a request can fail leaves here as a WolkvoxError with one reason, free of the token.
The question behind it: can the server have seen (and counted) the request? Only what fails
before the request's own headers begin to leave is certain not to have arrived.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode

import h11
import httpx

from exporter.errors import Reason, WolkvoxError
from exporter.wolkvox import report, transport
from exporter.wolkvox.answer import Rows, read_answer
from exporter.wolkvox.report import Skill, SkillReport, TokenInfo
from exporter.wolkvox.text import one_line, scrub, scrub_body, scrub_names
from exporter.wolkvox.windows import Window

_MAX_DETAIL = 400
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_REASONS: Final[Mapping[type[BaseException], Reason]] = {
    kind: reason
    for reason, *kinds in (
        (Reason.CONNECT, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
        (Reason.CONNECT, httpx.ProxyError, httpx.UnsupportedProtocol),
        (Reason.TIMEOUT, httpx.TimeoutException, TimeoutError),
        # What only a wrong use of httpx can raise.
        (Reason.INTERNAL, httpx.LocalProtocolError, httpx.InvalidURL, httpx.StreamError),
        # The rest of httpx, then what is known to leak through it from below: resets and TLS
        # alerts (OSError), names that IDNA refuses (ValueError), h11's own view of the
        # protocol, what several attempts at connecting raise together (ExceptionGroup).
        (Reason.INTERRUPTED, httpx.HTTPError, OSError, ValueError),
        (Reason.INTERRUPTED, h11.ProtocolError, ExceptionGroup),
    )
    for kind in kinds
}
"""The nearest class in an exception's ancestry decides."""
_FAILURES: Final[tuple[type[BaseException], ...]] = (WolkvoxError, *_REASONS)
Witness = Callable[[int, str | None, bytes], None]


class WolkvoxClient:
    """The three reports of one operation, as an async context manager.

    `connect` makes a transport with one connection. `timeout` is the deadline of a whole
    request in seconds. `witness`, where there is one, is shown every answer before it is read,
    free of the token. `left_at`: monotonic second at which the last request left, if it did.
    """

    def __init__(
        self,
        base_url: str,
        connect: Callable[[], httpx.AsyncBaseTransport],
        *,
        timeout: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.witness: Witness | None = None
        self.left_at: float | None = None
        self._base_url, self._timeout, self._monotonic = base_url, timeout, monotonic
        self._connect, self._http = connect, connect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def skill_11(self, token: str, skill_id: str, window: Window) -> SkillReport:
        """Interactions by channel within the window; no channels where there was no row."""
        asked = {"skill_id": skill_id, "date_ini": window.start, "date_end": window.end}
        params = {"api": "skill_11", **asked}
        return report.read_report(await self._ask(token, "reports_manager.php", params), token)

    async def token_info(self, token: str) -> TokenInfo:
        """The day's requests as Wolkvox counts them; this one counts as well."""
        rows = await self._ask(token, "information.php", {"api": "token_info"})
        return report.read_token_info(rows, token)

    async def skills(self, token: str) -> tuple[Skill, ...]:
        """The operation's skills."""
        return report.read_skills(await self._ask(token, "information.php", {"api": "skills"}))

    async def _ask(self, token: str, path: str, params: Mapping[str, str]) -> Rows:
        """The rows of one answer; raises WolkvoxError, which holds no foreign exception."""
        self.left_at = None
        if not _HEADER_VALUE.fullmatch(token):
            text = "the token is empty or holds characters that no header may: nothing was sent"
            raise WolkvoxError(Reason.UNAUTHORIZED, text, reached=False)
        try:
            status, content_type, body = await self._request(token, path, params)
            body = scrub_body(body, token)
            if self.witness is not None:
                self.witness(status, content_type, body)
            rows = read_answer(status, content_type, body)
            scrub_names(rows, token)
            return rows
        except WolkvoxError as error:
            reason, detail = error.reason, one_line(scrub(error.detail, token), _MAX_DETAIL)
            reached, kind = error.reached, error.kind
        # Raised outside of `except`: a context would keep the request, its token and its body.
        raise WolkvoxError(reason, detail, reached=reached, kind=kind)

    async def _request(
        self, token: str, path: str, params: Mapping[str, str]
    ) -> tuple[int, str | None, bytes]:
        """Status, Content-Type and decoded body, within the deadline.

        The body of an error is as it came where it is broken.
        """
        trip = _Trip(self._timeout, self._monotonic, self._monotonic())
        status, headers, raw, whole = int(httpx.codes.OK), httpx.Headers(), bytearray(), False
        try:
            # As one text: httpx takes 0.3 ms to put a URL together from its parts.
            request = httpx.Request(
                "GET",
                f"{self._base_url}{path}?{urlencode(params)}",
                headers={**transport.HEADERS, "wolkvox-token": token},
                extensions={"trace": trip.note},
            )
            async with (
                asyncio.timeout(self._timeout),
                aclosing(await self._http.handle_async_request(request)) as response,
            ):
                transport.refuse_redirect(response)
                status, headers = response.status_code, response.headers
                async for chunk in response.aiter_raw():
                    raw += chunk
                    if len(raw) > transport.MAX_BODY:
                        raise transport.too_large(transport.MAX_BODY)
            body = transport.decode(bytes(raw), headers.get("content-encoding"))
            whole = True
        except _FAILURES as error:
            if status == httpx.codes.OK:
                raise trip.failure(error) from None
            # An error's status, and what was read before it broke off, say enough.
            body = bytes(raw)
            with suppress(WolkvoxError):
                body = transport.decode(body, headers.get("content-encoding"))
        finally:
            self.left_at = trip.left_at
            if not whole:
                await self._start_afresh(trip.sockets)
        return status, headers.get("content-type"), body

    async def _start_afresh(self, sockets: Sequence[Any]) -> None:
        """Throws the connection pool away after a failure, and closes what was opened.

        httpcore keeps the place of a connection whose tunnel through a proxy broke during
        the TLS handshake: with one place only, all later requests would wait for ever. It
        forgets a socket that was cancelled during the handshake.
        """
        broken, self._http = self._http, self._connect()
        for one in (*sockets, broken):
            with suppress(*_FAILURES):
                await one.aclose()


@dataclass(slots=True)
class _Trip:
    """How far one request came; its exceptions become WolkvoxErrors with one reason.

    `timeout` is its deadline in seconds, `started` its monotonic second. `left_at` is the
    one at which the headers were handed over, if they were; `sockets` are those that it
    opened.
    """

    timeout: float
    monotonic: Callable[[], float]
    started: float
    left_at: float | None = None
    peer: str = ""
    sockets: list[Any] = field(default_factory=list)

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note an event of httpcore; the CONNECT sent to a proxy is not yet the request."""
        if event.endswith("connect_tcp.started"):
            self.peer = f"{info['host']}:{info['port']}: "
        elif event.endswith("connect_tcp.complete"):
            self.sockets.append(info["return_value"])
        elif event.endswith("send_request_headers.started"):
            if info["request"].method != b"CONNECT":
                self.left_at = self.monotonic()
        elif event.endswith("send_request_headers.complete") and self.left_at is not None:
            self.left_at = self.monotonic()

    def failure(self, error: BaseException) -> WolkvoxError:
        """What a foreign exception means, in a text that is not yet scrubbed."""
        if isinstance(error, WolkvoxError):
            return error
        reason = next(_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS)
        late = type(error) is TimeoutError
        cause = error if late else _first_cause(error)
        text = str(cause) or type(cause).__name__
        after = f", after {max(self.monotonic() - self.started, 0.0):.1f} s"
        if reason is Reason.CONNECT or (self.peer and self.left_at is None):
            text = f"no connection within {self.timeout:g} s" if late else text
            detail, kind = self.peer + text + after, transport.kind_of(cause)
            return WolkvoxError(Reason.CONNECT, detail, reached=False, kind=kind)
        name = type(error).__name__
        text = f"no whole answer within {self.timeout:g} s" if late else f"{name}: {text}"
        return WolkvoxError(reason, text + after)


def _first_cause(error: BaseException) -> BaseException:
    """What began it: "Connection refused", not "All attempts failed"."""
    found, current = error, error.__cause__ or error.__context__
    while current is not None:
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[0]
        if isinstance(current, OSError) and str(current):
            found = current
        current = current.__cause__ or current.__context__
    return found
