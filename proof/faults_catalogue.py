"""The faults that a server can have, each with the reason that the exporter must give."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.errors import Reason
from proof.faults_server import Act, Exchange, Fault, Low
from tests.e2e_api import Reply, found, refused, row

MIB = 1 << 20
ENDLESS = 300 * MIB
HTML = (("Content-Type", "text/html; charset=utf-8"),)
PAGE = b"<!doctype html><title>Wolkvox</title><h1>Proximamente</h1>"
WHOLE = found(row()).wire()
HEAD, BODY = WHOLE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", WHOLE.partition(b"\r\n\r\n")[2]
STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class Group:
    """One row of the table: faults of one kind, each met by a skill of its own."""

    name: str
    faults: tuple[Fault, ...]


def says(reply: Reply) -> Act:
    """An answer that is whole; the connection lives on."""

    async def act(exchange: Exchange) -> bool:
        await exchange.send(reply.wire())
        return True

    return act


def cut(data: bytes, *, reset: bool = False) -> Act:
    """So much of an answer, then the end: by RST, or as if that were all."""

    async def act(exchange: Exchange) -> bool:
        await exchange.send(data)
        await asyncio.sleep(0.05)  # so that it is read before the end comes
        if reset:
            exchange.reset()
        return False

    return act


def stalls(data: bytes) -> Act:
    """So much of an answer, then nothing until the client goes."""

    async def act(exchange: Exchange) -> bool:
        await exchange.send(data)
        await exchange.reader.read()
        return False

    return act


def drips(data: bytes, then: bytes) -> Act:
    """Some of the answer at once, the rest one byte at a time, without an end."""

    async def act(exchange: Exchange) -> bool:
        await exchange.send(data)
        for byte in then * 1000:
            await exchange.send(bytes([byte]))
            await asyncio.sleep(0.1)
        return False

    return act


def floods(head: bytes, size: int, *, chunked: bool = False) -> Act:
    """A body of that many bytes, sent until the client hangs up; notes how many went."""
    piece = b" " * (1 << 16)
    wire = b"10000\r\n" + piece + b"\r\n" if chunked else piece

    async def act(exchange: Exchange) -> bool:
        place, sent = exchange.place, 0
        try:
            await exchange.send(head)
            while sent < size:
                await exchange.send(wire)
                sent += len(piece)
                await asyncio.sleep(0)  # others have their turn even where nothing blocks
        finally:
            place.most_sent = max(place.most_sent, sent)
        return False

    return act


async def _hangs_up_later(exchange: Exchange) -> bool:
    """A good answer that promises to keep the connection, which then is closed idle."""
    await exchange.send(WHOLE)
    await asyncio.sleep(0.2)
    return False


async def _hangs_up_at_once(exchange: Exchange) -> bool:
    """A good answer without a word about the connection's end, which comes with it."""
    await exchange.send(WHOLE)
    return False


def _reply(name: str, reason: Reason | None, reply: Reply) -> Fault:
    return Fault(name, reason, says(reply))


def _json(value: object, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


def _envelope(**more: object) -> Reply:
    return _json({"code": 200, "error": None, "msg": "", "data": []} | more)


def _statuses(reason: Reason, *statuses: int) -> tuple[Fault, ...]:
    return tuple(_reply(f"HTTP {status}", reason, _page(status)) for status in statuses)


def _page(status: int) -> Reply:
    return Reply(PAGE, status, HTML)


def _redirects() -> tuple[Fault, ...]:
    """Every kind of redirect to another host, which is the same server by another name."""

    def to_elsewhere(status: int) -> Act:
        async def act(exchange: Exchange) -> bool:
            url = f"http://localhost:{exchange.place.port}/elsewhere"
            await exchange.send(Reply(b"", status, (("Location", url),)).wire())
            return True

        return act

    statuses = (301, 302, 303, 307, 308)
    return tuple(Fault(f"HTTP {one}", Reason.REDIRECT, to_elsewhere(one)) for one in statuses)


@functools.cache
def _bomb(encoding: str) -> Reply:
    packer = zlib.compressobj(1, wbits=31 if encoding == "gzip" else 15)
    piece = b" " * MIB
    packed = b"".join(packer.compress(piece) for _ in range(ENDLESS // MIB)) + packer.flush()
    return Reply(packed, headers=(("Content-Encoding", encoding),))


def heavy(letter: str) -> Fault:
    """A good answer of 7 MiB in a field that nothing reads, ended by one more letter."""
    data = [row(note="x" * (7 * MIB) + letter)]
    body = {"code": 200, "error": None, "msg": "1 records were found", "data": data}
    reply = Reply(json.dumps(body, ensure_ascii=False).encode())
    wide = ord(letter) > 0xFFFF  # makes four bytes of each letter
    name = f"7 MiB in one field of a good row, {4 if wide else 1} bytes a letter"
    return replace(_reply(name, None, reply), large=96.0 if wide else 16.0)


def low_faults() -> list[Fault]:
    """What goes wrong before a request can be read."""
    return [
        Fault("connection refused", Reason.CONNECT, low=Low.REFUSED),
        Fault("no answer to a connection", Reason.CONNECT, low=Low.SILENT),
        # The reset may be there before the client knows that it is connected.
        Fault(
            "reset right after accept", Reason.INTERRUPTED, low=Low.RESET, also=Reason.CONNECT
        ),
        Fault("closed right after accept", Reason.INTERRUPTED, low=Low.CLOSED),
        Fault("TLS: reset in the handshake", Reason.CONNECT, low=Low.HANDSHAKE),
        Fault("TLS: unknown CA", Reason.CONNECT, low=Low.UNKNOWN),
        Fault("TLS: expired certificate", Reason.CONNECT, low=Low.EXPIRED),
        Fault("TLS: certificate of another host", Reason.CONNECT, low=Low.STRANGER),
        Fault("name that does not resolve (.invalid)", Reason.CONNECT, low=Low.NAME),
    ]


def _breaks() -> list[Fault]:
    stages = {
        "after the request": b"",
        "after the status line": STATUS_LINE,
        "within the headers": HEAD[:40],
        "after the headers": HEAD,
        "within the body": WHOLE[:-9],
    }
    return [
        Fault(f"{how} {stage}", Reason.INTERRUPTED, cut(data, reset=how == "reset"))
        for stage, data in stages.items()
        for how in ("reset", "closed")
    ]


def _slow() -> list[Fault]:
    return [
        Fault("stalls before the headers", Reason.TIMEOUT, stalls(b"")),
        Fault("stalls within the headers", Reason.TIMEOUT, stalls(STATUS_LINE)),
        Fault("stalls after the headers", Reason.TIMEOUT, stalls(HEAD)),
        Fault("stalls within the body", Reason.TIMEOUT, stalls(WHOLE[:-9])),
        Fault("headers drip", Reason.TIMEOUT, drips(STATUS_LINE, b"X-A: b\r\n")),
        Fault("body drips", Reason.TIMEOUT, drips(HEAD, BODY)),
    ]


def _large() -> list[Fault]:
    length = STATUS_LINE + b"Content-Length: %d\r\n\r\n" % ENDLESS
    chunked = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
    large = [
        Fault("300 MiB with their length", Reason.TOO_LARGE, floods(length, ENDLESS)),
        Fault("300 MiB in chunks", Reason.TOO_LARGE, floods(chunked, ENDLESS, chunked=True)),
        _reply("gzip bomb (300 MiB)", Reason.TOO_LARGE, _bomb("gzip")),
        _reply("deflate bomb (300 MiB)", Reason.TOO_LARGE, _bomb("deflate")),
    ]
    return [replace(fault, large=16.0) for fault in large]


def _forbidden() -> list[Fault]:
    return [
        _reply("403 TOKEN LIMIT EXCEEDED", Reason.QUOTA, refused("TOKEN LIMIT EXCEEDED")),
        _reply(
            "403 PLEASE VALIDATE TOKEN", Reason.UNAUTHORIZED, refused("PLEASE VALIDATE TOKEN")
        ),
        _reply("HTTP 401", Reason.UNAUTHORIZED, _page(401)),
        _reply(
            "403 simultaneous requests",
            Reason.CONCURRENCY,
            refused("EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS"),
        ),
        _reply("403 maintenance", Reason.FORBIDDEN, refused("API DISABLED FOR MAINTENANCE")),
        _reply("403 with a page of HTML", Reason.FORBIDDEN, _page(403)),
    ]


def _broken() -> list[Fault]:
    deep = b'{"code": 200, "msg": "", "data": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    half = gzip.compress(BODY)[:-12]
    return [
        _reply("HTML with HTTP 200", Reason.MALFORMED, _page(200)),
        _reply("HTML with HTTP 502", Reason.HTTP, _page(502)),
        _reply("truncated JSON", Reason.MALFORMED, Reply(BODY[:-20])),
        _reply("JSON 200,000 levels deep", Reason.MALFORMED, Reply(deep)),
        _reply(
            "truncated gzip",
            Reason.MALFORMED,
            Reply(half, headers=(("Content-Encoding", "gzip"),)),
        ),
        _reply("an empty body", Reason.MALFORMED, Reply(b"")),
        _reply("an error within HTTP 200", Reason.HTTP, _envelope(code="500", error="ERROR")),
    ]


def _harmless() -> list[Fault]:
    return [
        _reply("good JSON called text/html", None, Reply(BODY, headers=HTML)),
        Fault("connection closed while idle", None, _hangs_up_later),
        Fault("connection closed with the answer", None, _hangs_up_at_once),
    ]


def single_faults() -> list[Fault]:
    """Every fault that a request can meet, one by one; those below HTTP are not among them."""
    faults = [*_breaks(), *_slow(), *_forbidden(), *_broken(), *_large(), *_harmless()]
    return [*faults, heavy("x")]


def groups() -> list[Group]:
    """The rows of the matrix."""
    empty = (
        _reply(
            "404 Validate dates entered", None, refused("Validate dates entered", status=404)
        ),
        _reply("404 zero records", None, refused("0 records were found", status=404)),
        _reply("200 without data", None, _envelope(msg="0 records were found", data=None)),
    )
    lost = (
        _reply("404 of HTML", Reason.NOT_FOUND, _page(404)),
        _reply("404 of JSON", Reason.NOT_FOUND, refused("THE API DOES NOT EXIST", status=404)),
    )
    fives = _statuses(
        Reason.HTTP, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 522, 524, 599
    )
    odd = _statuses(Reason.HTTP, 206, 405, 418, 429, 451)
    return [
        *(Group(fault.name, (fault,)) for fault in [*low_faults(), *single_faults()]),
        *(Group(fault.name, (fault,)) for fault in [heavy("\N{GRINNING FACE}")]),
        Group("redirect (301, 302, 303, 307, 308) to another host", _redirects()),
        Group(f"each 5xx ({_listed(fives)})", fives),
        Group(f"other statuses ({_listed(odd)})", odd),
        Group("HTTP 400", _statuses(Reason.BAD_REQUEST, 400)),
        Group("404 that means: no rows (three forms)", empty),
        Group("any other 404 (two forms)", lost),
    ]


def _listed(faults: Sequence[Fault]) -> str:
    return ", ".join(fault.name.removeprefix("HTTP ") for fault in faults)
