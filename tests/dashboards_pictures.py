"""Draws the previews of docs/pictures: `python -m tests.dashboards_pictures` (two minutes)."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.dashboards.canvas import Series
from scripts.dashboards.picture import Ask, picture
from tests.dashboards_history import BOGOTA, END, LATE_CHAT, MIDNIGHT, Weeks
from tests.dashboards_support import (
    EVERYTHING,
    LANGUAGES,
    NAMES,
    ONE,
    Choice,
    board,
    interpolated,
    load,
    prometheus,
    seconds,
)
from tests.e2e_prometheus import Prometheus

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
# The board of a skill shows the chat that is late, and the voice line beside it.
CHOSEN: dict[str, Choice] = {"skill": {**ONE, "channel": ("inbound", LATE_CHAT[2])}}
STEP = 300.0


def asking(store: Prometheus, choice: Choice) -> Ask:
    """Runs a panel's queries as Grafana would: of now, or over the day so far."""

    def ask(panel: dict[str, Any]) -> list[Series]:
        return [
            series
            for target in panel.get("targets", ())
            for series in _asked(store, choice, panel, target)
        ]

    return ask


def _asked(
    store: Prometheus, choice: Choice, panel: dict[str, Any], target: dict[str, Any]
) -> list[Series]:
    named = _naming(target)
    if target["instant"]:
        found = store.query(interpolated(target["expr"], choice), END.timestamp())
        return [
            Series(
                target["refId"], named(dict(labels)), dict(labels), [(END.timestamp(), value)]
            )
            for labels, value in found.items()
        ]
    step = seconds(target.get("interval") or panel.get("interval"), STEP)
    curves = store.curves(interpolated(target["expr"], choice, step=step), MIDNIGHT, END, step)
    return [
        Series(target["refId"], named(dict(labels)), dict(labels), points)
        for labels, points in curves.items()
    ]


def _naming(target: dict[str, Any]) -> Callable[[dict[str, str]], str]:
    legend = target.get("legendFormat") or ""
    return lambda labels: re.sub(
        r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend
    )


def main(blocks: Path, directory: Path) -> None:
    """Draw every board in both languages."""
    with prometheus(blocks, directory) as found:
        store = Prometheus(found.address, hidden={"__name__"})
        for language in LANGUAGES:
            for name in NAMES:
                ask = asking(store, CHOSEN.get(name, EVERYTHING))
                drawn = picture(board(name, language), ask, MIDNIGHT, END, BOGOTA, language)
                suffix = "" if language == "en" else f"-{language}"
                (FOLDER / f"board-{name}{suffix}.png").write_bytes(drawn)
                sys.stdout.write(f"board-{name}{suffix}.png {len(drawn) // 1024} KiB\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="wolkvox-boards-") as made:
        where = Path(made)
        main(
            Path(sys.argv[1])
            if len(sys.argv) > 1
            else load(Weeks(where, late_chat=True), where),
            where,
        )
