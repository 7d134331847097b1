"""The part `transport` of the proof: what it asks a server, and that it finds a weak one."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import cast

import pytest

from exporter.web.certificates import TlsSettings, build_context
from proof import transport
from proof.part import TINY
from proof.transport_checks import BREACHES, CLIENTS, MODERN, OLD, exchange
from proof.transport_hello import ALL_SUITES, GOOD_SUITES, SSL3, TLS12, hello, offer
from proof.transport_scene import Scene
from tests.web_support import make_pair

WEAK = """
import ssl
import warnings
from exporter.web import settings

strong = settings.build_context

def weak(wanted):
    context = strong(wanted)
    warnings.simplefilter("ignore")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:NULL:@SECLEVEL=0")
    context.options &= ~ssl.OP_NO_RENEGOTIATION
    context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    return context

settings.build_context = weak
"""


def say(text: str) -> None:
    """Nobody listens."""


@pytest.mark.slow
def test_the_tls_of_the_exporter_holds(tmp_path: Path) -> None:
    """Every check of the table is there, and none of them found anything."""
    part = transport.prove(TINY, tmp_path, say)

    assert not part.broken
    names = [row[0] for row in part.rows]
    checks = [check.name for group in (OLD, BREACHES, MODERN, CLIENTS) for check in group]
    assert names == [*checks, "the log of all this"]
    assert {row[1] for row in part.rows} == {"yes"}


@pytest.mark.slow
def test_a_weak_server_is_told(tmp_path: Path) -> None:
    """Old versions, old suites, renegotiation: each is found where a server allows it."""
    part = transport.grade(tmp_path, say, (OLD, BREACHES, MODERN[2:4]), prelude=WEAK)

    broken = "\n".join(part.broken)
    for name in (
        "TLS 1.0 offered alone",
        "TLS 1.1 offered alone",
        "suites without encryption (NULL)",
        "suites anonymous",
        "suites without forward secrecy (RSA key exchange)",
        "suites CBC, with a code before encryption (Lucky 13)",
        "renegotiation asked for by a client: allowed",
        "all suites of TLS 1.2 it takes, RSA certificate",
    ):
        assert name in broken
    assert {row[1] for row in part.rows} == {"yes", "**no**"}


class Told:
    """A scene whose exporter has written this."""

    def __init__(self, text: str) -> None:
        self.life = self
        self._text = text

    def log(self) -> str:
        """What it has written."""
        return self._text


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("level=info msg=started\n", True),
        ('level=error msg="web configuration not reloaded"\n', True),
        ("level=error msg=defect\n", False),
        ("level=info msg=started\nTraceback (most recent call last):\n  File\n", False),
    ],
)
def test_a_log_with_an_error_or_a_traceback_does_not_hold(text: str, held: bool) -> None:
    """What checks did to the configuration is told and meant; the rest is a defect."""
    assert transport._log(cast("Scene", Told(text)))[1] is held


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ("Server Temp Key: X25519, 253 bits\n", "X25519"),
        ("Peer Temp Key: X25519, 253 bits\nNegotiated TLS1.3 group: <NULL>\n", "X25519"),
        ("Negotiated TLS1.3 group: <NULL>\nPeer Temp Key: ECDH, prime256v1\n", "ECDH"),
        ("Negotiated TLS1.3 group: X25519MLKEM768\n", "X25519MLKEM768"),
        ("Negotiated TLS1.3 group: <NULL>\nVerification: OK\n", None),
    ],
)
def test_the_key_exchange_is_read_from_any_openssl(told: str, key: str | None) -> None:
    """Each of its versions has other words for it."""
    assert exchange(told) == key


def test_the_default_suites_are_ours_whatever_python_was_built_with(tmp_path: Path) -> None:
    """Debian's Python leaves them to OpenSSL, which still takes RSA key exchange and CBC."""
    pair = make_pair(tmp_path, "server", "DNS:localhost")
    context = build_context(TlsSettings(pair.cert.read_bytes(), pair.key.read_bytes()))

    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert {name for name in names if not name.startswith("TLS_")} == set(GOOD_SUITES.values())


def answering(data: bytes) -> tuple[str, threading.Thread]:
    """A server that says this to whoever comes first."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"{host}:{port}", thread


def server_hello(suite: int, compression: int, extensions: bytes) -> bytes:
    """A ServerHello in its record."""
    body = b"\x03\x03" + bytes(32) + b"\x02ab" + suite.to_bytes(2, "big")
    body += bytes([compression]) + len(extensions).to_bytes(2, "big") + extensions
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def test_a_server_hello_is_read() -> None:
    """Suite, compression and the extensions that graders look at."""
    told = b"\xff\x01\x00\x01\x00" + b"\x00\x0f\x00\x01\x01" + b"\x00\x10\x00\x05\x00\x03\x02h2"
    address, thread = answering(server_hello(0x0005, 1, told))
    choice = offer(address, hello(TLS12, [0x0005]))
    thread.join()

    assert choice.accepted
    assert (choice.version, choice.suite, choice.compression) == (TLS12, 5, 1)
    assert choice.secure_renegotiation
    assert choice.heartbeat
    assert choice.protocol == "h2"


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "protocol version"),
        (b"\x15\x03\x01\x00\x02\x02\xc8", "alert 200"),
        (b"HTTP/", "it closed"),
        (b"\x16\x03\x03\x00\x01\x0e", "no TLS came back"),
        (b"", "it closed"),
    ],
)
def test_a_refusal_is_no_choice(said: bytes, refusal: str) -> None:
    """An alert, an end, or something else than TLS."""
    address, thread = answering(said)
    choice = offer(address, hello(SSL3, ALL_SUITES))
    thread.join()

    assert not choice.accepted
    assert choice.refusal == refusal
