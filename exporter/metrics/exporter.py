"""The exporter's metrics about itself: build, reloads, state, shard, log, process."""

from __future__ import annotations

import platform
from collections.abc import Callable

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.metrics.page import Block, MetricsPage, encoded, labels, line
from exporter.sharding import WHOLE, Shard


class ExporterTelemetry:
    """The exporter about itself; `dropped` and `process` are read at each scrape."""

    def __init__(
        self,
        page: MetricsPage,
        version: str,
        revision: str,
        loaded_at: float,
        shard: Shard = WHOLE,
        dropped: Callable[[], int] = int,
        process: Callable[[bool], bytes] = lambda openmetrics: b"",
    ) -> None:
        self._page, self._shard = page, shard
        self._dropped, self._process = dropped, process
        self.version, self.revision = version, revision
        build = {"version": version, "revision": revision}
        self._build = labels({**build, "python_version": platform.python_version()})
        self.writable = True
        self.last_reload: tuple[bool, float] = (True, loaded_at)
        self._handshake_failures = self._log_lines_dropped = 0
        page.tail = self._tail
        self._changed()

    def storage(self, writable: bool) -> None:
        """Show whether the state can be written."""
        self.writable = writable
        self._changed()

    def handshake_failed(self) -> None:
        """Count a TLS handshake that failed."""
        self._handshake_failures += 1
        self._changed()

    def reloaded(self, at: float | None) -> None:
        """Show that the configuration was loaded at an epoch time; None: it could not be."""
        self.last_reload = (True, at) if at is not None else (False, self.last_reload[1])
        self._changed()

    def _changed(self) -> None:
        self._page.stale[()] = self._block

    def _block(self) -> Block:
        successful, at = self.last_reload
        values = {
            "storage_writable": self.writable,
            "tls_handshake_failures_total": self._handshake_failures,
            "log_lines_dropped_total": self._log_lines_dropped,
            "shard_index": self._shard.index,
            "shards": self._shard.total,
            "config_last_reload_successful": successful,
            "config_last_reload_success_timestamp_seconds": at,
        }
        own = "wolkvox_exporter_"
        lines = {f"{own}{name}": line(f"{own}{name}", "", one) for name, one in values.items()}
        lines[f"{own}build_info"] = line(f"{own}build_info", self._build, 1)
        return Block(encoded(lines))

    def _tail(self, openmetrics: bool) -> bytes:
        dropped = self._dropped()
        if dropped != self._log_lines_dropped:
            self._log_lines_dropped = dropped
            self._changed()
        return self._process(openmetrics)


def process_metrics(openmetrics: bool) -> bytes:
    """`process_*` and `python_*` as the library collects and writes them."""
    if not openmetrics:
        return generate_latest(REGISTRY)
    text: bytes = generate_openmetrics(REGISTRY)  # type: ignore[no-untyped-call]
    return text.removesuffix(b"# EOF\n")
