"""The command line from outside: flags, their environment twins, and every way to fail."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e_api import Api, Script, found, row
from tests.e2e_support import LOOPBACK, TOKEN, Launch, Life, fetch, operation, write_config

pytest_plugins = ("tests.e2e_fixtures",)
pytestmark = pytest.mark.e2e

FLAGS = (
    "--config.file",
    "--config.check",
    "--web.listen-address",
    "--web.telemetry-path",
    "--web.config.file",
    "--web.enable-lifecycle",
    "--web.max-requests",
    "--web.disable-exporter-metrics",
    "--storage.path",
    "--log.level",
    "--log.format",
)
# An address that no name server knows, so that nothing can ever be asked there.
NOWHERE = "https://wolkvox.invalid/api/v2/"
ONE = {"WOLKVOX_SERVER": "0013", "WOLKVOX_TOKEN": TOKEN, "WOLKVOX_SKILLS": "4173=Ventas,all"}
Serve = Callable[[Script], Api]


def twin(flag: str) -> str:
    """The environment variable of a flag."""
    return "WOLKVOX_EXPORTER_" + re.sub(r"[.-]", "_", flag[2:]).upper()


def complaints(life: Life, code: int) -> list[str]:
    """What it says on stderr, without log lines, after it has failed with this code."""
    assert life.wait() == code, life.log()
    assert "Traceback" not in life.log()
    assert not life.output()
    return [line for line in life.log().splitlines() if not line.startswith("ts=")]


@pytest.fixture
def api(serve_api: Serve) -> Api:
    """An API that answers one row to everything."""
    return serve_api(lambda asked: found(row()))


@pytest.fixture
def good(tmp_path: Path, api: Api) -> str:
    """A configuration that works."""
    return str(write_config(tmp_path, operation(api.url()), name="good.yml"))


@pytest.mark.parametrize("entry", [["-m", "exporter"], ["wolkvox-exporter"]])
def test_both_entry_points_tell_the_same_version(entry: list[str]) -> None:
    """The command and `python -m exporter` are the same program."""
    python = Path(sys.executable)
    start = [str(python), *entry] if entry[0] == "-m" else [str(python.with_name(entry[0]))]
    done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"wolkvox-exporter \S+ \(Python 3\.\S+\)\n", done.stdout)
    assert not done.stderr


def test_help_names_every_flag_and_its_twin(launch: Launch) -> None:
    """--help lists each flag with its environment variable and each subcommand."""
    life = launch("--help", env={"COLUMNS": "200"})
    assert life.wait() == 0
    for flag in FLAGS:
        assert flag in life.output()
        assert twin(flag) in life.output()
    assert re.search(r"^  demo .*^  simulate ", life.output(), re.DOTALL | re.MULTILINE)


USAGE = [
    (["--nonsense"], {}, "No such option '--nonsense'"),
    (["nonsense"], {}, "No such command 'nonsense'"),
    (["--log.level", "loud"], {}, "Invalid value for '--log.level'"),
    (["--log.format", "xml"], {}, "Invalid value for '--log.format'"),
    (["--web.max-requests", "-1"], {}, "Invalid value for '--web.max-requests'"),
    ([], {"WOLKVOX_EXPORTER_WEB_MAX_REQUESTS": "many"}, "WOLKVOX_EXPORTER_WEB_MAX_REQUESTS"),
    ([], {"WOLKVOX_EXPORTER_CONFIG_CHECK": "perhaps"}, "WOLKVOX_EXPORTER_CONFIG_CHECK"),
    (["simulate", "--seed", "x"], {}, "Invalid value for '--seed'"),
]


@pytest.mark.parametrize(("argv", "env", "message"), USAGE)
def test_wrong_usage(
    launch: Launch, argv: list[str], env: dict[str, str], message: str
) -> None:
    """A flag or a subcommand that does not exist, or a value it cannot have, is exit 2."""
    *_, last = complaints(launch(*argv, env=env), 2)
    assert message in last


WRONG = [
    (2, ["--config.file", "nix.yml"], "nix.yml: the file does not exist"),
    (2, [], "wolkvox.yml: the file does not exist"),
    (2, ["--config.file", "empty"], "empty: the directory holds no file *.yml"),
    (2, ["--web.listen-address", "x"], "--web.listen-address: 'x' is no listen address"),
    (2, ["--web.listen-address", "127.0.0.1:65536"], "the port must be at most 65535"),
    (1, ["--web.listen-address", "nix.invalid:0"], "there is no host 'nix.invalid'"),
    (2, [*LOOPBACK, "--web.telemetry-path", "metrics"], "must begin with /"),
    (2, [*LOOPBACK, "--web.telemetry-path", "/a b"], "may hold only ASCII, no spaces"),
    (2, [*LOOPBACK, "--web.telemetry-path", "/-/healthy"], "is taken by another page"),
    (2, [*LOOPBACK, "--web.telemetry-path", "/-/reload"], "is taken by another page"),
    (1, [*LOOPBACK, "--storage.path", "plain/below"], "the state directory plain/below cannot"),
    (1, [*LOOPBACK, "--storage.path", "plain"], "the state directory plain cannot be written"),
    (2, [*LOOPBACK, "--web.config.file", "nix.yml"], "nix.yml: the file does not exist"),
    (2, [*LOOPBACK, "--web.config.file", "unfilled.yml"], "basic_auth_users.dave: has no pass"),
    (2, ["--config.check", "--web.config.file", "unfilled.yml"], "basic_auth_users.dave: has"),
    (2, ["simulate", "--timezone", "nonsense"], "--timezone: 'nonsense' is no time zone"),
    (2, ["simulate", "--timezone", "../../etc/passwd"], "is no time zone"),
    (2, ["simulate", "--web.listen-address", "x"], "--web.listen-address: 'x' is no listen"),
    (2, ["demo", "--web.listen-address", "x"], "--web.listen-address: 'x' is no listen"),
]


@pytest.mark.parametrize(("code", "argv", "message"), WRONG)
def test_what_cannot_start_says_so_in_one_line(
    launch: Launch, good: str, api: Api, code: int, argv: list[str], message: str
) -> None:
    """Wrong settings are exit 2, a machine that refuses is exit 1: one line, no traceback."""
    (launch.directory / "plain").touch()
    (launch.directory / "empty").mkdir()
    (launch.directory / "unfilled.yml").write_text("basic_auth_users: {dave: }\n")
    own = not argv or argv[0] in {"--config.file", "simulate", "demo"}
    life = launch(*([] if own else ["--config.file", good]), *argv)
    (line,) = complaints(life, code)
    assert line.startswith("error: ")
    assert message in line
    assert not api.asked


def test_config_check_warns_about_the_web_configuration(launch: Launch, good: str) -> None:
    """What has no effect is said before a start as well."""
    (launch.directory / "web.yml").write_text("http_server_config: {http2: true}\n")
    life = launch("--config.file", good, "--config.check", "--web.config.file", "web.yml")
    assert life.wait() == 0
    assert "warning: web.yml:1: http_server_config.http2: has no effect" in life.output()


def test_config_check_prints_the_plan_and_asks_nothing(
    launch: Launch, good: str, api: Api
) -> None:
    """--config.check tells what a day will cost, without a request, a port or a state."""
    life = launch("--config.file", good, "--config.check")
    assert life.wait() == 0
    assert not life.log()
    plan = [line for line in life.output().splitlines() if not line.startswith("warning: ")]
    assert plan[0].split()[:3] == ["operation", "server", "zone"]
    assert plan[1].split()[:6] == ["acme", api.address, "UTC", "1", "1s", "86400"]
    assert not api.asked
    assert not (launch.directory / "data").exists()


def test_config_check_lists_every_problem(launch: Launch, tmp_path: Path) -> None:
    """Each problem is a line `FILE:LINE: operation, path: reason` on stderr, the code is 2."""
    bad = operation("", name="a b", interval="5", timezone="America/Nowhere", colour="red")
    path = write_config(tmp_path, bad)
    lines = complaints(launch("--config.file", str(path), "--config.check"), 2)
    places = [line.removeprefix(f"error: {path}:").split(": ")[:2] for line in lines]
    expected = {"name", "url", "interval", "timezone", "colour"}
    assert {place for _, place in places} == {f"operation #1, {key}" for key in expected}
    assert all(line.isdecimal() for line, _ in places)


@pytest.mark.parametrize("flags", [["--config.check"], LOOPBACK])
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("missing", "does not exist"),
        ("a directory", "is not a plain file"),
        ("empty", "is empty"),
        ("two lines", "holds more than a token"),
    ],
)
def test_token_files_that_cannot_be_used(
    launch: Launch, tmp_path: Path, flags: list[str], state: str, reason: str
) -> None:
    """A token file without a token is exit 2 at the start and in a check, with its place."""
    file = tmp_path / "token"
    if state == "a directory":
        file.mkdir()
    elif state != "missing":
        file.write_text(f"{TOKEN}\n{TOKEN}" if state == "two lines" else " \n")
    text = operation(NOWHERE, interval="5m").replace(f"token: {TOKEN}", "token_file: token")
    path = write_config(tmp_path, text)
    (line,) = complaints(launch("--config.file", str(path), *flags), 2)
    assert line.startswith(f"error: {path}:")
    assert ": operation acme, token_file: " in line
    assert reason in line
    assert TOKEN[:8] not in line


def test_configuration_from_the_environment_alone(launch: Launch, tmp_path: Path) -> None:
    """Without a file, a handful of variables describe one operation named after its server."""
    life = launch("--config.check", env={**ONE, "WOLKVOX_TIMEZONE": "America/Lima"})
    assert life.wait() == 0, life.log()
    row = life.output().splitlines()[1].split()
    assert row[:6] == ["wv0013", "wv0013", "America/Lima", "2", "5m", "576"]
    (tmp_path / "token").write_text(TOKEN)
    from_file = {**ONE, "WOLKVOX_TOKEN": "", "WOLKVOX_TOKEN_FILE": "token"}
    assert launch("--config.check", env=from_file).wait() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"WOLKVOX_TOKEN": ""}, "WOLKVOX_TOKEN"),
        ({"WOLKVOX_TOKEN": "", "WOLKVOX_TOKEN_FILE": "nix"}, "WOLKVOX_TOKEN_FILE: "),
        ({"WOLKVOX_TOKEN_FILE": "nix"}, "set only one of"),
        ({"WOLKVOX_SKILLS": ""}, "WOLKVOX_SKILLS: is not set"),
        ({"WOLKVOX_SKILLS": "Ventas"}, "WOLKVOX_SKILLS: must be the number of a skill"),
        ({"WOLKVOX_SERVER": "13"}, "WOLKVOX_SERVER: "),
        ({"WOLKVOX_SERVER": "http://example.org/api/v2/"}, "WOLKVOX_SERVER: "),
        ({"WOLKVOX_TIMEZONE": "Bogota"}, "WOLKVOX_TIMEZONE: "),
    ],
)
def test_wrong_variables(launch: Launch, change: dict[str, str], message: str) -> None:
    """What is wrong with the variables is told by their names."""
    lines = complaints(launch(*LOOPBACK, env={**ONE, **change}), 2)
    assert any(line.startswith("error: ") and message in line for line in lines)


def test_every_flag_has_a_twin_in_the_environment(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """All of them at once: lists separated by commas, paths, switches, the log."""
    api = serve_api(lambda asked: found(row()))
    for name in ("one", "two"):
        own = operation(api.url(name), name=name, token=f"{TOKEN}{len(name)}{name[0]}")
        write_config(tmp_path, own, name=f"{name}.yml")
    (tmp_path / "web.yml").write_text("http_server_config: {headers: {X-Frame-Options: deny}}")
    values = {
        "--config.file": "one.yml,two.yml",
        "--web.listen-address": "127.0.0.1:0,127.0.0.1:0",
        "--web.telemetry-path": "/figures",
        "--web.config.file": "web.yml",
        "--web.enable-lifecycle": "true",
        "--web.max-requests": "3",
        "--web.disable-exporter-metrics": "1",
        "--storage.path": "state",
        "--log.level": "debug",
        "--log.format": "json",
    }
    life = launch(env={twin(flag): value for flag, value in values.items()})
    first, second = life.addresses
    page = fetch(second, "/figures")
    assert page.status == 200
    assert page.headers["x-frame-options"] == "deny"
    assert "python_info" not in page.text
    assert 'operation="one"' in page.text
    assert 'operation="two"' in page.text
    assert fetch(first, "/metrics").status == 404
    assert fetch(first, "/-/reload", "POST").status == 200
    assert (tmp_path / "state").is_dir()
    assert all(line.startswith("{") for line in life.log().splitlines())
    assert life.stop() == 0
    check = launch(env={twin("--config.file"): "one.yml", twin("--config.check"): "yes"})
    assert check.wait() == 0
    assert "calls/day" in check.output()


def test_a_flag_beats_the_environment(launch: Launch, good: str) -> None:
    """Where a flag and its twin are both given, the flag counts."""
    env = {
        "WOLKVOX_EXPORTER_CONFIG_FILE": "nix.yml",
        "WOLKVOX_EXPORTER_LOG_FORMAT": "json",
        "WOLKVOX_EXPORTER_WEB_TELEMETRY_PATH": "/env",
        "WOLKVOX_EXPORTER_STORAGE_PATH": "env",
        "STATE_DIRECTORY": str(launch.directory / "systemd"),
    }
    flags = [
        "--log.format",
        "logfmt",
        "--web.telemetry-path",
        "/flag",
        "--storage.path",
        "flag",
    ]
    life = launch("--config.file", good, *LOOPBACK, *flags, env=env)
    assert life.get("/flag").status == 200
    assert life.get("/env").status == 404
    assert life.log().startswith("ts=")
    made = {path.name for path in launch.directory.iterdir() if path.is_dir()}
    assert made == {"flag"}


def test_state_directory_of_systemd(launch: Launch, good: str) -> None:
    """Without --storage.path the state stands in $STATE_DIRECTORY, the first of several."""
    systemd = launch.directory / "systemd"
    env = {"STATE_DIRECTORY": f"{systemd}:{launch.directory / 'other'}"}
    life = launch("--config.file", good, *LOOPBACK, env=env)
    assert life.get("/").status == 200
    assert [path.suffix for path in systemd.glob("*.db")] == [".db"]
    assert not (launch.directory / "other").exists()


@pytest.mark.parametrize("command", ["", "demo", "simulate"])
def test_port_in_use(launch: Launch, good: str, command: str) -> None:
    """A port that another program holds is exit 1, in each mode that opens one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = [command] if command else ["--config.file", good]
        life = launch(*flags, "--web.listen-address", address)
        (line,) = complaints(life, 1)
    assert line == f"error: cannot listen on {address}: another program uses the port"


def test_second_exporter_on_one_state_directory(launch: Launch, good: str) -> None:
    """The second one refuses to start, also after somebody emptied the directory."""
    first = launch("--config.file", good, *LOOPBACK)
    assert first.addresses
    for _ in range(2):
        (line,) = complaints(launch("--config.file", good, *LOOPBACK), 1)
        assert line.startswith("error: another exporter runs on the state directory data")
        assert first.get("/-/healthy").status == 200
        for kept in (launch.directory / "data").iterdir():
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://[::", "has no usable URL"),
        ("ftp://127.0.0.1:1", "has no usable URL"),
        ("socks5://user:hunter2hunter2@127.0.0.1:1", "speaks SOCKS"),
    ],
)
def test_proxy_of_the_environment_that_is_nonsense(
    launch: Launch, tmp_path: Path, proxy: str, reason: str
) -> None:
    """A proxy that cannot be used is told at the start, without its password: exit 2."""
    path = write_config(tmp_path, operation(NOWHERE, interval="5m"))
    (line,) = complaints(launch.serve(path, env={"HTTPS_PROXY": proxy}), 2)
    assert line.startswith("error: operation acme, proxy: a proxy of the environment")
    assert reason in line
    assert "hunter2" not in line


def test_nonsense_proxy_does_not_matter_for_loopback(launch: Launch, good: str) -> None:
    """Addresses of this machine are asked directly, whatever the environment says."""
    everything = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://[::")
    life = launch("--config.file", good, *LOOPBACK, env=everything)
    assert life.get("/-/healthy").status == 200


def ran(launch: Launch, *argv: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    """A command that writes to these streams, after its end."""
    environment = {**os.environ, "STATE_DIRECTORY": str(launch.directory / "state")}
    return subprocess.run(
        [sys.executable, "-m", "exporter", *argv],
        cwd=launch.directory,
        env={**environment, **streams.pop("env", {})},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        check=False,
        timeout=30,
        text=True,
    )


@pytest.mark.parametrize("command", ["probe", "config", "--config.check"])
def test_letters_that_the_terminal_lacks_are_replaced(
    launch: Launch, tmp_path: Path, api: Api, command: str
) -> None:
    """A name with an en dash comes after a request that was paid: it breaks nothing."""
    config = write_config(tmp_path, operation(api.url(), "4173, name: Ventas – Norte 日本"))
    latin = "import sys; sys.stdout.reconfigure(encoding='latin-1')"
    life = launch("--config.file", str(config), command, prelude=latin)
    assert (life.wait(), "Traceback" in life.log()) == (0, False), life.log()
    if command != "--config.check":
        assert "Ventas ? Norte ??" in life.output()


@pytest.mark.parametrize(
    "argv",
    [
        ("--help",),
        ("--config.file", "good.yml", "--config.check"),
        ("config", "--config.file", "good.yml"),
        ("config", "--schema"),
        ("probe", "--config.file", "good.yml"),
        ("probe", "--config.file", "good.yml", "--output", "json"),
        ("skills", "--config.file", "good.yml"),
        ("simulate", "--web.listen-address", "127.0.0.1:0"),
        ("demo", "--web.listen-address", "127.0.0.1:0"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("linux")
def test_an_output_that_takes_nothing_is_one_line(
    launch: Launch, good: str, argv: tuple[str, ...]
) -> None:
    """A full disk behind `>` is exit 1 and a sentence, whatever was to be written."""
    life = launch(*argv, stdout=Path("/dev/full"))
    assert life.wait() == 1
    (line,) = [line for line in life.log().splitlines() if not line.startswith("ts=")]
    assert line == "error: the output cannot be written: No space left on device"


@pytest.mark.usefixtures("linux")
def test_an_output_without_a_buffer_is_one_line_too(launch: Launch) -> None:
    """As in containers, which set PYTHONUNBUFFERED."""
    with open("/dev/full", "w") as full:
        life = ran(launch, "--version", stdout=full, env={"PYTHONUNBUFFERED": "1"})
    assert life.stderr == "error: the output cannot be written: No space left on device\n"
    assert life.returncode == 1


@pytest.mark.usefixtures("linux")
def test_an_output_that_takes_nothing_is_one_line_in_ascii_too(
    launch: Launch, good: str
) -> None:
    """As under cron, whose locale has ASCII alone."""
    with open("/dev/full", "w") as full:
        argv = ("probe", "--config.file", good)
        life = ran(launch, *argv, stdout=full, env={"PYTHONIOENCODING": "ascii"})
    (line,) = [line for line in life.stderr.splitlines() if not line.startswith("ts=")]
    assert line == "error: the output cannot be written: No space left on device"
    assert life.returncode == 1


@pytest.mark.usefixtures("linux")
def test_an_error_that_cannot_be_written_keeps_its_exit_code(launch: Launch) -> None:
    """Nothing can be said, so nothing is; the code tells."""
    with open("/dev/full", "w") as full:
        assert ran(launch, "--config.file", "nix.yml", stdout=full, stderr=full).returncode == 2


def test_closed_streams_are_no_reason_to_fail(launch: Launch, good: str) -> None:
    """`>&- 2>&-`: there is nobody to read, and that is fine."""
    command = [sys.executable, "-m", "exporter", "--config.file", good, "--config.check"]
    closed = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *command]
    assert subprocess.run(closed, cwd=launch.directory, check=False).returncode == 0
