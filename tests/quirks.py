"""Odd answers of the API and what each must become; the bytes are as they go over the wire.

Used by the tests of the reading functions and, served over a real socket, end to end.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from exporter.errors import Reason

JSON: Final = ("Content-Type", "application/json; charset=utf-8")
HTML: Final = ("Content-Type", "text/html; charset=utf-8")
GZIP: Final = ("Content-Encoding", "gzip")
_packed = partial(gzip.compress, mtime=0)  # the same bytes at every hour
UTF8: Final = ("Content-Encoding", "UTF-8")
DEFLATE: Final = ("Content-Encoding", "deflate")


@dataclass(frozen=True, slots=True)
class Quirk:
    """One answer; `lost` names the cells counted as unreadable, in the answer's order."""

    name: str
    expect: Reason | Literal["rows", "no rows"]
    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (JSON,)
    channels: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    dropped: int = 0


def cells(channel: object = "inbound", **changes: object) -> dict[str, object]:
    """One row as the API writes it: strings only."""
    row: dict[str, object] = {
        "type_interaction": channel,
        "inbound_calls": "67",
        "answer_calls": "66",
        "abandon_calls": "1",
        "service_level_10seg": "50.75 %",
        "service_level_20seg": "65.67 %",
        "service_level_30seg": "71.64 %",
        "abandon": "1.49 %",
        "asa": "18",
        "ata": "4",
    }
    return row | changes


def envelope(data: object, *, code: object = 200, msg: object = None, **more: object) -> bytes:
    """A success; the message counts the rows unless another one is given."""
    count = len(data) if isinstance(data, list) else int(bool(data))
    text = f"{count} records were found" if msg is None else msg
    return json.dumps({"code": code, "error": None, "msg": text, "data": data} | more).encode()


def error(code: object, msg: str, name: str | None = "FORBIDDEN") -> bytes:
    """An error as the API writes it: without data."""
    return json.dumps({"code": code, "error": name, "msg": msg}).encode()


def _good(name: str, body: bytes, *channels: str, **more: object) -> Quirk:
    return Quirk(name, "rows", body, channels=channels or ("inbound",), **more)  # type: ignore[arg-type]


def _cell(name: str, column: str, value: object) -> Quirk:
    """A good row with one cell that cannot be read."""
    return _good(name, envelope([cells(**{column: value})]), lost=(column,))


_GOOD = envelope([cells()])
_FULL = "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"
_BLANK = dict.fromkeys(cells(), "")
_DEEP = b"[" * 300 + b"]" * 300
_RAW = zlib.compressobj(wbits=-15)
_RAW_DEFLATE = _RAW.compress(_GOOD) + _RAW.flush()
_ACCENTS = envelope([cells(asa="18", name="Atención")]).replace(b"\\u00f3", "ó".encode())
_LATIN = _ACCENTS.replace("ó".encode(), b"\xf3")
_MANY = [cells(f"chat-{number}") for number in range(70)]

GOOD: Final = (
    _good("plain", _GOOD),
    _good("code as a string", envelope([cells()], code="200")),
    _good("code with blanks", envelope([cells()], code=" 200 ")),
    _good("code as a float", envelope([cells()], code=200.0)),
    _good("error is the string null", envelope([cells()], error="null")),
    _good("message with leading blanks", envelope([cells()], msg="  1 records were found")),
    _good("message that counts wrongly", envelope([cells()], msg="7 records were found")),
    _good("no message", envelope([cells()], msg="")),
    _good("message is a number", envelope([cells()], msg=5)),
    _good("message with a lone surrogate", envelope([cells()], msg="1 records \ud800")),
    _good("data as one object", envelope(cells())),
    _good("unknown columns", envelope([cells(services_time="15", nested={"a": [1]})])),
    _good("unknown channel", envelope([cells("chat-hologram")]), "chat-hologram"),
    _good(
        "channel keeps its case", envelope([cells("chat-transferSkill")]), "chat-transferSkill"
    ),
    _good("channel with blanks around", envelope([cells("  chat-web ")]), "chat-web"),
    _good("empty channel", envelope([cells("")]), "unknown"),
    _good("null channel", envelope([cells(None)]), "unknown"),
    _good("channel with a line break", envelope([cells("in\nbound")]), "in\ufffdbound"),
    _good("channel with a lone surrogate", envelope([cells("\ud800")]), "\ufffd"),
    _good(
        "channel that is a list",
        envelope([cells(["x"])]),
        "unknown",
        lost=("type_interaction",),
    ),
    _good("two rows of a channel", envelope([cells(), cells()])),
    _good("the vendor's blank sample", envelope([_BLANK, cells()])),
    _good("a row that is null", envelope([None, cells()]), lost=("row",)),
    _good("a row that is a list", envelope([[1, 2], cells()]), lost=("row",)),
    _good("70 channels", envelope(_MANY), *(f"chat-{n}" for n in range(64)), dropped=6),
    _good("a channel of 129 characters", envelope([cells("x" * 129), cells()]), dropped=1),
    _good("a channel of 128 characters", envelope([cells("x" * 128)]), "x" * 128),
    _good(
        "all cells blank",
        envelope([dict.fromkeys(cells(), " ") | {"type_interaction": "a"}]),
        "a",
    ),
    _good("cells missing", envelope([{"type_interaction": "chat-web"}]), "chat-web"),
    _good("thousands", envelope([cells(inbound_calls="1,172", abandon="15,233.33 %")])),
    _good("times as clocks", envelope([cells(asa="1:02:03", ata="00:04")])),
    _good(
        "numbers instead of strings",
        envelope([cells(inbound_calls=67, asa=18.5, abandon=1.49)]),
    ),
    _good(
        "duplicate keys",
        b'{"code":500,"code":200,"data":[' + json.dumps(cells()).encode() + b"]}",
    ),
    _good("byte order mark", b"\xef\xbb\xbf" + _GOOD),
    _good("two byte order marks and a blank line", b"\xef\xbb\xbf\xef\xbb\xbf\r\n" + _GOOD),
    _good("UTF-16", _GOOD.decode().encode("utf-16")),
    _good("accents in UTF-8", _ACCENTS),
    _good(
        "latin-1 declared", _LATIN, headers=(("Content-Type", "text/json; charset=iso-8859-1"),)
    ),
    _good("latin-1 not declared", _LATIN),
    _good(
        "latin-1 declared as nonsense", _LATIN, headers=(("Content-Type", "a/b; charset=cp9"),)
    ),
    _good("JSON sent as HTML", _GOOD, headers=(HTML,)),
    _good("no content type", _GOOD, headers=()),
    _good("300 levels in an unknown column", _GOOD.replace(b'"67"', b'"67", "deep": ' + _DEEP)),
    _good("gzip", _packed(_GOOD), headers=(JSON, GZIP)),
    _good(
        "gzip in two members",
        _packed(_GOOD[:9]) + _packed(_GOOD[9:]),
        headers=(JSON, GZIP),
    ),
    _good("gzip that no header names", _packed(_GOOD)),
    *(
        _good(f"encoding {name}", _GOOD, headers=(JSON, ("Content-Encoding", name)))
        for name in ("identity", "UTF-8", "none", "binary", "br", "utf-8, identity")
    ),
    _good(
        "gzip, identity", _packed(_GOOD), headers=(JSON, ("Content-Encoding", "gzip, identity"))
    ),
    _good("deflate", zlib.compress(_GOOD), headers=(JSON, DEFLATE)),
    _good("deflate without its frame", _RAW_DEFLATE, headers=(JSON, DEFLATE)),
    _cell("decimal comma", "service_level_20seg", "65,67 %"),
    _cell("negative count", "inbound_calls", "-5"),
    _cell("fraction of an interaction", "answer_calls", "6.5"),
    _cell("not a number", "abandon", "nan"),
    _cell("NaN without quotes", "asa", float("nan")),
    _cell("Infinity without quotes", "ata", float("inf")),
    _cell("a dash", "asa", "-"),
    _cell("true as a count", "inbound_calls", True),
    _cell("a list in a cell", "abandon_calls", ["1"]),
    _cell("an object in a cell", "asa", {"s": 1}),
    _cell("a clock of 75 seconds", "asa", "00:75"),
    _cell("Arabic digits", "inbound_calls", "٣"),
    _cell("a number beyond floats", "inbound_calls", "1" * 400),
    _good("1e400", _GOOD.replace(b'"18"', b"1e400"), lost=("asa",)),
    _good("5,000 digits", _GOOD.replace(b'"67"', b"9" * 5000), lost=("inbound_calls",)),
)

NO_ROWS: Final = (
    Quirk("404 about dates", "no rows", error(404, "Validate dates entered", "NOT FOUND"), 404),
    Quirk(
        "404 about dates, code as a string",
        "no rows",
        error("404", "VALIDATE DATES ENTERED"),
        404,
    ),
    Quirk(
        "404 about dates without a code", "no rows", b'{"msg":"Validate dates entered"}', 404
    ),
    Quirk(
        "404 about dates with code 200", "no rows", error(200, "Validate dates entered"), 404
    ),
    Quirk("404 about dates inside a 200", "no rows", error(404, "Validate dates entered")),
    Quirk(
        "404 about dates, encoding UTF-8",
        "no rows",
        error(404, "Validate dates entered"),
        404,
        (JSON, UTF8),
    ),
    Quirk("404 in Spanish", "no rows", error(404, "Validar las fechas"), 404),
    Quirk("404 with zero records", "no rows", error(404, "0 records were found"), 404),
    Quirk("empty list", "no rows", envelope([])),
    Quirk("empty list without a message", "no rows", envelope([], msg="")),
    Quirk("null data", "no rows", envelope(None)),
    Quirk("empty object", "no rows", envelope({})),
    Quirk("empty string", "no rows", envelope("")),
    Quirk("missing data", "no rows", b'{"code":200,"error":null,"msg":"0 records were found"}'),
    Quirk("a message without a number", "no rows", envelope([], msg=" records were found")),
    Quirk(
        'code "0" without a number',
        "no rows",
        envelope([], code="0", msg=" records were found"),
    ),
)

ERRORS: Final = (
    Quirk(
        "unknown api",
        Reason.BAD_REQUEST,
        error(400, "THE API YOU WANT TO CONSULT DOES NOT EXIST", "BAD REQUEST"),
        400,
    ),
    Quirk(
        "missing parameter",
        Reason.BAD_REQUEST,
        error(400, "SOME PARAMETERS ARE REQUIRED", "BAD REQUEST"),
        400,
    ),
    Quirk(
        "no token",
        Reason.UNAUTHORIZED,
        error(401, "PLEASE ENTER THE WOLKVOX-TOKEN", "UNAUTHORIZED"),
        401,
    ),
    Quirk("quota", Reason.QUOTA, error(403, "TOKEN LIMIT EXCEEDED"), 403),
    Quirk("quota in lower case", Reason.QUOTA, error("403", "token limit exceeded"), 403),
    Quirk("quota inside a 200", Reason.QUOTA, error(403, "TOKEN LIMIT EXCEEDED")),
    Quirk("quota with code 200", Reason.QUOTA, error(200, "TOKEN LIMIT EXCEEDED")),
    Quirk("quota with an empty list", Reason.QUOTA, envelope([], msg="TOKEN LIMIT EXCEEDED")),
    Quirk("quota as 429", Reason.QUOTA, error(429, "TOKEN LIMIT EXCEEDED"), 429),
    Quirk(
        "quota, encoding UTF-8",
        Reason.QUOTA,
        error(403, "TOKEN LIMIT EXCEEDED"),
        403,
        (JSON, UTF8),
    ),
    Quirk(
        "quota, not gzip as its header says",
        Reason.QUOTA,
        error(403, "TOKEN LIMIT EXCEEDED"),
        403,
        (JSON, GZIP),
    ),
    Quirk(
        "quota in gzip",
        Reason.QUOTA,
        _packed(error(403, "TOKEN LIMIT EXCEEDED")),
        403,
        (JSON, GZIP),
    ),
    Quirk(
        "403 in gzip cut short",
        Reason.FORBIDDEN,
        _packed(error(403, "TOKEN LIMIT EXCEEDED"))[:-12],
        403,
        (JSON, GZIP),
    ),
    Quirk("concurrency", Reason.CONCURRENCY, error(403, _FULL), 403),
    Quirk("concurrency inside a 200", Reason.CONCURRENCY, error("403", _FULL)),
    Quirk("invalid token", Reason.UNAUTHORIZED, error(403, "PLEASE VALIDATE TOKEN"), 403),
    Quirk(
        "invalid token inside a 200", Reason.UNAUTHORIZED, error(403, "Please validate token")
    ),
    Quirk(
        "invalid token under 404", Reason.UNAUTHORIZED, error(404, "PLEASE VALIDATE TOKEN"), 404
    ),
    Quirk("maintenance", Reason.FORBIDDEN, error(403, "SERVER UNDER MAINTENANCE"), 403),
    Quirk("403 as HTML", Reason.FORBIDDEN, b"<h1>TOKEN LIMIT</h1>", 403, (HTML,)),
    Quirk(
        "404 of an absent endpoint",
        Reason.NOT_FOUND,
        error(404, "NOT AVAILABLE", "NOT FOUND"),
        404,
    ),
    Quirk("404 as HTML", Reason.NOT_FOUND, b"<h1>Validate dates entered</h1>", 404, (HTML,)),
    Quirk("404 that counts records", Reason.NOT_FOUND, error(404, "5 records were found"), 404),
    Quirk("rows under a 404", Reason.NOT_FOUND, _GOOD, 404),
    Quirk("rows under a 500", Reason.HTTP, _GOOD, 500),
    Quirk("500 as HTML", Reason.HTTP, b"<h1>Internal Server Error</h1>", 500, (HTML,)),
    Quirk("500 inside a 200", Reason.HTTP, error("500", "INTERNAL", "ERROR")),
    Quirk("503 without a body", Reason.HTTP, b"", 503, ()),
    Quirk("502 with broken gzip", Reason.HTTP, b"<h1>Bad gateway</h1>", 502, (HTML, GZIP)),
    Quirk("429", Reason.HTTP, error(429, "TOO MANY REQUESTS"), 429),
    Quirk("418", Reason.HTTP, b"", 418, ()),
    Quirk("202 with rows", Reason.HTTP, _GOOD, 202),
    Quirk("code 202 inside a 200", Reason.HTTP, envelope([cells()], code=202)),
    Quirk("redirect", Reason.REDIRECT, b"", 302, (("Location", "http://127.0.0.1:1/login"),)),
    Quirk("redirect to nonsense", Reason.REDIRECT, b"", 301, (("Location", "http://[::"),)),
    Quirk("code 302 inside a 200", Reason.REDIRECT, error(302, "MOVED", "MOVED")),
    Quirk("redirect without a target", Reason.REDIRECT, b"", 307, ()),
)

MALFORMED: Final = tuple(
    Quirk(name, Reason.MALFORMED, body)
    for name, body in (
        ("empty body", b""),
        ("HTML", b"<!DOCTYPE html><title>Login</title>"),
        ("cut JSON", _GOOD[:-20]),
        ("text after the JSON", _GOOD + b"<br>"),
        ("a warning before the JSON", b"Warning: foo in bar.php<br>" + _GOOD),
        ("JSON in single quotes", _GOOD.replace(b'"', b"'")),
        ("a list", b"[]"),
        ("a string", b'"TOKEN LIMIT EXCEEDED"'),
        ("a number", b"200"),
        ("null", b"null"),
        ("NaN", b"NaN"),
        ("an empty object", b"{}"),
        ("binary", bytes(range(256))),
        ("no code", b'{"data":[' + json.dumps(cells()).encode() + b"]}"),
        ("empty code", envelope([cells()], code="")),
        ("null code", envelope([cells()], code=None)),
        ("code 0 with rows", envelope([cells()], code="0")),
        ("code true", envelope([cells()], code=True)),
        ("code OK", envelope([cells()], code="OK")),
        ("code of 5,000 digits", _GOOD.replace(b"200", b"2" * 5000)),
        ("data is a string", envelope("rows")),
        ("data is a number", envelope(5)),
        ("data without any object", envelope([1, None, "x"])),
        ("no rows although some are counted", envelope([], msg="5 records were found")),
        ("null although some are counted", envelope(None, msg="1,172 records were found")),
        ("nothing counted, nothing sent", b'{"code":200,"error":null,"msg":"OK"}'),
        ("an error without rows", envelope([], msg="?", error="FORBIDDEN")),
        ("100,000 levels", b"[" * 100_000),
        ("100,000 closed levels of objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("8 MiB of open brackets", b"[" * (8 * 1024 * 1024)),
        ("2 million empty rows", b'{"code":200,"data":[' + b"{}," * 2_000_000 + b"{}]}"),
    )
) + tuple(
    Quirk(name, Reason.MALFORMED, body, headers=(JSON, ("Content-Encoding", encoding)))
    for name, encoding, body in (
        ("two encodings", "gzip, gzip", _packed(_packed(_GOOD))),
        ("gzip that is none", "gzip", _GOOD),
        ("gzip cut short", "gzip", _packed(_GOOD)[:-12]),
        ("one byte of gzip", "gzip", b"\x1f"),
        ("gzip with a wrong checksum", "gzip", _packed(_GOOD)[:-8] + b"12345678"),
        ("text after the gzip", "gzip", _packed(_GOOD) + b"<br>"),
        ("a thousand empty members", "gzip", _packed(b"") * 1000),
        ("deflate that is none", "deflate", _GOOD),
        ("text after the deflate", "deflate", zlib.compress(_GOOD) + b"<br>"),
    )
)

TOO_LARGE: Final = (
    Quirk("9 MiB", Reason.TOO_LARGE, b" " * (9 * 1024 * 1024)),
    Quirk(
        "gzip bomb",
        Reason.TOO_LARGE,
        _packed(bytes(64 * 1024 * 1024), 9),
        headers=(JSON, GZIP),
    ),
    Quirk(
        "deflate bomb",
        Reason.TOO_LARGE,
        zlib.compress(bytes(64 * 1024 * 1024), 9),
        headers=(JSON, DEFLATE),
    ),
)

QUIRKS: Final[Sequence[Quirk]] = GOOD + NO_ROWS + ERRORS + MALFORMED + TOO_LARGE
