"""Certificates good and bad, made by the openssl program."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from proof.faults_server import GOOD, Low

NAME = "api.wolkvox-proof.invalid"
"""The one name in the good certificate beside 127.0.0.1."""

_CONFIG = """
[ca]
default_ca = own
[own]
new_certs_dir = .
database = index
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = nothing
[nothing]
[good]
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1,DNS:{name}
[stranger]
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.2,DNS:elsewhere.wolkvox-proof.invalid
"""
_NOW, _PAST = ("20200101000000Z", "20491231000000Z"), ("20200101000000Z", "20200201000000Z")


def make(directory: Path) -> tuple[Path, dict[str, ssl.SSLContext]]:
    """The file of an authority, and the contexts of servers by the names of `Low` and GOOD."""
    directory.mkdir()
    (directory / "config").write_text(_CONFIG.format(name=NAME))
    (directory / "index").touch()
    for name in ("ca", "unknown"):
        _openssl(
            directory,
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key"),
            *("-out", f"{name}.crt", "-addext", "keyUsage=critical,keyCertSign"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        )
    _openssl(
        directory,
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=api", "-keyout", "leaf.key", "-out", "leaf.csr", "-config", "config"),
    )
    leaves = {GOOD: ("good", _NOW), Low.EXPIRED: ("good", _PAST), Low.STRANGER: (None, _NOW)}
    for leaf, (names, (start, end)) in leaves.items():
        _openssl(
            directory,
            *("ca", "-config", "config", "-batch", "-notext", "-cert", "ca.crt"),
            *("-keyfile", "ca.key", "-in", "leaf.csr", "-out", f"{leaf}.crt"),
            *("-startdate", start, "-enddate", end, "-extensions", names or "stranger"),
        )
        (directory / "index").write_text("")
    keys = {name: "leaf" for name in leaves} | {Low.UNKNOWN: "unknown"}
    contexts = {str(name): _context(directory, name, key) for name, key in keys.items()}
    return directory / "ca.crt", contexts


def _context(directory: Path, name: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / f"{name}.crt", directory / f"{key}.key")
    return context


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
