"""An HTTP answer becomes rows, or raises one WolkvoxError; pure, and no input raises more.

The envelope is `{"code": 200, "error": null, "msg": "3 records were found", "data": […]}`.
`code` comes as a number or a string. A window without interactions is answered with HTTP
404 and the misleading "Validate dates entered". Quota, concurrency and a wrong token are
all 403 and differ by `msg` alone. Errors inside an HTTP 200 are taken as errors.
"""

from __future__ import annotations

import json
import re
from typing import Final

from exporter.errors import Reason, WolkvoxError
from exporter.wolkvox.text import one_line

# Real answers have tens of rows; the API never gives more than 60,000. A few kilobytes of
# gzip can hold millions of empty lists, which would cost hundreds of megabytes as objects.
MAX_VALUES: Final = 400_000
_OK = 200
_NOT_FOUND = 404
_MAX_MESSAGE = 200
_MAX_PREVIEW = 80
_MAX_DIGITS = 300

_BY_MESSAGE = (
    ("TOKEN LIMIT", Reason.QUOTA),
    ("SIMULTANEOUS", Reason.CONCURRENCY),
    ("VALIDATE TOKEN", Reason.UNAUTHORIZED),
)
_BY_STATUS: dict[float, Reason] = {
    _OK: Reason.MALFORMED,  # asked for only where a success could not be read
    400: Reason.BAD_REQUEST,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    _NOT_FOUND: Reason.NOT_FOUND,
}
# The letters around are looked at: "PLEASE VALIDATE TOKEN" is not about a date.
_ABOUT_DATES = re.compile(r"(?<![a-z])(?:dates?|fechas?)(?![a-z])", re.IGNORECASE)
_ABOUT_RECORDS = re.compile(r"\b(?:records?|registros?)\b", re.IGNORECASE)
# A fixed set: some of Python's codecs take quadratic time or are no charsets at all.
_CHARSET = re.compile(
    r"(?i)charset\s*=\s*[\"']?(iso-?8859-\d+|latin-?\d|windows-\d+|cp\d+)(?![\w-])"
)


Rows = tuple[object, ...]
"""The rows of a success as JSON gave them: at least one is an object, or there are none."""


def read_answer(status: int, content_type: str | None, body: bytes) -> Rows:
    """The rows of an answer, from its HTTP status, Content-Type and decoded body.

    Both the status and the envelope's code must say success. Raises WolkvoxError, whose
    detail is not yet free of secrets: an error in the envelope is told by its code and
    message; where there is no envelope, by the HTTP status.
    """
    text, envelope = _read_json(body, content_type)
    if not isinstance(envelope, dict):
        kind = one_line(content_type or "no content type", _MAX_PREVIEW)
        shown = one_line(text, _MAX_PREVIEW) or "empty"
        detail = f"HTTP {status}, {kind}, not a JSON object: {shown}"
        raise WolkvoxError(_reason(status), detail)
    texts = (envelope.get(key) for key in ("msg", "error"))
    said = (one_line(text, _MAX_MESSAGE) for text in texts if isinstance(text, str))
    message = next(filter(None, said), "")
    code = envelope.get("code")
    shown_code = type(code).__name__ if isinstance(code, list | dict) else repr(code)
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,9}", code.strip()):
        code = int(code)
    elif not isinstance(code, int | float):
        code = None
    # A 404 is the API's odd way to say "nothing in this window".
    if (
        status in (_OK, _NOT_FOUND)
        and _NOT_FOUND in (status, code)
        and (_ABOUT_DATES.search(message) or _counted(message) == 0)
    ):
        return ()
    # The envelope's own status tells the failure before that of HTTP.
    told = code if code is not None and 100 <= code <= 599 and code != _OK else status
    detail = ""
    if told == _OK:
        rows = _read_data(envelope, message)
        # The sample with code "0" has no number before " records were found" either: empty.
        if rows is not None and (code == _OK or (code == 0 == _counted(message) and not rows)):
            return rows
        detail = "; wrong envelope"
    shown = f"HTTP {status}, code {one_line(shown_code, 20)}: {message or 'no message'}{detail}"
    raise WolkvoxError(_by_message(message) or _reason(told), shown)


def _read_data(envelope: dict[str, object], message: str) -> Rows | None:
    """The rows of a success; None where `data` is wrong or contradicts the message."""
    data = envelope.get("data")
    if isinstance(data, dict) and data:
        return (data,)
    if isinstance(data, list) and data:
        return tuple(data) if any(isinstance(row, dict) for row in data) else None
    error = envelope.get("error")  # "null" is none
    complains = isinstance(error, str) and error.strip().lower() not in ("", "null")
    if complains or _by_message(message) is not None:
        return None  # an error in disguise
    if isinstance(data, list):
        # An empty list speaks for itself, unless the message counts some.
        return None if _counted(message) else ()
    nothing = data is None or data == {} or (isinstance(data, str) and not data.strip())
    return () if nothing and _counted(message) == 0 else None


def _counted(message: str) -> int | None:
    """How many records the message reports; 0 where it names none, None if not about it."""
    if not _ABOUT_RECORDS.search(message):
        return None
    number = re.search(r"[0-9][0-9.,]*", message)
    return int(re.sub(r"[.,]", "", number[0])[:_MAX_DIGITS]) if number else 0


def _by_message(message: str) -> Reason | None:
    return next((reason for part, reason in _BY_MESSAGE if part in message.upper()), None)


def _reason(status: float) -> Reason:
    if 300 <= status < 400:
        return Reason.REDIRECT
    return _BY_STATUS.get(status, Reason.HTTP)


def _read_json(body: bytes, content_type: str | None) -> tuple[str, object]:
    """The body as text: UTF-8 (or 16, 32) where it is that, else as declared, else mended.

    And its JSON value, or None where it is none, is too deep or has too many values.
    """
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        declared = _CHARSET.search(content_type or "")
        try:
            text = body.decode(declared[1] if declared else "utf-8", "replace")
        except LookupError:
            text = body.decode("utf-8", "replace")
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        return text, None
    try:
        return text, json.loads(
            # PHP sends the byte order mark of every file it includes.
            text.lstrip("\ufeff \t\r\n"),
            # Python refuses to convert more digits.
            parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else digits,
            # NaN and Infinity are no JSON: as strings they cost their cell, not the answer.
            parse_constant=str,
        )
    except (ValueError, RecursionError):
        return text, None
