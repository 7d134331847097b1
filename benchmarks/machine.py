"""What is measured on: the machine, the versions, the load of the moment."""

from __future__ import annotations

import os
import platform
import time
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
        f"Python {platform.python_version()} ({calls_a_second() / 1e6:.1f} million calls of a "
        f"method a second), {libraries}, {nginx_version()}",
        f"load average before: {os.getloadavg()[0]:.2f}",
    ]


def calls_a_second() -> float:
    """How fast this interpreter is here and now: the best of ten short tries.

    It tells builds apart as well as minutes: on a shared machine the same Python may be half
    as fast a moment later, and every figure of the exporter follows it.
    """

    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def rise(self) -> None:
            self.count += 1

    counter, calls = Counter(), 20_000

    def once() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            counter.rise()
        return time.perf_counter() - began

    return calls / min(once() for _ in range(10))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
