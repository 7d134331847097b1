"""A file system and a hosts file of the exporter's own: mounts that nobody else sees.

They live in a mount namespace that a child holds open, and end with it. Where the machine
forbids that (a container without the right to mount), there is no room: `open_room` gives
None and the caller falls back on something weaker.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOLDER = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size={size}k,mode=0700 tmpfs {disk}
mount --bind {hosts} /etc/hosts
echo ready
exec cat
"""
# Before anything of the exporter runs, its process enters the namespaces of the holder.
_ENTER = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for name in {names!r}:
    descriptor = os.open("/proc/{pid}/ns/" + name, os.O_RDONLY)
    if libc.setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "setns " + name)
    os.close(descriptor)
os.chdir({directory!r})
"""


@dataclass(frozen=True, slots=True)
class Room:
    """The mounts: a small disk at `disk`, and `hosts` in the place of /etc/hosts."""

    pid: int
    directory: Path
    disk: Path
    hosts: Path
    namespaces: tuple[str, ...]

    @property
    def prelude(self) -> str:
        """What a process of the exporter runs first, to be inside."""
        return _ENTER.format(names=self.namespaces, pid=self.pid, directory=str(self.directory))

    @property
    def inside(self) -> Path:
        """The small disk as it is seen from outside."""
        return Path(f"/proc/{self.pid}/root{self.disk}")

    def fill(self) -> None:
        """Write until the kernel says ENOSPC."""
        filler = (self.inside / "filler").open("wb", buffering=0)
        with filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"\0" * 4096)

    def free(self) -> None:
        """Give the space free again."""
        (self.inside / "filler").unlink(missing_ok=True)

    def knows(self, name: str, *, known: bool) -> None:
        """Let a name resolve to this machine, in the room, or not any more."""
        line = f"127.0.0.1 {name}\n" if known else ""
        self.hosts.write_text(Path("/etc/hosts").read_text(encoding="utf-8") + line)


@contextlib.contextmanager
def open_room(directory: Path, size_kib: int = 16 * 1024) -> Iterator[Room | None]:
    """A room until the block ends; None where the machine does not allow one."""
    disk, hosts = directory / "disk", directory / "hosts"
    disk.mkdir()
    hosts.write_bytes(Path("/etc/hosts").read_bytes())
    root = os.geteuid() == 0
    script = _HOLDER.format(size=size_kib, disk=disk, hosts=hosts)
    holder = subprocess.Popen(
        ["unshare", "-m" if root else "-rm", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        ready = holder.stdout.readline() == "ready\n"
        namespaces = ("mnt",) if root else ("user", "mnt")
        yield Room(holder.pid, directory, disk, hosts, namespaces) if ready else None
        holder.stdin.close()  # type: ignore[union-attr] # ends `cat`, and the mounts with it
