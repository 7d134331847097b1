"""The lower half of the exporter's board: the process, and whether the figures agree."""

from __future__ import annotations

from typing import Any

from scripts.dashboards import queries as q
from scripts.dashboards.parts import BAD, CALM, GOOD, About, Query, fixed, lines, number


def process() -> list[Any]:
    """What the exporter costs its machine and Prometheus."""
    return [
        lines(
            About(
                "Series exported",
                "Samples of a scrape, and series of the exporter's own metrics.",
                (0, 28, 6, 7),
                "none",
            ),
            Query(f"sum(scrape_samples_scraped{{{q.JOB}}})", "Samples scraped"),
            Query(f'count({{{q.JOB}, __name__=~"wolkvox_.+"}})', "Wolkvox series"),
        ),
        lines(
            About("Duration of a scrape", "How long the last scrape took.", (6, 28, 6, 7), "s"),
            Query(f"max by (instance) (scrape_duration_seconds{{{q.JOB}}})", "{{instance}}"),
        ),
        lines(
            About("Memory", "Resident memory of the process.", (12, 28, 4, 7), "bytes"),
            Query(f"process_resident_memory_bytes{{{q.JOB}}}", "{{instance}}"),
        ),
        lines(
            About("CPU", "Processor time a second.", (16, 28, 4, 7), "percentunit"),
            Query(
                f"rate(process_cpu_seconds_total{{{q.JOB}}}[$__rate_interval])", "{{instance}}"
            ),
        ),
        lines(
            About(
                "Open files",
                "Open file descriptors, sockets included.",
                (20, 28, 4, 7),
                "none",
            ),
            Query(f"process_open_fds{{{q.JOB}}}", "{{instance}}"),
        ),
    ]


def checks() -> list[Any]:
    """Figures that contradict each other, and answers that could not be read."""
    inbound = _voice("inbound_interactions")
    answered, abandoned = _voice("answered_interactions"), _voice("abandoned_interactions")
    gap = f"abs({inbound} - {answered} - {abandoned})"
    level = f"wolkvox_skill_service_level_ratio{{{q.SELECTED}"
    fast, slow = (
        f'{q.once(f"""{level}, threshold_seconds="{limit}"}}""", "threshold_seconds")}'
        for limit in ("10", "30")
    )
    lost = f"wolkvox_skill_abandonment_ratio{{{q.SELECTED}}}"
    outside = " or ".join(f"{one} < 0 or {one} > 1" for one in (f"{level}}}", lost))
    some = f"0 * count({level}}})"
    bad = ((None, GOOD), (1, BAD))
    return [
        number(
            About(
                "Inbound is not answered + abandoned",
                "Voice channels of which the figures differ by more than 2: Wolkvox's "
                "definition makes them equal. Chats and mails may have a backlog.",
                (0, 35, 5, 5),
            ),
            Query(f"count({gap} > 2) or 0 * count({inbound})", "Pairs"),
            steps=bad,
        ),
        number(
            About(
                "Level at 10 s above level at 30 s",
                "Skills and channels of which the service levels contradict each other.",
                (5, 35, 5, 5),
            ),
            Query(f"count({fast} > {slow}) or {some}", "Pairs"),
            steps=bad,
        ),
        number(
            About(
                "Ratios outside 0 to 100 %",
                "Service levels and abandonment that cannot be.",
                (10, 35, 4, 5),
            ),
            Query(f"count({outside}) or {some}", "Series"),
            steps=bad,
        ),
        lines(
            About(
                "What could not be read",
                "Fields of answers that could not be read, rows beyond the limits, and rows "
                "held back because they fell, in the last hour.",
                (14, 35, 10, 5),
                "none",
            ),
            Query(
                q.if_any(_hourly("parse_errors_total", "operation, field"), "operation"),
                "{{operation}} {{field}}",
            ),
            Query(_hourly("series_dropped_total", "operation"), "{{operation}}: rows dropped"),
            Query(_hourly("held_answers_total", "operation"), "{{operation}}: rows held back"),
            fixes=(fixed("B", CALM),),
        ),
    ]


def _hourly(name: str, by: str) -> str:
    return f"sum by ({by}) (increase({q.raw(name, q.OPERATION)}[1h]))"


def _voice(name: str) -> str:
    voice = 'type_interaction=~"inbound|internalcall_que|out_pre"'
    return q.once(f"wolkvox_skill_{name}{{{q.SELECTED}, {voice}}}")
