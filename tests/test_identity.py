"""Several operations on one server: each keeps what is its own, whoever joins or leaves."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from exporter.errors import StorageError
from exporter.messages import here
from exporter.polling.request import CALLS, SKILL_11
from exporter.state.identity import Claim, match
from tests.polling_support import IN_FORCE, INBOUND, OFFERED, USED, Stage, gaps, operation
from tests.tools_support import opened
from tests.virtual import Exporter, Seen, ok, refusal, row, run_virtual

DATA = Path(__file__).parent / "data"
TOKENS = ("token-a", "token-b", "token-c", "token-d")
# What the day's inbound of each operation grows by in a second: figures that never meet.
PACES = dict(zip(TOKENS, (1, 1511, 90_001, 600_011), strict=True))
QUERY_INTERVAL = "wolkvox_query_interval_seconds"


class Server(Stage):
    """A server on which each token has figures of its own for the same skills."""

    def __init__(self, directory: Path, start: str = "2026-11-18 10:00") -> None:
        super().__init__(directory, start)
        self.api.answer = lambda seen: ok(row(inbound=self.inbound(seen)))

    def inbound(self, seen: Seen) -> int:
        """The day's interactions so far of the operation that has the token."""
        end = datetime.strptime(seen.window[1], "%Y%m%d%H%M%S")  # noqa: DTZ007 - a wall time
        passed = end - end.replace(hour=0, minute=0, second=0)
        return int(passed.total_seconds()) % 86_400 // 60 * PACES.get(seen.token, 7)

    def run_all(
        self, *operations: str, tokens: tuple[str, ...] = TOKENS, until: str = ""
    ) -> AbstractAsyncContextManager[Exporter]:
        """An exporter on these operations."""
        return self.start(self.configure(*operations, tokens=tokens), until)

    async def reload(
        self, running: Exporter, *operations: str, tokens: tuple[str, ...] = TOKENS
    ) -> None:
        """Put other operations in force."""
        await running.operations.apply(self.configure(*operations, tokens=tokens))

    def by_token(self, token: str, skill: str = "all") -> list[Seen]:
        """The requests of a skill that one token sent."""
        return [seen for seen in self.seen(skill) if seen.token == token]


def one(name: str, token: int, skills: str = "all", **keys: str) -> str:
    """An operation of the server."""
    return operation(skills, name=name, port=1, token=token, **keys)


A, B = one("a", 0), one("b", 1)


def test_an_operation_is_found_again_in_the_order_of_the_passes() -> None:
    """Unchanged, renamed, swapped, rotated and moved operations keep their rows."""
    rows = {1: Claim("a", "u", "s"), 2: Claim("b", "u", "t")}
    cases: dict[str, tuple[list[Claim], dict[str, int]]] = {
        "unchanged": ([Claim("a", "u", "s"), Claim("b", "u", "t")], {"a": 1, "b": 2}),
        "renamed": ([Claim("x", "u", "s"), Claim("b", "u", "t")], {"x": 1, "b": 2}),
        "names swapped": ([Claim("b", "u", "s"), Claim("a", "u", "t")], {"b": 1, "a": 2}),
        "rotated": ([Claim("a", "u", "new"), Claim("b", "u", "t")], {"a": 1, "b": 2}),
        "moved": ([Claim("a", "v", "s"), Claim("b", "u", "t")], {"a": 1, "b": 2}),
        "another's token": ([Claim("a", "u", "t")], {"a": 2}),
        "replaced": ([Claim("c", "u", "new")], {}),
        "moved and renamed": ([Claim("c", "v", "s")], {}),
        "token unreadable": ([Claim("a", "u", None)], {"a": 1}),
        "name taken over": ([Claim("a", "u", "new"), Claim("x", "u", "s")], {"x": 1}),
    }
    for what, (claims, expected) in cases.items():
        assert match(claims, rows) == expected, what


async def test_a_replaced_operation_leaves_nothing_but_its_spacing(
    state_directory: Path,
) -> None:
    """Another operation of the same server begins anew, an interval after the last request."""
    stage = Server(state_directory)
    async with stage.run_all(A):
        await stage.until("10:12")
    async with stage.run_all(one("c", 2), until="10:12:30") as running:
        assert running.value("wolkvox_last_attempt_timestamp_seconds") is None
        assert running.samples(INBOUND) == {}
        await stage.until("10:16")
        assert running.value(OFFERED) == 0
        assert running.value(USED) == 1
    assert stage.clock_times()[-1] == "10:15:01"


async def test_a_renamed_operation_is_not_taken_for_one_that_left(
    state_directory: Path,
) -> None:
    """Where two of one token shared a server, the row that was configured last is taken up."""
    server = Server(state_directory)
    gone, stays = one("gone", 0, "1"), one("stays", 0, "2")
    async with server.run_all(gone, stays, until="10:06") as running:
        await server.reload(running, stays)
        await server.until("10:07")
    async with server.run_all(one("new", 0, "2"), until="10:08") as running:
        assert running.value(OFFERED, operation="new") == 5
        assert len(server.by_token("token-a", "2")) == 2


async def test_a_removed_skill_is_gone_after_a_reload_to_discover(
    state_directory: Path,
) -> None:
    """What the list named and the discovered skills do not have is shown no longer."""
    stage = Server(state_directory)
    skills = ok({"skill_id": "4174", "skill_name": "Ventas"})
    answer = stage.api.answer
    stage.api.answer = lambda seen: skills if seen.report == "skills" else answer(seen)
    async with stage.run_all(one("a", 0, "4173 4174"), until="10:06") as running:
        await stage.reload(running, one("a", 0, "discover"))
        await stage.until("10:20")
        assert running.value("wolkvox_up", skill_id="4173") is None
        assert running.value("wolkvox_up", skill_id="4174") == 1


async def test_a_pause_is_the_operations_own(state_directory: Path) -> None:
    """A spent quota of one operation holds no other, whatever they are called afterwards."""
    stage = Server(state_directory)
    answer = stage.api.answer
    stage.api.answer = lambda seen: (
        refusal("TOKEN LIMIT EXCEEDED") if seen.token == "token-a" else answer(seen)
    )
    async with stage.run_all(A, until="10:01") as running:
        await stage.reload(running, one("b", 0), one("a", 1))
        await stage.until("10:21")
        assert running.value("wolkvox_paused", operation="b", reason="quota") == 1
        assert running.value("wolkvox_paused", operation="a", reason="quota") == 0
        assert running.value("wolkvox_up", operation="a") == 1
    assert len(stage.by_token("token-a")) == 1


async def test_a_token_file_with_anothers_token_sends_nothing(
    state_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is `unauthorized` until the file holds a token of its own; the other goes on."""
    caplog.set_level(logging.WARNING, logger="exporter")
    stage = Server(state_directory)
    async with stage.run_all(A, B, until="10:06") as running:
        stage.token_file(1).write_text("token-a", encoding="utf-8")
        await stage.until("10:29")
        assert running.value("wolkvox_paused", operation="b", reason="unauthorized") == 1
        assert running.value("wolkvox_up", operation="a") == 1
        assert gaps(stage.by_token("token-a")) == pytest.approx([300.0] * 5, abs=1)
        assert len(stage.by_token("token-b")) == 2
        stage.token_file(1).write_text("rotated", encoding="utf-8")
        await stage.until("10:31")
        assert running.value("wolkvox_up", operation="b") == 1
        counted = running.value(OFFERED, operation="b")
    [told] = [vars(one)["fields"] for one in caplog.records if one.message == "no answer"]
    assert told["reason"] == "unauthorized"
    assert told["hint"] == here().advice("foreign")
    # The accepted token is the operation's from now on: nothing begins anew.
    tokens = ("token-a", "rotated")
    async with stage.run_all(A, one("renamed", 1), tokens=tokens, until="10:32") as running:
        assert running.value(OFFERED, operation="renamed") == counted


async def test_a_new_token_that_a_tool_tried_first_is_the_operations_own(
    state_directory: Path,
) -> None:
    """A tool set up by the environment calls the operation by another name: nothing is refused
    for that, the interval to its request is kept, it counts, and nothing begins anew.
    """
    stage, valid = Server(state_directory), {"token-a"}
    stage.api.answer = lambda seen: (
        ok(row()) if seen.token in valid else refusal("INVALID TOKEN", 401)
    )
    async with stage.run_all(A, until="10:06") as running:
        valid = {"token-c"}
        await stage.until("10:31")
        assert running.value("wolkvox_paused", reason="unauthorized") == 1
        async with opened(stage, stage.configure(one("tool", 2), tokens=TOKENS)) as found:
            assert (await found["tool"].ask("all", 300, CALLS[SKILL_11])).verdict.good
        stage.token_file(0).write_text("token-c", encoding="utf-8")
        await stage.until("10:42")
        assert running.value("wolkvox_up") == 1
        counted = running.value(OFFERED)
    assert [round(gap) for gap in gaps(stage.by_token("token-c"))] == [300, 300]
    async with stage.run_all(A, tokens=("token-c",), until="10:42:30") as running:
        assert running.value(OFFERED) == counted
        assert running.value(USED) == 7


async def test_a_clock_set_in_the_middle_of_a_request_stretches_nothing(
    state_directory: Path,
) -> None:
    """How long a request held its token is told by the clock that nobody sets."""
    stage = Server(state_directory)
    answer = stage.api.answer

    def late(seen: Seen) -> httpx.Response | Awaitable[httpx.Response]:
        stage.world.shift += timedelta(hours=1)
        return answer(seen)

    stage.api.answer = late
    async with stage.run_all(A) as running:
        await asyncio.sleep(400)
        assert running.value(IN_FORCE) == running.value(QUERY_INTERVAL) == 300


def of_release(directory: Path) -> Path:
    """A state directory in which 0.1.0 left its file."""
    state = directory / "state"
    state.mkdir()
    file = shutil.copy(DATA / "state-0.1.0.db", state / "wolkvox-exporter.db")
    digest = hashlib.sha256(TOKENS[3].encode()).hexdigest()
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        (text,) = connection.execute("SELECT pause FROM pauses").fetchone()
        pause = json.dumps(json.loads(text) | {"digest": digest})
        connection.execute("UPDATE pauses SET pause = ?", (pause,))
    return state


def operations_of_release(*names: str) -> list[str]:
    """The operations that wrote the file, at their URLs."""
    places = {
        "acme": ("0013", "4173 4190"),
        "globex": ("0020", "discover"),
        "initech": ("0031", "4300 all"),
        "umbrella": ("0031", "all"),
        "hooli": ("0031", "4301"),
    }
    texts = []
    for number, name in enumerate(names):
        server, skills = places[name]
        text = operation(skills, name=name, token=number)
        texts.append(
            text.replace(
                "http://127.0.0.1:1/api/v2/", f"https://wv{server}.wolkvox.com/api/v2/"
            )
        )
    return texts


async def test_the_file_of_the_first_release_keeps_every_counter(
    state_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows with a name go to it, those of a URL to its only operation, else to nobody."""
    of_release(state_directory)
    stage = Server(state_directory, "2026-11-19 09:01")
    names = ("acme", "globex", "initech", "umbrella", "hooli")
    loaded = stage.configure(*operations_of_release(*names), tokens=(*TOKENS, "token-e"))
    async with stage.start(loaded) as running:
        await asyncio.sleep(1)
        for name, skill, used in (
            ("acme", "4173", 218),
            ("globex", "5001", 218),
            ("initech", "4300", 150),
        ):
            labels = {"operation": name, "skill_id": skill, "type_interaction": "inbound"}
            assert (running.value(OFFERED, **labels) or 0) > 0
            assert running.value(USED, operation=name) == used
        assert running.samples(OFFERED, operation="hooli") == {}
        assert running.value("wolkvox_paused", operation="umbrella", reason="unauthorized") == 1
        await stage.until("2026-11-19 09:04:58")
        assert stage.seen() == []  # the file's attempts at 09:00 hold for one interval
        await stage.until("2026-11-19 09:05:10")
        assert {seen.skill for seen in stage.seen()} >= {"4173", "4190", "5001", "4300", "4301"}
    assert caplog.text.count("counters begin anew") == 1


@pytest.mark.parametrize("copied", [False, True], ids=["removed", "replaced by a copy"])
async def test_a_state_file_that_is_gone_stops_the_requests_until_it_is_back(
    state_directory: Path, caplog: pytest.LogCaptureFixture, copied: bool
) -> None:
    """No other file is made or written meanwhile, it is said once, and nothing is lost."""
    stage = Server(state_directory)
    file = state_directory / "state" / "wolkvox-exporter.db"
    async with stage.run_all(A, until="10:06") as running:
        counted = running.value(OFFERED)
        file.rename(file.with_name("away"))
        if copied:
            shutil.copy(file.with_name("away"), file)
        await stage.until("10:21")
        assert running.value("wolkvox_exporter_storage_writable") == 0
        assert len(stage.seen()) == 2
        assert file.exists() == copied
        with pytest.raises(StorageError):
            await stage.reload(running, A, B)
        file.with_name("away").rename(file)
        await stage.until("10:22")
        assert running.value("wolkvox_exporter_storage_writable") == 1
        assert len(stage.seen()) == 3
        assert (running.value(OFFERED) or 0) > (counted or 0)
    assert caplog.text.count("cannot be written") == 1


@pytest.mark.parametrize("loss", ["removed", "damaged"])
async def test_after_a_lost_file_the_first_attempts_wait_one_interval(
    state_directory: Path, loss: str
) -> None:
    """Nobody knows when the query was asked last, so nothing is asked at once."""
    stage = Server(state_directory)
    file = state_directory / "state" / "wolkvox-exporter.db"
    async with stage.run_all(A):
        await stage.until("10:01")
    if loss == "damaged":
        file.write_bytes(b"x" * 5000)
    else:
        file.unlink()
    for _ in range(3):  # a crash loop shortens nothing and lengthens nothing
        async with stage.run_all(A):
            await stage.until("10:05:58")
    async with stage.run_all(A):
        await stage.until("10:07")
    assert stage.clock_times() == ["10:00:00", "10:06:01"]


# The interactions a minute of each operation that ever joins: primes above the minutes of a
# day, so that a figure is a multiple of its own operation's alone.
PRIMES = (1511, 3001, 6007, 12_007, 25_013, 50_021, 90_001, 150_001, 250_007, 400_009)
MOST = 4
STEPS = ("join", "leave", "rename", "rotate", "move", "swap names", "nothing")
COMING_AND_GOING = [
    *(("join", 0, False), ("leave", 0, True), ("rename", 0, False), ("join", 0, True)),
    *(("rotate", 0, False), ("swap names", 0, False), ("move", 1, True), ("join", 0, False)),
]


@dataclass(frozen=True)
class Joined:
    """An operation as the world has it; `pace` is what it really is."""

    pace: int
    name: str
    token: str
    port: int = 1


@dataclass
class History:
    """The world of one example, and what is known of each operation so far."""

    directory: Path
    stage: Stage = field(init=False)
    centres: list[Joined] = field(default_factory=list)
    owner: dict[str, int] = field(default_factory=dict)
    counted: dict[tuple[int, str], float] = field(default_factory=dict)
    fresh: itertools.count[int] = field(default_factory=itertools.count)
    joined: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.stage = Stage(self.directory, "2026-11-18 10:00")
        self.stage.api.answer = lambda seen: ok(row(inbound=self._inbound(seen)))

    def _inbound(self, seen: Seen) -> int:
        end = datetime.strptime(seen.window[1][8:], "%H%M%S")  # noqa: DTZ007 - a wall time
        return (60 * end.hour + end.minute) * self.owner[seen.token]

    def change(self, step: str, which: int) -> None:
        """Do one thing to one operation, as a person edits the file or a server moves."""
        if step == "join" and len(self.centres) < MOST:
            number, pace = next(self.fresh), PRIMES[next(self.joined)]
            self.centres.append(Joined(pace, f"n{number}", f"token-{number}"))
        if not self.centres:
            return
        at = which % len(self.centres)
        centre = self.centres[at]
        if step == "leave":
            del self.centres[at]
        if step == "rename":
            self.centres[at] = replace(centre, name=f"n{next(self.fresh)}")
        if step == "rotate":
            self.centres[at] = replace(centre, token=f"token-{next(self.fresh)}")
        if step == "move":
            self.centres[at] = replace(centre, port=3 - centre.port)
        if step == "swap names" and len(self.centres) > 1:
            other = self.centres[at - 1]
            self.centres[at - 1] = replace(other, name=centre.name)
            self.centres[at] = replace(centre, name=other.name)

    def configuration(self) -> tuple[list[str], tuple[str, ...]]:
        """The operations as YAML, and their tokens."""
        self.owner |= {one.token: one.pace for one in self.centres}
        texts = [
            operation("all 4173", name=one.name, token=number, port=one.port)
            for number, one in enumerate(self.centres)
        ]
        return texts, tuple(one.token for one in self.centres)

    def check(self, running: Exporter) -> None:
        """No counter fell, and each figure is made of its own operation's interactions."""
        paces = {one.name: one.pace for one in self.centres}
        for name in (OFFERED, INBOUND):
            for labels, value in running.samples(name).items():
                pace = paces[dict(labels)["operation"]]
                key = (pace, dict(labels)["skill_id"])
                assert value % pace == 0, "another's interactions are shown"
                assert value <= 1440 * pace, "another's interactions are shown"
                if name == OFFERED:
                    assert value >= self.counted.get(key, 0.0), "a counter fell"
                    self.counted[key] = value


async def live(history: History, steps: list[tuple[str, int, bool, int]]) -> None:
    """Run an exporter through the steps; a restart drops it where it stands, as a kill does."""
    stage = history.stage
    async with AsyncExitStack() as stack:
        running: Exporter | None = None
        for step, which, restart, seconds in steps:
            history.change(step, which)
            texts, tokens = history.configuration()
            if not texts:
                continue
            loaded = stage.configure(*texts, tokens=tokens)
            if restart or running is None:
                await stack.aclose()
                running = await stack.enter_async_context(stage.start(loaded))
            else:
                await running.operations.apply(loaded)
            await asyncio.sleep(seconds)
            if seconds < 600:
                continue
            history.check(running)
            lately = stage.world.now().timestamp() - 302
            for one in history.centres:
                for skill in ("all", "4173"):
                    asked = [
                        seen
                        for seen in stage.seen(skill)
                        if history.owner[seen.token] == one.pace and seen.at >= lately
                    ]
                    assert asked, f"{one} was not asked at its pace"
    for pace, skill in itertools.product(PRIMES, ("all", "4173")):
        own = [seen for seen in stage.seen(skill) if history.owner[seen.token] == pace]
        assert min(gaps(own), default=300.0) >= 299.99, "asked inside its interval"


@settings(
    max_examples=settings().max_examples // 10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # an example takes a second: no shrinking
)
@example(steps=[(step, which, restart, 1500) for step, which, restart in COMING_AND_GOING])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 3),
            st.booleans(),
            st.sampled_from((1, 40, 299, 700, 1500)),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_nothing_of_one_operation_ever_touches_another(
    steps: list[tuple[str, int, bool, int]],
) -> None:
    """Over reloads, restarts and kills: own counters, own spacing, own pace."""
    with tempfile.TemporaryDirectory(prefix="wolkvox-tests-") as directory:
        run_virtual(live(History(Path(directory)), [("join", 0, False, 700), *steps]))
