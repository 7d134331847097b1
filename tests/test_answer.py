"""Reading an HTTP answer: envelopes, codes, messages and charsets, and any bytes at all."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Reason, WolkvoxError
from exporter.wolkvox.answer import MAX_VALUES, Rows, read_answer
from exporter.wolkvox.report import read_report
from tests.quirks import cells, envelope, error

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*cells(), "code", "data"]), inner, max_size=6)
    ),
    max_leaves=12,
)


def read(status: int, body: bytes, content_type: str | None = None) -> Rows | WolkvoxError:
    """The rows of an answer, or the error that it raises."""
    try:
        return read_answer(status, content_type, body)
    except WolkvoxError as failure:
        return failure


def reason(status: int, body: bytes, content_type: str | None = None) -> Reason | None:
    """Why an answer has no rows; None where it is a success."""
    answer = read(status, body, content_type)
    return answer.reason if isinstance(answer, WolkvoxError) else None


def detail(status: int, body: bytes, content_type: str | None = None) -> str:
    """What the log says of an answer."""
    answer = read(status, body, content_type)
    assert isinstance(answer, WolkvoxError)
    return answer.detail


def agent(body: bytes, content_type: str | None = None) -> Any:
    """The cell `agent` of the only row of a success."""
    (row,) = read_answer(200, content_type, body)
    assert isinstance(row, dict)
    return row["agent"]


def test_the_detail_is_one_short_line() -> None:
    """A message cannot forge log lines nor fill the disk."""
    shown = detail(403, error(403, "no\r\nlevel=info \x1b[31m \ud800" + "x" * 9999))

    assert shown.startswith("HTTP 403, code 403: no level=info [31m xxx")
    assert len(shown) < 250
    assert shown.isprintable()


def test_the_detail_shows_any_code() -> None:
    """A code of any kind is shown in a few characters."""
    for code, shown in (
        ("4\n03", r"'4\n03'"), ("4" * 10, "'4444444444'"), ("4" * 30, "'" + "4" * 18 + "…"),
        (None, "None"), (10**9, "1000000000"), (10**200, "1" + "0" * 18 + "…"), ([], "list"),
        (1.5, "1.5"),
    ):  # fmt: skip
        expected = f"HTTP 500, code {shown}: 0 records were found"
        assert detail(500, envelope([], code=code)) == expected
        assert reason(500, envelope([], code=code)) is Reason.HTTP


def test_the_detail_says_what_came() -> None:
    """Whoever reads the log sees the status, and the message or the start of the body."""
    page = b"<!DOCTYPE html>\n<title>Login \xe1</title>" + b"x" * 500
    for status, content_type, body, expected in (
        (302, "a/b", b"<html>", "HTTP 302, a/b, not a JSON object: <html>"),
        (503, None, b"", "HTTP 503, no content type, not a JSON object: empty"),
        (200, "a/b", b" \n ", "HTTP 200, a/b, not a JSON object: empty"),
        (200, "a/b", b"[1]", "HTTP 200, a/b, not a JSON object: [1]"),
        (200, "a/b", page, "HTTP 200, a/b, not a JSON object: <!DOCTYPE html> <title>"),
        (500, None, b"{}", "HTTP 500, code None: no message"),
        (500, None, b'{"msg": " ", "error": "BUSY"}', "HTTP 500, code None: BUSY"),
        (500, None, b'{"msg": 5, "error": "BUSY"}', "HTTP 500, code None: BUSY"),
        (200, None, b'{"code": 200, "msg": "OK"}', "HTTP 200, code 200: OK; wrong envelope"),
    ):
        shown = detail(status, body, content_type)
        assert shown.startswith(expected), body
        assert len(shown) == len(expected) or (body is page and len(shown) < 150), body


def test_an_error_without_a_message_is_told_by_its_name() -> None:
    """Where `msg` is missing, `error` says which of the 403 it is."""
    for code in (403, "403", " 403 ", 403.0):
        assert reason(403, error(code, "", "TOKEN LIMIT EXCEEDED")) is Reason.QUOTA, code
        assert reason(200, error(code, "", "X")) is Reason.FORBIDDEN, code


def test_a_success_is_its_rows() -> None:
    """Without rows whatever its message says, unless that counts some; "null" is no error."""
    zero = "0 records were found"
    for body, rows in (
        (envelope([{"a": "1"}], msg="ok"), ({"a": "1"},)),
        (envelope({"a": "1"}, msg="ok"), ({"a": "1"},)),
        (envelope([{"a": "1"}], msg=None, error="x"), ({"a": "1"},)),
        (envelope([], msg=" no\nrows "), ()),
        (envelope([], msg=""), ()),
        (envelope([], msg="", error=""), ()),
        (envelope([], msg="", error=" Null "), ()),
        (envelope(None), ()),
        (envelope({}, msg=zero), ()),
        (envelope(" ", msg=zero), ()),
        (error(404, "Validate dates entered"), ()),
    ):
        assert read_answer(200, None, body) == rows, body


def test_zero_records_beside_a_contradiction_are_an_error() -> None:
    """Neither a message about dates nor one of zero records makes a failure a success."""
    zero = "0 records were found"
    for status, body, expected in (
        (500, error(404, "Validate dates entered"), Reason.NOT_FOUND),
        (403, error(404, zero), Reason.NOT_FOUND),
        (200, envelope([cells()], code=None, msg=zero), Reason.MALFORMED),
        (200, envelope([cells()], code=True, msg=zero), Reason.MALFORMED),
        (200, envelope("rows", msg=zero), Reason.MALFORMED),
        (200, envelope([cells()], code=0, msg=zero), Reason.MALFORMED),
        (200, envelope([], code=0, msg="nothing"), Reason.MALFORMED),
        (200, envelope([None, "x"], msg="2 records"), Reason.MALFORMED),
        (200, envelope([], msg="3 records were found"), Reason.MALFORMED),
        (200, envelope([], msg="", error="FAILED"), Reason.MALFORMED),
        (200, envelope([], msg="token limit exceeded"), Reason.QUOTA),
        (200, envelope({}, msg="3 records were found"), Reason.MALFORMED),
        (200, envelope("", msg="ok"), Reason.MALFORMED),
    ):
        assert reason(status, body) is expected, body


def test_a_404_about_dates_or_of_zero_records_is_no_rows() -> None:
    """In both languages, one or many, in any case; words that only hold these are not."""
    for message in (
        *("Validate dates entered", "INVALID DATE", "date_ini", "Fecha no permitida"),
        *("(fechas)", "0 records", "No record was found", "Registros: 0", "0,000 registros"),
    ):
        assert read(404, error(404, message)) == (), message
    for message in (
        *("INVALIDATED", "UPDATE REQUIRED", "Dateless", "Fechado", "1 record", "10 registros"),
        *("1,000 records", "RECORDSET 0", "Prerecord 0", "0", "nothing"),
    ):
        assert reason(404, error(404, message)) is Reason.NOT_FOUND, message


def test_a_code_in_a_success_is_read_like_a_status() -> None:
    """From 100 to 599 it tells the failure; beyond them the envelope is wrong."""
    for code, expected in (
        *((99, Reason.MALFORMED), (100, Reason.HTTP), (299, Reason.HTTP)),
        *((300, Reason.REDIRECT), (399, Reason.REDIRECT), (402, Reason.HTTP)),
        *((599, Reason.HTTP), (600, Reason.MALFORMED), (-404, Reason.MALFORMED)),
    ):
        assert reason(200, error(code, "?")) is expected, code


def test_a_status_that_is_no_success_has_a_reason() -> None:
    """300 to 399 are redirects whatever their body is; what has no meaning is `http`."""
    for status, expected in (
        *((299, Reason.HTTP), (300, Reason.REDIRECT), (399, Reason.REDIRECT)),
        (400, Reason.BAD_REQUEST),
        *((one, Reason.HTTP) for one in (-1, 0, 100, 101, 199, 201, 204, 206, 402, 405, 431)),
        *((one, Reason.HTTP) for one in (599, 999)),
    ):
        assert reason(status, b"") is expected, status
        assert reason(status, envelope([cells()])) is expected, status


def test_bytes_that_are_not_utf_8_are_read_as_declared() -> None:
    """Else they are replaced: the row stays."""
    for written, content_type, expected in (
        ("ñ".encode(), None, "ñ"),
        ("ñ".encode(), "a/b; charset=iso-8859-1", "ñ"),  # what is UTF-8 is read as such
        (b"\xf1", "a/b; charset=iso-8859-1", "ñ"),
        (b"\xf1", "a/b; CHARSET = 'Latin1'", "ñ"),
        (b"\xa4", "a/b; charset=iso-8859-15", "€"),
        (b"\x80\xf1", 'a/b;charset="windows-1252"', "€ñ"),
        (b"\x81\xf1", "a/b; charset=windows-1252", "\ufffdñ"),  # 81 is no character there
        (b"\xf1", "a/b; charset=utf-8", "\ufffd"),
        (b"\xf1", "a/b; charset=windows-9", "\ufffd"),  # no charset at all
        (b"\xf1", "a/b", "\ufffd"),
        (b"\xf1", None, "\ufffd"),
    ):
        body = envelope([cells(agent="@")]).replace(b"@", written)
        assert agent(body, content_type) == expected, (written, content_type)


def test_any_form_of_unicode_is_read() -> None:
    """JSON may come in each of them, with a byte order mark or without."""
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"):
        body = envelope([cells(agent="@")]).decode().replace("@", "ñ").encode(encoding)
        assert agent(body, "a/b; charset=iso-8859-1") == "ñ", encoding


def test_text_before_the_json_is_no_json() -> None:
    """Blanks and byte order marks alone are skipped."""
    body = envelope([cells()])

    assert read_answer(200, None, "\ufeff\r\n \t\ufeff".encode() + body)
    for before in string.ascii_letters + string.digits + "<.,;:!-_'":
        assert reason(200, before.encode() + body) is Reason.MALFORMED, before


def test_a_number_that_json_does_not_know_costs_its_cell() -> None:
    """Its text is kept, and the rest of the row is read; so is a number of any length."""
    for word in ("NaN", "Infinity", "-Infinity"):
        body = envelope([cells()]).replace(b'"18"', word.encode())
        report = read_report(read_answer(200, None, body))
        assert [(fault.field, fault.text) for fault in report.errors] == [("asa", word)]
        assert report.channels[0].inbound == 67
    for digits, kind in ((300, int), (301, str), (9000, str)):
        body = envelope([cells(agent=0)]).replace(b'"agent": 0', b'"agent": ' + b"7" * digits)
        assert type(agent(body)) is kind, digits


def test_a_body_of_too_many_values_is_not_parsed() -> None:
    """A few kilobytes of gzip cannot cost hundreds of megabytes as objects."""
    start, marks = b'{"code":200,"data":[{"a":1}', 4  # of which two open, one parts, one rows
    values = MAX_VALUES - marks

    assert reason(200, start + b",0" * values + b"]}") is None
    assert reason(200, start + b",0" * (values + 1) + b"]}") is Reason.MALFORMED
    for empty in (b",[]", b",{}"):  # each costs more memory than a number does
        assert reason(200, start + empty * 190_000 + b"]}") is None
        assert reason(200, start + empty * 210_000 + b"]}") is Reason.MALFORMED


@given(
    status=st.sampled_from([200, 200, 302, 400, 403, 404, 500]) | st.integers(),
    content_type=st.none()
    | st.text()
    | st.sampled_from(["a/b; charset=latin1", "charset=cp1"]),
    body=st.binary() | st.text().map(lambda text: text.encode("utf-16", "surrogatepass")),
)
def test_no_bytes_raise(status: int, content_type: str | None, body: bytes) -> None:
    """Whatever comes is rows or an error of ours."""
    assert isinstance(read(status, body, content_type), tuple | WolkvoxError)


@given(
    status=st.sampled_from([200, 404, 500]),
    code=JSON_VALUES | st.sampled_from([200, "200", 403, "404", "0"]),
    msg=JSON_VALUES
    | st.sampled_from(["0 records", "Validate dates", "9 records", "TOKEN LIMIT"]),
    data=JSON_VALUES,
)
def test_no_envelope_raises(status: int, code: object, msg: object, data: object) -> None:
    """Any JSON in any place of the envelope is read or refused."""
    answer = read(status, envelope(data, code=code, msg=msg))

    assert isinstance(answer, tuple | WolkvoxError)
    if isinstance(answer, tuple):
        read_report(answer)
