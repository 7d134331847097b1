"""The sign of life of a running exporter, and what `healthcheck` makes of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.errors import StartError
from exporter.runtime import Clock
from exporter.state.locks import (
    BEAT_SECONDS,
    HEARTBEAT,
    STALE_SECONDS,
    DirectoryLock,
    ask_health,
    beat,
)
from tests.e2e_api import Serve, found, row
from tests.e2e_support import Launch, operation, wait_for, write_config

pytest_plugins = ("tests.e2e_fixtures",)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose lock is held, as by an exporter."""
    lock = DirectoryLock.take(tmp_path)
    yield tmp_path
    lock.close()


async def beats(directory: Path, *healthy: bool) -> None:
    """As many beats as there are answers, at 1000 s, 1005 s, 1010 s."""
    answers, now, given = list(healthy), 1000.0, True

    def answer() -> bool:
        nonlocal given
        given = answers.pop(0)
        return given

    async def sleep(seconds: float) -> None:
        nonlocal now
        if given:
            await asyncio.to_thread(wait_for, lambda: written(directory) == now, "the beat")
        now += seconds
        if now >= 1000.0 + BEAT_SECONDS * len(healthy):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await beat(directory, answer, Clock(lambda: datetime.now(UTC), lambda: now, sleep))


def written(directory: Path) -> float:
    """What the file holds; -1 before there is one."""
    file = directory / HEARTBEAT
    return float(file.read_bytes() or -1) if file.exists() else -1


@pytest.mark.anyio
async def test_each_beat_is_written(state: Path) -> None:
    """The moment by the monotonic clock, in a file of the exporter's user alone."""
    await beats(state, True, True)
    assert (state / HEARTBEAT).stat().st_mode & 0o777 == 0o600
    assert ask_health(state, 1000.0 + BEAT_SECONDS) is None
    assert ask_health(state, 999.0 + BEAT_SECONDS + STALE_SECONDS) is None
    assert "stood still" in str(ask_health(state, 1000.0 + BEAT_SECONDS + STALE_SECONDS))


@pytest.mark.anyio
async def test_loops_that_stand_still_are_no_sign_of_life(state: Path) -> None:
    """The beats stop, and go on with the loops."""
    await beats(state, True, False, False)
    assert written(state) == 1000
    await beats(state, False, True)
    assert written(state) == 1000 + BEAT_SECONDS


@pytest.mark.anyio
async def test_a_removed_file_is_made_again(state: Path) -> None:
    """An emptied directory costs one beat."""
    await beats(state, True)
    (state / HEARTBEAT).unlink()
    await beats(state, True)
    assert written(state) == 1000


def test_a_stale_file_is_no_running_exporter(tmp_path: Path) -> None:
    """What a kill left behind may be as fresh as can be: nobody holds the lock."""
    assert "no exporter runs" in str(ask_health(tmp_path / "nowhere", 1000.0))
    assert "no exporter runs" in str(ask_health(tmp_path, 1000.0))
    DirectoryLock.take(tmp_path).close()
    (tmp_path / HEARTBEAT).write_text("000000001000\n")
    assert "no exporter runs" in str(ask_health(tmp_path, 1000.0))


def test_what_is_no_recent_moment_is_no_sign_of_life(state: Path) -> None:
    """Of a boot before (in the future by now), cut off, or not ours; and it stays as it is."""
    assert "stood still" in str(ask_health(state, 1000.0))  # no beat yet
    for text in ("", "000000002000\n", "nonsense\n", "nan\n", "inf\n", "\0" * 99):
        (state / HEARTBEAT).write_text(text)
        assert "stood still" in str(ask_health(state, 1000.0)), text
        assert (state / HEARTBEAT).read_text() == text


def test_a_disk_that_takes_nothing_is_no_reason_to_restart(state: Path) -> None:
    """The exporter serves on and cannot write its sign of life: neither can the check."""
    (state / HEARTBEAT).symlink_to("/dev/full")
    assert ask_health(state, 1000.0) is None
    (state / HEARTBEAT).unlink()
    (state / HEARTBEAT).mkdir()
    assert ask_health(state, 1000.0) is None


def test_a_directory_of_somebody_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check by another user cannot know."""

    def refuse(*given: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # tests may run as root, whom nothing is refused
    with pytest.raises(StartError, match=r"cannot be read \(Permission denied\)"):
        ask_health(tmp_path, 1000.0)


def test_looking_does_not_keep_an_exporter_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check beside a start holds the lock for a moment; the start waits for its end."""
    DirectoryLock.take(tmp_path).close()
    looking = [os.open(tmp_path, os.O_RDONLY)]
    fcntl.flock(looking[0], fcntl.LOCK_SH)
    monkeypatch.setattr(os, "sched_yield", lambda: os.close(looking.pop()))
    held = DirectoryLock.take(tmp_path)
    assert not looking
    assert DirectoryLock.is_held(tmp_path)
    with pytest.raises(StartError, match="another exporter runs"):
        DirectoryLock.take(tmp_path)
    held.close()


@pytest.mark.e2e
def test_a_running_exporter(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """0 while it lives, whatever its web configuration asks for; 1 when it hangs or is gone."""
    api = serve_api(lambda asked: found(row()))
    config = write_config(tmp_path, operation(api.url()))
    hashed = "$2y$05$4PUtSHKmGVMPcLcAYKzX0eMqvSbGs7BmgmBfw1NpZqgGrG6ZxuVbW"
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{admin: {hashed}}}\n")
    state = tmp_path / "state"
    flags = ("--storage.path", str(state))

    def healthy(*argv: str, **env: str) -> bool:
        return launch(*argv, env=env).wait() == 0

    before = launch("healthcheck", *flags, env={"LANG": "es_CO.UTF-8"})
    assert before.wait() == 1
    assert "ningún exportador usa el directorio de estado" in before.log()
    life = launch.serve(config, *flags, "--web.config.file", "web.yml")
    assert life.get("/metrics").status == 401
    wait_for((state / HEARTBEAT).exists, "a sign of life")
    wait_for(lambda: healthy("healthcheck", *flags), "a healthy exporter")
    assert healthy(*flags, "healthcheck")
    assert healthy("healthcheck", WOLKVOX_EXPORTER_STORAGE_PATH=str(state))
    assert healthy("healthcheck", STATE_DIRECTORY=str(state))
    life.send(signal.SIGSTOP)
    (state / HEARTBEAT).write_text("000000000001\n")  # as if it had hung for long
    hung = launch("healthcheck", *flags)
    assert hung.wait() == 1
    assert "stood still" in hung.log()
    life.send(signal.SIGCONT)
    wait_for(lambda: healthy("healthcheck", *flags), "a sign of life")
    life.kill()
    assert not healthy("healthcheck", *flags)
