"""Fuzzed: the web configuration (TLS, users, headers, limits), beside real certificates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from exporter.errors import ConfigError
from exporter.web.access_config import BCRYPT_HASH, WebConfig, load_web_config
from proof.fuzz_config import pieces, scratch
from tests.web_support import make_pair

HASH: Final = "$2y$10$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm"
_PIECES = pieces(HASH[7:], 20)
_USER = re.compile(r"basic_auth_users\.[\w-]+(?=:)")
_made: dict[str, Path] = {}


def folder() -> Path:
    """Where the file of an input lies, beside a certificate, its key and a CA."""
    if "web" not in _made:
        _made["web"] = made = scratch("web")
        make_pair(made, "server", "DNS:localhost")
        make_pair(made, "ca")
    return _made["web"]


def one(data: bytes) -> None:
    """Load an input; only ConfigError comes out, and no hash in anything that is told."""
    file = folder() / "web.yml"
    file.write_bytes(data)
    try:
        config = load_web_config(file)
    except ConfigError as error:
        told = str(error)
    else:
        _check(config)
        return
    assert told, "refused without a problem"
    check_silence(told)


def _check(config: WebConfig) -> None:
    check_silence(repr(config) + " ".join(config.warnings))
    assert all(b":" not in name for name in config.users)
    assert all(BCRYPT_HASH.fullmatch(hashed.decode()) for hashed in config.users.values())
    for name, value in config.headers:
        line = name + value
        assert not set(line) & set(b"\r\n\0"), "a header that is more than one line"
    if config.rate_limit is not None:
        assert config.rate_limit.interval > 0
        assert config.rate_limit.burst >= 0


def check_silence(text: str) -> None:
    """Raise AssertionError where a text tells a hash, or a piece of it."""
    # A user's name is told, and may be made of a hash's letters; not of one that begins so.
    text = _USER.sub("", text)
    assert not any(piece in text for piece in _PIECES), "a password's hash is told"
