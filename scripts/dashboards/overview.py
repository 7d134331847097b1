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
    Query,
    described,
    fixed,
    label,
    number,
    strips,
    words,
)
from scripts.dashboards.tables import column, grid, share

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


def overview() -> Board:
    """The board `wolkvox-overview`."""
    zones = f"count by (timezone) ({q.raw('operation_info', q.OPERATION)})"
    return Board(
        name="overview",
        title="Wolkvox · Overview",
        description="Which skill is in trouble since when; how the contact centre does today.",
        panels=[
            number(
                described("Furthest below target", (0, 0, 12, 7)),
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
            grid(
                described("In trouble, worst first", (0, 7, 24, 7)),
                Query(q.trouble(), "{{column}}"),
                columns=_columns(),
                drop=("Time", "job", "skill_id"),
                sort="Below by",
            ),
            strips(
                described("Distance to the target by half hour, worst first", (0, 14, 14, 9)),
                Query(q.strip(), "{{operation}} · {{skill}} · {{type_interaction}}"),
                steps=DISTANCE,
            ),
            figures.outlook((14, 14, 10, 5)),
            figures.hourly((14, 19, 10, 9)),
            label(described("Midnight of", (0, 23, 4, 5)), Query(zones, "{{timezone}}")),
            words(described("What the numbers mean", (4, 23, 10, 5))),
        ],
    )


def _columns() -> list[Any]:
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
