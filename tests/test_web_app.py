"""The routes: which page, which status, which headers, over a real socket."""

from __future__ import annotations

import pytest

from exporter.errors import ConfigError
from exporter.web.app import check_telemetry_path
from exporter.web.asgi import ASGIApp
from tests.config_support import configuration, written
from tests.web_support import Answer, FakePages, create_app, request, running

pytestmark = pytest.mark.anyio


async def test_metrics_come_ready_made_with_exact_headers() -> None:
    """The body is what the pages gave, unchanged; nothing tells the server's make."""
    async with running() as server:
        answer = await (await server.connect()).get("/metrics")

    answer.headers.pop("date")
    assert answer.status == 200
    assert answer.body == b"up 1\n"
    assert answer.headers == {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
        "vary": "Accept, Accept-Encoding",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-length": "5",
    }


async def test_negotiation_reaches_the_pages() -> None:
    """Several Accept lines are one list; gzip is named in Content-Encoding."""
    pages = FakePages()
    async with running(create_app(pages)) as server:
        answer = await (await server.connect()).get(
            "/metrics",
            "Accept: text/plain;q=0.1",
            "Accept: application/openmetrics-text;version=1.0.0",
            "Accept-Encoding: gzip",
        )

    assert pages.asked == ["openmetrics gzip"]
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-encoding"] == "gzip"


async def test_the_escaping_that_is_asked_for_is_told() -> None:
    """Prometheus 3 names one; what is not named or not known is not answered."""
    form = "application/openmetrics-text"
    openmetrics, text = f"{form}; version=1.0.0", "text/plain; version=0.0.4"
    async with running() as server:
        for accept, expected in (
            (f"{form};version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.1", "allow-utf-8"),
            (f"{form}; escaping=underscores; version=1.0.0", "underscores"),
            (f'{form};version=1.0.0;ESCAPING="Dots"', "dots"),
            ("text/plain;version=0.0.4;escaping=values", "values"),
            (f"{form};version=1.0.0;escaping=unknown", ""),
            (f"{form};version=1.0.0", ""),
        ):
            answer = await (await server.connect()).get("/metrics", f"Accept: {accept}")
            added = f"; escaping={expected}" if expected else ""
            kind = openmetrics if accept.startswith(form) else text
            told = answer.headers["content-type"]
            assert told == f"{kind}; charset=utf-8{added}", accept


async def test_odd_headers_never_hurt() -> None:
    """A header that cannot be read is answered like none."""
    async with running() as server:
        client = await server.connect()
        for line in (
            *("Accept: application/openmetrics-text;version=abc", "Accept: \xff\xfe;q=\xff"),
            *("Accept: ;;;,,,===", "Accept: " + "a," * 20_000, "Accept-Encoding: gzip;q=\xff"),
            *("Accept-Language: \xff", "Authorization: Basic \xff", "Cookie: " + "x" * 60_000),
        ):
            for path in ("/metrics", "/"):
                assert (await client.get(path, line)).status == 200, line


async def test_head_says_what_get_would_and_other_methods_nothing() -> None:
    """The same status and headers, no body, and the connection stays in step; else 405."""
    async with running() as server:
        client = await server.connect()
        for path in ("/metrics", "/", "/-/healthy", "/-/ready", "/nowhere"):
            got = await client.get(path)
            head = await client.ask(request("HEAD", path), head=True)
            got.headers.pop("date")
            head.headers.pop("date")
            assert (head.status, head.headers) == (got.status, got.headers), path
        for path in ("/metrics", "/", "/-/healthy"):
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
                answer = await client.ask(request(method, path))
                assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), method


async def test_targets_of_every_kind_get_a_plain_answer() -> None:
    """Known pages, unknown pages and nonsense; never a 5xx."""
    targets = {
        200: (
            *("/metrics", "/metrics?name[]=x", "/metrics?", "/%6detrics", "//metrics", "//"),
            *("http://somewhere.else/metrics", "http://somewhere.else:9/metrics?x=1"),
            *("///metrics?x=//", "//-///healthy"),
        ),
        404: (
            *("/metrics/", "/-//nowhere", "/Metrics", "/%2e%2e/metrics", "/../metrics", "/-/"),
            *("/etc/passwd", "/%ff%00", "/metrics%00", "/%", "/" + "a" * 60_000, "*"),
        ),
        400: ("http://somewhere.else", "/\xff", "metrics", "/metrics x"),
    }
    async with running() as server:
        for status, those in targets.items():
            for target in those:
                answer = await (await server.connect()).get(target)
                assert answer.status == status, target[:30]


async def test_health_and_readiness_are_told_by_status() -> None:
    """200 or 503, with a sentence."""
    pages = FakePages(alive=False, polled=False)
    async with running(create_app(pages)) as server:
        client = await server.connect()
        bad = [await client.get("/-/healthy"), await client.get("/-/ready")]
        pages.alive = pages.polled = True
        good = [await client.get("/-/healthy"), await client.get("/-/ready")]

    assert [answer.status for answer in bad] == [503, 503]
    assert [answer.status for answer in good] == [200, 200]
    assert all(answer.body.endswith(b".\n") for answer in bad + good)


async def test_reload_tells_the_truth() -> None:
    """POST only; 200 when it worked, 500 with the reason when not, 403 unless it is enabled."""
    pages = FakePages()
    async with running(create_app(pages)) as server:
        answer = await (await server.connect()).ask(request("POST", "/-/reload"))
        assert (answer.status, b"--web.enable-lifecycle" in answer.body) == (403, True)
    async with running(create_app(pages, lifecycle=True)) as server:
        client = await server.connect()
        by_get = await client.get("/-/reload")
        good = await client.ask(request("POST", "/-/reload", "Content-Length: 3") + b"abc")
        pages.reason = "operations.0.interval: too short"
        bad = await client.ask(request("POST", "/-/reload"))

    assert (by_get.status, by_get.headers["allow"]) == (405, "POST")
    assert good.status == 200
    assert bad.status == 500
    assert b"operations.0.interval: too short" in bad.body
    assert pages.reloads == 2


async def test_the_status_page_is_html_without_powers() -> None:
    """Its language is negotiated by the page; a browser may run nothing in it."""
    async with running() as server:
        answer = await (await server.connect()).get("/", "Accept-Language: es")

    assert answer.body == b"<html lang=es>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Language"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_configuration_in_force_is_shown() -> None:
    """After a reload the new one, as plain text that a browser shows rather than saves."""
    pages = FakePages(configuration=configuration(written("acme")))
    async with running(create_app(pages)) as server:
        client = await server.connect()
        first = [await client.get("/config") for _ in range(2)]
        pages.configuration = configuration(written("globex"))
        second = await client.get("/config")

    assert all(b"name: acme" in answer.body for answer in first)
    assert b"acme" not in second.body
    assert b"name: globex" in second.body
    assert second.headers["content-type"] == "text/plain; charset=utf-8"


async def test_metrics_at_the_root_win_over_the_status_page() -> None:
    """As in every exporter that lets `--web.telemetry-path` be `/`."""
    async with running(create_app(FakePages(), telemetry_path="/")) as server:
        client = await server.connect()

        assert (await client.get("/")).body == b"up 1\n"
        assert (await client.ask(request("POST", "/"))).status == 405


def test_a_telemetry_path_that_cannot_be_is_an_error() -> None:
    """Taken pages, and paths that no request could match."""
    for path in (
        *("", "metrics", "/-/healthy", "/-/new", "/config", "/a//b", "/a b", "/a?b", "/a#b"),
        *("/%61", "/ñ", "/\x00"),
    ):
        with pytest.raises(ConfigError, match="telemetry path"):
            check_telemetry_path(path)


async def ask_at_once(app: ASGIApp, path: str) -> list[Answer]:
    """Five requests that arrive together."""
    async with running(app) as server:
        clients = [await server.connect() for _ in range(5)]
        for client in clients:
            client.send(request("GET", path))
        return [await client.receive() for client in clients]


async def test_requests_beyond_the_cap_get_503() -> None:
    """Of those that arrive at once; each is told when to come again. Health is told always."""
    for path in ("/metrics", "/", "/nowhere"):
        answers = await ask_at_once(create_app(FakePages(), max_requests=2), path)
        refused = [answer for answer in answers if answer.status == 503]

        assert len(refused) == 3, path
        assert refused[0].headers["retry-after"] == "1"
        assert b"--web.max-requests" in refused[0].body
    for path, most in (("/-/healthy", 2), ("/metrics", 0)):  # 0: no cap
        answers = await ask_at_once(create_app(FakePages(), max_requests=most), path)
        assert {answer.status for answer in answers} == {200}


async def test_slow_readers_keep_nobody_from_scraping() -> None:
    """Once its page is made, a request counts no more, however slowly it is read."""
    app = create_app(FakePages(body=b"x" * 20_000_000), max_requests=2)
    async with running(app) as server:
        slow = [await server.connect(small_window=True) for _ in range(5)]
        for client in slow:
            client.send(request("GET", "/metrics"))
            await client.reader.readuntil(b"\r\n\r\n")
        other = await server.connect()

        assert (await other.get("/metrics")).status == 200
        for client in slow:
            assert len(await client.reader.readexactly(20_000_000)) == 20_000_000
