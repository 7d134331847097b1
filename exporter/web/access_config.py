"""Web configuration file, in the format of Prometheus' exporter-toolkit, read and checked.

All problems are reported at once. What the format knows and this server cannot do is refused
where it protects, so that no one believes in a protection that is not there, else warned about.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from exporter.config.values import did_you_mean
from exporter.config.yamlfile import is_plain_key, read_yaml
from exporter.errors import ConfigError, Problem
from exporter.web.asgi import Headers
from exporter.web.tls import (
    CIPHERS,
    CURVES,
    TLS13_SUITES,
    VERSIONS,
    TlsPolicy,
    UnusableTls,
    build_context,
)

_MAX_PEM_BYTES = 1024 * 1024
BCRYPT_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_POLICIES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
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
        """The sections that keep somebody out, or something secret."""
        found = {"tls_server_config": self.tls, "basic_auth_users": self.users}
        return frozenset(name for name, section in found.items() if section)


# The file's form ---------------------------------------------------------------------------


def _must(test: Callable[[Any], object], reason: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(reason)
        return value

    return AfterValidator(check)


def _one_of(names: Collection[str]) -> AfterValidator:
    return _must(names.__contains__, f"must be one of {', '.join(names)}")


def _known(what: str, names: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"is no known {what}{did_you_mean(name, names)}")
        return name

    return AfterValidator(check)


def _seconds(value: object) -> float:
    """A duration as Go writes it (`1.5s`, `1m30s`, 0), in seconds."""
    text = str(value)
    parts = _DURATION_PART.findall(text)
    whole = parts and len(text) <= 40 and "".join(map("".join, parts)) == text
    if not whole and text != "0":
        raise ValueError("must be a duration such as 100ms, 1s or 1m30s")
    return float(sum(Decimal(number) * Decimal(_UNIT_SECONDS[unit]) for number, unit in parts))


# Empty values would let anybody in: mostly a variable was not filled in.
_EMPTY = "is empty: write it, or leave it out"
_Filled = Annotated[str, _must(str.strip, _EMPTY)]
_VERIFIED = _must(
    lambda name: name not in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"),
    "asks for a certificate that nobody verifies, which Python's ssl cannot;"
    " use RequireAndVerifyClientCert",
)
_Version = Annotated[str, _one_of(VERSIONS)]
_User = Annotated[str, _must(lambda name: ":" not in name, "a user's name cannot hold a colon")]
_Hash = Annotated[
    SecretStr,
    BeforeValidator(lambda value: "" if value is None else value),
    AfterValidator(lambda hashed: SecretStr(hashed.get_secret_value().strip())),
    _must(SecretStr.get_secret_value, "has no password hash: is a variable not filled in?"),
    _must(
        lambda hashed: BCRYPT_HASH.fullmatch(hashed.get_secret_value()),
        'is no bcrypt hash: make one with htpasswd -nBC 10 ""',
    ),
]


class _Form(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_null(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a key without a value as empty: it may be a variable that was not filled in."""
        if value is None and info.field_name is not None:
            default = cls.model_fields[info.field_name].default
            return "" if isinstance(default, str | float) else default
        return value


class TlsForm(_Form):
    """The section `tls_server_config`."""

    cert: str = ""
    key: SecretStr = SecretStr("")
    client_ca: _Filled = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: _Filled = ""
    client_auth_type: Annotated[_Filled, _VERIFIED, _one_of(_POLICIES)] = "NoClientCert"
    client_allowed_sans: Annotated[list[_Filled], _must(len, _EMPTY)] = []
    min_version: _Version = "TLS12"
    max_version: _Version = "TLS13"
    cipher_suites: list[Annotated[str, _known("suite", [*CIPHERS, *TLS13_SUITES])]] = []
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: list[Annotated[str, _known("curve", CURVES)]] = []


class HttpForm(_Form):
    """The section `http_server_config`."""

    http2: StrictBool = False
    headers: dict[str, str] = {}


class RateForm(_Form):
    """The section `rate_limit`."""

    interval: Annotated[float, BeforeValidator(_seconds)] = 0.0
    burst: Annotated[StrictInt, Field(ge=0)] = 0


class WebForm(_Form):
    """The whole file."""

    tls_server_config: TlsForm = TlsForm()
    http_server_config: HttpForm = HttpForm()
    basic_auth_users: Annotated[
        dict[_User, _Hash],
        _must(len, "names no user: write one, or leave it out"),
    ] = {}
    rate_limit: RateForm = RateForm()


# From the form to what can be used ---------------------------------------------------------


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file and the files it names; ConfigError lists all problems."""
    files = {path: stamp(path)}
    document = read_yaml(path)
    problems = [
        document.problem(loc, "stands twice", line) for loc, line in document.duplicates
    ]
    form = _read_form(document.value, problems)
    loading = _Loading(path.parent, problems, files)
    rate = form.rate_limit
    if rate.interval and not rate.burst:
        loading.warn("rate_limit.burst", "is 0, so that no request is let through")
    config = WebConfig(
        tls=loading.tls(form.tls_server_config),
        users={
            name.encode(): hashed.get_secret_value().encode()
            for name, hashed in form.basic_auth_users.items()
        },
        headers=loading.headers(form.http_server_config),
        rate_limit=RateLimit(rate.interval, rate.burst) if rate.interval else None,
        files=files,
        warnings=tuple(loading.warnings),
    )
    if problems:
        raise ConfigError(problems)
    return config


def stamp(path: Path) -> Stamp:
    """The file's stamp just now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_form(raw: object, problems: list[Problem]) -> WebForm:
    """The file against its form, without the keys that are wrong in themselves."""
    if raw is None:
        return WebForm()
    if not isinstance(raw, dict):
        raise ConfigError([*problems, Problem("", "the web configuration must be a mapping")])
    try:
        return WebForm.model_validate(raw)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            problems.append(Problem(_place(error["loc"]), _reason(error)))
            outer, *inner = map(str, error["loc"])
            # Without what does not fit (a key of a section, or a section) the rest is judged.
            if inner and len(raw.get(outer) or ()) > 1:
                raw[outer].pop(inner[0], None)
            else:
                raw.pop(outer, None)
    return WebForm.model_validate(raw)


def _place(place: tuple[int | str, ...]) -> str:
    if place[:1] == ("basic_auth_users",) and len(place) > 1:
        # Names may be told; a hash that stands where a name should must not be.
        name = str(place[1])
        told = name if re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", name) else "(user)"
        return f"basic_auth_users.{told}"
    return ".".join(
        str(part) if isinstance(part, int) or is_plain_key(part) else "(key)" for part in place
    )


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        *section, key = map(str, error["loc"])
        form = WebForm.model_fields[section[0]].annotation if section else WebForm
        known = list(form.model_fields) if form is not None else []
        return f"is not a known key{did_you_mean(key, known) if is_plain_key(key) else ''}"
    return {
        "string_type": "must be text: write it in quotes",
        "bool_type": "must be true or false",
        "int_type": "must be a whole number",
        "greater_than_equal": "must be 0 or more",
        "list_type": "must be a list",
        "dict_type": "must be a mapping (key: value)",
        "model_type": "must be a mapping (key: value)",
    }.get(error["type"], "cannot be used")


class _Loading:
    """Judges what the values of a file mean together, and reads the files that it names."""

    def __init__(self, folder: Path, problems: list[Problem], files: dict[Path, Stamp]) -> None:
        self._folder = folder
        self._problems = problems
        self._files = files
        self.warnings: list[str] = []

    def warn(self, path: str, reason: str) -> None:
        """Keep a warning about a key."""
        self.warnings.append(f"{path}: {reason}")

    def _wrong(self, name: str, reason: str) -> None:
        self._problems.append(Problem(f"tls_server_config.{name}", reason))

    def tls(self, form: TlsForm) -> TlsPolicy | None:
        """The TLS of the server; None where the section is left out or wrong."""
        if not form.model_fields_set:
            return None
        before = len(self._problems)
        cert = self._pem("cert", form.cert, form.cert_file, required=True)
        key = self._pem("key", form.key.get_secret_value(), form.key_file, required=True)
        ca = self._pem("client_ca", form.client_ca, form.client_ca_file)
        verify = self._verify_mode(form)
        minimum = self._minimum(form)
        if len(form.curve_preferences) > 1:
            reason = "has no effect, this server can be told one curve"
            self.warn("tls_server_config.curve_preferences", reason)
        if len(self._problems) > before or cert is None or key is None:
            return None
        try:
            context = build_context(
                *(cert, key, ca, verify),
                minimum=minimum,
                maximum=form.max_version,
                ciphers=[CIPHERS[name] for name in form.cipher_suites if name in CIPHERS],
                curves=[CURVES[name] for name in form.curve_preferences],
                server_preference=form.prefer_server_cipher_suites,
            )
        except UnusableTls as exc:
            as_file = getattr(form, f"{exc.part}_file", "")
            self._wrong(f"{exc.part}{'_file' if as_file else ''}", str(exc))
            return None
        return TlsPolicy(context, frozenset(form.client_allowed_sans))

    def _pem(
        self, name: str, inline: str, file: str, *, required: bool = False
    ) -> bytes | None:
        where = f"{name}_file"
        if inline and file:
            self._wrong(where, f"stands beside {name}: one of them must go")
        elif file:
            return self._read(where, self._folder / file)
        elif not inline and required:
            self._wrong(where, f"is missing: write {where} or {name}")
        return inline.encode() if inline else None

    def _read(self, where: str, path: Path) -> bytes | None:
        self._files[path] = stamp(path)
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

    def _verify_mode(self, form: TlsForm) -> ssl.VerifyMode:
        verify, where = _POLICIES[form.client_auth_type], "client_auth_type"
        has_ca, sans = bool(form.client_ca or form.client_ca_file), form.client_allowed_sans
        if verify is ssl.CERT_NONE and (has_ca or sans):
            what = "client_ca" if has_ca else "client_allowed_sans"
            self._wrong(where, f"is missing: {what} has no effect without it")
        elif verify is not ssl.CERT_NONE and not has_ca and not sans:
            reason = "without client_ca_file any certificate of any public CA is accepted"
            self.warn(f"tls_server_config.{where}", reason)
        return verify

    def _minimum(self, form: TlsForm) -> str:
        """The oldest version; suites of TLS 1.3 alone leave no older one, as in Go."""
        minimum, maximum, suites = form.min_version, form.max_version, set(form.cipher_suites)
        if suites & set(TLS13_SUITES):
            reason = "the suites of TLS 1.3 are always on, naming them has no effect"
            self.warn("tls_server_config.cipher_suites", reason)
        if suites and suites <= set(TLS13_SUITES):
            minimum = "TLS13"
            if maximum != minimum:
                reason = "names no suite of TLS 1.2 or older, which max_version asks for"
                self._wrong("cipher_suites", reason)
        elif list(VERSIONS).index(minimum) > list(VERSIONS).index(maximum):
            self._wrong("max_version", "is below min_version")
        return minimum

    def headers(self, form: HttpForm) -> Headers:
        """The headers of every answer."""
        if form.http2:
            reason = "has no effect, this server speaks HTTP/1.1"
            self.warn("http_server_config.http2", reason)
        for name, value in form.headers.items():
            allowed, reason = _HEADERS.get(name), ""
            if allowed is None:
                reason = f"cannot be set; only {', '.join(_HEADERS)} can"
            elif value and allowed and value not in allowed:
                reason = f"must be {' or '.join(allowed)}"
            elif not (value.isascii() and (value.isprintable() or not value)):
                reason = "must be one line of printable ASCII"
            if reason:
                key = name if is_plain_key(name) else "(key)"
                self._problems.append(Problem(f"http_server_config.headers.{key}", reason))
        return tuple(
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in form.headers.items()
            if value
        )
