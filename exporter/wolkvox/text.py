"""Foreign text made fit for a log line or a label: printable, on one line, without a token.

What a server sends may hold line breaks, terminal escapes or halves of surrogate pairs:
the first two would forge log lines, the last cannot be written as UTF-8 at all. Tokens have
been seen as 52 and more lower-case hex digits that begin with `7b` (a brace in ASCII): that
shape is masked too, so that somebody else's token in an answer stays secret.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

MASK = "[token]"
# A run this long of the token's own characters is no coincidence.
_PIECE = 8
# What a text cut in the middle of a token may end with.
_STUMP = 4
# A token shorter than this could be an ordinary word or number of an answer.
_BODY_TOKEN = 16
_LABELS = ("type_interaction", "skill_name")
_SHAPE = "7b[0-9a-f]{40,}"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
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


def scrub(text: str, token: str) -> str:
    """The text without the token, without any 8 characters of it, whatever their case."""
    if token:
        text = text.replace(token, MASK)
    low, secret = text.translate(_LOWER), token.translate(_LOWER)
    hidden = set[int]()
    for at in range(len(text)):
        piece = low[at : at + _PIECE].partition("…")[0]
        cut_off = _STUMP <= len(piece) < _PIECE and secret.startswith(piece)
        if cut_off or (len(piece) == _PIECE and piece in secret):
            hidden.update(range(at, at + len(piece)))
    masks = {at: "" if at - 1 in hidden else MASK for at in hidden}
    shown = (masks.get(at, char) for at, char in enumerate(text))
    return re.sub(_SHAPE, MASK, "".join(shown), flags=re.IGNORECASE)


def scrub_body(body: bytes, token: str) -> bytes:
    """An answer without the token, so that no cell of it can carry it into a label."""
    raw = token.encode("utf-8", "surrogatepass")
    if len(raw) >= _BODY_TOKEN:
        body = body.replace(raw, MASK.encode())
    return re.sub(_SHAPE.encode(), MASK.encode(), body, flags=re.IGNORECASE)


def scrub_names(rows: Iterable[object], token: str) -> None:
    """Cut the token's pieces out of the cells of an answer that become labels, in place."""
    objects = [row for row in rows if isinstance(row, dict)]
    for row in objects if len(token) >= _BODY_TOKEN else ():
        for name in _LABELS:
            if isinstance(row.get(name), str):
                row[name] = scrub(row[name], token)
