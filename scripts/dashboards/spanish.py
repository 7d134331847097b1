"""The boards' texts in Spanish, by their English; they stand in spanish.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# Words that are the same in both languages.
SAME = frozenset({"ASA", "ATA", "Series", "Skill", "Skills", "no"})

_TEXTS: dict[str, str] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
SPANISH: Mapping[str, str] = MappingProxyType(_TEXTS | {word: word for word in SAME})
