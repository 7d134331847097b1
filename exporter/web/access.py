"""Who may read it: the web configuration file, in the format of Prometheus' exporter-toolkit.

File -> checked, ready settings; all problems at once. What the format knows and this server
cannot do is refused by name, so that nobody believes in a protection that is not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
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

from exporter.config.invalid import did_you_mean
from exporter.config.yamlfile import is_plain_key, read_yaml
from exporter.errors import ConfigError, Problem
from exporter.web.settings import RateLimit, Sections, WebConfig, shown_user, stamp

__all__ = ["RateLimit", "WebConfig", "load_web_config"]


class _Form(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_null(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a key without a value as empty: it may be a variable that was not filled in."""
        if value is None and info.field_name is not None:
            field = cls.model_fields[info.field_name]
            return "" if field.annotation is str else field.default
        return value


class TlsForm(_Form):
    """The section `tls_server_config`."""

    cert: str = ""
    key: SecretStr = SecretStr("")
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_auth_type: str = ""
    client_ca_file: str = ""
    client_allowed_sans: list[str] = []
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: list[str] = []
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: list[str] = []


class HttpForm(_Form):
    """The section `http_server_config`."""

    http2: StrictBool = False
    headers: dict[str, str] = {}


class RateForm(_Form):
    """The section `rate_limit`."""

    interval: str = "0"
    burst: Annotated[StrictInt, Field(ge=0)] = 0


class WebForm(_Form):
    """The whole file."""

    tls_server_config: TlsForm = TlsForm()
    http_server_config: HttpForm = HttpForm()
    basic_auth_users: dict[str, SecretStr] = {}
    rate_limit: RateForm = RateForm()

    @field_validator("basic_auth_users", mode="before")
    @classmethod
    def _read_null_hashes(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: "" if hashed is None else hashed for name, hashed in value.items()}


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file and the files it names; ConfigError lists all problems."""
    files = {path: stamp(path)}
    document = read_yaml(path)
    problems = [
        document.problem(loc, "stands twice", line) for loc, line in document.duplicates
    ]
    form = _read_form(document.value, problems)
    sections = Sections(path.parent, problems)
    config = WebConfig(
        tls=sections.tls(form.tls_server_config),
        users=sections.users(form),
        headers=sections.headers(form.http_server_config),
        rate_limit=sections.rate_limit(form.rate_limit),
        files=files | sections.files,
        warnings=tuple(sections.warnings),
    )
    if problems:
        raise ConfigError(problems)
    return config


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
            _drop(raw, error["loc"])
    return WebForm.model_validate(raw)


def _drop(value: dict[str, Any], place: tuple[int | str, ...]) -> None:
    """Take out what does not fit (a key of a section, or a section): the rest is judged on."""
    outer, *inner = map(str, place)
    if inner and outer in WebForm.model_fields:
        value[outer].pop(inner[0], None)
    else:
        value.pop(outer, None)


def _place(place: tuple[int | str, ...]) -> str:
    if place[:1] == ("basic_auth_users",) and len(place) > 1:
        return f"basic_auth_users.{shown_user(str(place[1]))}"
    return ".".join(
        str(part) if isinstance(part, int) or is_plain_key(part) else "(key)" for part in place
    )


_SECTIONS: dict[str, type[_Form]] = {
    "tls_server_config": TlsForm,
    "http_server_config": HttpForm,
    "rate_limit": RateForm,
}


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        *section, key = map(str, error["loc"])
        known = (_SECTIONS[section[0]] if section else WebForm).model_fields
        return (
            f"is not a known key{did_you_mean(key, list(known)) if is_plain_key(key) else ''}"
        )
    return {
        "string_type": "must be text: write it in quotes",
        "bool_type": "must be true or false",
        "int_type": "must be a whole number",
        "greater_than_equal": "must be 0 or more",
        "list_type": "must be a list",
        "dict_type": "must be a mapping (key: value)",
        "model_type": "must be a mapping (key: value)",
    }.get(error["type"], "cannot be used")
