"""Panels that stand on more than one board; each takes its place and nothing else."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import queries as q
from scripts.dashboards.parts import (
    BAD,
    CALM,
    GOOD,
    WAIT,
    WARN,
    About,
    Place,
    Query,
    dial,
    fixed,
    number,
)
from scripts.dashboards.spanish import alert_titles
from scripts.dashboards.tables import column, grid

VERDICT = (fixed("A", GOOD), fixed("B", BAD), fixed("C", CALM))
_WORDS = ("On target", "Below target", "No target")
_AGES = ((None, GOOD), (600, WARN), (900, BAD))


def _verdict(expressions: tuple[str, str, str]) -> list[Query]:
    return [Query(expr, legend) for expr, legend in zip(expressions, _WORDS, strict=True)]


def level_dial(place: Place) -> Any:
    """The service level of the day as a gauge."""
    return dial(_level_about(place), *_verdict(q.judged_today()), fixes=VERDICT)


def level_today(place: Place) -> Any:
    """The service level of the day."""
    queries = _verdict(q.judged_today())
    return number(_level_about(place), *queries, fixes=VERDICT, names=True)


def _level_about(place: Place) -> About:
    return About(
        "Service level today",
        "Answered within the chosen seconds over what came in since midnight, for the "
        "channels with a target: green on the target, red below it, blue without one.",
        place,
        "percentunit",
        1,
    )


def level_window(place: Place) -> Any:
    """The service level of the recent window."""
    about = About(
        "Service level, last $window",
        "The same for the recent window, where a collapse shows long before it moves the "
        "day: green on the target, red below it, blue without one.",
        place,
        "percentunit",
        1,
    )
    return number(about, *_verdict(q.judged_window()), fixes=VERDICT, names=True)


def inbound_today(place: Place) -> Any:
    """What came in, beside last week."""
    return number(
        About(
            "Inbound today",
            "Interactions that came in since midnight, and last week up to the same moment.",
            place,
            "none",
            0,
        ),
        Query(q.total(q.day("inbound_interactions")), "Today"),
        Query(q.total(q.day("inbound_interactions", offset=q.WEEK)), "Last week"),
        names=True,
    )


def answered_today(place: Place) -> Any:
    """What was answered."""
    text = "Interactions answered since midnight."
    return number(
        About("Answered today", text, place, "none", 0),
        Query(q.total(q.day("answered_interactions")), "Answered"),
    )


def abandoned_today(place: Place) -> Any:
    """What hung up."""
    text = "Interactions that hung up before an answer since midnight."
    return number(
        About("Abandoned today", text, place, "none", 0),
        Query(q.total(q.day("abandoned_interactions")), "Abandoned"),
    )


def abandonment_today(place: Place) -> Any:
    """The abandoned over the inbound."""
    return number(
        About(
            "Abandonment today",
            "Abandoned over what came in since midnight, for the channels with a target where "
            "there are any.",
            place,
            "percentunit",
            1,
        ),
        Query(q.abandonment(), "Abandonment"),
    )


def asa_today(place: Place) -> Any:
    """The average speed of answer."""
    return number(
        About(
            "ASA today",
            "Average speed of answer since midnight, weighted by the answered, for the "
            "channels with a target where there are any.",
            place,
            WAIT,
            0,
        ),
        Query(q.mean_wait("asa", "answered"), "ASA"),
    )


def ata_today(place: Place) -> Any:
    """The average time to abandonment."""
    return number(
        About(
            "ATA today",
            "Average time to abandonment since midnight, weighted by the abandoned, for the "
            "channels with a target where there are any.",
            place,
            WAIT,
            0,
        ),
        Query(q.mean_wait("ata", "abandoned"), "ATA"),
    )


def data_age(place: Place) -> Any:
    """How old the figures are: a board on a wall must confess stale numbers."""
    return number(
        About(
            "Age of the data",
            "Time since the last good answer of the query that waits longest. Amber: two "
            "polls old. Red: the figures of this board are stale.",
            place,
            "s",
            0,
        ),
        Query(q.age(), "Age"),
        steps=_AGES,
    )


def reporting(place: Place) -> Any:
    """Whether a sum lacks a skill."""
    return number(
        About(
            "Skills with figures of today",
            "The part of the selected queries that have figures of today: below 100 % a sum "
            "on this board lacks a skill; a dash: none has (right after midnight).",
            place,
            "percentunit",
            0,
        ),
        Query(q.reporting(), "Skills"),
        steps=((None, BAD), (0.5, WARN), (1, GOOD)),
    )


def half_hours() -> list[Query]:
    """Answered, abandoned, and what came in last week, by half hour."""
    names = ("answer_wait_seconds_count", "abandon_wait_seconds_count")
    answered, abandoned = (q.total(q.grown(name, q.HALF_HOUR)) for name in names)
    return [
        Query(f"round({answered})", "Answered"),
        Query(f"round({abandoned})", "Abandoned"),
        Query(f"round({q.total(q.offered(q.HALF_HOUR, q.WEEK))})", "Inbound last week"),
    ]


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
