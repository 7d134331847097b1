"""A real Prometheus scrapes the exporter: every gauge has the simulator's true value."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest

from tests.e2e_prometheus import Prometheus, prometheus
from tests.e2e_stage import SKILLS, Stage
from tests.e2e_support import (
    LOOPBACK,
    TOKEN,
    Labels,
    Launch,
    Life,
    Nursery,
    wait_for,
    zone_at,
)

pytest_plugins = ("tests.e2e_fixtures",)
pytestmark = pytest.mark.e2e
NAMES = {skill.id: skill.name for skill in SKILLS} | {"all": "Todas"}
COUNTS = ("inbound", "answered", "abandoned")
# Half of the last digit that the API writes: two decimals of a percent, whole seconds.
EXACT, RATIO, SECONDS = 1e-9, 0.5e-4 + 1e-9, 0.5 + 1e-9


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A contact centre at one in the afternoon, where time stands still."""
    start = datetime.now(zone_at(14)).replace(hour=13, minute=5, second=0, microsecond=0)
    with Stage(start).run() as made:
        yield made


@pytest.fixture(scope="module")
def exporter(
    nursery: Nursery, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    """An exporter that has polled it."""
    directory = tmp_path_factory.mktemp("exporter")
    skills = ", ".join(f"{{id: {key}, name: {name}}}" for key, name in NAMES.items())
    (directory / "wolkvox.yml").write_text(
        f"operations: [{{name: acme, url: '{stage.url}', token: {TOKEN}, interval: 1s,"
        f" month: false, timezone: {stage.zone.key}, token_info: true, daily_requests: 500000,"
        f" labels: {{client: bank}}, skills: [{skills}]}}]"
    )
    launch = Launch(nursery, directory)
    try:
        life = launch(*LOOPBACK)
        wait_for(lambda: life.metrics().value("wolkvox_token_limit"), "the first round")
        yield life
    finally:
        launch.close()


@pytest.fixture(scope="module")
def server(exporter: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it."""
    directory = tmp_path_factory.mktemp("prometheus")
    with prometheus(directory, [exporter.addresses[0]]) as made:
        started = time.time()
        wait_for(lambda: made.scraped_since(started), "a scrape")
        yield made


def expected(stage: Stage, name: str) -> tuple[dict[Labels, float], float]:
    """The true value of every series of a gauge, and how much rounding may take away."""
    values: dict[Labels, float] = {}
    tolerance = EXACT
    for skill, label in NAMES.items():
        for channel, true in stage.truth(skill).items():
            labels = {
                "operation": "acme",
                "skill_id": skill,
                "skill": label,
                "type_interaction": channel,
                "window": "today",
            }
            more, tolerance = true_values(name, true)
            values |= {frozenset({**labels, **extra}.items()): value for extra, value in more}
    return values, tolerance


def true_values(
    name: str, true: dict[str, float]
) -> tuple[list[tuple[dict[str, str], float]], float]:
    """The values of a gauge for one channel, with their further labels, and the rounding."""
    if (match := re.fullmatch(r"(\w+)_interactions", name)) and match[1] in COUNTS:
        return [({}, true[match[1]])], EXACT
    if name == "service_level_ratio":
        levels = [
            ({"threshold_seconds": seconds}, true[f"within_{seconds}"] / true["inbound"])
            for seconds in ("10", "20", "30")
        ]
        return levels, RATIO
    if name == "abandonment_ratio":
        return [({}, true["abandoned"] / true["inbound"])], RATIO
    of, over = {"asa_seconds": ("answer", "answered"), "ata_seconds": ("abandon", "abandoned")}[
        name
    ]
    return ([({}, true[f"{of}_wait_seconds"] / true[over])] if true[over] else []), SECONDS


def test_every_gauge_is_true(server: Prometheus, exporter: Life, stage: Stage) -> None:
    """Each series of a gauge is in Prometheus, with the truth but for the API's rounding."""
    counts = (f"{name}_interactions" for name in COUNTS)
    ratios = ("service_level_ratio", "abandonment_ratio")
    for name in (*counts, *ratios, "asa_seconds", "ata_seconds"):
        values, tolerance = expected(stage, name)
        found = wait_for(partial(server.query, f"wolkvox_skill_{name}"), "a scrape")
        assert found.keys() == values.keys(), name
        assert len(values) >= 5, name
        for labels, value in values.items():
            assert found[labels] == pytest.approx(value, abs=tolerance), (name, labels)
        assert exporter.metrics().of(f"wolkvox_skill_{name}") == found, name


def test_the_polling_in_promql(server: Prometheus, exporter: Life, stage: Stage) -> None:
    """What PromQL says of queries, calls and the token is what the simulator saw."""
    query = frozenset({("operation", "acme"), ("skill_id", "all"), ("skill", "Todas")})
    assert server.query("wolkvox_up")[query] == 1
    assert server.number(
        'time() - wolkvox_last_success_timestamp_seconds{skill_id="all"} < 3600'
    )
    assert server.number("wolkvox_poll_interval_seconds") == 1
    assert server.number("wolkvox_token_limit") == 10**6
    assert server.number("wolkvox_daily_requests_limit") == 500_000
    assert server.number('wolkvox_operation_info{client="bank"}') == 1
    assert server.number("sum(wolkvox_api_request_failures_total)") == 0
    assert server.number("sum(wolkvox_paused)") == 0
    # In one query, for the polling goes on; a scrape may fall into a request.
    used, asked = "sum(wolkvox_daily_requests_used)", "sum(wolkvox_api_requests_total)"
    apart = server.number(f"abs({used} - {asked})")
    assert apart is not None
    assert apart <= 1
    labels = "wolkvox_operation_info"
    (info,) = server.query(labels)
    assert dict(info)["timezone"] == stage.zone.key
    assert dict(info)["server"] == stage.address
    assert "python_info" in exporter.metrics().names()


def test_a_dead_exporter_goes_stale_and_comes_back(server: Prometheus, exporter: Life) -> None:
    """The target is down for Prometheus at once, and the same series go on after a restart."""
    address = exporter.addresses[0]
    # On a busy machine a scrape may time out, and the series are away until the next.
    before = wait_for(lambda: server.query("wolkvox_skill_inbound_interactions"), "a scrape")
    exporter.kill()
    wait_for(lambda: not server.query("wolkvox_skill_inbound_interactions"), "their end")
    assert server.number("up") == 0
    directory = exporter.stderr.parent
    launch = Launch(exporter.nursery, directory / "again")
    launch.directory.mkdir()
    flags = ["--config.file", str(directory / "wolkvox.yml"), "--web.listen-address", address]
    try:
        launch(*flags, "--storage.path", str(directory / "data"))
        # Those of today are away where the restart took longer than they live, until polled.
        wait_for(
            lambda: server.query("wolkvox_skill_inbound_interactions") == before,
            "the same series",
        )
    finally:
        launch.close()
