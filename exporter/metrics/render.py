"""Samples of one family to the bytes of its lines; pure, the syntax is the library's.

prometheus_client names, escapes and formats. It takes 20 to 40 microseconds a sample, most
of it for labels that are the same in each poll, so each label is rendered by it once and
kept (letters and digits alone stand for themselves). Here lines are put together and
checked: a missing label value, which the library would drop in silence, and a sample that
comes twice in a `Block` are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.metrics.families import Family

BUCKET_BOUNDS = ("10.0", "20.0", "30.0")
_LABELS_KEPT = 50_000
_SETS_KEPT = 10_000  # whole sets of labels
# Counts and ratios come again and again, but moments and sums never do: with room for many,
# the memory would grow for hours until it is full of them.
_VALUES_KEPT = 10_000


def series(family: Family, values: tuple[str, ...], suffix: str = "", **extra: str) -> str:
    """A series of a family as a line begins with it: `wolkvox_up{operation="acme",…}`.

    `suffix` (`_bucket`, `_sum`, `_count`) and `extra` (`le`) belong to histograms and
    summaries. Raises ValueError for a wrong number of label values.
    """
    if len(values) != len(family.labels):
        raise ValueError(f"{family.name} takes {family.labels}, not {values}")
    name = family.base + suffix if suffix else family.name
    return name + _labels((*family.labels, *extra), (*values, *extra.values()))


class Block:
    """The samples of one family in one scope (a query, an operation), being gathered."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._lines: dict[str, str] = {}

    def add(self, values: tuple[str, ...], value: float, suffix: str = "") -> None:
        """Add a sample with the family's label values in order.

        `suffix` (`_sum`, `_count`) belongs to histograms and summaries. Raises ValueError
        for a wrong number of values or a sample seen before.
        """
        self._add(series(self.family, values, suffix), value)

    def add_info(self, values: tuple[str, ...], more: Mapping[str, str]) -> None:
        """Add an info sample, 1, with labels beyond the family's own."""
        own = dict(zip(self.family.labels, values, strict=True))
        both = {**more, **own}
        self._add(self.family.name + _labels(tuple(both), tuple(both.values())), 1.0)

    def add_histogram(
        self, values: tuple[str, ...], buckets: Iterable[tuple[str, float]], total: float
    ) -> None:
        """Add a histogram: cumulative buckets, the last one `+Inf`, and the sum."""
        count = 0.0
        for bound, count in buckets:
            self._add(series(self.family, values, "_bucket", le=bound), count)
        self.add(values, count, "_count")
        self.add(values, total, "_sum")

    def lines(self) -> bytes:
        """The sample lines, which read the same in the text format and in OpenMetrics."""
        return lines(self._lines.items())

    def _add(self, name: str, value: float) -> None:
        if name in self._lines:
            raise ValueError(f"{name} comes twice")
        self._lines[name] = number(value)


def lines(samples: Iterable[tuple[str, str]]) -> bytes:
    """Series and their values as `number` writes them, a line each."""
    return encoded("".join([f"{name} {value}\n" for name, value in samples]))


def encoded(text: str) -> bytes:
    """Lines as bytes. Half a surrogate pair, which no text of ours holds (see
    `wolkvox.text`), would become a question mark."""
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=_VALUES_KEPT)
def number(value: float) -> str:
    """A value as the library writes it, without the sign of a negative zero."""
    text: str = floatToGoString(value + 0.0)  # type: ignore[no-untyped-call]
    return text


@lru_cache(maxsize=_SETS_KEPT)
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """The labels of a sample, `{skill="Ventas",skill_id="4173"}`; nothing without labels."""
    if not names:
        return ""
    return f"{{{','.join([_label(names[at], values[at]) for at in _order(names)])}}}"


@lru_cache(maxsize=_SETS_KEPT)
def _order(names: tuple[str, ...]) -> tuple[int, ...]:
    """The places of the names in the order in which the library writes them."""
    return tuple(sorted(range(len(names)), key=names.__getitem__))


def escaped(value: str) -> str:
    """A label value as it stands between its quotes."""
    return _label("x", value).removeprefix('x="').removesuffix('"')


@lru_cache(maxsize=_LABELS_KEPT)
def _label(name: str, value: str) -> str:
    """One label as the library writes it: `skill="Atención \\"24 h\\""`."""
    if value.replace(" ", "").isalnum():  # letters and digits stand for themselves
        return f'{name}="{value}"'
    metric = Metric("x", "x", "gauge")
    metric.add_sample("x", {name: value}, 0.0)
    line = generate_latest(_One(metric)).decode().split("\n", 2)[2]
    return line.removeprefix("x{").removesuffix("} 0.0\n")


class _One(Collector):
    """A collector of one family, as the library's renderers want it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def header_text(family: Family) -> bytes:
    """HELP and TYPE of a family in the text format 0.0.4."""
    return header(Metric(family.base, family.help, family.kind), generate_latest)


def header_openmetrics(family: Family) -> bytes:
    """HELP and TYPE of a family in OpenMetrics 1.0."""
    return header(Metric(family.base, family.help, family.kind), openmetrics_of)


def header(metric: Metric, render: Callable[[Collector], bytes]) -> bytes:
    """HELP and TYPE of a family as one of the library's renderers writes them."""
    return render(_One(Metric(metric.name, metric.documentation, metric.type)))


def lines_of(metric: Metric) -> bytes:
    """The lines of a family's samples, which have no times and no exemplars: both formats."""
    return lines(
        (one.name + _labels(tuple(one.labels), tuple(one.labels.values())), number(one.value))
        for one in metric.samples
    )


def openmetrics_of(collector: Collector) -> bytes:
    """What a collector (or a registry) holds in OpenMetrics 1.0, without the last line."""
    text: bytes = generate_openmetrics(collector)  # type: ignore[no-untyped-call]
    return text.removesuffix(b"# EOF\n")
