"""Which form of /metrics and which language a client asks for; pure and total.

It reads three request headers and knows neither sockets nor metrics. No header, however odd,
raises: what cannot be read counts as not said, and who says nothing gets plain text.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from exporter.messages import LANGUAGES

# Prometheus' own Accept header has about 300 characters. What is far longer is no
# negotiation, and reading it would be work that a stranger orders.
_LONGEST_HEADER = 2048

# The OpenMetrics versions that the 1.0.0 form serves: Prometheus 2.5 to 2.33 asked for 0.0.1,
# and reads 1.0.0 with the same parser.
_OPENMETRICS_VERSIONS = frozenset({"", "0.0.1", "1.0.0"})
_TEXT_VERSIONS = frozenset({"", "0.0.4"})


class Format(Enum):
    """The two forms of the exposition; the value is the exact Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """The Content-Type header of an answer in this form."""
        return self.value


@dataclass(frozen=True, slots=True)
class _Item:
    """One comma-separated item of a header: its name, its parameters and its weight."""

    name: str
    params: MappingProxyType[str, str]
    weight: float


def choose_format(accept: str | None) -> Format:
    """The form that the Accept header prefers (RFC 9110, 12.5.1).

    OpenMetrics only where it is named, in a version that is served, with a weight not below
    that of plain text (at equal weights the one named first). Everything else is plain text:
    no header, wildcards, unknown versions and types. Never 406: a scrape that gets the
    older form is worth more than one that fails.
    """
    return _choose(accept) if accept and len(accept) <= _LONGEST_HEADER else Format.TEXT


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the answer is to be compressed with gzip (RFC 9110, 12.5.3).

    Gzip must be allowed (by name or by `*`, `q=0` forbids) and not be liked less than
    `identity`, which counts only where it is named.
    """
    if not accept_encoding or len(accept_encoding) > _LONGEST_HEADER:
        return False
    return _likes_gzip(accept_encoding)


def choose_language(accept_language: str | None) -> str:
    """The language that an Accept-Language header likes best (RFC 9110, 12.5.4).

    `es-CO` asks for Spanish; `q=0` forbids; at equal weights the one named first.
    """
    if not accept_language or len(accept_language) > _LONGEST_HEADER:
        return next(iter(LANGUAGES))
    return _choose_language(accept_language)


# Scrapers say the same each time; reading it anew would cost more than sending a small body.
@functools.lru_cache(maxsize=64)
def _choose(accept: str) -> Format:
    wanted, anything = 0.0, 0.0
    text: float | None = None
    text_named_first = False
    for item in _items(accept):
        version = item.params.get("version", "")
        if item.name == "application/openmetrics-text" and version in _OPENMETRICS_VERSIONS:
            wanted = max(wanted, item.weight)
        elif item.name == "text/plain" and version in _TEXT_VERSIONS:
            text_named_first = text_named_first or not wanted
            text = max(text or 0.0, item.weight)
        elif item.name in ("text/*", "*/*"):
            anything = max(anything, item.weight)
    if not wanted or wanted < (anything if text is None else text):
        return Format.TEXT
    return Format.TEXT if wanted == text and text_named_first else Format.OPENMETRICS


@functools.lru_cache(maxsize=64)
def _likes_gzip(accept_encoding: str) -> bool:
    weights: dict[str, float] = {}
    for item in _items(accept_encoding):
        name = "gzip" if item.name == "x-gzip" else item.name
        weights[name] = max(weights.get(name, 0.0), item.weight)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0.0 and gzip >= weights.get("identity", 0.0)


@functools.lru_cache(maxsize=64)
def _choose_language(accept_language: str) -> str:
    weights: dict[str, float] = {}
    for item in _items(accept_language):
        language = item.name.partition("-")[0]
        weights[language] = max(weights.get(language, 0.0), item.weight)
    unnamed = weights.get("*", 0.0005)  # liked less than anything named, but not forbidden
    candidates = (*(one for one in weights if one in LANGUAGES), *LANGUAGES)
    return max(candidates, key=lambda one: weights.get(one, unnamed))


def _items(header: str) -> Iterator[_Item]:
    """The items that can be read; one with a broken weight is left out as a whole."""
    for part in header.split(","):
        name, *raw = part.split(";")
        pairs = (pair.partition("=") for pair in raw)
        params = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        weight = _weight(params.pop("q", "1"))
        if weight is not None:
            yield _Item(name.strip().lower(), MappingProxyType(params), weight)


_DIGITS: Final = frozenset("0123456789")


def _weight(text: str) -> float | None:
    """A q-value between 0 and 1, or None (`abc`, `nan`, `1e9`, `-1`, `2`)."""
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or not _DIGITS.issuperset(fraction) or len(fraction) > 3:
        return None
    weight = float(f"{whole}.{fraction or 0}")
    return weight if weight <= 1.0 else None
