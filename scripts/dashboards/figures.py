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
    fixed,
    number,
    value_map,
)
from scripts.dashboards.spanish import alert_titles
from scripts.dashboards.tables import column, grid

OVER = ((None, MUTED), (1e-9, BAD))
"""Red above 0, for distances to a limit."""
_LOST = {"text": "cannot be reached", "color": BAD, "index": 0}
NEEDED = column(
    "needed",
    "Rest needs",
    "percentunit",
    decimals=1,
    steps=((None, MUTED),),
    mappings=[{"type": "range", "options": {"from": 1.00001, "to": None, "result": _LOST}}],
)
"""The level that the rest of a day or month needs; above 1 it is lost, and says so."""
INBOUND, *HANDLED = (
    column(name, name.title(), "none", decimals=0)
    for name in ("inbound", "answered", "abandoned")
)
LEVEL = column("level", "Service level", "percentunit", decimals=1)
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
    about = About(
        "Service level today",
        "Answered in time over what came in since midnight, each skill and channel at its own "
        "threshold; its target below. Blue: nothing has a target; within the seconds chosen.",
        place,
        "percentunit",
        1,
    )
    without = Query(q.level_without_target(), "No target")
    return _judged(about, q.level(), without, at_least=True)


def level_open_hours(place: Place) -> Any:
    """The service level of the last two open hours."""
    about = About(
        "Last 2 open hours",
        "The service level since the opening, of two hours at most: a collapse shows here long "
        "before it moves the day, and a bad night does not. From the alert rules.",
        place,
        "percentunit",
        1,
    )
    return _judged(about, q.level_open_hours(), at_least=True)


def inbound_today(place: Place) -> Any:
    """What came in, beside last week."""
    inbound = q.gauge("inbound_interactions")
    before = q.gauge("inbound_interactions", offset=q.WEEK)
    return number(
        About(
            "Inbound today",
            "Interactions that came in since midnight, and last week up to the same moment.",
            place,
            "none",
            0,
        ),
        Query(q.total(inbound), "Today"),
        Query(q.total(before), "Last week"),
        names=True,
    )


def abandonment_today(place: Place) -> Any:
    """The abandoned over the inbound."""
    about = About(
        "Abandonment today",
        "Abandoned over what came in since midnight, of what has a limit; the limit below.",
        place,
        "percentunit",
        1,
    )
    return _judged(about, q.abandonment(), at_least=False)


def asa_today(place: Place) -> Any:
    """The average speed of answer."""
    about = About(
        "ASA today",
        "Average speed of answer since midnight, weighted by the answered, of what has a "
        "limit; the limit below.",
        place,
        WAIT,
        0,
    )
    return _judged(about, q.mean_wait("asa", "answered"), at_least=False, shown=_WHOLE)


def data_age(place: Place) -> Any:
    """How old the figures are: a board on a wall must confess stale numbers."""
    return number(
        About(
            "Age of the data, in polls",
            "Of the query that is furthest behind its own pace, since its last good answer. "
            "Amber: two polls old. Red: its figures on this board are stale.",
            place,
            "none",
            1,
        ),
        Query(q.age(), "{{operation}} · {{skill}}"),
        steps=((None, GOOD), (2, WARN), (3, BAD)),
        names=True,
    )


def reporting(place: Place) -> Any:
    """Whether a sum lacks a skill."""
    return number(
        About(
            "Skills reporting today",
            "The part of the selected queries that have figures of today: below 100 % a sum "
            "on this board lacks a skill; a dash: none has (right after midnight).",
            place,
            "percentunit",
            0,
        ),
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
        column("level_before", "Level last week", "percentunit", decimals=1),
        ASA,
    ]
    return grid(
        About(
            "By hour",
            "The hour that ends there, the latest first: differences between polls, so that a "
            "volume may be off by one poll. Service level (in open hours) of what has a "
            "target, ASA of what has a limit.",
            place,
            "none",
        ),
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
        About(
            "Today and this month",
            "So far, how many more may be late, the level that the rest needs, and where it "
            "ends if the rest goes as the last seven days. A dash: less than a week of "
            "history, or the alert rules are not loaded.",
            place,
            "none",
        ),
        Query(q.outlook(), "{{column}}"),
        columns=[
            column("operation", "Operation"),
            column("window", "Period", mappings=periods),
            column("level", "So far", "percentunit", decimals=1),
            column("target", "Target", "percentunit", decimals=1),
            column("left", "May still be late", "none", decimals=0),
            NEEDED,
            column("projected", "Heading for", "percentunit", decimals=1),
        ],
        sort="Period",
    )


def firing(place: Place, expr: str = q.alerts_since()) -> Any:
    """The firing alerts of the choice with the moment since which they hold."""
    return grid(
        About(
            "Firing alerts",
            "Alerts that fire for the choice, and since when their condition holds. Empty "
            "where none fires or no rules are loaded.",
            place,
            "none",
        ),
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
            "Time",
            "__name__",
            "alertstate",
            "instance",
            "job",
            "skill_id",
            "sli",
            "threshold_seconds",
        ),
    )


def _titles() -> list[object]:
    """Beside the name of each alert what it means."""
    words = {name: {"text": f"{name}: {said}"} for name, said in alert_titles("en").items()}
    return [{"type": "value", "options": words}]
