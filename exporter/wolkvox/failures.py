"""The one border where foreign exceptions become a reason; sends nothing, reads nothing.

The question behind it: can the server have seen (and counted) the request? Only what
fails before the request's own headers begin to leave is certain not to have arrived.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import h11
import httpx

from exporter.errors import Reason, WolkvoxError

ALLOW_LIST_HINT: Final = (
    "Wolkvox drops connections from addresses that are not on its allow list"
)

# The nearest class in an exception's ancestry decides.
REASONS: Final[Mapping[type[BaseException], Reason]] = {
    httpx.ConnectError: Reason.CONNECT,
    httpx.ConnectTimeout: Reason.CONNECT,
    httpx.PoolTimeout: Reason.CONNECT,
    httpx.ProxyError: Reason.CONNECT,
    httpx.UnsupportedProtocol: Reason.CONNECT,
    httpx.TimeoutException: Reason.TIMEOUT,
    httpx.TooManyRedirects: Reason.REDIRECT,
    httpx.DecodingError: Reason.MALFORMED,
    httpx.HTTPStatusError: Reason.HTTP,
    # What only a wrong use of httpx can raise.
    httpx.LocalProtocolError: Reason.INTERNAL,
    httpx.InvalidURL: Reason.INTERNAL,
    httpx.CookieConflict: Reason.INTERNAL,
    httpx.StreamError: Reason.INTERNAL,
    # The rest of httpx, then what is known to leak through it from below: resets and TLS
    # alerts (OSError), names that IDNA refuses (ValueError), h11's own view of the protocol,
    # what several attempts at connecting raise together (ExceptionGroup).
    httpx.HTTPError: Reason.INTERRUPTED,
    TimeoutError: Reason.TIMEOUT,
    OSError: Reason.INTERRUPTED,
    ValueError: Reason.INTERRUPTED,
    h11.ProtocolError: Reason.INTERRUPTED,
    ExceptionGroup: Reason.INTERRUPTED,
}
FOREIGN: Final = tuple(REASONS)


class _Socket(Protocol):
    async def aclose(self) -> None: ...


class Progress:
    """How far a request came, told by httpcore's `trace` extension.

    `left_at` is the monotonic second at which its headers were handed over, if they were.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.connecting = False
        self.sent = False
        self.left_at: float | None = None
        self._monotonic = monotonic
        self._sockets: list[_Socket] = []

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Notes an event; the CONNECT sent to a proxy is not yet the request."""
        if event.endswith("connect_tcp.complete"):
            self._sockets.append(info["return_value"])
        if not event.endswith("send_request_headers.started"):
            self.connecting = True
        elif info["request"].method != b"CONNECT":
            self.sent = True
        if self.sent and "send_request_headers" in event:  # as it begins, and as it ends
            self.left_at = self._monotonic()

    async def close(self) -> None:
        """Closes what was opened: httpcore forgets a socket cancelled during the handshake."""
        for opened in self._sockets:
            with contextlib.suppress(*FOREIGN):
                await opened.aclose()


def failure_of(error: BaseException, progress: Progress) -> WolkvoxError:
    """The failure that a foreign exception stands for; its text is not yet scrubbed."""
    reason = next(REASONS[kind] for kind in type(error).__mro__ if kind in REASONS)
    if reason is Reason.CONNECT or (progress.connecting and not progress.sent):
        return not_connected(_innermost(error))
    return WolkvoxError(reason, f"{type(error).__name__}: {_innermost(error)}")


def overdue(timeout: float, progress: Progress) -> WolkvoxError:
    """The failure of a request that its deadline ended."""
    if not progress.sent:
        return not_connected(f"no connection within {timeout:g} s")
    return WolkvoxError(Reason.TIMEOUT, f"no whole answer within {timeout:g} s")


def not_connected(cause: str) -> WolkvoxError:
    """The failure of a request that never left."""
    return WolkvoxError(Reason.CONNECT, f"{cause} ({ALLOW_LIST_HINT})", reached=False)


def _innermost(error: BaseException) -> str:
    """The text of the first cause: "Connection refused", not "All attempts failed"."""
    text, current = str(error), error
    for _ in range(10):
        inner = current.__cause__ or current.__context__
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        if inner is None:
            break
        current = inner
        if isinstance(current, OSError) and str(current):
            text = str(current)
    return text or type(error).__name__
