"""The types of the configuration's keys: how one is read, and how editors are told."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, SecretStr, WithJsonSchema

from exporter.config import addresses, hours, values
from exporter.config.tokens import clean_token


def _token(value: object) -> SecretStr:
    return SecretStr(clean_token(values.text(value)))


def _proxy(value: object) -> SecretStr:
    return SecretStr(addresses.proxy(value))


def _string(pattern: str | None = None, **more: object) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", **more}
    return WithJsonSchema({**schema, "pattern": pattern} if pattern else schema)


Text = Annotated[str, BeforeValidator(values.text), _string(minLength=1)]
Duration = Annotated[float, BeforeValidator(values.duration), _string(values.DURATION_PATTERN)]
Percent = Annotated[float, BeforeValidator(values.percent), _string(values.PERCENT_PATTERN)]
Hours = Annotated[str, BeforeValidator(hours.hours), _string(minLength=1)]
LabelName = Annotated[str, BeforeValidator(values.label_name)]
SkillId = Annotated[
    str,
    BeforeValidator(values.skill_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": values.SKILL_ID_PATTERN},
            ]
        }
    ),
]
SkillName = Annotated[
    str, BeforeValidator(values.skill_name), _string(minLength=1, maxLength=128)
]
Threshold = Annotated[
    float, BeforeValidator(values.threshold), WithJsonSchema({"enum": ["10s", "20s", "30s"]})
]
Country = Annotated[str, BeforeValidator(hours.country), _string("^[A-Z]{2}$")]
Zone = Annotated[ZoneInfo, BeforeValidator(values.timezone), _string(minLength=1)]
Proxy = Annotated[SecretStr, BeforeValidator(_proxy), _string("^[hH][tT][tT][pP][sS]?://")]
Name = Annotated[str, BeforeValidator(values.operation_name), _string(values.NAME_PATTERN)]
Server = Annotated[
    addresses.Endpoint, BeforeValidator(addresses.server), _string(addresses.SERVER_PATTERN)
]
Url = Annotated[
    addresses.Endpoint, BeforeValidator(addresses.url), _string("^[hH][tT][tT][pP][sS]?://")
]
Variable = Annotated[str, BeforeValidator(values.variable), _string(values.VARIABLE_PATTERN)]
Token = Annotated[SecretStr, BeforeValidator(_token), _string(minLength=1, writeOnly=True)]
