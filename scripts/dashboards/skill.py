"""The board of a skill and channel: what the choice did today, by hour, and this month."""

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
    Place,
    Query,
    dashed,
    described,
    fixed,
    lines,
    number,
    value_map,
)
from scripts.dashboards.tables import column, grid, share

PAIR_LEGEND = "{{operation}} · {{skill}} · {{type_interaction}}"
LOST = value_map(_1=("Cannot be reached today", BAD))
DAYS = value_map(
    today=("Today", MUTED),
    yesterday=("Yesterday", MUTED),
    month=("This month until yesterday", MUTED),
    last_month=("Last month", MUTED),
)


def skill() -> Board:
    """The board `wolkvox-skill`."""
    return Board(
        name="skill",
        title="Wolkvox · Skill and channel",
        description="One skill or channel, or any choice of them: today, by hour, the month.",
        panels=[
            figures.level_today((0, 0, 5, 5)),
            figures.level_open_hours((5, 0, 5, 5)),
            _reach((10, 0, 6, 5)),
            figures.abandonment_today((16, 0, 4, 5)),
            figures.asa_today((20, 0, 4, 5)),
            figures.inbound_today((0, 5, 8, 5)),
            figures.outlook((8, 5, 16, 5)),
            _levels((0, 10, 12, 12)),
            figures.hourly((12, 10, 12, 18), last_week=True),
            _days((0, 22, 12, 6)),
            figures.firing((0, 28, 24, 6)),
        ],
    )


def _reach(place: Place) -> Any:
    possible, lost = q.reach()
    return number(
        described("The target of the day", place),
        Query(possible, "may still be late: {{late}} late, {{allowed}} allowed"),
        Query(lost, "{{late}} late, {{allowed}} allowed"),
        fixes=(fixed("A", GOOD), fixed("B", BAD, mappings=[LOST])),
        names=True,
    )


def _levels(place: Place) -> Any:
    level, target = q.levels()
    return lines(
        described("Service level over half hours", place),
        Query(level, PAIR_LEGEND),
        Query(target, f"Target {PAIR_LEGEND}"),
        fixes=(dashed("B", MUTED),),
        top=1,
    )


def _days(place: Place) -> Any:
    volumes = {
        name: q.total(q.shown(f"{name}_interactions", ""), "window")
        for name in ("inbound", "answered", "abandoned")
    }
    ratios = {
        "level": q.level(""),
        "lost": q.abandonment(""),
        "asa": q.mean_wait("asa", "answered", ""),
        "ata": q.mean_wait("ata", "abandoned", ""),
    }
    at = {f"within_{n}": q.within(n, "", "window") for n in ("10", "20", "30")}
    judged = {name: q.ratio(one, "window") for name, one in ratios.items()}
    return grid(
        described("Days and months", place),
        Query(q.named(**volumes, **judged, **at), "{{column}}"),
        columns=[
            column("window", "Period", mappings=[DAYS]),
            figures.INBOUND,
            *figures.HANDLED,
            figures.LEVEL,
            share("lost", "Abandonment"),
            figures.ASA,
            column("ata", "ATA", WAIT, decimals=0),
            *(share(f"within_{n}", f"Within {n} s") for n in ("10", "20", "30")),
        ],
        sort="Inbound",
    )
