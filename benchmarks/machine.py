"""What is measured on: the machine, the versions, the load of the moment."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.servers import nginx_version

_LIBRARIES = ("prometheus-client", "uvicorn", "httptools", "httpx")


def describe() -> list[str]:
    """Lines for people."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"machine: {os.cpu_count()} cores, {_processor()}, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {libraries}, {nginx_version()}",
        f"load average before: {os.getloadavg()[0]:.2f}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
