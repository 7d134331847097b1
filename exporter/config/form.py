"""The form of the YAML: which keys there are and what each may hold, one by one.

Every key of an operation is optional here, so that one wrong key does not hide what is
wrong with the others; what must be there is asked for in `meaning`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from exporter.config.fields import (
    Country,
    Duration,
    Hours,
    LabelName,
    Name,
    Percent,
    Proxy,
    Server,
    SkillId,
    SkillName,
    Text,
    Threshold,
    Token,
    Url,
    Variable,
    Zone,
)
from exporter.config.values import LABEL_PATTERN

LIST_TAG, WORD_TAG = "<list>", "<word>"


def _list_or_word(value: object) -> str:
    return WORD_TAG if isinstance(value, str) else LIST_TAG


class Form(BaseModel):
    """Strict and closed: what is not described here is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        defer_build=True,  # only those that are asked to read something: a start waits for it
    )


class SkillForm(Form):
    """One skill to poll."""

    id: SkillId = Field(
        description="The number of the skill, or `all` for the operation as a whole.",
        examples=[4173, "all"],
    )
    name: SkillName | None = Field(
        None,
        description="The label `skill`.",
        json_schema_extra={"x-default": "the id"},
        examples=["Ventas"],
    )
    interval: Duration | None = Field(
        None,
        description="How often this skill is polled, where not as often as the operation.",
        json_schema_extra={"x-default": "that of the operation"},
        examples=["15m"],
    )


class ServiceLevelForm(Form):
    """Answer so many within so many seconds."""

    within: Threshold = Field(
        description="The threshold: 10s, 20s or 30s; Wolkvox measures no other.",
        examples=["20s"],
    )
    target: Percent = Field(description="At least so many percent.", examples=["80%"])


class AbandonmentForm(Form):
    """Lose no more than so many."""

    max: Percent = Field(description="At most so many percent.", examples=["5%"])


class AsaForm(Form):
    """Answer within so long on average."""

    max: Duration = Field(description="At most so long.", examples=["30s"])


class SlaForm(Form):
    """Targets for some channels and skills; later entries override earlier ones, key by key."""

    channels: list[SkillName] | None = Field(
        None,
        description="The channels (`type_interaction`) that it is for.",
        json_schema_extra={"x-default": "every channel"},
        examples=[["inbound"]],
        min_length=1,
    )
    skills: list[SkillId] | None = Field(
        None,
        description="The ids of the skills that it is for.",
        json_schema_extra={"x-default": "every skill"},
        examples=[[4173]],
        min_length=1,
    )
    service_level: ServiceLevelForm | None = Field(
        None,
        description="The least share of interactions to answer in time.",
        examples=[{"within": "20s", "target": "80%"}],
    )
    abandonment: AbandonmentForm | None = Field(
        None, description="The largest share to be abandoned.", examples=[{"max": "5%"}]
    )
    asa: AsaForm | None = Field(
        None, description="The longest average speed of answer.", examples=[{"max": "30s"}]
    )
    min_interactions: int | None = Field(
        None,
        description="Fewer interactions in 30 minutes raise no alert on a ratio.",
        json_schema_extra={"default": 20},
        examples=[20],
        ge=0,
    )
    hours: Hours | None = Field(
        None,
        description="When the targets hold, in the notation of OpenStreetMap's opening_hours"
        " and in the operation's time zone.",
        json_schema_extra={"x-default": "always"},
        examples=["Mo-Fr 07:00-19:00; Sa 08:00-13:00; PH off"],
    )
    country: Country | None = Field(
        None, description="Whose public holidays `PH` in `hours` means.", examples=["CO"]
    )


class DefaultsForm(Form):
    """What the operations of the same file have in common."""

    timezone: Zone | None = Field(
        None,
        description="The IANA time zone in which the operation's day begins and ends.",
        json_schema_extra={"default": "America/Bogota"},
        examples=["America/Lima"],
    )
    interval: Duration | None = Field(
        None,
        description="How often each skill is polled: 5m to 1h (from 1s where the URL is a"
        " loopback address).",
        json_schema_extra={"default": "5m"},
        examples=["5m", "300s", "1h"],
    )
    timeout: Duration | None = Field(
        None,
        description="How long one request may take in all: 1s to 10m (from 100ms where the"
        " URL is a loopback address).",
        json_schema_extra={"default": "60s"},
        examples=["60s"],
    )
    stale_after: Duration | None = Field(
        None,
        description="How long after its last success the series of a skill vanish: longer"
        " than `interval`.",
        json_schema_extra={"x-default": "3 x interval"},
        examples=["15m"],
    )
    daily_requests: int | None = Field(
        None,
        description="The calls a day that the licence allows (1,000 for each licence): a hard"
        " ceiling. The interval is stretched until the day's calls fit.",
        json_schema_extra={"x-default": "no ceiling"},
        examples=[1000],
        ge=1,
    )
    poll_hours: Hours | None = Field(
        None,
        description="When to poll, in the notation of OpenStreetMap's opening_hours; outside"
        " only the call that closes the day is made.",
        json_schema_extra={"x-default": "always"},
        examples=["Mo-Sa 06:00-22:00"],
    )
    labels: dict[LabelName, Text] | None = Field(
        None,
        description="More labels for `wolkvox_operation_info`. Those of an operation are added"
        " to those of the defaults, label by label.",
        json_schema_extra={"x-default": "none", "propertyNames": {"pattern": LABEL_PATTERN}},
        examples=[{"client": "acme-bank", "site": "bogota"}],
    )
    ca_file: Text | None = Field(
        None,
        description="A PEM file with the certificates of a private CA; relative to this file."
        " Chain and name are verified, but the CA may lack what Python 3.13 asks of public"
        " ones.",
        json_schema_extra={"x-default": "the well-known CAs"},
        examples=["/etc/ssl/corp.pem"],
    )
    proxy: Proxy | None = Field(
        None,
        description="The URL of an http or https proxy; its password is never shown. Without"
        " it `HTTPS_PROXY` or `ALL_PROXY` counts, but for the names, addresses and networks in"
        " `NO_PROXY`.",
        json_schema_extra={"x-default": "the usual environment variables"},
        examples=["http://proxy.example:3128"],
    )
    shard: int | None = Field(
        None,
        description="Which of several exporters polls it, from 0, where they divide the"
        " operations (`--shard.total` above 1). Operations of one server stay together.",
        json_schema_extra={"x-default": "by a hash of the server"},
        examples=[0],
        ge=0,
    )
    token_info: bool | None = Field(
        None,
        description="Ask for the state of the token once an hour: 24 calls a day more.",
        json_schema_extra={"default": False},
        examples=[True],
    )
    skills: (
        Annotated[
            Annotated[list[SkillForm], Field(min_length=1), Tag(LIST_TAG)]
            | Annotated[Literal["discover"], Tag(WORD_TAG)],
            Discriminator(_list_or_word),
        ]
        | None
    ) = Field(
        None,
        description="The skills to poll, or `discover`: ask Wolkvox for them, again once a day"
        " (this does not add `all`).",
        examples=[[{"id": 4173, "name": "Ventas"}], "discover"],
    )
    sla: list[SlaForm] | None = Field(
        None,
        description="Targets and opening hours. The list of an operation replaces that of the"
        " defaults.",
        json_schema_extra={"x-default": "no targets"},
        examples=[[{"channels": ["inbound"], "asa": {"max": "30s"}}]],
    )


class OperationForm(DefaultsForm):
    """One operation: one Wolkvox server and one token."""

    name: Name = Field(
        "", description="The label `operation`; unique over all files.", examples=["acme"]
    )
    server: Server | None = Field(
        None,
        description="The four digits of the Wolkvox server, in quotes, or wv0013. It means"
        " `https://wv0013.wolkvox.com/api/v2/`.",
        examples=["0013", "wv0013"],
    )
    url: Url | None = Field(
        None,
        description="The base URL instead of `server`: https, or http to a loopback address.",
        examples=["https://wv0013.wolkvox.com/api/v2/"],
    )
    token_file: Text | None = Field(
        None,
        description="The file that holds the token, read before each request; relative to this"
        " file.",
        examples=["/run/secrets/acme"],
    )
    token_env: Variable | None = Field(
        None,
        description="The environment variable that holds the token.",
        examples=["ACME_TOKEN"],
    )
    token: Token | None = Field(
        None,
        description="The token itself. A file keeps it out of this text, and can be changed"
        " without a restart.",
    )


class FileForm(Form):
    """One configuration file."""

    defaults: DefaultsForm | None = Field(
        None,
        description="What the operations of this file have in common: any key of an operation"
        " but `name`, `server`, `url` and `token*`.",
    )
    operations: list[OperationForm] = Field(
        description="The operations to poll, each with its server and its token.", min_length=1
    )


OPERATION_ONLY = frozenset(OperationForm.model_fields) - frozenset(DefaultsForm.model_fields)
