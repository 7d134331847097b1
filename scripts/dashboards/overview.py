"""The overview, a wall board at 1080p: how it goes, which skill is in trouble, since when."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import figures
from scripts.dashboards import queries as q
from scripts.dashboards.boards import Board
from scripts.dashboards.parts import (
    BAD,
    GOOD,
    MUTED,
    WAIT,
    WARN,
    About,
    Place,
    Query,
    bars,
    columns,
    dashed,
    fixed,
    lines,
    number,
    strips,
    words,
)
from scripts.dashboards.tables import column, grid

TO_SKILL = {
    "title": "Open the skill",
    "url": (
        "/d/wolkvox-skill?${__url_time_range}&var-datasource=${datasource}"
        "&${job:queryparam}&var-operation=${__data.fields.operation}"
        "&var-skill=${__data.fields.skill}&var-channel=${__data.fields.type_interaction}"
        "&var-threshold=${threshold}&var-window=${window}"
    ),
}
NOTES = " ".join(
    (
        "**Service level** is what was answered within the chosen seconds over what came",
        "**in** (not over what was answered), as Wolkvox counts it. Figures of the day",
        "come from Wolkvox's own report and begin at midnight **in the operation's time",
        "zone**; right after midnight they read `-` until the second poll of the new day",
        "(two intervals, mostly 10 minutes). Figures of the recent window and of half",
        "hours are differences between polls: volumes may be off by one poll, ratios are",
        "sound. Ratios and waits count the channels that have a target where any has one,",
        "volumes count all. An operation whose skills are polled one by one is the sum of",
        "these; else it is its `all`. **Not here**, because the API does not tell: who",
        "waits in the queue now, the longest wait, agents.",
    )
)


def overview() -> Board:
    """The board `wolkvox-overview`."""
    return Board(
        name="overview",
        title="Wolkvox · Overview",
        description="How the contact centre does today, which skill is in trouble, since when.",
        panels=[*_headline(), *_trouble(), *_day(), figures.firing((0, 23, 10, 5)), _notes()],
    )


def _headline() -> list[Any]:
    return [
        figures.level_dial((0, 0, 5, 8)),
        figures.level_window((5, 0, 5, 4)),
        figures.inbound_today((10, 0, 5, 4)),
        figures.answered_today((15, 0, 3, 4)),
        figures.abandoned_today((18, 0, 3, 4)),
        _alerts((21, 0, 3, 4)),
        figures.abandonment_today((5, 4, 3, 4)),
        figures.asa_today((8, 4, 3, 4)),
        figures.ata_today((11, 4, 3, 4)),
        figures.data_age((14, 4, 5, 4)),
        figures.reporting((19, 4, 5, 4)),
    ]


def _alerts(place: Place) -> Any:
    return number(
        About(
            "Alerts firing",
            "Firing alerts on service level, abandonment, waits and traffic. A dash: "
            "Prometheus has not loaded the alert rules.",
            place,
            "none",
            0,
        ),
        Query(q.alerts_firing(), "Alerts"),
        steps=((None, GOOD), (1, BAD)),
    )


def _trouble() -> list[Any]:
    return [
        strips(
            About(
                "Service level by skill and half hour",
                "Each cell is the half hour that ends there: green where everybody was "
                "answered in time, red where nobody was. Channels with a target where the "
                "skill has any.",
                (0, 8, 12, 8),
                "percentunit",
                0,
            ),
            Query(q.heat(q.HALF_HOUR), "{{operation}} · {{skill}}"),
            interval="30m",
        ),
        grid(
            About(
                "Skills in trouble, worst first",
                "Each skill and channel, the one furthest below its target first. Below the "
                "minimum volume there is no verdict. To recover: answers in time, in a row, "
                "until the day is back on target.",
                (12, 8, 12, 8),
                "none",
            ),
            *_rows(),
            columns=_columns(),
            drop=("Time", "skill_id"),
            sort="Below target by",
        ),
    ]


def _rows() -> list[Query]:
    return [
        Query(f"round({q.total(q.offered('$window'), q.ROW)})"),
        Query(q.row_level("$window")),
        Query(q.ratio(q.day_within(), q.day("inbound_interactions"), q.ROW)),
        Query(q.shortfall("$window")),
        Query(q.ratio(q.day("abandoned_interactions"), q.day("inbound_interactions"), q.ROW)),
        Query(f"max by ({q.ROW}) ({q.chosen(q.day('asa_seconds'))})"),
        Query(q.answers_to_recover(q.ROW)),
    ]


def _columns() -> list[Any]:
    late = ((None, MUTED), (0.0001, WARN), (0.1, BAD))
    return [
        column("operation", "Operation", width=90),
        column("skill", "Skill", links=[TO_SKILL], width=170),
        column("type_interaction", "Channel", width=110),
        column("Value #D", "Below target by", "percentunit", decimals=1, steps=late),
        column("Value #B", "Recent level", "percentunit", decimals=1),
        column("Value #C", "Level today", "percentunit", decimals=1),
        column("Value #A", "Recent inbound", "none", decimals=0),
        column("Value #E", "Abandonment", "percentunit", decimals=1),
        column("Value #F", "ASA", WAIT, decimals=0),
        column("Value #G", "To recover", "none", decimals=0),
    ]


def _day() -> list[Any]:
    level = q.ratio(q.day_within(), q.day("inbound_interactions"), "type_interaction")
    aim = q.goal(q.day("inbound_interactions"), "type_interaction")
    return [
        lines(
            About(
                "Service level today by channel",
                "The day so far by channel, and dashed its target where it has one.",
                (0, 16, 9, 7),
                "percentunit",
            ),
            Query(level, "{{type_interaction}}"),
            Query(aim, "Target {{type_interaction}}"),
            fixes=(dashed("B", MUTED),),
            top=1,
        ),
        columns(
            About(
                "Inbound by half hour",
                "Answered and abandoned in the half hour that ends there; dashed what came in "
                "last week.",
                (9, 16, 9, 7),
                "none",
            ),
            *figures.half_hours(),
            fixes=(fixed("A", GOOD), fixed("B", BAD), dashed("C", MUTED)),
            interval="30m",
        ),
        bars(
            About(
                "Channels today",
                "What came in since midnight, by channel.",
                (18, 16, 6, 7),
                "none",
                0,
            ),
            Query(
                f"sort_desc({q.total(q.day('inbound_interactions'), 'type_interaction')})",
                "{{type_interaction}}",
            ),
        ),
    ]


def _notes() -> Any:
    return words(
        "What the numbers mean",
        "Definitions, the boundary of the day, and what is missing.",
        (10, 23, 14, 5),
        NOTES,
    )
