"""Lines as the exposition formats write them: labels, numbers, headers; pure."""

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


def line(name: str, within: str, value: float) -> str:
    """One sample with labels as `labels` writes them."""
    return f"{name}{{{within}}} {number(value)}\n"


def encoded(lines: Mapping[str, str]) -> dict[str, bytes]:
    """Lines by family as bytes; a family without any is left out.

    Half a surrogate pair, which no text of ours holds (see `wolkvox.text`), becomes a
    question mark.
    """
    return {name: text.encode("utf-8", "replace") for name, text in lines.items() if text}


def exposition(collector: Collector, openmetrics: bool) -> bytes:
    """What a collector (or a registry) holds, without the last line of OpenMetrics."""
    if not openmetrics:
        return generate_latest(collector)
    text: bytes = generate_openmetrics(collector)  # type: ignore[no-untyped-call]
    return text.removesuffix(b"# EOF\n")


def header(family: Family, openmetrics: bool) -> bytes:
    """HELP and TYPE of a family."""
    return exposition(_Empty(family), openmetrics)


class _Empty(Collector):
    """A family without samples, as the library's renderers take it."""

    def __init__(self, family: Family) -> None:
        self._metric = Metric(family.base, family.help, family.kind)

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
