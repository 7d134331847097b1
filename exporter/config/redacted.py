"""The configuration in force as YAML for people to read: resolved, and without a secret.

A token is named by the place it comes from, a proxy loses its user and password. Every
default is written out. Where tokens come from files or the environment and no proxy has a
password, the result is itself a configuration with the same meaning.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from exporter.config.model import Configuration, Operation, SlaEntry
from exporter.config.tokens import TokenSource
from exporter.config.values import format_duration, may_show

HIDDEN: Final = "<hidden>"
_WOLKVOX = re.compile(r"https://wv([0-9]{4})\.wolkvox\.com/api/v2/")
# libyaml is many times faster, and not in every build of PyYAML.
_DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def redacted(configuration: Configuration) -> str:
    """The operations as YAML, each key as it would be written in the file."""
    operations = [_operation(operation) for operation in configuration.operations]
    text: str = yaml.dump(
        {"operations": operations},
        Dumper=_DUMPER,
        allow_unicode=True,
        sort_keys=False,
        width=100,
    )
    return text


def _operation(operation: Operation) -> dict[str, Any]:
    own = _WOLKVOX.fullmatch(operation.base_url)
    keys = {
        "name": operation.name,
        **({"server": own[1]} if own else {"url": operation.base_url}),
        **_token(operation.token),
        "timezone": str(operation.timezone),
        "interval": format_duration(operation.interval),
        "timeout": format_duration(operation.timeout),
        "stale_after": format_duration(operation.stale_after),
        "daily_requests": operation.daily_requests,
        "poll_hours": operation.poll_hours,
        "labels": dict(operation.labels) or None,
        "ca_file": str(operation.ca_file.absolute()) if operation.ca_file else None,
        "proxy": operation.proxy_shown,
        "token_info": operation.token_info,
        "shard": operation.shard,
        "skills": "discover" if operation.discover else _skills(operation),
        "sla": [_sla(entry) for entry in operation.sla] or None,
    }
    return _given(keys)


def _token(source: TokenSource) -> dict[str, str]:
    if source.file is not None:
        file = source.file.absolute()
        return {"token_file": str(file if may_show(file.name) else file.parent / HIDDEN)}
    if source.variable is not None:
        return {"token_env": source.variable if may_show(source.variable) else HIDDEN}
    return {"token": HIDDEN}


def _skills(operation: Operation) -> list[dict[str, Any]]:
    return [
        _given(
            {
                "id": int(skill.id) if re.fullmatch("0|[1-9][0-9]*", skill.id) else skill.id,
                "name": skill.name,
                "interval": _duration(skill.interval),
            }
        )
        for skill in operation.skills
    ]


def _sla(entry: SlaEntry) -> dict[str, Any]:
    level, abandonment, asa = entry.service_level, entry.abandonment_max, entry.asa_max
    return _given(
        {
            "channels": list(entry.channels) if entry.channels else None,
            "skills": list(entry.skills) if entry.skills else None,
            "service_level": {"within": f"{level.within}s", "target": _percent(level.target)}
            if level
            else None,
            "abandonment": None if abandonment is None else {"max": _percent(abandonment)},
            "asa": None if asa is None else {"max": format_duration(asa)},
            "min_interactions": entry.min_interactions,
            "hours": entry.hours,
            "country": entry.country,
        }
    )


def _given(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value is not None}


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.6f}".rstrip("0").rstrip(".") + "%"
