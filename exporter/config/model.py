"""The configuration: frozen models whose fields are the keys of the file; reads no file.

Times are seconds, ratios 0-1. `Operation.model_validate` takes the keys of one operation, with
the defaults of its file below them, and judges each key alone; `problems_of` judges what they
mean together, `doubts_of` what is hardly meant. keys.toml says what each key is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool, ValidationInfo
from pydantic.functional_serializers import PlainSerializer, model_serializer
from pydantic.functional_validators import BeforeValidator, PlainValidator, field_validator

from exporter.config import values
from exporter.config.hours import Change, country
from exporter.config.notation import hours, names_holidays, poll_hours
from exporter.config.tokens import TokenSource, clean_token
from exporter.config.values import Invalid, format_duration, format_percent, may_show
from exporter.config.yamlfile import Loc, as_yaml, write_yaml

DEFAULT_MIN_INTERACTIONS = 20
# Licences come with 1,000 requests a day each, and nobody has less than one licence.
UNLICENSED_DAILY_REQUESTS = 1000
SHORTEST_INTERVAL, SHORTEST_LOOPBACK_INTERVAL, LONGEST_INTERVAL = 300.0, 1.0, 3600.0
SHORTEST_TIMEOUT, SHORTEST_LOOPBACK_TIMEOUT, LONGEST_TIMEOUT = 1.0, 0.1, 600.0
ADDRESS_KEYS = ("server", "url")
TOKEN_KEYS = ("token_file", "token_env", "token")
OWN_KEYS = ("name", *ADDRESS_KEYS, *TOKEN_KEYS)
"""The keys that `defaults` may not hold."""
HIDDEN = "<hidden>"
# Mail and social networks, where an answer takes hours, and a target that is too quick there.
SLOW_CHANNELS = {one for one in values.CHANNELS if one.startswith("omni-")} | {"chat-email"}
QUICK_SECONDS = 60

Found = Iterator[tuple[Loc, Invalid]]


# How each kind of value is read, and written out again ------------------------------------


def _skills(value: object) -> object:
    """Read `discover` as no skill at all: a list of skills is never empty."""
    if value == "discover":
        return ()
    if value == []:
        raise Invalid("too_short")
    if isinstance(value, list):
        if "discover" in value or {"id": "discover"} in value:
            raise Invalid("skills_in_list")
        return value
    listed: list[object] = [*value.split(",")] if isinstance(value, str) else [value]
    if isinstance(value, dict) and "id" not in value:
        listed = [{number: name} for number, name in value.items()]
    meant = [values.skill_meant(one) for one in listed]
    example = meant if all(meant) else values.KEYS["Operation"]["skills"]["example"]
    raise Invalid("skills_word", example=as_yaml(example))


def _skill(value: object) -> object:
    """Refuse the short forms of a skill, and say how it is written."""
    whole = isinstance(value, dict) and "id" in value
    if not whole and (meant := values.skill_meant(value)):
        raise Invalid("skill_form", example=as_yaml(meant))
    return value


def _file(value: object, info: ValidationInfo) -> Path:
    """Take the path of a file; the context is the directory that it begins at."""
    return Path(info.context or "", values.text(value))


def _shown(name: str) -> str:
    return name if may_show(name) else HIDDEN


Text = Annotated[str, PlainValidator(values.any_text)]
ShortText = Annotated[str, PlainValidator(values.short_text)]
Duration = Annotated[float, PlainValidator(values.duration), PlainSerializer(format_duration)]
Percent = Annotated[float, PlainValidator(values.percent), PlainSerializer(format_percent)]
Hours = Annotated[str, PlainValidator(hours)]
PollHours = Annotated[str, PlainValidator(poll_hours)]
Country = Annotated[str, PlainValidator(country)]
Date = Annotated[date, PlainValidator(values.calendar_date)]
Threshold = Annotated[int, PlainValidator(values.threshold), PlainSerializer(format_duration)]
Zone = Annotated[ZoneInfo, PlainValidator(values.timezone), PlainSerializer(str)]
SkillId = Annotated[str, PlainValidator(values.skill_id), PlainSerializer(values.skill_number)]
Server = Annotated[
    str,
    PlainValidator(values.server),
    PlainSerializer(lambda base_url: values.server_of(base_url).removeprefix("wv")),
]
# A token may have been pasted in the place of a name.
File = Annotated[
    Path,
    PlainValidator(_file),
    PlainSerializer(lambda file: str(file.absolute().with_name(_shown(file.name)))),
]
Variable = Annotated[str, PlainValidator(values.variable), PlainSerializer(_shown)]
Token = Annotated[
    SecretStr,
    PlainValidator(lambda value: SecretStr(clean_token(values.any_text(value)))),
    PlainSerializer(lambda _: HIDDEN),
]
Proxy = Annotated[
    SecretStr,
    PlainValidator(lambda value: SecretStr(values.proxy(value))),
    PlainSerializer(lambda proxy: re.sub("//.*@", "//", proxy.get_secret_value())),
]
Least0 = Annotated[int, Field(ge=0, strict=True)]
Least1 = Annotated[int, Field(ge=1, strict=True)]


class Model(BaseModel):
    """Closed: what is not described here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return values.given(value)


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill to poll."""

    # No model: skills that Wolkvox lists become one as well, whatever they are called.
    __pydantic_config__ = ConfigDict(extra="forbid")

    id: SkillId
    name: Annotated[ShortText, Field(default_factory=lambda data: data.get("id", ""))]
    interval: Annotated[Duration | None, BeforeValidator(values.given)] = None


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


class Holidays(Model):
    """Days that are public holidays as well, and public holidays that are ordinary days."""

    add: tuple[Date, ...] = ()
    remove: tuple[Date, ...] = ()


class SlaEntry(Model):
    """Targets for some channels and skills; later entries override earlier ones, key by key."""

    channels: Annotated[tuple[ShortText, ...], Field(min_length=1)] | None = None
    skills: Annotated[tuple[SkillId, ...], Field(min_length=1)] | None = None
    service_level: ServiceLevel | None = None
    abandonment: Abandonment | None = None
    asa: Asa | None = None
    min_interactions: Least0 | None = None
    hours: Hours | None = None
    country: Country | None = None
    holidays: Holidays | None = None

    @property
    def has_target(self) -> bool:
        """Whether it says more than hours."""
        return not self.model_fields_set.isdisjoint({"service_level", "abandonment", "asa"})

    @property
    def holiday_change(self) -> Change:
        """Which days it makes public holidays, and which ordinary days."""
        changed = self.holidays or Holidays()
        return frozenset(changed.add), frozenset(changed.remove)


class Operation(Model):
    """One operation: one Wolkvox server and one token."""

    name: Annotated[str, PlainValidator(values.operation_name)] = ""
    own_server: Server | None = Field(None, alias="server")
    url: Annotated[str, PlainValidator(values.url)] | None = None
    token_file: File | None = None
    token_env: Variable | None = None
    token_value: Token | None = Field(None, alias="token")
    timezone: Zone = ZoneInfo("America/Bogota")
    interval: Duration = 300.0
    timeout: Duration = 60.0
    stale_after: Duration = Field(default_factory=lambda data: 3 * data.get("interval", 0))
    daily_requests: Least1 | None = None
    poll_hours: PollHours | None = None
    labels: dict[Annotated[str, PlainValidator(values.label_name)], Text] = {}
    team: ShortText | None = None
    ca_file: File | None = None
    proxy: Proxy | None = None
    token_info: StrictBool = False
    month: StrictBool = True
    shard: Least0 | None = None
    skills: Annotated[
        tuple[Annotated[Skill, BeforeValidator(_skill)], ...], BeforeValidator(_skills)
    ] = ()
    sla: tuple[SlaEntry, ...] = ()

    @property
    def base_url(self) -> str:
        """The address that its requests begin with; it ends with a slash."""
        return self.url or self.own_server or ""

    @property
    def server(self) -> str:
        """Its server as shown to people: `wv0013`, else the host and its port."""
        return values.server_of(self.base_url)

    @property
    def loopback(self) -> bool:
        """Whether its address can only be this machine."""
        return values.is_loopback(values.host_of(self.base_url))

    @property
    def token(self) -> TokenSource:
        """Where its token comes from."""
        return TokenSource(self.token_file, self.token_env, self.token_value)

    @property
    def single_skills(self) -> bool:
        """Whether single skills are polled, alone or beside `all`."""
        return self.discover or any(skill.id != values.ALL_SKILLS for skill in self.skills)

    @property
    def discover(self) -> bool:
        """Whether its skills are those that Wolkvox lists."""
        return not self.skills

    def sla_of(self, skill_id: str, channel: str) -> SlaEntry:
        """Return what holds for a skill and channel: key by key, a later entry overrides.

        Where single skills are polled too, `all` has the entries that name it alone: the others
        would alert twice.
        """
        found: dict[str, Any] = {}
        for entry in self.sla:
            if entry.skills is not None:
                applies = skill_id in entry.skills
            else:
                applies = skill_id != values.ALL_SKILLS or not self.single_skills
            if applies and (entry.channels is None or channel in entry.channels):
                found |= {key: value for key, value in entry if value is not None}
        return SlaEntry.model_construct(**found)

    @model_serializer(mode="wrap")
    def _shown(self, handler: Callable[[Self], dict[str, Any]]) -> dict[str, Any]:
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
    dump = partial(Operation.model_dump, mode="json", by_alias=True, exclude_none=True)
    return write_yaml({"operations": [dump(one) for one in configuration.operations]})


def sla_hours(operation: Operation) -> set[tuple[str, str | None, Change]]:
    """Return the hours that are in force somewhere, with their country and its changes."""
    if not any(entry.hours for entry in operation.sla):
        return set()
    # The empty name stands for every skill or channel that no entry names.
    named = {skill for entry in operation.sla for skill in entry.skills or ()}
    kept = {*named, values.ALL_SKILLS}
    skills = {one.id if one.id in kept else "" for one in operation.skills}
    channels = {one for entry in operation.sla for one in entry.channels or ()} | {""}
    found = [operation.sla_of(*pair) for pair in product(skills or {*named, ""}, channels)]
    return {(one.hours, one.country, one.holiday_change) for one in found if one.hours}


def problems_of(operation: Operation, broken: frozenset[str]) -> Found:
    """Yield what is wrong with keys together; what a broken key would decide is not judged."""
    fields = Operation.model_fields
    present = {fields[name].alias or name for name in operation.model_fields_set}
    for keys in (("name",), ADDRESS_KEYS, TOKEN_KEYS, ("skills",)):
        if broken.isdisjoint(keys):
            given = [key for key in keys if key in present]
            if not given:
                yield (keys[0],), Invalid(f"{keys[0]}_missing")
            for key in given[1:]:
                yield (key,), Invalid(f"{keys[0]}_beside", first=given[0])
    yield from _times(operation, broken)
    yield from _lists(operation, broken)


def _lists(operation: Operation, broken: frozenset[str]) -> Found:
    first: dict[str, int] = {}
    for index, skill in enumerate(operation.skills):
        before = first.setdefault(values.skill_key(skill.id), index)
        if before != index:
            yield ("skills", index, "id"), Invalid("skill_twice", skill=skill.id, first=before)
    if "sla" not in broken:
        in_force = sla_hours(operation) if "skills" not in broken else ()
        homeless = {one[0] for one in in_force if one[1] is None and names_holidays(one[0])}
        for index, entry in enumerate(operation.sla):
            if not entry.model_fields_set - {"channels", "skills"}:
                yield ("sla", index), Invalid("sla_nothing")
            if entry.hours in homeless:
                yield ("sla", index, "hours"), Invalid("sla_holidays")


def _times(operation: Operation, broken: frozenset[str]) -> Found:
    # Where the address is wrong itself, nothing is said of what it would have allowed.
    loopback = not operation.base_url or operation.loopback
    shortest = SHORTEST_LOOPBACK_INTERVAL if loopback else SHORTEST_INTERVAL
    intervals: list[tuple[Loc, float | None]] = [(("interval",), operation.interval)]
    for index, skill in enumerate(operation.skills):
        intervals.append((("skills", index, "interval"), skill.interval))
    short = "interval_loopback" if loopback else "interval_short"
    for loc, seconds in intervals:
        if seconds is not None and not shortest <= seconds <= LONGEST_INTERVAL:
            message = "interval_long" if seconds > LONGEST_INTERVAL else short
            yield loc, Invalid(message, duration=format_duration(seconds))
    if operation.stale_after <= operation.interval > 0 and "interval" not in broken:
        interval = format_duration(operation.interval)
        yield ("stale_after",), Invalid("stale_after", interval=interval)
    least = SHORTEST_LOOPBACK_TIMEOUT if loopback else SHORTEST_TIMEOUT
    if not least <= operation.timeout <= LONGEST_TIMEOUT:
        limits = {"least": format_duration(least), "most": format_duration(LONGEST_TIMEOUT)}
        yield ("timeout",), Invalid("timeout", **limits)


def doubts_of(operation: Operation) -> Found:
    """Yield what is allowed in an operation, but probably not meant."""
    if not (operation.loopback or operation.base_url.endswith("/api/v2/")):
        yield ("url",), Invalid("url_path")
    if offset := re.fullmatch(r"Etc/GMT([-+])([1-9][0-9]*)", operation.timezone.key):
        sign = "-" if offset[1] == "+" else "+"
        yield ("timezone",), Invalid("timezone_etc", offset=f"UTC{sign}{offset[2]}")
    for index, skill in enumerate(operation.skills):
        if re.fullmatch("""[^"]+"|[^']+'""", skill.name):
            yield ("skills", index, "name"), Invalid("quote_stray")
    for index, entry in enumerate(operation.sla):
        for number, channel in enumerate(entry.channels or ()):
            if channel not in {*values.CHANNELS, "unknown"}:  # our own, for an empty one
                loc = ("sla", index, "channels", number)
                hint = values.channel_meant(channel)
                yield loc, Invalid("channel", quoted=channel, nearest=hint)
        if _reaches_slow_channels(operation, index):
            yield ("sla", index), Invalid("channels_missing")


def _reaches_slow_channels(operation: Operation, index: int) -> bool:
    """Return whether a target in seconds holds for mail, which is hardly meant."""
    entry = operation.sla[index]
    asa = entry.asa is not None and entry.asa.max <= QUICK_SECONDS
    quick = {"service_level": entry.service_level is not None, "asa": asa}
    return entry.channels is None and any(
        is_quick
        and not any(
            getattr(later, indicator) is not None
            and (later.skills is None or later.skills == entry.skills)
            and (later.channels is None or set(later.channels) >= SLOW_CHANNELS)
            for later in operation.sla[index + 1 :]
        )
        for indicator, is_quick in quick.items()
    )
