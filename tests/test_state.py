"""The state file, its writer thread and the locks: what survives, what is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import StartError, StorageError
from exporter.runtime import Clock
from exporter.state.locks import DirectoryLock, TokenGate
from exporter.state.models import Attempt, Granted, Refused, Stored
from exporter.state.storage import FILE_NAME, Storage, ThreadedState
from tests.state_support import OPENED_AT, change, open_state
from tests.statuses import DAY


def attempt(at: float, **changes: object) -> Attempt:
    """A request for skill 4173 of one operation without a ceiling."""
    plain = Attempt(
        operation=1,
        skill_id="4173",
        at=at,
        known_at=None,
        gap=300.0,
        account=(1,),
        day=DAY,
        ceiling=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """An open state file."""
    with closing(open_state(tmp_path / "data")) as opened:
        yield opened


def begin(storage: Storage, order: Attempt) -> Granted | Refused:
    """One attempt in a transaction of its own."""
    result: Granted | Refused = storage.transact([lambda s: s.begin_attempt(order)])[0]
    return result


def test_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The directory is made with no rights for others."""
    open_state(tmp_path / "data").close()

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_unreadable_memory_starts_afresh(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that is no memory counts as none, and the log says so."""
    for text in ("{", "[]", '{"closed": 5}', "null"):
        change(storage, "INSERT OR REPLACE INTO memories VALUES (1, '4173', ?)", text)
        caplog.clear()
        assert storage.memory(1, "4173") is None
        assert "starts afresh" in caplog.text


def test_only_another_processs_attempt_holds_back(storage: Storage) -> None:
    """One on disk that this process does not know of keeps the interval. What it asked itself
    is left to the monotonic clock: the wall clock may be set.
    """
    begin(storage, attempt(1000.0))

    assert begin(storage, attempt(1100.0)) == Refused(last_at=1000.0)
    assert begin(storage, attempt(1100.0, known_at=999.0)) == Refused(last_at=1000.0)
    assert isinstance(begin(storage, attempt(1001.0, known_at=1000.0)), Granted)
    assert isinstance(begin(storage, attempt(500.0)), Granted)  # the clock was set back
    assert isinstance(begin(storage, attempt(800.0)), Granted)


def test_take_back_restores_what_stood_there(storage: Storage) -> None:
    """A connection that was never made leaves no attempt and no call."""
    first = begin(storage, attempt(1000.0))
    assert isinstance(first, Granted)
    assert storage.transact([lambda s: s.take_back(attempt(1000.0), first.before)]) == [0]
    assert storage.stored(1, "4173") == Stored()

    begin(storage, attempt(1000.0))
    later = begin(storage, attempt(2000.0, closing=date(2026, 11, 17)))
    assert isinstance(later, Granted)
    storage.transact([lambda s: s.take_back(attempt(2000.0), later.before)])
    assert storage.stored(1, "4173") == Stored(1000.0)


def test_a_shared_count_stays_with_each_operation_of_the_token(tmp_path: Path) -> None:
    """Where one of two gets a token of its own, the other's requests of the day still count."""
    with closing(open_state(tmp_path / "data", "acme", "globex")) as storage:
        begin(storage, attempt(1000.0, account=(1, 2)))

        assert [storage.used((one,), DAY) for one in (1, 2)] == [1, 1]


def test_counts_of_old_days_are_forgotten(storage: Storage) -> None:
    """The table of calls does not grow for ever."""
    begin(storage, attempt(1000.0, day=date(2026, 1, 1)))
    begin(storage, attempt(2000.0))

    assert storage.used((1,), date(2026, 1, 1)) == 0


def test_small_facts_are_kept_and_deleted(storage: Storage) -> None:
    """Pauses and discovered skills are JSON by operation; None deletes; junk reads as None."""
    storage.save_fact(1, "skills", [1])
    assert storage.load_fact(1, "skills") == [1]
    storage.save_fact(1, "skills", None)
    assert storage.load_fact(1, "skills") is None
    change(storage, "INSERT OR REPLACE INTO facts VALUES (1, 'skills', '{')")
    assert storage.load_fact(1, "skills") is None


def test_damaged_file_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no database is renamed with its logs, and a new one begins; nothing that
    was put aside is overwritten.
    """
    contents = (b"not a database, but long enough " * 100, b"\0" * 4096, b"x" * 5000)
    for number, content in enumerate(contents):
        (tmp_path / FILE_NAME).write_bytes(content)
        (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"wal")
        caplog.clear()
        with closing(open_state(tmp_path)) as storage:
            begin(storage, attempt(1000.0))
        assert (tmp_path / f"{FILE_NAME}.damaged-{number}").read_bytes() == content
        assert "is damaged" in caplog.text


def test_truncated_file_is_put_aside(tmp_path: Path) -> None:
    """Half a database is noticed at the start."""
    with closing(open_state(tmp_path)) as storage:
        steps = [attempt(1000.0, skill_id=str(number)) for number in range(200)]
        storage.transact([partial(Storage.begin_attempt, attempt=one) for one in steps])
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    storage = open_state(tmp_path)
    assert storage.stored(1, "0") == Stored(spaced_from=OPENED_AT)
    storage.close()
    assert (tmp_path / f"{FILE_NAME}.damaged-0").exists()


def test_damage_while_running_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that breaks while it is open is replaced; the step that hit it fails once."""
    storage = open_state(tmp_path)

    def hit(_: Storage) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(StorageError, match="malformed"):
        storage.transact([hit])
    assert isinstance(begin(storage, attempt(1000.0)), Granted)
    assert "is damaged" in caplog.text
    storage.close()


def test_newer_file_is_refused(tmp_path: Path) -> None:
    """A file of a later version is neither used nor put aside."""
    storage = open_state(tmp_path)
    storage.close()
    change(storage, "PRAGMA user_version = 99")

    with pytest.raises(StartError, match="newer exporter"):
        open_state(tmp_path)


def test_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A path below a plain file is no directory: one sentence with what to do."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError, match=r"cannot be written .*--storage\.path"):
        open_state(tmp_path / "file" / "data")
    with pytest.raises(StartError, match=r"cannot be written .*--storage\.path"):
        DirectoryLock.take(tmp_path / "file" / "data")


def test_locked_file_is_a_refusal_not_a_damage(storage: Storage, tmp_path: Path) -> None:
    """Another writer's lock fails the step and leaves the file alone."""
    storage._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(storage.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        begin(storage, attempt(1000.0))
    other.execute("ROLLBACK")
    other.close()

    assert isinstance(begin(storage, attempt(1000.0)), Granted)


def test_failed_step_takes_the_whole_transaction_back(storage: Storage) -> None:
    """Steps of one transaction hold together."""

    def broken(_: Storage) -> None:
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        storage.transact([lambda s: s.begin_attempt(attempt(1000.0)), broken])
    assert storage.stored(1, "4173") == Stored()


def test_every_commit_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut takes back nothing that was committed."""
    opened, connect = list[sqlite3.Connection](), sqlite3.connect

    def watched(path: Path, **options: Any) -> sqlite3.Connection:
        opened.append(connect(path, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watched)
    with closing(open_state(tmp_path / "data")):
        full = 2
        assert opened[0].execute("PRAGMA synchronous").fetchone() == (full,)


@pytest.mark.anyio
async def test_writes_run_beside_the_loop(tmp_path: Path) -> None:
    """Writes run on the writer's thread and are on disk when the waiter goes on."""
    mine = open_state(tmp_path)
    state = ThreadedState(mine)
    threads = await asyncio.gather(
        *(state.write(lambda s: threading.current_thread().name) for _ in range(100))
    )
    await state.write(lambda s: s.begin_attempt(attempt(1000.0)))

    other = open_state(tmp_path)
    assert other.stored(1, "4173").attempt_at == 1000.0
    other.close()
    state.close()
    mine.close()
    assert set(threads) == {"state"}


class _Flushes:
    """A state whose first flush lasts until `go` is set, and the sizes of its flushes."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage = open_state(directory)
        self.sizes: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self._transact = self.storage.transact
        monkeypatch.setattr(self.storage, "transact", self._counted)
        self.state = ThreadedState(self.storage)
        self.first = asyncio.ensure_future(self.state.write(lambda s: None))

    def _counted(self, steps: Sequence[Callable[[Storage], Any]]) -> list[Any]:
        self.begun.set()
        self.go.wait(30)
        self.sizes.append(len(steps))
        return self._transact(steps)

    async def meanwhile(self, *steps: Callable[[Storage], Any]) -> list[Any]:
        """Write these while the first flush lasts."""
        await asyncio.to_thread(self.begun.wait, 30)
        waiting = [asyncio.ensure_future(self.state.write(step)) for step in steps]
        await asyncio.sleep(0)
        self.go.set()
        await self.first
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.anyio
async def test_writes_that_arrive_during_a_flush_share_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes while the disk is busy is one flush; a write that comes alone is its own."""
    flushes = _Flushes(tmp_path, monkeypatch)
    assert await flushes.meanwhile(*[lambda s: 7] * 10) == [7] * 10
    for _ in range(2):
        await flushes.state.write(lambda s: None)

    assert flushes.sizes == [1, 10, 1, 1]
    flushes.state.close()
    flushes.storage.close()


@pytest.mark.anyio
async def test_closing_writes_what_was_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes that wait for a flush are on the disk when the state was closed."""
    flushes = _Flushes(tmp_path, monkeypatch)
    await asyncio.to_thread(flushes.begun.wait, 30)
    waiting = asyncio.ensure_future(flushes.state.write(lambda s: s.save_fact(1, "name", [1])))
    await asyncio.sleep(0)
    flushes.go.set()
    flushes.state.close()

    assert flushes.storage.load_fact(1, "name") == [1]
    await waiting
    flushes.storage.close()


@pytest.mark.anyio
async def test_a_defect_in_one_step_fails_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of writes that share a flush, those that are sound are on the disk all the same."""

    def defect(_: Storage) -> None:
        raise KeyError("x")

    flushes = _Flushes(tmp_path, monkeypatch)
    results = await flushes.meanwhile(
        defect,
        lambda s: s.save_fact(99, "name", "of an operation that is not there"),
        lambda s: s.save_fact(1, "name", [1]),
    )

    assert isinstance(results[0], KeyError)
    assert isinstance(results[1], sqlite3.IntegrityError)
    assert results[2] is None
    assert flushes.storage.load_fact(1, "name") == [1]
    assert not [name for name in os.listdir(tmp_path) if "damaged" in name]
    flushes.state.close()
    flushes.storage.close()


@pytest.mark.anyio
async def test_every_error_is_handed_to_its_waiter(tmp_path: Path) -> None:
    """A refusal and a defect both reach the loop; the thread lives on."""
    storage = open_state(tmp_path)
    state = ThreadedState(storage)

    def refused(_: Storage) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def defect(_: Storage) -> None:
        raise KeyError("x")

    with pytest.raises(StorageError, match="disk is full"):
        await state.write(refused)
    with pytest.raises(KeyError):
        await state.write(defect)
    waiting = asyncio.ensure_future(state.write(lambda s: 1))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await state.write(lambda s: 2) == 2
    state.close()
    storage.close()


@pytest.mark.anyio
async def test_gate_waits_for_another_process(tmp_path: Path) -> None:
    """A lock held elsewhere (here: by another descriptor) is waited for."""
    waits: list[float] = []
    first = TokenGate(tmp_path, _clock())

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            release.set()
        await asyncio.sleep(0)

    clock = _clock()
    second = TokenGate(tmp_path, Clock(clock.now, clock.monotonic, sleep))
    release = asyncio.Event()

    async def holder() -> None:
        async with first.hold("a"):
            await release.wait()

    holding = asyncio.ensure_future(holder())
    await asyncio.sleep(0)
    async with second.hold("a"):
        assert release.is_set()
    await holding
    assert len(waits) >= 3


@pytest.mark.anyio
async def test_gate_without_lock_file_is_a_storage_error(tmp_path: Path) -> None:
    """Where no lock file can be made, nobody is let through."""
    (tmp_path / "locks").write_text("in the way")
    gate = TokenGate(tmp_path, _clock())

    with pytest.raises(StorageError, match="locks"):
        async with gate.hold("a"):
            raise AssertionError
    assert os.listdir(tmp_path) == ["locks"]


def _clock() -> Clock:
    loop = asyncio.get_running_loop()

    def now() -> object:
        raise AssertionError("the gate reads no wall clock")

    return Clock(now, loop.time, asyncio.sleep)  # type: ignore[arg-type]
