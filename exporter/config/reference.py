"""What keys.toml says of each key: as tables for people, and as a JSON Schema for editors.

python -m exporter.config.reference docs/configuration.md    rewrites its tables in place
python -m exporter.config.reference docs/wolkvox.schema.json writes the schema
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from exporter.config.invalid import HOLDERS, as_yaml, keys
from exporter.config.model import ADDRESS_KEYS, OWN_KEYS, TOKEN_KEYS, Operation
from exporter.config.yamlfile import plain

BEGIN, END = "<!-- keys: begin (generated) -->\n", "<!-- keys: end -->\n"
_TITLES = {
    "Defaults": "Defaults",
    "Operation": "Operation",
    "Skill": "Skill",
    "SlaEntry": "Targets",
    "ServiceLevel": "Service level",
    "Abandonment": "Abandonment",
    "Asa": "Average speed of answer",
}


def tables() -> str:
    """Return the reference as Markdown: a table of key, default and meaning for each model."""
    said = keys()
    own = {key: said["Operation"][key] for key in OWN_KEYS}
    shared = {key: one for key, one in said["Operation"].items() if key not in OWN_KEYS}
    nested = {
        f"{key}.{inner}": one
        for (holder, key), model in HOLDERS.items()
        if holder == "SlaEntry"
        for inner, one in said[model].items()
    }
    return "\n".join(
        _table(title, rows)
        for title, rows in (
            ("The file", said["File"]),
            ("`operations[]`: what only an operation has", own),
            ("`operations[]` and `defaults`", shared),
            ("`skills[]`", said["Skill"]),
            ("`sla[]`", {**said["SlaEntry"], **nested}),
        )
    )


def _table(title: str, rows: dict[str, dict[str, Any]]) -> str:
    head = f"### {title}\n\n| key | default | meaning |\n|---|---|---|\n"
    for key, one in rows.items():
        example = f" Example: `{as_yaml(one['example'])}`." if "example" in one else ""
        head += f"| `{key}` | {one.get('default', '')} | {one['text']}{example} |\n"
    return head


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one file."""
    operation = Operation.model_json_schema(ref_template="#/$defs/{model}")
    models = {**operation.pop("$defs"), "Operation": operation}
    for name, model in models.items():
        own = model["properties"]
        model["properties"] = {
            key: _property(own[key], one) for key, one in keys()[name].items()
        }
    operation["properties"]["labels"]["additionalProperties"] = False
    skills = operation["properties"]["skills"]
    listed = {"type": "array", "minItems": 1, "items": skills.pop("items")}
    del skills["type"]
    skills["anyOf"] = [listed, {"const": "discover"}]
    operation["required"] = ["name"]
    operation["allOf"] = [
        {"oneOf": [{"required": [key]} for key in choice]}
        for choice in (ADDRESS_KEYS, TOKEN_KEYS)
    ]
    shared = {k: v for k, v in operation["properties"].items() if k not in OWN_KEYS}
    models["Defaults"] = {
        "type": "object",
        "description": "What the operations of the same file have in common.",
        "properties": shared,
        "additionalProperties": False,
    }
    file = keys()["File"]
    references: dict[str, dict[str, Any]] = {
        "defaults": {"$ref": "#/$defs/Defaults"},
        "operations": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Operation"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wolkvox-exporter configuration",
        "type": "object",
        "properties": {key: _property(references[key], one) for key, one in file.items()},
        "additionalProperties": False,
        "required": ["operations"],
        "$defs": {name: {**models[name], "title": title} for name, title in _TITLES.items()},
    }


def _property(made: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Add what is said of a key to its type; drop titles, null and Python's own default."""
    choices = [one for one in made.get("anyOf", []) if one != {"type": "null"}]
    kept = {k: v for k, v in made.items() if k not in {"title", "default", "anyOf"}}
    if len(choices) == 1:
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    default, text = said.get("default", ""), said["text"]
    if re.fullmatch("`[^`]+`", default):
        kept["default"] = plain(default.strip("`"))
    elif default and default != "required" and "`" not in default:
        text += f" Default: {default}."
    examples = {"examples": [said["example"]]} if "example" in said else {}
    return {**kept, "description": text, **examples}


def schema_text() -> str:
    """Return the schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def rewrite(page: str) -> str:
    """Return the page with the tables of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables()}{END}{after}"


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        made = schema_text() if file.suffix == ".json" else rewrite(file.read_text("utf-8"))
        file.write_text(made, encoding="utf-8")
