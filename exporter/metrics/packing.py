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

# Fast, and within a few per cent of the best for text that repeats itself so much.
LEVEL = 3
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, any system
_LAST_BLOCK = b"\x03\x00"


class Piece:
    """Bytes, and their compressed form once somebody asks for it."""

    __slots__ = ("_crc", "_packed", "_parts", "raw")

    def __init__(self, raw: bytes, parts: Sequence[Piece] = ()) -> None:
        self.raw = raw
        self._parts = parts
        self._packed: bytes | None = None
        self._crc: int | None = None

    def packed(self) -> bytes:
        """A part of a raw deflate stream, flushed at its end."""
        if self._packed is None:
            if self._parts:
                self._packed = b"".join([part.packed() for part in self._parts])
                self._parts = ()
            else:
                self._packed = _deflate(self.raw)
        return self._packed

    def crc(self) -> int:
        """The CRC-32 of the raw bytes."""
        if self._crc is None:
            self._crc = zlib.crc32(self.raw)
        return self._crc


EMPTY = Piece(b"")


def join(parts: Sequence[Piece]) -> Piece:
    """One piece of many; its compressed form is joined from theirs."""
    return Piece(b"".join([part.raw for part in parts]), parts)


def gzip_member(page: Piece, fresh: bytes) -> bytes:
    """One gzip member that holds a page and what follows it."""
    crc = zlib.crc32(fresh, page.crc())
    size = (len(page.raw) + len(fresh)) & 0xFFFFFFFF
    tail = struct.pack("<II", crc, size)
    # One join: each copy of a large page costs more than all the rest.
    return b"".join((_HEADER, page.packed(), _deflate(fresh), _LAST_BLOCK, tail))


def _deflate(raw: bytes) -> bytes:
    if not raw:
        return b""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush(zlib.Z_FULL_FLUSH)
