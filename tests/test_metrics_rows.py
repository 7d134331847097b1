"""Rows that are kept without their values give the lines that the library would."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.families import BY_NAME
from exporter.metrics.rows import (
    Rows,
    counter_figures,
    counter_row,
    day_figures,
    day_gauges,
    day_row,
    filled,
    status_row,
)
from exporter.state.counters import Counters
from exporter.wolkvox.columns import ChannelFigures

# What a form could take for one of its own places, and what the exposition escapes.
ODD = st.text(st.sampled_from('%s{}@01"\\\n ñ€'), max_size=12)
LABELS = st.tuples(*[ODD | st.text(max_size=8)] * 5)
NUMBERS = st.none() | st.floats(allow_nan=False) | st.integers(0, 10**12)
FIGURES = st.builds(ChannelFigures, st.just("chat"), *[NUMBERS] * 9)


class _Collected(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def by_the_library(name: str, samples: list[tuple[str, dict[str, str], float]]) -> bytes:
    """Lines of samples (name, labels, value) of a family."""
    metric = Metric(name, "x", "untyped")
    for sample, labels, value in samples:
        metric.add_sample(sample, labels, value + 0.0)  # minus nothing is nothing
    return b"".join(generate_latest(_Collected(metric)).splitlines(keepends=True)[2:])


@given(LABELS, FIGURES)
@example(("100 %", "{0}", "@0@", "%s", "{}"), ChannelFigures("", *[1] * 3, *[None] * 6))
def test_a_day_is_what_the_library_writes(
    labels: tuple[str, ...], figures: ChannelFigures
) -> None:
    """Whatever stands in a label, and whatever is absent."""
    shown = filled([(Rows({}).of(labels, day_row), day_figures(figures))])

    expected: dict[str, bytes] = {}
    for name, more, value in day_gauges(figures):
        if value is not None:
            named = dict(zip(BY_NAME[name].labels, (*labels, *more), strict=True))
            line = by_the_library(name, [(name, named, value)])
            expected[name] = expected.get(name, b"") + line
    assert shown == expected


@given(LABELS.map(lambda labels: labels[:4]))
def test_counters_are_what_the_library_writes(labels: tuple[str, ...]) -> None:
    """A counter, a histogram and a summary."""
    counters = Counters(9, 1, 2, 3, 4, 5.5, 6, 7.25)
    shown = filled([(Rows({}).of(labels, counter_row), counter_figures(counters))])

    own = dict(zip(BY_NAME["wolkvox_skill_answer_wait_seconds"].labels, labels, strict=True))
    wait, abandon = "wolkvox_skill_answer_wait_seconds", "wolkvox_skill_abandon_wait_seconds"
    offered = "wolkvox_skill_offered_interactions_total"
    buckets = (("10.0", 1), ("20.0", 2), ("30.0", 3), ("+Inf", 4))
    assert shown == {
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


def test_rows_of_one_family_stand_together_in_their_order() -> None:
    """Several rows fill the same families, one after the other."""
    rows = Rows({})
    made = [
        (rows.of(("acme", one, "Ventas"), status_row), (1.0, None, 2.0, 300.0, 0))
        for one in "21"
    ]

    assert filled(made)["wolkvox_up"].splitlines() == [
        b'wolkvox_up{operation="acme",skill="Ventas",skill_id="2"} 1.0',
        b'wolkvox_up{operation="acme",skill="Ventas",skill_id="1"} 1.0',
    ]
    assert "wolkvox_last_attempt_timestamp_seconds" not in filled(made)


def test_a_row_is_made_once() -> None:
    """What the rendering before used is taken up; what is used no more is let go."""
    labels = ("acme", "1", "Ventas")
    first = Rows({})
    row = first.of(labels, status_row)
    second = Rows(first.used)

    assert second.of(labels, status_row) is row
    assert second.used == {labels: row}
    assert Rows(second.used).used == {}


def test_a_row_takes_as_many_figures_as_it_has() -> None:
    """A figure more or less would stand on the line of another."""
    row = Rows({}).of(("acme", "1", "Ventas"), status_row)
    for figures in ((1.0,) * 4, (1.0,) * 6):
        with pytest.raises((ValueError, TypeError)):
            filled([(row, figures)])
