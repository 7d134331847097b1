"""Tokens: read anew from their place, told by its name, shown nowhere."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.config import TokenSource, TokenUnreadable, from_environment, load, token_digest
from exporter.config.plan import plan, render_plan

CANARY = "canary0123456789abcdef0123456789"


def refusal(source: TokenSource) -> str:
    """Return why a token cannot be read."""
    with pytest.raises(TokenUnreadable) as caught:
        source.read()
    return str(caught.value)


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """A rotated token needs no restart; blanks and line breaks around it do not count."""
    file = tmp_path / "token"
    source = TokenSource(file=file)
    for content in (b"first", b"  second\r\n\n", b"\xef\xbb\xbfthird"):
        file.write_bytes(content)
        assert source.read().get_secret_value() in {"first", "second", "third"}
    assert source.read() == SecretStr("third")


def test_a_file_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    """The message names the file and what is odd about it, never what it holds."""
    file = tmp_path / "token"
    long = "holds more than 4,096 characters: that is no token"
    for content, why in (
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"a" * 4097, long),
        (b"a" * 100_000, long),
        (b"token: canary", "holds more than a token: a blank"),
        (b"one\ntwo", "holds more than a token"),
        (b"a\x00b", "holds more than a token"),
        ("contraseña".encode(), "holds more than a token"),
        (b"\xff\xfe", "holds more than a token"),
    ):
        file.write_bytes(content)
        told = refusal(TokenSource(file=file))
        assert told.startswith(f"the file {file} {why}"), content
        assert "canary" not in told


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe (which would block) and a device are told by name."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(TokenSource(file=tmp_path / "none")).endswith("none does not exist")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(TokenSource(file=path)) == f"the file {path} is not a plain file"
    (tmp_path / "plain").write_bytes(b"x")
    assert "cannot be read (Not a directory)" in refusal(
        TokenSource(file=tmp_path / "plain" / "x")
    )
    assert "null character" in refusal(TokenSource(file=tmp_path / "a\0"))


def test_the_other_places_of_a_token() -> None:
    """A variable is told by its name, the configuration itself as such."""
    variable = TokenSource(variable="ACME_TOKEN", value=SecretStr("a b"))
    assert refusal(variable).startswith("the environment variable ACME_TOKEN holds more")
    assert refusal(TokenSource()) == "the configuration is empty"
    odd = TokenSource(variable="x" * 40, value=SecretStr("a"))
    assert str(odd.place()) == "the environment variable (name not shown)"
    assert token_digest(SecretStr(CANARY)) != token_digest(SecretStr("other"))
    assert "canary" not in token_digest(SecretStr(CANARY))


def test_files_that_everybody_may_read_are_told(tmp_path: Path) -> None:
    """Other users' access counts, but not below /run/secrets, where it is the runtime's."""
    file = tmp_path / "token"
    file.touch()
    for mode, exposed in ((0o644, True), (0o640, False)):
        file.chmod(mode)
        assert TokenSource(file=file).exposed() == exposed
    for other in ("/run/secrets/acme", "/var/run/secrets/acme", str(tmp_path / "none")):
        assert not TokenSource(file=Path(other)).exposed()
    assert not TokenSource(variable="X").exposed()


def test_relative_token_files_begin_at_the_configuration(tmp_path: Path) -> None:
    """A warning names a file that everybody may read."""
    (tmp_path / "token").write_text(CANARY, encoding="utf-8")
    (tmp_path / "token").chmod(0o644)
    file = tmp_path / "wolkvox.yml"
    file.write_text(
        "operations: [{name: a, server: wv0013, token_file: token, skills: [{id: 1}]}]",
        encoding="utf-8",
    )
    configuration = load([file], {})
    assert configuration.operations[0].token.read() == SecretStr(CANARY)
    [warning] = configuration.warnings
    assert warning.startswith(f"{file}:1: operation a, token_file: every user of this machine")
    assert f"{tmp_path}/token" in warning


def test_a_loaded_token_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    """Neither repr, str, the plan nor a dump of the model holds the token."""
    (tmp_path / "file").write_text(CANARY, encoding="utf-8")
    for place, value in (("token", CANARY), ("token_env", "ACME"), ("token_file", "file")):
        own = f"name: a, server: wv0013, {place}: {value}, skills: [{{id: 1}}]"
        file = tmp_path / "wolkvox.yml"
        file.write_text(f"operations: [{{{own}}}]", encoding="utf-8")
        made = load([file], {"ACME": CANARY})
        [one] = made.operations
        told = f"{made!r} {made} {one.token!r} {one.token.place()} {made.warnings}"
        told += render_plan(plan(made, datetime(2026, 11, 22, tzinfo=UTC)))
        told += f"{one!r} {one} {one.model_dump()} {one.model_dump_json()}"
        assert "canary" not in told, place


def test_what_is_hardly_a_token_is_warned_about(tmp_path: Path) -> None:
    """It is still sent: the warning says what is odd, and repeats nothing of it."""
    source = {"WOLKVOX_SERVER": "0013", "WOLKVOX_SKILLS": "all"}
    file = tmp_path / "token"
    file.touch(mode=0o600)
    odd = {
        "a quote": ('"{token}"', "'{token}'", '{token}"', 'WOLKVOX_TOKEN="{token}"'),
        "NAME=token": ("WOLKVOX_TOKEN={token}", "token={token}"),
        "JSON": ('{{"token":"{token}"}}', '["{token}"]'),
        "placeholder": (
            *(
                "${{WOLKVOX_TOKEN}}",
                "$WOLKVOX_TOKEN",
                "$(cat/{token})",
                "{{{{.Values.token}}}}",
            ),
            *("%TOKEN%", "<token>", "changeme", "your-token-here", "xxxxxxxx", "***"),
        ),
        "a header": ("wolkvox-token:{token}", "Bearer:{token}"),
        "a header or a URL": ("https://wv0013.wolkvox.com/{token}",),
        "path": ("/run/secrets/acme", "./secrets/acme"),
        "base64": ("N2IyMjc1NzM2NTcyMjIzYTIyNjM2YzY5NjU2ZTc0MjI3ZDJkMzIzMDMyMzY=",),
        "": ("{token}", f"7b{'22757365723a'}{'2d' * 25}", "another-token", "YWJj=="),
    }
    for written, why in ((one, why) for why, all_of_it in odd.items() for one in all_of_it):
        token = written.format(token=CANARY)
        file.write_text(token)
        for place in ({"WOLKVOX_TOKEN": token}, {"WOLKVOX_TOKEN_FILE": str(file)}):
            warnings = from_environment({**source, **place}).warnings
            assert len(warnings) == bool(why), written
            assert why in "".join(warnings)
            assert CANARY[:8] not in "".join(warnings)
            assert not why or token not in "".join(warnings)


def test_a_token_with_slashes_is_not_told_as_a_path(tmp_path: Path) -> None:
    """Pasted into token_file it looks like folders, which were told."""
    long = "7bd7250a9f3e61c84b07"
    for path in (f"{long}29f5d6e1a3b87c40f29/x", f"x/{long}/y/7bd7250a9f3e61c8"):
        source = TokenSource(file=tmp_path / "in" / path)
        told = f"{refusal(source)} {source.place()}"
        assert "7bd7250a9f" not in told
        assert str(tmp_path / "in") in told
