"""Where a token comes from and how it is read; never sends, logs or shows one."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from exporter.config.invalid import may_show
from exporter.errors import ConfigError, Problem

MAX_LENGTH = 4096


class TokenUnreadable(ConfigError):
    """The token cannot be read just now; the text names the place, never the content."""

    def __init__(self, reason: str) -> None:
        super().__init__([Problem("", reason)])


def clean_token(raw: str) -> str:
    """Strip a token; raise ValueError where it cannot be the value of a header.

    The API takes it in the header `wolkvox-token`: printable ASCII without blanks.
    """
    token = raw.strip()
    if not token:
        raise ValueError("is empty")
    if len(token) > MAX_LENGTH:
        raise ValueError(f"holds more than {MAX_LENGTH:,} characters: that is no token")
    if any(not "!" <= character <= "~" for character in token):
        raise ValueError(
            "holds more than a token: a blank, a line break or a special character"
        )
    return token


def token_digest(token: SecretStr) -> str:
    """Return the SHA-256 of a token in hex: tells whether two tokens are the same."""
    return hashlib.sha256(token.get_secret_value().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TokenSource:
    """A file, an environment variable or the configuration itself."""

    file: Path | None = None
    variable: str | None = None
    value: SecretStr | None = field(default=None, repr=False)

    def describe(self) -> str:
        """Name the place for people, without the token."""
        if self.file is not None:
            return f"the file {_shown_path(self.file)}"
        if self.variable is not None:
            return f"the environment variable {_shown_variable(self.variable)}"
        return "the configuration"

    def read(self) -> SecretStr:
        """Return the token of this moment: a file is read anew each time.

        Raises TokenUnreadable where there is none.
        """
        if self.file is None:
            raw = self.value.get_secret_value() if self.value is not None else ""
        else:
            raw = _read_file(self.file, self.describe)
        try:
            return SecretStr(clean_token(raw))
        except ValueError as exc:
            raise TokenUnreadable(f"{self.describe()} {exc}") from None

    def digest(self) -> str | None:
        """Return the digest of the token of this moment; None where there is none."""
        try:
            return token_digest(self.read())
        except TokenUnreadable:
            return None

    def exposed(self) -> bool:
        """Tell whether every user of the machine may read the token's file.

        Secrets that a container runtime mounts are readable by all inside the container
        alone: Docker and Kubernetes make them so, and nobody can change it.
        """
        if self.file is None or self.file.is_relative_to("/run/secrets"):
            return False
        if self.file.is_relative_to("/var/run/secrets"):
            return False
        try:
            return bool(self.file.stat().st_mode & stat.S_IROTH)
        except OSError:
            return False


def _read_file(path: Path, describe: Callable[[], str]) -> str:
    try:
        # Anything but a plain file may block for ever (a pipe) or never end (a device).
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise TokenUnreadable(f"{describe()} is not a plain file")
        # Before each request: a file object costs five times as much.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            content = b""
            while len(content) <= MAX_LENGTH and (piece := os.read(descriptor, 4096)):
                content += piece
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise TokenUnreadable(f"{describe()} does not exist") from None
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "the name holds a null character"
        raise TokenUnreadable(f"{describe()} cannot be read ({why})") from None
    # Latin-1 never fails; what is not ASCII is refused by clean_token.
    return content.decode(
        "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "latin-1", "replace"
    )


def _shown_path(path: Path) -> str:
    """A path for people; a token pasted where its file's name belongs is not repeated.

    A token may hold a slash and look like folders: what follows the first odd part is left out.
    """
    for folder in reversed((path, *path.parents)):
        if not may_show(folder.name):
            return f"in {folder.parent} (name not shown)"
    return str(path)


def _shown_variable(name: str) -> str:
    return name if may_show(name) else "(name not shown)"
