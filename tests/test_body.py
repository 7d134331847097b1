"""Undoing what a Content-Encoding says, and what it only seems to say."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Reason, WolkvoxError
from exporter.wolkvox.transport import decode


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@given(data=st.binary(max_size=400), times=st.integers(1, 600))
def test_what_was_packed_comes_out(data: bytes, times: int) -> None:
    """Every encoding gives back the bytes."""
    whole = data * times
    for encoding, wire in (
        ("gzip", gzip.compress(whole)),
        (" X-GZip ", gzip.compress(whole[:99]) + gzip.compress(whole[99:]) + b"\0" * 9),
        ("gzip, identity", gzip.compress(whole)),
        (None, gzip.compress(whole)),
        ("deflate", zlib.compress(whole)),
        ("deflate", _raw_deflate(whole)),
    ):
        assert decode(wire, encoding) == whole


def test_any_other_encoding_is_ignored() -> None:
    """The body is read as it is."""
    for encoding in (None, "", "identity", "UTF-8", "none", "binary", "br"):
        assert decode(b'{"code": 200}', encoding) == b'{"code": 200}', encoding


def test_nothing_is_an_empty_body() -> None:
    """An answer without a single byte is empty whatever its header says."""
    for encoding in ("gzip", "deflate", "gzip, gzip", None):
        assert decode(b"", encoding) == b"", encoding


def test_the_limit_holds_before_and_after() -> None:
    """More than the limit on either side is too large."""
    for encoding, wire in (
        (None, bytes(1001)),
        ("gzip", gzip.compress(bytes(1001))),
        ("gzip", gzip.compress(bytes(50_000_000))),
        ("gzip", gzip.compress(bytes(600)) * 2),
        ("gzip", gzip.compress(b"") * 90),
        ("deflate", zlib.compress(bytes(1001))),
    ):
        with pytest.raises(WolkvoxError) as caught:
            decode(wire, encoding, limit=1000)

        assert caught.value.reason is Reason.TOO_LARGE, encoding
        assert caught.value.detail == "more than 1000 bytes", encoding


def test_exactly_the_limit_is_allowed() -> None:
    """The limit itself is not too much."""
    assert decode(gzip.compress(bytes(1000)), "gzip", limit=1000) == bytes(1000)
    assert decode(gzip.compress(b"") + gzip.compress(b"x" * 50), "gzip", limit=80) == b"x" * 50


def test_what_ends_too_early_is_malformed() -> None:
    """A stream without its end was not whole."""
    for cut in (1, 2, 9, 15, 30):
        for encoding in ("gzip", "deflate"):
            data = bytes(range(256))
            wire = gzip.compress(data) if encoding == "gzip" else zlib.compress(data)
            with pytest.raises(WolkvoxError) as caught:
                decode(wire[:cut], encoding)

            assert caught.value.reason is Reason.MALFORMED, cut


@given(encoding=st.sampled_from(["gzip", "deflate", "br", ""]), wire=st.binary())
def test_no_bytes_raise_anything_else(encoding: str, wire: bytes) -> None:
    """Broken streams are told, never thrown as zlib's own errors."""
    with contextlib.suppress(WolkvoxError):
        assert isinstance(decode(wire, encoding), bytes)
