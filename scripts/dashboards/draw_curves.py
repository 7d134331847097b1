"""Draws what goes over time: curves, columns, strips of cells, states."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from scripts.dashboards.canvas import (
    EDGE,
    FAINT,
    INK,
    Canvas,
    Json,
    Series,
    colour_of,
    defaults_of,
    mapped,
    own_properties,
    step_colour,
    written,
)

Stretch = tuple[float, float, str, str]
"""From, how long, in which colour, with which text."""


def _plot(canvas: Canvas, left: float, below: float) -> Axes:
    """Axes within the panel, with the hours below them."""
    place = (left, below, canvas.width - left - 10, canvas.height - below - 32)
    plot: Axes = canvas.axes.inset_axes(place, transform=canvas.axes.transData)
    plot.set_facecolor("none")
    plot.spines[:].set_visible(False)
    plot.tick_params(colors=FAINT, labelsize=7, length=0)
    plot.set_xlim(canvas.start, canvas.end)
    every = 2 if place[2] > 330 else 4
    hours = [canvas.start + 3600 * n for n in range(int(canvas.end - canvas.start) // 3600 + 1)]
    shown = {at: datetime.fromtimestamp(at, canvas.zone) for at in hours}
    shown = {at: moment for at, moment in shown.items() if moment.hour % every == 0}
    plot.set_xticks(list(shown), [f"{moment:%H:%M}" for moment in shown.values()])
    return plot


def timeseries(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """Curves, or stacked columns with curves over them."""
    defaults, bases = defaults_of(panel), dict[float, float]()
    plot, width = _plot(canvas, 46, 42), 0.85 * min(3600.0, *map(_step, series))
    for place, one in enumerate(series):
        look: dict[str, Any] = {"color": colour_of(panel, one, place), "label": one.name}
        if _style(panel, one, "drawStyle") == "bars":
            for number, (at, value) in enumerate(one.points):
                bottom = bases.get(at, 0.0)
                label = one.name if number == 0 else None
                plot.bar(at, value, width, bottom, **look | {"label": label})
                bases[at] = bottom + value
        else:
            dashed = (_style(panel, one, "lineStyle") or {}).get("fill") == "dash"
            plot.plot(*_with_gaps(one), lw=1.4, ls=(0, (4, 3)) if dashed else "-", **look)
    plot.set_ylim(0, defaults.get("max"))
    plot.yaxis.set_major_formatter(lambda value, _at: written(value, defaults["unit"], None))
    plot.grid(axis="y", color=EDGE, lw=0.6)
    plot.set_axisbelow(True)
    named = dict(zip(*reversed(plot.get_legend_handles_labels()), strict=True))
    fit = int(canvas.width / (28 + 5.3 * max(map(len, named))))
    canvas.axes.legend(
        list(named.values()),
        list(named),
        loc="lower left",
        ncols=max(1, min(fit, len(named))),
        frameon=False,
        fontsize=7,
        labelcolor=INK,
        borderaxespad=0.3,
        handlelength=1.2,
    )


def _style(panel: Json, series: Series, name: str) -> Any:
    own = own_properties(panel, series).get(f"custom.{name}")
    return defaults_of(panel)["custom"].get(name) if own is None else own


def _step(one: Series) -> float:
    return min((b[0] - a[0] for a, b in pairwise(one.points)), default=math.inf)


def _with_gaps(one: Series) -> tuple[list[float], list[float]]:
    """The curve, broken where samples are missing."""
    points, gap = list[tuple[float, float]](), 4 * _step(one)
    for at, value in one.points:
        if points and at - points[-1][0] > gap:
            points.append((at, math.nan))
        points.append((at, value))
    return [at for at, _value in points], [value for _at, value in points]


def status_history(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """A cell for each interval, coloured by its value."""

    def cells(one: Series) -> list[Stretch]:
        step, steps = _step(one), defaults_of(panel)["thresholds"]
        return [
            (at - step, 0.95 * step, step_colour(value, steps), f"{100 * value:.0f}")
            for at, value in one.points
        ]

    _rows(canvas, series, cells)


def state_timeline(canvas: Canvas, panel: Json, series: Sequence[Series]) -> None:
    """A stretch for each state."""

    def stretches(one: Series) -> list[Stretch]:
        words = [mapped(value, defaults_of(panel)["mappings"]) for _at, value in one.points]
        return [
            (at, until - at, word[1] if word else INK, "")
            for ((at, _value), (until, _next)), word in zip(
                pairwise(one.points), words, strict=False
            )
        ]

    _rows(canvas, series, stretches)


def _rows(
    canvas: Canvas, series: Sequence[Series], stretches: Callable[[Series], list[Stretch]]
) -> None:
    """Each series beside its name, from the top down."""
    plot = _plot(canvas, min(300.0, 22 + 5.8 * max(len(one.name) for one in series)), 24)
    plot.set_yticks(range(len(series)), [one.name for one in series], color=INK, fontsize=8)
    plot.set_ylim(len(series) - 0.5, -0.5)
    for place, one in enumerate(series):
        for at, width, colour, text in stretches(one):
            plot.broken_barh([(at, width)], (place - 0.43, 0.86), facecolors=colour)
            middle = at + width / 2
            if text and middle > canvas.start:
                plot.text(
                    middle, place, text, size=6.5, color="#0b0c0e", ha="center", va="center"
                )
