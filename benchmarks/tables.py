"""Figures to Markdown: what was measured, and how it stands against the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

from benchmarks.fleets import SCRAPE_EVERY, SLACK, FleetFigures
from benchmarks.load import percentile
from benchmarks.scrapes import EXPORTER, FRESH, LANDING, LIBRARY, NGINX, STILL, Scrapes
from benchmarks.starts import Start

SMALL, MIDDLE, LARGE = 540, 5_400, 54_000
_STATES = {STILL: "still", LANDING: "results land", FRESH: "1 scrape/s, results land"}


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to reach: a bound from below (`least`) or from above."""

    what: str
    bound: float
    value: float
    least: bool
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the bound holds."""
        return self.value >= self.bound if self.least else self.value <= self.bound


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose columns after the first `words` are numbers."""
    aligned = ["---" if number < words else "---:" for number in range(len(head))]
    lines = [head, aligned, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scrape_table(found: Sequence[Scrapes]) -> str:
    """One line a server, size, encoding and state."""
    head = (
        "series, encoding, state", "server", "scrapes", "p50 ms", "p99 ms", "body kB",
        "req/s (4 clients)", "CPU ms/scrape", "RSS MiB", "generator cores",
    )  # fmt: skip
    order = [EXPORTER, LIBRARY, NGINX, *_STATES]

    def rank(row: Scrapes) -> tuple[int, ...]:
        case = row.case
        return case.series, case.gzip, order.index(case.state), order.index(row.server)

    return markdown(head, map(_scrape_row, sorted(found, key=rank)), words=2)


def _scrape_row(row: Scrapes) -> tuple[str, ...]:
    case = row.case
    encoding = "gzip" if case.gzip else "identity"
    busiest = max(row.one.own_share, row.many.own_share if row.many else 0.0)
    return (
        f"{case.series:,} {encoding}, {_STATES[case.state]}",
        row.server,
        str(len(row.one.times)),
        _ms(percentile(row.one.times, 0.5)),
        _ms(percentile(row.one.times, 0.99)),
        f"{row.one.body_bytes / 1000:,.0f}",
        f"{row.many.rate:,.1f}" if row.many else "",
        "" if case.state == FRESH else _ms(row.cpu),
        f"{row.rss:.0f}",
        f"{busiest:.2f}",
    )


def start_table(found: Sequence[Start]) -> str:
    """One line a way to start."""
    rows = []
    for one in found:
        seconds = (f"{of(one.seconds):.2f}" for of in (min, median, max))
        rows.append((one.what, str(len(one.seconds)), *seconds, f"{one.rss:.0f}"))
    return markdown(("start", "tries", "best s", "median s", "worst s", "RSS MiB"), rows)


def fleet_table(figures: FleetFigures) -> str:
    """One line a figure."""
    plan = figures.plan
    queries = plan.operations * plan.skills
    per_poll = figures.cpu * figures.elapsed / figures.requests
    values = (
        ("queries", f"{queries:,} ({plan.operations} operations x {plan.skills} skills)"),
        ("interval", f"{plan.interval:g} s"),
        ("measured for", f"{figures.elapsed:.0f} s after {plan.warm:g} s, scraped every "
         f"{SCRAPE_EVERY:g} s"),
        ("requests a second", f"{figures.requests / figures.elapsed:.1f}"),
        ("shortest gap between two requests of a query", f"{figures.shortest:.3f} s"),
        (f"gaps over {SLACK:.0%} shorter than the interval", str(figures.early)),
        ("requests that failed or were not kept", str(figures.wasted)),
        ("gap p95", f"{figures.p95:.3f} s"),
        ("lag p95 (`wolkvox_poll_lag_seconds`)", f"{figures.lag:.3f} s"),
        ("CPU", f"{figures.cpu:.0%} of a core, {_ms(per_poll)} ms a poll"),
        ("RSS", f"{figures.rss:.0f} MiB"),
    )  # fmt: skip
    return markdown(("fleet", ""), values, words=2)


def target_table(found: Sequence[Target]) -> str:
    """One line a target."""
    rows = [
        (
            one.what,
            "yes" if one.reached else "**no**",
            f"{'≥' if one.least else '≤'} {one.bound:g}{one.unit}",
            f"{one.value:,.2f}{one.unit}",
        )
        for one in found
    ]
    return markdown(("target", "reached", "bound", "measured"), rows, words=2)


# Series, state, peer and its state, what stands behind the size, and the least ratio.
_RATIOS = (
    (MIDDLE, STILL, LIBRARY, STILL, "", 50.0),
    (LARGE, STILL, LIBRARY, STILL, "", 50.0),
    (LARGE, LANDING, LIBRARY, LANDING, ", results landing", 20.0),
    (LARGE, FRESH, LIBRARY, LANDING, ", right after results landed", 20.0),
    (MIDDLE, STILL, NGINX, STILL, "", 0.3),
    (LARGE, STILL, NGINX, STILL, "", 0.3),
)


def targets(
    found: Sequence[Scrapes], begun: Sequence[Start], figures: FleetFigures | None
) -> Iterable[Target]:
    """What this run can be held against; sizes that were not measured have no target."""
    p50: dict[tuple[object, ...], float] = {}
    rss: dict[int, float] = {}
    for row in found:
        case = row.case
        p50[case.series, case.gzip, case.state, row.server] = percentile(row.one.times, 0.5)
        if row.server == EXPORTER:
            rss[case.series] = max(row.rss, rss.get(case.series, 0.0))
    for gzip, (series, state, peer, peers, words, least) in product((False, True), _RATIOS):
        ours, theirs = (
            p50.get((series, gzip, *one)) for one in ((state, EXPORTER), (peers, peer))
        )
        if ours and theirs:
            what = f"{'speed' if peer == NGINX else 'p50'} against {peer}, {series:,} "
            what += f"{'gzip' if gzip else 'identity'}{words}"
            yield Target(what, least, theirs / ours, least=True, unit=" times")
    for series, most in ((SMALL, 80.0), (LARGE, 220.0)):
        if series in rss:
            yield Target(f"RSS at {series:,}", most, rss[series], least=False, unit=" MiB")
    for one in begun:
        what = f"first full scrape, {one.what}"
        yield Target(what, 1.5, median(one.seconds), least=False, unit=" s")
    if figures is not None:
        yield Target("fleet: CPU", 0.2, figures.cpu, least=False, unit=" cores")
        yield Target("fleet: lag p95", 1.0, figures.lag, least=False, unit=" s")
        yield Target("fleet: gaps too short", 0.0, figures.early, least=False)
        yield Target("fleet: wasted requests", 0.0, figures.wasted, least=False)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.2f}"
