"""What the drawings share: the canvas, series, colours, and values as Grafana writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from matplotlib.axes import Axes

Json = Mapping[str, Any]
PAPER, PANEL, EDGE, INK, FAINT = "#111217", "#181b1f", "#2c3235", "#d5d6e0", "#8e8f9c"
_COLOURS = {
    "green": "#73bf69",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "orange": "#ff9830",
    "blue": "#5794f2",
    "text": INK,
}
_PALETTE = (
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#70dbed",
    "#fade2a", "#c0d8ff", "#ffa6b0", "#96d98d", "#a352cc", "#37872d",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """What one target gave: its refId, legend, labels, and (epoch, value) in order."""

    ref: str
    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The latest value."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where to draw: axes in pixels of this size, over this time in this zone."""

    axes: Axes
    width: float
    height: float
    start: float
    end: float
    zone: ZoneInfo


def written(value: float, unit: str, decimals: int | None, zone: ZoneInfo | None = None) -> str:
    """A value as Grafana would write it."""
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f}%"
    if unit.startswith("suffix:"):
        return f"{value:.{decimals or 0}f} {unit[7:]}"
    if unit == "s":
        return _duration(value, decimals)
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    if unit.startswith(("dateTime", "time:")):
        return f"{datetime.fromtimestamp(value / 1000, zone):%H:%M}"
    return f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"


def _duration(value: float, decimals: int | None) -> str:
    for limit, size, name in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if abs(value) < limit:
            places = decimals if decimals is not None else (3 if value < 1 else 1)
            return f"{value / size:.{places}f} {name}".replace(".0 ", " ")
    return f"{value / 86400:.1f} d"


def defaults_of(panel: Json) -> Json:
    """The options of all fields of a panel."""
    found: Json = panel["fieldConfig"]["defaults"]
    return found


def properties_of(panel: Json, matcher: str, option: str) -> dict[str, Any]:
    """The properties that overrides with this matcher set."""
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": matcher, "options": option}:
            found |= {one["id"]: one.get("value") for one in override["properties"]}
    return found


def own_properties(panel: Json, series: Series) -> dict[str, Any]:
    """The properties of one series, by its target or its name."""
    by_ref = properties_of(panel, "byFrameRefID", series.ref)
    return by_ref | properties_of(panel, "byName", series.name)


def step_colour(value: float, thresholds: Json | None) -> str:
    """The colour of a value by its thresholds."""
    steps = (thresholds or {}).get("steps", [])
    found = [s["color"] for s in steps if s["value"] is None or value >= s["value"]]
    return _COLOURS.get(found[-1], INK) if found else INK


def colour_of(panel: Json, series: Series, place: int) -> str:
    """The colour of a series: its own, that of its value, or the next of the palette."""
    own = own_properties(panel, series).get("color")
    if own:
        return _COLOURS[own["fixedColor"]]
    if defaults_of(panel).get("color", {}).get("mode") == "thresholds":
        return step_colour(series.last, defaults_of(panel).get("thresholds"))
    return _PALETTE[place % len(_PALETTE)]


def mapped(value: float | str, mappings: Sequence[Json]) -> tuple[str, str] | None:
    """The word and colour that stand for a value, if any do."""
    for mapping in mappings:
        options = mapping["options"]
        if mapping["type"] == "range":
            above = not isinstance(value, str) and value >= options["from"]
            result = options["result"] if above else None
        else:
            result = options.get(value if isinstance(value, str) else f"{value:g}")
        if result:
            return result["text"], _COLOURS.get(result.get("color"), INK)
    return None


def say(canvas: Canvas, x: float, y: float, text: str, **more: Any) -> None:
    """Text; the sizes given are those of a picture 1600 pixels wide."""
    style: dict[str, Any] = {"color": INK, "va": "center", "clip_on": True, "parse_math": False}
    canvas.axes.text(x, y, text, **style | more)
