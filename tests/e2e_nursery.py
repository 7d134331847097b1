"""A Python that has imported the exporter and forks a process for each start; no tests here.

Importing takes a second, a fork milliseconds: dozens of starts and kills fit into a run. Each
child is a process of its own: its own arguments, environment, directory, output and signals.

Orders come as JSON lines on stdin and are answered on stdout:

    {"start": {argv, env, cwd, stdout, stderr, prelude}}  ->  {"pid": 4711}
    {"look": 4711}                                        ->  {"code": null | 0 | 1 | -9 ...}

The end of stdin kills every child that is left.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import Any

# What a process would load late, each anew.
import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import uvicorn.lifespan.off
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import exporter.demo
import exporter.service
import exporter.tools.backfill
import exporter.tools.probe
import exporter.tools.skills  # noqa: F401
from exporter.cli import main


def nurse() -> dict[str, Any] | None:
    """Obey orders; returns None at their end, and in each child the order it has to run."""
    children: set[int] = set()
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "look" in order:
            reply = {"code": _look(order["look"], children)}
        else:
            pid = os.fork()
            if pid == 0:
                return dict(order["start"])
            children.add(pid)
            reply = {"pid": pid}
        print(json.dumps(reply), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None


def _look(pid: int, children: set[int]) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def become(order: dict[str, Any]) -> None:
    """Take on what a process is given at its start, then run the command line."""
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # The stream that stood there remembers that it wrote to a file; this may be a terminal.
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv[:] = ["wolkvox-exporter", *order["argv"]]
    exec(order["prelude"], {})  # noqa: S102 - what a test changes before the start
    main()


if __name__ == "__main__":
    gc.freeze()
    mine = nurse()
    if mine is not None:
        become(mine)
