"""Probe as a process: on a terminal, in a pipe, for scripts; exit codes and flags."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from exporter.messages import Words
from tests.e2e_api import Asked, Reply, Serve, found, refused, row
from tests.e2e_support import TOKEN, Launch, Nursery, operation, write_config
from tests.tools_support import terminal

pytestmark = pytest.mark.e2e
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
    assert rest[-1] == Words("en").text("probe.summary", good=1, count=2)
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
    assert Words("es").text("probe.recorded", count=2, file="answers.json") in life.log()
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
    assert Words("en").text("probe.summary", good=0, count=2) in text
    assert not re.search(r"\x1b\[[0-9;]*m", text)


def test_all_is_well(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Exit 0 when every query is fine; the twins in the environment are read."""
    api = serve_api(lambda asked: found(row()))
    config = write_config(tmp_path, operation(api.url(), interval="1s"))
    env = {"WOLKVOX_EXPORTER_CONFIG_FILE": str(config), "WOLKVOX_EXPORTER_STORAGE_PATH": "s"}
    life = launch("probe", env=env)
    assert life.wait() == 0
    assert (tmp_path / "s").is_dir()
    assert len(api.asked) == 1


def test_interrupted(nursery: Nursery, tmp_path: Path, serve_api: Serve) -> None:
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


def test_wrong_usage(launch: Launch, tmp_path: Path) -> None:
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
