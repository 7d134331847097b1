"""Draws the values of now: stats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scripts.dashboards.canvas import (
    Canvas,
    Json,
    Series,
    colour_of,
    defaults_of,
    mapped,
    own_properties,
    say,
    written,
)

LABEL = re.compile(r"\$\{__field\.labels\.(\w+)\}")


def _name(series: Series, options: Json) -> str:
    said = options.get("displayName", series.name)
    return LABEL.sub(lambda found: series.labels[found[1]], said)


def stat(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Big values, with their names where the panel wants them."""
    named = panel["options"]["textMode"] != "value"
    share = canvas.width / len(series)
    for place, one in enumerate(series):
        defaults = {**defaults_of(panel), **own_properties(panel, one)}
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
            name = _name(one, defaults)
            small = min(canvas.height / 12, 1.1 * share / len(name))
            say(canvas, middle, 16, name, size=small, color=colour, ha="center")
