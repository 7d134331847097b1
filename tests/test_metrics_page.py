"""The page is a join of the live blocks, in each format, plain and as one gzip member."""

from __future__ import annotations

import gzip
import math
import subprocess
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.page import Block, MetricsPage

UP = "wolkvox_up"


def test_gunzip_takes_it(tmp_path: Path) -> None:
    """The program gzip finds one sound member, a small one."""
    page = MetricsPage(lambda: 0.0)
    page.tail = lambda openmetrics: b"python_info 1.0\n"
    for number in range(5000):
        scope = ("acme", f"{number:04}")
        page.put(scope, Block({UP: b'wolkvox_up{skill_id="%d"} 1.0\n' % number}))
    member = page.render(gzip=True)
    (tmp_path / "page.gz").write_bytes(member)

    unpacked = subprocess.run(
        ["gzip", "-dc", str(tmp_path / "page.gz")], capture_output=True, check=True
    )
    assert unpacked.stdout == page.render()
    assert unpacked.stdout.count(b"\n") == 5003
    assert unpacked.stderr == b""
    assert len(member) < len(page.render()) / 10


def test_what_changes_by_itself_is_read_once_a_second() -> None:
    """A storm of scrapes finds a page that is ready; a clock set back does not hold it."""
    now = [100.0]
    asked: list[float] = []

    def tail(openmetrics: bool) -> bytes:
        asked.append(now[0])
        return b"process_cpu_seconds_total %d\n" % now[0]

    page = MetricsPage(lambda: now[0])
    page.tail = tail
    for at in (100.0, 100.5, 100.99, 101.0, 50.0):
        now[0] = at
        assert gzip.decompress(page.render(gzip=True)) == page.render()
    assert asked == [100.0, 101.0, 50.0]
    assert page.render() == b"process_cpu_seconds_total 50\n"


_scopes = st.tuples(st.sampled_from("abc"), st.integers(0, 30).map(lambda n: f"{n:03}"))
_steps = st.one_of(
    st.tuples(st.just("put"), _scopes, st.integers(0, 5), st.just(math.inf) | st.floats(0, 50)),
    st.tuples(st.just("later"), _scopes, st.integers(0, 5)),
    st.tuples(st.just("drop"), _scopes),
    st.tuples(st.just("wait"), st.floats(0, 10)),
    st.tuples(st.just("read")),
)


@given(st.lists(_steps, max_size=60))
def test_page_is_what_a_plain_join_would_be(steps: list[tuple[object, ...]]) -> None:
    """Changes and expiry never show anything but the live scopes in their order."""
    now = [0.0]
    page = MetricsPage(lambda: now[0])
    shown: dict[tuple[str, ...], tuple[str, float]] = {}

    def check() -> None:
        lines = [line.encode() for _, (line, until) in sorted(shown.items()) if now[0] < until]
        found = [
            line + b"\n" for line in page.render().split(b"\n") if line and line[:1] != b"#"
        ]
        assert found == lines
        assert gzip.decompress(page.render(gzip=True)) == page.render()
        assert gzip.decompress(page.render(openmetrics=True, gzip=True)) == page.render(
            openmetrics=True
        )

    for step in steps:
        match step:
            case ("put", tuple() as scope, int() as value, float() as until):
                line = f'{UP}{{skill_id="{scope}"}} {value}\n'
                shown[scope] = (line, until)
                page.put(scope, Block({UP: line.encode()}, until))
            case ("later", tuple() as scope, int() as value):
                line = f'{UP}{{skill_id="{scope}"}} {value}\n'
                shown[scope] = (line, math.inf)
                page.stale[scope] = partial(Block, {UP: line.encode()})
            case ("drop", tuple() as scope):
                shown.pop(scope, None)
                page.drop(scope)
            case ("wait", float() as seconds):
                now[0] += seconds
            case _:
                check()
    check()


def test_renewal_follows_the_clock() -> None:
    """A block that can be renewed is, outside its own time: also after a clock set back."""
    now = [0.0]
    page = MetricsPage(lambda: now[0])

    def at(moment: float) -> Block:
        line = f"{UP} {int(moment)}\n"
        return Block({UP: line.encode()}, moment + 10, moment, at)

    page.put(("a",), at(0.0))
    moments = ((0.0, 0), (9.9, 0), (10.0, 10), (19.0, 10), (45.0, 45), (44.0, 44), (45.0, 44))
    for moment, value in moments:
        now[0] = moment
        assert f"{UP} {value}\n".encode() in page.render()
        assert f"{UP} {value}\n".encode() in page.render(openmetrics=True)


def test_what_changes_often_is_rendered_once_a_scrape() -> None:
    """Between two scrapes a scope is asked once, and then only after it changed."""
    page = MetricsPage(lambda: 0.0)
    asked: list[int] = []

    def render() -> Block:
        asked.append(1)
        return Block({UP: b"wolkvox_up 1.0\n"})

    for _ in range(5):
        page.stale["a",] = render
    assert not asked
    assert b"wolkvox_up 1.0" in page.render()
    assert b"wolkvox_up 1.0" in page.render(openmetrics=True)
    assert len(asked) == 1


def test_a_rendering_that_fails_is_tried_again() -> None:
    """What could not be rendered at one scrape is not forgotten for the next."""
    page = MetricsPage(lambda: 0.0)
    answers = [ValueError("a defect"), None]

    def render() -> Block:
        if defect := answers.pop(0):
            raise defect
        return Block({UP: b"wolkvox_up 1.0\n"})

    page.stale["a",] = render
    with pytest.raises(ValueError, match="a defect"):
        page.render()
    assert b"wolkvox_up 1.0" in page.render()
