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
from exporter.metrics.packing import EMPTY, Piece, gzip_member, join, plain
from exporter.metrics.render import header_openmetrics, header_text

Scope = tuple[str, ...]
"""(operation, skill id, part) of a query, (operation,), or () of the exporter itself."""

# Scopes in a chunk: small enough that one new result redoes little, large enough that
# compression finds the repetition it lives on.
CHUNK = 128
# Families that change by themselves are read at most so often, in seconds: a scrape by
# Prometheus always finds them fresh, and a storm of scrapes finds a page that is ready.
READ_EVERY = 1.0


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
    """One of the two formats: its headers, what stands last, and the page as it was last.

    `page` is what is kept of `version`, `tail` what was read at `read_at` and the last line;
    `plain` and `gzip` are the whole, once somebody asks for it.
    """

    def __init__(
        self, headers: Mapping[str, bytes], fresh: Callable[[], bytes], last: bytes
    ) -> None:
        self.headers = {name: Piece(text) for name, text in headers.items()}
        self.fresh = fresh
        self.last = last
        self.version = -1
        self.read_at = -math.inf
        self.page = EMPTY
        self.tail = b""
        self.plain: bytes | None = None
        self.gzip: bytes | None = None


class Exposition:
    """The page that Prometheus reads, kept in pieces.

    `fresh_text` and `fresh_openmetrics` give families that change by themselves; they are
    read at a scrape, once in READ_EVERY at most, and stand behind the others.
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
        self._text = _Form({one.name: header_text(one) for one in families}, fresh_text, b"")
        self._openmetrics = _Form(
            {one.name: header_openmetrics(one) for one in families},
            fresh_openmetrics,
            b"# EOF\n",
        )
        self._scopes: list[Scope] = []
        self._shown: dict[Scope, Scoped] = {}
        self._later: dict[Scope, Callable[[], Scoped]] = {}
        self._chunks: list[_Chunk] = []
        self._chunk_of: dict[Scope, _Chunk] = {}
        self._laid_out = True
        self._version = 0

    def put(self, scope: Scope, shown: Scoped) -> None:
        """Replace what a scope shows, whole."""
        self._later.pop(scope, None)
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

    def put_later(self, scope: Scope, render: Callable[[], Scoped]) -> None:
        """Replace what a scope shows at the next scrape.

        For what changes many times between two scrapes: it is rendered once then.
        """
        self._later[scope] = render

    def drop(self, scope: Scope) -> None:
        """Show a scope no longer; a scope that is not there is no error."""
        self._later.pop(scope, None)
        if self._shown.pop(scope, None) is not None:
            self._scopes.remove(scope)
            self._laid_out = False

    def text(self) -> bytes:
        """The page in the text format 0.0.4."""
        return self._plain(self._text)

    def openmetrics(self) -> bytes:
        """The page in OpenMetrics 1.0."""
        return self._plain(self._openmetrics)

    def text_gzip(self) -> bytes:
        """`text` as one gzip member."""
        return self._gzip(self._text)

    def openmetrics_gzip(self) -> bytes:
        """`openmetrics` as one gzip member."""
        return self._gzip(self._openmetrics)

    def _plain(self, form: _Form) -> bytes:
        self._bring_up_to_date(form)
        if form.plain is None:
            form.plain = plain(form.page, form.tail)
        return form.plain

    def _gzip(self, form: _Form) -> bytes:
        self._bring_up_to_date(form)
        if form.gzip is None:
            form.gzip = gzip_member(form.page, form.tail)
        return form.gzip

    def _bring_up_to_date(self, form: _Form) -> None:
        now = self._epoch()
        self._refresh(now)
        if form.version != self._version:
            form.page = join(list(self._pieces(form)))
            form.version = self._version
        elif 0.0 <= now - form.read_at < READ_EVERY:
            return
        form.tail = form.fresh() + form.last
        form.read_at = now
        form.plain = form.gzip = None

    def _pieces(self, form: _Form) -> Iterator[Piece]:
        for name in self._names:
            found = [chunk.pieces[name] for chunk in self._chunks if name in chunk.pieces]
            if found:
                yield form.headers[name]
                yield from found

    def _refresh(self, now: float) -> None:
        for scope, render in [*self._later.items()]:
            self.put(scope, render())  # which also forgets that it was to be rendered
        if not self._laid_out:
            self._lay_out()
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
