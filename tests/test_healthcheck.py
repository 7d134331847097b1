"""The health socket: it tells the truth of the loops, to its owner alone, and never hangs."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.web.healthsocket import NAME, ask_health, exporter_runs, health_socket
from tests.e2e_api import Api, Script, found, row
from tests.e2e_support import Launch, operation, wait_for, write_config

pytest_plugins = ("tests.e2e_fixtures",)
Serve = Callable[[Script], Api]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A state directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="h-") as made:
        yield Path(made)


async def ask(directory: Path) -> str | None:
    """Ask from a thread, as another process would."""
    return await asyncio.to_thread(ask_health, directory, 2.0)


@pytest.mark.anyio
async def test_healthy_and_not(directory: Path) -> None:
    """The answer is that of the moment; afterwards nothing is left."""
    healthy = True
    with health_socket(directory, lambda: healthy):
        assert await ask(directory) is None
        assert stat.S_IMODE((directory / NAME).stat().st_mode) == 0o600
        assert await asyncio.to_thread(exporter_runs, directory)
        healthy = False
        assert "stood still" in (await ask(directory) or "")
    assert not (directory / NAME).exists()
    assert "no exporter runs" in (await ask(directory) or "")
    assert not exporter_runs(directory)


@pytest.mark.anyio
async def test_a_stale_socket(directory: Path) -> None:
    """What a kill left behind refuses, and is replaced at the next start."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / NAME))
    assert "no exporter runs" in (await ask(directory) or "")
    with health_socket(directory, lambda: True):
        assert await ask(directory) is None


@pytest.mark.anyio
async def test_a_long_path(tmp_path: Path) -> None:
    """A path beyond the kernel's 107 bytes is reached by way of its directory."""
    deep = tmp_path / ("ñ" * 60) / ("d" * 60)
    deep.mkdir(parents=True)
    with health_socket(deep, lambda: True):
        assert await ask(deep) is None
        assert (deep / NAME).exists()
    assert not (deep / NAME).exists()
    assert "no exporter runs" in (await ask(deep / "nowhere") or "")


def test_a_process_that_hangs(directory: Path) -> None:
    """One that accepts and says nothing is not healthy."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / NAME))
        listener.listen(1)
        assert "does not answer" in (ask_health(directory, 0.1) or "")
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(directory / NAME))
            # The queue is full by now: even the connection is not made.
            assert "does not answer" in (ask_health(directory, 0.1) or "")
            assert exporter_runs(directory)


def test_a_process_that_says_nonsense(directory: Path) -> None:
    """A connection that ends without a word means that the exporter is ending."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / NAME))
        listener.listen(1)

        async def hang_up() -> str | None:
            asked = asyncio.ensure_future(ask(directory))
            connection, _ = await asyncio.to_thread(listener.accept)
            connection.close()
            return await asked

        assert "just ending" in (asyncio.run(hang_up()) or "")


@pytest.mark.anyio
async def test_no_socket_is_no_end(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where none can be made the exporter goes on, and the log says so."""
    (directory / NAME).mkdir()
    with caplog.at_level(logging.WARNING), health_socket(directory, lambda: True):
        assert "no health socket" in caplog.text
        assert await ask(directory) is not None
    assert (directory / NAME).is_dir()


@pytest.mark.e2e
def test_a_running_exporter(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """0 while it lives, whatever its web configuration asks for; 1 when it hangs or is gone."""
    api = serve_api(lambda asked: found(row()))
    config = write_config(tmp_path, operation(api.url()))
    hashed = "$2y$05$4PUtSHKmGVMPcLcAYKzX0eMqvSbGs7BmgmBfw1NpZqgGrG6ZxuVbW"
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{admin: {hashed}}}\n")
    state = str(tmp_path / "state")
    flags = ("--storage.path", state)
    before = launch("healthcheck", *flags)
    assert before.wait() == 1
    assert "no exporter runs on the state directory" in before.log()
    life = launch.serve(config, *flags, "--web.config.file", "web.yml")
    assert life.get("/metrics").status == 401
    wait_for((tmp_path / "state" / NAME).exists, "the socket")
    assert launch(*flags, "healthcheck").wait() == 0
    assert launch("healthcheck", env={"WOLKVOX_EXPORTER_STORAGE_PATH": state}).wait() == 0
    assert launch("healthcheck", env={"STATE_DIRECTORY": state}).wait() == 0
    life.send(signal.SIGSTOP)
    hung = launch("healthcheck", *flags)
    assert hung.wait() == 1
    assert "does not answer" in hung.log()
    life.send(signal.SIGCONT)
    assert launch("healthcheck", *flags).wait() == 0
    assert life.stop() == 0
    assert launch("healthcheck", *flags).wait() == 1
