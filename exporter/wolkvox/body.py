"""Decompresses the body of an answer, never to more than a cap; does not read what it says.

httpx would decompress a chunk in one go: 64 KiB of gzip become 64 MiB of memory before
anything can object.
"""

from __future__ import annotations

import zlib
from typing import Final

from exporter.errors import Reason, WolkvoxError

MAX_BODY: Final = 8 * 1024 * 1024
_STEP = 1024 * 1024
# Empty members cost time and yield nothing; real servers send one.
_MAX_MEMBERS = 16
_GZIP_MAGIC = b"\x1f\x8b"


def decode(raw: bytes, encoding: str | None, *, limit: int = MAX_BODY) -> bytes:
    """Undo the Content-Encoding of a body.

    What is neither gzip nor deflate is ignored: servers write `UTF-8`, `none` or `binary`
    there. Raises WolkvoxError: `too_large` for more than `limit` bytes before or after,
    `malformed` for what is broken or cut short.
    """
    if len(raw) > limit:
        raise too_large(limit)
    named = [name.strip().lower().removeprefix("x-") for name in (encoding or "").split(",")]
    known = [name for name in named if name in ("gzip", "deflate")]
    if not known and raw.startswith(_GZIP_MAGIC):
        known = ["gzip"]  # no JSON begins like that
    if not known or not raw:
        return raw
    if len(known) > 1:
        raise _malformed("compressed more than once")
    return _inflate(raw, known[0], limit)


def too_large(limit: int) -> WolkvoxError:
    """The failure of a body that exceeds the cap."""
    return WolkvoxError(Reason.TOO_LARGE, f"more than {limit} bytes")


def _inflate(raw: bytes, name: str, limit: int) -> bytes:
    body, rest = bytearray(), raw
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(_window_bits(name, rest))
        piece = b" "
        while not inflater.eof and (rest or piece):
            try:
                piece = inflater.decompress(rest, _STEP)
            except zlib.error:
                raise _malformed(f"broken {name}") from None
            body += piece
            if len(body) > limit:
                raise too_large(limit)
            rest = inflater.unconsumed_tail
        if not inflater.eof:
            raise _malformed(f"{name} that ends too early")
        rest = inflater.unused_data.lstrip(b"\0")  # a member may be padded
        if not rest:
            return bytes(body)
        if name == "deflate":
            break
    raise _malformed(f"data after the end of the {name}")


def _window_bits(name: str, data: bytes) -> int:
    """How zlib is told the format; RFC 9110 means zlib by "deflate", some send it bare."""
    if name == "gzip":
        return 31
    is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return 15 if is_zlib else -15


def _malformed(detail: str) -> WolkvoxError:
    return WolkvoxError(Reason.MALFORMED, detail)
