"""The bytes of an answer, decompressed in bounded steps; does not look at what they say.

httpx would decompress a chunk in one go: 64 KiB of gzip become 64 MiB of memory before
anything can object. Here no step yields more than 64 KiB and the total has a cap.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from exporter.errors import Reason, WolkvoxError

MAX_BODY: Final = 8 * 1024 * 1024
_STEP = 64 * 1024
# Empty members cost time and yield nothing; real servers send one.
_MAX_MEMBERS = 100
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class Body:
    """Collects an answer's body: `feed` each raw chunk, then `finish`.

    Both raise WolkvoxError: `too_large` as soon as more than `limit` bytes came in or out,
    `malformed` for an encoding that is unknown, broken or cut short.
    """

    def __init__(self, encoding: str | None, *, limit: int = MAX_BODY) -> None:
        name = (encoding or "").strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise WolkvoxError(Reason.MALFORMED, f"unknown content encoding {name[:40]!r}")
        self._encoding = name.removeprefix("x-").replace("identity", "")
        self._limit = limit
        self._received = 0
        self._members = 0
        self._inflater: _Inflater | None = None
        self._head = b""
        self._decoded = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Takes the next raw bytes; the decoded ones never exceed the limit."""
        self._received += len(chunk)
        if self._received > self._limit:
            raise self._too_large()
        if not self._encoding:
            self._decoded += chunk
            return
        for start in range(0, len(chunk), _STEP):
            try:
                self._inflate(chunk[start : start + _STEP])
            except zlib.error:
                raise WolkvoxError(Reason.MALFORMED, f"broken {self._encoding}") from None

    def finish(self) -> bytes:
        """The whole decoded body."""
        # A body of no bytes at all is empty whatever its header says.
        if self._encoding and self._received and not (self._inflater and self._inflater.eof):
            raise WolkvoxError(Reason.MALFORMED, f"{self._encoding} that ends too early")
        return bytes(self._decoded)

    def _inflate(self, data: bytes) -> None:
        data = self._head + data
        self._head = b""
        while data:
            between = self._inflater is None or self._inflater.eof
            if between and not self._begin(data):
                return
            data = self._drain(data)

    def _begin(self, data: bytes) -> bool:
        """Starts the next member; False where there is none (yet)."""
        if self._inflater is not None and not data.strip(b"\0"):
            return False  # padding after the last member
        if len(data) < 2:
            self._head = data  # too little to tell zlib from raw deflate
            return False
        self._members += 1
        if self._members > _MAX_MEMBERS or (self._members > 1 and self._encoding == "deflate"):
            raise WolkvoxError(Reason.MALFORMED, f"data after the end of the {self._encoding}")
        self._inflater = zlib.decompressobj(self._window_bits(data))
        return True

    def _window_bits(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # RFC 9110 means zlib by "deflate"; some servers send the bare stream.
        is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return _ZLIB if is_zlib else _RAW_DEFLATE

    def _drain(self, data: bytes) -> bytes:
        """Decompresses `data` step by step; gives back what follows the member's end."""
        inflater = self._inflater
        assert inflater is not None  # noqa: S101 - _begin has just made sure
        while True:
            piece = inflater.decompress(data, _STEP)
            self._decoded += piece
            if len(self._decoded) > self._limit:
                raise self._too_large()
            data = inflater.unconsumed_tail
            # A full piece may leave output behind although all input is taken.
            if inflater.eof or (not data and len(piece) < _STEP):
                return inflater.unused_data if inflater.eof else b""

    def _too_large(self) -> WolkvoxError:
        self._decoded.clear()
        return WolkvoxError(Reason.TOO_LARGE, f"more than {self._limit} bytes")
