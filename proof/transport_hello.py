"""A TLS client that offers whatever it is told to, down to what no library offers any more.

It says one ClientHello and reads what comes back: the choice of the server, or its refusal.
Nothing is encrypted, and no handshake goes further.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

SSL3, TLS10, TLS11, TLS12, TLS13 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
SCSV: Final = 0x00FF  # "I know secure renegotiation", in the form of a suite
NULL_COMPRESSION, DEFLATE = 0, 1
# Every suite up to TLS 1.2 has a number of these: the old ones, elliptic curves, ChaCha20,
# and a range that draft versions used.
ALL_SUITES: Final = (*range(0x0001, 0x00C6), *range(0xC001, 0xC0B4), *range(0xCC13, 0xCCAF))
_RENEGOTIATION_INFO, _HEARTBEAT, _ALPN, _VERSIONS = 0xFF01, 15, 16, 43
_TIMEOUT = 30.0

# The suites whose exchange is an ephemeral elliptic curve and whose encryption authenticates.
GOOD_SUITES: Final = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
}
# What testssl and its like ask for by kind; the numbers are the registry's.
BAD_SUITES: Final = {
    "without encryption (NULL)": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010, 0xC015, 0x00B0),
    "export grade": (0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019),
    "anonymous": (0x0018, 0x001B, 0x0034, 0x003A, 0x006C, 0x006D, 0x00A6, 0x00A7, 0xC018),
    "RC4": (0x0004, 0x0005, 0x0018, 0xC002, 0xC007, 0xC00C, 0xC011, 0xC016),
    "DES, 3DES and IDEA": (0x0007, 0x0009, 0x000A, 0x0016, 0xC003, 0xC008, 0xC00D, 0xC012),
    "without forward secrecy (RSA key exchange)": (
        *(0x002F, 0x0035, 0x003C, 0x003D, 0x0041, 0x0084, 0x0096, 0x009C, 0x009D, 0xC09C),
        *(0xC09D, 0xC0A0, 0xC0A1),
    ),
    "CBC, with a code before encryption (Lucky 13)": (
        *(0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0x0033, 0x0039),
        *(0x0067, 0x006B),
    ),
    "with keys agreed beforehand (PSK, SRP)": (0x008C, 0x00A8, 0x00AC, 0xC01E, 0xC037, 0xCCAB),
}
_ALERTS = {
    0: "it closed", 10: "unexpected message", 40: "handshake failure",
    47: "illegal parameter", 50: "decode error", 70: "protocol version",
    71: "insufficient security", 80: "internal error", 86: "inappropriate fallback",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What came back: the server's choice, or (`suite` None) the reason of its refusal."""

    refusal: str
    version: int = 0
    suite: int | None = None
    compression: int = 0
    secure_renegotiation: bool = False
    heartbeat: bool = False
    protocol: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the server went on."""
        return self.suite is not None


def hello(
    version: int,
    suites: Sequence[int],
    *,
    compression: Sequence[int] = (NULL_COMPRESSION,),
    offers_13: bool = False,
) -> bytes:
    """A ClientHello with these suites, in the record in which it travels."""
    listed = b"".join(struct.pack(">H", suite) for suite in (*suites, SCSV))
    body = struct.pack(">H", version) + os.urandom(32) + b"\0"
    body += struct.pack(">H", len(listed)) + listed
    body += bytes([len(compression), *compression])
    if version > SSL3:
        extensions = b"".join([*_extensions(), *(_modern() if offers_13 else ())])
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16" + struct.pack(">HH", min(version, TLS10), len(message)) + message


def _extensions() -> Iterable[bytes]:
    groups = (29, 23, 24, 25, 30, 256)
    signatures = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
                  0x0203, 0x0201, 0x0202)  # fmt: skip
    yield _extension(10, _vector(b"".join(struct.pack(">H", one) for one in groups)))
    yield _extension(11, b"\x01\x00")
    yield _extension(13, _vector(b"".join(struct.pack(">H", one) for one in signatures)))
    yield _extension(_HEARTBEAT, b"\x01")
    yield _extension(_ALPN, _vector(b"\x02h2\x08http/1.1"))


def _modern() -> Iterable[bytes]:
    """The extensions that offer TLS 1.3: its version and a key of X25519."""
    yield _extension(_VERSIONS, b"\x02" + struct.pack(">H", TLS13))
    yield _extension(51, _vector(struct.pack(">H", 29) + _vector(os.urandom(32))))


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def _vector(body: bytes) -> bytes:
    return struct.pack(">H", len(body)) + body


def offer(address: str, data: bytes) -> Choice:
    """Say a ClientHello; what the server makes of it."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT) as connection:
        try:
            connection.sendall(data)
            kind, record = _record(connection)
        except (ConnectionError, EOFError):
            return Choice("it closed")
    if kind == 21 and len(record) == 2:
        return Choice(_ALERTS.get(record[1], f"alert {record[1]}"))
    if kind != 22 or record[:1] != b"\x02":
        return Choice("no TLS came back")
    return _choice(record[4:])


def _record(connection: socket.socket) -> tuple[int, bytes]:
    kind, _, size = struct.unpack(">BHH", _exactly(connection, 5))
    return kind, _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _choice(body: bytes) -> Choice:
    """A ServerHello taken apart."""
    at = 35 + body[34]
    suite, compression = int.from_bytes(body[at : at + 2], "big"), body[at + 2]
    found: dict[int, bytes] = {}
    at += 5  # behind the length of the extensions, where there are any
    while at + 4 <= len(body):
        kind, size = struct.unpack(">HH", body[at : at + 4])
        found[kind] = body[at + 4 : at + 4 + size]
        at += 4 + size
    version = int.from_bytes(found.get(_VERSIONS, body[:2]), "big")
    return Choice(
        "",
        version,
        suite,
        compression,
        _RENEGOTIATION_INFO in found,
        _HEARTBEAT in found,
        found.get(_ALPN, b"")[3:].decode("ascii", "replace"),
    )


def suites_taken(address: str, version: int, suites: Sequence[int]) -> list[int]:
    """Which of these suites the server takes, in its order: each choice is offered no more."""
    left, taken = list(suites), []
    while left:
        choice = offer(address, hello(version, left))
        if choice.suite not in left or choice.version != version:
            break
        taken.append(choice.suite)
        left.remove(choice.suite)
    return taken
