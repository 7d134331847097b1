"""A socket in the state directory that tells whether the exporter lives; knows no HTTP.

`wolkvox-exporter healthcheck` asks it, whatever addresses, TLS and users /metrics has. The
answer comes from the event loop itself: a process that hangs does not answer. Only the
owner of the state directory may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.logs import say

log = logging.getLogger(__name__)

NAME = "health.sock"
HEALTHY = b"healthy\n"
UNHEALTHY = b"unhealthy\n"
PATIENCE = 3.0
_LONGEST = 107  # bytes of a socket's path, by the kernel
_BACKLOG = 16


@contextmanager
def health_socket(directory: Path, healthy: Callable[[], bool]) -> Iterator[None]:
    """Answer on the running event loop while the context lasts.

    The caller holds the directory's lock, so that a socket which is already there belongs
    to nobody. Where none can be made (some file systems know no sockets) the log says so
    and the exporter runs without.
    """
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(_listen(directory))
        except OSError as error:
            say(
                log,
                logging.WARNING,
                "no health socket: healthcheck will find nothing",
                path=str(directory / NAME),
                error=error.strerror or str(error),
            )
        else:
            loop = asyncio.get_running_loop()
            loop.add_reader(listener, _answer, listener, healthy)
            stack.callback(loop.remove_reader, listener)
        yield


@contextmanager
def _listen(directory: Path) -> Iterator[socket.socket]:
    path = directory / NAME
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        with _short(path) as name:
            listener.bind(name)
        try:
            path.chmod(0o600)  # before it listens: nobody could connect yet
            listener.listen(_BACKLOG)
            yield listener
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _answer(listener: socket.socket, healthy: Callable[[], bool]) -> None:
    """Send one line and hang up: nothing is read, so nobody can make it wait."""
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            connection.send(HEALTHY if healthy() else UNHEALTHY)


def ask_health(directory: Path, patience: float = PATIENCE) -> str | None:
    """None where the exporter of this state directory lives, else a sentence why not.

    Waits `patience` seconds at most for each of the connection and the answer.
    """
    try:
        with _connected(directory, patience) as connection:
            answer = connection.recv(len(UNHEALTHY))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return f"no exporter runs on the state directory {directory}"
    except (TimeoutError, BlockingIOError):
        return f"the exporter of the state directory {directory} does not answer"
    except OSError as error:
        return f"{directory / NAME} cannot be asked: {error.strerror or error}"
    if answer == HEALTHY:
        return None
    if answer == UNHEALTHY:
        return "the exporter runs, but a poll loop has stood still for too long"
    return f"the exporter of the state directory {directory} is just ending"


def exporter_runs(directory: Path) -> bool:
    """Whether somebody listens on the socket of this state directory, or hangs."""
    try:
        with _connected(directory, PATIENCE):
            return True
    except OSError as error:
        return isinstance(error, TimeoutError | BlockingIOError)


@contextmanager
def _connected(directory: Path, patience: float) -> Iterator[socket.socket]:
    with (
        _short(directory / NAME) as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
    ):
        connection.settimeout(patience)
        connection.connect(name)
        yield connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that the kernel takes: a long path by way of its directory."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
