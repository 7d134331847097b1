"""Reading an HTTP answer: every quirk that needs no decompression, and any bytes at all."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Reason
from exporter.wolkvox.answer import MAX_VALUES, Failure, Rows, read_answer
from exporter.wolkvox.report import read_report
from tests.quirks import QUIRKS, Quirk, cells, envelope, error

PLAIN = [
    quirk
    for quirk in QUIRKS
    if quirk.expect is not Reason.TOO_LARGE
    and "Content-Encoding" not in dict(quirk.headers)
    and not quirk.body.startswith(b"\x1f\x8b")
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*cells(), "code", "data"]), inner, max_size=6)
    ),
    max_leaves=12,
)


def _read(quirk: Quirk) -> Rows | Failure:
    return read_answer(quirk.status, dict(quirk.headers).get("Content-Type"), quirk.body)


@pytest.mark.parametrize("quirk", PLAIN, ids=lambda quirk: quirk.name)
def test_each_quirk_becomes_what_it_means(quirk: Quirk) -> None:
    """An answer is rows, no rows or exactly one reason."""
    match _read(quirk):
        case Failure(reason):
            assert quirk.expect is reason
        case ():
            assert quirk.expect == "no rows"
        case rows:
            report = read_report(rows)
            assert quirk.expect == "rows"
            assert tuple(channel.channel for channel in report.channels) == quirk.channels
            assert tuple(fault.field for fault in report.errors) == quirk.lost
            assert report.dropped == quirk.dropped


def test_the_names_of_the_quirks_are_unique_and_many() -> None:
    """The table can be addressed by name and covers every reason an answer can have."""
    names = [quirk.name for quirk in QUIRKS]
    reasons = {quirk.expect for quirk in QUIRKS}

    assert len(set(names)) == len(names) >= 100
    assert reasons >= set(Reason) - {
        Reason.CONNECT,
        Reason.INTERRUPTED,
        Reason.TIMEOUT,
        Reason.INTERNAL,
    }


def test_the_detail_is_one_short_line() -> None:
    """A message cannot forge log lines nor fill the disk."""
    answer = read_answer(403, None, error(403, "no\r\nlevel=info \x1b[31m \ud800" + "x" * 9999))

    assert isinstance(answer, Failure)
    assert answer.detail.startswith("HTTP 403, code 403: no level=info [31m xxx")
    assert len(answer.detail) < 250
    assert answer.detail.isprintable()


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("4\n03", "'4 03'"),
        ("4" * 10, "'4444444444'"),
        ("4" * 11, "'444444444…'"),
        (None, "None"),
        (10**9 - 1, "999999999"),
        (10**9, "int"),
        ([], "list"),
        (1.5, "float"),
    ],
)
def test_the_detail_shows_any_code(code: object, shown: str) -> None:
    """A code of any kind is shown in a few characters."""
    answer = read_answer(500, None, envelope([], code=code))

    assert answer == Failure(Reason.HTTP, f"HTTP 500, code {shown}: 0 records were found")


@pytest.mark.parametrize(
    ("status", "content_type", "body", "detail"),
    [
        (302, "text/html", b"<html>", "HTTP 302: redirects are not followed"),
        (503, None, b"", "HTTP 503, no content type, not a JSON object: empty"),
        (200, "a/b", b" \n ", "HTTP 200, a/b, not a JSON object: empty"),
        (200, "a/b", b"[1]", "HTTP 200, a/b, not a JSON object: [1]"),
        (500, None, b"{}", "HTTP 500, code None: no message"),
        (500, None, b'{"msg": " ", "error": "BUSY"}', "HTTP 500, code None: BUSY"),
        (500, None, b'{"msg": 5, "error": "BUSY"}', "HTTP 500, code None: BUSY"),
        (200, None, b'{"code": 200, "msg": "OK"}', "HTTP 200, code 200: OK; wrong envelope"),
    ],
)
def test_the_detail_says_what_came(
    status: int, content_type: str | None, body: bytes, detail: str
) -> None:
    """Whoever reads the log sees the status, and the message or the start of the body."""
    answer = read_answer(status, content_type, body)

    assert isinstance(answer, Failure)
    assert answer.detail == detail


@pytest.mark.parametrize("code", [403, "403"], ids=repr)
def test_an_error_without_a_message_is_told_by_its_name(code: object) -> None:
    """Where `msg` is missing, `error` says which of the 403 it is."""
    for name, reason in (("TOKEN LIMIT EXCEEDED", Reason.QUOTA), ("X", Reason.FORBIDDEN)):
        answer = read_answer(403, None, error(code, "", name))

        assert isinstance(answer, Failure)
        assert answer.reason is reason


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (envelope([{"a": "1"}], msg="ok"), ({"a": "1"},)),
        (envelope({"a": "1"}, msg="ok"), ({"a": "1"},)),
        (envelope([{"a": "1"}], msg=None, error="x"), ({"a": "1"},)),
        (envelope([], msg=" no\nrows "), ()),
        (envelope([], msg=""), ()),
        (envelope([], msg="", error=""), ()),
        (envelope([], msg="", error=" Null "), ()),
        (envelope(None), ()),
        (error(404, "Validate dates entered"), ()),
    ],
)
def test_a_success_is_its_rows(body: bytes, answer: Rows) -> None:
    """Without rows whatever its message says, unless that counts some; "null" is no error."""
    assert read_answer(200, None, body) == answer


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, error(404, "Validate dates entered"), Reason.NOT_FOUND),
        (403, error(404, "0 records were found"), Reason.NOT_FOUND),
        (200, envelope([cells()], code=None, msg="0 records were found"), Reason.MALFORMED),
        (200, envelope("rows", msg="0 records were found"), Reason.MALFORMED),
        (200, envelope([cells()], code=0, msg="0 records were found"), Reason.MALFORMED),
        (200, envelope([], code=0, msg="nothing"), Reason.MALFORMED),
    ],
)
def test_zero_records_beside_a_contradiction_are_an_error(
    status: int, body: bytes, reason: Reason
) -> None:
    """Neither a message about dates nor one of zero records makes a failure a success."""
    answer = read_answer(status, None, body)

    assert isinstance(answer, Failure)
    assert answer.reason is reason


@pytest.mark.parametrize(
    "message",
    [
        "Validate dates entered",
        "INVALID DATE",
        "date_ini",
        "Fecha no permitida",
        "(fechas)",
        "0 records",
        "No record was found",
        "Registros: 0",
        "0,000 registros",
    ],
)
def test_a_404_about_dates_or_of_zero_records_is_no_rows(message: str) -> None:
    """In both of the API's languages, in one and in many, in any case."""
    assert read_answer(404, None, error(404, message)) == ()


@pytest.mark.parametrize(
    "message",
    [
        "INVALIDATED",
        "UPDATE REQUIRED",
        "Dateless",
        "Fechado",
        "1 record",
        "10 registros",
        "1,000 records",
        "RECORDSET 0",
        "Prerecord 0",
        "0",
        "nothing",
    ],
)
def test_a_404_about_anything_else_is_an_error(message: str) -> None:
    """Words that only hold one of these words say nothing of a window."""
    answer = read_answer(404, None, error(404, message))

    assert isinstance(answer, Failure)
    assert answer.reason is Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (99, Reason.MALFORMED),
        (100, Reason.HTTP),
        (299, Reason.HTTP),
        (300, Reason.REDIRECT),
        (399, Reason.REDIRECT),
        (402, Reason.HTTP),
        (599, Reason.HTTP),
        (600, Reason.MALFORMED),
        (-404, Reason.MALFORMED),
    ],
)
def test_a_code_in_a_success_is_read_like_a_status(code: int, reason: Reason) -> None:
    """From 100 to 599 it tells the failure; beyond them the envelope is wrong."""
    answer = read_answer(200, None, error(code, "?"))

    assert isinstance(answer, Failure)
    assert answer.reason is reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (299, Reason.HTTP),
        (300, Reason.REDIRECT),
        (399, Reason.REDIRECT),
        (400, Reason.BAD_REQUEST),
    ],
)
def test_statuses_around_the_redirects(status: int, reason: Reason) -> None:
    """300 to 399 are redirects whatever their body is, and nothing else is."""
    for body in (b"", envelope([cells()])):
        answer = read_answer(status, None, body)

        assert isinstance(answer, Failure)
        assert answer.reason is reason


def _rows(answer: Rows | Failure) -> Rows:
    assert isinstance(answer, tuple)
    assert answer
    return answer


def _agent(answer: Rows | Failure) -> Any:
    (row,) = _rows(answer)
    assert isinstance(row, dict)
    return row["agent"]


@pytest.mark.parametrize(
    ("written", "content_type", "read"),
    [
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
    ],
)
def test_bytes_that_are_not_utf_8_are_read_as_declared(
    written: bytes, content_type: str | None, read: str
) -> None:
    """Else they are replaced: the row stays."""
    body = envelope([cells(agent="@")]).replace(b"@", written)

    assert _agent(read_answer(200, content_type, body)) == read


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"]
)
def test_any_form_of_unicode_is_read(encoding: str) -> None:
    """JSON may come in each of them, with a byte order mark or without."""
    body = envelope([cells(agent="@")]).decode().replace("@", "ñ").encode(encoding)

    assert _agent(read_answer(200, "a/b; charset=iso-8859-1", body)) == "ñ"


@pytest.mark.parametrize("before", [*string.ascii_letters, *string.digits, *"<.,;:!-_'"])
def test_text_before_the_json_is_no_json(before: str) -> None:
    """Blanks and byte order marks alone are skipped."""
    body = envelope([cells()])

    assert _rows(read_answer(200, None, "\ufeff\r\n \t\ufeff".encode() + body))
    assert isinstance(read_answer(200, None, before.encode() + body), Failure)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_word_that_is_no_json_number_costs_its_cell(word: str) -> None:
    """It is told as it stood there, and the rest of the row is read."""
    answer = read_answer(200, None, envelope([cells()]).replace(b'"18"', word.encode()))

    report = read_report(_rows(answer))
    assert [(fault.field, fault.text) for fault in report.errors] == [("asa", word)]
    assert report.channels[0].inbound == 67


@pytest.mark.parametrize(("digits", "kind"), [(300, int), (301, str), (9000, str)])
def test_a_number_of_any_length_costs_its_cell(digits: int, kind: type) -> None:
    """Beyond 300 digits it stays text: Python would refuse to convert some lengths at all."""
    body = envelope([cells(agent=0)]).replace(b'"agent": 0', b'"agent": ' + b"7" * digits)

    assert type(_agent(read_answer(200, None, body))) is kind


def test_a_page_is_shown_by_its_beginning() -> None:
    """Whoever gets a login page instead of JSON can see so in the log."""
    page = b"<!DOCTYPE html>\n<title>Login \xe1</title>" + b"x" * 500
    answer = read_answer(200, "text/html", page)

    assert isinstance(answer, Failure)
    assert answer.detail.startswith(
        "HTTP 200, text/html, not a JSON object: <!DOCTYPE html> <ti"
    )
    assert len(answer.detail) < 150


def test_a_body_of_too_many_values_is_not_parsed() -> None:
    """A few kilobytes of gzip cannot cost hundreds of megabytes as objects."""
    start, marks = b'{"code":200,"data":[{"a":1}', 4  # of which two open, one parts, one rows
    just_right = start + b",0" * (MAX_VALUES - marks) + b"]}"
    too_many = start + b",0" * (MAX_VALUES - marks + 1) + b"]}"

    assert _rows(read_answer(200, None, just_right))
    assert isinstance(read_answer(200, None, too_many), Failure)


@pytest.mark.parametrize("empty", [b"[]", b"{}"])
def test_empty_containers_count_twice(empty: bytes) -> None:
    """Each costs more memory than a number does."""
    body = b'{"code":200,"data":[{"a":1}%s]}'

    assert _rows(read_answer(200, None, body % (b",%s" % empty * 190_000)))
    assert isinstance(read_answer(200, None, body % (b",%s" % empty * 210_000)), Failure)


@pytest.mark.parametrize(
    "status", [-1, 0, 100, 101, 199, 201, 204, 206, 402, 405, 431, 599, 999]
)
def test_any_other_status_is_http(status: int) -> None:
    """Statuses without a meaning of their own are told as `http`."""
    answer = read_answer(status, None, b"")

    assert isinstance(answer, Failure)
    assert answer.reason is Reason.HTTP


@given(
    status=st.sampled_from([200, 200, 302, 400, 403, 404, 500]) | st.integers(),
    content_type=st.none()
    | st.text()
    | st.sampled_from(["a/b; charset=latin1", "charset=cp1"]),
    body=st.binary() | st.text().map(lambda text: text.encode("utf-16", "surrogatepass")),
)
def test_no_bytes_raise(status: int, content_type: str | None, body: bytes) -> None:
    """Whatever comes is rows or a failure."""
    assert isinstance(read_answer(status, content_type, body), tuple | Failure)


@given(
    status=st.sampled_from([200, 404, 500]),
    code=JSON_VALUES | st.sampled_from([200, "200", 403, "404", "0"]),
    msg=JSON_VALUES
    | st.sampled_from(["0 records", "Validate dates", "9 records", "TOKEN LIMIT"]),
    data=JSON_VALUES,
)
def test_no_envelope_raises(status: int, code: object, msg: object, data: object) -> None:
    """Any JSON in any place of the envelope is read or refused."""
    answer = read_answer(status, None, envelope(data, code=code, msg=msg))

    assert isinstance(answer, tuple | Failure)
    if isinstance(answer, tuple):
        read_report(answer)


@pytest.mark.parametrize("status", [300, 302, 399])
def test_a_redirect_is_told_as_one(status: int) -> None:
    """Whatever its body says: nothing of it was asked for."""
    answer = read_answer(status, "application/json", b'{"code": 200, "data": []}')

    expected = f"HTTP {status}: redirects are not followed"
    assert answer == Failure(Reason.REDIRECT, expected)
