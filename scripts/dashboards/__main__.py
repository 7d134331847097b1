"""Writes the boards: `python -m scripts.dashboards` (see `--help`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.dashboards.boards import board_json, translated, written
from scripts.dashboards.exporter_board import exporter
from scripts.dashboards.overview import overview
from scripts.dashboards.skill import skill
from scripts.dashboards.spanish import SPANISH

FOLDER = Path(__file__).parents[2] / "grafana-dashboards"


def generated() -> Mapping[Path, dict[str, Any]]:
    """Every board by the file it stands in, both languages."""
    english = {made.name: board_json(made) for made in (overview(), skill(), exporter())}
    found = {FOLDER / f"{name}.json": board for name, board in english.items()}
    for name, board in english.items():
        found[FOLDER / "es" / f"{name}.json"] = translated(board, SPANISH)
    return found


def main() -> int:
    """Write the files; with `--check`, tell which would change and exit 1 if any would."""
    stale = 0
    for path, board in generated().items():
        text = written(board)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        sys.stdout.write(f"{path.relative_to(FOLDER.parent)}\n")
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
