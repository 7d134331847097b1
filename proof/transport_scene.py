"""A real exporter behind TLS, and how a check asks it: by hand, by openssl, by HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e_api import Api, found, row
from tests.e2e_support import Launch, Life, Nursery, operation, wait_for, write_config
from tests.web_support import Pair, make_pair

PATIENCE = 30
_TYPED = 5.0  # seconds for openssl to end because of what was typed
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """The process, its folder with the certificates, and who may come in."""

    life: Life
    folder: Path
    ca: Pair
    client: Pair
    stranger: Pair

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.life.addresses[0]

    def configure(self, *lines: str, cert: str = "rsa") -> None:
        """Put a web configuration in force, and wait until it is."""
        section = (f"cert_file: {cert}.pem", f"key_file: {cert}.key", *lines)
        text = "tls_server_config:\n" + "".join(f"  {line}\n" for line in section)
        file = self.folder / "web.yml"
        if file.read_text(encoding="utf-8") == text:
            return
        told = self.life.log().count("web configuration reloaded")
        write_whole(file, text)
        self.until_reloaded(told)

    def until_reloaded(self, told: int) -> None:
        """Wait until it has told one reload more; it looks when somebody comes."""

        def reloaded() -> bool:
            self.plain(b"\x16")
            return self.life.log().count("web configuration reloaded") > told

        wait_for(reloaded, f"the new web configuration; the log: {self.life.log()[-500:]}")

    def plain(self, data: bytes) -> bytes:
        """What comes back to bytes without TLS, after which the client says no more."""
        host, _, port = self.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            return _said(connection, data, ends=True)

    def encrypted(self, data: bytes = REQUEST, client: Pair | None = None) -> bytes:
        """What comes back over TLS to whoever trusts its certificate; b"" for a refusal."""
        context = ssl.create_default_context()
        for name in ("rsa", "ec", "renewed"):
            context.load_verify_locations(cafile=str(self.folder / f"{name}.pem"))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        host, _, port = self.address.rpartition(":")
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            socket.create_connection((host, int(port)), timeout=PATIENCE) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as secure,
        ):
            return _said(secure, data)
        return b""

    def openssl(self, *options: str, typed: bytes = b"") -> str:
        """What `openssl s_client` tells; it ends by itself, or after some seconds."""
        command = ["openssl", "s_client", "-connect", self.address, "-servername", "localhost"]
        with subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            if typed and process.stdin is not None:
                process.stdin.write(typed)
                process.stdin.flush()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_TYPED)  # the end of what is typed would end it too early
            try:
                told, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                told, _ = process.communicate()
        return told.decode("utf-8", "replace")


def write_whole(file: Path, text: str) -> None:
    """Replace a file at once, as everybody should who changes a configuration."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, file)


def _said(connection: socket.socket, data: bytes, *, ends: bool = False) -> bytes:
    received = b""
    try:
        connection.sendall(data)
        if ends:  # whoever waits for more would be waited for
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    except OSError:  # a reset ends an answer as well
        pass
    return received


def serial(told: str) -> str:
    """The certificate in what openssl told, to compare it with another one."""
    match = re.search(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", told, re.DOTALL
    )
    return match[0] if match else ""


@contextlib.contextmanager
def staged(directory: Path, prelude: str = "") -> Iterator[Scene]:
    """Certificates, a small API and an exporter with TLS, until the block ends."""
    ca = make_pair(directory, "ca")
    for name, key in (("rsa", "rsa:2048"), ("ec", ""), ("renewed", "")):
        if key:
            _make_rsa(directory, name, key)
        else:
            make_pair(directory, name, "DNS:localhost")
    client = make_pair(directory, "client", "DNS:prometheus", issuer=ca)
    stranger = make_pair(directory, "stranger", "DNS:prometheus")
    (directory / "web.yml").write_text(
        "tls_server_config:\n  cert_file: rsa.pem\n  key_file: rsa.key\n", encoding="utf-8"
    )
    nursery = Nursery()
    launch = Launch(nursery, directory)
    try:
        with Api(lambda asked: found(row())).run() as api:
            config = write_config(directory, operation(api.url()))
            life = launch.serve(config, "--web.config.file", "web.yml", prelude=prelude)
            scene = Scene(life, directory, ca, client, stranger)
            wait_for(lambda: b"wolkvox_up{" in scene.encrypted(), f"a scrape; {life.log()}")
            yield scene
    finally:
        launch.close()
        nursery.close()


def _make_rsa(directory: Path, name: str, key: str) -> None:
    """A certificate with an RSA key: only with one could a server agree on keys by RSA."""
    command = ["openssl", "req", "-x509", "-newkey", key, "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += [
        "-out",
        str(directory / f"{name}.pem"),
        "-keyout",
        str(directory / f"{name}.key"),
    ]
    subprocess.run(command, check=True, capture_output=True)
