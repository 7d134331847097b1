"""`python -m proof.fuzz_seeds`: make the corpus anew from what the tests and the docs hold.

That of the requests was written once, by hand.

What broke something once is put into the folder by hand, with a name that says what it is.
Inputs that a fuzzer found because they reach new code are named by their content, as seeds are:
nothing can tell them from a seed whose source has changed, so nothing is ever taken away here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from proof.fuzz import ROOT
from proof.fuzz_config import HASH, WRITTEN
from proof.fuzz_driver import CORPUS
from proof.fuzz_exporter import SEPARATOR, Wire, rows_after
from tests import quirks, test_canary, test_web_config

MAX_SEED = 8 * 1024


def answers() -> Iterable[bytes]:
    """Each quirk, and histories of several."""
    wires = []
    for quirk in quirks.QUIRKS:
        headers = {name.lower(): value for name, value in quirk.headers}
        encoding = headers.get("content-encoding")
        wires.append(Wire(quirk.status, headers.get("content-type"), encoding, 0, quirk.body))
    yield from (wire.encoded() for wire in wires)
    for step in (0, 1, 9):
        counts = ("67", "90", "80", "1,172")
        yield SEPARATOR.join(_good(step, count).encoded() for count in counts)


def _good(step: int, count: str) -> Wire:
    return Wire(200, None, None, step, quirks.envelope([quirks.cells(inbound_calls=count)]))


def configurations() -> Iterable[bytes]:
    """The documented example, its single keys, and tokens in wrong places."""
    example = (ROOT / "docs" / "example.yml").read_bytes()
    yield example
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    yield from (found.encode() for found in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    base = "name: acme, url: 'http://127.0.0.1:1/', skills: [{id: 4173}]"
    for text in test_canary.WRONG_PLACES:
        yield f"operations:\n  - {{{base}, {text.format(token=WRITTEN)}}}\n".encode()
    operation = "operations: [{{name: a, server: '0013', skills: [all], {}}}]\n"
    for more in (
        "token_env: ACME_TOKEN",
        "token_file: token",
        "token: &t x, labels: {a: *t}",
        "token_file: token, sla: [{asa: {max: 30s}, hours: 'Mo-Fr 07:00-19:00; PH off',"
        " country: CO}]",
        "token_file: token, poll_hours: 'Mo-Sa 06:00-22:00', daily_requests: 300",
        "token_file: token, timezone: America/Lima, interval: 1h30m, stale_after: 3h",
        "token_file: token, proxy: 'http://u:p@127.0.0.1:8080', token_info: true",
        "token_file: token, <<: {interval: 10m}",
    ):
        yield operation.format(more).encode()
    yield b"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\noperations: [*c, *c]\n"


def web_configurations() -> Iterable[bytes]:
    """The documented example, and what the tests take and refuse."""
    page = (ROOT / "docs" / "web-config.md").read_text(encoding="utf-8")
    yield from (found.encode() for found in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    lines = (
        "min_version: TLS13",
        "min_version: TLS10",
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem",
        "client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [x]",
        "cert: |\n    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----",
    )
    yield from (test_web_config.server(line).encode() for line in lines)
    yield f"basic_auth_users: {{alice: {HASH}, {HASH}: x}}\n".encode()
    yield b"rate_limit: {interval: 1m0.5s, burst: 20}\nhttp_server_config: {http2: true}\n"


def rows() -> Iterable[bytes]:
    """Rows of the state file as the exporter writes them: memories, pauses, skills."""
    yield b'[["4173","Ventas"],["4190","Cobranza"]]'
    good = [_good(0, count) for count in ("67", "90", "80")]
    chat = quirks.envelope([quirks.cells(), quirks.cells("chat-whatsapp", inbound_calls="20")])
    for answers in (
        good,
        [Wire(200, None, None, 0, chat), Wire(500, None, None, 0, b""), _good(1, "95")],
        [*good, Wire(403, None, None, 0, b'{"code":"403","msg":"TOKEN LIMIT EXCEEDED"}')],
        [Wire(401, None, None, 0, b"")],
    ):
        yield from (text.encode() for text in rows_after(*answers))


SEEDS: dict[str, Callable[[], Iterable[bytes]]] = {
    "answer": answers,
    "config": configurations,
    "web_config": web_configurations,
    "state": rows,
}


def write(name: str, folder: Path) -> None:
    """The seeds of a target as files, named by their content."""
    for seed in SEEDS[name]():
        if len(seed) <= MAX_SEED:
            digest = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
            (folder / digest[:16]).write_bytes(seed)


def main() -> None:
    """Make the corpus of every target."""
    for name in SEEDS:
        where = CORPUS / name
        where.mkdir(parents=True, exist_ok=True)
        write(name, where)
        files = list(where.iterdir())
        size = sum(file.stat().st_size for file in files)
        print(f"{name}: {len(files)} inputs, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
