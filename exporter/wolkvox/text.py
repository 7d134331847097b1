"""Foreign text made fit for a log line or a label; decides nothing about its meaning.

What a server sends may hold line breaks, terminal escapes or halves of surrogate pairs:
the first two would forge log lines, the last cannot be written as UTF-8 at all.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


def printable(text: str) -> str:
    """The text with each character that is unsafe to show replaced by U+FFFD."""
    return _UNSAFE.sub("\ufffd", text)


def one_line(text: str, limit: int) -> str:
    """The text on one line of printable characters, blanks folded, at most `limit` long."""
    # Only so much is looked at as could end up in the line: bodies have megabytes.
    shown = (char if char.isprintable() else " " for char in text[: 4 * limit])
    folded = " ".join("".join(shown).split())
    whole = len(folded) <= limit and len(text) <= 4 * limit
    return folded if whole else folded[: limit - 1] + "…"
