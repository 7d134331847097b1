"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.runtime import ServiceManager
from tests.e2e_support import Launch, operation, wait_for, write_config

pytest_plugins = ("tests.e2e_fixtures",)
pytestmark = pytest.mark.anyio


class Enough(Exception):
    """Ends the endless loop of `watch`."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def received(manager: socket.socket) -> list[str]:
    """All that has come in."""
    found = []
    while True:
        try:
            found.append(manager.recv(1000).decode())
        except BlockingIOError:
            return found


async def test_lines_go_out_in_one_datagram(manager: socket.socket) -> None:
    """What is told together arrives together."""
    ServiceManager(manager.getsockname()).notify("READY=1", "STATUS=polling")

    assert received(manager) == ["READY=1\nSTATUS=polling"]


@pytest.mark.usefixtures("linux")
async def test_an_abstract_name_is_an_address_too() -> None:
    """A leading @ means Linux's abstract name space."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses an abstract name
        listening.setblocking(False)
        ServiceManager("@" + listening.getsockname()[1:].decode()).notify("STOPPING=1")

        assert received(listening) == ["STOPPING=1"]


async def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    """Without a manager, or with one that is gone, nothing happens."""
    ServiceManager().notify("READY=1")
    ServiceManager(str(tmp_path / "gone")).notify("READY=1")
    ServiceManager("/" + "x" * 200).notify("READY=1")


async def test_signs_of_life_stop_with_the_life(manager: socket.socket) -> None:
    """WATCHDOG=1 goes out twice in each patience, and not while the loops hang."""
    alive = iter([True, True, False, False, True])
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            raise Enough

    watched = ServiceManager(manager.getsockname(), 60.0)
    with pytest.raises(Enough):
        await watched.watch(lambda: next(alive), sleep)

    assert slept == [30.0] * 5
    assert received(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"},
    ],
)
async def test_no_watchdog_no_signs(environ: dict[str, str], manager: socket.socket) -> None:
    """Without a watchdog, or with one for another process, `watch` ends at once."""
    address = {"NOTIFY_SOCKET": manager.getsockname()}
    watched = ServiceManager.of({**address, **environ}, pid=7)

    async def sleep(seconds: float) -> None:
        raise AssertionError(seconds)

    await watched.watch(lambda: True, sleep)
    assert received(manager) == []


async def test_the_environment_names_socket_and_patience(manager: socket.socket) -> None:
    """NOTIFY_SOCKET and WATCHDOG_USEC are read; WATCHDOG_PID is this process."""
    environ = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "10000000",
        "WATCHDOG_PID": "7",
    }

    async def sleep(seconds: float) -> None:
        assert seconds == 5.0
        raise Enough

    with pytest.raises(Enough):
        await ServiceManager.of(environ, pid=7).watch(lambda: True, sleep)
    assert received(manager) == ["WATCHDOG=1"]


# The process ------------------------------------------------------------------------------


@pytest.mark.e2e
async def test_the_exporter_tells_when_it_serves_and_when_it_ends(
    manager: socket.socket, launch: Launch, tmp_path: Path
) -> None:
    """READY=1 when it serves, WATCHDOG=1 while its loops live, STOPPING=1 at the end."""
    config = write_config(tmp_path, operation("http://127.0.0.1:9/api/v2/"))
    address = manager.getsockname()
    life = launch.serve(config, env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"})
    told: list[str] = []

    def heard(line: str, times: int = 1) -> bool:
        told.extend(received(manager))
        return told.count(line) >= times

    wait_for(lambda: heard("READY=1"), "READY=1")
    assert life.get("/-/healthy").status == 200
    wait_for(lambda: heard("WATCHDOG=1", 3), "three signs of life")
    assert life.stop() == 0
    assert heard("STOPPING=1")
    assert told.index("READY=1") < told.index("STOPPING=1")
    assert "WATCHDOG=1" not in told[told.index("STOPPING=1") :]
