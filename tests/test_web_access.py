"""The door over real sockets: TLS, certificates, users, limits, and files that change."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import logging
import os
import socket
import ssl
import struct
import subprocess
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import bcrypt
import pytest

from exporter.errors import ConfigError
from exporter.web import access
from exporter.web.access import LiveConfig, TokenBucket
from exporter.web.access_config import RateLimit
from exporter.web.server import Limits
from tests.needs import needs
from tests.web_support import (
    CALM,
    PATIENCE,
    QUICK,
    Answer,
    Client,
    FakePages,
    Pair,
    Running,
    create_app,
    make_pair,
    request,
    running,
    trusting,
)

pytestmark = pytest.mark.anyio
HASH = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
ALICE = "Authorization: Basic " + base64.b64encode(b"alice:wonder").decode()


@dataclasses.dataclass(frozen=True)
class Keys:
    """Certificates for all sides."""

    server: Pair
    renewed: Pair
    ca: Pair
    client: Pair
    stranger: Pair


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Made once, by the openssl command."""
    folder = tmp_path_factory.mktemp("keys")
    ca = make_pair(folder, "ca")
    addresses = ("IP:10.0.0.1", "IP:2001:db8::1", "IP:::ffff:192.0.2.7")
    names = ("DNS:prometheus", *addresses, "URI:spiffe://x/y", "email:a@b.c")
    return Keys(
        server=make_pair(folder, "server", "DNS:localhost"),
        renewed=make_pair(folder, "renewed", "DNS:localhost"),
        ca=ca,
        client=make_pair(folder, "client", *names, issuer=ca),
        stranger=make_pair(folder, "stranger", *names),
    )


class Moment:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass
class Site:
    """A server behind a web configuration file that tests may change."""

    run: Running
    live: LiveConfig
    file: Path
    moment: Moment

    def rewrite(self, text: str) -> None:
        """Change the file, and let the time pass until it is looked at."""
        self.file.write_text(text)
        self.look()

    def look(self) -> None:
        self.moment.now += 10.0

    async def get(self, *lines: str, tls: ssl.SSLContext | None = None) -> Answer:
        return await (await self.run.connect(tls)).get("/metrics", *lines)


Open = Callable[..., contextlib.AbstractAsyncContextManager[Site]]


@pytest.fixture
def open_site(tmp_path: Path) -> Open:
    """`open_site(text)` serves behind this file."""

    @contextlib.asynccontextmanager
    async def opened(
        text: str,
        *,
        limits: Limits = CALM,
        pages: FakePages | None = None,
        max_requests: int = 40,
    ) -> AsyncIterator[Site]:
        moment, file = Moment(), tmp_path / "web.yml"
        file.write_text(text)
        live = LiveConfig(file, moment)
        app = create_app(pages or FakePages(), max_requests=max_requests)
        guarded = live.guard(app)
        async with running(guarded, limits=limits, tls=live.tls) as run:
            yield Site(run, live, file, moment)

    return opened


def tls_section(pair: Pair, *lines: str) -> str:
    """The section with this certificate and further lines."""
    section = (f"cert_file: {pair.cert}", f"key_file: {pair.key}", *lines)
    return "tls_server_config:\n" + "".join(f"  {line}\n" for line in section)


def mutual(keys: Keys, *lines: str) -> str:
    """Clients must show a certificate of the CA."""
    policy = "client_auth_type: RequireAndVerifyClientCert"
    return tls_section(keys.server, policy, f"client_ca_file: {keys.ca.cert}", *lines)


async def refused(site: Site, tls: ssl.SSLContext) -> bool:
    """Whether no answer comes; a TLS 1.3 client only sees it when it reads."""
    try:
        await site.get(tls=tls)
    except (OSError, asyncio.IncompleteReadError):
        return True
    return False


async def test_tls_serves_the_same_pages(open_site: Open, keys: Keys) -> None:
    """Keep-alive, HEAD, a big body, a refused head: all as in plain HTTP."""
    pages = FakePages(body=os.urandom(3_000_000))
    async with open_site(tls_section(keys.server), pages=pages) as site:
        client = await site.run.connect(trusting(keys.server))

        assert (await client.get("/metrics")).body == pages.body
        assert (await client.ask(request("HEAD", "/"), head=True)).status == 200
        assert (await client.ask(b"GET / HTTP/1.1\r\nA: " + b"a" * 90_000)).status == 431


async def test_slow_readers_hold_nobody_up_behind_tls_either(
    open_site: Open, keys: Keys
) -> None:
    """They hold no slot; who catches up gets everything."""
    pages = FakePages(body=os.urandom(20_000_000))
    async with open_site(tls_section(keys.server), pages=pages, max_requests=1) as site:
        slow = [
            await site.run.connect(trusting(keys.server), small_window=True) for _ in range(2)
        ]
        for client in slow:
            client.send(request("GET", "/metrics", "Connection: close"))
            await client.reader.readuntil(b"\r\n\r\n")
        other = await site.get(tls=trusting(keys.server))

        assert (other.status, other.body == pages.body) == (200, True)
        assert await slow[1].reader.readexactly(20_000_000) == pages.body


async def test_who_does_not_read_behind_tls_is_cut_off(open_site: Open, keys: Keys) -> None:
    """The time to take an answer is limited there as well."""
    pages = FakePages(body=os.urandom(20_000_000))
    limits = dataclasses.replace(QUICK, handshake_timeout=600.0)
    async with open_site(tls_section(keys.server), pages=pages, limits=limits) as site:
        client = await site.run.connect(trusting(keys.server), small_window=True)
        client.send(request("GET", "/metrics"))
        await asyncio.sleep(2 * QUICK.write_timeout)
        received = await read_to_end(client)

        assert received < 20_000_000


async def test_curl_reads_it(open_site: Open, keys: Keys) -> None:
    """A client that is not Python, with what it offers by ALPN and 2 requests in a go."""
    async with open_site(tls_section(keys.server)) as site:
        url = f"https://localhost:{site.run.port}/metrics"
        curl = await asyncio.create_subprocess_exec(
            *(needs("curl"), "-sS", "--cacert", str(keys.server.cert), "--ipv4", url, url),
            stdout=subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(curl.communicate(), PATIENCE)

    assert out == b"up 1\nup 1\n"


async def test_a_request_right_behind_the_handshake_is_heard(
    open_site: Open, keys: Keys
) -> None:
    """The client's last words of the handshake and its request come in one piece."""
    async with open_site(tls_section(keys.server)) as site:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shake = trusting(keys.server).wrap_bio(incoming, outgoing, server_hostname="localhost")
        client = await site.run.connect()
        while True:
            try:
                shake.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(await client.reader.read(65_536))
        shake.write(request("GET", "/metrics"))
        client.send(outgoing.read())
        answer = b""
        while b"\r\n\r\nup 1\n" not in answer:
            incoming.write(await asyncio.wait_for(client.reader.read(65_536), PATIENCE))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += shake.read(65_536)
                answer += shake.read(65_536)

        assert answer.startswith(b"HTTP/1.1 200 OK")


SENSELESS = (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 500)


async def test_silent_and_senseless_tls_clients_delay_nobody(
    open_site: Open, keys: Keys
) -> None:
    """Others are served meanwhile; the time of a handshake is limited, and each is counted."""
    async with open_site(tls_section(keys.server), limits=QUICK) as site:
        clients = [await site.run.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(SENSELESS[number % 4])

        assert (await site.get(tls=trusting(keys.server))).status == 200
        for client in clients:
            await asyncio.wait_for(read_to_end(client), PATIENCE)
        assert (await site.get(tls=trusting(keys.server))).status == 200
        assert site.run.failed_handshakes == 20


async def read_to_end(client: Client) -> int:
    """How much the server says (an answer, an alert) until it ends the connection."""
    received = 0
    with contextlib.suppress(OSError):
        while piece := await client.reader.read(1_000_000):
            received += len(piece)
    return received


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_is_gone_at_once_is_no_defect(
    open_site: Open, keys: Keys, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    """One debug line says why; none of a client that said nothing, as load balancers do."""
    caplog.set_level(logging.DEBUG)
    async with open_site(tls_section(keys.server)) as site:
        for said in (b"", b"\x16\x03\x01", b"\x00" * 500):
            with socket.create_connection(("127.0.0.1", site.run.port)) as client:
                client.sendall(said)
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            assert (await site.get(tls=trusting(keys.server))).status == 200

        assert site.run.failed_handshakes == 2
    lines = [one for one in caplog.records if one.name.startswith("exporter")]
    assert [line.getMessage() for line in lines] == ["TLS handshake failed"] * 2
    assert all(line.__dict__["fields"]["reason"] for line in lines)
    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]


async def test_http_on_the_tls_port_is_told_so(open_site: Open, keys: Keys) -> None:
    """The commonest mistake gets a sentence instead of silence."""
    async with open_site(tls_section(keys.server)) as site:
        client = await site.run.connect()
        answer = await client.get("/metrics")

        assert (answer.status, answer.body) == (400, b"This port speaks HTTPS, not HTTP.\n")
        assert await client.closed()


async def test_a_client_silent_after_its_handshake_is_closed(
    open_site: Open, keys: Keys
) -> None:
    """The time of a request counts there too."""
    limits = dataclasses.replace(QUICK, handshake_timeout=600.0)
    async with open_site(tls_section(keys.server), limits=limits) as site:
        assert await (await site.run.connect(trusting(keys.server))).closed()


async def test_unfinished_handshakes_make_room(open_site: Open, keys: Keys) -> None:
    """Few are under way at once, and the oldest goes first."""
    limits = Limits(handshakes=3)
    async with open_site(tls_section(keys.server), limits=limits) as site:
        silent = [await site.run.connect() for _ in range(5)]

        assert (await site.get(tls=trusting(keys.server))).status == 200
        assert await silent[0].closed()
        assert not await silent[4].closed(0.05)


async def test_stopping_ends_handshakes(keys: Keys, open_site: Open) -> None:
    """Who has not even greeted is not waited for."""
    async with open_site(tls_section(keys.server)) as site:
        silent = await site.run.connect()
        await site.get(tls=trusting(keys.server))
        site.run.server.stop()

        assert await silent.closed()


async def test_old_versions_are_refused(open_site: Open, keys: Keys) -> None:
    """TLS 1.1 is turned away unless it is asked for."""
    async with open_site(tls_section(keys.server)) as site:
        old = trusting(keys.server)
        old.set_ciphers("ALL:@SECLEVEL=0")  # the client itself would not refuse
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

        assert await refused(site, old)
        assert (await site.get(tls=trusting(keys.server))).status == 200


async def test_tls_1_0_works_where_it_is_asked_for(open_site: Open, keys: Keys) -> None:
    """`min_version: TLS10` is not a promise that OpenSSL then breaks."""
    async with open_site(tls_section(keys.server, "min_version: TLS10")) as site:
        handshake = await asyncio.create_subprocess_exec(
            *(needs("openssl"), "s_client", "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"),
            *("-connect", f"127.0.0.1:{site.run.port}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        out, _ = await asyncio.wait_for(handshake.communicate(), PATIENCE)

    assert b"Protocol  : TLSv1\n" in out
    assert b"Cipher    : 0000" not in out


async def test_the_chosen_cipher_is_spoken(open_site: Open, keys: Keys) -> None:
    """And no other."""
    text = tls_section(
        keys.server,
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "max_version: TLS12",
    )
    async with open_site(text) as site:
        other = trusting(keys.server)
        other.maximum_version = ssl.TLSVersion.TLSv1_2
        other.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        client = await site.run.connect(trusting(keys.server))

        assert client.writer.get_extra_info("cipher")[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
        assert await refused(site, other)


async def test_the_chosen_curve_is_spoken(open_site: Open, keys: Keys) -> None:
    """And no other."""
    async with open_site("") as site:
        for name, spoken, other in (
            ("CurveP256", "prime256v1", "X25519"),
            ("CurveP384", "secp384r1", "prime256v1"),
            ("CurveP521", "secp521r1", "secp384r1"),
            ("X25519", "X25519", "secp521r1"),
        ):
            site.rewrite(tls_section(keys.server, f"curve_preferences: [{name}]"))
            assert await served(site, keys, spoken), name
            assert not await served(site, keys, other), name


async def served(site: Site, keys: Keys, curve: str) -> bool:
    """Whether a client that knows this curve alone gets an answer."""
    client = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-curves", curve, "-CAfile", str(keys.server.cert)),
        *("-connect", f"127.0.0.1:{site.run.port}", "-quiet"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    said = request("GET", "/metrics", "Connection: close")
    out, _ = await asyncio.wait_for(client.communicate(said), PATIENCE)
    return b"up 1" in out


async def test_a_certificate_may_be_optional(open_site: Open, keys: Keys) -> None:
    """Who shows none is served unless names are asked for, who shows a wrong one never."""
    policy = "client_auth_type: VerifyClientCertIfGiven"
    lines = (policy, f"client_ca_file: {keys.ca.cert}")
    async with open_site(tls_section(keys.server, *lines)) as site:
        assert (await site.get(tls=trusting(keys.server))).status == 200
        assert (await site.get(tls=trusting(keys.server, keys.client))).status == 200
        assert await refused(site, trusting(keys.server, keys.stranger))
        site.rewrite(tls_section(keys.server, *lines, "client_allowed_sans: [prometheus]"))
        assert await refused(site, trusting(keys.server))
        assert (await site.get(tls=trusting(keys.server, keys.client))).status == 200


async def test_allowed_names_are_compared_exactly_and_addresses_as_addresses(
    open_site: Open, keys: Keys
) -> None:
    """DNS, IP, URI and e-mail names of the certificate; its common name is none."""
    welcome = (
        *("[prometheus]", "[other, 10.0.0.1]", "['spiffe://x/y']", "[a@b.c]"),
        *('["2001:db8::1"]', '["2001:0DB8:0:0:0:0:0:1"]', '["2001:DB8::0.0.0.1"]'),
        *("[other, 2001:db8::1]", "[192.0.2.7]", '["::ffff:192.0.2.7"]', '["::ffff:10.0.0.1"]'),
    )
    others = (
        *('["2001:db8::2"]', '["2001:db8::/64"]', "[10.0.0.2]", "[10.0.0.01]"),
        *("[other]", "[Prometheus]", "[client]"),
    )
    async with open_site(mutual(keys)) as site:
        for names in (*welcome, *others):
            site.rewrite(mutual(keys, f"client_allowed_sans: {names}"))
            client = trusting(keys.server, keys.client)
            assert await refused(site, client) is (names in others), names


def of_tls_1_2(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same, but no newer than this."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


# A further line of the section, the client, and the alert it gets.
REFUSED: tuple[tuple[str, Callable[[Keys], ssl.SSLContext], str], ...] = (
    ("", lambda keys: trusting(keys.server), "certificate required"),
    ("", lambda keys: of_tls_1_2(trusting(keys.server)), "handshake failure"),
    ("", lambda keys: trusting(keys.server, keys.stranger), "unknown ca"),
    ("", lambda keys: of_tls_1_2(trusting(keys.server, keys.stranger)), "unknown ca"),
    (
        "min_version: TLS13",
        lambda keys: of_tls_1_2(trusting(keys.server, keys.client)),
        "protocol version",
    ),
    ("client_allowed_sans: [other]", lambda keys: trusting(keys.server, keys.client), ""),
)


async def test_a_refused_handshake_is_counted_logged_and_told_to_the_client(
    open_site: Open, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the client's address; an alert says why where there is one for it."""
    caplog.set_level("DEBUG", "exporter")
    async with open_site(mutual(keys)) as site:
        for number, (lines, client, alert) in enumerate(REFUSED, 1):
            site.rewrite(mutual(keys, *filter(None, [lines])))
            with pytest.raises((OSError, asyncio.IncompleteReadError)) as caught:
                await site.get(tls=client(keys))

            assert alert in str(caught.value).replace("_", " ")
            assert site.run.failed_handshakes == number
    told = [record for record in caplog.records if "handshake" in record.getMessage()]
    assert len(told) == len(REFUSED)
    for record in told:
        fields = vars(record)["fields"]
        assert (record.levelname, fields["client"]) == ("DEBUG", "127.0.0.1")
        assert fields["reason"]


async def test_a_handshake_broken_off_by_the_client_is_counted(
    open_site: Open, keys: Keys
) -> None:
    """So is one whose client does not trust the server."""
    async with open_site(tls_section(keys.server), limits=QUICK) as site:
        for number in (1, 2):
            assert await refused(site, trusting(keys.renewed))
            assert (await site.get(tls=trusting(keys.server))).status == 200
            assert site.run.failed_handshakes == number


async def test_users_are_asked_for_on_every_page(open_site: Open) -> None:
    """401 with a challenge, before it is even told which pages there are."""
    async with open_site(f"basic_auth_users:\n  alice: {HASH}") as site:
        client = await site.run.connect()
        paths = ("/metrics", "/", "/-/healthy", "/nowhere")
        answers = [await client.get(path) for path in paths]
        head = await client.ask(request("HEAD", "/metrics"), head=True)

        assert [answer.status for answer in answers] == [401] * 4
        assert head.status == 401
        assert answers[0].headers["www-authenticate"].startswith('Basic realm="')
        assert (await client.get("/metrics", ALICE)).status == 200
        assert (await client.get("/metrics", ALICE[:-4])).status == 401


async def test_guessing_does_not_hold_up_the_loop(
    open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While costly passwords are checked, a known user is answered at once."""
    costly, go = bcrypt.hashpw(b"x", bcrypt.gensalt(5)), threading.Event()
    text = f"basic_auth_users:\n  alice: {HASH}\n  bob: {costly.decode()}"
    check = bcrypt.checkpw

    def slow(password: bytes, hashed: bytes) -> bool:
        return (hashed != costly or go.wait(PATIENCE)) and check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    async with open_site(text) as site:
        assert (await site.get(ALICE)).status == 200
        guess = "Authorization: Basic " + base64.b64encode(b"bob:guess").decode()
        guessing = asyncio.create_task(site.get(guess))
        await asyncio.sleep(0.01)
        assert (await site.get(ALICE)).status == 200
        assert not guessing.done()
        go.set()

        assert (await guessing).status == 401


async def test_too_many_guesses_are_turned_away(
    open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 instead of an endless queue."""
    monkeypatch.setattr(access, "_QUEUE", 4)  # shorter than what is accepted at once
    costly = bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()
    async with open_site(f"basic_auth_users:\n  bob: {costly}") as site:
        headers = [
            "Authorization: Basic " + base64.b64encode(b"bob:%d" % number).decode()
            for number in range(40)
        ]
        answers = await asyncio.gather(*(site.get(header) for header in headers))

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {401, 429}


async def test_headers_are_added_to_every_answer(open_site: Open) -> None:
    """They replace the page's own of the same name."""
    text = """
http_server_config:
  headers:
    Content-Security-Policy: "default-src 'self'"
    Strict-Transport-Security: max-age=60
"""
    async with open_site(text) as site:
        client = await site.run.connect()
        for path in ("/", "/metrics", "/nowhere"):
            answer = await client.get(path)
            assert answer.headers["content-security-policy"] == "default-src 'self'"
            assert answer.headers["strict-transport-security"] == "max-age=60"


async def test_requests_beyond_the_rate_get_429(open_site: Open) -> None:
    """A burst, then one each interval; health counts as well."""
    async with open_site("rate_limit:\n  interval: 2s\n  burst: 3") as site:
        client = await site.run.connect()
        statuses = [(await client.get("/-/healthy")).status for _ in range(4)]
        site.moment.now += 2.0
        later = [(await client.get("/metrics")).status for _ in range(2)]

    assert statuses == [200, 200, 200, 429]
    assert later == [200, 429]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """A night without scrapes saves up no more than `burst` requests; None is no limit."""
    moment = Moment()
    bucket = TokenBucket(moment)
    limit = RateLimit(interval="1s", burst=2)
    moment.now = 1_000.0

    assert [bucket.take(limit) for _ in range(3)] == [True, True, False]
    moment.now += 1_000.0
    assert [bucket.take(limit) for _ in range(3)] == [True, True, False]
    assert [bucket.take(None) for _ in range(3)] == [True, True, True]
    assert bucket.take(RateLimit(interval="1s", burst=0)) is False


async def test_a_renewed_certificate_is_served_without_a_restart(
    open_site: Open, keys: Keys, tmp_path: Path
) -> None:
    """The same file names with other contents: the next connection sees them."""
    pair = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    copy(keys.server, pair)
    async with open_site(tls_section(pair)) as site:
        old = await site.run.connect(trusting(keys.server))
        assert (await old.get("/metrics")).status == 200
        copy(keys.renewed, pair)
        site.look()

        assert (await site.get(tls=trusting(keys.renewed))).status == 200
        assert await refused(site, trusting(keys.server))
        assert (await old.get("/metrics")).status == 200


def copy(source: Pair, target: Pair) -> None:
    """Replace both files, as a renewal does."""
    for old, new in ((target.cert, source.cert), (target.key, source.key)):
        fresh = old.with_suffix(".new")
        fresh.write_bytes(new.read_bytes())
        fresh.replace(old)


async def test_users_change_with_the_file(
    open_site: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is taken out is refused at once; the door is opened wide only by a reload."""
    caplog.set_level("INFO", "exporter")
    async with open_site(f"basic_auth_users:\n  alice: {HASH}") as site:
        assert (await site.get(ALICE)).status == 200
        site.rewrite(f"basic_auth_users:\n  bob: {HASH}")
        assert (await site.get(ALICE)).status == 401
        site.rewrite("rate_limit: {interval: 1s, burst: 9}")
        assert (await site.get()).status == 401
        site.live.use(site.live.load())
        assert (await site.get()).status == 200

    assert [record.getMessage() for record in caplog.records] == [
        "web configuration reloaded",
        "web configuration not reloaded, the old one stays in force",
    ]


async def test_a_variable_that_was_not_filled_in_opens_nothing(
    open_site: Open, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """What a change takes away stays in force, and the log says why.

    The file may just be being written, and lack one of its protections.
    """
    users, tls = f"basic_auth_users:\n  alice: {HASH}\n", tls_section(keys.server)
    async with open_site(tls + users) as site:
        for text, wrong in (
            ("basic_auth_users: {alice: }", True),
            ("basic_auth_users: {alice: ''}", True),
            ("basic_auth_users:", True),
            ("basic_auth_users: {}", True),
            ("tls_server_config: {cert_file: , key_file: }", True),
            ("", False),
            (users, False),
            (tls, False),
        ):
            site.rewrite(tls + users)
            site.live.current()
            caplog.clear()
            site.rewrite(text)

            assert (await site.get(tls=trusting(keys.server))).status == 401, text
            assert (await site.get(ALICE, tls=trusting(keys.server))).status == 200, text
            if wrong:
                with pytest.raises(ConfigError, match=r"basic_auth_users|cert_file"):
                    site.live.load()
            assert [told.levelname for told in caplog.records] == ["ERROR"], text
        site.file.unlink()
        site.look()
        assert (await site.get(tls=trusting(keys.server))).status == 401


async def test_files_are_looked_at_once_a_second_at_most(open_site: Open) -> None:
    """A change within the second counts from the next one on."""
    async with open_site("") as site:
        site.file.write_text(f"basic_auth_users:\n  alice: {HASH}")
        assert (await site.get()).status == 200
        site.moment.now += 1.0
        assert (await site.get()).status == 401


async def test_a_bad_change_keeps_the_old_and_is_told_once(
    open_site: Open, keys: Keys, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Nobody is locked out or let in by a slip; the log says what is wrong, without secrets."""
    caplog.set_level("INFO", "exporter")
    users = f"basic_auth_users:\n  alice: {HASH}\n"
    late = Pair(tmp_path / "late.crt", tmp_path / "late.key")
    async with open_site(users) as site:
        site.rewrite("basic_auth_users:\n  alice: hunter2")
        for _ in range(3):
            site.look()
            assert (await site.get()).status == 401
            assert (await site.get(ALICE)).status == 200
        (told,) = caplog.records
        site.rewrite(users + tls_section(late))
        assert (await site.get(ALICE)).status == 200
        copy(keys.server, late)
        site.look()
        assert (await site.get(ALICE, tls=trusting(keys.server))).status == 200

    assert told.levelname == "ERROR"
    assert "basic_auth_users.alice: is no bcrypt hash" in str(vars(told)["fields"]["reason"])
    assert "hunter2" not in str(vars(told))
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]


def test_a_bad_file_refuses_to_start(tmp_path: Path) -> None:
    """ConfigError, before any socket is open."""
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: often}")

    with pytest.raises(ConfigError, match=r"rate_limit\.interval"):
        LiveConfig(file, Moment())


def test_what_is_hardly_meant_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when it is put in force."""
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: 1s, burst: 0}")
    LiveConfig(file, Moment())

    assert [record.levelname for record in caplog.records] == ["WARNING"]
