"""Ready lines by family and scope, joined at a scrape; knows no query and no poll.

The unit is (family, scope): a scope is what changes and expires together, such as the
`today` gauges of one query. It is rendered once, when its values change. Neighbouring
scopes share a chunk, which keeps the joined lines of each family and their compressed
form; a scrape redoes only the chunks that changed since the last one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.metrics.families import TABLE, Family
from exporter.metrics.packing import EMPTY, Piece, gzip_member, join
from exporter.metrics.render import header_openmetrics, header_text

Scope = tuple[str, ...]
"""(operation, skill id, part) of a query, (operation,), or () of the exporter itself."""

# Scopes in a chunk: small enough that one new result redoes little, large enough that
# compression finds the repetition it lives on.
CHUNK = 128


@dataclass(frozen=True, slots=True)
class Scoped:
    """What one scope shows: lines by family name, until an epoch time (None: always).

    `renew` makes what follows at that time; without it the scope shows nothing any more.
    """

    lines: Mapping[str, bytes]
    until: float | None = None
    renew: Callable[[float], Scoped] | None = None


@dataclass(slots=True)
class _Chunk:
    """Neighbouring scopes; `pieces` by family, valid until `expires`, less the `dirty`."""

    scopes: list[Scope]
    expires: float = -math.inf
    dirty: set[str] = field(default_factory=set)
    pieces: dict[str, Piece] = field(default_factory=dict)


class _Form:
    """One of the two formats: its headers, its last line, and the page as it was last."""

    def __init__(self, headers: Mapping[str, bytes], last: bytes) -> None:
        self.headers = {name: Piece(text) for name, text in headers.items()}
        self.last = last
        self.version = -1
        self.page = EMPTY


class Exposition:
    """The page that Prometheus reads, kept in pieces.

    `fresh_text` and `fresh_openmetrics` give families that change by themselves; they are
    read at each scrape and stand behind the others.
    """

    def __init__(
        self,
        epoch: Callable[[], float],
        fresh_text: Callable[[], bytes] = bytes,
        fresh_openmetrics: Callable[[], bytes] = bytes,
        families: tuple[Family, ...] = TABLE,
    ) -> None:
        self._epoch = epoch
        self._names = [family.name for family in families]
        self._text = _Form({family.name: header_text(family) for family in families}, b"")
        self._openmetrics = _Form(
            {family.name: header_openmetrics(family) for family in families}, b"# EOF\n"
        )
        self._fresh_text = fresh_text
        self._fresh_openmetrics = fresh_openmetrics
        self._scopes: list[Scope] = []
        self._shown: dict[Scope, Scoped] = {}
        self._chunks: list[_Chunk] = []
        self._chunk_of: dict[Scope, _Chunk] = {}
        self._laid_out = True
        self._version = 0

    def put(self, scope: Scope, shown: Scoped) -> None:
        """Replace what a scope shows, whole."""
        before = self._shown.get(scope)
        self._shown[scope] = shown
        if before is None:
            bisect.insort(self._scopes, scope)
            self._laid_out = False
            return
        chunk = self._chunk_of.get(scope)
        if chunk is None:
            return
        if shown.until != before.until:
            # The lines may be shown longer or not at all: `_redo` judges by the clock.
            chunk.dirty.update(before.lines, shown.lines)
            if shown.until is not None:
                chunk.expires = min(chunk.expires, shown.until)
        else:
            chunk.dirty.update(
                name
                for name in before.lines.keys() | shown.lines.keys()
                if before.lines.get(name) != shown.lines.get(name)
            )

    def drop(self, scope: Scope) -> None:
        """Show a scope no longer; a scope that is not there is no error."""
        if self._shown.pop(scope, None) is not None:
            self._scopes.remove(scope)
            self._laid_out = False

    def text(self) -> bytes:
        """The page in the text format 0.0.4."""
        return self._page(self._text).raw + self._fresh_text()

    def openmetrics(self) -> bytes:
        """The page in OpenMetrics 1.0."""
        form = self._openmetrics
        return self._page(form).raw + self._fresh_openmetrics() + form.last

    def text_gzip(self) -> bytes:
        """`text` as one gzip member."""
        return gzip_member(self._page(self._text), self._fresh_text())

    def openmetrics_gzip(self) -> bytes:
        """`openmetrics` as one gzip member."""
        form = self._openmetrics
        return gzip_member(self._page(form), self._fresh_openmetrics() + form.last)

    def _page(self, form: _Form) -> Piece:
        self._refresh()
        if form.version != self._version:
            form.page = join(list(self._pieces(form)))
            form.version = self._version
        return form.page

    def _pieces(self, form: _Form) -> Iterator[Piece]:
        for name in self._names:
            found = [chunk.pieces[name] for chunk in self._chunks if name in chunk.pieces]
            if found:
                yield form.headers[name]
                yield from found

    def _refresh(self) -> None:
        if not self._laid_out:
            self._lay_out()
        now = self._epoch()
        for chunk in self._chunks:
            if now >= chunk.expires:
                self._redo(chunk, set(self._names), now)
            elif chunk.dirty:
                self._redo(chunk, chunk.dirty, now)

    def _lay_out(self) -> None:
        """Divide the scopes anew: after some came or went, which is rare."""
        groups = (self._scopes[at : at + CHUNK] for at in range(0, len(self._scopes), CHUNK))
        self._chunks = [_Chunk(group) for group in groups]
        self._chunk_of = {scope: chunk for chunk in self._chunks for scope in chunk.scopes}
        self._laid_out = True
        self._version += 1

    def _renewed(self, scope: Scope, names: set[str], now: float) -> Scoped:
        shown = self._shown[scope]
        if shown.renew is None or shown.until is None or now < shown.until:
            return shown
        self._shown[scope] = shown = shown.renew(now)
        names.update(shown.lines)
        return shown

    def _redo(self, chunk: _Chunk, names: set[str], now: float) -> None:
        shown = [self._renewed(scope, names, now) for scope in chunk.scopes]
        live = [one for one in shown if one.until is None or now < one.until]
        for name in names:
            raw = b"".join([one.lines[name] for one in live if name in one.lines])
            if raw:
                chunk.pieces[name] = Piece(raw)
            else:
                chunk.pieces.pop(name, None)
        chunk.expires = min(
            (one.until for one in live if one.until is not None), default=math.inf
        )
        chunk.dirty = set()
        self._version += 1
