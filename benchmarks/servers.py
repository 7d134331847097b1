"""The servers that are measured beside each other: the exporter and its two peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import LOOPBACK, PATIENCE, Child, python, running
from tests.e2e_support import fetch, wait_for

NGINX_MISSING = "nginx is not installed (Debian: apt-get install nginx-light)"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers on a port of loopback."""

    port: int
    child: Child

    def get(
        self, *, gzip: bool = False, accept: str = "text/plain", path: str = "/metrics"
    ) -> bytes:
        """The body of a page, as it came over the wire."""
        encoding = "gzip" if gzip else "identity"
        address = f"{LOOPBACK}:{self.port}"
        return fetch(address, path, Accept=accept, Accept_Encoding=encoding).body

    def look(self) -> bytes:
        """The page; nothing where the server does not answer yet."""
        self.child.check()
        try:
            return self.get()
        except OSError:
            return b""


def exporter_command(config: Path, state: Path, port: int = 0) -> list[str]:
    """The exporter as its users start it; without a port, to be completed by the address."""
    flags = ["--config.file", str(config), "--storage.path", str(state)]
    address = ["--web.listen-address", f"{LOOPBACK}:{port}"] if port else []
    return python("-m", "exporter", *flags, *address)


@contextmanager
def serving(
    command: Sequence[str], port: int, directory: Path, name: str, samples: int = 1
) -> Iterator[Served]:
    """A server that shows at least so many samples of contact centres."""
    with running(command, directory, name) as child:
        served = Served(port, child)
        what = f"{samples} samples of {name}"
        wait_for(lambda: count(served.look()) >= samples, what, PATIENCE)
        yield served


def nginx_command(directory: Path, port: int, plain: bytes, packed: bytes) -> list[str]:
    """nginx with the same bytes as files, compressed beforehand (gzip_static)."""
    root = directory / "nginx"
    root.mkdir(exist_ok=True)
    (root / "metrics").write_bytes(plain)
    (root / "metrics.gz").write_bytes(packed)
    config = root / "nginx.conf"
    config.write_text(_nginx_config(root, port), encoding="utf-8")
    return [nginx_binary() or "", "-p", str(root), "-e", "stderr", "-c", str(config)]


def nginx_binary() -> str | None:
    """Where nginx is; Debian puts it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx_version() -> str:
    """`nginx/1.22.1`, or what is missing."""
    binary = nginx_binary()
    if binary is None:
        return NGINX_MISSING
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stderr
    return told.strip().rpartition(" ")[2]


def _nginx_config(root: Path, port: int) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {root}/{kind};" for kind in kinds)
    return f"""
{user} daemon off; worker_processes 1; pid {root}/nginx.pid; events {{ }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  default_type "text/plain; version=0.0.4; charset=utf-8";
  gzip_static on;
  {paths}
  server {{ listen {LOOPBACK}:{port}; root {root}; }}
}}
"""


def count(page: bytes) -> int:
    """Samples about contact centres on a page, the exporter's own left out."""
    return page.count(b"\nwolkvox_skill_")
