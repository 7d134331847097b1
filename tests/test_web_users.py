"""Basic authentication: who is welcome, what it costs, and what is remembered."""

from __future__ import annotations

import asyncio
import base64
import time

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.access import BasicAuth, read_basic
from exporter.web.access_config import BCRYPT_HASH

SALT = b"$2b$04$abcdefghijklmnopqrstuu"  # a constant: it stands in the names of tests
ALICE = bcrypt.hashpw(b"wonder", SALT)
LONG = bcrypt.hashpw(b"x" * 72, SALT)
USERS = {b"alice": ALICE, b"long": LONG, "ñandú".encode(): ALICE}


def basic(user: str | bytes, password: str | bytes) -> str:
    """The header of these credentials."""
    pair = b":".join(p.encode() if isinstance(p, str) else p for p in (user, password))
    return "Basic " + base64.b64encode(pair).decode()


class Checks:
    """Stands in the place of bcrypt: counts the checks, and the most of them at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[bytes] = []
        self.now = self.most = 0
        monkeypatch.setattr("bcrypt.checkpw", self)

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.hashes.append(hashed)
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.001)  # room for another thread
        self.now -= 1
        return password == b"wonder"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Counted checks in the place of bcrypt's."""
    return Checks(monkeypatch)


@pytest.mark.anyio
async def test_users_are_known_by_their_password() -> None:
    """Real hashes, real bcrypt, which never read beyond 72 bytes; what is odd is unknown."""
    for header in (
        *(basic("alice", "wonder"), basic("ñandú", "wonder"), basic("long", "x" * 72)),
        *(basic("alice", "wonder").replace("Basic", "bASIC "), basic("long", "x" * 200)),
    ):
        assert await BasicAuth().judge(USERS, header) is True, header
    for odd in (
        *(basic("alice", "wonde"), basic("alice", "wonder\x00"), basic("alice", "")),
        *(basic("Alice", "wonder"), basic("bob", "wonder"), basic("", ""), None, "", "Basic"),
        *(basic(b"\xff", b"\xff"), "Basic !!!", "Basic YWxpY2U=", "Basic \xff\xfe"),
        "Bearer YWxpY2U6d29uZGVy",
    ):
        assert await BasicAuth().judge(USERS, odd) is False, odd


@pytest.mark.anyio
async def test_somebody_unknown_costs_what_a_wrong_password_costs(checks: Checks) -> None:
    """He is checked against a hash of the usual cost, and never welcome."""
    costly = bcrypt.hashpw(b"wonder", bcrypt.gensalt(5))
    users = {b"root": costly, b"alice": ALICE, b"long": LONG}
    auth = BasicAuth()

    assert await auth.judge(users, basic("nobody", "wonder")) is False
    assert checks.hashes == [ALICE]


@pytest.mark.anyio
async def test_a_verdict_is_remembered(checks: Checks) -> None:
    """A scrape each 15 s costs one check; a changed hash costs another."""
    auth = BasicAuth()
    for _ in range(3):
        assert await auth.judge(USERS, basic("alice", "wonder")) is True
        assert await auth.judge(USERS, basic("alice", "wrong")) is False
    assert len(checks.hashes) == 2

    await auth.judge({b"alice": LONG}, basic("alice", "wonder"))
    assert len(checks.hashes) == 3


@pytest.mark.anyio
async def test_checks_run_one_at_a_time_and_once(checks: Checks) -> None:
    """Guessers use one core at most, and equal questions in the queue one check."""
    auth = BasicAuth()
    headers = [basic("alice", str(number % 5)) for number in range(20)]

    await asyncio.gather(*(auth.judge(USERS, header) for header in headers))
    assert checks.most == 1
    assert len(checks.hashes) == 5


@pytest.mark.anyio
async def test_a_long_queue_is_turned_away(checks: Checks) -> None:
    """Beyond 32 waiting nothing is decided; who is remembered as welcome does not wait."""
    auth = BasicAuth()
    await auth.judge(USERS, basic("alice", "wonder"))
    headers = [basic("alice", str(number)) for number in range(50)]
    guesses = [asyncio.ensure_future(auth.judge(USERS, header)) for header in headers]
    await asyncio.sleep(0)

    assert await auth.judge(USERS, basic("alice", "wonder")) is True
    assert not all(guess.done() for guess in guesses)
    verdicts = await asyncio.gather(*guesses)
    assert verdicts.count(None) == 18
    assert verdicts.count(False) == 32


@pytest.mark.anyio
async def test_guesses_do_not_push_out_the_scraper(checks: Checks) -> None:
    """A hundred good and a hundred bad verdicts are kept, the last used ones."""
    auth = BasicAuth()
    users = {b"user%d" % number: ALICE for number in range(101)}

    async def costs(user: str, password: str) -> bool:
        before = len(checks.hashes)
        await auth.judge(users, basic(user, password))
        return len(checks.hashes) > before

    for number in range(100):
        assert await costs(f"user{number}", "wonder")
    assert not await costs("user0", "wonder")
    assert await costs("user100", "wonder")
    for number in range(300):
        assert await costs("user0", f"bad{number}")

    assert not await costs("user0", "wonder")
    assert await costs("user1", "wonder")
    assert not await costs("user0", "bad200")
    assert await costs("user0", "bad199")


@pytest.mark.anyio
async def test_a_name_and_its_password_are_kept_apart(checks: Checks) -> None:
    """That `ab` is known by `wonder` says nothing of `a` and `bwonder`."""
    auth, users = BasicAuth(), {b"ab": ALICE, b"a": ALICE}

    assert await auth.judge(users, basic("ab", "wonder")) is True
    assert await auth.judge(users, basic("a", "bwonder")) is False


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"Basic {text}"))
def test_no_header_raises(header: str) -> None:
    """A pair of bytes or nothing."""
    assert read_basic(header) is None or isinstance(read_basic(header), tuple)


def test_hashes_are_those_that_bcrypt_reads() -> None:
    """What passes here never raises later: bcrypt answers yes or no."""
    body = "zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm"
    for text in (ALICE.decode(), f"$2y$10${body}", f"$2a$04${body}", f"$2b$31${body}"):
        assert BCRYPT_HASH.fullmatch(text), text
        if "$31$" not in text:
            assert bcrypt.checkpw(b"something else", text.encode()) is False
    for text in (f"$2y$03${body}", f"$2y$32${body}", f"$2$10${body}", "$apr1$x$zDtDwCh", "doe"):
        assert not BCRYPT_HASH.fullmatch(text), text
