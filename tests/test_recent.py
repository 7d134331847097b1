"""The last half hour on the page, from the counters of each poll: in virtual time."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx

from tests.polling_support import Stage, moment, operation
from tests.status_page_support import read, served
from tests.virtual import Exporter, Seen, ok, refusal, row, run_virtual

TARGET = "[{service_level: {within: 20s, target: 80%}}]"
BUSY = operation(sla=TARGET)


def collapse(stage: Stage, outage: tuple[str, str] = ("09:00", "09:00")) -> None:
    """240 interactions an hour from 10:00 on, of which none is in time after 11:00.

    During the outage there is no answer.
    """

    def answer(seen: Seen) -> httpx.Response:
        now = datetime.fromtimestamp(seen.at, stage.zone)
        if moment(outage[0]) <= now < moment(outage[1]):
            return refusal("maintenance")
        minutes = (now - moment("10:00")) / timedelta(minutes=1) + 100
        inbound, in_time = round(4 * minutes), round(4 * min(minutes, 160.0))
        share = f"{100 * in_time / inbound:.2f} %"
        levels = {f"service_level_{seconds}seg": share for seconds in (10, 20, 30)}
        return ok(row(inbound=inbound, answered=inbound, **levels))

    stage.api.answer = answer


def shown(stage: Stage, running: Exporter) -> tuple[str, str]:
    """The service levels of the last half hour and of the day, as on the page."""
    (figures,) = read(served(stage, running)).rows()
    recent, today = figures.all("td")[3:5]
    return recent.text, today.text


async def looks(stage: Stage, *moments: str, interval: str = "5m") -> list[tuple[str, str]]:
    """What the page shows at these moments, in one run of the exporter."""
    async with stage.run(operation(sla=TARGET, interval=interval)) as running:
        found = []
        for at in moments:
            await stage.until(at)
            found.append(shown(stage, running))
    return found


def test_a_collapse_shows_within_the_half_hour(stage: Stage) -> None:
    """The day moves by a few points; the half hour falls to nothing."""
    collapse(stage)
    found = run_virtual(looks(stage, "10:02", "10:12", "10:59", "11:16", "11:37"))

    assert found == [
        ("–", "✓ 100%"),
        ("✓ 100%since 10:00", "✓ 100%"),
        ("✓ 100%", "✓ 100%"),
        ("▼ 50.0%", "✓ 91.4%"),
        ("▼ 0.0%", "✓ 82.0%"),
    ]


def test_where_polls_are_slow_the_window_is_longer_and_says_so(stage: Stage) -> None:
    """It holds four of them."""
    collapse(stage)
    found = run_virtual(looks(stage, "11:31", "12:01", interval="15m"))

    assert [recent for recent, _ in found] == ["▼ 50.0%since 10:30", "▼ 0.0%since 11:00"]


async def across_a_gap(stage: Stage, down: str, up: str) -> list[str]:
    """The half hour 1, 6 and 36 minutes after a start at `up`; none ran since `down`."""
    await stage.live(down, BUSY)
    await stage.until(up)
    later = [moment(up) + timedelta(minutes=minutes) for minutes in (1, 6, 36)]
    return [recent for recent, _ in await looks(stage, *(f"{at:%H:%M}" for at in later))]


def test_a_restart_goes_on_with_what_the_state_holds(stage: Stage) -> None:
    """From the last answer before it on, unless that is more than an hour ago."""
    collapse(stage)
    found = run_virtual(across_a_gap(stage, "10:56", "11:20"))
    assert found == ["▼ 20.0%", "▼ 16.7%", "▼ 0.0%"]


def test_a_long_gap_is_no_half_hour(stage: Stage) -> None:
    """What happened in it is in the day's figures alone."""
    collapse(stage, outage=("10:57", "12:57"))
    found = run_virtual(looks(stage, "13:01", "13:06", "13:36"))

    assert [recent for recent, _ in found] == ["–", "▼ 0.0%since 13:00", "▼ 0.0%"]
