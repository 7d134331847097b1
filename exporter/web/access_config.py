"""Web configuration file, in the format of Prometheus' exporter-toolkit, read and checked.

All problems are reported at once. What the format knows and this server cannot do is refused
where it protects, so that no one believes in a protection that is not there, else warned about.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
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

from exporter.config.loader import drop
from exporter.config.mistakes import place_of
from exporter.config.values import did_you_mean
from exporter.config.yamlfile import Loc, is_plain_key, read_yaml
from exporter.errors import ConfigError
from exporter.web.asgi import Headers
from exporter.web.tls import (
    CIPHERS,
    CURVES,
    POLICIES,
    TLS13_SUITES,
    VERSIONS,
    TlsPolicy,
    UnusableTls,
    build_context,
)

_MAX_PEM_BYTES = 1024 * 1024
BCRYPT_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
# The toolkit's list: header -> the only values it may have (none: any).
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

Stamp = tuple[int, int, int] | None
"""What changes when a file is written, replaced, or linked anew; None: it is not there."""


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


# The file's form ---------------------------------------------------------------------------


def _must(test: Callable[[Any], object], reason: str | Callable[[Any], str]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(reason if isinstance(reason, str) else reason(value))
        return value

    return AfterValidator(check)


def _one_of(names: Collection[str]) -> AfterValidator:
    return _must(names.__contains__, f"must be one of {', '.join(names)}")


def _known(what: str, *names: str) -> AfterValidator:
    return _must(
        names.__contains__, lambda name: f"is no known {what}{did_you_mean(name, names)}"
    )


def _seconds(value: object) -> float:
    """Read a duration as Go writes it (`1.5s`, `1m30s`, 0)."""
    text = str(value)
    parts = _DURATION_PART.findall(text)
    whole = parts and len(text) <= 40 and "".join(map("".join, parts)) == text
    if not whole and text != "0":
        raise ValueError("must be a duration such as 100ms, 1s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


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
    client_auth_type: Annotated[_Filled, _VERIFIED, _one_of(POLICIES)] = "NoClientCert"
    client_allowed_sans: Annotated[list[_Filled], _must(len, _EMPTY)] = []
    min_version: _Version = "TLS12"
    max_version: _Version = "TLS13"
    cipher_suites: list[Annotated[str, _known("suite", *CIPHERS, *TLS13_SUITES)]] = []
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: list[Annotated[str, _known("curve", *CURVES)]] = []

    @property
    def oldest(self) -> str:
        """The oldest version; suites of TLS 1.3 alone leave no older one, as in Go."""
        only_newest = self.cipher_suites and TLS13_SUITES.issuperset(self.cipher_suites)
        return "TLS13" if only_newest else self.min_version

    @property
    def verifies(self) -> bool:
        """Whether a client's certificate is looked at."""
        return POLICIES[self.client_auth_type] is not ssl.CERT_NONE


class HttpForm(_Form):
    """The section `http_server_config`."""

    http2: StrictBool = False
    headers: dict[str, str] = {}


class RateLimit(_Form):
    """One request each `interval` seconds, and `burst` of them at once; 0: no limit."""

    interval: Annotated[float, BeforeValidator(_seconds)] = 0.0
    burst: Annotated[StrictInt, Field(ge=0)] = 0


class WebForm(_Form):
    """The whole file."""

    tls_server_config: TlsForm = TlsForm()
    http_server_config: HttpForm = HttpForm()
    basic_auth_users: Annotated[
        dict[_User, _Hash], _must(len, "names no user: write one, or leave it out")
    ] = {}
    rate_limit: RateLimit = RateLimit()


# From the form to what can be used ---------------------------------------------------------


Finding = tuple[Loc, str]
"""A key of the file, and what is wrong with it or hardly meant."""


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file and the files it names; ConfigError lists all problems."""
    files = {path: stamp(path)}
    document = read_yaml(path)
    wrong: list[Finding] = []
    form = _read_form(document.value, wrong)
    users, rate = form.basic_auth_users.items(), form.rate_limit
    config = WebConfig(
        tls=_tls(form.tls_server_config, path.parent, files, wrong),
        users={name.encode(): one.get_secret_value().encode() for name, one in users},
        headers=_headers(form.http_server_config.headers, wrong),
        rate_limit=rate if rate.interval else None,
        files=files,
        warnings=tuple(str(document.problem(*one)) for one in _hardly_meant(form)),
    )
    twice = [document.problem(loc, "stands twice", line) for loc, line in document.duplicates]
    if problems := twice + [document.problem(*one) for one in wrong]:
        raise ConfigError(problems)
    return config


def stamp(path: Path) -> Stamp:
    """The file's stamp just now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_form(raw: Any, wrong: list[Finding]) -> WebForm:
    """The file against its form, without the keys that are wrong in themselves."""
    if raw is None:
        return WebForm()
    if not isinstance(raw, dict):
        wrong.append(((), "the web configuration must be a mapping"))
        return WebForm()
    try:
        return WebForm.model_validate(raw)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            wrong.append((place_of(error), _reason(error)))
            drop(raw, place_of(error))
    # The rest is judged as well; a section of which nothing is left was not meant to be empty.
    return WebForm.model_validate({key: section for key, section in raw.items() if section})


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


def _tls(
    form: TlsForm, folder: Path, files: dict[Path, Stamp], wrong: list[Finding]
) -> TlsPolicy | None:
    """The TLS of the server; None where the section is left out or wrong."""
    if not form.model_fields_set:
        return None
    problems = [*_wrong_together(form)]
    pems = []
    for name in ("cert", "key", "client_ca"):
        content, reason = _pem(form, name, folder / getattr(form, f"{name}_file"), files)
        pems.append(content)
        problems += [(f"{name}_file", reason)] if reason else []
    policy = None
    if not problems:
        try:
            context = build_context(form, *pems)
            policy = TlsPolicy(context, frozenset(form.client_allowed_sans))
        except UnusableTls as exc:
            as_file = getattr(form, f"{exc.part}_file", "")
            problems = [(f"{exc.part}_file" if as_file else exc.part, str(exc))]
    wrong += [(("tls_server_config", name), reason) for name, reason in problems]
    return policy


def _pem(form: TlsForm, name: str, path: Path, files: dict[Path, Stamp]) -> tuple[bytes, str]:
    """What stands in the file of a key, or in the key itself, and what is wrong with it."""
    inline = form.key.get_secret_value() if name == "key" else getattr(form, name)
    if not getattr(form, f"{name}_file"):
        missing = not inline and name != "client_ca"
        return inline.encode(), f"is missing: write {name}_file or {name}" if missing else ""
    if inline:
        return b"", f"stands beside {name}: one of them must go"
    files[path] = stamp(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_PEM_BYTES + 1)
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "its name holds a null character"
        return b"", f"{path} cannot be read ({why})"
    return content, f"{path} is larger than 1 MiB" if len(content) > _MAX_PEM_BYTES else ""


def _wrong_together(form: TlsForm) -> Iterator[tuple[str, str]]:
    """Keys of the section that do not fit each other, and why."""
    versions, of_clients = [*VERSIONS], ("client_ca", "client_ca_file", "client_allowed_sans")
    given = next((name for name in of_clients if getattr(form, name)), "")
    if given and not form.verifies:
        what = given.removesuffix("_file")
        yield "client_auth_type", f"is missing: {what} has no effect without it"
    if versions.index(form.max_version) < versions.index(form.min_version):
        yield "max_version", "is below min_version"
    elif versions.index(form.max_version) < versions.index(form.oldest):
        reason = "names no suite of TLS 1.2 or older, which max_version asks for"
        yield "cipher_suites", reason


def _hardly_meant(form: WebForm) -> Iterator[Finding]:
    """Keys that do not what they seem to, and why."""
    tls = form.tls_server_config
    if tls.verifies and not (tls.client_ca or tls.client_ca_file or tls.client_allowed_sans):
        reason = "without client_ca_file any certificate of any public CA is accepted"
        yield ("tls_server_config", "client_auth_type"), reason
    if not TLS13_SUITES.isdisjoint(tls.cipher_suites):
        reason = "the suites of TLS 1.3 are always on, naming them has no effect"
        yield ("tls_server_config", "cipher_suites"), reason
    if len(tls.curve_preferences) > 1:
        reason = "has no effect, this server can be told one curve"
        yield ("tls_server_config", "curve_preferences"), reason
    if form.http_server_config.http2:
        yield ("http_server_config", "http2"), "has no effect, this server speaks HTTP/1.1"
    if form.rate_limit.interval and not form.rate_limit.burst:
        yield ("rate_limit", "burst"), "is 0, so that no request is let through"


def _headers(given: Mapping[str, str], wrong: list[Finding]) -> Headers:
    """The headers of every answer."""
    headers = []
    for name, value in given.items():
        allowed, reason = _HEADERS.get(name), ""
        if allowed is None:
            reason = f"cannot be set; only {', '.join(_HEADERS)} can"
        elif value and allowed and value not in allowed:
            reason = f"must be {' or '.join(allowed)}"
        elif not (value.isascii() and (value.isprintable() or not value)):
            reason = "must be one line of printable ASCII"
        if reason:
            wrong.append((("http_server_config", "headers", name), reason))
        elif value:
            headers.append((name.lower().encode(), value.encode()))
    return tuple(headers)
