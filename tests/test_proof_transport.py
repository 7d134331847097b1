"""The part `transport` of the proof finds a weak server."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.web.tls import build_context
from proof import transport
from proof.part import TINY
from proof.transport_hello import GOOD_SUITES
from tests.web_support import make_pair

WEAK = """
import ssl
import warnings
from exporter.web import access_config

strong = access_config.build_context

def weak(*given, **more):
    context = strong(*given, **more)
    warnings.simplefilter("ignore")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:NULL:@SECLEVEL=0")
    context.options &= ~ssl.OP_NO_RENEGOTIATION
    context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    return context

access_config.build_context = weak
"""


@pytest.mark.slow
def test_a_weak_server_is_found(tmp_path: Path) -> None:
    """Old versions, old suites, renegotiation: each is found where a server allows it."""
    part = transport.prove(TINY, tmp_path, lambda text: None, prelude=WEAK)

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
        "`min_version: TLS13`",
    ):
        assert name in broken
    assert {row[1] for row in part.rows} == {"yes", "**no**"}


def test_the_default_suites_are_ours_whatever_python_was_built_with(tmp_path: Path) -> None:
    """Debian's Python leaves them to OpenSSL, which still takes RSA key exchange and CBC."""
    pair = make_pair(tmp_path, "server", "DNS:localhost")
    context = build_context(pair.cert.read_bytes(), pair.key.read_bytes())

    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert {name for name in names if not name.startswith("TLS_")} == set(GOOD_SUITES.values())
