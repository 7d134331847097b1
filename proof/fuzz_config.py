"""Fuzzed: the configuration file, read as at a start and shown as people see it.

Three tokens are near: one that inputs may hold (it stands in the dictionary), one in the
environment, one in a file. A problem told, a plan or `/config` must show none of them.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exporter.config import Configuration, load
from exporter.config.model import redacted
from exporter.config.plan import plan, render_plan
from exporter.config.tokens import TokenUnreadable
from exporter.errors import ConfigError

WRITTEN: Final = "7bd7250a9f3e61c84b0729f5d6e1a3b87c40f29e5d163a8b7c94"
IN_ENVIRONMENT: Final = "7b90f3b16ce8d4072a5b3c7f61e49d80a2d5f7c3b81e0694ad52"
IN_FILE: Final = "7b4c1e90d2aa573f86b0c9de1247f5a3388e6d01b95c2f7a4e60"
_ENVIRON = {"ACME_TOKEN": IN_ENVIRONMENT}
_NOW = datetime(2026, 11, 18, 17, tzinfo=UTC)
# Whoever writes 20 characters of a token wrote a token; less of one is a word like others.
_WRITTEN_PIECE, _KEPT_PIECE = 20, 8


def pieces(token: str, length: int) -> frozenset[str]:
    """All pieces of a token of so many characters."""
    return frozenset(token[at : at + length] for at in range(len(token) - length + 1))


_PIECES = (
    pieces(WRITTEN, _WRITTEN_PIECE)
    | pieces(IN_ENVIRONMENT, _KEPT_PIECE)
    | pieces(IN_FILE, _KEPT_PIECE)
)


def scratch(name: str) -> Path:
    """A directory of this process, where TMPDIR says; gone with it, or with its parent's."""
    _KEPT.append(tempfile.TemporaryDirectory(prefix=f"wolkvox-fuzz-{name}-"))
    return Path(_KEPT[-1].name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
_made: dict[str, Path] = {}


def folder() -> Path:
    """Where the configuration of an input lies, beside the files that it may name."""
    if "config" not in _made:
        _made["config"] = made = scratch("config")
        (made / "token").write_text(f"{IN_FILE}\n")
        (made / "token").chmod(0o600)
    return _made["config"]


def one(data: bytes) -> None:
    """Load an input; what is told and shown of it names no token."""
    file = folder() / "wolkvox.yml"
    file.write_bytes(data)
    try:
        configuration = load([file], _ENVIRON)
    except ConfigError as error:
        problems = error.problems
    else:
        _check_shown(configuration, data)
        return
    assert problems, "refused without a problem"
    assert not any("\n" in problem.reason for problem in problems)
    check_silence("\n".join(map(str, problems)).replace(str(folder()), ""), data)


def _check_shown(configuration: Configuration, data: bytes) -> None:
    assert configuration.operations
    shown = [repr(configuration), redacted(configuration), *map(str, configuration.warnings)]
    shown.append(render_plan(plan(configuration, _NOW)))
    for operation in configuration.operations:
        try:
            operation.token.read()
        except TokenUnreadable as error:
            shown.append(str(error))
    check_silence("\n".join(shown), data)


def check_silence(text: str, data: bytes) -> None:
    """AssertionError where a text holds a token, or a piece of one that nobody wrote."""
    lower = text.lower()
    for piece in _PIECES:
        if piece in lower:
            # An input that guesses a piece of the others' tokens has it written itself.
            written = piece.encode() in data.lower() and len(piece) < _WRITTEN_PIECE
            assert written, f"a token is told: {piece}"
