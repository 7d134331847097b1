"""The board of a skill and channel: what the choice did today, recently and in the past."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import figures
from scripts.dashboards import queries as q
from scripts.dashboards.boards import Board
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
    bars,
    columns,
    dashed,
    fixed,
    lines,
    number,
    plain,
    strips,
    value_map,
)
from scripts.dashboards.tables import column, grid

PAIR_LEGEND = "{{operation}} · {{skill}} · {{type_interaction}}"
WEEKDAYS_BACK = ("1w", "2w", "3w", "4w")
DAY_NAMES = value_map(today=("today", MUTED), yesterday=("yesterday", MUTED))
DAYS = (
    "Today",
    "1 day before",
    "2 days before",
    "3 days before",
    "4 days before",
    "5 days before",
    "6 days before",
    "7 days before",
)


def skill() -> Board:
    """The board `wolkvox-skill`."""
    return Board(
        name="skill",
        title="Wolkvox · Skill and channel",
        description="One skill or channel, or any choice of them: today, recently, last weeks.",
        panels=[*_stats(), *_levels(), *_traffic(), *_waits(), *_comparisons()],
    )


def _stats() -> list[Any]:
    return [
        figures.level_today((0, 0, 4, 4)),
        figures.level_window((4, 0, 4, 4)),
        figures.inbound_today((8, 0, 5, 4)),
        figures.answered_today((13, 0, 3, 4)),
        figures.abandoned_today((16, 0, 3, 4)),
        figures.abandonment_today((19, 0, 5, 4)),
        _to_recover((0, 4, 5, 4)),
        _budget((5, 4, 5, 4)),
        figures.asa_today((10, 4, 3, 4)),
        figures.ata_today((13, 4, 3, 4)),
        figures.data_age((16, 4, 4, 4)),
        figures.reporting((20, 4, 4, 4)),
    ]


def _to_recover(place: Place) -> Any:
    return number(
        About(
            "Answers in a row to recover",
            "So many answers in time, with nothing late between them, bring the day back on "
            "target; added up over the skills and channels of the choice.",
            place,
            "none",
            0,
        ),
        Query(q.answers_to_recover(), "Answers"),
        steps=((None, GOOD), (1, WARN), (50, BAD)),
    )


def _budget(place: Place) -> Any:
    return number(
        About(
            "Error budget used today",
            "Late or lost interactions over those that the target allows: above 100 % the "
            "day is below its target.",
            place,
            "percentunit",
            0,
        ),
        Query(q.budget_used(), "Used"),
        steps=((None, GOOD), (0.8, WARN), (1, BAD)),
    )


def _levels() -> list[Any]:
    inbound = q.day("inbound_interactions")
    return [
        lines(
            About(
                "Service level of the day so far",
                "Each skill and channel since midnight, and dashed its target. It moves slowly "
                "in the afternoon: the recent window beside it does not.",
                (0, 8, 9, 9),
                "percentunit",
            ),
            Query(q.ratio(q.day_within(), inbound, q.ROW), PAIR_LEGEND),
            Query(q.row_target(), f"Target {PAIR_LEGEND}"),
            fixes=(dashed("B", MUTED),),
            top=1,
        ),
        lines(
            About(
                "Service level over time, last $window",
                "Each skill and channel over the recent window, and dashed its target. A gap: "
                "less came in than the minimum volume (20 where none is set), so that a ratio "
                "says nothing.",
                (9, 8, 9, 9),
                "percentunit",
            ),
            Query(q.masked_level("$window"), PAIR_LEGEND),
            Query(q.row_target(), f"Target {PAIR_LEGEND}"),
            fixes=(dashed("B", MUTED),),
            top=1,
        ),
        bars(
            About(
                "Answered within 10, 20, 30 s today",
                "Service level of the day at each of the three limits, over all channels of "
                "the choice.",
                (18, 8, 6, 9),
                "percentunit",
                1,
            ),
            *(
                Query(
                    q.ratio(q.day_within(threshold=limit), inbound),
                    f"Within {limit} s",
                )
                for limit in ("10", "20", "30")
            ),
            fixes=(fixed("A", CALM), fixed("B", CALM), fixed("C", CALM)),
            top=1,
        ),
    ]


def _traffic() -> list[Any]:
    inbound = q.total(q.day("inbound_interactions"))
    back = [q.total(q.day("inbound_interactions", offset=week)) for week in WEEKDAYS_BACK]
    named = [f'label_replace({one}, "weeks", "{n}", "", "")' for n, one in enumerate(back, 1)]
    return [
        lines(
            About(
                "Inbound today, cumulative",
                "What came in since midnight, beside last week and the mean of the last four "
                "same weekdays (of those there are).",
                (0, 17, 8, 8),
                "none",
            ),
            Query(inbound, "Today"),
            Query(back[0], "Last week"),
            Query(f"avg({' or '.join(named)})", "Mean of 4 weeks"),
            fixes=(fixed("A", CALM, fillOpacity=15), dashed("B", WARN), dashed("C", MUTED)),
        ),
        columns(
            About(
                "Answered and abandoned by half hour",
                "In the half hour that ends there; dashed what came in last week.",
                (8, 17, 8, 8),
                "none",
            ),
            *figures.half_hours(),
            fixes=(fixed("A", GOOD), fixed("B", BAD), dashed("C", MUTED)),
            interval="30m",
        ),
        strips(
            About(
                "Service level by hour, today and the days before",
                "Each cell is the hour that ends there, each row a day: the same hours as "
                "today. Channels with a target where there are any.",
                (16, 17, 8, 8),
                "percentunit",
                0,
            ),
            *(Query(_hour(days), name) for days, name in enumerate(DAYS)),
            interval="1h",
        ),
    ]


def _hour(days: int) -> str:
    offset = f"{days}d" if days else ""
    return q.preferring(q.TARGET, q.within(q.HOUR, offset), q.offered(q.HOUR, offset))


def _waits() -> list[Any]:
    return [
        lines(
            About(
                "ASA and ATA of the day so far",
                "Average waits of the answered and of the abandoned since midnight, for the "
                "channels with a target where there are any.",
                (0, 25, 8, 8),
                "s",
            ),
            Query(q.mean_wait("asa", "answered"), "ASA"),
            Query(q.mean_wait("ata", "abandoned"), "ATA"),
            Query(_asa_limit(), "ASA limit"),
            fixes=(fixed("A", CALM), fixed("B", WARN), dashed("C", MUTED)),
        ),
        bars(
            About(
                "How long the answered waited",
                "Answered interactions of the selected time by how long they waited.",
                (8, 25, 8, 8),
                "none",
                0,
            ),
            *_histogram(),
            fixes=(fixed("A", GOOD), fixed("B", GOOD), fixed("C", WARN), fixed("D", BAD)),
        ),
        lines(
            About(
                "Abandonment of the day so far",
                "Abandoned over what came in since midnight by skill and channel, and "
                "dashed its limit.",
                (16, 25, 8, 8),
                "percentunit",
            ),
            Query(
                q.ratio(q.day("abandoned_interactions"), q.day("inbound_interactions"), q.ROW),
                PAIR_LEGEND,
            ),
            Query(_limit("abandonment_limit_ratio"), "Limit"),
            fixes=(dashed("B", MUTED),),
        ),
    ]


def _limit(name: str) -> str:
    return f"max({q.chosen(f'wolkvox_sla_{name}{{{q.SELECTED}}}')})"


def _asa_limit() -> str:
    return _limit("asa_limit_seconds")


def _histogram() -> list[Query]:
    span = "$__range"
    within = {bound: q.total(q.within(span, bound=f"{bound}.0")) for bound in (10, 20, 30)}
    answered = q.total(q.grown("answer_wait_seconds_count", span))
    return [
        Query(f"round({within[10]})", "0 to 10 s"),
        Query(f"round({within[20]} - {within[10]})", "10 to 20 s"),
        Query(f"round({within[30]} - {within[20]})", "20 to 30 s"),
        Query(f"round({answered} - {within[30]})", "over 30 s"),
    ]


def _comparisons() -> list[Any]:
    window = ""
    inbound = q.day("inbound_interactions", window)
    by = "window"
    return [
        grid(
            About(
                "Today beside yesterday",
                "The day so far, and the whole of yesterday once it is closed (from the first "
                "poll after midnight on). All channels of the choice.",
                (0, 33, 12, 6),
                "none",
            ),
            Query(q.total(inbound, by)),
            Query(q.total(q.day("answered_interactions", window), by)),
            Query(q.total(q.day("abandoned_interactions", window), by)),
            Query(q.ratio(q.day_within(window), inbound, by)),
            Query(q.ratio(q.day("abandoned_interactions", window), inbound, by)),
            Query(q.mean_wait("asa", "answered", window, by)),
            columns=[
                column("window", "Day", mappings=plain(DAY_NAMES)),
                column("Value #A", "Inbound", "none", decimals=0),
                column("Value #B", "Answered", "none", decimals=0),
                column("Value #C", "Abandoned", "none", decimals=0),
                column("Value #D", "Service level", "percentunit", decimals=1),
                column("Value #E", "Abandonment", "percentunit", decimals=1),
                column("Value #F", "ASA", WAIT, decimals=0),
            ],
        ),
        figures.firing((12, 33, 12, 6)),
    ]
