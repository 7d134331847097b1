"""The process as its supervisor sees it: signals, reload, log, its end, a poor machine."""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import http.client
import json
import re
import resource
import signal
import socket
import ssl
import threading
import time
import urllib.parse
from pathlib import Path

import bcrypt
import pytest

from tests.e2e_api import Api, Asked, Reply, Serve, found, refused, row
from tests.e2e_support import (
    TOKEN,
    Launch,
    Life,
    Samples,
    fetch,
    free_port,
    operation,
    signalled,
    wait_for,
    write_config,
)
from tests.web_support import make_pair, trusting

pytestmark = pytest.mark.e2e
ENDING = (signal.SIGTERM, signal.SIGINT)


class Hanging:
    """An API that accepts and answers nobody until `release`."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def __call__(self, asked: Asked) -> Reply:
        self.release.wait(60)
        return found(row())


@pytest.fixture
def hanging(serve_api: Serve) -> Api:
    """A server that never answers in the time of a test."""
    script = Hanging()
    api = serve_api(script)
    api.closing = script.release
    return api


@pytest.fixture
def config(tmp_path: Path, serve_api: Serve) -> Path:
    """A configuration whose API answers a row."""
    return write_config(tmp_path, operation(serve_api(lambda asked: found(row())).url()))


def ends_well(life: Life, number: signal.Signals) -> None:
    """It ends by this signal, with 0 and without a traceback."""
    assert life.stop(number) == 0, life.log()
    assert "Traceback" not in life.log()
    assert "Aborted" not in life.log()


# Standard error becomes a pipe that is full and that nobody reads.
FULL_PIPE = """
import os
reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(writer, True)
os.dup2(writer, 2)
"""
LITTLE_ROOM = "from exporter import logs; logs.MOST_WAITING = 20"


def test_a_log_that_nobody_reads_holds_nothing_up(launch: Launch, config: Path) -> None:
    """Pages are served and signals end it; lines that found no room are counted."""
    port = free_port()
    flags = ("--web.listen-address", f"127.0.0.1:{port}", "--web.enable-lifecycle")
    life = launch.serve(config, *flags, prelude=FULL_PIPE + LITTLE_ROOM)

    def lost() -> float | None:
        page = fetch(f"127.0.0.1:{port}", "/metrics")
        return Samples(page.text).value("wolkvox_exporter_log_lines_dropped_total")

    def serving() -> bool:
        with contextlib.suppress(OSError):
            return lost() == 0
        return False

    wait_for(serving, "a scrape")
    for _ in range(30):  # more than its room
        assert fetch(f"127.0.0.1:{port}", "/-/reload", "POST").status == 200
    wait_for(lost, "lines to be counted as lost")
    assert fetch(f"127.0.0.1:{port}", "/-/healthy").status == 200
    ends_well(life, signal.SIGINT)


def test_a_log_on_a_full_disk_costs_nothing_else(
    launch: Launch, tmp_path: Path, api: Api
) -> None:
    """Lines that cannot be written are lost; it polls on and ends with 0."""
    full = "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
    life = launch.serve(write_config(tmp_path, operation(api.url())), prelude=full)
    wait_for(lambda: len(api.asked) >= 2, "the second request")
    assert life.stop() == 0


def test_what_is_logged_before_the_end_is_written(
    launch: Launch, tmp_path: Path, config: Path
) -> None:
    """A start that fails says so behind its warnings, though a thread writes the log."""
    (tmp_path / "plain").touch()
    life = launch.serve(config, "--storage.path", "plain/below")
    assert life.wait() == 1
    *warnings, last = life.log().splitlines()
    assert last.startswith("error: the state directory")
    assert all("level=warn" in line for line in warnings)
    assert warnings


def test_readiness_waits_for_the_first_attempt_and_the_end_for_none(
    launch: Launch, tmp_path: Path, hanging: Api
) -> None:
    """Healthy and scrapable while a poll is under way; no request holds the end up."""
    life = launch.serve(write_config(tmp_path, operation(hanging.url())))
    wait_for(lambda: hanging.asked, "a request")
    assert life.get("/-/ready").status == 503
    assert life.get("/-/healthy").status == 200
    assert life.metrics().value("wolkvox_up") == 0
    ends_well(life, signal.SIGINT)
    life = launch.serve(write_config(tmp_path, operation(hanging.url(), "4180")))
    wait_for(lambda: len(hanging.asked) > 1, "a request")
    assert life.get("/-/ready").status == 503
    hanging.closing.set()
    wait_for(lambda: life.get("/-/ready").status == 200, "readiness")


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDING)
def test_signals_end_it_during_the_start(
    launch: Launch, config: Path, number: signal.Signals
) -> None:
    """A signal that comes before everything runs ends it just as well."""
    for step in range(30):
        life = launch.serve(config)
        wait_for(life.listening_to_signals, "the command line")
        time.sleep(step * 0.005)
        ends_well(life, number)


@pytest.mark.parametrize(
    ("flags", "code", "number"),
    [((), 0, signal.SIGTERM), (("--config.check",), 1, signal.SIGINT)],
)
def test_what_drops_exceptions_does_not_hold_the_end_up(
    launch: Launch, config: Path, flags: tuple[str, ...], code: int, number: signal.Signals
) -> None:
    """A signal at a moment at which an exception would go nowhere ends it too.

    A check that was not done with its files does not say that they are in order.
    """
    prelude = f"""
import os
from exporter.config import loader
read = loader.read_yaml
def interrupted(*given):
    try:
        os.kill(os.getpid(), {int(number)})
    except BaseException:
        pass
    return read(*given)
loader.read_yaml = interrupted
"""
    life = launch.serve(config, *flags, prelude=prelude)
    assert life.wait() == code
    assert not life.log() + life.output()


def test_the_state_is_closed_whenever_a_signal_comes(launch: Launch, config: Path) -> None:
    """From the moment at which the state is opened an end is an orderly one."""
    prelude = """
import os, signal
from exporter.state.storage import Storage
close, connect = Storage.close, Storage.open.__func__
def opened(kind, directory, now):
    storage = connect(kind, directory, now)
    os.kill(os.getpid(), signal.SIGTERM)
    return storage
def closed(storage):
    os.kill(os.getpid(), signal.SIGINT)
    close(storage)
    print("closed", flush=True)
Storage.open, Storage.close = classmethod(opened), closed
"""
    life = launch.serve(config, prelude=prelude)
    assert life.wait() == 0
    assert "msg=stopped" in life.log()
    assert life.output() == "closed\n"


@pytest.mark.usefixtures("linux")
def test_a_second_signal_does_not_cut_the_end_short(
    launch: Launch, tmp_path: Path, api: Api
) -> None:
    """Nor where a look-up of a name has left a thread, which signals could reach."""
    text = operation(api.url().replace("127.0.0.1", "localhost"))
    prelude = """
import os, signal
from exporter.state.storage import Storage
close = Storage.close
def closed(storage):
    os.kill(os.getpid(), signal.SIGTERM)
    close(storage)
    print("closed", flush=True)
Storage.close = closed
"""
    life = launch.serve(write_config(tmp_path, text), prelude=prelude)
    wait_for(lambda: api.asked, "a request")
    assert len(list(Path(f"/proc/{life.pid}/task").iterdir())) > 2
    assert life.stop(signal.SIGTERM) == 0
    assert life.output() == "closed\n"


@pytest.mark.parametrize(
    ("argv", "number"),
    [
        (("healthcheck",), signal.SIGTERM),
        (("config", "--schema"), signal.SIGINT),
        (("skills",), signal.SIGTERM),
    ],
)
def test_a_command_that_is_ended_did_not_succeed(
    launch: Launch, config: Path, argv: tuple[str, ...], number: signal.Signals
) -> None:
    """A script that goes on after success does not go on after a signal."""
    prelude = signalled("exporter.logs.configure", number)
    life = launch("--config.file", str(config), *argv, prelude=prelude)
    assert life.wait() == 1
    assert not life.output()


def test_a_refused_handshake_is_on_the_metrics_and_in_the_log(
    launch: Launch, tmp_path: Path, config: Path
) -> None:
    """Who debugs a scrape that is refused finds its reason."""
    server = make_pair(tmp_path, "server", "DNS:localhost")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key, min_version: TLS13}\n"
    )
    life = launch.serve(config, "--web.config.file", "web.yml", "--log.level", "debug")
    port = int(life.addresses[0].rpartition(":")[2])
    old = trusting(server)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    def ask(context: ssl.SSLContext) -> str:
        with contextlib.closing(
            http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
        ) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    name = "wolkvox_exporter_tls_handshake_failures_total"
    assert Samples(ask(trusting(server))).value(name) == 0
    with pytest.raises(ssl.SSLError, match="protocol version"):
        ask(old)
    wait_for(lambda: Samples(ask(trusting(server))).value(name) == 1, "the failure")
    wait_for(lambda: "TLS handshake" in life.log(), "its line")
    (line,) = [line for line in life.log().splitlines() if "TLS handshake" in line]
    assert 'level=debug msg="TLS handshake failed" client=127.0.0.1 reason=' in line


def test_the_pages(launch: Launch, config: Path) -> None:
    """Both forms say the same, and every link works behind a proxy's path prefix."""
    life = launch.serve(config, "--web.telemetry-path", "/a:b/c")
    wait_for(lambda: life.get("/-/ready").status == 200, "the first poll")
    assert fetch(life.addresses[0], "/-/reload", "POST").status == 403
    assert life.get("/metrics").status == 404
    text = life.get("/a:b/c")
    wanted = "application/openmetrics-text;version=1.0.0;q=0.9,*/*;q=0.1"
    modern = life.get("/a:b/c", Accept=wanted, Accept_Encoding="gzip")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.headers["content-encoding"] == "gzip"
    body = gzip.decompress(modern.body).decode()
    assert body.endswith("# EOF\n")
    assert Samples(body).of("wolkvox_up") == Samples(text.text).of("wolkvox_up")
    page = life.get("/").text
    assert "4173" in page
    links = re.findall(r'(?:href|src|action)="([^"]*)"', page)
    assert len(links) >= 7
    for prefix in ("/", "/wolkvox/", "/deep/er/"):
        here = f"http://proxy.example.net{prefix}"
        for link in links:
            there = urllib.parse.urljoin(here, html.unescape(link))
            assert there.startswith(here), link
            assert life.get("/" + there.removeprefix(here)).status == 200, link


def reloads(life: Life) -> tuple[float | None, float]:
    """Whether the last reload succeeded, and when one last did."""
    page = life.metrics()
    prefix = "wolkvox_exporter_config_last_reload_success"
    at = page.value(f"{prefix}_timestamp_seconds")
    assert at is not None
    return page.value(f"{prefix}ful"), at


def test_reload_by_signal(launch: Launch, tmp_path: Path, api: Api) -> None:
    """SIGHUP takes a new skill over and leaves the other's slot and counters as they are."""
    config = write_config(tmp_path, operation(api.url(), "4173", interval="60s"))
    life = launch.serve(config)
    wait_for(lambda: life.get("/-/ready").status == 200, "the first poll")
    loaded = reloads(life)[1]
    write_config(tmp_path, operation(api.url(), "4173", "4180", interval="60s"))
    life.send(signal.SIGHUP)
    wait_for(lambda: life.metrics().value("wolkvox_up", skill_id="4180"), "the new skill")
    assert life.metrics().value("wolkvox_up", skill_id="4173") == 1
    assert [one.skill for one in api.asked] == ["4173", "4180"]
    wait_for(lambda: reloads(life)[1] > loaded, "the reload to be told")
    assert reloads(life)[0] == 1


def test_warnings_are_logged_at_the_start_and_at_a_reload(
    launch: Launch, tmp_path: Path, api: Api
) -> None:
    """Those of a key and those of the day's plan, in the language of the terminal."""
    targets = "[{channels: [voz], asa: {max: 30s}}]"
    config = write_config(
        tmp_path, operation(api.url(), sla=targets, poll_hours="'2020 Mo-Fr 08:00-18:00'")
    )
    life = launch.serve(config, env={"LC_MESSAGES": "es"})
    wait_for(lambda: life.get("/-/ready").status == 200, "the start")
    life.send(signal.SIGHUP)
    wait_for(lambda: "configuration reloaded" in life.log(), "the reload")
    for warning in (
        "wolkvox.yml:2: operation acme, sla.0.channels.0: ",
        "acme: poll_hours no abre en los próximos 400 días",
    ):
        assert life.log().count(warning) == 2, warning
    assert life.stop() == 0


def test_reload_by_request(launch: Launch, tmp_path: Path, api: Api) -> None:
    """A bad file is 500 with its reasons and changes nothing; a good one is 200."""
    config = write_config(tmp_path, operation(api.url(), "4173"))
    life = launch.serve(config, "--web.enable-lifecycle")
    address = life.addresses[0]
    wait_for(lambda: life.get("/-/ready").status == 200, "the first poll")
    loaded = reloads(life)[1]
    write_config(tmp_path, operation(api.url(), "all", interval="never", colour="red"))
    refusal = fetch(address, "/-/reload", "POST")
    assert refusal.status == 500
    assert ": operation acme, interval: " in refusal.text
    assert ": operation acme, colour: " in refusal.text
    assert reloads(life) == (0, loaded)
    asked = len(api.asked)
    wait_for(lambda: len(api.asked) > asked + 1, "the old configuration to go on")
    assert {one.skill for one in api.asked} == {"4173"}
    config.unlink()
    life.send(signal.SIGHUP)
    wait_for(lambda: "the file does not exist" in life.log(), "the log to say so")
    write_config(tmp_path, operation(api.url(), "all"))
    assert fetch(address, "/-/reload", "POST").status == 200
    wait_for(lambda: life.metrics().distinct("wolkvox_up", "skill_id") == {"all"}, "the new")
    successful, at = reloads(life)
    assert successful == 1
    assert at > loaded


def test_reload_by_itself(launch: Launch, tmp_path: Path, api: Api) -> None:
    """A changed file is taken up; a broken one is told once, and the old one goes on."""
    config = write_config(tmp_path, operation(api.url(), "4173"))
    life = launch.serve(config, "--config.auto-reload-interval", "1s")
    wait_for(lambda: life.get("/-/ready").status == 200, "the first poll")
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole.replace("4173", "all")[:-9], encoding="utf-8")
    wait_for(lambda: "not reloaded" in life.log(), "the log to say so")
    asked = len(api.asked)
    wait_for(lambda: len(api.asked) > asked + 2, "the old configuration to go on")
    assert {one.skill for one in api.asked} == {"4173"}
    assert life.log().count("not reloaded") == 1
    config.write_text(whole.replace("4173", "all"), encoding="utf-8")
    wait_for(lambda: life.metrics().distinct("wolkvox_up", "skill_id") == {"all"}, "the new")
    assert reloads(life)[0] == 1
    assert life.log().count("configuration reloaded") == 1
    assert life.stop() == 0


PAIR = r'[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=\\]+)'


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_every_log_line_can_be_read_by_a_machine(
    launch: Launch, tmp_path: Path, serve_api: Serve, style: str
) -> None:
    """At debug, through failures of every kind, each line parses and has the same fields."""
    answers = [
        Reply(b'<h1>"quoted" \\ a=b</h1>\n\x00'),
        refused('say "no"\nand = \\ é'),
        refused("TOKEN LIMIT EXCEEDED"),
    ]
    api = serve_api(lambda asked: answers[int(asked.operation[-1])])
    operations = [
        operation(api.url(f"op{number}"), name=f"op{number}", token=f"{number}-canary")
        for number in range(len(answers))
    ]
    flags = ("--log.level", "debug", "--log.format", style)
    life = launch.serve(write_config(tmp_path, *operations), *flags)
    wait_for(lambda: life.get("/-/ready").status == 200, "the first polls")
    assert life.stop() == 0
    lines = life.log().splitlines()
    assert len(lines) >= 6
    for line in lines:
        if style == "logfmt":
            assert re.fullmatch(f"{PAIR}(?: {PAIR})*", line), line
            keys = re.findall(r"(?:^| )([a-z_]+)=", line)[:3]
        else:
            keys = list(json.loads(line))[:3]
        assert keys == ["ts", "level", "msg"]


@pytest.mark.parametrize("victim", ["polling.poll.Poller.run", "web.server.HttpServer.serve"])
def test_a_part_that_dies_ends_the_process(launch: Launch, config: Path, victim: str) -> None:
    """A poll loop or a server that breaks ends everything with 1 rather than serve old data."""
    module, kind, method = victim.rsplit(".", 2)
    prelude = (
        "import asyncio\n"
        f"from exporter.{module} import {kind}\n"
        "async def broken(self, *args):\n"
        "    await asyncio.sleep(0.2)\n"
        "    raise RuntimeError('broken for a test')\n"
        f"{kind}.{method} = broken\n"
    )
    life = launch.serve(config, prelude=prelude)
    assert life.wait() == 1
    (line,) = [line for line in life.log().splitlines() if "level=error" in line]
    assert "rather than serve old data" in line
    assert "broken for a test" in line


FAILURES = "wolkvox_api_request_failures_total"
# More than any pool of threads holds.
MANY = 40
HANGING = """
import socket, threading
resolve = socket.getaddrinfo
def hang(host, *more, **named):
    if b".invalid" in (host if isinstance(host, bytes) else host.encode()):
        threading.Event().wait()
    return resolve(host, *more, **named)
socket.getaddrinfo = hang
"""
# What the exporter cannot do without are daemons, begun at the start.
NO_MORE_THREADS = """
import threading
start = threading.Thread.start
def refuse(thread):
    if not thread.daemon:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
"""


def strangers(*hosts: str) -> list[str]:
    """Operations on these hosts, each with a token and a skill of its own."""
    return [
        operation(
            f"https://{host}/api/v2/", str(at), name=f"op{at}", token=f"tok{at}", interval="5m"
        )
        for at, host in enumerate(hosts, 1)
    ]


def login(password: str) -> str:
    """The header of alice with this password."""
    return "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()


def guarded(directory: Path) -> tuple[str, str]:
    """The flags of a server that asks for a password."""
    path = directory / "web.yml"
    hashed = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
    path.write_text(f"basic_auth_users: {{alice: {hashed}}}\n", encoding="utf-8")
    return "--web.config.file", str(path)


def answers_with_passwords(life: Life) -> None:
    """It lets in who knows the password, and nobody else."""
    for path in ("/metrics", "/-/healthy"):
        assert life.get(path, authorization=login("wonder")).status == 200
        assert life.get(path, authorization=login(f"guess of {path}")).status == 401


def test_passwords_do_not_wait_for_names(launch: Launch, tmp_path: Path) -> None:
    """A name server that never answers holds up neither a scrape nor the end."""
    hosts = [f"wv{number:04d}.invalid" for number in range(MANY)]
    config = write_config(tmp_path, *strangers(*hosts))
    life = launch.serve(config, *guarded(tmp_path), prelude=HANGING)
    wait_for(lambda: life.addresses, "the start")
    answers_with_passwords(life)
    assert life.stop(signal.SIGTERM) == 0
    assert "Traceback" not in life.log()


def test_a_name_that_hangs_holds_up_no_other(launch: Launch, tmp_path: Path, api: Api) -> None:
    """However many operations wait for one name, those on another host are polled."""
    good = operation(api.url().replace("127.0.0.1", "localhost"))
    config = write_config(tmp_path, *strangers(*["wv0013.invalid"] * MANY), good)
    life = launch.serve(config, prelude=HANGING)
    wait_for(lambda: life.metrics().value("wolkvox_up", operation="acme"), "a good answer")


@pytest.mark.parametrize("refused", ["True", "thread.name == 'heartbeat'"])
def test_a_start_without_threads_is_one_line(
    launch: Launch, tmp_path: Path, refused: str
) -> None:
    """A limit of processes is named, whichever thread reaches it, with exit code 1."""
    prelude = NO_MORE_THREADS.replace("not thread.daemon", refused)
    life = launch.serve(write_config(tmp_path, *strangers("wv0013.invalid")), prelude=prelude)
    assert life.wait() == 1
    (line,) = [one for one in life.log().splitlines() if "level=warn" not in one]
    assert line.startswith("error: no thread can be started")


def test_without_new_threads_the_pages_go_on(launch: Launch, tmp_path: Path, api: Api) -> None:
    """A name that cannot be looked up is a connection never made; passwords are checked."""
    url = api.url().replace("127.0.0.1", "localhost")
    config = write_config(tmp_path, operation(url))
    life = launch.serve(config, *guarded(tmp_path), prelude=NO_MORE_THREADS)
    wait_for(lambda: "reason=connect" in life.log(), "a connection that was not made")
    answers_with_passwords(life)
    assert "reason=internal" not in life.log()
    assert "Traceback" not in life.log()
    assert not api.asked


def test_without_new_threads_a_reload_says_why(launch: Launch, tmp_path: Path) -> None:
    """The old configuration stays, in one line of the log and in the answer to a request."""
    config = write_config(tmp_path, *strangers("wv0013.invalid"))
    life = launch.serve(config, "--web.enable-lifecycle", prelude=NO_MORE_THREADS)
    wait_for(lambda: life.get("/-/ready").status == 200, "readiness")
    for _ in range(2):
        refusal = fetch(life.addresses[0], "/-/reload", "POST")
        assert refusal.status == 500
        assert "no thread can be started" in refusal.text
    life.send(signal.SIGHUP)
    wait_for(lambda: life.log().count("configuration not reloaded") == 3, "the log to say so")
    assert life.metrics().value("wolkvox_exporter_config_last_reload_successful") == 0
    assert "Traceback" not in life.log()


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({"NO_PROXY": "localhost,10.0.0.0/8,fd00::/8"}, ""),
        ({"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "fd00::/200,[::1],a*b"}, "a*b"),
        ({"https_proxy": "http://proxy.test:3128", "ALL_PROXY": "socks://proxy.test:1/"}, ""),
        ({"ALL_PROXY": "socks://proxy.test:1080/", "NO_PROXY": ".invalid"}, ""),
        ({"SSLKEYLOGFILE": "/nonexistent/keys"}, "SSLKEYLOGFILE"),
    ],
)
def test_what_is_not_used_does_not_matter(
    launch: Launch, tmp_path: Path, environment: dict[str, str], warned: str
) -> None:
    """An environment made for other programs is no wrong configuration; at most a warning."""
    config = write_config(tmp_path, *strangers("wv0013.invalid", "wv0014.invalid"))
    life = launch("--config.file", str(config), "--config.check", env=environment)
    assert life.wait() == 0, life.log()
    warnings = life.log().splitlines()
    assert len(warnings) == bool(warned), warnings
    assert warned in "".join(warnings)


@pytest.mark.slow
def test_no_file_descriptors_are_told_once(launch: Launch, tmp_path: Path, api: Api) -> None:
    """A client that cannot be accepted is one line, a token that cannot be read no defect."""
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(TOKEN)
    entry = operation(api.url()).replace(f"token: {TOKEN}", "token_file: token")
    life = launch.serve(write_config(tmp_path, entry))
    wait_for(lambda: life.get("/-/ready").status == 200, "the first answer")
    host, _, port = life.addresses[0].rpartition(":")
    before = resource.prlimit(life.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(life.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with socket.create_connection((host, int(port))) as client:
        wait_for(lambda: "accept" in life.log(), "what it says of the client")
        time.sleep(2.5)  # it tries again each second
        resource.prlimit(life.pid, resource.RLIMIT_NOFILE, before)
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(30)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    counted = life.metrics().of(FAILURES, reason="unauthorized")
    assert list(counted.values()) != [0.0]
    assert life.stop() == 0
    assert life.log().count("accept") == 1
    assert "Traceback" not in life.log()
