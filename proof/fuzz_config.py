"""Fuzzed: the two configuration files, read as at a start and shown as people see them.

Three tokens are near: one that inputs may hold (it stands in the dictionary), one in the
environment, one in a file. A problem, a plan or `/config` must show none of them, and nothing
of the web configuration a password's hash.
"""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from exporter.config import Configuration, load
from exporter.config.model import redacted
from exporter.config.plan import plan, render_plan
from exporter.config.tokens import TokenUnreadable
from exporter.errors import ConfigError
from exporter.web.access_config import WebConfig, load_web_config
from tests.web_support import make_pair

WRITTEN: Final = "7bd7250a9f3e61c84b0729f5d6e1a3b87c40f29e5d163a8b7c94"
IN_ENVIRONMENT: Final = "7b90f3b16ce8d4072a5b3c7f61e49d80a2d5f7c3b81e0694ad52"
IN_FILE: Final = "7b4c1e90d2aa573f86b0c9de1247f5a3388e6d01b95c2f7a4e60"
HASH: Final = "$2y$10$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm"
_ENVIRON = {"ACME_TOKEN": IN_ENVIRONMENT}
_NOW = datetime(2026, 11, 18, 17, tzinfo=UTC)
# Whoever writes 20 characters of a token wrote a token; less of one is a word like others.
_WRITTEN_PIECE, _KEPT_PIECE = 20, 8
_USER = re.compile(r"basic_auth_users\.[\w-]+(?=:)")
_kept: list[tempfile.TemporaryDirectory[str]] = []


def scratch(name: str) -> Path:
    """A directory of this process, where TMPDIR says; gone with it, or with its parent's."""
    _kept.append(tempfile.TemporaryDirectory(prefix=f"wolkvox-fuzz-{name}-"))
    return Path(_kept[-1].name)


def pieces(token: str, length: int) -> frozenset[str]:
    """All pieces of a token of so many characters."""
    return frozenset(token[at : at + length] for at in range(len(token) - length + 1))


_PIECES = (
    pieces(WRITTEN, _WRITTEN_PIECE)
    | pieces(IN_ENVIRONMENT, _KEPT_PIECE)
    | pieces(IN_FILE, _KEPT_PIECE)
)
_HASHED = pieces(HASH[7:], 20)


@cache
def folder() -> Path:
    """Where the file of an input lies, beside the files that it may name."""
    made = scratch("config")
    (made / "token").write_text(f"{IN_FILE}\n")
    (made / "token").chmod(0o600)
    make_pair(made, "server", "DNS:localhost")
    make_pair(made, "ca")
    return made


def one(data: bytes) -> None:
    """Load a configuration; what is written and shown of it names no token."""
    file = folder() / "wolkvox.yml"
    file.write_bytes(data)
    try:
        configuration = load([file], _ENVIRON)
    except ConfigError as error:
        problems = error.problems
    else:
        assert configuration.operations
        check_silence("\n".join(_shown(configuration)), data)
        return
    assert problems, "refused without a problem"
    assert not any("\n" in problem.reason for problem in problems)
    check_silence("\n".join(map(str, problems)).replace(str(folder()), ""), data)


def _shown(configuration: Configuration) -> list[str]:
    shown = [repr(configuration), redacted(configuration), *map(str, configuration.warnings)]
    shown.append(render_plan(plan(configuration, _NOW)))
    for operation in configuration.operations:
        try:
            operation.token.read()
        except TokenUnreadable as error:
            shown.append(str(error))
    return shown


def check_silence(text: str, data: bytes) -> None:
    """AssertionError where a text holds a token, or a piece of one that nobody wrote."""
    lower = text.lower()
    for piece in _PIECES:
        if piece in lower:
            # An input that guesses a piece of the others' tokens has it written itself.
            written = piece.encode() in data.lower() and len(piece) < _WRITTEN_PIECE
            assert written, f"a token is told: {piece}"


def one_web(data: bytes) -> None:
    """Load a web configuration; only ConfigError comes out, and no hash."""
    file = folder() / "web.yml"
    file.write_bytes(data)
    try:
        config = load_web_config(file)
    except ConfigError as error:
        told = str(error)
    else:
        told = f"{config!r} {' '.join(config.warnings)}"
        _check_web(config)
    assert told, "refused without a problem"
    check_no_hash(told)


def _check_web(config: WebConfig) -> None:
    assert all(b":" not in name for name in config.users)
    for name, value in config.headers:
        assert not set(name + value) & set(b"\r\n\0"), "a header that is more than one line"
    if config.rate_limit is not None:
        assert config.rate_limit.interval > 0
        assert config.rate_limit.burst >= 0


def check_no_hash(text: str) -> None:
    """AssertionError where a text tells a hash, or a piece of it."""
    # A user's name is told, and may be made of a hash's letters; not of one that begins so.
    text = _USER.sub("", text)
    assert not any(piece in text for piece in _HASHED), "a password's hash is told"
