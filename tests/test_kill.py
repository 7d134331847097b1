"""kill -9 at any moment: no early request, no counter that falls, no damaged state."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e_api import Api, Asked, Reply, Serve
from tests.e2e_support import TOKEN, Launch, Life, operation, wait_for, write_config
from tests.kill_support import COUNTERS, Growing, Highest, die_in, intact

pytestmark = pytest.mark.e2e
Start = Callable[[Path], Life]
# What lies between the attempt's time in the state and its arrival: a flush, a connection,
# on a machine that is busy. A request without regard to the slot would come at once.
ON_THE_WAY = 0.8


@pytest.fixture
def start(launch: Launch, state_directory: Path) -> Callable[[Path], Life]:
    """Start the exporter with its state in memory, where possible."""
    return lambda config: launch.serve(config, "--storage.path", str(state_directory / "data"))


def test_fifteen_kills_cost_one_request_per_query(
    start: Start, tmp_path: Path, api: Api
) -> None:
    """A crash loop of fifteen lives asks each query once, whatever it died of."""
    config = write_config(
        tmp_path,
        operation(api.url("acme"), "4173", "4180", "all", name="acme", interval="1h"),
        operation(api.url("globex"), "5101", name="globex", token=f"{TOKEN}2", interval="1h"),
    )
    chance = random.Random(15)
    for number in range(15):
        life = start(config)
        if number == 0:
            wait_for(lambda: api.asked, "the first request")
        else:
            die_in(life, chance)
        life.kill()
    asked = Counter((one.operation, one.skill) for one in api.asked)
    assert set(asked.values()) == {1}


def test_spacing_holds_while_no_answer_survives(
    start: Start, tmp_path: Path, serve_api: Serve
) -> None:
    """Killed while the API still thinks, the exporter waits for the slot as after an answer."""
    never = threading.Event()

    def script(asked: Asked) -> Reply:
        never.wait(60)
        return Reply()

    api = serve_api(script)
    api.closing = never
    config = write_config(tmp_path, operation(api.url(), interval="3s"))
    for lives in range(1, 3):
        life = start(config)
        wait_for(lambda wanted=lives: len(api.asked) >= wanted, "a request")  # type: ignore[misc]
        life.kill()
    first, second = api.asked
    assert second.at - first.at > 3 - ON_THE_WAY


@pytest.mark.parametrize("kills", [12, pytest.param(30, marks=pytest.mark.slow)])
def test_kills_at_random_moments(
    start: Start, tmp_path: Path, state_directory: Path, serve_api: Serve, kills: int
) -> None:
    """Counters never fall and are exact at last; requests keep their distance."""
    growing = Growing()
    api = serve_api(growing)
    config = write_config(
        tmp_path, operation(api.url(), "4173", "all", interval="2s", stale_after="1m")
    )
    chance = random.Random(30)
    highest = Highest()
    first = start(config)
    wait_for(lambda: first.metrics().value("wolkvox_up", skill_id="4173"), "the first result")
    before = growing.given[0]
    first.kill()
    for _ in range(kills):
        life = start(config)
        die_in(life, chance, lambda life=life: highest.rises(life))  # type: ignore[misc]
        life.kill()
        intact(state_directory / "data", tmp_path / "copy")
        assert "damaged" not in life.log()
    growing.stop()
    last = start(config)
    wait_for(lambda: growing.given[-2:] == [growing.total()] * 2, "two last answers")
    wait_for(lambda: last.metrics().value("wolkvox_up", skill_id="4173"), "the last result")
    highest.rises(last)
    for skill in ("4173", "all"):
        wait_for(lambda one=skill: len(api.of("acme", one)) > 3, "four requests")  # type: ignore[misc]
        times = [one.at for one in api.of("acme", skill)]
        assert len(times) - 1 <= (times[-1] - times[0] + ON_THE_WAY) / 2
        # A machine that stands still for a moment notes one request late, and so one gap short.
        short = [one for one in pairwise(times) if one[1] - one[0] <= 2 - ON_THE_WAY]
        assert len(short) <= 1, short
    page, grown = last.metrics(), growing.total() - before
    of = {"skill_id": "4173", "type_interaction": "inbound"}
    assert page.value(COUNTERS[0], **of) == grown


def test_first_scrape_after_a_restart_is_whole(
    launch: Launch, tmp_path: Path, api: Api
) -> None:
    """However slow the disk is to read, no scrape finds the counters gone for a moment."""
    config = write_config(tmp_path, operation(api.url(), stale_after="1m"))
    life = launch.serve(config)
    wait_for(lambda: life.get("/-/ready").status == 200, "the first poll")
    life.kill()
    slow = (
        "import time\n"
        "from exporter.state.storage import Storage\n"
        "quick = Storage.stored\n"
        "def stored(*args):\n"
        "    time.sleep(0.5)\n"
        "    return quick(*args)\n"
        "Storage.stored = stored\n"
    )
    again = launch.serve(config, prelude=slow)
    assert again.metrics().of(COUNTERS[0])
    assert again.get("/-/ready").status == 200
