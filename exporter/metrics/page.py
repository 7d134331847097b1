"""The page that Prometheus reads: blocks of lines by family, joined at a scrape.

A block is what changes and expires together, such as the `today` gauges of one query. Its
lines are rendered when its values change; a scrape joins the blocks that are live and
compresses them. What that costs at 58,000 lines (8 MB, 1,000 skills), in milliseconds of one
core, and what it is compared with:

    rendering every line                     230    one query, when its result comes: 0.2
    joining the blocks                        20
    gzip of the page by isal (ISA-L)           5    by zlib at its fastest: 24
    generate_latest of prometheus_client     600

So the page is joined and compressed anew, and neither is done in parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from isal import isal_zlib
from prometheus_client.utils import floatToGoString

from exporter.metrics.families import TABLE, Family

Scope = tuple[str, ...]
"""(operation, skill id, part) of a query, (operation,), or () of the exporter itself."""

# A page holds so long, in seconds: a scrape by Prometheus always finds what changes by itself
# fresh, and a storm of scrapes finds a page that is ready.
READ_EVERY = 1.0
_LEVEL, _GZIP = 2, 16 + isal_zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one scope by family, shown from epoch `since` until `until`.

    At any other moment `renew` makes the block that is shown; without it nothing is.
    """

    lines: Mapping[str, bytes]
    until: float = math.inf
    since: float = -math.inf
    renew: Callable[[float], Block] | None = None


@dataclass(slots=True)
class _Joined:
    """The page in one format, as it stands from epoch `since` until `until`."""

    plain: bytes
    since: float
    until: float
    gzip: bytes = b""


class MetricsPage:
    """What is shown, by scope, in both formats.

    `tail` returns lines that stand behind all others and change by themselves, in OpenMetrics
    or in the text format. It is read before a page is put together. `stale` holds what changes
    many times between two scrapes: at the next one its scope is replaced by what it returns.
    """

    def __init__(self, epoch: Callable[[], float]) -> None:
        self.epoch = epoch
        self.tail: Callable[[bool], bytes] = lambda openmetrics: b""
        self._headers = [{f.name: header(f, form) for f in TABLE} for form in (False, True)]
        self._blocks: dict[Scope, Block] = {}
        self.stale: dict[Scope, Callable[[], Block]] = {}
        self._joined: dict[bool, _Joined] = {}

    def put(self, scope: Scope, block: Block) -> None:
        """Replace what a scope shows, whole."""
        self.stale.pop(scope, None)
        self._blocks[scope] = block
        self._joined.clear()

    def drop(self, scope: Scope) -> None:
        """Show a scope no longer; a scope that is not there is no error."""
        self.stale.pop(scope, None)
        self._blocks.pop(scope, None)
        self._joined.clear()

    def render(self, openmetrics: bool = False, gzip: bool = False) -> bytes:
        """Return the page in OpenMetrics 1.0 or the text format 0.0.4, gzipped or plain."""
        now = self.epoch()
        page = self._joined.get(openmetrics)
        if page is None or self.stale or not page.since <= now < page.until:
            page = self._join(openmetrics, now)
            self._joined[openmetrics] = page
        if gzip and not page.gzip:
            page.gzip = isal_zlib.compress(page.plain, _LEVEL, _GZIP)
        return page.gzip if gzip else page.plain

    def _join(self, openmetrics: bool, now: float) -> _Joined:
        tail = self.tail(openmetrics) + (b"# EOF\n" if openmetrics else b"")
        for scope, render in [*self.stale.items()]:
            self.put(scope, render())  # which also forgets that it was stale
        until = now + READ_EVERY
        families = {name: [header] for name, header in self._headers[openmetrics].items()}
        for scope in sorted(self._blocks):
            block = self._blocks[scope]
            if block.renew is not None and not block.since <= now < block.until:
                block = block.renew(now)
                self.put(scope, block)
            if block.since <= now < block.until:
                until = min(until, block.until)
                for name, lines in block.lines.items():
                    families[name].append(lines)
        parts = [part for found in families.values() if len(found) > 1 for part in found]
        return _Joined(b"".join([*parts, tail]), now, until)


# Lines as the formats write them -----------------------------------------------------------

# The library's function has no types, and most numbers come again.
_number: Callable[[float], str] = lru_cache(4096)(floatToGoString)
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
"""What `str.translate` makes of a label value between its quotes."""


def labels(values: Mapping[str, str]) -> str:
    """Labels as they stand between the braces, in the order of their names."""
    return ",".join([f'{name}="{values[name].translate(ESCAPES)}"' for name in sorted(values)])


def line(name: str, within: str, value: float) -> str:
    """One sample with labels as `labels` writes them, or without any."""
    braces = f"{{{within}}}" if within else ""
    return f"{name}{braces} {_number(value)}\n"


def encoded(lines: Mapping[str, str]) -> dict[str, bytes]:
    """Lines by family as bytes; a family without any is left out."""
    return {name: text.encode("utf-8", "replace") for name, text in lines.items() if text}


def header(family: Family, openmetrics: bool) -> bytes:
    """HELP and TYPE of a family, whose text needs no escapes."""
    name = family.base if openmetrics else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n".encode()
