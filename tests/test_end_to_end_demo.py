"""`demo` and `simulate`: figures at once whatever the hour, and nothing left behind."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.demo import demo_zones
from exporter.simulator.centre import Scenario
from tests.e2e_support import LOOPBACK, Launch, Life, Samples, fetch, signalled, wait_for

COUNTS = "wolkvox_skill_inbound_interactions"
# Around clock changes of the zones that the demo knows, and days without one.
DAYS = [
    *("2026-01-01", "2026-03-29", "2026-03-30", "2026-04-04", "2026-04-05", "2026-04-06"),
    *("2026-06-21", "2026-09-05", "2026-09-06", "2026-09-07", "2026-09-27", "2026-10-25"),
    *("2026-10-26", "2026-12-31", "2028-02-29"),
]


def test_demo_zones_have_eight_hours_behind() -> None:
    """At every hour of these days both zones of the demo have a working day to show."""
    for day in DAYS:
        midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for hour in range(24):
            now = midnight + timedelta(hours=hour, minutes=59)
            zones = demo_zones(now)
            assert min(now.astimezone(zone).hour for zone in zones) >= 8, now
            assert zones[0] != zones[1]
            assert [ZoneInfo(zone.key) for zone in zones] == [*zones]


def announced(life: Life, last: str) -> str:
    """What it prints for people, once it is whole."""
    wait_for(lambda: last in life.output() or life.ended(), "the announcement")
    assert not life.ended(), life.log()
    return life.output()


def urls(text: str) -> dict[str, str]:
    """The addresses that the demo prints, by what they show."""
    found = re.findall(r"^  (status|metrics|simulator) +http://([^/\s]+)/", text, re.MULTILINE)
    return dict(found)


def figures(address: str) -> Samples | None:
    """The metrics, once every skill has been asked."""
    page = Samples(fetch(address, "/metrics").text)
    ups = page.of("wolkvox_up")
    return page if len(ups) == sum(ups.values()) == 5 else None


@pytest.mark.e2e
def test_demo_shows_figures_and_leaves_cleanly(launch: Launch) -> None:
    """Every address printed works, every skill has figures; Ctrl-C leaves no file behind."""
    temporary = launch.directory / "tmp"
    temporary.mkdir()
    life = launch("demo", *LOOPBACK, env={"TMPDIR": str(temporary)})
    printed = urls(announced(life, "Ctrl-C ends it."))
    assert fetch(printed["status"], "/").status == 200
    assert fetch(printed["simulator"], "/_simulator/requests").status == 200
    page = wait_for(lambda: figures(printed["metrics"]), "data of every skill")
    assert len(page.distinct(COUNTS, "skill")) == 5
    assert len(page.distinct(COUNTS, "type_interaction")) == 6
    assert page.distinct(COUNTS, "operation") == {"acme", "globex"}
    assert all(value > 0 for value in page.of(COUNTS).values())
    wait_for(
        lambda: Samples(fetch(printed["metrics"], "/metrics").text).of("wolkvox_token_limit"),
        "the token's limit",
    )
    assert list(temporary.iterdir())
    assert life.stop(signal.SIGINT) == 0
    assert "Traceback" not in life.log() + life.output()
    assert not list(temporary.iterdir())
    assert [path for path in launch.directory.iterdir() if path.is_dir()] == [temporary]


@pytest.mark.e2e
def test_every_scenario_of_the_demo_can_be_left(launch: Launch) -> None:
    """Also that after which a real operation waits for an hour; the banner names all.

    The simulator goes elsewhere where its port is taken.
    """
    prelude = "import exporter.polling.poll as poll; poll.LONGEST_IDLE = 1.0"
    with contextlib.ExitStack() as taken:  # where the simulator always is, if it can be had
        with contextlib.suppress(OSError):
            taken.enter_context(socket.create_server(("127.0.0.1", 19656)))
        life = launch("demo", *LOOPBACK, env={"LC_ALL": "es_CO.UTF-8"}, prelude=prelude)
        text = announced(life, "Para terminar: Ctrl-C")
    exporter, simulator = re.findall(r"(?:estado|simulador) +http://([^/\s]+)/", text)
    assert re.findall(r"^    ([a-z-]+)  ", text, re.MULTILINE) == list(Scenario)
    command = re.findall(r"curl -X POST http://[^/]+(\S+) -d '(.+)'", text)

    def switch(scenario: str) -> None:
        ((path, body),) = command
        order = body.replace("collapse", scenario)
        assert fetch(simulator, path, "POST", body=order).status == 200

    def pauses() -> float:
        return sum(Samples(fetch(exporter, "/metrics").text).of("wolkvox_paused").values())

    switch("quota")
    wait_for(lambda: pauses() == 2, "both operations to pause")
    switch("healthy")
    wait_for(lambda: figures(exporter), "data of every skill")


@pytest.mark.e2e
def test_demo_leaves_nothing_behind_where_it_does_not_come_to_serve(launch: Launch) -> None:
    """A signal while it makes its directory, or an address it cannot open, leaves no file."""
    (launch.directory / "tmp").mkdir()
    env = {"TMPDIR": str(launch.directory / "tmp")}
    prelude = signalled("exporter.demo._configured", signal.SIGTERM)
    ended = launch("demo", *LOOPBACK, env=env, prelude=prelude)
    unable = launch("demo", "--web.listen-address", "nix.invalid:0", env=env)
    assert (ended.wait(), unable.wait()) == (0, 1)
    assert "Traceback" not in ended.log() + unable.log()
    assert not list((launch.directory / "tmp").iterdir())


@pytest.mark.e2e
def test_simulate_serves_the_api_alone(launch: Launch, tmp_path: Path) -> None:
    """`simulate` prints what a configuration needs, and the exporter can be run against it."""
    flags = ("--timezone", "Etc/GMT-3", "--seed", "7")
    simulator = launch("simulate", "--web.listen-address", "127.0.0.1:0", *flags)
    text = announced(simulator, "Ctrl-C ends it.")
    found = re.findall(r"url: (\S+)\n +token (\S+) +skills (\d+)", text)
    assert len(found) == 2
    lines = ["operations:"]
    for number, (url, token, skill) in enumerate(found):
        lines.append(f"  - {{name: op{number}, url: '{url}', token: {token},")
        lines.append(f"     timezone: Etc/GMT-3, interval: 1s, skills: [{{id: {skill}}}]}}")
    config = tmp_path / "wolkvox.yml"
    config.write_text("\n".join(lines))
    exporter = launch.serve(config)
    wait_for(lambda: sum(exporter.metrics().of("wolkvox_up").values()) == 2, "both operations")
    assert simulator.stop(signal.SIGINT) == 0
    assert "Traceback" not in simulator.log()
    wait_for(lambda: not any(exporter.metrics().of("wolkvox_up").values()), "its absence")
    name = "wolkvox_api_request_failures_total"

    def unconnected() -> bool:
        return all(exporter.metrics().of(name, reason="connect").values())

    wait_for(unconnected, "a failure to connect of both")
