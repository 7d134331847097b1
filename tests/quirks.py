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


def _one(name: str, row: object, *channels: str, **more: object) -> Quirk:
    """A good answer of one row."""
    return _good(name, envelope([row]), *channels, **more)


def _cell(name: str, column: str, value: object) -> Quirk:
    """A good row with one cell that cannot be read."""
    return _one(name, cells(**{column: value}), lost=(column,))


def _told(
    name: str,
    expect: Reason | Literal["no rows"],
    msg: str,
    status: int = 403,
    *,
    code: object = None,
    encoding: str = "",
) -> Quirk:
    """What the API says without data; its code is the status where none is given."""
    headers = (JSON, ("Content-Encoding", encoding)) if encoding else (JSON,)
    said = {400: "BAD REQUEST", 401: "UNAUTHORIZED", 404: "NOT FOUND"}.get(status, "FORBIDDEN")
    return Quirk(name, expect, error(code or status, msg, said), status, headers)


_GOOD = envelope([cells()])
_FULL = "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)"
_DATES, _SPENT, _WRONG = (
    "Validate dates entered",
    "TOKEN LIMIT EXCEEDED",
    "PLEASE VALIDATE TOKEN",
)
_BLANK = dict.fromkeys(cells(), "")
_DEEP = b"[" * 300 + b"]" * 300
_RAW = zlib.compressobj(wbits=-15)
_RAW_DEFLATE = _RAW.compress(_GOOD) + _RAW.flush()
_ACCENTS = envelope([cells(asa="18", name="Atención")]).replace(b"\\u00f3", "ó".encode())
_LATIN = _ACCENTS.replace("ó".encode(), b"\xf3")
_MANY = [cells(f"chat-{number}") for number in range(70)]
_ODD_ENCODINGS = ("identity", "UTF-8", "none", "binary", "br", "utf-8, identity")

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
    _one("unknown columns", cells(services_time="15", nested={"a": [1]})),
    _one("unknown channel", cells("chat-hologram"), "chat-hologram"),
    _one("channel keeps its case", cells("chat-transferSkill"), "chat-transferSkill"),
    _one("channel with blanks around", cells("  chat-web "), "chat-web"),
    _one("empty channel", cells(""), "unknown"),
    _one("null channel", cells(None), "unknown"),
    _one("channel with a line break", cells("in\nbound"), "in\ufffdbound"),
    _one("channel with a lone surrogate", cells("\ud800"), "\ufffd"),
    _one("channel that is a list", cells(["x"]), "unknown", lost=("type_interaction",)),
    _good("two rows of a channel", envelope([cells(), cells()])),
    _good("the vendor's blank sample", envelope([_BLANK, cells()])),
    _good("a row that is null", envelope([None, cells()]), lost=("row",)),
    _good("a row that is a list", envelope([[1, 2], cells()]), lost=("row",)),
    _good("70 channels", envelope(_MANY), *(f"chat-{n}" for n in range(64)), dropped=6),
    _good("a channel of 129 characters", envelope([cells("x" * 129), cells()]), dropped=1),
    _one("a channel of 128 characters", cells("x" * 128), "x" * 128),
    _one("all cells blank", dict.fromkeys(cells(), " ") | {"type_interaction": "a"}, "a"),
    _one("cells missing", {"type_interaction": "chat-web"}, "chat-web"),
    _one("thousands", cells(inbound_calls="1,172", abandon="15,233.33 %")),
    _one("times as clocks", cells(asa="1:02:03", ata="00:04")),
    _one("numbers instead of strings", cells(inbound_calls=67, asa=18.5, abandon=1.49)),
    _good("duplicate keys", b'{"code":500,' + _GOOD[1:]),
    _good("byte order mark", b"\xef\xbb\xbf" + _GOOD),
    _good("two byte order marks and a blank line", b"\xef\xbb\xbf\xef\xbb\xbf\r\n" + _GOOD),
    _good("UTF-16", _GOOD.decode().encode("utf-16")),
    _good("accents in UTF-8", _ACCENTS),
    _good("latin-1 not declared", _LATIN),
    *(
        _good(name, _LATIN, headers=(("Content-Type", content_type),))
        for name, content_type in (
            ("latin-1 declared", "text/json; charset=iso-8859-1"),
            ("latin-1 declared as nonsense", "a/b; charset=cp9"),
        )
    ),
    _good("JSON sent as HTML", _GOOD, headers=(HTML,)),
    _good("no content type", _GOOD, headers=()),
    _good("300 levels in an unknown column", _GOOD.replace(b'"67"', b'"67", "deep": ' + _DEEP)),
    _good("gzip that no header names", _packed(_GOOD)),
    *(
        _good(name, body, headers=(JSON, ("Content-Encoding", encoding)))
        for name, body, encoding in (
            ("gzip", _packed(_GOOD), "gzip"),
            ("gzip in two members", _packed(_GOOD[:9]) + _packed(_GOOD[9:]), "gzip"),
            ("gzip, identity", _packed(_GOOD), "gzip, identity"),
            ("deflate", zlib.compress(_GOOD), "deflate"),
            ("deflate without its frame", _RAW_DEFLATE, "deflate"),
            *((f"encoding {name}", _GOOD, name) for name in _ODD_ENCODINGS),
        )
    ),
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
    _told("404 about dates", "no rows", _DATES, 404),
    _told("404 about dates, code as a string", "no rows", _DATES.upper(), 404, code="404"),
    _told("404 about dates with code 200", "no rows", _DATES, 404, code=200),
    _told("404 about dates inside a 200", "no rows", _DATES, 200, code=404),
    _told("404 about dates, encoding UTF-8", "no rows", _DATES, 404, encoding="UTF-8"),
    _told("404 in Spanish", "no rows", "Validar las fechas", 404),
    _told("404 with zero records", "no rows", "0 records were found", 404),
    *(
        Quirk(name, "no rows", body, status)
        for name, body, status in (
            ("404 about dates without a code", b'{"msg":"Validate dates entered"}', 404),
            ("empty list", envelope([]), 200),
            ("empty list without a message", envelope([], msg=""), 200),
            ("null data", envelope(None), 200),
            ("empty object", envelope({}), 200),
            ("empty string", envelope(""), 200),
            ("missing data", error(200, "0 records were found", None), 200),
            ("a message without a number", envelope([], msg=" records were found"), 200),
            ('code "0"', envelope([], code="0", msg=" records were found"), 200),
        )
    ),
)

ERRORS: Final = (
    _told("unknown api", Reason.BAD_REQUEST, "THE API YOU WANT TO CONSULT DOES NOT EXIST", 400),
    _told("missing parameter", Reason.BAD_REQUEST, "SOME PARAMETERS ARE REQUIRED", 400),
    _told("no token", Reason.UNAUTHORIZED, "PLEASE ENTER THE WOLKVOX-TOKEN", 401),
    _told("quota", Reason.QUOTA, _SPENT),
    _told("quota in lower case", Reason.QUOTA, _SPENT.lower(), code="403"),
    _told("quota inside a 200", Reason.QUOTA, _SPENT, 200, code=403),
    _told("quota with code 200", Reason.QUOTA, _SPENT, 200),
    Quirk("quota with an empty list", Reason.QUOTA, envelope([], msg=_SPENT)),
    _told("quota as 429", Reason.QUOTA, _SPENT, 429),
    _told("quota, encoding UTF-8", Reason.QUOTA, _SPENT, encoding="UTF-8"),
    _told("quota, not gzip as its header says", Reason.QUOTA, _SPENT, encoding="gzip"),
    Quirk("quota in gzip", Reason.QUOTA, _packed(error(403, _SPENT)), 403, (JSON, GZIP)),
    Quirk(
        "403 in gzip cut short",
        Reason.FORBIDDEN,
        _packed(error(403, _SPENT))[:-12],
        403,
        (JSON, GZIP),
    ),
    _told("concurrency", Reason.CONCURRENCY, _FULL),
    _told("concurrency inside a 200", Reason.CONCURRENCY, _FULL, 200, code="403"),
    _told("invalid token", Reason.UNAUTHORIZED, _WRONG),
    _told("invalid token inside a 200", Reason.UNAUTHORIZED, _WRONG.title(), 200, code=403),
    _told("invalid token under 404", Reason.UNAUTHORIZED, _WRONG, 404),
    _told("maintenance", Reason.FORBIDDEN, "SERVER UNDER MAINTENANCE"),
    Quirk("403 as HTML", Reason.FORBIDDEN, b"<h1>TOKEN LIMIT</h1>", 403, (HTML,)),
    _told("404 of an absent endpoint", Reason.NOT_FOUND, "NOT AVAILABLE", 404),
    Quirk("404 as HTML", Reason.NOT_FOUND, b"<h1>Validate dates entered</h1>", 404, (HTML,)),
    _told("404 that counts records", Reason.NOT_FOUND, "5 records were found", 404),
    Quirk("rows under a 404", Reason.NOT_FOUND, _GOOD, 404),
    Quirk("rows under a 500", Reason.HTTP, _GOOD, 500),
    Quirk("500 as HTML", Reason.HTTP, b"<h1>Internal Server Error</h1>", 500, (HTML,)),
    _told("500 inside a 200", Reason.HTTP, "INTERNAL", 200, code="500"),
    Quirk("503 without a body", Reason.HTTP, b"", 503, ()),
    Quirk("502 with broken gzip", Reason.HTTP, b"<h1>Bad gateway</h1>", 502, (HTML, GZIP)),
    _told("429", Reason.HTTP, "TOO MANY REQUESTS", 429),
    Quirk("418", Reason.HTTP, b"", 418, ()),
    Quirk("202 with rows", Reason.HTTP, _GOOD, 202),
    Quirk("code 202 inside a 200", Reason.HTTP, envelope([cells()], code=202)),
    Quirk("redirect", Reason.REDIRECT, b"", 302, (("Location", "http://127.0.0.1:1/login"),)),
    Quirk("redirect to nonsense", Reason.REDIRECT, b"", 301, (("Location", "http://[::"),)),
    _told("code 302 inside a 200", Reason.REDIRECT, "MOVED", 200, code=302),
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

_MEBIBYTE = bytes(1024 * 1024)
_BOMB = zlib.compressobj(1)
_FIRST, _NEXT = (_BOMB.compress(_MEBIBYTE) + _BOMB.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
TOO_LARGE: Final = (
    Quirk("9 MiB", Reason.TOO_LARGE, b" " * (9 * 1024 * 1024)),
    Quirk("gzip bomb", Reason.TOO_LARGE, _packed(_MEBIBYTE, 1) * 64, headers=(JSON, GZIP)),
    Quirk("deflate bomb", Reason.TOO_LARGE, _FIRST + _NEXT * 63, headers=(JSON, DEFLATE)),
)

QUIRKS: Final[Sequence[Quirk]] = GOOD + NO_ROWS + ERRORS + MALFORMED + TOO_LARGE
