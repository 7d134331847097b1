"""Writes the boards: `python -m scripts.dashboards` (see `--help`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from scripts.dashboards.boards import board_json, translated, written
from scripts.dashboards.exporter_board import exporter
from scripts.dashboards.overview import overview
from scripts.dashboards.skill import skill
from scripts.dashboards.spanish import SPANISH

FOLDER = Path(__file__).parents[2] / "grafana-dashboards"


def generated(
    folder: Path = FOLDER, timezone: str = "browser"
) -> Mapping[Path, dict[str, Any]]:
    """Every board by the file it stands in, both languages."""
    boards = {made.name: board_json(made) for made in (overview(), skill(), exporter())}
    for board in boards.values():
        board["timezone"] = timezone
    found = {folder / f"{name}.json": board for name, board in boards.items()}
    for name, board in boards.items():
        found[folder / "es" / f"{name}.json"] = translated(board, SPANISH)
    return found


def main() -> int:
    """Write the files; with `--check`, tell which would change and exit 1 if any would."""
    parser = argparse.ArgumentParser(prog="scripts.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if any differs")
    parser.add_argument("--output", type=Path, default=FOLDER, help="the folder to write to")
    parser.add_argument(
        "--timezone", default="browser", help="whose midnight and clock: America/Bogota, say"
    )
    options = parser.parse_args()
    if options.timezone not in {"browser", "utc", *available_timezones()}:
        parser.error(f"{options.timezone} is no time zone")
    stale = 0
    for path, board in generated(options.output, options.timezone).items():
        text = written(board)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        sys.stdout.write(f"{path}\n")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
