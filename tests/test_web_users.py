"""Basic authentication: who is welcome, what it costs, and what is remembered."""

from __future__ import annotations

import asyncio
import base64
import time

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.users import BCRYPT_HASH, BasicAuth, Memory, Verdict, read_basic

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
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic("alice", "wonder"), Verdict.WELCOME),
        (basic("ñandú", "wonder"), Verdict.WELCOME),
        (basic("alice", "wonder").replace("Basic", "bASIC "), Verdict.WELCOME),
        (basic("long", "x" * 72), Verdict.WELCOME),
        (basic("long", "x" * 200), Verdict.WELCOME),  # bcrypt never read further
        (basic("alice", "wonde"), Verdict.UNKNOWN),
        (basic("alice", "wonder\x00"), Verdict.UNKNOWN),
        (basic("alice", ""), Verdict.UNKNOWN),
        (basic("Alice", "wonder"), Verdict.UNKNOWN),
        (basic("bob", "wonder"), Verdict.UNKNOWN),
        (basic("", ""), Verdict.UNKNOWN),
        (basic(b"\xff", b"\xff"), Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
        ("", Verdict.UNKNOWN),
        ("Basic", Verdict.UNKNOWN),
        ("Basic !!!", Verdict.UNKNOWN),
        ("Basic YWxpY2U=", Verdict.UNKNOWN),
        ("Bearer YWxpY2U6d29uZGVy", Verdict.UNKNOWN),
        ("Basic \xff\xfe", Verdict.UNKNOWN),
    ],
    ids=range(19),
)
async def test_users_are_known_by_their_password(header: str | None, expected: Verdict) -> None:
    """Real hashes, real bcrypt; whatever is odd is simply unknown."""
    assert await BasicAuth().judge(USERS, header) is expected


@pytest.mark.anyio
async def test_somebody_unknown_costs_what_a_wrong_password_costs(checks: Checks) -> None:
    """He is checked against a hash of the usual cost, and never welcome."""
    costly = bcrypt.hashpw(b"wonder", bcrypt.gensalt(5))
    users = {b"root": costly, b"alice": ALICE, b"long": LONG}
    auth = BasicAuth()

    assert await auth.judge(users, basic("nobody", "wonder")) is Verdict.UNKNOWN
    assert checks.hashes == [ALICE]


@pytest.mark.anyio
async def test_a_verdict_is_remembered(checks: Checks) -> None:
    """A scrape each 15 s costs one check; a changed hash costs another."""
    auth = BasicAuth()
    for _ in range(3):
        assert await auth.judge(USERS, basic("alice", "wonder")) is Verdict.WELCOME
        assert await auth.judge(USERS, basic("alice", "wrong")) is Verdict.UNKNOWN
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

    assert await auth.judge(USERS, basic("alice", "wonder")) is Verdict.WELCOME
    assert not all(guess.done() for guess in guesses)
    verdicts = await asyncio.gather(*guesses)
    assert verdicts.count(Verdict.BUSY) == 18
    assert verdicts.count(Verdict.UNKNOWN) == 32


def test_guesses_do_not_push_out_the_scraper() -> None:
    """A hundred good and a hundred bad verdicts are kept, the last used ones."""
    memory = Memory()
    good = [memory.key(b"good%d" % number) for number in range(101)]
    bad = [memory.key(b"bad%d" % number) for number in range(300)]
    for key in good[:100]:
        memory.keep(key, True)
    assert memory.recall(good[0]) is True
    memory.keep(good[100], True)
    for key in bad:
        memory.keep(key, False)

    assert memory.recall(good[0]) is True
    assert memory.recall(good[1]) is None
    assert memory.recall(bad[-100]) is False
    assert memory.recall(bad[-101]) is None


def test_digests_keep_their_parts_apart() -> None:
    """`ab`+`c` is not `a`+`bc`, and another process has other digests."""
    memory = Memory()

    assert memory.key(b"ab", b"c") != memory.key(b"a", b"bc")
    assert memory.key(b"a") != Memory().key(b"a")


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"Basic {text}"))
def test_no_header_raises(header: str) -> None:
    """A pair of bytes or nothing."""
    assert read_basic(header) is None or isinstance(read_basic(header), tuple)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (ALICE.decode(), True),
        ("$2y$10$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm", True),
        ("$2y$18$YMxc6tZ7YwDzuPRgCj76CObPZS2FbmEHOBuMyGKdfVnpEuhQWplRC", True),
        ("$2y$03$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm", False),
        ("$2y$32$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm", False),
        ("$2$10$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm", False),
        ("$apr1$x$zDtDwChl2TfzzHo3WFPgeu", False),
        ("doe", False),
    ],
)
def test_hashes_are_those_that_bcrypt_reads(text: str, good: bool) -> None:
    """What passes here never raises later: bcrypt answers yes or no."""
    assert bool(BCRYPT_HASH.fullmatch(text)) is good
    if good and "$18$" not in text:
        assert bcrypt.checkpw(b"something else", text.encode()) is False
