"""The status page at `/`: what is told of the exporter, in the language of whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.state.snapshot import QueryStatus
from exporter.times import Clock
from exporter.web.status import ExporterView, OperationView
from exporter.web.status_language import choose_language
from exporter.web.status_render import Kept, render
from exporter.web.status_view import page_view


class StatusPage:
    """Makes the page when somebody looks; `operations` and `exporter` tell it what to show."""

    def __init__(
        self,
        clock: Clock,
        statuses: Iterable[QueryStatus],
        operations: Callable[[], Sequence[OperationView]],
        exporter: Callable[[], ExporterView],
    ) -> None:
        self._clock = clock
        self._statuses = statuses
        self._operations = operations
        self._exporter = exporter
        self._kept = Kept(clock.monotonic)

    def html(self, accept_language: str | None) -> bytes:
        """The page as UTF-8 HTML in the language that this Accept-Language header prefers."""
        language = choose_language(accept_language)
        return self._kept.get(language, lambda: self._make(language))

    def _make(self, language: str) -> bytes:
        now = self._clock.epoch()
        page = page_view(self._exporter(), self._operations(), self._statuses, now, language)
        return render(page)
