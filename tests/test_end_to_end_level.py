"""The service level of any window by PromQL is the true one, over a kill and over midnight."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e_api import Api, Asked, Reply, Script, found, refused, row
from tests.e2e_prometheus import Prometheus, prometheus
from tests.e2e_stage import Stage
from tests.e2e_support import (
    Launch,
    Life,
    Samples,
    fetch,
    free_port,
    operation,
    wait_for,
    write_config,
    zone_at,
)

pytestmark = pytest.mark.e2e
INBOUND = "wolkvox_skill_inbound_interactions"
OFFERED = "wolkvox_skill_offered_interactions_total"
BUCKET = "wolkvox_skill_answer_wait_seconds_bucket"
HALF_A_POINT = 0.005


def level(threshold: str, seconds: int, more: str = "") -> str:
    """The service level of the last so many seconds, in PromQL."""
    labels = "operation,skill_id,skill,type_interaction"
    answered = f'increase({BUCKET}{{le="{threshold}.0"{more}}}[{seconds}s])'
    offered = f"increase({OFFERED}{{{more.removeprefix(',')}}}[{seconds}s])"
    return f"sum by ({labels}) ({answered}) / sum by ({labels}) ({offered})"


@dataclass
class Observed:
    """An exporter on one address, whichever process it is, and the Prometheus beside it."""

    launch: Launch
    address: str
    server: Prometheus
    config: Path = Path()
    prelude: str = ""
    life: Life | None = None
    begun: float = 0.0

    def start(self, config: Path, prelude: str = "") -> None:
        """Start the exporter; returns when its first values are in Prometheus."""
        self.config, self.prelude = config, prelude
        self.restart()
        self.settled(1)
        self.begun = time.time()

    def restart(self) -> None:
        """kill -9 if it runs, and the same command line again."""
        if self.life is not None:
            self.life.kill()
        flags = ("--web.listen-address", self.address)
        self.life = self.launch.serve(self.config, *flags, prelude=self.prelude)
        assert self.life.addresses == [self.address]

    def metrics(self) -> Samples:
        """The page of the process that lives now."""
        return Samples(fetch(self.address, "/metrics").text)

    def settled(self, polls: int = 2) -> None:
        """Wait until every query was asked anew so many times, then for a scrape."""
        for _ in range(polls):
            now = time.time()
            wait_for(lambda at=now: self._asked_since(at), "polls")  # type: ignore[misc]
        now = time.time()
        wait_for(lambda: self.server.scraped_since(now), "a scrape")

    def seconds(self) -> int:
        """The length of a range that begins soon after everything was observed first."""
        return math.floor(time.time() - self.begun)

    def _asked_since(self, at: float) -> bool:
        page = self.metrics()
        stamps = [
            *page.of("wolkvox_last_attempt_timestamp_seconds").values(),
            *page.of("wolkvox_last_success_timestamp_seconds").values(),
        ]
        return bool(stamps) and min(stamps) > at and all(page.of("wolkvox_up").values())


@pytest.fixture
def seen(launch: Launch) -> Iterator[Observed]:
    """A Prometheus that waits for an exporter."""
    address = f"127.0.0.1:{free_port()}"
    with prometheus(launch.directory, [address]) as server:
        yield Observed(launch, address, server)


def test_service_level_over_a_kill(seen: Observed, tmp_path: Path) -> None:
    """Half an hour of a collapsing contact centre, with kill -9 in the middle of it."""
    start = datetime.now(zone_at(20)).replace(hour=10, minute=0, second=0, microsecond=0)
    with Stage(start).run() as stage:
        # What appears later is shown with 0 for one interval: several scrapes must fit into it.
        keys = {"timezone": stage.zone.key, "interval": "2s"}
        text = operation(stage.url, "4173", "4190", "all", **keys)
        seen.start(write_config(tmp_path, text))
        before = seen.metrics()
        path, order = "/_simulator/scenario", '{"scenario":"collapse"}'
        assert fetch(stage.address, path, "POST", body=order).status == 200
        stage.clock.run(300)
        time.sleep(2.5)
        seen.restart()
        time.sleep(3.5)
        stage.clock.run(0)
        seen.settled()
        window = (start, stage.clock.now() + timedelta(seconds=1))
        for skill in ("4173", "4190", "all"):
            truth = stage.truth(skill, *window)
            assert len(truth) >= 2
            compare(truth, seen, before, skill)


def compare(
    truth: dict[str, dict[str, float]], seen: Observed, before: Samples, skill: str
) -> None:
    """Compare each channel of a skill with what really happened since `before`."""
    after = seen.metrics()
    for channel, true in truth.items():
        of = {"skill_id": skill, "type_interaction": channel}
        first, last = (page.value(OFFERED, **of) or 0 for page in (before, after))
        assert last - first == true["inbound"], of
        more = "".join(f',{name}="{value}"' for name, value in of.items())
        least = f"min_over_time({OFFERED}{{{more[1:]}}}[{seen.seconds() + 1}s])"
        assert seen.server.number(least) == first, "the machine stood still: no scrape saw it"
        for threshold in ("10", "20", "30"):
            exact = true[f"within_{threshold}"] / true["inbound"]
            by_promql = seen.server.number(level(threshold, seen.seconds() + 1, more))
            assert by_promql == pytest.approx(exact, abs=HALF_A_POINT), (of, threshold)


# Midnight --------------------------------------------------------------------------------


MORNING = 300  # interactions of the day before anything is observed, two thirds in time


@dataclass
class Traffic:
    """An API with one interaction every 20 ms from `begin` to `end`, in a zone of its own.

    Two in three are answered within 20 s until midnight, one in three after it. All
    moments are epoch seconds; nothing happens before `begin` is set.
    """

    midnight: int
    begin: float = math.inf
    end: float = math.inf

    @property
    def offset(self) -> int:
        """Seconds that the zone is ahead of UTC."""
        return (-self.midnight % 86400 + 43200) % 86400 - 43200

    def __call__(self, asked: Asked) -> Reply:
        first = self._epoch(asked.query["date_ini"])
        last = self._epoch(asked.query["date_end"]) + 1
        inbound, within = self.figures(first, min(last, time.time()))
        if first < self.midnight:
            inbound, within = inbound + MORNING, within + MORNING * 2 // 3
        return (
            found(_row(inbound, within)) if inbound else refused("Validate dates entered", 404)
        )

    def figures(self, first: float, last: float) -> tuple[int, int]:
        """Interactions in [first, last), and how many were answered within 20 s."""
        early = self._numbers(first, min(last, self.midnight))
        late = self._numbers(max(first, self.midnight), last)
        within = sum(n % 3 != 0 for n in early) + sum(n % 3 == 0 for n in late)
        return len(early) + len(late), within

    def _numbers(self, first: float, last: float) -> range:
        return range(self._count(first), max(self._count(first), self._count(last)))

    def _count(self, moment: float) -> int:
        if moment <= self.begin:
            return 0
        return math.ceil((min(moment, self.end) - self.begin) * 50)

    def _epoch(self, text: str) -> float:
        wall = datetime.strptime(text + "+0000", "%Y%m%d%H%M%S%z")
        return wall.timestamp() - self.offset


def _row(inbound: int, within: int) -> dict[str, str]:
    share = f"{100 * within / inbound:.2f} %"
    return row("inbound", inbound) | {
        "answer_calls": str(inbound),
        "abandon_calls": "0",
        "service_level_10seg": "0 %",
        "service_level_20seg": share,
        "service_level_30seg": share,
        "abandon": "0 %",
        "ata": "",
    }


def zone_file(directory: Path, offset: int) -> str:
    """Write a time zone of one constant offset in seconds; returns its name."""
    path = directory / "Test" / "Midnight"
    path.parent.mkdir(parents=True)
    head = struct.pack(">4sc15x6l", b"TZif", b"\0", 0, 0, 0, 0, 1, 4)
    path.write_bytes(head + struct.pack(">lBB4s", offset, 0, 0, b"LMT\0"))
    return "Test/Midnight"


def test_nothing_is_lost_at_midnight(
    seen: Observed, tmp_path: Path, serve_api: Callable[[Script], Api]
) -> None:
    """The closing poll brings the day's last moments, over a kill just before midnight."""
    traffic = Traffic(math.ceil(time.time()) + 8)
    api = serve_api(traffic)
    zones = tmp_path / "zones"
    config = write_config(
        tmp_path, operation(api.url(), timezone=zone_file(zones, traffic.offset))
    )
    lookup = f"import zoneinfo; zoneinfo.reset_tzpath([{str(zones)!r}, *zoneinfo.TZPATH])"
    seen.start(config, lookup)
    before = seen.metrics()
    assert before.value(INBOUND, window="today") == MORNING
    traffic.end = traffic.midnight + 3
    traffic.begin = time.time()
    assert traffic.begin < traffic.midnight - 1, "the machine is too slow for this test"
    time.sleep(traffic.midnight - 0.4 - time.time())
    seen.restart()
    wait_for(lambda: time.time() > traffic.end, "the end of the traffic")
    seen.settled()

    closed_once([one for one in api.asked if one.at >= traffic.midnight])
    after = seen.metrics()
    early, _ = traffic.figures(traffic.begin, traffic.midnight)
    late, _ = traffic.figures(traffic.midnight, traffic.end)
    assert after.value(INBOUND, window="yesterday") == MORNING + early
    assert after.value(INBOUND, window="today") == late
    whole, within = traffic.figures(traffic.begin, traffic.end)
    assert after.value(OFFERED) == whole
    assert after.value(BUCKET, le="20.0") == within
    by_promql = seen.server.number(level("20", seen.seconds() + 1))
    assert by_promql == pytest.approx(within / whole, abs=HALF_A_POINT)


def closed_once(asked: Sequence[Asked]) -> None:
    """After midnight the day that ended is asked for as a whole, then only the new one."""
    days = [one.query["date_ini"][:8] for one in asked]
    old = [one.query["date_end"] for one in asked if one.query["date_ini"][:8] == days[0]]
    # The last poll of the old day may leave before midnight and arrive after it.
    assert 1 <= len(old) <= 2
    assert set(old) == {f"{days[0]}235959"}
    assert days == sorted(days)
    assert len(set(days)) == 2
