"""The shipped alerts over corrections of a day's totals, through the real exporter.

Ten interactions come in between two polls, 85 % of them answered in time, with a target of
80 %. At minute 60 Wolkvox takes interactions out of the day, or one answer is a glitch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

import httpx
import pytest

from tests.polling_support import Stage, operation
from tests.rules_live import wanted
from tests.rules_scene import Scene
from tests.rules_support import promtool, question, shipped
from tests.virtual import Seen, ok, row, run_virtual

MINUTES, MOMENT = 130, 60
LEVEL, ABANDONMENT = "service_level: {within: 20s, target: 80%}", "abandonment: {max: 12%}"
SLA = f"[{{channels: [inbound], {LEVEL}, {ABANDONMENT}}}]"
# What is taken out of answered in time and of abandoned, and whether a breach begins then.
SITES = {
    "answered-taken": (30, 0, False),
    "abandons-dropped": (0, 40, False),
    "glitch": (0, 0, False),
    "breach-behind-answered": (30, 0, True),
    "breach-behind-abandons": (0, 40, True),
    "breach-behind-glitch": (0, 0, True),
}


def figures(site: str, minute: int) -> Mapping[str, str]:
    """The row of a site's day in a minute of the scene; by then 600 came in at MOMENT."""
    taken, dropped, breach = SITES[site]
    if "glitch" in site and minute // 5 == MOMENT // 5:
        return row(inbound=100, answered=90)
    before, after = min(minute, MOMENT) // 5 * 10, max(0, minute - MOMENT) // 5 * 10
    if minute < MOMENT:
        taken = dropped = 0
    good = 480 + before + (0 if breach else after)
    bad = after if breach else 0
    within = good * 85 // 100 + bad * 2 // 10 - taken
    abandoned = good // 10 + bad // 10 - dropped
    offered = good + bad - taken - dropped
    percent = f"{100 * within / offered:.2f} %"
    levels = {f"service_level_{one}seg": percent for one in (10, 20, 30)}
    return row(inbound=offered, answered=offered - abandoned, **levels)


async def scraped(directory: Path) -> Scene:
    """What Prometheus scrapes of all sites, minute by minute."""
    stage = Stage(directory, "2026-11-18 11:00")
    sites = list(SITES)
    tokens = [f"token-of-{site}" for site in sites]
    begin = stage.world.now()

    def answer(seen: Seen) -> httpx.Response:
        minute = round((stage.world.now() - begin).total_seconds()) // 60
        return ok(dict(figures(sites[tokens.index(seen.token)], minute)))

    stage.api.answer = answer
    operations = [
        operation(name=site, port=number + 1, token=number, interval="5m", sla=SLA)
        for number, site in enumerate(sites)
    ]
    scene = Scene(MINUTES)
    async with stage.start(stage.configure(*operations, tokens=tokens)) as running:
        for minute in range(MINUTES):
            await asyncio.sleep(minute * 60 + 30 - asyncio.get_running_loop().time())
            origin = begin.astimezone(UTC).timestamp()
            scene.scrape(minute, running.page.render().decode(), wanted(), origin)
    return scene


@pytest.mark.slow
def test_corrections_are_silent_and_hide_no_breach(
    tmp_path: Path, state_directory: Path
) -> None:
    """Whatever is taken out of the day, the ratios are of what came in within the window."""
    scene = run_virtual(scraped(state_directory))
    end = MINUTES - 1
    breaches = [(f'{{operation="{site}"}}', 1.0) for site, (*_, one) in SITES.items() if one]
    firing = 'ALERTS{alertstate="firing",alertname!="WolkvoxWatchdog",operation!~"breach.*"}'
    within = 'wolkvox:window:service_level{window!="day"}'
    asked = [
        question(f"count by (alertname, operation) (count_over_time({firing}[{end}m]))", end),
        question(f"max_over_time({within}[{end}m]) > 0.9", end),
    ]
    for alert in ("WolkvoxServiceLevelCollapse", "WolkvoxServiceLevelBelowTarget"):
        told = f'count by (operation) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
        asked += [question(told, MOMENT), question(told, MOMENT + 20, *breaches)]
    test = {"interval": "1m", "input_series": scene.as_input(), "promql_expr_test": asked}

    assert promtool(tmp_path, shipped(), [test]) is None
