"""Asks the Wolkvox API over HTTP; decides neither when to ask nor what an answer means.

One client per operation and one request at a time: the caller takes turns. Every way in
which a request can fail leaves here as a WolkvoxError with one reason, free of the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import httpx

from exporter import __version__
from exporter.errors import ConfigError, Problem, Reason, WolkvoxError
from exporter.wolkvox.answer import Failure, NoRows, Rows, read_answer
from exporter.wolkvox.body import Body
from exporter.wolkvox.failures import FOREIGN, Progress, failure_of, overdue
from exporter.wolkvox.information import Skill, TokenInfo, read_skills, read_token_info
from exporter.wolkvox.report import FieldError, SkillReport, read_report
from exporter.wolkvox.secrets import scrub, scrub_body
from exporter.wolkvox.text import one_line
from exporter.wolkvox.windows import Window

# Wolkvox closes idle connections after 5 s: reusing one at that moment loses an attempt.
KEEPALIVE_EXPIRY: Final = 4.0
_HEADERS: Final = {
    "User-Agent": f"wolkvox-exporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}
_MAX_DETAIL = 400
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
Witness = Callable[[int, str | None, bytes], None]


def unseen(status: int, content_type: str | None, body: bytes) -> None:
    """The witness of an answer that nobody wants to see."""


class WolkvoxClient:
    """The three questions of one operation, as an async context manager.

    `timeout` is the deadline of a whole request in seconds. `proxy` beats the environment,
    which is read only with `trust_env` and never for a loopback address. Raises ConfigError
    where the CA file or a proxy cannot be used. `witness` is shown every answer before it is
    read, free of the token. `left_at` is the monotonic second at which the last request left,
    None where it did not.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        ca_file: Path | None,
        proxy: str | None,
        trust_env: bool,
        monotonic: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.witness: Witness = unseen
        self.left_at: float | None = None
        self._base_url = base_url
        self._timeout = timeout
        self._monotonic = monotonic
        self._connect = functools.partial(
            _http_client,
            tls=tls_context(ca_file),
            proxy=proxy,
            trust_env=not _is_loopback(base_url) and trust_env,
            transport=transport,
        )
        self._http = self._connect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def skill_11(self, token: str, skill_id: str, window: Window) -> SkillReport:
        """Interactions by channel within the window; no channels where there was no row."""
        report = read_report(await self.skill_11_rows(token, skill_id, window))
        errors = tuple(
            FieldError(error.field, error.channel, scrub(error.text, token))
            for error in report.errors
        )
        return SkillReport(report.channels, errors, report.dropped)

    async def skill_11_rows(
        self, token: str, skill_id: str, window: Window
    ) -> tuple[object, ...]:
        """The same answer unread: its rows as JSON gave them, free of the token."""
        return await self._ask(
            token,
            "reports_manager.php",
            {
                "api": "skill_11",
                "skill_id": skill_id,
                "date_ini": window.start,
                "date_end": window.end,
            },
        )

    async def token_info(self, token: str) -> TokenInfo:
        """The day's calls as Wolkvox counts them; asking costs one of them."""
        params = {"api": "token_info"}
        return read_token_info(await self._ask(token, "information.php", params))

    async def skills(self, token: str) -> tuple[Skill, ...]:
        """The operation's skills."""
        params = {"api": "skills"}
        return read_skills(await self._ask(token, "information.php", params))

    async def _ask(
        self, token: str, path: str, params: Mapping[str, str]
    ) -> tuple[object, ...]:
        """The rows of one answer; raises WolkvoxError, which holds no foreign exception."""
        failure: WolkvoxError | None = None
        self.left_at = None
        try:
            answer = await self._exchange(token, path, params)
        except WolkvoxError as error:
            failure = error
        if failure is None:
            return answer
        # Raised outside of `except`: a context would keep the request and with it the token.
        detail = one_line(scrub(failure.detail, token), _MAX_DETAIL)
        raise WolkvoxError(failure.reason, detail, reached=failure.reached)

    async def _exchange(
        self, token: str, path: str, params: Mapping[str, str]
    ) -> tuple[object, ...]:
        if not _HEADER_VALUE.fullmatch(token):
            text = "the token is empty or holds characters that no header may: nothing was sent"
            raise WolkvoxError(Reason.UNAUTHORIZED, text, reached=False)
        status, content_type, body = await self._request(token, path, params)
        body = scrub_body(body, token)
        self.witness(status, content_type, body)
        match read_answer(status, content_type, body):
            case Rows(rows):
                return rows
            case NoRows():
                return ()
            case Failure(reason, detail):
                raise WolkvoxError(reason, detail)

    async def _request(
        self, token: str, path: str, params: Mapping[str, str]
    ) -> tuple[int, str | None, bytes]:
        """Status, Content-Type and decoded body, within the deadline."""
        progress = Progress(self._monotonic)
        started = self._monotonic()
        whole = False
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                # Made whole here: the client would copy and merge what is known already.
                request = httpx.Request(
                    "GET",
                    f"{self._base_url}{path}?{urlencode(params)}",
                    headers={**_HEADERS, "wolkvox-token": token},
                    extensions={"trace": progress.trace},
                )
                answer = await self._receive(request)
                whole = True
                return answer
        except FOREIGN as error:
            late = isinstance(error, TimeoutError) and deadline.expired()
            failure = overdue(self._timeout, progress) if late else failure_of(error, progress)
        finally:
            self.left_at = progress.left_at
            if not whole:
                await progress.close()
                await self._start_afresh()
        elapsed = max(self._monotonic() - started, 0.0)
        text = f"{failure.detail}, after {elapsed:.1f} s"
        raise WolkvoxError(failure.reason, text, reached=failure.reached)

    async def _receive(self, request: httpx.Request) -> tuple[int, str | None, bytes]:
        response = await self._http.send(request, stream=True)
        try:
            body = await _read_body(response)
        except WolkvoxError:
            # An error page may be as large and broken as it likes: its status says enough.
            if response.status_code == httpx.codes.OK:
                raise
            body = b""
        finally:
            await response.aclose()
        return response.status_code, response.headers.get("content-type"), body

    async def _start_afresh(self) -> None:
        """Throws the connection pool away after a failure.

        httpcore keeps the place of a connection whose tunnel through a proxy broke during
        the TLS handshake: with one place only, all later requests would wait for ever.
        """
        broken, self._http = self._http, self._connect()
        with contextlib.suppress(*FOREIGN):
            await broken.aclose()


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A verifying context with the default authorities and those of `ca_file`.

    Shared by all clients with the same file, as long as the file stays the same: a context
    takes about 20 ms and 1 MB. Raises ConfigError where it cannot be loaded.
    """
    try:
        if ca_file is None:
            return _load_tls_context(None, 0, 0)
        stat = ca_file.stat()
        return _load_tls_context(ca_file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        name = str(ca_file) if ca_file else "the default trust store (see SSL_CERT_FILE)"
        reason = f"{name} cannot be loaded: {error.strerror or error}"
        raise ConfigError([Problem("ca_file", reason)]) from None


@functools.lru_cache(maxsize=32)
def _load_tls_context(ca_file: Path | None, _mtime: int, _size: int) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none from an answer: looking for them costs more than reading it."""


class _Cookieless(httpx.AsyncClient):
    """A client that neither keeps cookies nor sends any."""

    cookies = _NoCookies()  # type: ignore[override]


def _http_client(
    *,
    tls: ssl.SSLContext,
    proxy: str | None,
    trust_env: bool,
    transport: httpx.AsyncBaseTransport | None,
) -> httpx.AsyncClient:
    """A client with one connection; ConfigError where a proxy cannot be used."""
    whose = "the proxy" if proxy else "a proxy of the environment"
    try:
        return _Cookieless(
            verify=tls,
            proxy=_proxy(proxy, tls) if proxy else None,
            trust_env=trust_env,
            transport=transport,
            timeout=None,  # a deadline for the whole request stands around it
            limits=httpx.Limits(
                max_connections=1,
                max_keepalive_connections=1,
                keepalive_expiry=KEEPALIVE_EXPIRY,
            ),
            follow_redirects=False,
            event_hooks={"response": [_refuse_redirect]},
        )
    except ImportError:
        reason = f"{whose} speaks SOCKS, which needs the package socksio"
    except (ValueError, httpx.InvalidURL):
        # Their texts may quote the URL, and with it the proxy's password.
        reason = f"{whose} has no usable URL (http://host:port or https://host:port)"
    raise ConfigError([Problem("proxy", reason)])


def _proxy(url: str, tls: ssl.SSLContext) -> httpx.Proxy:
    proxy = httpx.Proxy(url)
    return httpx.Proxy(url, ssl_context=tls) if proxy.url.scheme == "https" else proxy


async def _refuse_redirect(response: httpx.Response) -> None:
    """Stops before httpx reads where a redirect leads to: the token would travel there."""
    if response.is_redirect:
        where = one_line(response.headers.get("location", "nowhere"), 100)
        text = f"HTTP {response.status_code} to {where}: redirects are not followed"
        raise WolkvoxError(Reason.REDIRECT, text)


async def _read_body(response: httpx.Response) -> bytes:
    if response.is_stream_consumed:  # a transport in memory has read and decoded it itself
        body = Body(None)
        body.feed(response.content)
        return body.finish()
    body = Body(response.headers.get("content-encoding"))
    async for chunk in response.aiter_raw():
        body.feed(chunk)
    return body.finish()


def _is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine itself; ConfigError where it is no URL."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        raise ConfigError([Problem("url", "is not a URL")]) from None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
