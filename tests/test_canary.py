"""No token, whole or in part, comes out anywhere, whatever an answer echoes."""

from __future__ import annotations

import functools
import gzip
import json
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from exporter.config import load
from exporter.errors import ConfigError, Reason
from tests.e2e_api import Api, Asked, Reply, Serve, found, refused, row
from tests.e2e_support import (
    Launch,
    Life,
    Samples,
    fetch,
    free_port,
    operation,
    wait_for,
    write_config,
)

pytestmark = pytest.mark.e2e

CANARIES = {
    "file": "7b4c1e90d2aa573f86b0c9de1247f5a3388e6d01b95c2f7a4e60",
    "env": "7b90f3b16ce8d4072a5b3c7f61e49d80a2d5f7c3b81e0694ad52",
    "yaml": "7bd7250a9f3e61c84b0729f5d6e1a3b87c40f29e5d163a8b7c94",
    "rotated": "7b02e6f9a47d15c38b9e607d4fa2c5318e9b6d70f4a1c8e35b27",
}
HEAD = b"HTTP/1.1 200 OK\r\n"


def echoes(token: str) -> list[Reply]:
    """Answers with the token, or pieces of it, wherever a server may put them."""
    raw = token.encode()
    page = (("Content-Type", f"text/html; charset={token}"), ("X-Token", token))
    return [
        found(
            row(token),
            row(token[4:24]),
            row("inbound", asa=token, ata=token[:20], abandon=f"x {token[9:30]}"),
        ),
        found(row(token.upper()), row(f"chat {token} web", inbound_calls=token)),
        refused(f"MAINTENANCE FOR {token}"),
        refused(f"MAINTENANCE FOR {token[:12]}… AND {token[-16:]}"),
        refused(f"EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN {token}"),
        refused(f"BAD {token}", 400),
        refused(f"ERROR WITH {token.upper()}", 500),
        refused(token, 404),
        Reply(f"<h1>{token}</h1>".encode(), 200, page),
        Reply(f"<h1>{token}</h1>".encode(), 502, page),
        Reply(b"", 302, (("Location", f"http://127.0.0.1:1/login?token={token}&x=1"),)),
        Reply(b"x", 200, (("Content-Encoding", token),)),
        Reply(b"x", 200, (("Content-Encoding", f"12345678901234567890{token}"),)),
        Reply(raw=HEAD + raw + b"\r\n\r\n"),
        Reply(raw=HEAD + b"X : " + raw + b"\r\n\r\n"),
        Reply(raw=b"HTTP/1.1 200 " + raw + b"\0\r\n\r\n"),
        Reply(raw=raw),
        Reply(raw=HEAD + b"Content-Length: " + raw + b"\r\n\r\n"),
        Reply(raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + raw[2:14] + b"\r\n" + raw),
        Reply(json.dumps({"code": token, "msg": token, "data": token}).encode()),
        Reply(json.dumps({"code": 200, "error": token, "msg": token, "data": []}).encode()),
        Reply(raw=b""),
        Reply(too_large(token), 200, (("Content-Encoding", "gzip"),)),
        Reply(json.dumps({"code": 200, "msg": token, "data": []}).encode(), drip=0.2),
    ]


@functools.cache
def too_large(token: str) -> bytes:
    """The token until the cap is passed, in a few kilobytes."""
    return gzip.compress(token.encode() * 200_000)


class Parrot:
    """Echoes each request's token, in one way after the other; `token-…` refuses it."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def __call__(self, asked: Asked) -> Reply:
        if asked.operation == "token":
            return refused(f"PLEASE VALIDATE TOKEN {asked.token}")
        if asked.operation == "quota":
            return refused(f"TOKEN LIMIT EXCEEDED {asked.token}")
        if asked.query.get("api") == "skills":
            rows = [{"skill_id": "1", "skill_name": f"Cola {asked.token}"}]
            return found(*rows)
        turn = self._turns.get(asked.operation, 0)
        self._turns[asked.operation] = turn + 1
        answers = echoes(asked.token)
        return answers[turn % len(answers)]

    def turns(self) -> int:
        """How far the slowest of the three operations with many skills is."""
        return min(self._turns.get(name, 0) for name in ("file", "env", "yaml"))

    def restart(self) -> None:
        """Begin again with the first echo."""
        self._turns.clear()


def leaks(place: str, content: bytes, tokens: Iterable[str]) -> list[str]:
    """The pieces of eight characters of the tokens that a text holds, in either case."""
    text = content.decode("latin-1").lower()
    pieces = {token[at : at + 8] for token in tokens for at in range(len(token) - 7)}
    return [
        f"{place}: {piece} in …{text[max(0, text.index(piece) - 60) :][:160]}"
        for piece in pieces
        if piece in text
    ]


def configure(directory: Path, api: Api) -> Path:
    """Operations whose tokens come from a file, a variable and the configuration itself."""
    (directory / "token").write_text(CANARIES["file"])
    skills = tuple(str(4000 + number) for number in range(5))
    dead = f"http://127.0.0.1:{free_port()}/api/v2/"
    texts = [
        operation(api.url("file"), *skills, name="file", token="@file", timeout="2s"),
        operation(api.url("env"), *skills, name="env", token="@env", timeout="2s"),
        operation(api.url("yaml"), *skills, name="yaml", token=CANARIES["yaml"], timeout="2s"),
        operation(api.url("token"), name="refused", token="@env"),
        operation(api.url("quota"), name="full", token="@env"),
        operation(dead, name="dead", token="@file"),
        operation(api.url("skills"), name="skills", token="@file").replace(
            "[{id: 4173}]", "discover"
        ),
    ]
    text = "".join(texts).replace("token: @file", "token_file: token")
    return write_config(directory, text.replace("token: @env", "token_env: CANARY"))


def everything_said(life: Life) -> bytes:
    """What a process has written to stdout and stderr."""
    return (life.output() + life.log()).encode()


def everything(life: Life, data: Path) -> dict[str, bytes]:
    """All that a process has let out, by place."""
    shown = {"output": everything_said(life)}
    for path in ("/metrics", "/", "/config", "/-/ready", "/-/healthy"):
        page = life.get(path, Accept="*/*")
        shown[path] = page.body + repr(page.headers).encode()
    shown["OpenMetrics"] = life.get("/metrics", Accept="application/openmetrics-text").body
    for file in data.rglob("*"):
        shown[f"name {file}"] = file.name.encode()
        if file.is_file():
            shown[str(file)] = file.read_bytes()
    return shown


def test_nothing_gives_a_token_away(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """At debug, through every echo: logs, pages, metrics and the state are free of it."""
    parrot = Parrot()
    config = configure(tmp_path, serve_api(parrot))
    flags = ("--log.level", "debug", "--web.enable-lifecycle")
    life = launch.serve(config, *flags, env={"CANARY": CANARIES["env"]})
    wait_for(lambda: parrot.turns() >= len(echoes("x")), "every echo", 60)
    (tmp_path / "token").write_text(f"{CANARIES['file']}\n{CANARIES['rotated']}")
    wait_for(lambda: "holds more than a token" in life.log(), "the broken file to be told")
    (tmp_path / "token").write_text(CANARIES["rotated"])
    parrot.restart()
    wait_for(lambda: parrot.turns() >= 5, "answers to the new token", 60)
    good = config.read_text()
    config.write_text(
        good.replace("token: 7b", "tokens: 7b").replace("CANARY", CANARIES["env"])
    )
    refusal = fetch(life.addresses[0], "/-/reload", "POST")
    assert refusal.status == 500
    life.send(signal.SIGHUP)
    shown = everything(life, tmp_path / "data") | {"reload": refusal.body}
    life.stop()
    shown["last words"] = life.log().encode()
    found = [
        leak for place, text in shown.items() for leak in leaks(place, text, CANARIES.values())
    ]
    assert not found, found[0]
    # The echoes did arrive: as every kind of failure, as channels, as names of skills.
    failures = Samples(shown["/metrics"].partition(b"{'")[0].decode())
    for reason in set(Reason) - {Reason.INTERNAL}:  # a defect: see the next test
        counted = failures.of("wolkvox_api_request_failures_total", reason=str(reason))
        assert sum(counted.values()) > 0, reason
    assert life.log().count("no answer") >= 30
    assert b'type_interaction="[token]"' in shown["/metrics"]
    assert b'skill="Cola [token]"' in shown["/metrics"]
    assert "[token]" in life.log()


def test_a_traceback_gives_no_token_away(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """A defect whose text holds the token is logged without it, and so is a death by one."""
    token = CANARIES["yaml"]
    config = write_config(tmp_path, operation(serve_api(Parrot()).url(), token=token))
    defect = (
        "from exporter.wolkvox.client import WolkvoxClient\n"
        "async def skill_11(self, token, skill_id, window):\n"
        "    raise {kind}('the header was ' + token)\n"
        "WolkvoxClient.skill_11 = skill_11\n"
    )
    life = launch.serve(config, prelude=defect.format(kind="RuntimeError"))
    wait_for(lambda: "the header was" in life.log(), "the traceback")
    shown = everything(life, tmp_path / "data")
    life.kill()
    dying = launch.serve(config, prelude=defect.format(kind="GeneratorExit"))
    assert dying.wait() == 1
    shown["death"] = dying.log().encode()
    assert not [leak for place, text in shown.items() for leak in leaks(place, text, [token])]


WRONG_PLACES = [
    "token: {token}, token_file: x",
    "token_env: {token}",
    "token_file: {token}",
    "token: '{token} {token}'",
    "token: [{token}]",
    "token: {{{token}: 1}}",
    "tokens: {token}",
    "{token}: token",
    "token: T, name: {token} x",
    "token: T, proxy: 'http://user:{token}@127.0.0.1:1:2/'",
    "token: T, url: 'https://{token}@example.org/'",
    "token: T, interval: {token}",
    "token: T, timezone: {token}",
    "token: T, ca_file: {token}",
    "token: T, labels: {{{token}: x, a b: {token}}}",
    "token: T, poll_hours: {token}",
    'token: "{token}',
    "token: !!python/object:{token} x",
    "token: *{token}",
    "token: {token}\n  - {token}\n {token}: x",
]


def test_problems_of_a_configuration_do_not_repeat_a_token(tmp_path: Path) -> None:
    """A token in the wrong place of the file is not quoted back."""
    token = CANARIES["yaml"]
    config = tmp_path / "wolkvox.yml"
    base = "name: acme, url: 'http://127.0.0.1:1/', skills: [{id: 4173}]"
    for text in WRONG_PLACES:
        config.write_text(f"operations:\n  - {{{base}, {text.format(token=token)}}}\n")
        with pytest.raises(ConfigError) as caught:
            load([config], {})
        told = f"{caught.value} {caught.value!r} {caught.value.problems}"
        assert not leaks(text, told.encode(), [token])
        # No chain of causes either: a traceback would print it.
        assert caught.value.__cause__ is caught.value.__context__ is None


def test_config_check_shows_no_token(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Neither the plan of a good configuration nor the problems of a wrong one."""
    config = configure(tmp_path, serve_api(Parrot()))
    env = {"CANARY": CANARIES["env"]}
    good = launch("--config.file", str(config), "--config.check", env=env)
    assert good.wait() == 0
    config.write_text(config.read_text().replace("token: 7b", "tokens: 7b"))
    wrong = launch("--config.file", str(config), "--config.check", env=env)
    assert wrong.wait() == 2
    assert wrong.log().startswith("error: ")
    said = everything_said(good) + everything_said(wrong)
    assert not leaks("output", said, CANARIES.values())
