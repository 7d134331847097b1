"""Status page at `/`: rendered by its template in the reader's language, kept for a moment.

Jinja is loaded when the page is first viewed: most exporters only ever serve scrapes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from exporter.logs import SECRETS
from exporter.messages import LANGUAGES, Words
from exporter.state.snapshot import QueryStatus
from exporter.times import Clock
from exporter.web.negotiation import choose_language
from exporter.web.status import ExporterView, OperationView, build_page
from exporter.wolkvox.columns import COLUMNS

_TEMPLATES: Final = Path(__file__).parent / "templates"


def style_source() -> str:
    """The style sheet as a Content-Security-Policy names it: by its hash."""
    digest = hashlib.sha256((_TEMPLATES / "status.css").read_bytes()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@functools.cache
def _template() -> Callable[..., str]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # the style sheet is included byte for byte
        auto_reload=False,
    )
    names = {"columns": COLUMNS, "languages": LANGUAGES}
    return environment.get_template("status.html", globals=names).render


class StatusPage:
    """The page for people, from what `operations`, `statuses` and `exporter` return."""

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
        self._kept: dict[str, tuple[float, bytes]] = {}

    def html(self, accept_language: str | None) -> bytes:
        """The page as UTF-8, in the language that an Accept-Language header prefers.

        It is kept for a second or ten times what it took to make: however many people look
        and however large it is, each language takes a tenth of the event loop at most.
        """
        language = choose_language(accept_language)
        started = self._clock.monotonic()
        until, html = self._kept.get(language, (started, b""))
        if started >= until:
            now = self._clock.epoch()
            page = build_page(self._exporter(), self._operations(), self._statuses, now)
            text = _template()(page=page, w=Words(language, space="\u00a0"))
            html = SECRETS.scrub(text).encode("utf-8", "replace")
            ended = self._clock.monotonic()
            self._kept[language] = (ended + max(1.0, 10.0 * (ended - started)), html)
        return html
