"""The exposition: what is shown, for how long, and in which bytes."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
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

from exporter.config.hours import OpenHours
from exporter.errors import Reason
from exporter.metrics.exporter import ExporterTelemetry, process_metrics
from exporter.metrics.families import BY_NAME, TABLE
from exporter.metrics.operation import OperationTelemetry
from exporter.metrics.page import Block, MetricsPage
from exporter.metrics.query import QueryRenderer
from exporter.metrics.reference import reference
from exporter.metrics.sla import Targets
from exporter.state.models import QueryKey, QueryStatus
from exporter.wolkvox.columns import ChannelFigures
from exporter.wolkvox.report import FieldError, SkillReport
from tests.config_support import sla
from tests.e2e_support import Samples
from tests.needs import run
from tests.statuses import CHAT, NOW, VOICE, never, status

BOGOTA = ZoneInfo("America/Bogota")
TARGETS = Targets(
    sla(
        "{channels: [inbound], service_level: {within: 20s, target: 80%},"
        " abandonment: {max: 5%}, asa: {max: 30s}, hours: 'Mo-Fr 07:00-19:00; PH off',"
        " country: CO}"
    ),
    BOGOTA,
    single_skills=True,
)
RENDERER = QueryRenderer(BOGOTA, TARGETS)
ALWAYS = OpenHours(None, BOGOTA)
BASES = {family.base: family for family in TABLE}
GOLDEN = Path(__file__).parent / "data" / "metrics.prom"


class Page:
    """An exposition with the telemetry of one operation, at a moment that a test moves."""

    def __init__(self, reports: tuple[str, ...] = ("skill_11",)) -> None:
        self.now = NOW
        self.exposition = MetricsPage(lambda: self.now)
        self.snapshot: dict[QueryKey, QueryStatus] = {}
        self.exporter = ExporterTelemetry(self.exposition, "1.2.3", "abc", NOW - 3600)
        self.acme = OperationTelemetry("acme", self.exposition, self.snapshot)
        info = {
            "server": "wv0013",
            "timezone": "America/Bogota",
            "team": "",
            "client": "acme-bank",
        }
        self.acme.configure(info, reports, RENDERER, ALWAYS)

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
    page = Page(("skill_11", "token_info"))
    page.acme.requested("skill_11")
    page.acme.answered("skill_11", 0.3, None)
    page.acme.requested("skill_11")
    page.acme.answered("skill_11", 61.0, Reason.TIMEOUT)
    page.acme.read(SkillReport((), (FieldError("asa", "inbound", "x"),), 2), held=3)
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


def test_openmetrics_is_valid_and_says_the_same() -> None:
    """The strict parser of OpenMetrics takes the page, and both formats hold equal samples."""
    page = filled()
    text = page.exposition.render(openmetrics=True).decode()
    strict, loose = (
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }
        for families in (
            parse_openmetrics(text),  # type: ignore[no-untyped-call]
            parse_text(page.exposition.render().decode()),
        )
    )

    assert strict == loose
    assert text.endswith("# EOF\n")


def test_process_metrics_join_in_both_formats() -> None:
    """process_* and python_* stand after the exporter's own families."""
    exposition = MetricsPage(lambda: NOW)
    ExporterTelemetry(exposition, "1.2.3", "abc", NOW, process=process_metrics)

    assert b"process_resident_memory_bytes" in exposition.render()
    assert b"python_info" in exposition.render(openmetrics=True)
    list(parse_openmetrics(exposition.render(openmetrics=True).decode()))  # type: ignore[no-untyped-call]


def test_absent_figures_have_no_samples() -> None:
    """What an answer lacks is absent: no zero, no NaN."""
    page = Page().show(status(CHAT))

    assert page.value("wolkvox_skill_ata_seconds") is None
    assert page.value("wolkvox_skill_service_level_ratio", threshold_seconds="10") is None
    assert page.value("wolkvox_skill_service_level_ratio", threshold_seconds="20") == 0.5


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


def test_late_values_stay_until_they_expire() -> None:
    """Failed attempts leave the values; at the expiry all data series vanish, `up` stays."""
    late = status(VOICE, failures=2, yesterday=(VOICE,))
    page = Page().show(late)

    assert page.value("wolkvox_up") == 0
    assert page.value("wolkvox_skill_inbound_interactions", window="today") == 67
    page.now = NOW - 60 + 900 - 0.1
    assert page.value("wolkvox_skill_inbound_interactions", window="today") == 67
    page.now = NOW - 60 + 900
    assert not [name for name in page.names() if name.startswith("wolkvox_skill_")]
    assert page.value("wolkvox_up") == 0
    assert page.value("wolkvox_last_success_timestamp_seconds") == NOW - 60
    assert page.value("wolkvox_consecutive_failures") == 2


def test_today_ends_at_local_midnight_and_counters_go_on() -> None:
    """At midnight in the operation's zone the day's gauges vanish to the second."""
    midnight = datetime(2026, 11, 19, 5, 0, tzinfo=UTC).timestamp()
    page = Page().show(status(VOICE, yesterday=(CHAT,), stale_after=100_000.0))

    page.now = midnight - 0.01
    assert page.value("wolkvox_skill_inbound_interactions", window="today") == 67
    assert page.value("wolkvox_skill_inbound_interactions", type_interaction="chat-whatsapp",
                      window="yesterday") == 20  # fmt: skip
    page.now = midnight
    assert page.value("wolkvox_skill_inbound_interactions", window="today") is None
    assert "wolkvox_skill_inbound_interactions" not in page.names()
    assert page.value("wolkvox_skill_offered_interactions_total") == 67


def test_counters_of_a_pair() -> None:
    """Buckets are service level x inbound, the count is answered, the sums are time."""
    page = Page().show(status(VOICE))
    bucket = "wolkvox_skill_answer_wait_seconds_bucket"

    assert [page.value(bucket, le=le) for le in ("10.0", "20.0", "30.0", "+Inf")] == [
        30, 44, 57, 66,
    ]  # fmt: skip
    assert page.value("wolkvox_skill_answer_wait_seconds_count") == 66
    assert page.value("wolkvox_skill_answer_wait_seconds_sum") == 12 * 66
    assert page.value("wolkvox_skill_abandon_wait_seconds_count") == 1
    assert page.value("wolkvox_skill_abandon_wait_seconds_sum") == 31


def test_reports_in_use_have_every_reason_from_the_start() -> None:
    """A report in use has each failure reason with 0, a report not in use has no series."""
    page = Page(("skill_11",))

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
    hours = OpenHours("Mo-Fr 12:00-12:30", BOGOTA)
    page.acme.configure({"server": "s", "timezone": "t"}, ("skill_11",), RENDERER, hours)

    seen = []
    for minute in (0, 29.99, 30, 60):
        page.now = NOW + 60 * minute  # NOW is 12:00 in Bogota, a Wednesday
        seen.append(page.value("wolkvox_poll_open"))
    assert seen == [1, 1, 0, 0]


def test_the_utc_offset_follows_the_clocks_of_the_operation() -> None:
    """It changes at the scrape after the clocks were put forward or back."""
    page = Page()
    madrid = OpenHours(None, ZoneInfo("Europe/Madrid"))
    change = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    page.now = change - 1
    page.acme.configure({"server": "s", "timezone": "t"}, ("skill_11",), RENDERER, madrid)

    seen = []
    for page.now in (change - 1, change, change + 86400):
        seen.append(page.value("wolkvox_operation_utc_offset_seconds"))
    assert seen == [7200, 3600, 3600]


def test_token_info_goes_when_it_is_switched_off() -> None:
    """Without token_info in use its gauges vanish."""
    page = Page(("skill_11", "token_info"))
    page.acme.show(token_limit=8000.0, token_used_today=None)
    assert page.value("wolkvox_token_limit") == 8000
    assert page.value("wolkvox_token_used_today") is None

    page.acme.configure({"server": "s", "timezone": "t"}, ("skill_11",), RENDERER, ALWAYS)
    assert page.value("wolkvox_token_limit") is None


def test_paused_tells_one_reason_at_a_time() -> None:
    """Both reasons have a series; the one in force is 1."""
    page = Page()
    page.acme.paused(Reason.UNAUTHORIZED)
    assert page.value("wolkvox_paused", reason="unauthorized") == 1
    assert page.value("wolkvox_paused", reason="quota") == 0
    page.acme.paused(None)
    assert page.value("wolkvox_paused", reason="unauthorized") == 0


def test_reload_metrics_tell_failure_and_keep_the_last_success() -> None:
    """A failed reload shows 0 beside the moment of the last good one."""
    page = Page()
    page.exporter.reload_failed()
    assert page.value("wolkvox_exporter_config_last_reload_successful") == 0
    at = "wolkvox_exporter_config_last_reload_success_timestamp_seconds"
    assert page.value(at) == NOW - 3600
    page.exporter.reloaded(NOW)
    assert page.value("wolkvox_exporter_config_last_reload_successful") == 1
    assert page.value(at) == NOW


def test_dropped_log_lines_are_read_at_the_scrape() -> None:
    """Nothing reports them, so the page shows what is counted by then."""
    page, lost = Page(), [0]
    ExporterTelemetry(page.exposition, "1.2.3", "abc", NOW, dropped=lambda: lost[0])
    assert page.value("wolkvox_exporter_log_lines_dropped_total") == 0
    lost[0], page.now = 7, NOW + 1
    assert page.value("wolkvox_exporter_log_lines_dropped_total") == 7


def test_storage_writable_changes_with_the_disk() -> None:
    """An operation that cannot write shows it on the exporter's own gauge."""
    page = Page()
    page.exporter.storage(False)
    assert page.value("wolkvox_exporter_storage_writable") == 0
    page.exporter.storage(True)
    assert page.value("wolkvox_exporter_storage_writable") == 1


def test_forgotten_query_and_ended_operation_leave_nothing() -> None:
    """A query that is gone has no series; an operation that is gone neither."""
    page = Page().show(status(VOICE), never())
    page.acme.forget(QueryKey("acme", "4173"))
    assert page.value("wolkvox_up", skill_id="4173") is None
    assert page.value("wolkvox_up", skill_id="4190") == 0
    page.acme.end()
    assert {name for name in page.names() if not name.startswith("wolkvox_exporter")} == set()
    page.exposition.drop(("acme",))  # again: no error


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
    assert len(BY_NAME) == len(TABLE)
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


def test_day_of_a_result_is_the_operations_own() -> None:
    """A result of another day than the zone's today shows nothing as today."""
    old = status(VOICE)
    assert old.memory.today is not None
    stale_day = replace(old.memory.today, day=date(2026, 11, 17))
    page = Page().show(replace(old, memory=replace(old.memory, today=stale_day)))

    assert page.value("wolkvox_skill_inbound_interactions") is None
    assert page.value("wolkvox_up") == 1
