"""Which form of /metrics and which language a client gets: real headers, and odd ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.asgi import Format, accepts_gzip, choose_format, choose_language

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS

REAL_CLIENTS = [
    pytest.param(None, TEXT, id="no header"),
    pytest.param("*/*", TEXT, id="curl"),
    pytest.param(
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        TEXT,
        id="browser",
    ),
    pytest.param(
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
        id="Prometheus 2.5",
    ),
    pytest.param(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1"
        ";q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
        id="Prometheus 2.40",
    ),
    pytest.param(
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text"
        ";version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
        id="Prometheus 2.53",
    ),
    pytest.param(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0"
        ";escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
        id="Prometheus 3",
    ),
    pytest.param(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"
        ";encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
        id="Prometheus with native histograms",
    ),
    pytest.param(
        "text/plain;version=0.0.4;q=0.6,*/*;q=0.5", TEXT, id="scrape_protocols: text only"
    ),
]

WEIGHTS = [
    ("application/openmetrics-text", OPENMETRICS),
    ("APPLICATION/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS),
    ('application/openmetrics-text;version="1.0.0"', OPENMETRICS),
    ("application/openmetrics-text;version=1.0.0;q=0.001", OPENMETRICS),
    ("application/openmetrics-text;q=0", TEXT),
    ("application/openmetrics-text;q=0.000, text/plain;q=0", TEXT),
    ("application/openmetrics-text;q=0.5, text/plain;q=0.6", TEXT),
    ("application/openmetrics-text;q=0.6, text/plain;q=0.5", OPENMETRICS),
    ("text/plain;q=0.5, application/openmetrics-text;q=0.6", OPENMETRICS),
    ("application/openmetrics-text, text/plain", OPENMETRICS),
    ("text/plain, application/openmetrics-text", TEXT),
    ("*/*, application/openmetrics-text", OPENMETRICS),
    ("*/*, application/openmetrics-text;q=0.9", TEXT),
    ("text/*, application/openmetrics-text;q=0.9", TEXT),
    ("text/plain;q=0.1, */*, application/openmetrics-text;q=0.9", OPENMETRICS),
    ("text/plain;q=0, */*, application/openmetrics-text;q=0.1", OPENMETRICS),
    ("application/openmetrics-text;version=2.0.0", TEXT),
    ("application/openmetrics-text;version=2.0.0, application/openmetrics-text;q=.1", TEXT),
    (
        "application/openmetrics-text;version=2.0.0, application/openmetrics-text;"
        "version=1.0.0;q=0.9, text/plain;q=0.5",
        OPENMETRICS,
    ),
    ("application/openmetrics-text;version=abc", TEXT),
    ("application/openmetrics-text;version=1", TEXT),
    ("application/openmetrics-text;version=0.0.4", TEXT),
    ("text/plain;version=1.0.0;q=0.9, application/openmetrics-text;q=0.5", OPENMETRICS),
    ("application/*", TEXT),
]

ODD = [
    "",
    " ",
    ",",
    ";",
    ",,,;;;===",
    "q=1",
    "/",
    "*",
    "text",
    "text/plain;",
    "application/openmetrics-text;q=",
    "application/openmetrics-text;q=abc",
    "application/openmetrics-text;q=nan",
    "application/openmetrics-text;q=inf",
    "application/openmetrics-text;q=-1",
    "application/openmetrics-text;q=2",
    "application/openmetrics-text;q=1.001",
    "application/openmetrics-text;q=0.1234",
    "application/openmetrics-text;q=1e0",
    "application/openmetrics-text;q=٠.٥",
    "application/openmetrics-text;q=0.5.5",
    "application/openmetrics-text;version=1.0.0;version=9",
    "application/openmetrics-textx",
    "xapplication/openmetrics-text",
    "application/openmetrics-text\x00",
    "\xff\xfe",
    "application/openmetrics-text," * 500,
    "a;" * 30_000,
    "application/openmetrics-text;version=" + "1" * 5_000,
]


@pytest.mark.parametrize(("accept", "expected"), REAL_CLIENTS)
def test_real_clients_get_what_they_read_best(accept: str | None, expected: Format) -> None:
    """Prometheus gets OpenMetrics, everybody else plain text."""
    assert choose_format(accept) is expected


@pytest.mark.parametrize(("accept", "expected"), WEIGHTS)
def test_weights_names_and_versions_decide(accept: str, expected: Format) -> None:
    """The heavier named form wins, at equal weights the first; unknown versions are nothing."""
    assert choose_format(accept) is expected


@pytest.mark.parametrize("accept", ODD, ids=range(len(ODD)))
def test_odd_headers_get_plain_text(accept: str) -> None:
    """What cannot be read counts as not said."""
    assert choose_format(accept) is TEXT


def test_content_types_are_exact() -> None:
    """These strings are what scrapers compare."""
    assert TEXT.value == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS.value == ("application/openmetrics-text; version=1.0.0; charset=utf-8")


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0.1", True),
        ("identity", False),
        ("identity, *;q=0", False),
        ("gzip;q=0.5", True),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("gzip;q=0.5, identity;q=0.4", True),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("identity;q=0, *", True),
        ("identity;q=0", False),
        ("gzip;q=abc", False),
        ("gzip;q=nan", False),
        ("gzip;q=-1", False),
        ("gzipx", False),
        ("gzip\x00", False),
        ("gzip," * 1000, False),
    ],
)
def test_gzip_is_used_where_it_is_welcome(accept_encoding: str | None, expected: bool) -> None:
    """`q=0` forbids, `*` allows, a named identity must not be liked better."""
    assert accepts_gzip(accept_encoding) is expected


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"), ("", "en"), ("es", "es"), ("ES-co", "es"),
        ("es-CO,es;q=0.9,en;q=0.8", "es"), ("en-US,en;q=0.9,es;q=0.8", "en"),
        ("es,en", "es"), ("en;q=0.5, es;q=0.7", "es"), ("fr, es;q=0.3", "es"), ("fr", "en"),
        ("*", "en"), ("es;q=0.2, *", "en"), ("es, *;q=0.1", "es"), ("en;q=0.2, *", "es"),
        ("es;q=0", "en"), ("en;q=0", "es"), ("en;q=0, es;q=0", "en"), ("es;q=1.000", "es"),
        ("es;q=2, en", "en"), ("es;q=nan, en;q=0.1", "en"), ("es;q=-1", "en"),
        ("estonian", "en"), (";;;,,,===q", "en"), ("es" + ",x" * 5000, "en"),
        ("\xff\xfe", "en"),
    ],
)  # fmt: skip
def test_the_language_is_that_of_the_browser(header: str | None, language: str) -> None:
    """By weight, first named first; whatever cannot be read counts as not said."""
    assert choose_language(header) == language


PIECES = (
    *("application/openmetrics-text", "text/plain", "gzip", "identity", "*", "*/*", "es"),
    *(";", ",", "=", "q", "version", "0.5", "1", "1.0.0", '"', " "),
)
HEADER = st.one_of(
    st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=20).map("".join)
)


@given(HEADER)
def test_no_header_raises(header: str) -> None:
    """Every reader is total."""
    assert choose_format(header) in Format
    assert choose_language(header) in ("en", "es")
    assert accepts_gzip(header) in (True, False)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_heavier_form_wins(openmetrics: int, text: int) -> None:
    """With both forms named, the choice is the order of the weights."""
    weights = (f"{text / 1000:.3f}", f"{openmetrics / 1000:.3f}")
    header = "text/plain;q={},application/openmetrics-text;q={}".format(*weights)
    expected = OPENMETRICS if openmetrics > text else TEXT

    assert choose_format(header) is expected
