"""The counters of the last half hour, kept in memory from poll to poll; pure.

The totals of a day hide a bad half hour in the afternoon; the difference of two counters does
not. A restart begins anew with what the state holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.state.counters import NO_COUNTERS, Counters, QueryLedger

WINDOW = 1800.0
_POLLS = 4  # a window of fewer says little: where polls are slow, it is longer
_STEPS = 12  # samples of a window at most, however often the demo polls


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of each channel of a query after the answer that was whole `at` a moment."""

    at: float
    channels: Mapping[str, Counters]


def remember(
    samples: Sequence[Sample], at: float | None, ledger: QueryLedger | None, interval: float
) -> tuple[Sample, ...]:
    """Return the samples of the window that ends with the answer `at` a moment.

    The first one is where the window begins: half an interval around its length, or later
    where nothing older is known. After a longer gap the window begins anew.
    """
    if at is None or ledger is None or (samples and samples[-1].at == at):
        return tuple(samples)
    window = max(WINDOW, _POLLS * interval)
    kept = [one for one in samples if 0 < at - one.at <= 2 * window]
    if len(kept) > 1 and kept[-1].at - kept[-2].at < window / _STEPS:
        del kept[-1]
    while len(kept) > 1 and at - kept[1].at >= window - interval / 2:
        del kept[0]
    counters = {name: one.counters for name, one in ledger.channels.items()}
    return (*kept, Sample(at, counters))


def grown(samples: Sequence[Sample], channel: str, *names: str) -> list[int]:
    """Return how far counters of a channel grew from the first sample to the last one."""
    before, after = (
        one.channels.get(channel, NO_COUNTERS) for one in (samples[0], samples[-1])
    )
    return [getattr(after, name) - getattr(before, name) for name in names]
