"""The form of the configuration as tables for docs/configuration.md; explains no concept.

Rewrite the tables in place: python -m exporter.config.reference docs/configuration.md
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from exporter.config.form import (
    OPERATION_ONLY,
    AbandonmentForm,
    AsaForm,
    DefaultsForm,
    FileForm,
    Form,
    OperationForm,
    ServiceLevelForm,
    SkillForm,
    SlaForm,
)

BEGIN, END = "<!-- keys: begin (generated) -->\n", "<!-- keys: end -->\n"
# One of each group must be given.
_CHOICES = {
    "server": "`server` or `url`",
    "url": "`server` or `url`",
    "token_file": "one of `token*`",
    "token_env": "one of `token*`",
    "token": "one of `token*`",
}


def tables() -> str:
    """Return the reference as Markdown: a table of key, default and meaning for each form."""
    own = {k: f for k, f in OperationForm.model_fields.items() if k in OPERATION_ONLY}
    parts = [
        _table("The file", FileForm.model_fields),
        _table("`operations[]`: what only an operation has", own),
        _table("`operations[]` and `defaults`", DefaultsForm.model_fields),
        _table("`skills[]`", SkillForm.model_fields),
        _table("`sla[]`", {**SlaForm.model_fields, **_nested()}),
    ]
    return "\n".join(parts)


def _nested() -> dict[str, FieldInfo]:
    """The keys below those of a target, with dots."""
    forms: dict[str, type[Form]] = {
        "service_level": ServiceLevelForm,
        "abandonment": AbandonmentForm,
        "asa": AsaForm,
    }
    return {
        f"{name}.{key}": field
        for name, form in forms.items()
        for key, field in form.model_fields.items()
    }


def _table(title: str, fields: dict[str, FieldInfo]) -> str:
    rows = "".join(_row(key, field) for key, field in fields.items())
    return f"### {title}\n\n| key | default | meaning |\n|---|---|---|\n{rows}"


def _row(key: str, field: FieldInfo) -> str:
    example = f" Example: `{_flow(field.examples[0])}`." if field.examples else ""
    return f"| `{key}` | {_default(key, field)} | {field.description}{example} |\n"


def _default(key: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "x-default" in extra:
        return str(extra["x-default"])
    if isinstance(extra, dict) and "default" in extra:
        return f"`{_flow(extra['default'])}`"
    if field.is_required() or key in {"name", "skills"}:
        return "required"
    return _CHOICES.get(key, "")


def _flow(value: object) -> str:
    """Write an example as it would stand in the file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    needs_quotes = isinstance(value, str) and re.search(r"^0[0-9]+$|: |; ", value)
    return json.dumps(value) if needs_quotes else str(value)


def rewrite(page: str) -> str:
    """Return the page with the tables of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables()}{END}{after}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(rewrite(file.read_text(encoding="utf-8")), encoding="utf-8")
