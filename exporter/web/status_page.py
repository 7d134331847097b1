"""Status page at `/`: HTML in English and Spanish, of one operation or of all.

The template finds the words. Jinja is loaded at the first view: most only ever serve scrapes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.logs import SECRETS
from exporter.messages import LANGUAGES, Words, catalogue, template
from exporter.metrics.exporter import ExporterTelemetry
from exporter.runtime import Clock
from exporter.state.models import QueryStatus
from exporter.web.asgi import choose_language
from exporter.web.status import HEADS, OperationView, build_page

UNKNOWN: Final = "?"  # what no operation is called
_TEMPLATES: Final = Path(__file__).parent / "templates"


@functools.cache
def style() -> str:
    """The style sheet; on a phone it writes the head of a column beside each figure.

    There it stands once, and not in each of a thousand cells.
    """
    sheet = (_TEMPLATES / "status.css").read_text(encoding="utf-8")
    labels = "".join(
        f"  :lang({language}) tr:not([class]) td:nth-child({number})::before "
        f'{{ content: "{catalogue(language)[f"column.{head}"]}"; }}\n'
        for language in LANGUAGES
        for number, head in enumerate(HEADS, 2)
    )
    return sheet.replace("  /* labels */\n", labels)


@functools.cache
def style_source() -> str:
    """The style sheet as a Content-Security-Policy names it: by its hash."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"'sha256-{digest}'"


@functools.cache
def _template() -> Callable[..., str]:
    names = {"heads": HEADS, "languages": LANGUAGES, "style": style()}
    return template(_TEMPLATES / "status.html", **names)


@dataclass(slots=True)
class StatusPage:
    """The page for people, from what `operations`, `statuses` and `exporter` hold."""

    clock: Clock
    statuses: Iterable[QueryStatus]
    operations: Callable[[], Sequence[OperationView]]
    exporter: ExporterTelemetry
    telemetry_path: str
    _kept: dict[tuple[str, bool, str], tuple[float, bytes]] = field(default_factory=dict)

    def html(self, accept_language: str | None, asked: str = "", operation: str = "") -> bytes:
        """The page as UTF-8, of one operation or of all.

        `asked` is the language that the address names, which goes before that of an
        Accept-Language header; links of the page keep it. A page is kept for a second or ten
        times what it took to make: however many people look and however large it is, each
        language takes a tenth of the event loop at most.
        """
        language = choose_language(asked or accept_language)
        if operation and operation not in {view.operation.name for view in self.operations()}:
            operation = UNKNOWN
        started = self.clock.monotonic()
        key = language, bool(asked), operation
        until, html = self._kept.get(key, (started, b""))
        if started >= until:
            now = self.clock.now().timestamp()
            operations = self.operations()
            one = [view for view in operations if view.operation.name == operation]
            text = _template()(
                **build_page(one or operations, self.statuses, now),
                exporter=self.exporter,
                telemetry_path=self.telemetry_path,
                asked=language if asked else "",
                operation=operation,
                several=len(operations) > 1,
                w=Words(language, space="\u00a0"),
                t=catalogue(language),
            )
            html = SECRETS.scrub(text).encode("utf-8", "replace")
            ended = self.clock.monotonic()
            self._kept = {one: kept for one, kept in self._kept.items() if ended < kept[0]}
            self._kept[key] = (ended + max(1.0, 10.0 * (ended - started)), html)
        return html
