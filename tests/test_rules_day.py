"""Whole days of the simulated centre through the real exporter: who is alerted, and when.

Healthy is: staffed a third above what the mean load needs, and measured by 70 % within 20 s.
With just the mean load's staff a voice queue of this size falls below 80 % in one half-hour of
ten by chance alone: no rule can tell that from a team that is too small.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.simulator import SimulatedOperation, SimulatedSkill, Simulator
from tests.rules_live import Event, Play, Site
from tests.rules_support import needed, promtool, question, shipped

BOGOTA = ZoneInfo("America/Bogota")
# Weight of each hour in the simulated day: volumes are chosen for a given half-hour.
HOURS = (
    0.16, 0.12, 0.10, 0.10, 0.12, 0.20, 0.35, 0.60, 0.95, 1.30, 1.45, 1.35,
    1.00, 0.90, 1.20, 1.30, 1.25, 1.00, 0.80, 0.65, 0.50, 0.40, 0.30, 0.22,
)  # fmt: skip
WARM, WITHIN = 60, 20


def _site(name: str, zone: ZoneInfo, *skills: SimulatedSkill, **keys: str) -> Site:
    token = "7b" + name.encode().hex() * 5
    simulated = SimulatedOperation(name, token, zone, skills, daily_limit=10**6)
    return Site(simulated, {"interval": "5m", **keys})


def _sla(level: int, **more: str) -> str:
    keys = {
        "channels": "[inbound]",
        "service_level": f"{{within: 20s, target: {level}%}}",
        **more,
    }
    return "[{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}]"


# A collapse, at every hour of the day --------------------------------------------------------


def _collapsing(start: datetime, hour: int, phase: int) -> Site:
    """A queue of 40 interactions in half an hour, where it is `hour` when it collapses."""
    offset = (hour - (start + timedelta(minutes=WARM)).hour + 12) % 24 - 12
    volume = 40 * 2 * sum(HOURS) / HOURS[hour]
    skill = SimulatedSkill("4173", "Ventas", {"inbound": volume}, agents=1.3)
    zone = ZoneInfo(f"Etc/GMT{-offset:+d}")
    return _site(f"h{hour:02d}p{phase}", zone, skill, sla=_sla(80))


def test_a_collapse_pages_within_twenty_minutes_at_any_hour(
    tmp_path: Path, state_directory: Path
) -> None:
    """Right before or after a poll, by day and by night: a page within 20 minutes."""
    start = datetime(2026, 11, 18, 6, 0, tzinfo=UTC)
    plan = [(hour, (hour * 2) % 5) for hour in range(24) if hour not in {10, 17}]
    plan += [(hour, phase) for hour in (10, 17) for phase in range(5)]
    sites = [_collapsing(start, hour, phase) for hour, phase in plan]

    def collapse(name: str, simulator: Simulator) -> None:
        simulator.set_scenario("collapse", name)

    # Polls begin with the minute 0 and every fifth after it; the team leaves 5 s later at the
    # earliest, just too late to be seen by that poll.
    events: list[Event] = [
        ((WARM + phase) * 60 + 5, partial(collapse, site.name))
        for site, (_, phase) in zip(sites, plan, strict=True)
    ]
    scene = Play(start, WARM + WITHIN + 5, sites, events).scene(state_directory)
    alert = "WolkvoxServiceLevelCollapse"
    asked = [
        question(
            f'count(ALERTS{{alertname="{alert}",alertstate="firing",operation=~".*p{phase}"}})',
            WARM + phase + WITHIN,
            ("{}", sum(other == phase for _, other in plan)),
        )
        for phase in range(5)
    ]
    # Nobody was paged before.
    paged = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    asked.append(question(f"count_over_time({paged}[{WARM}m])", WARM))
    test = {"interval": "1m", "input_series": scene.as_input(), "promql_expr_test": asked}

    assert promtool(tmp_path, needed(shipped(), alert), [test]) is None


# Days on which nothing happens ---------------------------------------------------------------


def _quiet_days() -> list[Site]:
    """Five queues with different chances, a tight quota, hours of polling, a small skill."""
    seeds = []
    for number in range(5):
        chat = {"chat-whatsapp": 300.0} if number == 0 else {}
        skill = SimulatedSkill("4173", "Ventas", {"inbound": 1500.0, **chat}, agents=1.3)
        sla = _sla(70, abandonment="{max: 15%}", asa="{max: 60s}")
        seeds.append(_site(f"seed{number}", BOGOTA, skill, sla=sla))
    skills = [SimulatedSkill(str(n), f"S{n}", {"inbound": 700.0}, agents=1.3) for n in range(2)]
    tight = _site(
        "tight", BOGOTA, *skills, sla=_sla(70), daily_requests="200", token_info="true"
    )
    shop = _site(
        "shop", BOGOTA, SimulatedSkill("1", "Tienda", {"inbound": 1500.0}, agents=1.3),
        sla=_sla(70, hours='"Mo-Su 08:00-18:00"'), daily_requests="150",
        poll_hours='"Mo-Su 07:00-20:00"',
    )  # fmt: skip
    small = _site(
        "small", BOGOTA, SimulatedSkill("1", "Quejas", {"inbound": 45.0}, agents=0.7),
        sla=_sla(80, abandonment="{max: 5%}"),
    )  # fmt: skip
    return [*seeds, tight, shop, small]


def test_healthy_days_are_silent(tmp_path: Path, state_directory: Path) -> None:
    """Nights, mornings, midnight, a restart, a tight quota and low volume alert nobody."""
    start = datetime(2026, 11, 17, 23, 0, tzinfo=BOGOTA)
    minutes = 25 * 60 + 30
    play = Play(start, minutes, _quiet_days(), down=range(15 * 60, 15 * 60 + 3))
    scene = play.scene(state_directory)
    firing = 'ALERTS{alertstate="firing",alertname!="WolkvoxWatchdog"}'
    asked = [
        question(
            f"count by (alertname, operation) (count_over_time({firing}[{minutes}m]))", minutes
        )
    ]
    test = {"interval": "1m", "input_series": scene.as_input(), "promql_expr_test": asked}

    # Every two minutes will do for silence, at half the cost.
    assert promtool(tmp_path, shipped(), [test], interval="2m") is None
