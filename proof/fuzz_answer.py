"""Fuzzed: what the API sends, from the bytes on the wire to the page that Prometheus reads.

An input is a history of up to four answers. Each begins with a line for people to read,
`status|content type|content encoding|days since the answer before`, then comes the body.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Final

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from exporter.errors import WolkvoxError
from exporter.metrics.exposition import Exposition
from exporter.metrics.query import QueryRenderer
from exporter.state.codec import memory_from_json, memory_to_json
from exporter.state.counters import KEEP_DAYS, Counters, QueryLedger, exposed
from exporter.state.models import (
    QueryKey,
    QueryMemory,
    QueryStatus,
    apply_report,
    failed,
    limit_channels,
)
from exporter.wolkvox.answer import Failure, Rows, read_answer
from exporter.wolkvox.body import decode
from exporter.wolkvox.information import read_skills, read_token_info
from exporter.wolkvox.report import MAX_CHANNEL_LENGTH, MAX_CHANNELS, SkillReport, read_report
from exporter.wolkvox.secrets import MASK, scrub, scrub_body
from exporter.wolkvox.text import one_line
from exporter.wolkvox.windows import whole_day
from tests.status_page_support import BOGOTA, targets

SEPARATOR: Final = b"\n=====\n"
TOKEN: Final = "7b5a1e90d2aa573f86b0c9de1247f5a3388e6d01b95c2f7a4e60"
MAX_ANSWERS: Final = 4
_START = date(2026, 11, 18)
_RENDERER = QueryRenderer(BOGOTA, targets())
_BUCKETS = ("within_10", "within_20", "within_30", "answered")


@dataclass(frozen=True, slots=True)
class Wire:
    """One answer as it comes over the wire, and how many days after the one before."""

    status: int
    content_type: str | None
    encoding: str | None
    days: int
    body: bytes

    def encoded(self) -> bytes:
        """The answer as a piece of an input."""
        head = f"{self.status}|{self.content_type or ''}|{self.encoding or ''}|{self.days}\n"
        return head.encode("latin-1", "replace") + self.body


def wires(data: bytes) -> list[Wire]:
    """The history of an input; total, since every input is one."""
    return [_wire(piece) for piece in data.split(SEPARATOR)[:MAX_ANSWERS]]


def _wire(piece: bytes) -> Wire:
    head, _, body = piece.partition(b"\n")
    status, kind, encoding, days, *_ = [*head.decode("latin-1").split("|"), "", "", ""]
    number = (
        int(status) if status.isdecimal() and status.isascii() and len(status) == 3 else 200
    )
    step = days.removeprefix("-")
    known = step.isdecimal() and step.isascii() and len(step) < 3
    return Wire(number, kind or None, encoding or None, int(days) if known else 0, body)


def one(data: bytes) -> None:
    """Read a history as the poll loop does; AssertionError where a promise is broken."""
    memory, day = QueryMemory(), _START
    for answer in wires(data):
        day += timedelta(days=answer.days)
        before = memory
        report = _report(answer)
        if report is None:
            memory = failed(memory)
        else:
            report = limit_channels(report, memory.ledger)
            memory = apply_report(memory, whole_day(day), report, _noon(day))
        _check_counters(before.ledger, memory.ledger, day)
        saved = json.dumps(memory_to_json(memory), separators=(",", ":"))
        assert memory_from_json(json.loads(saved)) == memory, "the state file changes a result"
    _check_page(memory, day)


def _noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC).timestamp()


def _report(answer: Wire) -> SkillReport | None:
    """The figures of an answer, or None for a failure, as the client and its caller do."""
    try:
        body = decode(answer.body, answer.encoding)
    except WolkvoxError:
        if answer.status == 200:
            return None
        body = answer.body
    body = scrub_body(body, TOKEN)
    match read_answer(answer.status, answer.content_type, body):
        case Failure(_, detail):
            shown = one_line(scrub(detail, TOKEN), 400)
            assert shown.isprintable() or not shown
            assert TOKEN not in shown
            return None
        case Rows(rows):
            report = read_report(rows)
            read_token_info(rows)
            for skill in read_skills(rows):
                assert skill.name.isprintable()
                assert TOKEN not in skill.name
        case _:
            report = read_report(())
    _check_report(report)
    return report


def _check_report(report: SkillReport) -> None:
    names = [row.channel for row in report.channels]
    assert len(names) == len(set(names)) <= MAX_CHANNELS, "too many channels, or one twice"
    for row in report.channels:
        assert 0 < len(row.channel) <= MAX_CHANNEL_LENGTH
        assert TOKEN not in row.channel
        for field in fields(row)[1:]:
            figure = getattr(row, field.name)
            assert figure is None or 0 <= figure < float("inf"), f"{field.name} is {figure!r}"
    for error in report.errors:
        assert TOKEN not in scrub(error.text, TOKEN).replace(MASK, "")


def _check_counters(before: QueryLedger | None, after: QueryLedger | None, day: date) -> None:
    if after is None:
        return
    for name, channel in after.channels.items():
        shown = exposed(channel)
        buckets = [getattr(shown, bucket) for bucket in _BUCKETS]
        assert buckets == sorted(buckets), f"the buckets of {name!r} are not cumulative"
        known = before.channels.get(name) if before is not None else None
        # A channel that was forgotten meanwhile begins anew.
        if known is None or (day - known.day).days > KEEP_DAYS:
            continue
        old = exposed(known)
        for field in fields(Counters):
            rose = getattr(shown, field.name) >= getattr(old, field.name)
            assert rose, f"the counter {field.name} of {name!r} fell"


class _Moment:
    now = 0.0


_PAGE = Exposition(lambda: _Moment.now)
_seen: set[bytes] = set()


def _check_page(memory: QueryMemory, day: date) -> None:
    """Both formats parse, say the same samples, and are the same compressed."""
    _Moment.now = _noon(day) + 1
    status = QueryStatus(
        QueryKey("acme", "4173"),
        "Ventas",
        memory,
        last_attempt_at=_Moment.now - 2,
        live_until=None if memory.last_success_at is None else _Moment.now + 900,
    )
    for scope, shown in _RENDERER.scopes(status):
        _PAGE.put(scope, shown)
    plain, modern = _PAGE.text(), _PAGE.openmetrics()
    if modern in _seen:  # reading a page takes most of the time
        return
    _seen.add(modern)
    if len(_seen) > 10_000:
        _seen.clear()
    assert gzip.decompress(_PAGE.openmetrics_gzip()) == modern
    assert TOKEN.encode() not in modern
    samples = _samples(text_format(plain.decode("utf-8")))
    same = _samples(openmetrics(modern.decode("utf-8")))  # type: ignore[no-untyped-call]
    assert samples == same, "the two formats say different things"
    channels = {dict(labels).get("type_interaction") for _, labels, _ in samples} - {None}
    assert channels <= set(memory.ledger.channels if memory.ledger else ()), "a foreign label"


def _samples(families: Iterable[Metric]) -> list[tuple[str, list[tuple[str, str]], float]]:
    found = (sample for family in families for sample in family.samples)
    return [(one.name, sorted(one.labels.items()), one.value) for one in found]
