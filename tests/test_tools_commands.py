"""Backfill and probe as processes: into a real Prometheus, on a terminal, in a pipe."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.messages import Words
from tests.e2e_api import Api, Asked, Reply, Serve, found, refused, row
from tests.e2e_prometheus import Prometheus, prometheus
from tests.e2e_support import (
    TOKEN,
    Launch,
    Life,
    Nursery,
    fetch,
    operation,
    wait_for,
    write_config,
)
from tests.needs import run
from tests.tools_support import terminal

pytestmark = pytest.mark.e2e
SIMULATED = "7b" + "0013" * 13
SKILLS = ("4173, name: 'Atención'", "all, name: Todas")


def past(days: int) -> date:
    """So many days ago, in UTC."""
    return datetime.now(UTC).date() - timedelta(days=days)


def span(first: int, last: int) -> list[str]:
    """The flags of a span of past days.

    Of the day before yesterday, which is told through yesterday, the last hours are left out
    until 3 in the morning: they would fall into Prometheus' newest block.
    """
    return ["--from", str(past(first)), "--to", str(past(last)), "--output", "out.om"]


@pytest.fixture
def simulator(launch: Launch) -> Life:
    """The simulator as a server, on a free port."""
    return launch("simulate", "--web.listen-address", "127.0.0.1:0", "--timezone", "UTC")


def address(simulator: Life) -> str:
    """Where it listens."""
    found = wait_for(
        lambda: re.search(r"http://(127\.0\.0\.1:\d+)/ ", simulator.output()), "its address"
    )
    return found[1]


def calls(where: str) -> Counter[tuple[str, str]]:
    """How often each skill and day was asked of the simulator."""
    answer = json.loads(fetch(where, "/_simulator/requests").text)
    assert all(count == 1 for count in answer["max_in_flight"].values())
    return Counter((one["skill_id"], one["date_ini"][:8]) for one in answer["requests"])


def truth(
    where: str, skill_id: str, day: date, last: date | None = None
) -> dict[str, dict[str, float]]:
    """What really happened on a day, or to the end of another, by channel."""
    asked = {
        "operation": "wv0013",
        "skill_id": skill_id,
        "date_ini": f"{day:%Y%m%d}000000",
        "date_end": f"{last or day:%Y%m%d}235959",
    }
    answer: Any = json.loads(fetch(where, f"/_simulator/truth?{urlencode(asked)}").text)
    return dict(answer)


def config_for(where: str, directory: Path, **keys: str) -> Path:
    """An operation of the simulator."""
    url = f"http://{where}/wv0013/api/v2/"
    return write_config(directory, operation(url, *SKILLS, token=SIMULATED, **keys))


@contextmanager
def imported(directory: Path) -> Iterator[Prometheus]:
    """A Prometheus with the file's blocks."""
    data = directory / "prometheus"
    made = run("promtool", "tsdb", "create-blocks-from", "openmetrics",
                    str(directory / "out.om"), str(data))  # fmt: skip
    assert made.returncode == 0, made.stderr
    with prometheus(directory, []) as server:
        yield server


def test_a_real_prometheus_answers(launch: Launch, tmp_path: Path, simulator: Life) -> None:
    """Through the day after, it tells the simulator's truth of the day before."""
    where = address(simulator)
    config_for(where, tmp_path)
    life = launch("backfill", *span(3, 3), "--pace", "0s")
    assert life.wait() == 0, life.log()
    assert "2 requests, one every 0s" in life.log()
    assert "promtool tsdb create-blocks-from openmetrics out.om" in life.output()
    assert [*calls(where).values()] == [1, 1]
    start = datetime.combine(past(2), time.min, UTC).timestamp()
    with imported(tmp_path) as server:
        for skill_id in ("4173", "all"):
            real = truth(where, skill_id, past(3))
            assert real
            for seconds in (0, 7_777, 43_200, 86_399):
                _check(server, skill_id, start + seconds, real)
        assert not server.query("wolkvox_skill_inbound_interactions", start - 1)
        labels = server.query('wolkvox_skill_asa_seconds{job="wolkvox"}', start)
        assert {dict(one)["skill"] for one in labels} == {"Atención", "Todas"}
        instance = 'wolkvox_skill_asa_seconds{instance="127.0.0.1:19655"}'
        assert server.query(instance, start).keys() == labels.keys()


def _check(
    server: Prometheus, skill_id: str, at: float, real: dict[str, dict[str, float]]
) -> None:
    def by_channel(metric: str, more: str = "") -> dict[str, float]:
        # As Prometheus looks back by default; the one of the tests looks back 10 s only.
        series = f'{metric}{{skill_id="{skill_id}", window="yesterday"{more}}}'
        found = server.query(f"last_over_time({series}[5m])", at)
        return {dict(one)["type_interaction"]: value for one, value in found.items()}

    inbound = by_channel("wolkvox_skill_inbound_interactions")
    assert inbound == {channel: one["inbound"] for channel, one in real.items()}
    levels = by_channel("wolkvox_skill_service_level_ratio", ', threshold_seconds="20"')
    for channel, one in real.items():
        share = one["within_20"] / one["inbound"]
        assert levels[channel] == pytest.approx(share, abs=0.00006)


def test_interrupted(launch: Launch, tmp_path: Path, simulator: Life) -> None:
    """Ctrl-C ends it with 1 and no file; the same command goes on without a call repeated."""
    where = address(simulator)
    config_for(where, tmp_path)
    argv = ("backfill", *span(4, 2), "--pace", "100ms")
    life = launch(*argv)
    wait_for(lambda: len(calls(where)) >= 3, "three calls")
    assert life.stop(signal.SIGINT) == 1
    assert "the same command goes on" in life.log()
    assert not (tmp_path / "out.om").exists()
    done = launch(*argv)
    assert done.wait() == 0
    assert [*calls(where).values()] == [1] * 6
    first = (tmp_path / "out.om").read_bytes()
    again = launch(*argv)
    assert again.wait() == 0
    assert "nothing is asked again" in again.log()
    assert len(calls(where)) == 6
    assert (tmp_path / "out.om").read_bytes().count(b"\n") >= first.count(b"\n")
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix not in {".yml", ".out"}:
            assert SIMULATED.encode() not in path.read_bytes(), path


def test_a_terminal_is_asked(nursery: Nursery, tmp_path: Path, api: Api) -> None:
    """The costs are shown before it begins; at no, and at Ctrl-C, nothing is asked."""
    write_config(tmp_path, operation(api.url(), interval="5m", daily_requests="1000"))
    argv = ("backfill", *span(3, 2), "--pace", "0s")
    with terminal(nursery, tmp_path, "backfill", *span(2, 2)) as screen:
        text = screen.until(lambda text: "Begin?" in text)
        assert re.search(r"\b1 request\s", text), text
        assert "0 of today's 1000 requests are used" in text
        screen.type("n\n")
        screen.read()
        assert screen.life.code == 1
    with terminal(nursery, tmp_path, *argv) as screen:
        screen.until(lambda text: "Begin?" in text)
        screen.life.stop(signal.SIGINT)
        assert screen.life.code == 1
    assert not api.asked
    with terminal(nursery, tmp_path, *argv, env={"LANG": "es_CO.UTF-8"}) as screen:
        screen.until(lambda text: "¿Empezar? [S/n]" in text)
        screen.type("s\n")
        assert "promtool" in screen.read()
        assert screen.life.code == 0
    assert len(api.asked) == 2


def test_a_budget_that_is_too_small(launch: Launch, tmp_path: Path, api: Api) -> None:
    """Without --yes nothing begins; with it, it stops at the ceiling and says when to go on."""
    write_config(tmp_path, operation(api.url(), interval="5m", daily_requests="2"))
    argv = ("backfill", *span(5, 2), "--pace", "0s")
    refused_run = launch(*argv)
    assert refused_run.wait() == 1
    assert "today's budget holds 2 of them" in refused_run.log()
    assert re.search(r"goes on from \d{4}-\d\d-\d\d 00:00 \(UTC\)", refused_run.log())
    assert not api.asked
    partly = launch(*argv, "--yes")
    assert partly.wait() == 1
    assert "(daily_requests) are used up" in partly.log()
    assert len(api.asked) == 2
    assert (tmp_path / "out.om").read_text().count("asa_seconds{") == 2 * 288


def test_answers_that_lack(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """What had no answer is named, the rest is written, the exit code is 1."""
    bad = f"{past(4):%Y%m%d}000000"
    api = serve_api(
        lambda asked: refused("broken") if asked.query["date_ini"] == bad else found(row())
    )
    write_config(tmp_path, operation(api.url(), interval="5m"))
    argv = ("backfill", *span(5, 3), "--pace", "0s", "--job", "x", "--instance", "y:1")
    life = launch(*argv, env={"LANG": "es_CO.UTF-8"})
    assert life.wait() == 1
    log = life.log()
    for line in (
        "3 solicitudes, una cada 0s: 0 s",
        "solicitudes de hoy: 0; daily_requests no está definido",
        f"4173 {past(5)} bien",
        f"sin respuesta: skill 4173, {past(4)}",
        "incompleto: el mismo comando pide lo que falta",
    ):
        assert line in log, (line, log)
    assert "muestras, 0,9 MB\n  → promtool" in life.output()
    text = (tmp_path / "out.om").read_text()
    assert text.count("asa_seconds{") == 2 * 288
    assert '{instance="y:1",job="x",operation="acme"' in text


def test_discovered_skills(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Skills that nobody knows yet are asked for first; a refusal is said."""
    listed = found({"skill_id": "7", "skill_name": "Siete", "last_use": ""})
    replies = {"skills": listed, "skill_11": found(row())}
    api = serve_api(lambda asked: replies[asked.query["api"]])
    text = operation(api.url(), interval="1s").replace("[{id: 4173}]", "discover")
    write_config(tmp_path, text)
    life = launch("backfill", *span(2, 2), "--pace", "0s")
    assert life.wait() == 0, life.log()
    assert 'skill="Siete"' in (tmp_path / "out.om").read_text()
    replies["skills"] = refused("PLEASE VALIDATE TOKEN")
    fresh = ("--storage.path", str(tmp_path / "fresh"))
    refused_run = launch("backfill", *fresh, *span(2, 2), "--pace", "0s")
    assert refused_run.wait() == 1
    assert Words("en").text("verdict.unauthorized") in refused_run.log()
    assert TOKEN not in refused_run.log()
    replies.update(skills=listed, skill_11=refused("THE RANGE IS TOO LONG"))
    another = ("--storage.path", str(tmp_path / "another"), "--output", "none.om")
    nothing = launch("backfill", *span(9, 9), *another, "--pace", "0s")
    assert nothing.wait() == 1
    assert "none.om: 0 samples" in nothing.output(), nothing.log()
    assert "promtool" not in nothing.output(), "it refuses an empty file"


def test_beside_a_running_exporter(launch: Launch, tmp_path: Path, api: Api) -> None:
    """It says so, and one token still has one request at a time."""
    config = write_config(tmp_path, operation(api.url(), "1", "2", interval="1s"))
    exporter = launch.serve(config)
    wait_for((tmp_path / "data" / "alive").exists, "the exporter")
    life = launch("backfill", *span(4, 2), "--pace", "100ms")
    assert life.wait() == 0, life.log()
    assert "an exporter runs beside" in life.log()

    def up() -> bool:
        return exporter.metrics().value("wolkvox_up", skill_id="1") == 1

    wait_for(up, "a good answer to the exporter")


def test_wrong_usage(launch: Launch, tmp_path: Path) -> None:
    """Wrong days and a pace below the rules are exit 2, before anything is made."""
    write_config(tmp_path, operation("https://wv0013.wolkvox.com/api/v2/", interval="5m"))
    before, later = ("2026-01-02", "2999-01-01"), ("2999-01-02", "2999-01-01")
    for (first, last), pace, *messages in (
        (
            later,
            "299s",
            "2999-01-01 is before 2999-01-02",
            "is not over yet in UTC",
            "write 5m (300s) or more",
        ),
        (before, "5", "--pace: "),
        (("1.1.2026", "2026-01-01"), "300s", "Invalid value for '--from'"),
    ):
        flags = ("--from", first, "--to", last, "--pace", pace, "--output", "out.om")
        life = launch("backfill", *flags)
        assert life.wait() == 2
        for message in messages:
            assert message in life.log()
    assert not (tmp_path / "out.om.progress").exists()


@pytest.mark.slow
def test_whole_months(launch: Launch, tmp_path: Path, simulator: Life) -> None:
    """One call a skill and month, named and priced before it begins; a second run asks nothing
    again, and days do not go on where months ended.
    """
    where = address(simulator)
    config_for(where, tmp_path)
    # Not the last one, whose figures would be those of the last hours on a first of the month.
    last = (past(0).replace(day=1) - timedelta(days=1)).replace(day=1) - timedelta(days=1)
    first = last.replace(day=1)
    # Any day of a month means the month.
    asked = ("--from", f"{first:%Y-%m}-03", "--to", f"{first:%Y-%m}-15", "--output", "out.om")
    life = launch("backfill", "--months", *asked, "--pace", "0s")
    assert life.wait() == 0, life.log()
    assert "2 requests, one every 0s" in life.log()
    assert f"4173 {first:%Y-%m} fine" in life.log()
    assert calls(where) == {(skill, f"{first:%Y%m%d}"): 1 for skill in ("4173", "all")}
    lines = (tmp_path / "out.om").read_text(encoding="utf-8").splitlines()
    midnight = datetime.combine(last + timedelta(days=1), time.min, UTC).timestamp()
    inbound = {
        (
            re.findall('skill_id="(.+?)"', one)[0],
            re.findall('type_interaction="(.+?)"', one)[0],
        ): float(one.split()[-2])
        for one in lines
        if one.startswith("wolkvox_skill_inbound") and one.endswith(f" {midnight:.0f}")
    }
    assert all('window="month"' in one for one in lines if one.startswith("wolkvox_"))
    for skill in ("4173", "all"):
        real = truth(where, skill, first, last)
        found = {one: value for (each, one), value in inbound.items() if each == skill}
        assert found == {one: figures["inbound"] for one, figures in real.items()}
    again = launch("backfill", "--months", *asked, "--pace", "0s")
    assert again.wait() == 0
    assert "everything was asked before" in again.log()
    days = launch("backfill", *span(3, 3), "--pace", "0s")
    assert days.wait() == 1
    assert "choose another --output" in days.log()
    running = launch("backfill", "--months", *span(400, 0))
    assert running.wait() == 2
    assert "is not over yet" in running.log()


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def config(tmp_path: Path, serve_api: Serve) -> Path:
    """Two skills, the second of which is refused."""
    api = serve_api(
        lambda asked: found(row()) if asked.skill == "4173" else refused("SIMULTANEOUS")
    )
    text = operation(api.url(), "4173, name: 'Atención [red]'", "4180", interval="5m")
    return write_config(tmp_path, text)


def test_in_a_pipe(launch: Launch, config: Path) -> None:
    """Aligned text without control characters, nothing on stderr, exit 1 for a failure."""
    life = launch("probe", "--config.file", str(config), env={"LANG": "C"})
    assert life.wait() == 1
    assert not life.log()
    output = life.output()
    assert all(char.isprintable() or char == "\n" for char in output)
    head, read, sent, *rest = output.splitlines()
    assert re.match(r"acme 4173 Atención \[red\] +\w+ ", head)
    assert re.match(r"inbound +\d+ ", read)
    assert re.match(r"  \w+ \w+ +\d+ .* %", sent)
    assert len({len(head), len(read), len(sent)}) == 1
    refused = Words("en").text("verdict.concurrency")
    assert any(line.startswith(f"acme 4180: {refused}") for line in rest)
    assert rest[-1] == Words("en").text("tools.summary", good=1, count=2)
    assert TOKEN not in output


def test_for_scripts(launch: Launch, config: Path, tmp_path: Path) -> None:
    """JSON on stdout alone; answers recorded beside it; flags before the command count too."""
    state = tmp_path / "elsewhere"
    life = launch(
        *("--config.file", str(config), "--storage.path", str(state)),
        *("probe", "--output", "json", "--language", "es", "--record", "answers.json"),
    )
    assert life.wait() == 1
    document = json.loads(life.output())
    assert [one["verdict"] for one in document["queries"]] == ["fine", "concurrency"]
    assert document["queries"][1]["message"] == Words("es").text("verdict.concurrency")
    assert Words("es").text("tools.recorded", count=2, file="answers.json") in life.log()
    assert "acme" not in (tmp_path / "answers.json").read_text()
    assert (state / "wolkvox-exporter.db").exists()


def test_on_a_terminal(nursery: Nursery, tmp_path: Path, config: Path) -> None:
    """A table as wide as the terminal, in its language; names are text, not markup."""
    argv = ("probe", "--config.file", str(config))
    env = {"LANG": "es_CO.UTF-8", "COLUMNS": "", "NO_COLOR": ""}
    with terminal(nursery, tmp_path, *argv, env=env, columns=80) as screen:
        text = screen.read()
        assert screen.life.code == 1
    assert "\x1b[" in text
    plain = _CONTROL.sub("", text).replace("\r", "\n")
    assert "Atención [red]" in " ".join(plain.split())
    assert "✔ acme 4173" in plain
    assert "✘ acme 4180" in plain
    assert "Nivel de servicio" in plain
    assert max(map(len, plain.splitlines())) <= 80
    assert TOKEN not in text
    # The answers of a moment ago, without a colour.
    with terminal(nursery, tmp_path, *argv, env={"NO_COLOR": "1", "LANG": "C"}) as screen:
        text = screen.read()
    assert Words("en").text("tools.summary", good=0, count=2) in text
    assert not re.search(r"\x1b\[[0-9;]*m", text)


def test_all_is_well(launch: Launch, tmp_path: Path, api: Api) -> None:
    """Exit 0 when every query is fine; the twins in the environment are read."""
    config = write_config(tmp_path, operation(api.url(), interval="1s"))
    env = {"WOLKVOX_EXPORTER_CONFIG_FILE": str(config), "WOLKVOX_EXPORTER_STORAGE_PATH": "s"}
    life = launch("probe", env=env)
    assert life.wait() == 0
    assert (tmp_path / "s").is_dir()
    assert len(api.asked) == 1


def test_probe_interrupted(nursery: Nursery, tmp_path: Path, serve_api: Serve) -> None:
    """Ctrl-C ends it at once with 1 and one word."""

    def hang(asked: Asked) -> Reply:
        api.closing.wait(60)
        return found(row())

    api = serve_api(hang)
    config = write_config(tmp_path, operation(api.url(), interval="5m"))
    argv = ("probe", "--config.file", str(config))
    with terminal(nursery, tmp_path, *argv) as screen:
        screen.until(lambda text: bool(api.asked))
        screen.life.stop(signal.SIGINT)
        text = screen.read()
    assert screen.life.code == 1
    assert "interrupted" in text
    assert "Traceback" not in text


def test_wrong_usage_of_probe(launch: Launch, tmp_path: Path) -> None:
    """2 for what is wrong in configuration and flags, 1 for what the machine refuses."""
    write_config(tmp_path, operation("http://127.0.0.1:1/api/v2/", interval="5m"))
    for flag, value, code, message in (
        ("--config.file", "nix.yml", 2, "nix.yml: the file does not exist"),
        ("--language", "fr", 2, "Invalid value for '--language'"),
        ("--record", "nowhere/x", 1, "nowhere/x cannot be written"),
        ("--storage.path", "wolkvox.yml", 1, "cannot be written"),
    ):
        life = launch("probe", flag, value)
        assert life.wait() == code, flag
        assert message in life.log()
        assert "Traceback" not in life.log()
