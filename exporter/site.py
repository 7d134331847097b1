"""What the server shows, put together from what the others know; decides no route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from exporter import __version__
from exporter.config import Configuration
from exporter.config.redacted import redacted
from exporter.fleet import Fleet
from exporter.logs import SECRETS
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.page import MetricsPage
from exporter.state.snapshot import Snapshot
from exporter.times import Clock
from exporter.web.app import Document
from exporter.web.status import ExporterView
from exporter.web.status_page import StatusPage

TEXT = "text/plain; charset=utf-8"  # what a browser shows rather than saves
DOCUMENTS = ("/config", "/docs")


class Site:
    """What the server shows: implements `web.app.Pages`."""

    def __init__(
        self,
        page: MetricsPage,
        snapshot: Snapshot,
        fleet: Fleet,
        clock: Clock,
        telemetry: ExporterTelemetry,
        telemetry_path: str,
        reload: Callable[[], Awaitable[str | None]],
    ) -> None:
        self.metrics = page.render
        self._fleet = fleet
        self._telemetry = telemetry
        self._telemetry_path = telemetry_path
        self._reload = reload
        self._redacted: tuple[Configuration, Document] | None = None
        self._status = StatusPage(clock, snapshot, fleet.overview, self._exporter)

    def healthy(self) -> bool:
        """Whether the poll loops live."""
        return self._fleet.healthy()

    def ready(self) -> bool:
        """Whether each query has an ended attempt or a restored result."""
        return self._fleet.ready()

    def landing(self, accept_language: str | None) -> bytes:
        """The page for people."""
        return self._status.html(accept_language)

    def documents(self) -> Mapping[str, Callable[[], Document]]:
        """The further pages by their paths."""
        return {"/config": self._config, "/docs": reference_page}

    def _config(self) -> Document:
        """The configuration in force without its secrets; made once for each reload."""
        configuration = self._fleet.configuration
        if self._redacted is None or self._redacted[0] is not configuration:
            text = SECRETS.scrub(redacted(configuration))
            self._redacted = (configuration, Document(TEXT, text.encode("utf-8", "replace")))
        return self._redacted[1]

    def _exporter(self) -> ExporterView:
        reloaded, at = self._telemetry.last_reload
        return ExporterView(
            version=__version__,
            revision=self._telemetry.revision,
            storage_writable=self._telemetry.writable,
            reload_failed=not reloaded,
            reloaded_at=at,
            telemetry_path=self._telemetry_path,
        )

    async def reload(self) -> str | None:
        """Read the configuration again."""
        return await self._reload()


def reference_page() -> Document:
    """What this version exposes and what it can be told, as Markdown."""
    # Seldom asked for: nothing of it is loaded before.
    from exporter.config.reference import tables  # noqa: PLC0415
    from exporter.metrics.reference import reference  # noqa: PLC0415

    text = f"{reference()}\n# Configuration\n\n{tables()}"
    return Document(TEXT, text.encode("utf-8"))
