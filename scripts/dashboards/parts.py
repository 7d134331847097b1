"""One panel of each kind, on grafana-foundation-sdk; knows neither metrics nor boards.

What a panel says of itself and how it writes values stands in panels.toml, in English;
boards.py puts in another language afterwards. A place is `x, y, width, height`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import (
    common,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prom
from grafana_foundation_sdk.models.text import TextMode

GOOD, WARN, BAD, CALM, MUTED = "green", "orange", "red", "blue", "text"
DATASOURCE = commons.DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_VALUE = "-"
_PLAIN = ("unit", "mappings")
WAIT = "suffix:s"  # the unit `s` would write 99 seconds as 2 minutes
Place = tuple[int, int, int, int]
Fixed = tuple[str, Mapping[str, object]]
"""The refId of a target, and its series' colour and other properties."""
Steps = Sequence[tuple[float | None, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One target: PromQL and its legend; `interval` is its least step."""

    expr: str
    legend: str = ""
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a panel says of itself, where it stands, and how it writes values."""

    title: str
    place: Place
    description: str
    unit: str = "none"
    decimals: int | None = None
    interval: str | None = None
    content: str = ""


PANELS = tomllib.loads(Path(__file__).with_name("panels.toml").read_text(encoding="utf-8"))


def described(title: str, place: Place) -> About:
    """What panels.toml says of the panel with this title."""
    return About(title, place, **PANELS[title])


def fixed(ref: str, color: str, **more: object) -> Fixed:
    """One target's series in one colour; further properties by their name."""
    names = {name: name if name in _PLAIN else f"custom.{name}" for name in more}
    found = {names[name]: value for name, value in more.items()}
    return ref, {"color": {"mode": "fixed", "fixedColor": color}, **found}


def dashed(ref: str, color: str) -> Fixed:
    """A line to compare with: dashed, without filling."""
    style = {"fill": "dash", "dash": [8, 8]}
    stacking = {"mode": "none", "group": "A"}
    line = {"lineStyle": style, "fillOpacity": 0, "drawStyle": "line", "lineWidth": 2}
    return fixed(ref, color, stacking=stacking, **line)


def thresholds(steps: Steps) -> build.ThresholdsConfig:
    """Colours from values on; the first step has no value."""
    found = [models.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def colour(mode: str) -> build.FieldColor:
    """How a field gets its colour."""
    return build.FieldColor().mode(models.FieldColorModeId(mode))


def _placed(panel: Any, about: About) -> Any:
    x, y, width, height = about.place
    panel.title(about.title).description(about.description)
    return panel.grid_pos(models.GridPos(x=x, y=y, w=width, h=height))


def dressed(
    panel: Any,
    about: About,
    queries: Sequence[Query] = (),
    *,
    instant: bool = True,
    table: bool = False,
    fixes: Sequence[Fixed] = (),
    steps: Steps = ((None, MUTED),),
) -> Any:
    """The panel with what every panel has: words, place, unit, queries, colours."""
    _placed(panel, about).unit(about.unit).datasource(DATASOURCE)
    panel.no_value(NO_VALUE).thresholds(thresholds(steps))
    if about.decimals is not None:
        panel.decimals(about.decimals)
    if about.interval is not None:
        panel.interval(about.interval)
    shape = prom.PromQueryFormat.TABLE if table else prom.PromQueryFormat.TIME_SERIES
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().ref_id(ref).expr(query.expr).format(shape)
        target = target.instant() if instant else target.range()
        target.legend_format(query.legend)
        if query.interval is not None:
            target.interval(query.interval)
        panel.with_target(target)
    for ref, properties in fixes:
        found = [models.DynamicConfigValue(name, value) for name, value in properties.items()]
        panel.override_by_query(ref, found)
    return panel


def number(
    about: About,
    *queries: Query,
    steps: Steps = ((None, MUTED),),
    fixes: Sequence[Fixed] = (),
    names: bool = False,
) -> Any:
    """A stat: the value of now and of nothing else, so instant queries only."""
    both = commons.BigValueTextMode.VALUE_AND_NAME
    panel = (
        stat.Panel()
        .graph_mode(commons.BigValueGraphMode.NONE)
        .color_mode(commons.BigValueColorMode.VALUE)
        .text_mode(both if names else commons.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]))
        .color_scheme(colour("thresholds"))
        .mappings([])
    )
    return dressed(panel, about, queries, fixes=fixes, steps=steps)


def label(about: About, query: Query) -> Any:
    """A stat that shows a label instead of its value: the name of the series."""
    return number(about, query).text_mode(commons.BigValueTextMode.NAME)


def lines(
    about: About, *queries: Query, fixes: Sequence[Fixed] = (), top: float | None = None
) -> Any:
    """Curves over time; a gap in the data stays a gap."""
    panel = timeseries.Panel().draw_style(commons.GraphDrawStyle.LINE).line_width(2)
    panel.fill_opacity(0).show_points(commons.VisibilityMode.AUTO).span_nulls(False)
    if top is not None:
        panel.max(top)
    return _over_time(panel, about, queries, fixes)


def columns(about: About, *queries: Query) -> Any:
    """Stacked bars over time."""
    stacked = common.StackingConfig().mode(commons.StackingMode.NORMAL).group("A")
    panel = timeseries.Panel().draw_style(commons.GraphDrawStyle.BARS).line_width(1)
    return _over_time(panel.fill_opacity(80).stacking(stacked), about, queries)


def _over_time(
    panel: Any, about: About, queries: Sequence[Query], fixes: Sequence[Fixed] = ()
) -> Any:
    panel.min(0).color_scheme(colour("palette-classic")).legend(_legend()).tooltip(_tooltip())
    return dressed(panel, about, queries, instant=False, fixes=fixes)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).calcs([])
    legend.placement(commons.LegendPlacement.BOTTOM)
    return legend.display_mode(commons.LegendDisplayMode.LIST)


def _tooltip() -> common.VizTooltipOptions:
    tooltip = common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI)
    return tooltip.sort(commons.SortOrder.DESCENDING)


def strips(about: About, query: Query, *, steps: Steps) -> Any:
    """One row a series, one cell an interval, coloured by its value."""
    panel = statushistory.Panel().show_value(commons.VisibilityMode.AUTO)
    return _rows(panel.row_height(0.9).col_width(0.95), about, [query], steps)


def states(about: About, *queries: Query, mappings: Sequence[Any]) -> Any:
    """One row a series, coloured by its state over time."""
    panel = statetimeline.Panel().show_value(commons.VisibilityMode.NEVER).merge_values(True)
    return _rows(panel.row_height(0.8).mappings(list(mappings)), about, queries)


def _rows(
    panel: Any, about: About, queries: Sequence[Query], steps: Steps = ((None, MUTED),)
) -> Any:
    panel.fill_opacity(85).line_width(0).color_scheme(colour("thresholds"))
    panel.legend(_legend().show_legend(False)).tooltip(_tooltip())
    return dressed(panel, about, queries, instant=False, steps=steps)


def words(about: About) -> Any:
    """A text in Markdown."""
    return _placed(text.Panel(), about).mode(TextMode.MARKDOWN).content(about.content)


def value_map(**results: tuple[str, str]) -> Any:
    """Words and colours for values: `value_map(_1=("OK", "green"))`."""
    found = {
        name.lstrip("_"): {"text": word, "color": color, "index": place}
        for place, (name, (word, color)) in enumerate(results.items())
    }
    return {"type": "value", "options": found}
