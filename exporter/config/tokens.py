"""Where a token comes from and how it is read; never sends, logs or shows one."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from exporter.config.values import Invalid, may_show
from exporter.errors import ConfigError, Problem

MAX_LENGTH = 4096
# Readable by all inside the container alone: runtimes mount them so, and nobody can change it.
_MOUNTED = ("/run/secrets", "/var/run/secrets")
# What is pasted in the place of a token; those of Wolkvox are hexadecimal.
_ODD = (
    (r"""["'`].*|.*["'`]""", "token_quote"),
    (
        r"\$.*|.*\$\{.*|.*\{\{.*|%.*%|<.*>|\*+|x{5,}|change[_-]?me|(?:your|tu|su)[_-].*",
        "token_placeholder",
    ),
    (r"[a-z_]\w*=[^=].*", "token_assignment"),
    (r"[\[{].*|[a-z][\w-]*:.*", "token_header"),
    (r"(?:~|\.{1,2})?/.+/.*", "token_path"),
    (r"N2I[\w+/]{40,}=*", "token_base64"),
)


class TokenUnreadable(ConfigError):
    """The token cannot be read just now; the text names the place, never the content."""

    def __init__(self, why: Invalid) -> None:
        super().__init__([Problem("", str(why))])
        self.why = why


def clean_token(raw: str) -> str:
    """Strip a token; raise Invalid where it cannot be the value of a header."""
    token = raw.strip()
    if not token:
        raise Invalid("token_empty")
    if len(token) > MAX_LENGTH:
        raise Invalid("token_long", limit=f"{MAX_LENGTH:,}")
    if not re.fullmatch("[!-~]+", token):
        raise Invalid("token_characters")
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

    @property
    def key(self) -> str:
        """The key of the operation that names it."""
        return "token_file" if self.file else "token_env" if self.variable else "token"

    def place(self) -> Invalid:
        """Return the place as a detail of a message; what may be a token is not in it."""
        if self.file is not None:
            # A token may hold a slash and look like folders: the first part counts.
            for one in (*reversed(self.file.parents), self.file):
                if not may_show(one.name):
                    return Invalid("place_file_hidden", folder=one.parent)
            return Invalid("place_file", file=self.file)
        if self.variable is None:
            return Invalid("place_configuration")
        hidden = "" if may_show(self.variable) else "_hidden"
        return Invalid(f"place_variable{hidden}", variable=self.variable)

    def read(self) -> SecretStr:
        """Return the token of this moment, read anew each time; raises TokenUnreadable."""
        try:
            given = self.value.get_secret_value() if self.value else ""
            return SecretStr(clean_token(_content(self.file) if self.file else given))
        except Invalid as why:
            unreadable = Invalid("token_unreadable", place=self.place(), why=why)
            raise TokenUnreadable(unreadable) from None

    def digest(self) -> str | None:
        """Return the digest of the token of this moment; None where there is none."""
        try:
            return token_digest(self.read())
        except TokenUnreadable:
            return None

    def oddity(self) -> Invalid | None:
        """Return why the token is hardly one, without repeating it; None where it may be."""
        token = self.read().get_secret_value()
        for pattern, why in _ODD:
            if re.fullmatch(pattern, token, re.ASCII | re.IGNORECASE):
                return Invalid("token_at", place=self.place(), why=Invalid(why))
        return None

    def exposed(self) -> bool:
        """Return whether every user of the machine may read the token's file."""
        if self.file is None or any(map(self.file.is_relative_to, _MOUNTED)):
            return False
        try:
            return bool(self.file.stat().st_mode & stat.S_IROTH)
        except OSError:
            return False


def _content(path: Path) -> str:
    """Read a plain file of a token's size; anything else may block for ever, or never end."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            # It does not wait, in case the file became a pipe just now.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0) as file:
                content = file.read(MAX_LENGTH + 1)
            # Latin-1 never fails; what is not ASCII is refused by clean_token.
            marked = content.startswith(b"\xef\xbb\xbf")
            return content.decode("utf-8-sig" if marked else "latin-1", "replace")
    except FileNotFoundError:
        shell = re.search("[~$]", str(path))
        raise Invalid("token_shell_path" if shell else "token_not_there") from None
    except OSError as error:
        raise Invalid("unreadable", why=error.strerror) from None
    except ValueError:
        raise Invalid("null_character") from None
    raise Invalid("token_no_file")
