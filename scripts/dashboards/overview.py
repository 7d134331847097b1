"""The overview, a wall board at 1080p: which skill is in trouble since when, how it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scripts.dashboards import figures
from scripts.dashboards import queries as q
from scripts.dashboards.boards import Board
from scripts.dashboards.parts import (
    BAD,
    GOOD,
    WAIT,
    WARN,
    About,
    Query,
    fixed,
    label,
    number,
    strips,
    words,
)
from scripts.dashboards.tables import column, grid

DISTANCE = ((None, "dark-red"), (-0.3, BAD), (-0.1, WARN), (0, GOOD))
TO_SKILL = {
    "title": "Open the skill",
    "url": (
        "/d/wolkvox-skill?${__url_time_range}&var-datasource=${datasource}"
        "&${job:queryparam}&var-operation=${__data.fields.operation}"
        "&var-skill=${__data.fields.skill}&var-channel=${__data.fields.type_interaction}"
        "&var-threshold=${threshold}"
    ),
}
NOTES = " ".join(
    (
        "**Service level**: answered in time over what came **in**, as Wolkvox counts it, each",
        "skill and channel at its own threshold. **A day** begins at midnight of the operation",
        "(right after it figures of the day read `-` until the second poll); clock times are",
        "those of `${__timezone}`. **Sums** take the `all` of an operation where it is polled,",
        "else its skills. **A dash** is no figure, never 0; strip, two hours and month need",
        "the alert rules. **Not here**, because the API does not tell: who waits now, agents.",
    )
)


def overview() -> Board:
    """The board `wolkvox-overview`."""
    return Board(
        name="overview",
        title="Wolkvox · Overview",
        description="Which skill is in trouble since when; how the contact centre does today.",
        panels=[*_headline(), *_trouble(), *_rest()],
    )


def _headline() -> list[Any]:
    return [
        number(
            About(
                "Furthest below target",
                "The three skills and channels furthest below their targets, today or in the "
                "last two open hours: by how many percentage points. Green: how many have a "
                "target, where none is below it.",
                (0, 0, 12, 7),
                "suffix:points",
                0,
            ),
            Query(q.worst(), "{{skill}} · {{type_interaction}} (target {{target}} %)"),
            Query(q.none_below(), "with a target, none below it"),
            fixes=(fixed("A", BAD), fixed("B", GOOD, unit="none")),
            names=True,
        ),
        figures.level_today((12, 0, 4, 4)),
        figures.level_open_hours((16, 0, 4, 4)),
        figures.inbound_today((20, 0, 4, 4)),
        figures.abandonment_today((12, 4, 3, 3)),
        figures.asa_today((15, 4, 3, 3)),
        figures.data_age((18, 4, 3, 3)),
        figures.reporting((21, 4, 3, 3)),
    ]


def _trouble() -> list[Any]:
    return [
        grid(
            About(
                "In trouble, worst first",
                "Skills and channels below their target today or in the last two open hours, "
                "over a limit, or with a firing alert; no others. Since: the alert's condition "
                "holds, or the two hours are below (to a quarter of an hour).",
                (0, 7, 24, 7),
                "none",
            ),
            Query(q.trouble(), "{{column}}"),
            columns=_columns(),
            drop=("Time", "job", "skill_id"),
            sort="Below by",
        ),
        strips(
            About(
                "Distance to the target by half hour, worst first",
                "Each cell is the half hour that ends there: how far its service level was "
                "above or below the target, for the 15 that are furthest below now. From the "
                "alert rules, in open hours.",
                (0, 14, 14, 9),
                "percentunit",
                0,
            ),
            Query(q.strip(), "{{operation}} · {{skill}} · {{type_interaction}}"),
            interval="30m",
            steps=DISTANCE,
        ),
    ]


def _columns() -> list[Any]:
    def share(field: str, heading: str, **more: object) -> Any:
        return column(field, heading, "percentunit", decimals=1, **more)

    return [
        column("operation", "Operation"),
        column("skill", "Skill", links=[TO_SKILL]),
        column("type_interaction", "Channel"),
        column("since", "Since", "dateTimeAsIsoNoDateIfToday"),
        share("wolkvox_skill_service_level_ratio", "Level today"),
        share("wolkvox:window:service_level", "Last 2 open hours"),
        share("wolkvox_sla_service_level_target_ratio", "Target"),
        share("gap", "Below by", steps=figures.OVER),
        replace(figures.NEEDED, field="wolkvox:period:needed"),
        column("wolkvox_skill_inbound_interactions", "Inbound", "none", decimals=0),
        share("wolkvox_skill_abandonment_ratio", "Abandonment"),
        share("lost_over", "Over limit by", steps=figures.OVER),
        column("wolkvox_skill_asa_seconds", "ASA", WAIT, decimals=0),
        column("asa_over", "ASA over limit by", WAIT, decimals=0, steps=figures.OVER),
    ]


def _rest() -> list[Any]:
    zones = f"count by (timezone) ({q.raw('operation_info', q.OPERATION)})"
    return [
        figures.outlook((14, 14, 10, 5)),
        figures.hourly((14, 19, 10, 9)),
        label(
            About(
                "Midnight of",
                "The time zones of the operations: a day begins at their midnight, wherever "
                "this board is looked at.",
                (0, 23, 4, 5),
            ),
            Query(zones, "{{timezone}}"),
        ),
        words(
            "What the numbers mean",
            "Definitions, the boundary of the day, and what is missing.",
            (4, 23, 10, 5),
            NOTES,
        ),
    ]
