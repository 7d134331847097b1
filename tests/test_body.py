"""Decompressing in bounded steps, however the bytes arrive."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import Reason, WolkvoxError
from exporter.wolkvox.body import Body


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _decode(encoding: str | None, wire: bytes, *, step: int, limit: int = 1 << 20) -> bytes:
    body = Body(encoding, limit=limit)
    for start in range(0, len(wire), step):
        body.feed(wire[start : start + step])
    return body.finish()


@settings(deadline=None)  # a busy machine is no defect
@given(data=st.binary(max_size=400), times=st.integers(1, 600), step=st.integers(1, 5000))
def test_what_was_packed_comes_out(data: bytes, times: int, step: int) -> None:
    """Every encoding gives back the bytes, in chunks of any size."""
    whole = data * times
    for encoding, wire in (
        (None, whole),
        ("identity", whole),
        ("gzip", gzip.compress(whole)),
        (" X-GZip ", gzip.compress(whole[:99]) + gzip.compress(whole[99:]) + b"\0" * 9),
        ("deflate", zlib.compress(whole)),
        ("deflate", _raw_deflate(whole)),
    ):
        assert _decode(encoding, wire, step=step) == whole


@pytest.mark.parametrize("encoding", ["gzip", "deflate", None])
def test_nothing_is_an_empty_body(encoding: str | None) -> None:
    """An answer without a single byte is empty whatever its header says."""
    assert Body(encoding).finish() == b""


@pytest.mark.parametrize(
    ("encoding", "wire"),
    [
        (None, bytes(1001)),
        ("gzip", gzip.compress(bytes(1001))),
        ("gzip", gzip.compress(bytes(50_000_000))),
        ("gzip", gzip.compress(bytes(600)) * 2),
        ("gzip", gzip.compress(b"") * 90),
        ("deflate", zlib.compress(bytes(1001))),
    ],
    ids=range(6),  # the bytes tell the time at which they were compressed
)
def test_the_limit_holds_for_what_comes_in_and_out(encoding: str | None, wire: bytes) -> None:
    """More than the limit on either side ends it at once."""
    with pytest.raises(WolkvoxError) as caught:
        _decode(encoding, wire, step=500, limit=1000)

    assert caught.value.reason is Reason.TOO_LARGE
    assert caught.value.detail == "more than 1000 bytes"


def test_exactly_the_limit_is_allowed() -> None:
    """The limit itself is not too much."""
    assert _decode("gzip", gzip.compress(bytes(1000)), step=7, limit=1000) == bytes(1000)


@pytest.mark.parametrize("cut", [1, 2, 9, 15, 30])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_ends_too_early_is_malformed(encoding: str, cut: int) -> None:
    """A stream without its end was not whole."""
    data = bytes(range(256))
    wire = gzip.compress(data) if encoding == "gzip" else zlib.compress(data)
    with pytest.raises(WolkvoxError) as caught:
        _decode(encoding, wire[:cut], step=4)

    assert caught.value.reason is Reason.MALFORMED
    assert caught.value.__context__ is None


@settings(deadline=None)  # a busy machine is no defect
@given(encoding=st.sampled_from(["gzip", "deflate", "br", ""]), wire=st.binary())
def test_no_bytes_raise_anything_else(encoding: str, wire: bytes) -> None:
    """Broken streams are told, never thrown as zlib's own errors."""
    with contextlib.suppress(WolkvoxError):
        assert isinstance(_decode(encoding, wire, step=16), bytes)
