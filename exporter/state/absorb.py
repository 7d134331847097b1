"""What one answer changes in a query's memory; pure: no clock, no file, no request."""

from __future__ import annotations

from dataclasses import replace

from exporter.state.ledger import QueryLedger, known_channels, observe
from exporter.state.snapshot import QueryMemory, Result
from exporter.wolkvox.report import MAX_CHANNELS, SkillReport
from exporter.wolkvox.windows import Window


def absorb(
    memory: QueryMemory, window: Window, report: SkillReport, completed_at: float
) -> QueryMemory:
    """The memory after a good answer, whole at epoch `completed_at`.

    An answer without rows after rows of the same day is doubtful, since a day's totals do
    not vanish: the first such answer is a success that changes no value, a second in a row
    is believed: its channels count as zeros. A closing answer fills `yesterday` and closes
    its day.
    """
    succeeded = replace(memory, last_success_at=completed_at, failures=0)
    if not report.channels and not memory.doubted and _had_rows(memory, window):
        return replace(succeeded, doubted=True)
    result = Result(window.day, report.channels, completed_at)
    ledger = observe(memory.ledger, window.day, report.channels, whole=not report.dropped)
    kept = replace(succeeded, doubted=False, ledger=ledger)
    if window.closing:
        return replace(kept, yesterday=result, closed=window.day)
    return replace(kept, today=result)


def bounded(report: SkillReport, ledger: QueryLedger | None) -> SkillReport:
    """The report without the channels beyond the 64th that the query has had lately.

    An answer is limited already; without this, new names in each answer would still make
    series without end. Channels known of late go before new ones.
    """
    known = set(known_channels(ledger, ledger.day)) if ledger is not None else set()
    room = MAX_CHANNELS - len(known)
    kept = []
    for row in report.channels:
        if row.channel not in known:
            room -= 1
            if room < 0:
                continue
        kept.append(row)
    if len(kept) == len(report.channels):
        return report
    dropped = report.dropped + len(report.channels) - len(kept)
    return replace(report, channels=tuple(kept), dropped=dropped)


def failed(memory: QueryMemory) -> QueryMemory:
    """The memory after an attempt without an answer: the last good values stay."""
    return replace(memory, failures=memory.failures + 1)


def _had_rows(memory: QueryMemory, window: Window) -> bool:
    last = memory.today
    return last is not None and last.day == window.day and bool(last.channels)
