"""The status page as HTML: the one place where texts are escaped, by the template engine.

Jinja is loaded at the first page that somebody looks at: most exporters only ever serve
scrapes, and neither their start nor their memory should pay for it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.web.status_format import Words
from exporter.web.status_model import PageView
from exporter.web.status_part import COLUMNS
from exporter.web.texts import LANGUAGES, catalogue

if TYPE_CHECKING:
    from jinja2 import Template

REFRESH_SECONDS: Final = 30
NARROW: Final = "(max-width: 59.99rem)"  # as in the style sheet


def _file(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def style(language: str) -> str:
    """The style sheet, as it stands in the page of this language.

    On a narrow screen the heads of the columns stand beside each figure. As a part of the
    style sheet they are written once, not once for each figure.
    """
    texts = catalogue(language)
    labels = "".join(
        f'  .row td:nth-child({place})::before {{ content: "{texts[column]}"; }}\n'
        for place, column in enumerate(COLUMNS, start=2)
    )
    return f"{_file('status.css')}@media {NARROW} {{\n{labels}}}\n"


@functools.cache
def style_sources() -> str:
    """The style sheets as a Content-Security-Policy names them: by hash, no others apply."""
    digests = (hashlib.sha256(style(language).encode("utf-8")) for language in LANGUAGES)
    return " ".join(
        f"'sha256-{base64.b64encode(digest.digest()).decode()}'" for digest in digests
    )


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - see above
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Style sheets are our own, and must stand there byte for byte: a header has their hash.
    names: dict[str, Any] = {
        "styles": {one: Markup(style(one)) for one in LANGUAGES},  # noqa: S704
        "columns": COLUMNS,
        "refresh": REFRESH_SECONDS,
        "languages": [(code, catalogue(code)["language"]) for code in LANGUAGES],
    }
    return environment.from_string(_file("status.html"), globals=names)


def render(page: PageView) -> bytes:
    """The page as UTF-8 HTML."""
    texts = catalogue(page.language)
    refreshes = Words(texts).say("refreshes", REFRESH_SECONDS)
    html = _template().render(page=page, t=texts, refreshes=refreshes)
    return html.encode("utf-8", "replace")


class Kept:
    """The last page of each language, for a second or ten times what it took to make.

    However many people look, and however large the page is, the event loop spends at most
    a tenth of its time on it (a tenth for each language) and scrapes are answered.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pages: dict[str, tuple[float, bytes]] = {}

    def get(self, language: str, make: Callable[[], bytes]) -> bytes:
        """The page of this language, made anew where the last one is too old."""
        started = self._monotonic()
        until, page = self._pages.get(language, (started, b""))
        if started >= until:
            page = make()
            ended = self._monotonic()
            self._pages[language] = (ended + max(1.0, 10.0 * (ended - started)), page)
        return page
