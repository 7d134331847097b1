"""The command line from outside: flags, their environment twins, and every way to fail."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e_api import Api, Serve, found, row
from tests.e2e_support import (
    LOOPBACK,
    TOKEN,
    Ended,
    Launch,
    Life,
    Run,
    fetch,
    operation,
    write_config,
)

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
    "--shard.index",
    "--shard.total",
    "--config.auto-reload-interval",
    "--web.systemd-socket",
)
# An address that no name server knows, so that nothing can ever be asked there.
NOWHERE = "https://wolkvox.invalid/api/v2/"
ONE = {"WOLKVOX_SERVER": "0013", "WOLKVOX_TOKEN": TOKEN, "WOLKVOX_SKILLS": "4173=Ventas,all"}


def twin(flag: str) -> str:
    """The environment variable of a flag."""
    return "WOLKVOX_EXPORTER_" + re.sub(r"[.-]", "_", flag[2:]).upper()


def complaints(ended: Ended | Life, code: int) -> list[str]:
    """What it says on stderr, without log lines, after it has failed with this code."""
    if isinstance(ended, Life):
        ended = Ended(ended.wait(), ended.output(), ended.log())
    assert ended.code == code, ended.log
    assert "Traceback" not in ended.log
    assert not ended.output
    return [line for line in ended.log.splitlines() if not line.startswith("ts=")]


@pytest.fixture
def good(tmp_path: Path, api: Api) -> str:
    """A configuration that works."""
    return str(write_config(tmp_path, operation(api.url()), name="good.yml"))


def test_both_entry_points_tell_the_same_version() -> None:
    """The command and `python -m exporter` are the same program."""
    python = Path(sys.executable)
    starts = ([str(python), "-m", "exporter"], [str(python.with_name("wolkvox-exporter"))])
    for start in starts:
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert re.fullmatch(r"wolkvox-exporter \S+ \(Python 3\.\S+\)\n", done.stdout), start
        assert not done.stderr


def test_help_names_every_flag_and_its_twin(run: Run) -> None:
    """--help lists each flag with its environment variable and each subcommand."""
    ended = run("--help", env={"COLUMNS": "200"})
    assert ended.code == 0
    for flag in FLAGS:
        assert flag in ended.output
        assert twin(flag) in ended.output
    assert re.search(r"^  demo .*^  simulate ", ended.output, re.DOTALL | re.MULTILINE)


def test_wrong_usage(run: Run) -> None:
    """A flag or a subcommand that does not exist, or a value it cannot have, is exit 2."""
    for argv, message in (
        (["--nonsense"], "No such option '--nonsense'"),
        (["nonsense"], "No such command 'nonsense'"),
        (["--log.level", "loud"], "Invalid value for '--log.level'"),
        (["--log.format", "xml"], "Invalid value for '--log.format'"),
        (["--web.max-requests", "-1"], "Invalid value for '--web.max-requests'"),
        (["simulate", "--seed", "x"], "Invalid value for '--seed'"),
        (["--config.auto-reload-interval", "30"], "'30' is no duration of a second or more"),
        (["--config.auto-reload-interval", "999ms"], "no duration of a second or more"),
    ):
        assert message in complaints(run(*argv), 2)[-1], argv
    for flag, value in (("--web.max-requests", "many"), ("--config.check", "perhaps")):
        assert twin(flag) in complaints(run(env={twin(flag): value}), 2)[-1]


def test_what_cannot_be_configured_says_so_in_one_line(run: Run, tmp_path: Path) -> None:
    """Wrong settings are exit 2 and one line, without a traceback."""
    (tmp_path / "empty").mkdir()
    for argv, message in (
        (["--config.file", "nix.yml"], "nix.yml: the file does not exist"),
        (["--config.file", "empty"], "empty: the directory holds no file *.yml"),
        (["simulate", "--timezone", "nonsense"], '--timezone: "nonsense" is not a time zone'),
        (["simulate", "--timezone", "../../etc/passwd"], "is not a time zone"),
        (["simulate", "--web.listen-address", "x"], "--web.listen-address: 'x' is no listen"),
        (["demo", "--web.listen-address", "x"], "--web.listen-address: 'x' is no listen"),
    ):
        (line,) = complaints(run(*argv), 2)
        assert line.startswith("error: "), argv
        assert message in line, argv


def test_what_cannot_start_says_so_in_one_line(launch: Launch, good: str, api: Api) -> None:
    """Wrong settings are exit 2, a machine that refuses is exit 1: one line, no traceback."""
    (launch.directory / "plain").touch()
    (launch.directory / "unfilled.yml").write_text("basic_auth_users: {dave: }\n")
    path, web = "--web.telemetry-path", "--web.config.file"
    for code, argv, message in (
        (2, ["--web.listen-address", "x"], "--web.listen-address: 'x' is no listen address"),
        (2, ["--web.listen-address", "127.0.0.1:65536"], "the port must be at most 65535"),
        (1, ["--web.listen-address", "nix.invalid:0"], "there is no host 'nix.invalid'"),
        (2, [*LOOPBACK, path, "metrics"], "must begin with /"),
        (2, [*LOOPBACK, path, "/a b"], "may hold only ASCII, no spaces"),
        (2, [*LOOPBACK, path, "/-/healthy"], "is taken by another page"),
        (2, [*LOOPBACK, path, "/-/reload"], "is taken by another page"),
        (1, [*LOOPBACK, "--storage.path", "plain/below"], "the state directory plain/below c"),
        (1, [*LOOPBACK, "--storage.path", "plain"], "the state directory plain cannot be wr"),
        (2, [*LOOPBACK, web, "nix.yml"], "nix.yml: the file does not exist"),
        (2, [*LOOPBACK, web, "unfilled.yml"], "basic_auth_users.dave: has no pass"),
        (2, ["--config.check", web, "unfilled.yml"], "basic_auth_users.dave: has no pass"),
    ):
        (line,) = complaints(launch("--config.file", good, *argv), code)
        assert line.startswith("error: "), argv
        assert message in line, argv
    assert not api.asked


def test_config_check_warns_about_the_web_configuration(run: Run, good: str) -> None:
    """What has no effect is said before a start as well."""
    web = Path(good).with_name("web.yml")
    web.write_text("http_server_config: {http2: true}\n")
    ended = run("--config.file", good, "--config.check", "--web.config.file", str(web))
    assert ended.code == 0
    assert f"warning: {web}:1: http_server_config.http2: has no effect" in ended.output


def test_config_check_prints_the_plan_and_asks_nothing(run: Run, good: str, api: Api) -> None:
    """--config.check tells what a day will cost, without a request, a port or a state."""
    ended = run("--config.file", good, "--config.check")
    assert (ended.code, ended.log) == (0, "")
    plan = [line for line in ended.output.splitlines() if not line.startswith("warning: ")]
    assert plan[0].split()[:3] == ["operation", "server", "zone"]
    assert plan[1].split()[:6] == ["acme", api.address, "UTC", "1", "1s", "86400"]
    assert not api.asked
    assert not Path(good).with_name("data").exists()


def test_config_check_prints_what_hours_mean(run: Run, tmp_path: Path) -> None:
    """Seven days from today on, and the holidays to come in the language of the terminal."""
    hours = "Mo-Su 22:00-06:00; PH off"
    text = (
        f"operations:\n  - {{name: acme, server: '0013', token: {TOKEN}, skills: [{{id: 1}}],"
        f" sla: [{{hours: '{hours}', country: CO}}]}}\n"
    )
    (tmp_path / "hours.yml").write_text(text)
    for language, word in (("es_CO.UTF-8", "Día"), ("C.UTF-8", "Day")):
        argv = ("--config.file", str(tmp_path / "hours.yml"), "--config.check")
        ended = run(*argv, env={"LC_ALL": language})
        assert ended.code == 0, ended.log
        head, *lines = ended.output.split("\n\n")[1].splitlines()
        assert head == f'"{hours}"  acme  America/Bogota  CO'
        assert all(
            re.fullmatch("[MTWFS][a-z] 20[-0-9]{8}  (22:00-06:00|closed)", line)
            for line in lines[:7]
        )
        assert (lines[7], len(lines)) == ("holidays:", 13)
        assert word in ended.output


def test_a_token_file_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    """It is exit 2 at the start and in a check, with its place."""
    (tmp_path / "token").write_text(f"{TOKEN}\n{TOKEN}")
    text = operation(NOWHERE, interval="5m").replace(f"token: {TOKEN}", "token_file: token")
    path = write_config(tmp_path, text)
    for flags in (["--config.check"], LOOPBACK):
        (line,) = complaints(run("--config.file", str(path), *flags), 2)
        assert line.startswith(f"error: {path}:")
        assert ": operation acme, token_file: " in line
        assert "holds more than a token" in line
        assert TOKEN[:8] not in line


def test_configuration_from_the_environment_alone(run: Run, tmp_path: Path) -> None:
    """Without a file, a handful of variables describe one operation named after its server."""
    ended = run("--config.check", env={**ONE, "WOLKVOX_TIMEZONE": "America/Lima"})
    assert ended.code == 0, ended.log
    row = ended.output.splitlines()[1].split()
    assert row[:6] == ["wv0013", "wv0013", "America/Lima", "2", "5m", "576"]
    (tmp_path / "token").write_text(TOKEN)
    from_file = {**ONE, "WOLKVOX_TOKEN": "", "WOLKVOX_TOKEN_FILE": "token"}
    ended = run("--config.check", env={**from_file, "WOLKVOX_SKILLS": "discover"})
    assert ended.output.splitlines()[-1].split()[3] == "discover"


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
        "--shard.index": "exporter-0",
        "--shard.total": "1",
        "--config.auto-reload-interval": "off",
        "--web.systemd-socket": "false",
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
    assert "requests/day" in check.output()


def test_a_flag_beats_the_environment(launch: Launch, good: str) -> None:
    """Where a flag and its twin are both given, the flag counts."""
    env = {
        "WOLKVOX_EXPORTER_CONFIG_FILE": "nix.yml",
        "WOLKVOX_EXPORTER_LOG_FORMAT": "json",
        "WOLKVOX_EXPORTER_WEB_TELEMETRY_PATH": "/env",
        "WOLKVOX_EXPORTER_STORAGE_PATH": "env",
        "STATE_DIRECTORY": str(launch.directory / "systemd"),
    }
    flags = ["--log.format=logfmt", "--web.telemetry-path=/flag", "--storage.path=flag"]
    life = launch("--config.file", good, *LOOPBACK, *flags, env=env)
    assert life.get("/flag").status == 200
    assert life.get("/env").status == 404
    assert life.log().startswith("ts=")
    made = {path.name for path in launch.directory.iterdir() if path.is_dir()}
    assert made == {"flag"}


HANDED_OVER = """
import os, socket
one = socket.{made}.detach()
os.dup2(one, 3)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "{count}", str(os.getpid() + {other})
"""


def test_the_socket_of_systemd(launch: Launch, good: str) -> None:
    """It is served on; where none is handed over, or another kind of file, one line says so."""

    def start(made: str, count: int = 1, other: int = 0) -> Life:
        prelude = HANDED_OVER.format(made=made, count=count, other=other)
        return launch("--config.file", good, "--web.systemd-socket", prelude=prelude)

    life = start('create_server(("127.0.0.1", 0))')
    assert life.get("/-/healthy").status == 200
    assert life.stop() == 0
    listening = 'create_server(("127.0.0.1", 0))'
    for wrong, message in (
        (launch("--config.file", good, "--web.systemd-socket"), "hands over no socket"),
        (start(listening, other=1), "hands over no socket"),
        (start(listening, count=2), "file 4 that systemd hands over is no listening TCP"),
        (start("socket(socket.AF_UNIX)"), "is no listening TCP socket"),
    ):
        (line,) = complaints(wrong, 2)
        assert line.startswith("error: --web.systemd-socket: "), line
        assert message in line


def test_state_directory_of_systemd(launch: Launch, good: str) -> None:
    """Without --storage.path the state stands in $STATE_DIRECTORY, the first of several."""
    systemd = launch.directory / "systemd"
    env = {"STATE_DIRECTORY": f"{systemd}:{launch.directory / 'other'}"}
    life = launch("--config.file", good, *LOOPBACK, env=env)
    assert life.get("/").status == 200
    assert [path.suffix for path in systemd.glob("*.db")] == [".db"]
    assert not (launch.directory / "other").exists()


def test_port_in_use(launch: Launch, good: str) -> None:
    """A port that another program holds is exit 1, in each mode that opens one."""
    english, spanish = (
        "error: cannot listen on {}: another program, perhaps an exporter, uses the port",
        "error: no se puede escuchar en {}: otro programa, quizás un exportador, usa el puerto",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flags, language, said in (
            (["--config.file", good], "C", english),
            (["demo"], "C", english),
            (["simulate"], "es_CO.UTF-8", spanish),
        ):
            argv = (*flags, "--web.listen-address", address)
            (line,) = complaints(launch(*argv, env={"LANG": language}), 1)
            assert line == said.format(address)


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


def test_proxy_of_the_environment_that_is_nonsense(
    launch: Launch, run: Run, tmp_path: Path
) -> None:
    """It is told by a check and at the start, without its password: exit 2."""
    flags = ("--config.file", str(write_config(tmp_path, operation(NOWHERE, interval="5m"))))
    for proxy, reason in (
        ("http://[::", "has no usable URL"),
        ("ftp://127.0.0.1:1", "has no usable URL"),
        ("socks5://user:hunter2hunter2@127.0.0.1:1", "speaks SOCKS"),
    ):
        env = {"HTTPS_PROXY": proxy}
        (line,) = complaints(run(*flags, "--config.check", env=env), 2)
        assert line.startswith("error: operation acme, proxy: a proxy of the environment")
        assert reason in line, proxy
        assert "hunter2" not in line
    assert complaints(launch(*flags, *LOOPBACK, env=env), 2) == [line]


def test_nonsense_proxy_does_not_matter_for_loopback(launch: Launch, good: str) -> None:
    """Addresses of this machine are asked directly, whatever the environment says."""
    everything = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://[::")
    life = launch("--config.file", good, *LOOPBACK, env=everything)
    assert life.get("/-/healthy").status == 200


def test_letters_that_the_terminal_lacks_are_replaced(
    launch: Launch, tmp_path: Path, api: Api
) -> None:
    """A name with an en dash comes after a request that was paid: it breaks nothing."""
    config = write_config(tmp_path, operation(api.url(), "4173, name: Ventas – Norte 日本"))
    latin = "import sys; sys.stdout.reconfigure(encoding='latin-1')"
    for command in ("probe", "config", "--config.check"):
        life = launch("--config.file", str(config), command, prelude=latin)
        assert (life.wait(), "Traceback" in life.log()) == (0, False), life.log()
        assert command == "--config.check" or "Ventas ? Norte ??" in life.output()


@pytest.mark.usefixtures("linux")
def test_an_output_that_takes_nothing_is_one_line(launch: Launch, good: str) -> None:
    """A full disk behind `>` is exit 1 and a sentence, whatever was to be written.

    Also without a buffer, as in containers, and in ASCII, as under cron.
    """
    one, head = f"--config.file {good}", "import io, sys; sys.stdout"
    unbuffered = f"{head} = io.TextIOWrapper(open(1, 'wb', 0), write_through=True)"
    for line, prelude in (
        ("--help", ""),
        ("--help", unbuffered),
        (f"{one} --config.check", ""),
        (f"config {one}", ""),
        ("config --schema", ""),
        (f"probe {one}", f"{head}.reconfigure(encoding='ascii')"),
        (f"probe {one} --output json", ""),
        (f"skills {one}", ""),
        ("simulate --web.listen-address 127.0.0.1:0", ""),
        ("demo --web.listen-address 127.0.0.1:0", ""),
    ):
        life = launch(*line.split(), prelude=prelude, stdout=Path("/dev/full"))
        assert life.wait() == 1, line
        said = [line for line in life.log().splitlines() if not line.startswith("ts=")]
        assert said == ["error: the output cannot be written: No space left on device"], line


@pytest.mark.usefixtures("linux")
def test_an_error_that_cannot_be_written_keeps_its_exit_code(launch: Launch) -> None:
    """Nothing can be said, so nothing is; the code tells."""
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"
    life = launch("--config.file", "nix.yml", prelude=full, stdout=Path("/dev/full"))
    assert life.wait() == 2


@pytest.mark.no_cover
def test_closed_streams_are_no_reason_to_fail(launch: Launch, good: str) -> None:
    """`>&- 2>&-`: there is nobody to read, and that is fine."""
    command = [sys.executable, "-m", "exporter", "--config.file", good, "--config.check"]
    closed = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *command]
    assert subprocess.run(closed, cwd=launch.directory, check=False).returncode == 0
