"""Draws the values of now: stats and bars."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.patches import Rectangle

from scripts.dashboards.canvas import (
    Canvas,
    Json,
    Series,
    by_ref,
    colour_of,
    defaults_of,
    mapped,
    say,
    written,
)


def stat(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Big values, with their names where the panel wants them."""
    named = panel["options"]["textMode"] != "value"
    share = canvas.width / len(series)
    for place, one in enumerate(series):
        defaults = {**defaults_of(panel), **by_ref(panel, one.ref)}
        middle = share * (place + 0.5)
        word = mapped(one.last, defaults.get("mappings", ()))
        colour = word[1] if word else colour_of(panel, one, place)
        text = (
            word[0] if word else written(one.last, defaults["unit"], defaults.get("decimals"))
        )
        if panel["options"]["textMode"] == "name":
            text = one.name
        # As Grafana does, as large as the panel lets it be.
        size = min(canvas.height / 3.2, 0.92 * share / max(len(text), 4))
        say(canvas, middle, canvas.height / 2 - (8 if named else 12), text,
             size=size, color=colour, ha="center", weight="bold")  # fmt: skip
        if panel["options"]["textMode"] == "value_and_name":
            small = min(canvas.height / 12, 1.1 * share / len(one.name))
            say(canvas, middle, 16, one.name, size=small, color=colour, ha="center")


def bargauge(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """A bar for each value."""
    defaults = defaults_of(panel)
    top = defaults.get("max") or max(one.last for one in series) or 1.0
    height = (canvas.height - 34) / len(series)
    left, room = 118.0, canvas.width - 118.0 - 58.0
    for place, one in enumerate(series):
        y = canvas.height - 30 - height * (place + 1)
        colour = colour_of(panel, one, place)
        body = (left, y + height * 0.18)
        canvas.axes.add_patch(Rectangle(body, room, height * 0.64, facecolor="#22252b"))
        part = room * min(one.last / top, 1.0)
        canvas.axes.add_patch(Rectangle(body, part, height * 0.64, facecolor=colour))
        say(canvas, left - 6, y + height / 2, one.name, size=8, ha="right")
        text = written(one.last, defaults["unit"], defaults.get("decimals"))
        say(canvas, left + room + 6, y + height / 2, text, size=9, color=colour)
