"""Which form of /metrics and which language a client gets: real headers, and odd ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.web.asgi import (
    OPENMETRICS,
    TEXT,
    accepts_gzip,
    choose_format,
    choose_language,
)

OM = "application/openmetrics-text"
REAL_CLIENTS = [
    (None, TEXT),
    ("*/*", TEXT),  # curl
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", TEXT),
    # Prometheus 2.5, 2.40, 2.53, 3, with native histograms, with `scrape_protocols`
    (f"{OM}; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
    (
        f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    (
        f"{OM};version=1.0.0;q=0.5,{OM};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,"
        "*/*;q=0.2",
        OPENMETRICS,
    ),
    (
        f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,text/plain"
        ";version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"
        f";encoding=delimited;q=0.6,{OM};version=1.0.0;q=0.5,{OM};version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", TEXT),
]

WEIGHTS = [
    *((accept, OPENMETRICS) for accept in (
        *(OM, "APPLICATION/OpenMetrics-Text ; Version=1.0.0", f'{OM};version="1.0.0"'),
        *(f"{OM};version=1.0.0;q=0.001", f"{OM};q=0.6, text/plain;q=0.5", f"{OM}, text/plain"),
        *(f"text/plain;q=0.5, {OM};q=0.6", f"*/*, {OM}", f"text/plain;q=0, */*, {OM};q=0.1"),
        f"text/plain;q=0.1, */*, {OM};q=0.9",
        f"{OM};version=2.0.0, {OM};version=1.0.0;q=0.9, text/plain;q=0.5",
        f"text/plain;version=1.0.0;q=0.9, {OM};q=0.5",
    )),
    *((accept, TEXT) for accept in (
        *(f"{OM};q=0", f"{OM};q=0.000, text/plain;q=0", f"{OM};q=0.5, text/plain;q=0.6"),
        *(f"text/plain, {OM}", f"*/*, {OM};q=0.9", f"text/*, {OM};q=0.9", "application/*"),
        *(f"{OM};version=2.0.0", f"{OM};version=2.0.0, {OM};q=.1", f"{OM};version=abc"),
        *(f"{OM};version=1", f"{OM};version=0.0.4"),
    )),
]  # fmt: skip

ODD = [
    *("", " ", ",", ";", ",,,;;;===", "q=1", "/", "*", "text", "text/plain;", "\xff\xfe"),
    *(f"{OM};q={weight}" for weight in ("", "abc", "nan", "inf", "-1", "2", "1.001")),
    *(f"{OM};q={weight}" for weight in ("0.1234", "1e0", "٠.٥", "0.5.5")),
    *(f"{OM};version=1.0.0;version=9", f"{OM}x", f"x{OM}", f"{OM}\x00"),
    *(f"{OM}," * 500, "a;" * 30_000, f"{OM};version=" + "1" * 5_000),
]


def test_the_form_is_what_a_client_reads_best() -> None:
    """Prometheus gets OpenMetrics, everybody else plain text.

    The heavier named form wins, at equal weights the first; unknown versions are nothing, and
    what cannot be read counts as not said.
    """
    for accept, expected in (*REAL_CLIENTS, *WEIGHTS, *((odd, TEXT) for odd in ODD)):
        assert choose_format(accept) == expected, accept


def test_content_types_are_exact() -> None:
    """These strings are what scrapers compare."""
    assert TEXT == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS == ("application/openmetrics-text; version=1.0.0; charset=utf-8")


def test_gzip_is_used_where_it_is_welcome() -> None:
    """`q=0` forbids, `*` allows, a named identity must not be liked better."""
    for welcome in (
        *("gzip", "GZIP", "x-gzip", "gzip, deflate, br, zstd", "*", "*;q=0.1", "gzip;q=0.5"),
        *("gzip;q=0.5, identity;q=0.5", "gzip;q=0.5, identity;q=0.4", "identity;q=0, *"),
        "gzip;q=1.0, identity; q=0.5, *;q=0",
    ):
        assert accepts_gzip(welcome), welcome
    for accept_encoding in (
        *(None, "", "deflate", "gzip;q=0", "gzip; q=0.000", "gzip;q=0, *", "*;q=0", "identity"),
        *(
            "identity, *;q=0",
            "gzip;q=0.5, identity",
            "identity;q=0",
            "gzip;q=abc",
            "gzip;q=nan",
        ),
        *("gzip;q=-1", "gzipx", "gzip\x00", "gzip," * 1000),
    ):
        assert not accepts_gzip(accept_encoding), accept_encoding


def test_the_language_is_that_of_the_browser() -> None:
    """By weight, first named first; whatever cannot be read counts as not said."""
    for spanish in (
        *("es", "ES-co", "es-CO,es;q=0.9,en;q=0.8", "es,en", "en;q=0.5, es;q=0.7"),
        *("fr, es;q=0.3", "es, *;q=0.1", "en;q=0.2, *", "en;q=0", "es;q=1.000"),
    ):
        assert choose_language(spanish) == "es", spanish
    for header in (
        *(None, "", "en-US,en;q=0.9,es;q=0.8", "fr", "*", "es;q=0.2, *", "es;q=0"),
        *("en;q=0, es;q=0", "es;q=2, en", "es;q=nan, en;q=0.1", "es;q=-1", "estonian"),
        *(";;;,,,===q", "es" + ",x" * 5000, "\xff\xfe"),
    ):
        assert choose_language(header) == "en", header


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
    assert choose_format(header) in (TEXT, OPENMETRICS)
    assert choose_language(header) in ("en", "es")
    assert accepts_gzip(header) in (True, False)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_heavier_form_wins(openmetrics: int, text: int) -> None:
    """With both forms named, the choice is the order of the weights."""
    weights = (f"{text / 1000:.3f}", f"{openmetrics / 1000:.3f}")
    header = "text/plain;q={},application/openmetrics-text;q={}".format(*weights)
    expected = OPENMETRICS if openmetrics > text else TEXT

    assert choose_format(header) == expected
