"""Counts the functions, files and moves of one poll, one scrape and one status page.

A real exporter runs in this process against an API of one row on loopback: one skill, one
channel, one target. Counted are the named functions of `exporter/`, a coroutine at its first
entry; a move is a call in another file than the call before it. What also runs when nothing
happens (a sign of life each second) is not counted.

    python -m scripts.trip                  one line of JSON
    TRIPS=/tmp/trips python -m scripts.trip the calls as well, a file each
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from tests.e2e_api import Api, Asked, Reply, found, row
from tests.e2e_support import TOKEN, fetch, free_port, operation, write_config

ROOT = f"{Path(__file__).parents[1] / 'exporter'}{os.sep}"
INTERVAL = 8.0  # seconds
QUIET = 3.0  # seconds after which everything about an answer is done
ANSWERED = threading.Semaphore(0)
Calls = list[tuple[str, str]]


class Recorder:
    """Follows the calls of all threads while a trip is recorded."""

    def __init__(self) -> None:
        self._calls: Calls | None = None
        self._entered: list[FrameType] = []  # kept, so that no id comes twice

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """Note a call, as `sys.setprofile` asks."""
        calls, code = self._calls, frame.f_code
        if calls is None or event != "call" or not code.co_filename.startswith(ROOT):
            return
        if code.co_name.startswith("<") or any(frame is one for one in self._entered):
            return
        self._entered.append(frame)
        calls.append((code.co_filename.removeprefix(ROOT), code.co_qualname))

    def record(self, trip: Callable[[], object]) -> Calls:
        """Return the calls of a trip, in their order."""
        calls: Calls = []
        self._entered.clear()
        self._calls = calls
        trip()
        self._calls = None
        return calls


def answer(asked: Asked) -> Reply:
    """Answer one row, and say that it was asked for."""
    ANSWERED.release()
    return found(row())


def poll() -> None:
    """Wait for a request and all that follows it."""
    assert ANSWERED.acquire(timeout=60), "no request came"
    time.sleep(QUIET)


def measure(recorder: Recorder, address: str) -> dict[str, dict[str, int]]:
    """Take one of each trip, once polls repeat themselves."""

    def get(page: str) -> None:
        fetch(address, page, Accept_Encoding="gzip")
        time.sleep(0.1)

    for _ in range(3):
        assert ANSWERED.acquire(timeout=60), "no request came"
    for page in ("/metrics", "/") * 2:  # what only the first one costs
        get(page)
    time.sleep(QUIET)
    trips: dict[str, Callable[[], object]] = {
        "idle": lambda: time.sleep(QUIET),
        "poll": poll,
        "scrape": lambda: get("/metrics"),
        "page": lambda: get("/"),
    }
    told, idle = {}, set[tuple[str, str]]()
    for name, trip in trips.items():
        poll()
        calls = [call for call in recorder.record(trip) if call not in idle]
        if name == "idle":
            idle = set(calls)
            continue
        files = [file for file, _ in calls]
        moves = sum(one != other for one, other in pairwise(files))
        told[name] = {"functions": len(set(calls)), "files": len(set(files)), "moves": moves}
        if out := os.environ.get("TRIPS"):  # a folder for the calls themselves
            text = "".join(f"{' '.join(call)}\n" for call in calls)
            Path(out, f"{name}.txt").write_text(text, encoding="utf-8")
    return told


def main() -> None:
    """Run the exporter in the main thread, and look at it from another one."""
    from exporter.cli import main as cli  # noqa: PLC0415 - after the profile is set

    recorder = Recorder()
    with tempfile.TemporaryDirectory() as directory, Api(answer).run() as api:
        os.chdir(directory)
        sla = "[{service_level: {within: 20s, target: 80%}}]"
        entry = operation(api.url(), interval=f"{INTERVAL:g}s", sla=sla)
        write_config(Path(), entry.replace(f"token: {TOKEN}", "token_file: token"))
        Path("token").touch(mode=0o600)
        Path("token").write_text(TOKEN, encoding="utf-8")
        address = f"127.0.0.1:{free_port()}"
        threading.Thread(target=look, args=(recorder, address), daemon=True).start()
        threading.setprofile(recorder)
        sys.setprofile(recorder)
        sys.argv = [
            *("wolkvox-exporter", "--config.file", "wolkvox.yml", "--storage.path", "state"),
            *("--web.listen-address", address),
        ]
        cli()


def look(recorder: Recorder, address: str) -> None:
    """Measure the exporter, print and end it."""
    try:
        print(json.dumps(measure(recorder, address)), flush=True)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
