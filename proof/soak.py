"""The long run: days in virtual time beside minutes in real time; nothing drifts or grows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proof import soak_days, soak_minutes
from proof.part import Part, Say, Scale, shortened

ABOUT = (
    "Days of polling in virtual time, with the real loops, client and state file, each "
    "operation behind a simulator of its own that goes through all of its scenarios; zones "
    "with a day of 23 hours, one of 25 and one without a midnight; every half hour the page "
    "is read, and at last the counters must equal what the API told. Beside it, minutes in "
    "real time: the real process on real sockets, scraped every second, reloaded, with "
    "failing operations, looked at from outside (memory, files, sockets, threads)."
)


def prove(scale: Scale, directory: Path, say: Say) -> Part:
    """Run both at once: the virtual days take one core, the real minutes little."""
    with ThreadPoolExecutor(1) as pool:
        beside = directory / "days"
        beside.mkdir()
        waiting = pool.submit(
            soak_days.run_beside, scale.days, scale.operations, scale.seed, beside, say
        )
        minutes = soak_minutes.run(scale.soak_seconds, directory, say)
        days = waiting.result()
    broken = shortened(
        [*soak_days.judge(days, scale.days, scale.operations), *soak_minutes.judge(minutes)]
    )
    rows = (*soak_days.rows(days), *soak_minutes.rows(minutes))
    return Part("Soak", ABOUT, ("what", "seen", "bound"), rows, broken)
