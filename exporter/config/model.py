"""The configuration: frozen models whose fields are the keys of the file; reads no file.

Times are seconds, ratios 0-1. `Operation.model_validate` takes the keys of one operation, with
the defaults of its file below them, and judges each key alone; `problems_of` judges what they
mean together. keys.toml says what each key is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    field_validator,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema

from exporter.config import values
from exporter.config.hours import country, hours, names_holidays
from exporter.config.invalid import Invalid, may_show
from exporter.config.tokens import TokenSource, clean_token
from exporter.config.values import Endpoint, format_duration, format_percent, given, skill_key
from exporter.config.yamlfile import Loc, write_yaml

DEFAULT_MIN_INTERACTIONS = 20
# Licences come with 1,000 calls a day each, and nobody has less than one licence.
UNLICENSED_DAILY_REQUESTS = 1000
SHORTEST_INTERVAL, SHORTEST_LOOPBACK_INTERVAL, LONGEST_INTERVAL = 300.0, 1.0, 3600.0
SHORTEST_TIMEOUT, SHORTEST_LOOPBACK_TIMEOUT, LONGEST_TIMEOUT = 1.0, 0.1, 600.0
ADDRESS_KEYS = ("server", "url")
TOKEN_KEYS = ("token_file", "token_env", "token")
OWN_KEYS = ("name", *ADDRESS_KEYS, *TOKEN_KEYS)
"""The keys that `defaults` may not hold."""
HIDDEN = "<hidden>"

Found = Iterator[tuple[Loc, Invalid]]


class Read:
    """How a value is read, how it is written out (as it is, if not said), its JSON schema."""

    def __init__(
        self,
        read: Callable[[Any], object],
        write: Callable[[Any], object] | None = None,
        **schema: object,
    ) -> None:
        self._read, self._write = read, write
        self._schema = (
            schema if "enum" in schema or "anyOf" in schema else {"type": "string", **schema}
        )

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        write = self._write and core_schema.plain_serializer_function_ser_schema(self._write)
        return core_schema.no_info_plain_validator_function(self._read, serialization=write)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        return dict(self._schema)


def _poll_hours(value: object) -> str:
    expression = hours(value)
    if names_holidays(expression):
        raise Invalid("poll_hours_holidays")
    return expression


def _skills(value: object) -> object:
    """Read `discover` as no skill at all: a list of skills is never empty."""
    if isinstance(value, str) and value != "discover":
        raise Invalid("skills_word")
    if value in ([], ["discover"]):
        raise Invalid("skills_in_list" if value else "too_short")
    return () if value == "discover" else value


def _shown_file(file: Path) -> str:
    """Return the absolute path, without a token that was pasted in place of a name."""
    file = file.absolute()
    return str(file if may_show(file.name) else file.parent / HIDDEN)


Text = Annotated[str, Read(values.text, minLength=1)]
Duration = Annotated[
    float, Read(values.duration, format_duration, pattern=values.DURATION_PATTERN)
]
Percent = Annotated[float, Read(values.percent, format_percent, pattern=values.PERCENT_PATTERN)]
Threshold = Annotated[int, Read(values.threshold, format_duration, enum=["10s", "20s", "30s"])]
Zone = Annotated[ZoneInfo, Read(values.timezone, str, minLength=1)]
Hours = Annotated[str, Read(hours, minLength=1)]
PollHours = Annotated[str, Read(_poll_hours, minLength=1)]
Country = Annotated[str, Read(country, pattern="^[A-Z]{2}$")]
Name = Annotated[str, Read(values.operation_name, pattern=values.NAME_PATTERN)]
LabelName = Annotated[str, Read(values.label_name, pattern=values.LABEL_PATTERN)]
SkillName = Annotated[str, Read(values.skill_name, minLength=1, maxLength=128)]
SkillId = Annotated[
    str,
    Read(
        values.skill_id,
        lambda skill: int(skill) if re.fullmatch("0|[1-9][0-9]*", skill) else skill,
        anyOf=[
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": values.SKILL_ID_PATTERN},
        ],
    ),
]
Server = Annotated[
    Endpoint,
    Read(
        values.server,
        lambda endpoint: endpoint.server.removeprefix("wv"),
        pattern=values.SERVER_PATTERN,
    ),
]
Url = Annotated[
    Endpoint,
    Read(values.url, lambda endpoint: endpoint.base_url, pattern=values.URL_PATTERN),
]
Proxy = Annotated[
    SecretStr,
    Read(
        lambda value: SecretStr(values.proxy(value)),
        lambda proxy: re.sub(r"//.*@", "//", proxy.get_secret_value()),
        pattern=values.URL_PATTERN,
    ),
]
Token = Annotated[
    SecretStr,
    Read(
        lambda value: SecretStr(clean_token(values.text(value))),
        lambda _: HIDDEN,
        minLength=1,
        writeOnly=True,
    ),
]
Variable = Annotated[
    str,
    Read(
        values.variable,
        lambda name: name if may_show(name) else HIDDEN,
        pattern=values.VARIABLE_PATTERN,
    ),
]
File = Annotated[Path, Read(lambda value: Path(values.text(value)), _shown_file, minLength=1)]
Least0 = Annotated[StrictInt, Field(ge=0)]
Least1 = Annotated[StrictInt, Field(ge=1)]


class Model(BaseModel):
    """Closed: what is not described here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return given(value)


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill to poll."""

    # No model: skills that Wolkvox lists become one as well, whatever they are called.
    __pydantic_config__ = ConfigDict(extra="forbid")

    id: SkillId
    name: Annotated[SkillName, Field(default_factory=lambda data: data.get("id", ""))]
    interval: Annotated[Duration | None, BeforeValidator(given)] = None


class ServiceLevel(Model):
    """Answer so many within so many seconds."""

    within: Threshold
    target: Percent


class Abandonment(Model):
    """Lose no more than so many."""

    max: Percent


class Asa(Model):
    """Answer within so long on average."""

    max: Duration


class SlaEntry(Model):
    """Targets for some channels and skills; later entries override earlier ones, key by key."""

    channels: Annotated[tuple[SkillName, ...], Field(min_length=1)] | None = None
    skills: Annotated[tuple[SkillId, ...], Field(min_length=1)] | None = None
    service_level: ServiceLevel | None = None
    abandonment: Abandonment | None = None
    asa: Asa | None = None
    min_interactions: Least0 | None = None
    hours: Hours | None = None
    country: Country | None = None

    @property
    def abandonment_max(self) -> float | None:
        """The largest share to be abandoned."""
        return self.abandonment.max if self.abandonment else None

    @property
    def asa_max(self) -> float | None:
        """The longest average speed of answer, in seconds."""
        return self.asa.max if self.asa else None


class Operation(Model):
    """One operation: one Wolkvox server and one token."""

    name: Name = ""
    own_server: Server | None = Field(None, alias="server")
    url: Url | None = None
    token_file: File | None = None
    token_env: Variable | None = None
    token_value: Token | None = Field(None, alias="token")
    timezone: Zone = ZoneInfo("America/Bogota")
    interval: Duration = 300.0
    timeout: Duration = 60.0
    stale_after: Duration = Field(default_factory=lambda data: 3 * data.get("interval", 0))
    daily_requests: Least1 | None = None
    poll_hours: PollHours | None = None
    labels: dict[LabelName, Text] = {}
    ca_file: File | None = None
    proxy: Proxy | None = None
    token_info: StrictBool = False
    shard: Least0 | None = None
    skills: Annotated[tuple[Skill, ...], BeforeValidator(_skills)] = ()
    sla: tuple[SlaEntry, ...] = ()

    @property
    def _endpoint(self) -> Endpoint:
        return cast("Endpoint", self.url or self.own_server)  # one is there: `problems_of`

    @property
    def base_url(self) -> str:
        """The address that its requests begin with; it ends with a slash."""
        return self._endpoint.base_url

    @property
    def server(self) -> str:
        """Its host as shown to people."""
        return self._endpoint.server

    @property
    def loopback(self) -> bool:
        """Whether its address can only be this machine."""
        return self._endpoint.loopback

    @property
    def token(self) -> TokenSource:
        """Where its token comes from."""
        return TokenSource(self.token_file, self.token_env, self.token_value)

    @property
    def discover(self) -> bool:
        """Whether its skills are those that Wolkvox lists."""
        return not self.skills

    @model_serializer(mode="wrap")
    def _shown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is empty, and a token's value where its place is shown."""
        shown = {key: value for key, value in handler(self).items() if value not in ({}, [])}
        if self.token_env is not None:
            shown.pop("token", None)
        return shown if self.skills else {**shown, "skills": "discover"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """All operations, what to warn about, and who shares a token.

    `shared_tokens`: names of operations that had the same token when it was loaded, one
    tuple for each token that more than one operation uses.
    """

    operations: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()
    shared_tokens: tuple[tuple[str, ...], ...] = ()


def redacted(configuration: Configuration) -> str:
    """Write the operations in force as YAML, without a secret and with every default.

    A token is named by the place it comes from, a proxy loses its user and password. Where
    tokens come from files or the environment and no proxy has a password, the result is
    itself a configuration with the same meaning.
    """
    operations = [
        operation.model_dump(mode="json", by_alias=True, exclude_none=True)
        for operation in configuration.operations
    ]
    return write_yaml({"operations": operations})


def problems_of(operation: Operation, broken: frozenset[str]) -> Found:
    """Yield what is wrong with keys that are right one by one.

    What depends on a key that is broken, and left out, is not judged.
    """
    written = {field.alias or name: name for name, field in Operation.model_fields.items()}
    present = {key for key, name in written.items() if name in operation.model_fields_set}
    for key in {"name", "skills"} - present - broken:
        yield (key,), Invalid(f"{key}_missing")
    for keys in (ADDRESS_KEYS, TOKEN_KEYS):
        if broken.isdisjoint(keys):
            yield from _one_of(keys, present)
    yield from _times(operation, broken)
    yield from _skill_ids(operation)
    if "sla" not in broken:
        yield from _targets(operation)


def _one_of(keys: tuple[str, ...], present: set[str]) -> Found:
    given_ = [key for key in keys if key in present]
    if not given_:
        yield (keys[0],), Invalid(f"{keys[0]}_missing")
    for key in given_[1:]:
        yield (key,), Invalid(f"{keys[0]}_beside", first=given_[0])


def _times(operation: Operation, broken: frozenset[str]) -> Found:
    # Where the address is wrong itself, nothing is said of what it would have allowed.
    known = operation.url or operation.own_server
    loopback = known is None or known.loopback
    if "interval" not in broken:
        yield from _interval(operation.interval, ("interval",), loopback)
        if operation.stale_after <= operation.interval and "stale_after" not in broken:
            interval = format_duration(operation.interval)
            yield ("stale_after",), Invalid("stale_after", interval=interval)
    shortest = SHORTEST_LOOPBACK_TIMEOUT if loopback else SHORTEST_TIMEOUT
    if not shortest <= operation.timeout <= LONGEST_TIMEOUT:
        limits = {"least": format_duration(shortest), "most": format_duration(LONGEST_TIMEOUT)}
        yield ("timeout",), Invalid("timeout", **limits)
    for index, skill in enumerate(operation.skills):
        if skill.interval is not None:
            yield from _interval(skill.interval, ("skills", index, "interval"), loopback)


def _interval(seconds: float, loc: Loc, loopback: bool) -> Found:
    if seconds > LONGEST_INTERVAL:
        yield loc, Invalid("interval_long", duration=format_duration(seconds))
    elif seconds < (SHORTEST_LOOPBACK_INTERVAL if loopback else SHORTEST_INTERVAL):
        message = "interval_loopback" if loopback else "interval_short"
        yield loc, Invalid(message, duration=format_duration(seconds))


def _skill_ids(operation: Operation) -> Found:
    first: dict[str, int] = {}
    for index, skill in enumerate(operation.skills):
        before = first.setdefault(skill_key(skill.id), index)
        if before != index:
            yield ("skills", index, "id"), Invalid("skill_twice", skill=skill.id, first=before)


def _targets(operation: Operation) -> Found:
    known = any(entry.country for entry in operation.sla)
    for index, entry in enumerate(operation.sla):
        if not entry.model_fields_set - {"channels", "skills"}:
            yield ("sla", index), Invalid("sla_nothing")
        if entry.hours is not None and not known and names_holidays(entry.hours):
            yield ("sla", index, "hours"), Invalid("sla_holidays")
