"""Draws what goes over time: curves, columns, strips of cells, states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from matplotlib.patches import Rectangle

from scripts.dashboards.canvas import (
    EDGE,
    FAINT,
    INK,
    Canvas,
    Json,
    Series,
    by_ref,
    colour_of,
    defaults_of,
    mapped,
    say,
    step_colour,
    written,
)


@dataclass(frozen=True, slots=True)
class _Scale:
    left: float
    bottom: float
    width: float
    height: float
    start: float
    end: float
    low: float
    top: float

    def x(self, at: float) -> float:
        return self.left + self.width * (at - self.start) / (self.end - self.start)

    def y(self, value: float) -> float:
        return self.bottom + self.height * (value - self.low) / (self.top - self.low)


def _scaled(canvas: Canvas, left: float, below: float, low: float, top: float) -> _Scale:
    return _Scale(
        left,
        below,
        canvas.width - left - 10,
        canvas.height - below - 32,
        canvas.start,
        canvas.end,
        low,
        top if top > low else low + 1,
    )


def _hours(canvas: Canvas, scale: _Scale) -> None:
    every = 2 if scale.width > 330 else 4
    at = canvas.start
    while at <= canvas.end:
        moment = datetime.fromtimestamp(at, canvas.zone)
        if moment.hour % every == 0:
            say(canvas, scale.x(at), scale.bottom - 9, f"{moment:%H:%M}",
                 size=7, color=FAINT, ha="center")  # fmt: skip
        at += 3600


def timeseries(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Curves, or stacked columns with curves over them."""
    bars = defaults_of(panel)["custom"]["drawStyle"] == "bars"
    stacked = [s for s in series if bars and _style(panel, s, "drawStyle") == "bars"]
    top = defaults_of(panel).get("max") or _top(series, stacked)
    scale = _scaled(canvas, 46, 42, defaults_of(panel).get("min") or 0.0, top)
    _grid_lines(canvas, panel, scale)
    _hours(canvas, scale)
    base: dict[float, float] = {}
    step = min((_step(one) for one in stacked), default=1800.0)
    for place, one in enumerate(series):
        colour = colour_of(panel, one, place)
        if one in stacked:
            _columns(canvas, scale, one, base, colour, step)
        else:
            _curve(canvas, panel, scale, one, colour)
    _legend(canvas, panel, series)


def _style(panel: Json, series: Series, name: str) -> Any:
    own = by_ref(panel, series.ref).get(f"custom.{name}")
    return defaults_of(panel)["custom"].get(name) if own is None else own


def _top(series: Sequence[Series], stacked: Sequence[Series]) -> float:
    sums: dict[float, float] = {}
    for one in stacked:
        for at, value in one.points:
            sums[at] = sums.get(at, 0.0) + value
    found = [v for s in series for _at, v in s.points if s not in stacked and not math.isnan(v)]
    most = max([*sums.values(), *found], default=0.0)
    if most <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(most))
    return next(
        unit * nice
        for nice in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12)
        if unit * nice >= most
    )


def _grid_lines(canvas: Canvas, panel: Json, scale: _Scale) -> None:
    for part in range(5):
        value = scale.low + (scale.top - scale.low) * part / 4
        y = scale.y(value)
        canvas.axes.plot([scale.left, scale.left + scale.width], [y, y], color=EDGE, lw=0.6)
        unit = defaults_of(panel)["unit"]
        fine = unit == "percentunit" and scale.top < 0.04
        text = written(value, unit, 1 if fine else None)
        say(canvas, scale.left - 5, y, text, size=7, color=FAINT, ha="right")


def _step(one: Series) -> float:
    steps = [b[0] - a[0] for a, b in pairwise(one.points)]
    return min(steps, default=math.inf)


def _columns(
    canvas: Canvas,
    scale: _Scale,
    one: Series,
    base: dict[float, float],
    colour: str,
    step: float,
) -> None:
    width = scale.width * step / (scale.end - scale.start)
    for at, value in one.points:
        low = base.get(at, 0.0)
        x, y, high = scale.x(at) - width * 0.45, scale.y(low), scale.y(low + value)
        if x > scale.left - width / 2:
            canvas.axes.add_patch(Rectangle((x, y), width * 0.85, high - y, facecolor=colour))
        base[at] = low + value


def _curve(canvas: Canvas, panel: Json, scale: _Scale, one: Series, colour: str) -> None:
    dashed = (_style(panel, one, "lineStyle") or {}).get("fill") == "dash"
    gap = 4 * _step(one)
    xs: list[float] = []
    ys: list[float] = []
    before = None
    for at, value in one.points:
        if before is not None and at - before > gap:
            xs, ys = [*xs, math.nan], [*ys, math.nan]
        inside = min(max(value, scale.low), scale.top)
        xs, ys, before = [*xs, scale.x(at)], [*ys, scale.y(inside)], at
    canvas.axes.plot(xs, ys, color=colour, lw=1.4, ls=(0, (4, 3)) if dashed else "-")


def _legend(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    x, y, shown = 12.0, 22.0, set()
    for place, one in enumerate(series):
        colour = colour_of(panel, one, place)
        if (one.name, colour) in shown:
            continue
        shown.add((one.name, colour))
        width = 20 + 5.3 * len(one.name)
        if x + width > canvas.width:
            x, y = 12.0, y - 13
        if y < 6:
            return
        canvas.axes.plot([x, x + 9], [y, y], color=colour, lw=2.5)
        say(canvas, x + 13, y, one.name, size=7)
        x += width


def status_history(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """A cell for each interval, coloured by its value."""
    for one, scale, y, height in _rows(canvas, series):
        width = scale.x(scale.start + _step(one)) - scale.left
        for at, value in one.points:
            x = scale.x(at) - width
            if x < scale.left - 1 or math.isnan(value):
                continue
            colour = step_colour(value, defaults_of(panel)["thresholds"])
            box = Rectangle((x + 1, y + 2), width - 2, height - 4, facecolor=colour)
            canvas.axes.add_patch(box)
            if width > 12:
                say(canvas, x + width / 2, y + height / 2, f"{100 * value:.0f}",
                     size=6.5 if width > 17 else 5.5, color="#0b0c0e", ha="center")  # fmt: skip


def state_timeline(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """A stretch for each state."""
    for one, scale, y, height in _rows(canvas, series):
        for (at, value), (until, _next) in pairwise(one.points):
            word = mapped(value, defaults_of(panel)["mappings"])
            colour = word[1] if word else INK
            x = scale.x(max(at, scale.start))
            box = Rectangle((x, y + 4), scale.x(until) - x + 0.4, height - 8, facecolor=colour)
            canvas.axes.add_patch(box)


def _rows(
    canvas: Canvas, series: Sequence[Series]
) -> Iterator[tuple[Series, _Scale, float, float]]:
    """Each series under its name, from the top down, with its lower edge and height."""
    left = min(300.0, 14 + 5.6 * max(len(one.name) for one in series))
    scale = _scaled(canvas, left, 24, 0, 1)
    _hours(canvas, scale)
    height = scale.height / len(series)
    for place, one in enumerate(series, 1):
        y = scale.bottom + scale.height - height * place
        say(canvas, left - 6, y + height / 2, one.name, size=8, ha="right")
        yield one, scale, y, height
