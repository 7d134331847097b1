"""A query's lines are what prometheus_client would write of the same samples."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.families import BY_NAME
from exporter.metrics.query import QueryRenderer
from exporter.metrics.sla import Targets
from exporter.state.counters import ZERO_TOTALS, ChannelLedger, Counters, QueryLedger
from exporter.state.models import QueryKey, QueryMemory, QueryStatus, Result
from exporter.wolkvox.columns import COLUMNS, ChannelFigures
from tests.statuses import DAY, NOW

# What the exposition escapes, and what means something to Python's own formats.
ODD = st.text(st.sampled_from('%s{}@01"\\\n ñ€'), max_size=12)
TEXTS = ODD | st.text(max_size=8)
NUMBERS = st.none() | st.floats(0, 1e12) | st.integers(0, 10**12)
FIGURES = st.builds(ChannelFigures, TEXTS, *[NUMBERS] * 9)
RENDERER = QueryRenderer(
    ZoneInfo("America/Bogota"), Targets((), ZoneInfo("UTC"), single_skills=True)
)


class _Collected(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def by_the_library(name: str, samples: list[tuple[str, dict[str, str], float]]) -> bytes:
    """Lines of samples (name, labels, value) of a family."""
    metric = Metric(name, "x", "untyped")
    for sample, labels, value in samples:
        metric.add_sample(sample, labels, value)
    return b"".join(generate_latest(_Collected(metric)).splitlines(keepends=True)[2:])


def rendered(key: QueryKey, skill: str, memory: QueryMemory) -> dict[str, dict[str, bytes]]:
    """The lines of each part of a query, by family."""
    status = QueryStatus(key, skill, memory, live_until=NOW + 1)
    return {scope[-1]: dict(one.lines) for scope, one in RENDERER.blocks(status, NOW).items()}


@given(st.tuples(TEXTS, TEXTS, TEXTS), FIGURES)
@example(("100 %", "{0}", "@0@"), ChannelFigures("%s{}", *[1] * 3, *[None] * 6))
def test_a_day_is_what_the_library_writes(
    names: tuple[str, str, str], figures: ChannelFigures
) -> None:
    """Whatever stands in a label, and whatever is absent."""
    operation, skill_id, skill = names
    memory = QueryMemory(last_success_at=NOW, today=Result(DAY, (figures,), NOW))
    own = {"operation": operation, "skill_id": skill_id, "skill": skill}
    own |= {"type_interaction": figures.channel, "window": "today"}

    expected: dict[str, bytes] = {}
    for column in COLUMNS:
        value = getattr(figures, column.attribute)
        if value is not None:
            more = {"threshold_seconds": str(column.within)} if column.within else {}
            assert set(own | more) == set(BY_NAME[column.family].labels)
            line = by_the_library(column.family, [(column.family, own | more, value)])
            expected[column.family] = expected.get(column.family, b"") + line
    assert rendered(QueryKey(operation, skill_id), skill, memory)["today"] == expected


@given(TEXTS)
def test_counters_are_what_the_library_writes(channel: str) -> None:
    """A counter, a histogram and a summary."""
    pair = ChannelLedger(DAY, ZERO_TOTALS, Counters(9, 1, 2, 3, 4, 5.5, 6, 7.25))
    memory = QueryMemory(last_success_at=NOW, ledger=QueryLedger(DAY, {channel: pair}))

    own = {"operation": "acme", "skill_id": "1", "skill": "Ventas", "type_interaction": channel}
    wait, abandon = "wolkvox_skill_answer_wait_seconds", "wolkvox_skill_abandon_wait_seconds"
    offered = "wolkvox_skill_offered_interactions_total"
    buckets = (("10.0", 1), ("20.0", 2), ("30.0", 3), ("+Inf", 4))
    assert rendered(QueryKey("acme", "1"), "Ventas", memory)["counters"] == {
        offered: by_the_library(offered, [(offered, own, 9)]),
        wait: by_the_library(
            wait,
            [
                *((f"{wait}_bucket", {**own, "le": le}, count) for le, count in buckets),
                (f"{wait}_count", own, 4),
                (f"{wait}_sum", own, 5.5),
            ],
        ),
        abandon: by_the_library(
            abandon, [(f"{abandon}_count", own, 6), (f"{abandon}_sum", own, 7.25)]
        ),
    }
