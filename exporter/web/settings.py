"""Who may read it: the sections of the web configuration, from their form to ready settings.

The form comes from `access`; here it is judged what the values mean together, and the files
it names are read. Everything wrong is collected, nothing is raised.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config.invalid import did_you_mean
from exporter.config.yamlfile import is_plain_key
from exporter.errors import Problem
from exporter.web.asgi import Headers
from exporter.web.certificates import (
    CIPHERS,
    CURVES,
    TLS13_SUITES,
    VERSIONS,
    TlsSettings,
    UnusableTls,
    build_context,
)
from exporter.web.tls import TlsPolicy
from exporter.web.users import BCRYPT_HASH

if TYPE_CHECKING:
    from exporter.web.access import HttpForm, RateForm, TlsForm, WebForm

_MAX_PEM_BYTES = 1024 * 1024
_TLS = "tls_server_config"
_POLICIES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_IMPOSSIBLE_POLICIES = frozenset(
    {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
)
# The toolkit's list: header -> the only values it may have (none: any).
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {
    **{"ns": "1e-9", "us": "1e-6", "µs": "1e-6", "ms": "1e-3"},
    **{"s": "1", "m": "60", "h": "3600"},
}


Stamp = tuple[int, int, int] | None
"""What changes when a file is written, replaced, or linked anew; None: it is not there."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each `interval` seconds, and `burst` of them at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says, ready to be used; without a file: everybody, plain HTTP.

    `users` are names and bcrypt hashes, `files` all files that were read, as they were then,
    `warnings` what is allowed but hardly meant.
    """

    tls: TlsPolicy | None = None
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    headers: Headers = ()
    rate_limit: RateLimit | None = None
    files: Mapping[Path, Stamp] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def protections(self) -> frozenset[str]:
        """The sections and keys that keep somebody out, or something secret."""
        found = {"basic_auth_users"} if self.users else set()
        if self.tls is not None:
            found.add("tls_server_config")
            if self.tls.context.verify_mode is ssl.CERT_REQUIRED:
                found.add("client_auth_type")
            if self.tls.allowed_sans:
                found.add("client_allowed_sans")
        return frozenset(found)


class Sections:
    """The meaning of each section; what is wrong is added to the problems."""

    def __init__(self, folder: Path, problems: list[Problem]) -> None:
        self._folder = folder
        self._problems = problems
        self.files: dict[Path, Stamp] = {}
        self.warnings: list[str] = []

    def _wrong(self, path: str, reason: str) -> None:
        self._problems.append(Problem(path, reason))

    def tls(self, form: TlsForm) -> TlsPolicy | None:
        """The TLS of the server; None where the section is left out or wrong."""
        if not form.model_fields_set:
            return None
        before = len(self._problems)
        self._not_empty(form)
        cert = self._pem("cert", form.cert, form.cert_file, required=True)
        key = self._pem("key", form.key.get_secret_value(), form.key_file, required=True)
        ca = self._pem("client_ca", form.client_ca, form.client_ca_file, required=False)
        verify = self._policy(form, bool(form.client_ca or form.client_ca_file))
        self._versions(form)
        ciphers = self._ciphers(form.cipher_suites)
        curve = self._curve(form.curve_preferences)
        minimum = form.min_version
        if form.cipher_suites and not ciphers:  # those of TLS 1.3 alone
            minimum = "TLS13"
            if form.max_version != minimum:
                self._wrong(
                    f"{_TLS}.cipher_suites",
                    "names no suite of TLS 1.2 or older, which max_version asks for",
                )
        if len(self._problems) > before or cert is None or key is None:
            return None
        settings = TlsSettings(
            *(cert, key, ca, verify, minimum, form.max_version, ciphers, curve),
            server_preference=form.prefer_server_cipher_suites,
        )
        try:
            context = build_context(settings)
        except UnusableTls as exc:
            as_file = getattr(form, f"{exc.part}_file", "")
            self._wrong(f"{_TLS}.{exc.part}{'_file' if as_file else ''}", exc.reason)
            return None
        return TlsPolicy(context, frozenset(form.client_allowed_sans))

    def _not_empty(self, form: TlsForm) -> None:
        """Refuse empty keys that would let anybody in: they may be variables left unfilled."""
        for name in ("client_auth_type", "client_ca", "client_ca_file"):
            if name in form.model_fields_set and not getattr(form, name).strip():
                self._wrong(f"{_TLS}.{name}", "is empty: write it, or leave it out")
        where = f"{_TLS}.client_allowed_sans"
        if not form.client_allowed_sans and "client_allowed_sans" in form.model_fields_set:
            self._wrong(where, "is empty: write a name, or leave it out")
        for number, name in enumerate(form.client_allowed_sans):
            if not name.strip():
                self._wrong(f"{where}.{number}", "is empty: write a name, or leave it out")

    def _pem(self, name: str, inline: str, file: str, *, required: bool) -> bytes | None:
        where = f"{_TLS}.{name}_file"
        if inline and file:
            self._wrong(where, f"stands beside {name}: one of them must go")
        elif file:
            return self._read(where, self._folder / file)
        elif not inline and required:
            self._wrong(where, f"is missing: write {name}_file or {name}")
        return inline.encode() if inline else None

    def _read(self, where: str, path: Path) -> bytes | None:
        self.files[path] = stamp(path)
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_PEM_BYTES + 1)
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or "its name holds a null character"
            self._wrong(where, f"{path} cannot be read ({why})")
            return None
        if len(content) > _MAX_PEM_BYTES:
            self._wrong(where, f"{path} is larger than 1 MiB")
            return None
        return content

    def _policy(self, form: TlsForm, has_ca: bool) -> ssl.VerifyMode:
        where, name = f"{_TLS}.client_auth_type", form.client_auth_type or "NoClientCert"
        verify = _POLICIES.get(name, ssl.CERT_NONE)
        if name in _IMPOSSIBLE_POLICIES:
            self._wrong(where, f"{name} asks for a certificate and does not verify it, which"
                        " Python's ssl cannot; use RequireAndVerifyClientCert")  # fmt: skip
        elif name not in _POLICIES:
            self._wrong(where, f"must be one of {', '.join(_POLICIES)}")
        elif verify is ssl.CERT_NONE and has_ca:
            self._wrong(where, "is missing: client_ca has no effect without it")
        elif verify is ssl.CERT_NONE and form.client_allowed_sans:
            self._wrong(where, "is missing: client_allowed_sans has no effect without it")
        elif verify is not ssl.CERT_NONE and not has_ca and not form.client_allowed_sans:
            self.warnings.append(
                f"{where}: without client_ca_file any certificate of any public CA is accepted"
            )
        return verify

    def _versions(self, form: TlsForm) -> None:
        for name in ("min_version", "max_version"):
            if getattr(form, name) not in VERSIONS:
                self._wrong(f"{_TLS}.{name}", f"must be one of {', '.join(VERSIONS)}")
        order = list(VERSIONS)
        pair = (form.min_version, form.max_version)
        if all(name in order for name in pair) and order.index(pair[0]) > order.index(pair[1]):
            self._wrong(f"{_TLS}.max_version", "is below min_version")

    def _ciphers(self, names: list[str]) -> tuple[str, ...]:
        """The suites up to TLS 1.2; those of TLS 1.3 are all on, whatever is named."""
        known = [*CIPHERS, *TLS13_SUITES]
        self._known(f"{_TLS}.cipher_suites", "suite", names, known)
        if TLS13_SUITES.intersection(names):
            self.warnings.append(
                f"{_TLS}.cipher_suites: the suites of TLS 1.3 are always on,"
                " naming them has no effect"
            )
        return tuple(CIPHERS[name] for name in names if name in CIPHERS)

    def _curve(self, names: list[str]) -> str | None:
        """The only curve; several are as with none, since Python's ssl takes one or its own."""
        self._known(f"{_TLS}.curve_preferences", "curve", names, [*CURVES])
        if len(names) > 1:
            self.warnings.append(
                f"{_TLS}.curve_preferences: has no effect, this server can be told one curve"
            )
        return CURVES.get(names[0]) if len(names) == 1 else None

    def _known(self, where: str, what: str, names: list[str], known: list[str]) -> None:
        for number, name in enumerate(names):
            if name not in known:
                reason = f"is no known {what}{did_you_mean(name, known)}"
                self._wrong(f"{where}.{number}", reason)

    def users(self, form: WebForm) -> dict[bytes, bytes]:
        """Names and bcrypt hashes; blanks around a hash are left out."""
        users = {
            name: hashed.get_secret_value().strip()
            for name, hashed in form.basic_auth_users.items()
        }
        if not users and "basic_auth_users" in form.model_fields_set:
            self._wrong("basic_auth_users", "names no user: write one, or leave it out")
        for name, hashed in users.items():
            where = f"basic_auth_users.{shown_user(name)}"
            if ":" in name:
                self._wrong(where, "a user's name cannot hold a colon")
            if not hashed:
                self._wrong(where, "has no password hash: is a variable not filled in?")
            elif not BCRYPT_HASH.fullmatch(hashed):
                self._wrong(where, 'is no bcrypt hash: make one with htpasswd -nBC 10 ""')
        return {name.encode(): hashed.encode() for name, hashed in users.items()}

    def headers(self, form: HttpForm) -> Headers:
        """The headers of every answer."""
        if form.http2:
            self.warnings.append(
                "http_server_config.http2: has no effect, this server speaks HTTP/1.1"
            )
        for name, value in form.headers.items():
            where = f"http_server_config.headers.{name if is_plain_key(name) else '(key)'}"
            allowed = _HEADERS.get(name)
            if allowed is None:
                self._wrong(where, f"cannot be set; only {', '.join(_HEADERS)} can")
            elif value and allowed and value not in allowed:
                self._wrong(where, f"must be {' or '.join(allowed)}")
            elif not (value.isascii() and (value.isprintable() or not value)):
                self._wrong(where, "must be one line of printable ASCII")
        return tuple(
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in form.headers.items()
            if value
        )

    def rate_limit(self, form: RateForm) -> RateLimit | None:
        """The limit; None where there is none."""
        interval = _seconds(form.interval)
        if interval is None:
            self._wrong("rate_limit.interval", "must be a duration such as 100ms, 1s or 1m30s")
        if not interval:
            return None
        if not form.burst:
            self.warnings.append("rate_limit.burst: is 0, so that no request is let through")
        return RateLimit(interval, form.burst)


def _seconds(text: str) -> float | None:
    """A duration as Go writes it (`1.5s`, `1m30s`, 0), in seconds; None where it is none."""
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text or len(text) > 40:
        return None
    return float(sum(Decimal(number) * Decimal(_UNIT_SECONDS[unit]) for number, unit in parts))


def stamp(path: Path) -> Stamp:
    """The file's stamp just now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def shown_user(name: str) -> str:
    """Names may be told; a hash that stands where a name should must not be."""
    return name if re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", name) else "(user)"
