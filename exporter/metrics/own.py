"""The exporter's metrics about itself: build, reloads, state, shard, process; asks nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

from exporter.metrics.exposition import Exposition, Scoped
from exporter.metrics.families import BY_NAME
from exporter.metrics.render import Block, header, lines_of, openmetrics_of
from exporter.sharding import WHOLE, Shard


class ExporterTelemetry:
    """The exporter about itself: build, reloads, state."""

    def __init__(
        self,
        page: Exposition,
        version: str,
        revision: str,
        loaded_at: float,
        shard: Shard = WHOLE,
    ) -> None:
        self._page = page
        self._shard = shard
        self._build = (version, revision, platform.python_version())
        self._writable = True
        self._handshake_failures = self._log_lines_dropped = 0
        self._reload: tuple[bool, float] = (True, loaded_at)
        self._show()

    @property
    def writable(self) -> bool:
        """Whether the state can be written."""
        return self._writable

    @property
    def revision(self) -> str:
        """The revision it was built from, where it is known."""
        return self._build[1]

    @property
    def last_reload(self) -> tuple[bool, float]:
        """Whether the last reload worked, and when the configuration in force was loaded."""
        return self._reload

    def storage(self, writable: bool) -> None:
        """Show whether the state can be written."""
        if writable is not self._writable:
            self._writable = writable
            self._show()

    def handshake_failed(self) -> None:
        """Count a TLS handshake that failed."""
        self._handshake_failures += 1
        self._show()

    def log_lines_dropped(self, count: int) -> None:
        """Show how many log lines were dropped so far."""
        if count != self._log_lines_dropped:
            self._log_lines_dropped = count
            self._show()

    def reloaded(self, at: float) -> None:
        """Show that the configuration was loaded at an epoch time."""
        self._reload = (True, at)
        self._show()

    def reload_failed(self) -> None:
        """Show that the last attempt to load it failed; the old one stays in force."""
        self._reload = (False, self._reload[1])
        self._show()

    def _show(self) -> None:
        successful, at = self._reload
        lines = {}
        for name, labels, value in (
            ("storage_writable", (), float(self._writable)),
            ("tls_handshake_failures_total", (), float(self._handshake_failures)),
            ("log_lines_dropped_total", (), float(self._log_lines_dropped)),
            ("build_info", self._build, 1.0),
            ("shard_index", (), float(self._shard.index)),
            ("shards", (), float(self._shard.total)),
            ("config_last_reload_successful", (), float(successful)),
            ("config_last_reload_success_timestamp_seconds", (), at),
        ):
            block = Block(BY_NAME[f"wolkvox_exporter_{name}"])
            block.add(labels, value)
            lines[block.family.name] = block.lines()
        self._page.put((), Scoped(lines))


class ProcessMetrics:
    """`process_*` and `python_*`: read at each scrape, since they change by themselves."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._collectors: tuple[Collector, ...] = (
            ProcessCollector(registry=registry),
            PlatformCollector(registry=registry),
            GCCollector(registry=registry),
        )
        self._text: dict[str, bytes] = {}
        self._openmetrics: dict[str, bytes] = {}

    def text(self) -> bytes:
        """The families in the text format."""
        return self._page(self._text, generate_latest)

    def openmetrics(self) -> bytes:
        """The families in OpenMetrics, without its closing line."""
        return self._page(self._openmetrics, openmetrics_of)

    def _page(self, headers: dict[str, bytes], render: Callable[[Collector], bytes]) -> bytes:
        parts = []
        for collector in self._collectors:
            for metric in collector.collect():
                if metric.name not in headers:
                    headers[metric.name] = header(metric, render)
                parts += [headers[metric.name], lines_of(metric)]
        return b"".join(parts)
