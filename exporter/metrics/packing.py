"""Bytes joined and compressed piece by piece; pure, knows no metric.

A scrape's body is never twice the same, so there is no ready gzip of it. But a deflate
stream may be cut: pieces that were compressed apart, each ended by a full flush (which
puts it on a byte boundary and lets nothing refer back), are one valid stream in any
order. What remains for a scrape is the checksum, which is over the whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import reduce

# Fast, and within a few per cent of the best for text that repeats itself so much.
LEVEL = 3
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, any system
_LAST_BLOCK = b"\x03\x00"


class Piece:
    """Bytes, and their compressed form once somebody asks for it."""

    __slots__ = ("_packed", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._packed: bytes | None = None

    def packed(self) -> bytes:
        """A part of a raw deflate stream, flushed at its end."""
        if self._packed is None:
            self._packed = _deflate(self.raw)
        return self._packed

    def crc(self, before: int = 0) -> int:
        """The CRC-32 of the raw bytes behind others that have the CRC-32 `before`."""
        return zlib.crc32(self.raw, before)


class Page:
    """Pieces in their order; it holds no copy of them."""

    __slots__ = ("_crc", "pieces")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self._crc: int | None = None

    def crc(self) -> int:
        """The CRC-32 of the whole."""
        if self._crc is None:
            self._crc = reduce(lambda crc, piece: piece.crc(crc), self.pieces, 0)
        return self._crc

    def __len__(self) -> int:
        return sum(len(piece.raw) for piece in self.pieces)


EMPTY = Page(())


def join(pieces: Sequence[Piece]) -> Page:
    """One page of many pieces."""
    return Page(pieces)


def plain(page: Page, fresh: bytes) -> bytes:
    """A page and what follows it: one join, since copies are what costs."""
    return b"".join([*(piece.raw for piece in page.pieces), fresh])


def gzip_member(page: Page, fresh: bytes) -> bytes:
    """One gzip member that holds a page and what follows it."""
    crc = zlib.crc32(fresh, page.crc())
    size = (len(page) + len(fresh)) & 0xFFFFFFFF
    packed = (piece.packed() for piece in page.pieces)
    ends = struct.pack("<II", crc, size)
    return b"".join([_HEADER, *packed, _deflate(fresh), _LAST_BLOCK, ends])


def _deflate(raw: bytes) -> bytes:
    if not raw:
        return b""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush(zlib.Z_FULL_FLUSH)
