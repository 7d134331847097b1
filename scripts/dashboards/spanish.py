"""The boards' texts in Spanish, by their English; they stand in spanish.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# Words that are the same in both languages.
SAME = frozenset({"ASA", "ATA", "Skill", "Skills", "no"})
_HERE = Path(__file__)
_MESSAGES = _HERE.parents[2] / "deploy/alertmanager/wolkvox.tmpl"


def alert_titles(language: str) -> dict[str, str]:
    """What each alert is called in messages, by its name."""
    text = _MESSAGES.read_text(encoding="utf-8")
    (part,) = re.findall(
        rf'define "wolkvox.{language}.what" }}}}(.*?){{{{ end }}}}{{{{ end }}}}',
        text,
        re.DOTALL,
    )
    return dict(re.findall(r'eq \. "(\w+)" }}([^{\n]+)', part))


def _alerts() -> dict[str, str]:
    english, spanish = alert_titles("en"), alert_titles("es")
    return {f"{name}: {english[name]}": f"{name}: {spanish[name]}" for name in english}


_TEXTS: dict[str, str] = json.loads(_HERE.with_suffix(".json").read_text(encoding="utf-8"))
SPANISH: Mapping[str, str] = MappingProxyType(
    _TEXTS | {word: word for word in SAME} | _alerts()
)
