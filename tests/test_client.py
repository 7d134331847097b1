"""Requests over HTTP: tables of answers and errors, real sockets for what breaks on the way."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
import respx

from exporter import __version__
from exporter.errors import ConfigError, Reason, WolkvoxError
from exporter.operations import connect
from exporter.runtime import system_clock
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.report import TOKEN_COUNTS, Skill, SkillReport, TokenInfo
from exporter.wolkvox.transport import KEEPALIVE_EXPIRY, connector, tls_context
from exporter.wolkvox.windows import whole_day
from tests.config_support import operation
from tests.needs import run
from tests.quirks import QUIRKS, cells, envelope, error
from tests.web_support import Pair, make_pair

pytestmark = pytest.mark.anyio

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
API = "https://wv0013.wolkvox.com/api/v2/"
TOKEN = "7b2275736572223a22636c69656e74227d2d3230323631313232303830303030"
WINDOW = whole_day(date(2026, 11, 21))
GOOD = envelope([cells()])


def make_client(url: str = API, *, timeout: float = 5.0, **settings: Any) -> WolkvoxClient:
    """A client whose settings matter only where a test gives them."""
    chosen = {"ca_file": None, "proxy": None, "trust_env": False, **settings}
    connect = connector(url, **chosen)
    return WolkvoxClient(url, connect, timeout=timeout, monotonic=time.monotonic)


class Wire(httpx.AsyncByteStream):
    """A body as it comes from a socket: nothing has read or decoded it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body


def http(body: bytes, *headers: str, status: int = 200, framed: bool = True) -> bytes:
    """An answer as it goes over the wire."""
    length = [f"Content-Length: {len(body)}"] if framed else []
    lines = [f"HTTP/1.1 {status} Told", *headers, *length]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """A loopback server: counts connections and keeps what each request said."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.asked = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2/"

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        """The next request, kept."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        self.asked.set()
        return self.heads[-1]

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            await self.handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    handler: Handler | None = None,
    *answers: bytes,
    tls: ssl.SSLContext | None = None,
    close: bool = False,
) -> AsyncIterator[Server]:
    """A server that answers each request with the next of `answers`, or runs `handler`."""
    waiting = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.head(reader)
            writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            await writer.drain()
            if close:
                return

    server = Server(handler or answer)
    listener = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    before = asyncio.all_tasks()
    try:
        yield server
    finally:
        listener.close()
        handlers = [task for task in asyncio.all_tasks() - before if not task.done()]
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def ask(client: WolkvoxClient, token: str = TOKEN) -> SkillReport:
    """One question to a client that is closed afterwards."""
    async with client:
        return await client.skill_11(token, "4173", WINDOW)


async def fail(client: WolkvoxClient, token: str = TOKEN) -> WolkvoxError:
    """The failure of one question."""
    with pytest.raises(WolkvoxError) as caught:
        await ask(client, token)
    return caught.value


def secret_free(text: str) -> bool:
    """Whether no 8 characters of the token stand in the text."""
    return not any(TOKEN[at : at + 8] in text for at in range(len(TOKEN) - 7))


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a little and reset the connection."""
    await reader.read(1)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_each_quirk(respx_mock: respx.MockRouter) -> None:
    """What a server sends becomes a report or one reason, compressed or not."""
    for quirk in QUIRKS:
        answer = httpx.Response(quirk.status, headers=quirk.headers, stream=Wire(quirk.body))
        respx_mock.get(f"{API}reports_manager.php").mock(return_value=answer)
        if isinstance(quirk.expect, Reason):
            failure = await fail(make_client())
            assert (failure.reason, failure.reached) == (quirk.expect, True), quirk.name
            assert failure.detail.isprintable(), quirk.name
        else:
            report = await ask(make_client())
            assert tuple(one.channel for one in report.channels) == quirk.channels, quirk.name
            assert tuple(one.field for one in report.errors) == quirk.lost, quirk.name
            assert report.dropped == quirk.dropped, quirk.name
            assert bool(report.channels) is (quirk.expect == "rows"), quirk.name


def test_the_quirks_are_many() -> None:
    """Their names are unique, and they cover every reason that an answer can have."""
    names = [quirk.name for quirk in QUIRKS]
    never = {Reason.CONNECT, Reason.INTERRUPTED, Reason.TIMEOUT, Reason.INTERNAL}

    assert len(set(names)) == len(names) >= 100
    assert {quirk.expect for quirk in QUIRKS} >= set(Reason) - never


async def test_the_question_is_what_the_api_wants() -> None:
    """One GET with the window; the token stands in its header and nowhere else."""
    async with serving(None, http(GOOD)) as server:
        await ask(make_client(server.url))

    (head,) = server.heads
    line, *headers = head.decode().rstrip().split("\r\n")
    sent = {name.lower(): value for name, _, value in (h.partition(": ") for h in headers)}
    assert line == (
        "GET /api/v2/reports_manager.php?api=skill_11&skill_id=4173"
        "&date_ini=20261121000000&date_end=20261121235959 HTTP/1.1"
    )
    assert sent["wolkvox-token"] == TOKEN
    assert sent["user-agent"] == f"wolkvox-exporter/{__version__}"
    assert sent["accept-encoding"] == "gzip, deflate"
    assert "cookie" not in sent
    assert head.decode().count(TOKEN) == 1


async def test_token_info_and_skills(respx_mock: respx.MockRouter) -> None:
    """The two reports of information.php, with rows and without."""
    base = f"{API}information.php"
    info = {"token_limit": "8000", "token_use_today": "3", "all_token_today": "5"}
    respx_mock.get(base, params={"api": "token_info"}).mock(
        side_effect=[
            httpx.Response(200, stream=Wire(envelope([info]))),
            httpx.Response(200, stream=Wire(envelope([]))),
        ]
    )
    skills = envelope([{"skill_id": "4173", "skill_name": "Ventas"}])
    respx_mock.get(base, params={"api": "skills"}, headers={"wolkvox-token": TOKEN}).mock(
        return_value=httpx.Response(200, stream=Wire(skills))
    )
    async with make_client() as client:
        assert (await client.token_info(TOKEN)).counts == {
            **dict.fromkeys(TOKEN_COUNTS),
            "token_limit": 8000.0,
            "token_used_today": 3.0,
            "token_used_today_all_tokens": 5.0,
        }
        assert await client.token_info(TOKEN) == TokenInfo(dict.fromkeys(TOKEN_COUNTS))
        assert await client.skills(TOKEN) == (Skill("4173", "Ventas", ""),)


# --- on the way -------------------------------------------------------------------------


async def test_a_slow_drip_does_not_outlast_the_deadline() -> None:
    """A byte now and then never resets the clock of the whole request."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(http(b"", "Transfer-Encoding: chunked", framed=False))
        for _ in range(200):  # a client that waits longer reads an answer that is whole
            writer.write(b"1\r\n[\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    async with serving(drip) as server:
        failure = await fail(make_client(server.url, timeout=0.5))

    assert (failure.reason, failure.reached) == (Reason.TIMEOUT, True)
    assert failure.detail.startswith("no whole answer within 0.5 s, after ")


async def test_a_server_that_falls_silent_times_out() -> None:
    """Silence before, within and after the headers is a timeout that may have counted."""
    for sent in (b"", b"HTTP/1.1 200 OK\r\nContent-", http(b"{}")[:-1]):
        async with serving(None, sent) as server:
            failure = await fail(make_client(server.url, timeout=0.5))
        assert (failure.reason, failure.reached) == (Reason.TIMEOUT, True), sent


async def test_an_answer_that_is_not_whole_is_interrupted() -> None:
    """A connection closed early or reset, and what is no HTTP, is told as such."""
    chunked = http(b"5\r\nabc", "Transfer-Encoding: chunked", framed=False)
    for sent in (
        *(b"", b"HTTP/1.1 200 OK\r\nContent-", http(GOOD)[:-1], chunked),
        *(b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000),
    ):
        async with serving(None, sent, close=True) as server:
            failure = await fail(make_client(server.url))
        assert (failure.reason, failure.reached) == (Reason.INTERRUPTED, True), sent
    async with serving(reset) as server:
        failure = await fail(make_client(server.url))
    assert (failure.reason, failure.reached) == (Reason.INTERRUPTED, True)


async def test_an_error_that_breaks_off_is_told_by_what_came() -> None:
    """A length that is wrong, or a body without its end, does not hide a used-up quota."""
    for status, message, reason in (
        (403, "TOKEN LIMIT EXCEEDED", Reason.QUOTA),
        (403, "MAINTENANCE", Reason.FORBIDDEN),
        (503, "", Reason.HTTP),
    ):
        body = error(status, message)
        answer = http(body, "Content-Length: 500", status=status, framed=False)
        for close in (True, False):
            async with serving(None, answer, close=close) as server:
                failure = await fail(make_client(server.url, timeout=30 if close else 0.5))
            assert (failure.reason, failure.reached) == (reason, True), message


async def test_a_connection_never_made_has_a_kind_of_its_own() -> None:
    """Refused or without an address: nothing can have counted, and what to check differs."""
    async with serving(None, b"") as server:
        port = server.port
    for url, kind in (
        (f"http://127.0.0.1:{port}/", "connect"),
        (f"https://127.0.0.1:{port}/", "connect"),
        ("https://a..b/", "server"),
        ("https://nobody.invalid/", "server"),
    ):
        failure = await fail(make_client(url))
        shown = (failure.reason, failure.reached, failure.kind)
        assert shown == (Reason.CONNECT, False, kind), url


async def test_what_ends_before_the_request_leaves_was_never_reached() -> None:
    """Reset or closed after the connection, in the handshake or by a proxy."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    for end in (hang_up, reset):
        async with serving(end) as server:
            there = f"127.0.0.1:{server.port}"
            for client in (
                make_client(proxy=f"http://{there}"),
                make_client(f"https://{there}/"),
            ):
                failure = await fail(client)
                shown = (failure.reason, failure.reached, failure.kind)
                assert shown == (Reason.CONNECT, False, "connect"), end


async def test_a_handshake_without_an_end_was_never_reached() -> None:
    """A deadline that fires while connecting is no timeout of an answer."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(listen) as server:
        failure = await fail(make_client(f"https://127.0.0.1:{server.port}/", timeout=0.1))

    assert (failure.reason, failure.reached) == (Reason.CONNECT, False)
    assert "no connection within 0.1 s" in failure.detail
    assert failure.kind == "connect"


async def test_a_redirect_is_not_followed() -> None:
    """The token never travels to where a redirect points."""
    async with serving(None, http(GOOD)) as other:
        moved = http(b"", f"Location: {other.url}", status=302)
        async with serving(None, moved) as server:
            failure = await fail(make_client(server.url))

    assert failure.reason is Reason.REDIRECT
    assert other.url in failure.detail
    assert other.connections == 0


async def test_a_redirect_that_leads_nowhere_says_so() -> None:
    """A 3xx without a Location is a redirect too."""
    for headers in ((), ("Location:",)):
        async with serving(None, http(b"", *headers, status=304)) as server:
            failure = await fail(make_client(server.url))

        assert failure.reason is Reason.REDIRECT
        assert failure.detail == "HTTP 304 without an address: redirects are not followed"


async def test_a_connection_serves_a_round_and_is_replaced_after_a_failure() -> None:
    """Good answers share a connection; after a bad body the next one is new."""
    answers = [http(GOOD), http(GOOD), http(b"x", "Content-Encoding: gzip"), http(GOOD)]
    async with serving(None, *answers) as server, make_client(server.url) as client:
        await client.skill_11(TOKEN, "1", WINDOW)
        await client.skill_11(TOKEN, "2", WINDOW)
        assert server.connections == 1
        with pytest.raises(WolkvoxError, match="malformed"):
            await client.skill_11(TOKEN, "3", WINDOW)
        await client.skill_11(TOKEN, "4", WINDOW)

    assert server.connections == 2


async def test_cookies_are_not_kept() -> None:
    """A session of PHP would let one request wait for another."""
    answer = http(GOOD, "Set-Cookie: PHPSESSID=1; Path=/")
    async with serving(None, answer) as server, make_client(server.url) as client:
        await client.skill_11(TOKEN, "4173", WINDOW)
        await client.skill_11(TOKEN, "4190", WINDOW)

    assert b"cookie" not in server.heads[1].lower()


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """An idle connection closed by the server costs no attempt."""
    async with (
        serving(None, http(GOOD), close=True) as server,
        make_client(server.url) as client,
    ):
        await client.skill_11(TOKEN, "1", WINDOW)
        await asyncio.sleep(0.02)
        await client.skill_11(TOKEN, "2", WINDOW)

    assert server.connections == 2
    assert KEEPALIVE_EXPIRY < 5


async def test_cancelling_passes_through() -> None:
    """A shutdown is no failure of the request, and the client still works after it."""
    async with serving(None, b"", http(GOOD)) as server, make_client(server.url) as client:
        task = asyncio.create_task(client.skill_11(TOKEN, "1", WINDOW))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        report = await client.skill_11(TOKEN, "2", WINDOW)

    assert report.channels[0].inbound == 67


async def test_a_bomb_costs_no_more_than_the_cap() -> None:
    """A few hundred kilobytes of gzip never become more than the cap in memory."""
    bomb = http(gzip.compress(bytes(64 * 1024 * 1024), 1), "Content-Encoding: gzip")
    async with serving(None, bomb) as server:
        client = make_client(server.url)
        tracemalloc.start()
        try:
            failure = await fail(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert failure.reason is Reason.TOO_LARGE
    assert peak < 40 * 1024 * 1024


async def test_a_large_error_page_is_still_told_by_its_status() -> None:
    """The size of an error page does not hide the error."""
    async with serving(None, http(b"x" * (9 * 1024 * 1024), status=500)) as server:
        failure = await fail(make_client(server.url))

    assert failure.reason is Reason.HTTP


# --- secrets ----------------------------------------------------------------------------


async def test_a_token_that_is_no_header_is_not_sent() -> None:
    """It is refused as unauthorized before anything leaves."""
    async with serving(None, http(GOOD)) as server:
        for token in ("", " ", "a b ", "a\nb", "a\r\nX: y", "ñ", "\ud800", "a\x00"):
            failure = await fail(make_client(server.url), token)
            assert (failure.reason, failure.reached) == (Reason.UNAUTHORIZED, False), token
    assert server.connections == 0


async def test_a_server_that_echoes_the_token_tells_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No failure, its cause or its context shows the token, whatever the server says."""
    caplog.set_level("DEBUG")
    for status in (200, 302, 400, 401, 403, 404, 500):
        echo = f"bad {TOKEN} {TOKEN[5:40]} {TOKEN.upper()} " + "x" * 140 + TOKEN
        there = f"Location: https://x.test/?t={TOKEN}"
        answer = http(error(status, echo), there, status=status)
        async with serving(None, answer) as server:
            failure = await fail(make_client(server.url))
        assert secret_free(f"{failure} {failure!r} {failure.args} {failure.detail}"), status
        assert failure.__cause__ is failure.__context__ is None, status
    assert secret_free("".join(r.getMessage() for r in caplog.records if r.name == "httpx"))


async def test_an_echo_among_the_cells_reaches_no_label() -> None:
    """Neither a channel nor the text of an unreadable cell carries the token."""
    row = cells(f"chat-{TOKEN}", asa=TOKEN, ata=f"x {TOKEN[:20]}")
    piece = cells(f"chat-{TOKEN[4:20]}", asa="x")
    async with serving(None, http(envelope([row, piece]))) as server:
        report = await ask(make_client(server.url))
    assert [one.channel for one in report.channels] == ["chat-[token]"]
    assert [fault.text for fault in report.errors] == ["[token]", "x [token]", "x"]
    listed = {"skill_id": "1", "skill_name": f"Cola {TOKEN[4:20].upper()}"}
    async with serving(None, http(envelope([listed]))) as server:
        client = make_client(server.url)
        async with client:
            assert await client.skills(TOKEN) == (Skill("1", "Cola [token]", ""),)


# --- proxies ----------------------------------------------------------------------------


async def test_a_proxy_that_refuses_was_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is used, gets no token, and its refusal costs nothing."""
    async with serving(None, http(b"", status=403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        failure = await fail(make_client(trust_env=True))

    assert (failure.reason, failure.reached, failure.kind) == (Reason.CONNECT, False, "proxy")
    assert proxy.heads[0].startswith(b"CONNECT wv0013.wolkvox.com:443 ")
    assert TOKEN.encode() not in proxy.heads[0]


async def test_a_tunnel_that_breaks_does_not_block_the_next_request() -> None:
    """A handshake that fails behind a proxy leaves the client usable."""
    tunnel = b"HTTP/1.1 200 Connection established\r\n\r\n"
    async with serving(None, tunnel, close=True) as proxy:
        client = make_client(proxy=f"http://127.0.0.1:{proxy.port}", timeout=1)
        for _ in range(3):
            with pytest.raises(WolkvoxError) as caught:
                await client.skill_11(TOKEN, "1", WINDOW)
            assert (caught.value.reason, caught.value.reached) == (Reason.CONNECT, False)
            assert "no connection within" not in caught.value.detail

    assert proxy.connections == 3


async def test_the_environment_sends_nothing_for_loopback_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A demo on this machine works behind a company's proxy settings."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with serving(None, http(GOOD)) as server:
        for host in ("127.0.0.1", "localhost"):
            url = f"http://{host}:{server.port}/"
            found = await ask(connect(operation(server=None, url=url), system_clock()))
            assert found.channels, host


async def test_an_explicit_proxy_holds_for_loopback_too() -> None:
    """What is written in the configuration beats what is usual."""
    async with serving(None, http(GOOD)) as proxy:
        await ask(make_client("http://127.0.0.1:1/", proxy=f"http://127.0.0.1:{proxy.port}"))

    assert proxy.heads[0].startswith(b"GET http://127.0.0.1:1/reports_manager.php")


def test_a_proxy_that_cannot_be_used_is_an_error_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given or from the environment, it is told without its password; https is accepted."""
    for proxy, why in (
        ("ftp://user:geheim@proxy.test", "no usable URL"),
        ("http://user:geheim@proxy.test:port", "no usable URL"),
        ("proxy.test:3128", "no usable URL"),
        ("socks5://proxy.test", "SOCKS"),
    ):
        with pytest.raises(ConfigError, match=f"^proxy: the proxy.*{why}") as given:
            make_client(proxy=proxy)
        assert "geheim" not in str(given.value)
        if "://" in proxy:
            monkeypatch.setenv("ALL_PROXY", proxy)
            with pytest.raises(ConfigError, match=f"environment.*{why}"):
                make_client(trust_env=True)
    make_client(proxy="https://proxy.test:3129")


def test_a_base_url_that_is_none_is_an_error_of_the_configuration() -> None:
    """It is told when the client is built, not at the first request."""
    with pytest.raises(ConfigError, match=r"^url: "):
        make_client("http://x:port/")


# --- TLS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A self-signed certificate for 127.0.0.1."""
    return make_pair(tmp_path_factory.mktemp("tls"), "test", "IP:127.0.0.1")


def openssl(directory: Path, *argv: str) -> None:
    """Run openssl there."""
    run("openssl", *argv, cwd=directory).check_returncode()


def signed(directory: Path, extensions: str) -> None:
    """Make `ca.pem` with these extensions, and `server.pem` for 127.0.0.1 signed by it."""
    (directory / "ca.cnf").write_text(
        f"[req]\ndistinguished_name=d\nx509_extensions=x\n[d]\n[x]\n{extensions}\n"
    )
    (directory / "leaf.cnf").write_text(
        "subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=none\n"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        directory,
        *("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"),
        *("-config", "ca.cnf", "-days", "2"),
    )
    openssl(directory, "req", *key, "-keyout", "key.pem", "-out", "csr", "-subj", "/CN=x")
    openssl(
        directory,
        *("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-out", "leaf.pem", "-days", "2", "-extfile", "leaf.cnf"),
    )
    both = (directory / "key.pem").read_text() + (directory / "leaf.pem").read_text()
    (directory / "server.pem").write_text(both)


AUTHORITIES = {
    "no key identifiers": "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
    "subjectKeyIdentifier=none",
    "constraints not critical": "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign",
    "no key usage": "basicConstraints=critical,CA:TRUE",
}


@pytest.mark.parametrize("extensions", AUTHORITIES.values(), ids=AUTHORITIES)
async def test_a_private_authority_need_not_be_perfect(
    extensions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python 3.13 refuses of an authority is accepted where `ca_file` names it."""
    make = httpx.create_ssl_context

    def strict() -> ssl.SSLContext:
        context = make()
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as 3.13 does by itself
        return context

    monkeypatch.setattr(httpx, "create_ssl_context", strict)
    signed(tmp_path, extensions)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    async with serving(None, http(GOOD), tls=tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        report = await ask(make_client(url, ca_file=tmp_path / "ca.pem"))
        named = make_client(f"https://localhost:{server.port}/", ca_file=tmp_path / "ca.pem")
        failure = await fail(named)

    assert report.channels[0].channel == "inbound"
    assert failure.reason is Reason.CONNECT
    assert "not valid for 'localhost'" in failure.detail


async def test_a_private_authority_is_trusted_only_where_it_is_given(pair: Pair) -> None:
    """TLS is verified; `ca_file` adds an authority."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    async with serving(None, http(GOOD), tls=tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        failure = await fail(make_client(url))
        report = await ask(make_client(url, ca_file=pair.cert))

    assert (failure.reason, failure.reached) == (Reason.CONNECT, False)
    assert "CERTIFICATE_VERIFY_FAILED" in failure.detail
    assert failure.kind == "tls"
    assert report.channels[0].channel == "inbound"
    assert tls_context(None).verify_flags == httpx.create_ssl_context().verify_flags


def test_tls_contexts_are_shared_until_the_file_changes(pair: Pair) -> None:
    """200 operations do not cost 200 contexts; a renewed authority is seen."""
    ca_file = pair.cert
    first = tls_context(ca_file)

    assert tls_context(None) is tls_context(None)
    assert tls_context(ca_file) is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    ca_file.write_text(ca_file.read_text() + "\n")
    assert tls_context(ca_file) is not first


def test_a_ca_file_that_cannot_be_loaded_is_an_error_of_the_configuration(
    tmp_path: Path,
) -> None:
    """Missing, empty or a directory: told with the file's name."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "missing.pem", empty, tmp_path):
        with pytest.raises(ConfigError, match=f"^ca_file: {path} cannot be loaded"):
            make_client(ca_file=path)


# --- the border of foreign exceptions -----------------------------------------------------


def _descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _descendants(child)


# Only httpx's jar of cookies raises it, and a transport has none.
IMPOSSIBLE = {httpx.CookieConflict}
HTTPX_ERRORS = {
    one for one in _descendants(Exception) if one.__module__.startswith("httpx")
} - IMPOSSIBLE
EXPECTED = {
    Reason.CONNECT: "ConnectError ConnectTimeout PoolTimeout ProxyError UnsupportedProtocol",
    Reason.TIMEOUT: "TimeoutException ReadTimeout WriteTimeout",
    Reason.INTERNAL: "LocalProtocolError InvalidURL StreamError StreamConsumed"
    " StreamClosed ResponseNotRead RequestNotRead",
    Reason.INTERRUPTED: "HTTPError RequestError TransportError NetworkError ReadError"
    " WriteError CloseError ProtocolError RemoteProtocolError TooManyRedirects DecodingError"
    " HTTPStatusError",
}


def _make(kind: type[Exception]) -> Exception:
    """An exception as httpx would make it, whatever its arguments are."""
    request = httpx.Request("GET", "https://x.test", headers={"wolkvox-token": TOKEN})
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500))
    stateless = httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead
    if kind in (*stateless, httpx.RequestNotRead):
        return kind()
    failure = kind(f"x {TOKEN}")
    if isinstance(failure, httpx.RequestError):
        failure.request = request
    return failure


async def test_every_foreign_exception_has_one_reason(respx_mock: respx.MockRouter) -> None:
    """No class of httpx gets past the client, nor what leaks through it from below."""
    reasons = {name: reason for reason, names in EXPECTED.items() for name in names.split()}
    for foreign, expected in (
        *((_make(kind), reasons[kind.__name__]) for kind in HTTPX_ERRORS),
        (OSError(104, "Connection reset by peer"), Reason.INTERRUPTED),
        (ssl.SSLError(1, "alert certificate required"), Reason.INTERRUPTED),
        (TimeoutError(), Reason.TIMEOUT),
        (UnicodeError("label too long"), Reason.INTERRUPTED),
        (h11.RemoteProtocolError("illegal"), Reason.INTERRUPTED),
    ):
        respx_mock.get(f"{API}reports_manager.php").mock(side_effect=foreign)
        failure = await fail(make_client())
        assert failure.reason is expected, foreign
        assert failure.reached is (expected is not Reason.CONNECT), foreign
        assert secret_free(str(failure)), foreign
        assert failure.__context__ is None, foreign


async def test_the_first_cause_of_no_connection_decides_its_kind() -> None:
    """Only what may be the allow list's doing is `connect`."""
    for cause, kind in (
        (ConnectionRefusedError(111, "Connection refused"), "connect"),
        (ConnectionResetError(104, "Connection reset by peer"), "connect"),
        (TimeoutError(110, "Connection timed out"), "connect"),
        (OSError(113, "No route to host"), "connect"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "connect"),
        (socket.gaierror(-2, "Name or service not known"), "server"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "server"),
        (ssl.SSLCertVerificationError(1, "unable to get local issuer"), "tls"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls"),
        (OSError(24, "Too many open files"), "machine"),
    ):

        def refuse(request: httpx.Request, cause: Exception = cause) -> httpx.Response:
            message = "All connection attempts failed"
            raise httpx.ConnectError(message) from ExceptionGroup("failed", [cause])

        connect = partial(httpx.MockTransport, refuse)
        client = WolkvoxClient(API, connect, timeout=5.0, monotonic=time.monotonic)
        failure = await fail(client)
        shown = (failure.reason, failure.reached, failure.kind)
        assert shown == (Reason.CONNECT, False, kind), cause
        assert str(cause) in failure.detail
