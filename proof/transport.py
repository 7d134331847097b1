"""The part `transport`: the TLS of the exporter's own server, asked as a grader asks.

What a common client sees (certificates, client certificates, renewal, plain HTTP on the port)
is tested in tests/test_web_access.py; here stands what only a ClientHello made by hand or
`openssl s_client` can offer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from proof.part import Part, Say, Scale
from proof.scene import with_exporter
from proof.transport_hello import (
    ALL_SUITES,
    BAD_SUITES,
    DEFLATE,
    GOOD_SUITES,
    NULL_COMPRESSION,
    SSL3,
    TLS10,
    TLS11,
    TLS12,
    TLS13,
    hello,
    offer,
    suites_taken,
)
from tests.e2e_support import Life, wait_for
from tests.web_support import make_pair

ABOUT = (
    "A process with a web configuration is asked as testssl and its like ask: by "
    "ClientHellos made by hand, which offer what no library offers any more, and by "
    "`openssl s_client`. The configuration names a certificate and nothing else, where a "
    "check does not say otherwise."
)
PATIENCE = 30
Outcome = tuple[str, bool]
"""What was seen, and whether it must be so."""


@dataclass(frozen=True, slots=True)
class Server:
    """The exporter behind TLS, and the folder with its certificates."""

    life: Life
    folder: Path

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.life.addresses[0]

    def configure(self, *lines: str, cert: str = "rsa") -> None:
        """Put a web configuration in force, and wait until it is."""
        text = web_config(cert, *lines)
        if (self.folder / "web.yml").read_text(encoding="utf-8") == text:
            return
        told = self._reloads()
        write_whole(self.folder / "web.yml", text)

        def reloaded() -> bool:
            host, _, port = self.address.rpartition(":")
            socket.create_connection((host, int(port)), PATIENCE).close()  # then it looks
            return self._reloads() > told

        wait_for(reloaded, f"the new web configuration; the log: {self.life.log()[-500:]}")

    def _reloads(self) -> int:
        return self.life.log().count("web configuration reloaded")

    def openssl(self, *options: str, typed: bytes) -> str:
        """Return what `openssl s_client` writes; it ends by itself, or after some seconds."""
        command = ["openssl", "s_client", "-connect", self.address, "-servername", "localhost"]
        with subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(typed)
            process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5.0)  # the end of the input would end it too early
            try:
                told, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                told, _ = process.communicate()
        return told.decode("utf-8", "replace")


def web_config(cert: str, *lines: str) -> str:
    """A web configuration with a certificate and further lines of its section."""
    section = (f"cert_file: {cert}.pem", f"key_file: {cert}.key", *lines)
    return "tls_server_config:\n" + "".join(f"  {line}\n" for line in section)


def write_whole(file: Path, text: str) -> None:
    """Replace a file at once, as everybody should who changes a configuration."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, file)


@contextlib.contextmanager
def staged(directory: Path, prelude: str = "") -> Iterator[Server]:
    """Certificates of both kinds and an exporter with TLS, until the block ends."""
    make_pair(directory, "ec", "DNS:localhost")
    # Only with an RSA key could a server agree on keys by RSA.
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-out", "rsa.pem", "-keyout", "rsa.key"]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)
    (directory / "web.yml").write_text(web_config("rsa"), encoding="utf-8")
    flags = ("--web.config.file", "web.yml")
    with with_exporter(directory, *flags, prelude=prelude) as (life, api):
        wait_for(lambda: api.asked, "the first poll")
        yield Server(life, directory)


def _version(version: int, server: Server) -> Outcome:
    server.configure()
    choice = offer(server.address, hello(version, ALL_SUITES))
    if choice.accepted:
        return f"accepted, with the suite {choice.suite:#06x}", False
    return f"refused ({choice.refusal})", True


def _kind(suites: Sequence[int], server: Server) -> Outcome:
    server.configure()
    taken = suites_taken(server.address, TLS12, suites)
    if taken:
        return f"accepted: {', '.join(f'{suite:#06x}' for suite in taken)}", False
    return f"refused, all {len(suites)}", True


def _suites(cert: str, line: str, count: int, server: Server) -> Outcome:
    server.configure(*filter(None, [line]), cert=cert)
    taken = suites_taken(server.address, TLS12, ALL_SUITES)
    names = [GOOD_SUITES.get(suite, f"{suite:#06x}") for suite in taken]
    good = set(taken) <= set(GOOD_SUITES) and len(taken) == count
    return f"{len(taken)} of {len(ALL_SUITES)}: {', '.join(names)}", good


def _compression(server: Server) -> Outcome:
    server.configure()
    data = hello(TLS12, ALL_SUITES, compression=(DEFLATE, NULL_COMPRESSION))
    choice = offer(server.address, data)
    none = choice.accepted and choice.compression == NULL_COMPRESSION
    return "none" if none else f"compression {choice.compression}", none


def _extensions(server: Server) -> Outcome:
    server.configure()
    choice = offer(server.address, hello(TLS12, ALL_SUITES))
    seen = (
        f"secure renegotiation {'told' if choice.secure_renegotiation else 'not told'}, "
        f"heartbeat {'told' if choice.heartbeat else 'not told'}, "
        f"protocol {choice.protocol or 'none'}"
    )
    good = choice.secure_renegotiation and not choice.heartbeat
    return seen, good and choice.protocol == "http/1.1"


def _renegotiation(server: Server) -> Outcome:
    server.configure()
    told = server.openssl("-tls1_2", typed=b"R\n")
    if "RENEGOTIATING" not in told:
        return "it could not be asked for", False
    refused = "no renegotiation" in told
    return ("refused" if refused else "allowed, as often as a client likes"), refused


def _only_13(server: Server) -> Outcome:
    server.configure("min_version: TLS13")
    old = offer(server.address, hello(TLS12, ALL_SUITES)).accepted
    new = offer(server.address, hello(TLS12, (0x1301, 0x1302), offers_13=True)).version == TLS13
    seen = [f"TLS 1.2 {'accepted' if old else 'refused'}"]
    seen.append(f"TLS 1.3 {'accepted' if new else 'refused'}")
    return ", ".join(seen), new and not old


def _log(server: Server) -> Outcome:
    lines = server.life.log().splitlines()
    wrong = [line for line in lines if "level=error" in line or "Traceback" in line]
    return (wrong[0][:200], False) if wrong else ("no traceback, no error", True)


CHECKS: dict[str, Callable[[Server], Outcome]] = {
    "SSL 3 offered alone": partial(_version, SSL3),
    "TLS 1.0 offered alone": partial(_version, TLS10),
    "TLS 1.1 offered alone": partial(_version, TLS11),
    **{f"suites {kind}": partial(_kind, suites) for kind, suites in BAD_SUITES.items()},
    "compression (CRIME)": _compression,
    "extensions of the answer (Heartbleed, insecure renegotiation)": _extensions,
    "renegotiation asked for by a client": _renegotiation,
    "all suites of TLS 1.2 it takes, RSA certificate": partial(_suites, "rsa", "", 3),
    "all suites of TLS 1.2 it takes, ECDSA certificate": partial(_suites, "ec", "", 3),
    "`cipher_suites` with one suite": partial(
        _suites, "rsa", "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", 1
    ),
    "`min_version: TLS13`": _only_13,
    "the log of all this": _log,
}


def prove(scale: Scale, directory: Path, say: Say, prelude: str = "") -> Part:
    """Grade a real process; `prelude` is Python that weakens it."""
    rows, broken = [], []
    with staged(directory, prelude) as server:
        for name, ask in CHECKS.items():
            try:
                seen, held = ask(server)
            except (AssertionError, OSError) as error:  # it waited in vain, or was hung up on
                seen, held = f"{type(error).__name__}: {error}"[:200], False
            rows.append((name, "yes" if held else "**no**", seen))
            if not held:
                broken.append(f"{name}: {seen}")
    say(f"transport: {len(rows)} checks")
    return Part("Transport", ABOUT, ("check", "held", "seen"), tuple(rows), tuple(broken))
