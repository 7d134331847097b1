"""The long run: days in virtual time beside minutes in real time; nothing drifts or grows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exporter.simulator import Scenario
from proof import soak_minutes
from proof.part import Part, Say, Scale, shortened
from proof.soak_days import Days, run_beside
from proof.soak_judge import Line, fit
from proof.soak_minutes import Minutes

ABOUT = (
    "Days of polling in virtual time, with the real loops, client and state file, each "
    "operation behind a simulator of its own that goes through all of its scenarios; zones "
    "with a day of 23 hours, one of 25 and one without a midnight; every half hour the page "
    "is read, and at last the counters must equal what the API told. Beside it, minutes in "
    "real time: the real process on real sockets, scraped every second, reloaded, with "
    "failing operations, looked at from outside (memory, files, sockets, threads) and inside "
    "(tasks, blocks of memory)."
)
HEADER = ("what", "seen", "bound")
WARM_DAYS = 12  # what is remembered of a channel lasts eight
BLOCKS_A_DAY = 20  # for each operation: far fewer than its requests, so none of them leaks
STATE_A_DAY = 256  # bytes for each operation: its count of calls, which is kept for 40 days
P99_LAG = 1.0
_FITTED = 3  # days: fewer have no slope


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Run both at once: the virtual days take one core, the real minutes little."""
    with ThreadPoolExecutor(1) as pool:
        beside = directory / "days"
        beside.mkdir()
        waiting = pool.submit(run_beside, scale.days, scale.operations, scale.seed, beside, say)
        minutes = soak_minutes.run(scale.soak_seconds, directory, say)
        days = waiting.result()
    broken = [*judge_days(days, scale), *soak_minutes.judge(minutes)]
    return Part("Soak", ABOUT, HEADER, rows(days, minutes), shortened(broken))


def judge_days(found: Days, scale: Scale) -> list[str]:
    """What did not hold in virtual time."""
    broken = [*found.problems, *found.wrong, *_missing(found, scale)]
    for count, what in (
        (found.early, "requests came early"),
        (found.fallen, "counters fell"),
        (found.most_in_flight - 1, "requests too many at once with one token"),
        (int(found.p99_lag > P99_LAG), "schedule drifts"),
    ):
        if count > 0:
            broken.append(f"{count} {what}")
    for hours, most in found.most_a_day.items():
        if most > hours * 12:
            broken.append(f"{most} requests of a query on a day of {hours} hours")
    blocks, state = _slopes(found)
    if blocks.surely > BLOCKS_A_DAY * scale.operations:
        broken.append(f"{blocks.slope:,.0f} more blocks of memory a day")
    if state.surely > STATE_A_DAY * scale.operations:
        broken.append(f"the state grows by {state.slope:,.0f} bytes a day")
    return broken


def _missing(found: Days, scale: Scale) -> Iterator[str]:
    """What there was less of than there should have been."""
    if (lived := len(found.blocks)) < scale.days:
        yield f"only {lived} of {scale.days} days were lived through in {found.seconds:.0f} s"
    if found.fewest_a_day is not None and found.fewest_a_day < 287:
        yield f"only {found.fewest_a_day} requests of a query on a day without pauses"
    if min(scale.days, scale.operations) >= 7 and len(found.scenarios) < len(Scenario):
        yield f"only these scenarios came: {found.scenarios}"


def _slopes(found: Days) -> tuple[Line, Line]:
    """Blocks of memory and bytes of the state, by the day, once all is warm."""
    days = [float(day) for day in range(len(found.blocks))][WARM_DAYS:]
    return fit(days, found.blocks[WARM_DAYS:]), fit(days, found.state[WARM_DAYS:])


def rows(days: Days, minutes: Minutes) -> tuple[tuple[str, ...], ...]:
    """What to tell people of both."""
    return (*_rows_of_days(days), *_rows_of_minutes(minutes))


def _rows_of_days(found: Days) -> list[tuple[str, str, str]]:
    if not found.blocks:
        return [("virtual time", "not a single day", "")]
    statuses = ", ".join(f"{count:,} x {code}" for code, count in found.statuses.items())
    most = "; ".join(f"{most} of {hours} h" for hours, most in found.most_a_day.items())
    fewest = "no such day" if found.fewest_a_day is None else f"{found.fewest_a_day}"
    blocks, state = _slopes(found)
    warm = len(found.blocks) - WARM_DAYS

    def rises(line: Line, unit: str) -> str:
        if warm < _FITTED:
            return "no slope is fitted to so few days"
        return f"{line.slope:+,.0f} ± {line.error:,.0f}{unit} (over {warm} days)"

    return [
        ("virtual time", f"{len(found.blocks)} days, {found.mixture}", ""),
        ("requests, by status", f"{found.requests:,}: {statuses}", ""),
        ("scenarios", ", ".join(found.scenarios), "all"),
        ("gaps between requests of a query; too short", f"{found.gaps:,}; {found.early}", "0"),
        ("99 of 100 gaps are late by at most", f"{found.p99_lag:.2f} s", f"{P99_LAG:g} s"),
        ("most requests of a query a day", most or "no whole day", "12 an hour"),
        ("fewest, at 5 min, on a whole day without a pause", fewest, "287"),
        ("most requests at once with one token", f"{found.most_in_flight}", "1"),
        ("pages read; counters that fell", f"{found.pages:,}; {found.fallen}", "0"),
        (
            "counters compared with what the API told; wrong",
            f"{found.pairs}; {len(found.wrong)}", "0",
        ),
        ("pairs that were forgotten and returned", f"{found.returned}", ""),
        ("series, first and last day", f"{found.series[0]:,}; {found.series[-1]:,}", ""),
        (
            "allocated blocks of memory, last day; a day more",
            f"{found.blocks[-1]:,}; {rises(blocks, '')}",
            f"{BLOCKS_A_DAY} for each operation",
        ),
        ("resident memory of it all, last day", f"{found.rss[-1]:.1f} MiB", ""),
        (
            "state file, last day; a day more",
            f"{found.state[-1] / 1024:,.0f} KiB; {rises(state, ' bytes')}",
            f"{STATE_A_DAY} bytes for each operation",
        ),
    ]  # fmt: skip


def _rows_of_minutes(found: Minutes) -> list[tuple[str, str, str]]:
    bounds = {
        "most requests at once with one token": "1",
        "counters that fell": "0",
        "its slope after a third of the time": f"{soak_minutes.PER_HOUR:g} MiB an hour",
        "its growth over the second half": f"{soak_minutes.SHORT_GROWTH:g} MiB",
        "open files, after a third": "no rise",
        "sockets among them": "no rise",
        "threads": "no rise",
        "tasks of the event loop": "no rise",
    }
    return [(what, seen, bounds.get(what, "")) for what, seen in soak_minutes.rows(found)]
