"""Which of its languages the status page takes, by the Accept-Language header; pure, total."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from exporter.web.texts import LANGUAGES

# What is far longer is no list of languages that a person speaks.
_LONGEST_HEADER: Final = 1024


def choose_language(accepted: str | None) -> str:
    """The language that an Accept-Language header likes best (RFC 9110, 12.5.4).

    `es-CO` asks for Spanish; `*` and no header for English; `q=0` forbids. What cannot be
    read counts as not said.
    """
    if not accepted or len(accepted) > _LONGEST_HEADER:
        return LANGUAGES[0]
    return _choose(accepted)


@functools.lru_cache(maxsize=64)
def _choose(accepted: str) -> str:
    liked: dict[str, float] = {}
    for name, weight in _weighted(accepted):
        if name in LANGUAGES:
            liked[name] = max(liked.get(name, 0.0), weight)
        elif name == "*":
            liked.setdefault(LANGUAGES[0], weight)
    best = max(liked.items(), key=lambda item: item[1], default=(LANGUAGES[0], 0.0))
    refused = best[1] <= 0.0
    others = [language for language in LANGUAGES if language not in liked]
    return (others or [LANGUAGES[0]])[0] if refused else best[0]


def _weighted(accepted: str) -> Iterator[tuple[str, float]]:
    for part in accepted.split(","):
        name, _, rest = part.partition(";")
        weight = _weight(rest.strip().lower())
        if weight is not None:
            yield name.strip().lower().partition("-")[0], weight


def _weight(text: str) -> float | None:
    """`q=0.8` as a number; 1 where nothing is said; None for what is no weight."""
    if not text:
        return 1.0
    key, _, value = text.partition("=")
    whole, _, fraction = value.strip().partition(".")
    digits = whole + fraction
    if (
        key.strip() != "q"
        or whole not in ("0", "1")
        or not (digits.isascii() and digits.isdigit())
    ):
        return None
    return min(1.0, float(value))
