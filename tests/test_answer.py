"""Reading an HTTP answer: every quirk that needs no decompression, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import Reason
from exporter.wolkvox.answer import MAX_VALUES, Failure, NoRows, Rows, read_answer
from exporter.wolkvox.report import read_report
from tests.quirks import QUIRKS, Quirk, cells, envelope, error

PLAIN = [
    quirk
    for quirk in QUIRKS
    if quirk.expect is not Reason.TOO_LARGE and "Content-Encoding" not in dict(quirk.headers)
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*cells(), "code", "data"]), inner, max_size=6)
    ),
    max_leaves=12,
)


def _read(quirk: Quirk) -> Rows | NoRows | Failure:
    return read_answer(quirk.status, dict(quirk.headers).get("Content-Type"), quirk.body)


@pytest.mark.parametrize("quirk", PLAIN, ids=lambda quirk: quirk.name)
def test_each_quirk_becomes_what_it_means(quirk: Quirk) -> None:
    """An answer is rows, no rows or exactly one reason."""
    match _read(quirk):
        case Rows(rows):
            report = read_report(rows)
            assert quirk.expect == "rows"
            assert tuple(channel.channel for channel in report.channels) == quirk.channels
            assert tuple(fault.field for fault in report.errors) == quirk.lost
            assert report.dropped == quirk.dropped
        case NoRows():
            assert quirk.expect == "no rows"
        case Failure(reason):
            assert quirk.expect is reason


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
    [("4\n03", "'4 03'"), (None, "None"), (10**12, "int"), ([], "list"), (1.5, "float")],
)
def test_the_detail_shows_any_code(code: object, shown: str) -> None:
    """A code of any kind is shown in a few characters."""
    answer = read_answer(500, None, envelope([], code=code))

    assert answer == Failure(Reason.HTTP, f"HTTP 500, code {shown}: 0 records were found")


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
    just_right = envelope([cells(), [[]] * 1])
    too_many = b'{"code":200,"data":[' + b"0," * MAX_VALUES + b"0]}"

    assert isinstance(read_answer(200, None, just_right), Rows)
    assert isinstance(read_answer(200, None, too_many), Failure)


@pytest.mark.parametrize(
    "status", [-1, 0, 100, 101, 199, 201, 204, 206, 402, 405, 431, 599, 999]
)
def test_any_other_status_is_http(status: int) -> None:
    """Statuses without a meaning of their own are told as `http`."""
    answer = read_answer(status, None, b"")

    assert isinstance(answer, Failure)
    assert answer.reason is Reason.HTTP


@settings(deadline=None)  # a busy machine is no defect
@given(
    status=st.sampled_from([200, 200, 302, 400, 403, 404, 500]) | st.integers(),
    content_type=st.none()
    | st.text()
    | st.sampled_from(["a/b; charset=latin1", "charset=cp1"]),
    body=st.binary() | st.text().map(lambda text: text.encode("utf-16", "surrogatepass")),
)
def test_no_bytes_raise(status: int, content_type: str | None, body: bytes) -> None:
    """Whatever comes is one of three things."""
    assert isinstance(read_answer(status, content_type, body), Rows | NoRows | Failure)


@settings(deadline=None)  # a busy machine is no defect
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

    assert isinstance(answer, Rows | NoRows | Failure)
    if isinstance(answer, Rows):
        read_report(answer.rows)
