"""Pieces compressed apart make one gzip member that every reader takes."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition import CHUNK, Exposition, Scoped
from exporter.metrics.families import BY_NAME
from exporter.metrics.packing import EMPTY, Piece, gzip_member, join

UP = "wolkvox_up"


@given(st.lists(st.binary(max_size=500), max_size=8), st.binary(max_size=500))
def test_member_holds_the_joined_pieces(parts: list[bytes], fresh: bytes) -> None:
    """Whatever the pieces, the member decompresses to their concatenation."""
    page = join([Piece(part) for part in parts])

    assert gzip.decompress(gzip_member(page, fresh)) == b"".join(parts) + fresh
    assert zlib.decompress(gzip_member(page, fresh), 31) == b"".join(parts) + fresh


def test_gunzip_takes_it(tmp_path: Path) -> None:
    """The program gzip finds one sound member."""
    body = b"".join(b'wolkvox_up{skill_id="%d"} 1.0\n' % number for number in range(5000))
    member = gzip_member(join([Piece(body[:70_000]), Piece(body[70_000:])]), b"# EOF\n")
    (tmp_path / "page.gz").write_bytes(member)

    unpacked = subprocess.run(
        ["gzip", "-dc", str(tmp_path / "page.gz")], capture_output=True, check=True
    )
    assert unpacked.stdout == body + b"# EOF\n"
    assert unpacked.stderr == b""
    assert len(member) < len(body) / 10


def test_pieces_are_compressed_once() -> None:
    """A piece keeps its compressed form and its checksum."""
    piece = Piece(b"abc" * 100)

    assert piece.packed() is piece.packed()
    assert piece.crc() == zlib.crc32(b"abc" * 100)
    assert gzip.decompress(gzip_member(EMPTY, b"")) == b""


_scopes = st.tuples(st.sampled_from("abc"), st.integers(0, 3 * CHUNK).map(lambda n: f"{n:03}"))
_steps = st.one_of(
    st.tuples(
        st.just("put"), _scopes, st.integers(0, 5), st.one_of(st.none(), st.floats(0, 50))
    ),
    st.tuples(st.just("later"), _scopes, st.integers(0, 5)),
    st.tuples(st.just("drop"), _scopes),
    st.tuples(st.just("wait"), st.floats(0, 10)),
    st.tuples(st.just("read")),
)


@given(st.lists(_steps, max_size=60))
def test_page_is_what_a_plain_join_would_be(steps: list[tuple[object, ...]]) -> None:
    """Chunks, dirt and expiry never show anything but the live scopes in their order."""
    now = [0.0]
    exposition = Exposition(lambda: now[0])
    shown: dict[tuple[str, ...], tuple[bytes, float | None]] = {}

    def check() -> None:
        lines = [
            line
            for _, (line, until) in sorted(shown.items())
            if until is None or now[0] < until
        ]
        found = [
            line + b"\n" for line in exposition.text().split(b"\n") if line and line[:1] != b"#"
        ]
        assert found == lines
        assert gzip.decompress(exposition.text_gzip()) == exposition.text()
        assert gzip.decompress(exposition.openmetrics_gzip()) == exposition.openmetrics()

    for step in steps:
        match step:
            case ("put", tuple() as scope, int() as value, until):
                line = f'{UP}{{skill_id="{scope}"}} {value}\n'.encode()
                shown[scope] = (line, until)  # type: ignore[assignment]
                exposition.put(scope, Scoped({UP: line}, until))  # type: ignore[arg-type]
            case ("later", tuple() as scope, int() as value):
                line = f'{UP}{{skill_id="{scope}"}} {value}\n'.encode()
                shown[scope] = (line, None)
                exposition.put_later(scope, partial(Scoped, {UP: line}))
            case ("drop", tuple() as scope):
                shown.pop(scope, None)
                exposition.drop(scope)
            case ("wait", float() as seconds):
                now[0] += seconds
            case _:
                check()
    check()
    assert UP in BY_NAME


def test_renewal_follows_the_clock() -> None:
    """A scope with `renew` is asked for what comes next when its moment has passed."""
    now = [0.0]
    exposition = Exposition(lambda: now[0])

    def at(moment: float) -> Scoped:
        return Scoped({UP: f"{UP} {int(moment)}\n".encode()}, moment + 10, at)

    exposition.put(("a",), at(0.0))
    for moment, value in ((0.0, 0), (9.9, 0), (10.0, 10), (19.0, 10), (45.0, 45)):
        now[0] = moment
        assert f"{UP} {value}\n".encode() in exposition.text()


def test_what_changes_often_is_rendered_once_a_scrape() -> None:
    """Between two scrapes a scope is asked once, and then only after it changed."""
    exposition = Exposition(lambda: 0.0)
    asked: list[int] = []

    def render() -> Scoped:
        asked.append(1)
        return Scoped({UP: b"wolkvox_up 1.0\n"})

    for _ in range(5):
        exposition.put_later(("a",), render)
    assert not asked
    assert b"wolkvox_up 1.0" in exposition.text()
    assert b"wolkvox_up 1.0" in exposition.openmetrics()
    assert len(asked) == 1


def test_a_rendering_that_fails_is_tried_again() -> None:
    """What could not be rendered at one scrape is not forgotten for the next."""
    exposition = Exposition(lambda: 0.0)
    answers = [ValueError("a defect"), None]

    def render() -> Scoped:
        if defect := answers.pop(0):
            raise defect
        return Scoped({UP: b"wolkvox_up 1.0\n"})

    exposition.put_later(("a",), render)
    with pytest.raises(ValueError, match="a defect"):
        exposition.text()
    assert b"wolkvox_up 1.0" in exposition.text()
