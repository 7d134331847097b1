"""The form of the configuration as a JSON Schema for editors; validates nothing itself.

Regenerate the committed file: python -m exporter.config.schema > docs/wolkvox.schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from exporter.config.form import FileForm

_TITLES = {
    "FileForm": "wolkvox-exporter configuration",
    "DefaultsForm": "Defaults",
    "OperationForm": "Operation",
    "SkillForm": "Skill",
    "SlaForm": "Targets",
    "ServiceLevelForm": "Service level",
    "AbandonmentForm": "Abandonment",
    "AsaForm": "Average speed of answer",
}


def schema() -> dict[str, Any]:
    """Return the schema of one file, with what is required of an operation beside its keys."""
    made = FileForm.model_json_schema()
    definitions = made.pop("$defs")
    for name, definition in definitions.items():
        _tidy(definition)
        definition["title"] = _TITLES[name]
    _tidy(made)
    operation = definitions["OperationForm"]
    own = ("name", "server", "url", "token_file", "token_env", "token")
    keys = operation["properties"]
    operation["properties"] = {key: keys[key] for key in (*own, *keys)}
    operation["required"] = ["name"]
    operation["allOf"] = [_exactly_one("server", "url"), _exactly_one(*own[3:])]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": _TITLES["FileForm"],
        "$defs": definitions,
    }


def _exactly_one(*keys: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [key]} for key in keys]}


def _tidy(definition: dict[str, Any]) -> None:
    """Drop what pydantic adds for Python: titles made of names, null, and default null."""
    for key in definition["properties"].values():
        key.pop("title", None)
        choices = [choice for choice in key.pop("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            key.update({**choices[0], **key})
        elif choices:
            key["anyOf"] = choices
        if key.get("default", 0) in (None, ""):
            del key["default"]
        if "x-default" in key:
            key["description"] += f" Default: {key.pop('x-default')}."


def text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
