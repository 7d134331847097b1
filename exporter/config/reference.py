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

from exporter.config import model
from exporter.config.model import ADDRESS_KEYS, OWN_KEYS, TOKEN_KEYS
from exporter.config.values import CHANNELS, KEYS, TYPES
from exporter.config.yamlfile import as_yaml, plain

BEGIN, END = "<!-- keys: begin (generated) -->\n", "<!-- keys: end -->\n"


def tables() -> str:
    """Return the reference as Markdown: a table of keys for each model, and the channels."""
    own = {key: KEYS["Operation"][key] for key in OWN_KEYS}
    shared = {key: one for key, one in KEYS["Operation"].items() if key not in OWN_KEYS}
    nested = {
        f"{key}.{inner}": row
        for key, one in KEYS["SlaEntry"].items()
        for inner, row in KEYS.get(one["type"], {}).items()
    }
    channels = "".join(f"| `{name}` | {what} |\n" for name, what in CHANNELS.items())
    page = ""
    for title, rows in (
        ("The file", KEYS["File"]),
        ("`operations[]`: what only an operation has", own),
        ("`operations[]` and `defaults`", shared),
        ("`skills[]`", KEYS["Skill"]),
        ("`sla[]`", {**KEYS["SlaEntry"], **nested}),
    ):
        page += f"### {title}\n\n| key | default | meaning |\n|---|---|---|\n"
        for key, one in rows.items():
            example = f" Example: `{as_yaml(one['example'])}`." if "example" in one else ""
            page += f"| `{key}` | {one.get('default', '')} | {one['text']}{example} |\n"
        page += "\n"
    return f"{page}### Channels\n\n| channel | what it is |\n|---|---|\n{channels}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one file."""
    shared = {key: one for key, one in KEYS["Operation"].items() if key not in OWN_KEYS}
    described = {
        name: {"description": getattr(model, name).__doc__, **_object(rows)}
        for name, rows in KEYS.items()
        if name != "File"
    }
    # What the defaults may hold may be missing in an operation.
    described["Operation"]["required"] = ["name"]
    described["Operation"]["allOf"] = [
        {"oneOf": [{"required": [key]} for key in choice]}
        for choice in (ADDRESS_KEYS, TOKEN_KEYS)
    ]
    defaults = "What the operations of the same file have in common."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wolkvox-exporter configuration",
        **_object(KEYS["File"]),
        "$defs": {
            "Defaults": {"description": defaults, **_object(shared), "required": []},
            **described,
        },
    }


def _object(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe a mapping of these keys and no others."""
    return {
        "type": "object",
        "properties": {key: _property(one) for key, one in rows.items()},
        "additionalProperties": False,
        "required": [key for key, one in rows.items() if one.get("default") == "required"],
    }


def _property(said: dict[str, Any]) -> dict[str, Any]:
    """Describe one key."""
    made = _type(said["type"])
    if "or" in said:
        made = {"anyOf": [made, {"const": said["or"]}]}
    default, text = said.get("default", ""), said["text"]
    if re.fullmatch("`[^`]+`", default):
        made["default"] = plain(default.strip("`"))
    elif default and default != "required" and "`" not in default:
        text += f" Default: {default}."
    examples = {"examples": [said["example"]]} if "example" in said else {}
    return {**made, "description": text, **examples}


def _type(name: str) -> dict[str, Any]:
    if name.startswith("["):
        item = name.strip("[]")
        return {"type": "array", "minItems": int(item != "SlaEntry"), "items": _type(item)}
    if name.startswith("{"):
        key, value = map(_type, name.strip("{}").split(": "))
        return {"type": "object", "propertyNames": key, "additionalProperties": value}
    if name == "skill_id":
        return {"anyOf": [{"type": "integer", "minimum": 0}, TYPES[name]]}
    return dict(TYPES[name]) if name in TYPES else {"$ref": f"#/$defs/{name}"}


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
