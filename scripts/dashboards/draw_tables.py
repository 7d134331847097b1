"""Draws tables, joined and sorted as their transformations say, and texts."""

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
    defaults_of,
    mapped,
    properties_of,
    say,
    step_colour,
    written,
)


def table(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Columns in the order of the transformations; none for what no row has."""
    rows = _rows_of(panel, series)
    columns = [one for one in _columns_of(panel) if any(one[0] in row for row in rows)]
    widths = _widths(panel, columns, rows, canvas)
    shown = int((canvas.height - 52) / 19)
    x = 10.0
    for (field, heading, properties), width in zip(columns, widths, strict=True):
        right = any(not isinstance(row.get(field, ""), str) for row in rows)
        at = x + width - 8 if right else x
        side = "right" if right else "left"
        say(canvas, at, canvas.height - 38, heading, size=7.5, color="#6e9fff", ha=side)
        for line, row in enumerate(rows[:shown]):
            text, colour = _cell(panel, row.get(field), properties, canvas.zone)
            y = canvas.height - 59 - 19 * line
            say(canvas, at, y, text, size=8, color=colour, ha=side)
        x += width


def _widths(
    panel: Json, columns: Sequence[tuple[str, str, Json]], rows: Sequence[Json], canvas: Canvas
) -> list[float]:
    wanted = []
    for field, heading, properties in columns:
        cells = [_cell(panel, row.get(field), properties, canvas.zone)[0] for row in rows]
        wanted.append(20 + 5.4 * max(len(text) for text in (heading, *cells)))
    room = canvas.width - 16
    return [one * room / sum(wanted) for one in wanted]


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
