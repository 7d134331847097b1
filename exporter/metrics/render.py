"""Parts of a line as the exposition formats write them: labels, numbers, headers; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.metrics.families import Family

number: Callable[[float], str] = floatToGoString
"""A value as the library writes it."""
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
"""What `str.translate` makes of a label value between its quotes."""


def labels(values: Mapping[str, str]) -> str:
    """Labels as they stand between the braces, in the order of their names."""
    return ",".join([f'{name}="{values[name].translate(ESCAPES)}"' for name in sorted(values)])


def header_text(family: Family) -> bytes:
    """HELP and TYPE of a family in the text format 0.0.4."""
    return generate_latest(_Empty(family))


def header_openmetrics(family: Family) -> bytes:
    """HELP and TYPE of a family in OpenMetrics 1.0."""
    return openmetrics_of(_Empty(family))


def openmetrics_of(collector: Collector) -> bytes:
    """What a collector (or a registry) holds in OpenMetrics 1.0, without the last line."""
    text: bytes = generate_openmetrics(collector)  # type: ignore[no-untyped-call]
    return text.removesuffix(b"# EOF\n")


class _Empty(Collector):
    """A family without samples, as the library's renderers take it."""

    def __init__(self, family: Family) -> None:
        self._metric = Metric(family.base, family.help, family.kind)

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
