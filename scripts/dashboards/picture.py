"""A whole board as a picture, laid out by its gridPos; the answers come from outside.

It is a preview drawn without Grafana and says so itself.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from scripts.dashboards.canvas import EDGE, FAINT, INK, PANEL, PAPER, Canvas, Json, Series, say
from scripts.dashboards.draw_curves import state_timeline, status_history, timeseries
from scripts.dashboards.draw_values import stat, table, text_panel

Ask = Callable[[dict[str, Any]], Sequence[Series]]
"""The series of every target of a panel."""

WIDTH, ROW, HEAD, GAP, DPI = 1600, 35, 46, 4, 100
_CELL = WIDTH / 24
_NOTE = {
    "en": "preview drawn from the board's JSON and real answers of Prometheus, without Grafana",
    "es": "vista previa dibujada del JSON y de respuestas reales de Prometheus, sin Grafana",
}


def picture(
    board: Json, ask: Ask, start: datetime, end: datetime, zone: ZoneInfo, language: str
) -> bytes:
    """The board between two moments as a PNG, times in this zone."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = HEAD + ROW * rows + GAP
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    figure.text(0.008, 1 - 23 / height, board["title"], color=INK, size=15, va="center")
    note = f"{end:%Y-%m-%d %H:%M}  ·  {_NOTE[language]}"
    figure.text(0.992, 1 - 23 / height, note, color=FAINT, size=9, va="center", ha="right")
    for panel in board["panels"]:
        place = panel["gridPos"]
        wide, high = place["w"] * _CELL - GAP, place["h"] * ROW - GAP
        left = place["x"] * _CELL + GAP / 2
        bottom = height - HEAD - ROW * (place["y"] + place["h"]) + GAP / 2
        axes = figure.add_axes(
            (left / WIDTH, bottom / height, wide / WIDTH, high / height),
            xlim=(0, wide),
            ylim=(0, high),
        )
        axes.set_axis_off()
        canvas = Canvas(axes, wide, high, start.timestamp(), end.timestamp(), zone)
        _draw(canvas, panel, ask(panel))
    return _png(figure)


def _draw(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """The panel's frame, title and content; a dash where its queries gave nothing."""
    edge = Rectangle(
        (0, 0), canvas.width, canvas.height, facecolor=PANEL, edgecolor=EDGE, linewidth=1
    )
    canvas.axes.add_patch(edge)
    say(canvas, 8, canvas.height - 9, panel["title"], size=9, weight="bold", va="top")
    if not series and panel["type"] != "text":
        say(canvas, canvas.width / 2, canvas.height / 2 - 8, "-", size=20, ha="center")
        return
    _KINDS[panel["type"]](canvas, panel, series)


_KINDS: Mapping[str, Callable[[Canvas, Json, Sequence[Series]], None]] = {
    "stat": stat,
    "timeseries": timeseries,
    "status-history": status_history,
    "state-timeline": state_timeline,
    "table": table,
    "text": text_panel,
}


def _png(figure: Figure) -> bytes:
    drawn, out = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(128).save(out, "PNG", optimize=True)
    return out.getvalue()
