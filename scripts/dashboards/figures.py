"""Panels that stand on more than one board; each takes its place and nothing else."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from scripts.dashboards import queries as q
from scripts.dashboards.parts import (
    BAD,
    CALM,
    GOOD,
    MUTED,
    WAIT,
    WARN,
    About,
    Place,
    Query,
    described,
    fixed,
    number,
    value_map,
)
from scripts.dashboards.spanish import alert_titles
from scripts.dashboards.tables import column, grid, share

OVER = ((None, MUTED), (1e-9, BAD))
"""Red above 0, for distances to a limit."""
_LOST = {"text": "cannot be reached", "color": BAD, "index": 0}
NEEDED = share(
    "needed",
    "Rest needs",
    steps=((None, MUTED),),
    mappings=[{"type": "range", "options": {"from": 1.00001, "to": None, "result": _LOST}}],
)
"""The level that the rest of a day or month needs; above 1 it is lost, and says so."""
INBOUND, *HANDLED = (
    column(name, name.title(), "none", decimals=0)
    for name in ("inbound", "answered", "abandoned")
)
LEVEL = share("level", "Service level")
ASA = column("asa", "ASA", WAIT, decimals=0)
_PERCENT, _WHOLE = "round(100 * {}, 0.1)", "round({})"


def _judged(
    about: About, indicator: q.Indicator, *more: Query, at_least: bool, shown: str = _PERCENT
) -> Any:
    """A figure in the colour of its verdict, with the target under it."""
    unit = "s" if shown == _WHOLE else "%"
    good = ">=" if at_least else "<="
    said = ("On target", "Below target") if at_least else ("Within the limit", "Over the limit")
    panel = number(
        about,
        Query(q.verdict(indicator, good, shown), "{{met}}"),
        *more,
        fixes=(fixed("B", CALM),),
        names=True,
    )
    for met, word, color in zip("10", said, (GOOD, BAD), strict=True):
        name = f"{word} (${{__field.labels.target}} {unit})"
        found = {**fixed("A", color)[1], "displayName": name}
        panel.override_by_name(met, [DynamicConfigValue(*one) for one in found.items()])
    return panel


def level_today(place: Place) -> Any:
    """The service level of the day."""
    without = Query(q.level_without_target(), "No target")
    return _judged(described("Service level today", place), q.level(), without, at_least=True)


def level_open_hours(place: Place) -> Any:
    """The service level of the last two open hours."""
    return _judged(described("Last 2 open hours", place), q.level_open_hours(), at_least=True)


def inbound_today(place: Place) -> Any:
    """What came in, beside last week."""
    before = f"{q.INBOUND} offset {q.WEEK}"
    return number(
        described("Inbound today", place),
        Query(q.total(q.INBOUND), "Today"),
        Query(q.total(before), "Last week"),
        names=True,
    )


def abandonment_today(place: Place) -> Any:
    """The abandoned over the inbound."""
    return _judged(described("Abandonment today", place), q.abandonment(), at_least=False)


def asa_today(place: Place) -> Any:
    """The average speed of answer."""
    return _judged(
        described("ASA today", place),
        q.mean_wait("asa", "answered"),
        at_least=False,
        shown=_WHOLE,
    )


def data_age(place: Place) -> Any:
    """How old the figures are: a board on a wall must confess stale numbers."""
    return number(
        described("Age of the data, in polls", place),
        Query(q.age(), "{{operation}} · {{skill}}"),
        steps=((None, GOOD), (2, WARN), (3, BAD)),
        names=True,
    )


def reporting(place: Place) -> Any:
    """Whether a sum lacks a skill."""
    return number(
        described("Skills reporting today", place),
        Query(q.reporting(), "Skills"),
        steps=((None, BAD), (0.5, WARN), (1, GOOD)),
    )


def hourly(place: Place, *, last_week: bool = False) -> Any:
    """The day by hour, the latest first; with last week's volume and level beside it."""
    before = {f"{name}_before": expression for name, expression in q.hourly(q.WEEK).items()}
    kept = {name: before[name] for name in ("inbound_before", "level_before") if last_week}
    columns = [
        column("Time", "Until", "time:HH:mm"),
        INBOUND,
        column("inbound_before", "Last week", "none", decimals=0),
        *HANDLED,
        LEVEL,
        share("level_before", "Level last week"),
        ASA,
    ]
    return grid(
        described("By hour", place),
        Query(q.named(**q.hourly(), **kept), "{{column}}", interval=q.HOUR),
        columns=[one for one in columns if kept or not one.field.endswith("_before")],
        drop=(),
        sort="Until",
        instant=False,
    )


def outlook(place: Place) -> Any:
    """The day and the month to date, and what the rest of them needs."""
    periods = [value_map(today=("Today", MUTED), month=("This month", MUTED))]
    return grid(
        described("Today and this month", place),
        Query(q.outlook(), "{{column}}"),
        columns=[
            column("operation", "Operation"),
            column("window", "Period", mappings=periods),
            share("level", "So far"),
            share("target", "Target"),
            column("left", "May still be late", "none", decimals=0),
            NEEDED,
            share("projected", "Heading for"),
        ],
        sort="Period",
    )


def firing(place: Place, expr: str = q.alerts_since()) -> Any:
    """The firing alerts of the choice with the moment since which they hold."""
    return grid(
        described("Firing alerts", place),
        Query(expr),
        columns=[
            column("alertname", "Alert", mappings=_titles()),
            column("severity", "Severity", width=80),
            column("operation", "Operation", width=90),
            column("skill", "Skill"),
            column("type_interaction", "Channel", width=90),
            column("Value", "Since", "dateTimeAsIsoNoDateIfToday", width=100),
        ],
        drop=(
            *("Time", "__name__", "alertstate", "instance"),
            *("job", "skill_id", "sli", "threshold_seconds"),
        ),
    )


def _titles() -> list[object]:
    """Beside the name of each alert what it means."""
    words = {name: {"text": f"{name}: {said}"} for name, said in alert_titles("en").items()}
    return [{"type": "value", "options": words}]
