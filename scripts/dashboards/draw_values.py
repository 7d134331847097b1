"""Draws what is of now: numbers, tables as their transformations make them, and texts."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from scripts.dashboards.canvas import (
    INK,
    Canvas,
    Json,
    Series,
    colour_of,
    defaults_of,
    mapped,
    own_properties,
    properties_of,
    say,
    step_colour,
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


def table(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Columns in the order of the transformations, as wide as what stands in them.

    A column that no row has is left out.
    """
    rows = _rows_of(panel, series)
    columns = [one for one in _columns_of(panel) if any(one[0] in row for row in rows)]
    cells = [
        [_cell(panel, row.get(field), properties, canvas.zone) for row in rows]
        for field, _heading, properties in columns
    ]
    wanted = [
        20 + 5.4 * max(len(heading), *(len(text) for text, _colour in listed))
        for (_field, heading, _properties), listed in zip(columns, cells, strict=True)
    ]
    shown, x = int((canvas.height - 52) / 19), 10.0
    for (field, heading, _properties), listed, one in zip(columns, cells, wanted, strict=True):
        width = one * (canvas.width - 16) / sum(wanted)
        right = any(not isinstance(row.get(field, ""), str) for row in rows)
        at, side = (x + width - 8, "right") if right else (x, "left")
        say(canvas, at, canvas.height - 38, heading, size=7.5, color="#6e9fff", ha=side)
        for line, (text, colour) in enumerate(listed[:shown]):
            y = canvas.height - 59 - 19 * line
            say(canvas, at, y, text, size=8, color=colour, ha=side)
        x += width


def _columns_of(panel: Json) -> list[tuple[str, str, Json]]:
    options = panel["transformations"][-1]["options"]
    order = sorted(options["indexByName"], key=options["indexByName"].__getitem__)
    names = [(field, options["renameByName"].get(field, field)) for field in order]
    return [(field, name, properties_of(panel, "byName", name)) for field, name in names]


def _rows_of(panel: Json, series: Sequence[Series]) -> list[dict[str, Any]]:
    many = len(panel["targets"]) > 1
    drop = {*panel["transformations"][-1]["options"]["excludeByName"], "column"}
    # Rows are joined on the labels that every query has, as Grafana's `merge` does.
    shared = set.intersection(*(set(one.labels) for one in series)) - drop
    rows: dict[frozenset[tuple[str, Any]], dict[str, Any]] = {}
    for one, (at, value) in ((each, point) for each in series for point in each.points):
        labels: dict[str, Any] = {k: v for k, v in one.labels.items() if k not in drop}
        if "Time" not in drop:
            labels["Time"] = 1000 * at
        row = rows.setdefault(
            frozenset((k, v) for k, v in labels.items() if not many or k in shared), {}
        )
        row |= labels
        row[one.labels.get("column") or (f"Value #{one.ref}" if many else "Value")] = value
    found = list(rows.values())
    sorting = panel["options"].get("sortBy") or ()
    for order in sorting:
        field = next(f for f, name, _p in _columns_of(panel) if name == order["displayName"])
        least = "" if any(isinstance(row.get(field), str) for row in found) else -math.inf
        found.sort(key=lambda row: row.get(field, least), reverse=bool(order["desc"]))
    return found


def _cell(panel: Json, value: Any, properties: Json, zone: ZoneInfo) -> tuple[str, str]:
    if value is None:
        return "", INK
    word = mapped(value, properties.get("mappings", ()))
    if word:
        return word
    if isinstance(value, str):
        return value, INK
    unit = properties.get("unit") or defaults_of(panel)["unit"]
    colour = step_colour(value, properties.get("thresholds"))
    return written(value, unit, properties.get("decimals"), zone), colour


def text_panel(canvas: Canvas, panel: Json, _series: Sequence[Series]) -> None:
    """Markdown without its marks."""
    content = panel["options"]["content"].replace("${__timezone}", canvas.zone.key)
    plain = re.sub(r"\*\*|`", "", content)
    for line, text in enumerate(textwrap.wrap(plain, int(canvas.width / 6.7))):
        say(canvas, 10, canvas.height - 38 - 16 * line, text, size=8.5)
