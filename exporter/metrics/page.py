"""The page that Prometheus reads: blocks of lines by family, joined at a scrape.

A block is what changes and expires together, such as the `today` gauges of one query. Its
lines are rendered when its values change; a scrape joins the blocks that are live and
compresses them. What that costs at 58,000 lines (8 MB, 1,000 skills), in milliseconds of one
core, and what it is compared with:

    rendering every line                     230    one query, when its result comes: 0.2
    joining the blocks                        13
    gzip of the page by isal (ISA-L)           5    by zlib at its fastest: 24
    a scrape after a result, text, gzip   15, 21    by prometheus_client: 600, 780
    a scrape without one                   4, 10

So the page is joined and compressed anew, and neither is done in parts. Where no result
came, the order of the lines stands and only the process metrics at the end are new.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from isal import isal_zlib

from exporter.metrics.families import TABLE
from exporter.metrics.render import header_openmetrics, header_text

Scope = tuple[str, ...]
"""(operation, skill id, part) of a query, (operation,), or () of the exporter itself."""

# What changes by itself is read at most so often, in seconds: a scrape by Prometheus always
# finds it fresh, and a storm of scrapes finds a page that is ready.
READ_EVERY = 1.0
_LEVEL, _GZIP = 2, 16 + isal_zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one scope by family, shown from epoch `since` until `until`.

    At any other moment `renew` makes the block that is shown; without it nothing is.
    """

    lines: Mapping[str, str]
    until: float = math.inf
    since: float = -math.inf
    renew: Callable[[float], Block] | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """A block as it is kept: as bytes."""

    lines: Mapping[str, bytes]
    until: float
    since: float
    renew: Callable[[float], Block] | None


@dataclass(slots=True)
class _Format:
    """The page in one format as it was last: the lines of the blocks, and `tail` behind them.

    `parts` hold until the blocks' version changes or a moment outside [`since`, `until`). The
    page itself is put together when it is asked for.
    """

    openmetrics: bool
    headers: Mapping[str, bytes]
    version: int = -1
    since: float = math.inf
    until: float = -math.inf
    parts: Sequence[bytes] = ()
    tail: bytes = b""
    read_at: float = -math.inf
    plain: bytes | None = None
    gzip: bytes | None = None


class MetricsPage:
    """What is shown, by scope, in both formats.

    `tail` returns lines that stand behind all others and change by themselves, in OpenMetrics
    or in the text format. It is read before a page is put together, once in READ_EVERY at
    most.
    """

    def __init__(
        self,
        epoch: Callable[[], float],
        tail: Callable[[bool], bytes] | None = None,
    ) -> None:
        self.epoch = epoch
        self.tail = tail
        self._text = _Format(False, {one.name: header_text(one) for one in TABLE})
        self._openmetrics = _Format(True, {one.name: header_openmetrics(one) for one in TABLE})
        self._shown: dict[Scope, _Shown] = {}
        self._stale: dict[Scope, Callable[[], Block]] = {}
        self._order: list[Scope] | None = []
        self._version = 0

    def put(self, scope: Scope, block: Block) -> None:
        """Replace what a scope shows, whole.

        Half a surrogate pair, which no text of ours holds (see `wolkvox.text`), becomes a
        question mark.
        """
        self._stale.pop(scope, None)
        if scope not in self._shown:
            self._order = None
        lines = {
            name: text.encode("utf-8", "replace") for name, text in block.lines.items() if text
        }
        self._shown[scope] = _Shown(lines, block.until, block.since, block.renew)
        self._version += 1

    def mark_stale(self, scope: Scope, render: Callable[[], Block]) -> None:
        """Replace what a scope shows at the next scrape, by what `render` returns then.

        For what changes many times between two scrapes: it is rendered once.
        """
        self._stale[scope] = render

    def drop(self, scope: Scope) -> None:
        """Show a scope no longer; a scope that is not there is no error."""
        self._stale.pop(scope, None)
        if self._shown.pop(scope, None) is not None:
            self._order = None
            self._version += 1

    def render(self, openmetrics: bool = False, gzip: bool = False) -> bytes:
        """Return the page in OpenMetrics 1.0 or in the text format 0.0.4.

        With `gzip` as one gzip member.
        """
        now = self.epoch()
        kept = self._openmetrics if openmetrics else self._text
        if self._bring_up_to_date(kept, now):
            kept.plain = kept.gzip = None
        if kept.plain is None:
            kept.plain = b"".join([*kept.parts, kept.tail])
        if not gzip:
            return kept.plain
        if kept.gzip is None:
            kept.gzip = isal_zlib.compress(kept.plain, _LEVEL, _GZIP)
        return kept.gzip

    def _bring_up_to_date(self, kept: _Format, now: float) -> bool:
        """Whether anything was read or joined anew."""
        due = not 0.0 <= now - kept.read_at < READ_EVERY
        if due:
            tail = self.tail(kept.openmetrics) if self.tail else b""
            kept.tail = tail + b"# EOF\n" if kept.openmetrics else tail
            kept.read_at = now
        for scope, render in [*self._stale.items()]:
            self.put(scope, render())  # which also forgets that it was stale
        if kept.version == self._version and kept.since <= now < kept.until:
            return due
        self._join(kept, now)
        return True

    def _join(self, kept: _Format, now: float) -> None:
        if self._order is None:
            self._order = sorted(self._shown)
        kept.since, kept.until = now, math.inf
        families: dict[str, list[bytes]] = {name: [] for name in kept.headers}
        for scope in self._order:
            shown = self._shown[scope]
            if shown.renew is not None and not shown.since <= now < shown.until:
                self.put(scope, shown.renew(now))
                shown = self._shown[scope]
            if shown.since <= now < shown.until:
                kept.until = min(kept.until, shown.until)
                for name, lines in shown.lines.items():
                    families[name].append(lines)
        used = [name for name, lines in families.items() if lines]
        kept.parts = [part for name in used for part in (kept.headers[name], *families[name])]
        kept.version = self._version
