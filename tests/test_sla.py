"""Targets: overriding entries, pairs that come and go, opening hours at the scrape."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from exporter.config import Operation, Skill
from exporter.config.model import ServiceLevel
from exporter.metrics.page import MetricsPage
from exporter.metrics.query import QueryRenderer
from exporter.metrics.sla import Targets, goals
from exporter.state.models import QueryStatus
from tests.config_support import sla
from tests.e2e_support import Samples
from tests.statuses import CHAT, NOW, VOICE, never, status

BOGOTA = ZoneInfo("America/Bogota")
SL = "service_level: {within: 20s, target: 80%}"
HOURS = "hours: 'Mo-Fr 07:00-19:00; PH off', country: CO"


def targets(*entries: str, single_skills: bool = True) -> Targets:
    """The targets of an operation in Bogota; entries are the keys of each, in YAML."""
    text = ", ".join(f"{{{entry}}}" for entry in entries)
    skills = () if single_skills else (Skill("all", "all"),)
    return Targets(Operation.model_construct(sla=sla(text), timezone=BOGOTA, skills=skills))


def read(within: str, target: str) -> ServiceLevel | None:
    """The target of a service level."""
    return sla(f"{{service_level: {{within: {within}, target: {target}}}}}")[0].service_level


def moment(text: str) -> float:
    """Epoch seconds of a local time in Bogota."""
    return datetime.fromisoformat(text).replace(tzinfo=BOGOTA).timestamp()


class Page:
    """An exposition that shows queries with targets at a moment that a test moves."""

    def __init__(self, of: Targets, *statuses: QueryStatus) -> None:
        self.now = NOW
        self.exposition = MetricsPage(lambda: self.now)
        self.renderer = QueryRenderer(BOGOTA, of)
        self.show(*statuses)

    def show(self, *statuses: QueryStatus) -> None:
        for one in statuses:
            for scope, shown in self.renderer.blocks(one, self.now).items():
                self.exposition.put(scope, shown)

    def values(self, name: str) -> dict[tuple[str, str], float]:
        found = Samples(self.exposition.render().decode()).of(name)
        pairs = {key: dict(key) for key in found}
        return {
            (pair["skill_id"], pair["type_interaction"]): found[key]
            for key, pair in pairs.items()
        }


def test_later_entry_overrides_indicator_by_indicator() -> None:
    """What a later entry does not mention stays as an earlier one said."""
    of = targets(
        f"{SL}, abandonment: {{max: 5%}}, asa: {{max: 30s}}, min_interactions: 50",
        "channels: [inbound], skills: [4173], abandonment: {max: 3%}, hours: 24/7",
        "channels: [chat-web], service_level: {within: 30s, target: 90%}",
    )

    twenty, thirty = read("20s", "80%"), read("30s", "90%")
    for skill, channel, expected in (
        ("4173", "inbound", (twenty, 0.03, 30.0, 50, "24/7", None)),
        ("4180", "inbound", (twenty, 0.05, 30.0, 50, None, None)),
        ("4180", "chat-web", (thirty, 0.05, 30.0, 50, None, None)),
    ):
        one = of.of(skill, channel)
        assert one is not None, (skill, channel)
        judged = goals(one)
        found = (one.service_level, judged["abandonment"], judged["asa"], one.min_interactions)
        assert (*found, one.hours, one.country) == expected, (skill, channel)


def test_an_entry_may_hold_hours_alone() -> None:
    """It says when the pairs that it reaches are open; a minimum needs an indicator."""
    page = Page(
        targets("channels: [inbound], min_interactions: 5, hours: 'Mo-Fr 07:00-11:00'"),
        status(VOICE, CHAT),
        status(VOICE, skill_id="all"),
    )

    assert page.values("wolkvox_sla_open") == {("4173", "inbound"): 0.0}
    assert not page.values("wolkvox_sla_min_interactions")
    assert targets("min_interactions: 5, country: CO").of("4173", "inbound") is None


def test_minimum_is_twenty_unless_said() -> None:
    """min_interactions defaults to 20; 0 is a value too."""
    plain = targets("asa: {max: 30s}").of("4173", "inbound")
    zero = targets("asa: {max: 30s}, min_interactions: 0").of("4173", "inbound")

    assert plain is not None
    assert plain.min_interactions == 20
    assert zero is not None
    assert zero.min_interactions == 0


def test_all_has_no_target_beside_single_skills() -> None:
    """`all` would alert a second time for the same interactions."""
    assert targets(SL).of("all", "inbound") is None
    assert targets(SL, single_skills=False).of("all", "inbound") is not None


def test_all_has_targets_of_entries_that_name_it() -> None:
    """Beside single skills, an entry for `skills: [all]` is meant, and the others are not."""
    of = targets(SL, "skills: [all], asa: {max: 30s}").of("all", "inbound")

    assert of is not None
    assert goals(of) == {"asa": 30.0}


def test_targets_stand_for_each_live_pair() -> None:
    """A series for each pair that has data and a target, none for the others."""
    page = Page(
        targets(
            f"channels: [inbound], {SL}, abandonment: {{max: 5%}}",
            "skills: [9], asa: {max: 25s}",
        ),
        status(VOICE, CHAT),
        status(CHAT, skill_id="9"),
        never(),
    )

    assert page.values("wolkvox_sla_service_level_target_ratio") == {("4173", "inbound"): 0.8}
    assert page.values("wolkvox_sla_abandonment_limit_ratio") == {("4173", "inbound"): 0.05}
    assert page.values("wolkvox_sla_asa_limit_seconds") == {("9", "chat-whatsapp"): 25.0}
    assert page.values("wolkvox_sla_min_interactions") == {
        ("4173", "inbound"): 20.0,
        ("9", "chat-whatsapp"): 20.0,
    }
    assert page.values("wolkvox_sla_open") == {
        ("4173", "inbound"): 1.0,
        ("9", "chat-whatsapp"): 1.0,
    }


def test_targets_come_and_go_with_the_data() -> None:
    """At the expiry of the query its targets vanish, with the next success they return."""
    page = Page(targets(f"{SL}, hours: 24/7"), status(VOICE))
    name = "wolkvox_sla_service_level_target_ratio"

    page.now = NOW + 839.0
    assert page.values(name)
    assert page.values("wolkvox_sla_open")
    page.now = NOW + 840.0
    assert not page.values(name)
    assert not page.values("wolkvox_sla_open")
    page.show(status(VOICE, stale_after=2000.0))
    assert page.values(name)
    assert page.values("wolkvox_sla_open")


def test_opening_hours_and_holidays() -> None:
    """Hours hold in the operation's zone, and PH means the country's public holidays."""
    for at, is_open in (
        ("2026-11-18T06:59:59", 0.0),
        ("2026-11-18T07:00:00", 1.0),
        ("2026-11-18T18:59:59", 1.0),
        ("2026-11-18T19:00:00", 0.0),
        ("2026-11-21T10:00:00", 0.0),  # a Saturday
        ("2026-12-08T10:00:00", 0.0),  # a Tuesday, and a holiday in Colombia
        ("2026-12-09T10:00:00", 1.0),
    ):
        of = targets(f"{SL}, {HOURS}")
        page = Page(of, status(VOICE, stale_after=40 * 86400.0))
        page.now = moment(at)

        assert page.values("wolkvox_sla_open") == {("4173", "inbound"): is_open}, at


def test_open_changes_at_the_scrape_without_a_poll() -> None:
    """The gauge follows the clock to the second, whatever the last poll was."""
    of = targets(
        f"channels: [inbound], {SL}, {HOURS}",
        "channels: [chat-whatsapp], asa: {max: 60s}, hours: 'Mo-Su 12:00-12:05'",
    )
    page = Page(of, status(VOICE, CHAT, stale_after=40 * 86400.0))
    voice, chat = ("4173", "inbound"), ("4173", "chat-whatsapp")

    seen = []
    for at in ("11:59:59", "12:00:00", "12:04:59", "12:05:00", "18:59:59", "19:00:00"):
        page.now = moment(f"2026-11-18T{at}")
        found = page.values("wolkvox_sla_open")
        seen.append((found[voice], found[chat]))
    assert seen == [(1, 0), (1, 1), (1, 1), (1, 0), (1, 0), (0, 0)]
