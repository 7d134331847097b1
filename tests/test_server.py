"""The server's limits, over real sockets: no client costs the others anything."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import tracemalloc

import pytest

from exporter.web.asgi import Receive, Scope, Send
from exporter.web.listen import address_of, bind
from exporter.web.server import HttpServer
from tests.web_support import (
    CALM,
    PATIENCE,
    QUICK,
    Client,
    FakePages,
    Running,
    create_app,
    request,
    running,
)

pytestmark = pytest.mark.anyio


async def answers(server: Running) -> bool:
    """Whether a newcomer is served at once."""
    async with asyncio.timeout(PATIENCE):
        return (await (await server.connect()).get("/metrics")).status == 200


async def test_half_a_request_is_closed_in_time() -> None:
    """Silence and half a head delay nobody and end with the time-out."""
    async with running(limits=QUICK) as server:
        clients = [await server.connect() for _ in range(5)]
        head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
        chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chun"
        for client, said in zip(
            clients, (b"", b"\r\n\r\n", b"GET", head, chunked), strict=True
        ):
            client.send(said)

        assert await answers(server)
        assert [await client.closed() for client in clients] == [True] * 5


async def test_drops_of_data_buy_no_time() -> None:
    """The clock of a request starts once, however busily the client goes on."""
    async with running(limits=QUICK) as server:
        client = await server.connect()
        client.send(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while not client.reader.at_eof():
                    client.send(b"A: b\r\n")
                    await client.writer.drain()
                    await asyncio.sleep(0.005)


async def test_a_body_that_never_comes_ends_the_connection() -> None:
    """The answer does not wait for the body; the body has the time of a request."""
    async with running(limits=QUICK) as server:
        client = await server.connect()
        answer = await client.ask(request("POST", "/", "Content-Length: 5") + b"a")

        assert answer.status == 405
        assert await client.closed()


async def test_an_idle_connection_has_more_time_than_a_request() -> None:
    """Keep-alive lasts for `idle_timeout`; the request time counts again from the next byte."""
    limits = dataclasses.replace(QUICK, idle_timeout=600.0)
    async with running(limits=limits) as server:
        client = await server.connect()
        assert (await client.get("/metrics")).status == 200
        await asyncio.sleep(2 * limits.request_timeout)
        assert (await client.get("/metrics")).status == 200
        client.send(b"GET")
        assert await client.closed()


async def test_an_idle_connection_is_closed_in_time() -> None:
    """Keep-alive ends with `idle_timeout`; line ends are no request: its clock goes on."""
    limits = dataclasses.replace(CALM, idle_timeout=0.1)
    async with running(limits=limits) as server:
        for said in (b"", b"\r\n\r\n"):
            client = await server.connect()
            assert (await client.get("/metrics")).status == 200
            client.send(said)
            assert await client.closed(), said


async def test_heads_beyond_64_kib_are_refused() -> None:
    """431 and the end, whether the head is whole or not."""
    async with running() as server:
        for head in (
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            b"GET / HTTP/1.1\r\nA: " + b"a" * 1_000_000,
            b"GET / HTTP/1.1\r\nA: " + b"a" * 66_000,
            b"GET / HTTP/1.1\r\n" + b"a" * 1_000_000,
        ):
            client = await server.connect()
            answer = await client.ask(head)

            assert (answer.status, answer.headers["connection"]) == (431, "close"), head[:30]
            assert await answers(server)
            assert await client.closed()


async def test_an_endless_head_keeps_no_memory() -> None:
    """A head without an end is refused, its rest is thrown away, and the connection ends."""
    limits = dataclasses.replace(QUICK, request_timeout=30.0, linger=0.5)
    piece = b"a" * 65_536
    async with running(limits=limits) as server:
        client = await server.connect()
        client.send(b"GET / HTTP/1.1\r\nA: ")
        tracemalloc.start()
        try:
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(2 * PATIENCE):
                    while True:
                        client.send(piece)
                        await client.writer.drain()
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert most < 4_000_000


async def test_a_head_in_many_pieces_is_a_head() -> None:
    """Pieces are not counted twice: 60 KB in drips are answered."""
    async with running() as server:
        client = await server.connect()
        for piece in [
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n",
            *[b"A: " + b"b" * 995 + b"\r\n"] * 60,
            b"\r\n",
        ]:
            client.send(piece)
            await client.writer.drain()
            await asyncio.sleep(0)

        assert (await client.receive()).status == 200


async def test_bodies_are_not_taken_in() -> None:
    """The answer comes first; what goes on beyond a small cap ends the connection."""
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    async with running() as server:
        for head, body in (
            (b"Content-Length: 10000000\r\n\r\n", b"x" * 50_000),
            (chunked, b"c350\r\n" + b"x" * 50_000),
            (chunked, b"1;" + b"x" * 500_000),
            (chunked + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 30_000),
        ):
            client = await server.connect()
            answer = await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
            client.send(body)

            assert answer.status == 405
            assert (await client.receive()).status in (413, 431), body[:10]
            assert await client.closed()


async def test_a_small_body_is_thrown_away() -> None:
    """The next request on the connection is found behind it."""
    async with running() as server:
        client = await server.connect()
        body = request("GET", "/metrics", "Content-Length: 1000") + b"x" * 1000

        assert (await client.ask(body)).status == 200
        assert (await client.get("/metrics")).status == 200


async def test_expect_continue_is_answered_at_once() -> None:
    """No page needs the body: the final answer comes, and the connection ends."""
    async with running() as server:
        client = await server.connect()
        lines = ("Expect: 100-continue", "Content-Length: 5")
        answer = await client.ask(request("POST", "/", *lines))

        assert (answer.status, answer.headers["connection"]) == (405, "close")
        assert await client.closed()


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Several requests in one piece, the last of them half."""
    async with running() as server:
        client = await server.connect()
        client.send(request("GET", "/metrics") + request("GET", "/x") + b"GET /-/ready HT")
        statuses = [(await client.receive()).status for _ in range(2)]
        client.send(b"TP/1.1\r\nHost: x\r\n\r\n")

        assert statuses == [200, 404]
        assert (await client.receive()).body == b"Ready.\n"


async def test_a_pipeline_has_an_end() -> None:
    """What comes in one piece is answered, and no more than that is kept."""
    async with running() as server:
        client = await server.connect()
        client.send(request("GET", "/x" * 200) * 1_000)
        statuses = set()
        while not client.reader.at_eof():
            with contextlib.suppress(asyncio.IncompleteReadError):
                statuses.add((await client.receive()).status)

        assert 404 in statuses
        assert statuses <= {404, 431}


async def test_garbage_behind_a_request_spares_its_answer() -> None:
    """The request before is answered, then the connection ends."""
    async with running() as server:
        client = await server.connect()
        answer = await client.ask(request("GET", "/metrics") + b"\x00\x01\x02\r\n\r\n")

        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.closed()


async def test_garbage_is_answered_400_and_closed() -> None:
    """TLS on the plain port, HTTP/2, smuggling: a plain refusal."""
    async with running() as server:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"FOO / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n",
            b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
            b"CONNECT x:1 HTTP/1.1\r\n\r\n",
            bytes(range(256)) * 4,
        ):
            client = await server.connect()
            answer = await client.ask(garbage)

            assert answer.status == 400, garbage
            assert answer.headers["date"].endswith("GMT")
            assert await client.closed()


async def test_version_host_and_transfer_encoding_are_judged_as_in_go() -> None:
    """One Host in HTTP/1.1, and never two; no coding of a body but chunks; no other version."""
    async with running() as server:
        for head, status in (
            (b"HTTP/2.0\r\nHost: x\r\n", 505),
            (b"HTTP/0.9\r\nHost: x\r\n", 505),
            (b"HTTP/1.1\r\n", 400),
            (b"HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
            (b"HTTP/1.1\r\nHost: a\r\nhost: a\r\n", 400),
            (b"HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400),
            (b"HTTP/1.1\r\nHost: a b\r\n", 400),
            (b"HTTP/1.1\r\nHost: a/b\r\n", 400),
            (b"HTTP/1.1\r\nHost: \xff\r\n", 400),
            (b"HTTP/1.1\r\nHost:\r\n", 200),
            (b"HTTP/1.1\r\nHost: [2001:db8::1]:19655\r\n", 200),
            (b"HTTP/1.1\r\nHost: exporter.example.net\r\n", 200),
            (b"HTTP/1.0\r\n", 200),
            (b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
            (b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n", 501),
            (b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n", 501),
            (b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n", 400),
            (b"HTTP/1.1\r\nHost: x\r\n" + b"Transfer-Encoding: chunked\r\n" * 2, 400),
            (
                b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n"
                b"Transfer-Encoding: chunked\r\n",
                501,
            ),
            (b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n", 200),
        ):
            client = await server.connect()
            answer = await client.ask(b"GET /metrics " + head + b"\r\n")

            assert answer.status == status, head
            if status != 200:
                assert answer.headers["connection"] == "close"
                assert await client.closed()


async def test_an_upgrade_is_answered_without_it() -> None:
    """WebSockets and h2c are not spoken: the page comes as ever, then the end."""
    async with running() as server:
        client = await server.connect()
        lines = ("Connection: Upgrade", "Upgrade: websocket")
        answer = await client.get("/metrics", *lines)

        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_the_connection_closes_when_asked() -> None:
    """`Connection: close`, and HTTP/1.0."""
    async with running() as server:
        for version in ("1.0", "1.1"):
            client = await server.connect()
            asked = f"GET /metrics HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"

            assert (await client.ask(asked.encode())).status == 200
            assert await client.closed()


async def slow_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits for the whole request, then for a little more; tells what it got of a body."""
    message = await receive()
    while message["more_body"]:
        message = await receive()
    await asyncio.sleep(0.02)
    headers = [(b"content-length", b"%d" % len(message["body"]))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": message["body"]})


async def test_a_client_that_ends_its_side_is_still_answered() -> None:
    """`printf ... | nc` sends its request and an end; the answer comes nevertheless."""
    async with running(slow_app) as server:
        client = await server.connect()
        client.send(request("GET", "/metrics"))
        client.writer.write_eof()

        assert (await client.receive()).status == 200
        assert await client.closed()


async def test_garbage_behind_a_slow_request_spares_its_answer() -> None:
    """Listening ends at once, answering does not."""
    begun, heard = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await heard.wait()
        await slow_app(scope, receive, send)

    async with running(app) as server:
        client = await server.connect()
        client.send(request("GET", "/metrics"))
        await begun.wait()
        client.send(b"\x00\x01\r\n")
        await asyncio.sleep(0.005)
        client.send(b"\x00\x01\r\n")
        await asyncio.sleep(0.05)  # more than what follows needs, and no harm where it is not
        heard.set()

        assert (await client.receive()).status == 200
        assert await client.closed()


async def test_a_request_body_never_reaches_the_application() -> None:
    """Who reads it finds an empty one."""
    async with running(slow_app) as server:
        answer = await (await server.connect()).ask(
            request("POST", "/", "Content-Length: 5") + b"hello"
        )

    assert (answer.status, answer.body) == (200, b"")


async def test_an_end_without_a_request_closes() -> None:
    """Nothing is owed."""
    async with running() as server:
        client = await server.connect()
        client.writer.write_eof()

        assert await client.closed()


async def test_who_does_not_read_is_cut_off() -> None:
    """A body that nobody takes is not kept for ever."""
    app = create_app(FakePages(body=b"x" * 20_000_000), max_requests=1)
    async with running(app, limits=QUICK) as server:
        client = await server.connect(small_window=True)
        client.send(request("GET", "/metrics"))
        await client.reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while not client.writer.is_closing():  # known by what can be sent no more
                client.send(b"\r\n")
                await asyncio.sleep(0.02)

        assert len(await read_rest(client)) < 20_000_000
        assert (await (await server.connect()).get("/-/ready")).status == 200


async def test_drops_of_reading_buy_no_time() -> None:
    """The time to take an answer is that of the whole answer."""
    app = create_app(FakePages(body=b"x" * 50_000_000))
    limits = dataclasses.replace(QUICK, write_timeout=0.3)
    async with running(app, limits=limits) as server:
        client = await server.connect(small_window=True)
        client.send(request("GET", "/metrics"))
        received = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while piece := await client.reader.read(200_000):
                    received += len(piece)
                    await asyncio.sleep(0.005)

        assert received < 50_000_000


async def test_slow_readers_have_a_number() -> None:
    """One more sends the one away that has taken nothing for longest."""
    app = create_app(FakePages(body=b"x" * 20_000_000))
    async with running(app, limits=dataclasses.replace(CALM, readers=2)) as server:
        slow = []
        for _ in range(4):
            slow.append(await server.connect(small_window=True))
            slow[-1].send(request("GET", "/metrics", "Connection: close"))
            await slow[-1].reader.readuntil(b"\r\n\r\n")

        assert [len(await read_rest(client)) == 20_000_000 for client in slow[:3]] == [
            *(False, False, True)
        ]


async def test_the_clock_of_an_answer_ends_with_it() -> None:
    """A connection that has taken a big answer in time lives on."""
    app = create_app(FakePages(body=b"x" * 20_000_000))
    async with running(app, limits=dataclasses.replace(CALM, write_timeout=2.0)) as server:
        client = await server.connect(small_window=True)
        assert len((await client.get("/metrics")).body) == 20_000_000

        assert not await client.closed(2.5)
        assert (await client.get("/-/ready")).status == 200


async def read_rest(client: Client) -> bytes:
    """Everything until the connection ends, kindly or not."""
    received = bytearray()
    try:
        while piece := await client.reader.read(1_000_000):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)


async def test_a_thousand_idle_connections_delay_nobody() -> None:
    """Each of them is open; a scrape is answered at once."""
    async with running() as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
        try:
            assert await answers(server)
        finally:
            for connection in idle:
                connection.close()


async def test_a_full_house_sends_the_longest_waiting_away() -> None:
    """Silent connections cannot lock a scraper out: the newcomer gets a place."""
    limits = dataclasses.replace(CALM, connections=3)
    async with running(limits=limits) as server:
        first = await server.connect()
        assert (await first.get("/metrics")).status == 200
        silent = [await server.connect() for _ in range(2)]
        assert (await first.get("/metrics")).status == 200  # waits again, but since just now
        newcomer = await server.connect()

        assert (await newcomer.get("/metrics")).status == 200
        assert await silent[0].closed()
        assert not await silent[1].closed(0.05)
        assert (await first.get("/metrics")).status == 200


async def test_a_failing_page_is_a_500_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A defect costs its own request only."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a defect")

    async with running(broken) as server:
        client = await server.connect()

        assert (await client.get("/metrics")).status == 500
    assert "a defect" in caplog.text


async def test_several_servers_share_a_loop() -> None:
    """Each stops on its own; the other serves on."""
    async with running() as one:
        async with running() as two:
            assert await answers(two)
        assert await answers(one)


async def test_one_server_on_several_addresses() -> None:
    """Each listen address answers, IPv6 among them."""
    sockets = bind(["127.0.0.1:0", "[::1]:0"])
    shown = [address_of(listener).rpartition(":")[0] for listener in sockets]
    assert shown == ["127.0.0.1", "[::1]"]
    server = HttpServer(create_app(FakePages()), sockets)
    ports = [listener.getsockname()[1] for listener in sockets]
    serving = asyncio.create_task(server.serve())
    for host, port in zip(("127.0.0.1", "::1"), ports, strict=True):
        reader, writer = await asyncio.open_connection(host, port)
        answer = await Client(reader, writer).get("/metrics")
        writer.close()
        assert answer.status == 200
    server.stop()
    await serving


async def test_stopping_lets_a_request_end() -> None:
    """Idle and half-spoken connections close, the one being answered is answered first."""
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await go.wait()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    sockets = bind(["127.0.0.1:0"])
    server = HttpServer(slow, sockets)
    run = Running(server, sockets[0].getsockname()[1])
    serving = asyncio.create_task(server.serve())
    idle, busy = await run.connect(), await run.connect()
    busy.send(request("GET", "/"))
    await reached.wait()
    server.stop()

    assert await idle.closed()
    assert not serving.done()
    go.set()
    assert (await busy.receive()).status == 204
    await asyncio.wait_for(serving, PATIENCE)
    with pytest.raises(ConnectionError):
        await run.connect()
    await run.close_clients()


@pytest.mark.parametrize("cancel", [False, True])
async def test_stopping_does_not_wait_for_ever(
    cancel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload that hangs and a client that does not read are cut off after the grace."""

    class Stuck(FakePages):
        async def reload(self) -> str | None:
            await asyncio.Event().wait()
            return None

    sockets = bind(["127.0.0.1:0"])
    app = create_app(Stuck(body=b"x" * 20_000_000), lifecycle=True)
    server = HttpServer(app, sockets, limits=dataclasses.replace(CALM, shutdown_timeout=0.2))
    run = Running(server, sockets[0].getsockname()[1])
    serving = asyncio.create_task(server.serve())
    hangs, deaf = await run.connect(), await run.connect(small_window=True)
    hangs.send(request("POST", "/-/reload"))
    deaf.send(request("GET", "/metrics"))
    await deaf.reader.readuntil(b"\r\n\r\n")
    if cancel:
        serving.cancel()
    else:
        server.stop()
    await asyncio.wait([serving], timeout=PATIENCE)

    assert serving.done()
    assert serving.cancelled() is cancel
    assert caplog.text == ""
    await run.close_clients()


async def test_a_socket_that_cannot_serve_raises() -> None:
    """A failure ends the task group around it; the process is not ended from here."""
    sockets = bind(["127.0.0.1:0"])
    server = HttpServer(create_app(FakePages()), sockets)
    sockets[0].close()

    with pytest.raises(OSError, match=r".+"):
        await server.serve()
