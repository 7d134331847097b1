"""Tables: instant values joined by their labels, one column a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models

from scripts.dashboards.parts import About, Query, colour, dressed


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it comes from, its heading, its properties."""

    field: str
    heading: str
    properties: Mapping[str, object]


def column(field: str, heading: str, unit: str | None = None, **more: object) -> Column:
    """A column; `decimals`, `steps`, `width`, `links` as in Grafana."""
    properties: dict[str, object] = {} if unit is None else {"unit": unit}
    for name, value in more.items():
        if name == "steps":
            properties |= _coloured_cells(value)
        else:
            properties["custom.width" if name == "width" else name] = value
    return Column(field, heading, properties)


def share(field: str, heading: str, **more: object) -> Column:
    """A column of percentages with one decimal."""
    return column(field, heading, "percentunit", decimals=1, **more)


def _coloured_cells(steps: Any) -> dict[str, object]:
    listed = [{"value": value, "color": color} for value, color in steps]
    return {
        "thresholds": {"mode": "absolute", "steps": listed},
        "color": {"mode": "thresholds"},
        "custom.cellOptions": {"type": "color-text"},
    }


def grid(
    about: About,
    *queries: Query,
    columns: Sequence[Column],
    drop: Sequence[str] = ("Time",),
    sort: str | None = None,
    instant: bool = True,
) -> Any:
    """A table, worst first by a heading. Figures are joined by their labels.

    They come from a query each; or, where its columns are named so, from one whose label
    `column` says which figure it is.
    """
    panel = table.Panel().show_header(True).cell_height(commons.TableCellHeight.SM)
    panel.color_scheme(colour("thresholds"))
    if sort is not None:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    frames = any(one.field.startswith("Value") for one in columns)
    shape = {"excludeByName": dict.fromkeys(drop, True)} | {
        "indexByName": {one.field: place for place, one in enumerate(columns)},
        "renameByName": {one.field: one.heading for one in columns if one.heading},
    }
    steps: list[tuple[str, Any]] = [("merge", {}), ("organize", shape)]
    if not frames:
        steps.insert(0, ("labelsToFields", {"mode": "columns", "valueLabel": "column"}))
    for name, options in steps:
        panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    for one in columns:
        found = [models.DynamicConfigValue(k, v) for k, v in one.properties.items()]
        if found:
            panel.override_by_name(one.heading or one.field, found)
    return dressed(panel, about, queries, table=frames, instant=instant)
