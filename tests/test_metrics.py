"""The exposition: what is shown, for how long, and in which bytes."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporter.config import Operation
from exporter.errors import Reason
from exporter.metrics.exporter import ExporterTelemetry, process_metrics
from exporter.metrics.families import TABLE
from exporter.metrics.operation import OperationTelemetry
from exporter.metrics.page import Block, MetricsPage
from exporter.metrics.reference import reference
from exporter.metrics.sla import Targets
from exporter.state.models import QueryKey, QueryStatus
from exporter.wolkvox.columns import ChannelFigures
from exporter.wolkvox.report import FieldError
from tests.config_support import sla
from tests.e2e_support import Samples
from tests.needs import run
from tests.statuses import CHAT, NOW, VOICE, never, status

BOGOTA = ZoneInfo("America/Bogota")
SLA = sla(
    "{channels: [inbound], service_level: {within: 20s, target: 80%},"
    " abandonment: {max: 5%}, asa: {max: 30s}, hours: 'Mo-Fr 07:00-19:00; PH off',"
    " country: CO}"
)
TARGETS = Targets(Operation.model_construct(sla=SLA, timezone=BOGOTA))
BASES = {family.base: family for family in TABLE}
GOLDEN = Path(__file__).parent / "data" / "metrics.prom"


class Page:
    """An exposition with the telemetry of one operation, at a moment that a test moves."""

    def __init__(self, **keys: object) -> None:
        self.now = NOW
        self.exposition = MetricsPage(lambda: self.now)
        self.snapshot: dict[QueryKey, QueryStatus] = {}
        self.exporter = ExporterTelemetry(self.exposition, "1.2.3", "abc", NOW - 3600)
        self.acme = OperationTelemetry("acme", self.exposition, self.snapshot)
        self.configure(**keys)

    def configure(self, **keys: object) -> None:
        """The operation acme, with more keys or other ones."""
        own = {"name": "acme", "server": "0013", "labels": {"client": "acme-bank"}}
        operation = Operation.model_validate({**own, "skills": [{"id": "4173"}], **keys})
        self.acme.configure(operation, TARGETS)

    def show(self, *statuses: QueryStatus) -> Page:
        for one in statuses:
            self.acme.publish(one, self.now)
        return self

    def samples(self) -> Samples:
        return Samples(self.exposition.render().decode())

    def names(self) -> set[str]:
        return self.samples().names()

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().value(name, **labels)


def filled() -> Page:
    """A page on which every family has samples."""
    page = Page(token_info=True)
    page.acme.requested("skill_11")
    page.acme.answered("skill_11", 0.3, None)
    page.acme.requested("skill_11")
    page.acme.answered("skill_11", 61.0, Reason.TIMEOUT)
    page.acme.read([FieldError("asa", "inbound", "x")], dropped=2, held=3)
    page.acme.show(poll_interval_seconds=300.0, poll_cycle_seconds=4.5, poll_lag_seconds=0.25)
    page.acme.paused(Reason.QUOTA)
    page.acme.show(daily_requests_used=17, daily_requests_limit=1000)
    counts = {"token_limit": 8000.0, "token_used_today": 12.0, "token_available": 7960.0}
    page.acme.show(**counts, token_used_today_all_tokens=40.0)
    page.show(status(VOICE, CHAT, yesterday=(VOICE,), month=(VOICE,)), never())
    return page


def test_golden_page() -> None:
    """The page of a fixed state is this text, byte by byte (regenerate: delete the file)."""
    text = filled().exposition.render()
    text = text.replace(
        f'python_version="{platform.python_version()}"'.encode(), b'python_version="3"'
    )
    if not GOLDEN.exists():
        GOLDEN.write_bytes(text)
        pytest.fail(f"{GOLDEN} was written anew: read it, then run again")

    assert text.decode() == GOLDEN.read_text(encoding="utf-8")


def test_promtool_finds_nothing_to_complain(tmp_path: Path) -> None:
    """`promtool check metrics`, which lints names, types and HELP, is content."""
    checked = run("promtool", "check", "metrics", text=filled().exposition.render().decode())

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout + checked.stderr == ""


class _Collected(Collector):
    """The same samples as one collector of prometheus_client would hold them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def test_page_equals_what_the_library_renders() -> None:
    """Whatever names hold: what generate_latest makes of the same families, in both formats."""
    page = filled()
    page.show(status(VOICE, operation="acme", skill_id="9", skill='ñ "x"\\\n€ %s{}'))
    odd = ChannelFigures('x"\n\\{0} 100 %', 1, 1, 0, 1.0, 1e-7, 1.0, 0.0, 12345678.9, None)
    page.show(status(odd, operation='a"b\\c\nd', skill_id="10", skill="%s"))
    text, openmetrics = page.exposition.render(), page.exposition.render(openmetrics=True)
    parsed = list(parse_text(text.decode()))
    again = []
    for family in parsed:
        known = BASES[family.name]
        metric = Metric(known.base, known.help, known.kind)
        metric.samples = family.samples
        again.append(metric)

    names = {sample.labels.get("type_interaction") for one in parsed for sample in one.samples}
    assert odd.channel in names
    assert generate_latest(_Collected(again)) == text
    assert generate_openmetrics(_Collected(again)) == openmetrics  # type: ignore[no-untyped-call]
    assert [family.name for family in parsed] == [
        family.base for family in TABLE if family.base in {f.name for f in parsed}
    ]


def test_process_metrics_join_in_both_formats() -> None:
    """process_* and python_* stand after the exporter's own families."""
    exposition = MetricsPage(lambda: NOW)
    ExporterTelemetry(exposition, "1.2.3", "abc", NOW, process=process_metrics)

    assert b"process_resident_memory_bytes" in exposition.render()
    assert b"python_info" in exposition.render(openmetrics=True)
    list(parse_openmetrics(exposition.render(openmetrics=True).decode()))  # type: ignore[no-untyped-call]


def test_known_channel_without_row_counts_zero() -> None:
    """A channel seen before and missing now has counts of 0, no ratios and no averages."""
    before = status(VOICE, CHAT)
    later = replace(before, memory=replace(before.memory, today=status(VOICE).memory.today))
    page = Page().show(later)

    chat = {"type_interaction": "chat-whatsapp", "window": "today"}
    assert page.value("wolkvox_skill_inbound_interactions", **chat) == 0
    assert page.value("wolkvox_skill_answered_interactions", **chat) == 0
    assert page.value("wolkvox_skill_abandoned_interactions", **chat) == 0
    assert page.value("wolkvox_skill_abandonment_ratio", **chat) is None
    assert page.value("wolkvox_skill_asa_seconds", **chat) is None


def test_reports_in_use_have_every_reason_from_the_start() -> None:
    """A report in use has each failure reason with 0, a report not in use has no series."""
    page = Page()

    for reason in Reason:
        name = "wolkvox_api_request_failures_total"
        assert page.value(name, report="skill_11", reason=reason) == 0
        assert page.value(name, report="token_info", reason=reason) is None
    assert page.value("wolkvox_api_requests_total", report="skill_11") == 0


def test_request_durations_fall_into_their_buckets() -> None:
    """A request of exactly a bound counts in that bound's bucket."""
    page = Page()
    for seconds in (0.1, 0.11, 60.0, 61.0):
        page.acme.answered("skill_11", seconds, None)
    name = "wolkvox_api_request_duration_seconds_bucket"

    assert page.value(name, le="0.1") == 1
    assert page.value(name, le="0.25") == 2
    assert page.value(name, le="60.0") == 3
    assert page.value(name, le="+Inf") == 4


def test_poll_open_follows_the_poll_hours() -> None:
    """Outside poll_hours the gauge is 0, at the scrape and to the second."""
    page = Page()
    assert page.value("wolkvox_poll_open") == 1
    page.configure(poll_hours="Mo-Fr 12:00-12:30")

    seen = []
    for minute in (0, 29.99, 30, 60):
        page.now = NOW + 60 * minute  # NOW is 12:00 in Bogota, a Wednesday
        seen.append(page.value("wolkvox_poll_open"))
    assert seen == [1, 1, 0, 0]


def test_the_utc_offset_follows_the_clocks_of_the_operation() -> None:
    """It changes at the scrape after the clocks were put forward or back."""
    page = Page()
    change = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    page.now = change - 1
    page.configure(timezone="Europe/Madrid")

    seen = []
    for page.now in (change - 1, change, change + 86400):
        seen.append(page.value("wolkvox_operation_utc_offset_seconds"))
    assert seen == [7200, 3600, 3600]


def test_token_info_goes_when_it_is_switched_off() -> None:
    """Without token_info in use its gauges vanish."""
    page = Page(token_info=True)
    page.acme.show(token_limit=8000.0, token_used_today=None)
    assert page.value("wolkvox_token_limit") == 8000
    assert page.value("wolkvox_token_used_today") is None

    page.configure()
    assert page.value("wolkvox_token_limit") is None


def test_every_line_has_the_labels_of_its_family() -> None:
    """No sample stands twice, and each has exactly the labels of the table."""
    page = filled()
    seen = set()
    for family in parse_text(page.exposition.render().decode()):
        known = BASES[family.name]
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in seen
            seen.add(key)
            own = set(known.labels) | ({"le"} if sample.name.endswith("_bucket") else set())
            more = {"client"} if known.name == "wolkvox_operation_info" else set()
            assert set(sample.labels) == own | more


def test_a_family_that_is_not_in_the_table_is_refused() -> None:
    """What is not documented cannot be shown."""
    page = MetricsPage(lambda: NOW)
    page.put(("a",), Block({"wolkvox_unknown": b"wolkvox_unknown 1.0\n"}))

    with pytest.raises(KeyError, match="wolkvox_unknown"):
        page.render()


def test_empty_families_have_no_header() -> None:
    """A family without samples is not mentioned."""
    assert MetricsPage(lambda: NOW).render() == b""
    exposition = MetricsPage(lambda: NOW)
    exposition.put(("a",), Block({}))
    assert exposition.render(openmetrics=True) == b"# EOF\n"


def test_every_family_has_help_source_and_no_forbidden_name() -> None:
    """Names keep the conventions that promtool does not check."""
    assert len({family.name for family in TABLE}) == len(TABLE)
    for family in TABLE:
        assert family.help.endswith("."), family.name
        assert family.source, family.name
        assert not family.name.endswith(("_percent", "_today_total")), family.name
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert "type" not in family.labels, family.name


def test_reference_page_is_generated() -> None:
    """docs/metrics.md is what the table says; `make docs` writes it."""
    page = Path(__file__).parent.parent / "docs" / "metrics.md"

    assert page.read_text(encoding="utf-8") == reference()
    for family in TABLE:
        assert f"`{family.name}`" in reference()
