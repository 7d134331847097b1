"""The process on a machine whose name server hangs, or that gives no more threads or files."""

from __future__ import annotations

import base64
import resource
import signal
import socket
import time
from pathlib import Path

import bcrypt
import pytest

from tests.e2e_api import Serve, found, row
from tests.e2e_support import TOKEN, Launch, Life, fetch, operation, wait_for, write_config

pytestmark = pytest.mark.e2e
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


def test_a_name_that_hangs_holds_up_no_other(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """However many operations wait for one name, those on another host are polled."""
    api = serve_api(lambda asked: found(row()))
    good = operation(api.url().replace("127.0.0.1", "localhost"))
    config = write_config(tmp_path, *strangers(*["wv0013.invalid"] * MANY), good)
    life = launch.serve(config, prelude=HANGING)
    wait_for(lambda: life.metrics().value("wolkvox_up", operation="acme"), "a good answer")


def test_a_start_without_threads_is_one_line(launch: Launch, tmp_path: Path) -> None:
    """A limit of processes that is reached is told as such, with exit code 1."""
    prelude = NO_MORE_THREADS.replace("not thread.daemon", "True")
    life = launch.serve(write_config(tmp_path, *strangers("wv0013.invalid")), prelude=prelude)
    assert life.wait() == 1
    (line,) = [one for one in life.log().splitlines() if "level=warn" not in one]
    assert line.startswith("error: no thread can be started")


def test_without_new_threads_the_pages_go_on(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """A name that cannot be looked up is a connection never made; passwords are checked."""
    api = serve_api(lambda asked: found(row()))
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


def test_a_proxy_that_is_used_must_be_usable(launch: Launch, tmp_path: Path) -> None:
    """The error names the variable, and never the password in it."""
    config = write_config(tmp_path, *strangers("wv0013.invalid"))
    environment = {"all_proxy": "socks5://user:geheim@proxy.test:1080"}
    life = launch("--config.file", str(config), "--config.check", env=environment)
    assert life.wait() == 2
    assert "ALL_PROXY" in life.log()
    assert "geheim" not in life.log()


@pytest.mark.slow
def test_no_file_descriptors_are_told_once(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """A client that cannot be accepted is one line, a token that cannot be read no defect."""
    api = serve_api(lambda asked: found(row()))
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
