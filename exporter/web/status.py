"""Status page at `/`: the running state as plain values, and the page rendered from them.

The template finds the words. The moment is an argument; it and all other times are epoch
seconds. Jinja is loaded when the page is first viewed: most exporters only ever serve scrapes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from exporter.config import SlaEntry
from exporter.logs import SECRETS
from exporter.messages import LANGUAGES, Words, catalogue
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.sla import Targets
from exporter.runtime import Clock
from exporter.state.models import OperationStatus, QueryStatus
from exporter.web.asgi import choose_language
from exporter.wolkvox.columns import COLUMNS, ChannelFigures, Kind
from exporter.wolkvox.text import one_line

MOST_ROWS: Final = 2000  # of figures on the whole page; the metrics hold the rest
_line: Final = partial(one_line, limit=200)


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation: its configuration, and its poll loop as it stands.

    `interval` is as written, in seconds. `skills`: their ids in the order of the configuration.
    """

    name: str
    server: str
    zone: ZoneInfo
    interval: float
    poll_hours: str | None
    targets: Targets
    skills: tuple[str, ...]
    status: OperationStatus

    @property
    def spent(self) -> bool:
        """Whether no request of the day is left."""
        return self.status.limit is not None and self.status.used >= self.status.limit


QueryState = Literal["fresh", "late", "expired", "waiting", "paused", "closed"]
_TROUBLE: Final = ("late", "expired", "paused")


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure, None where Wolkvox gives none; `missed` is None where it has no target.

    `close`: rounded as usual it would look like its target, which it is not.
    """

    value: float | None
    target: float | None = None
    missed: bool | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One skill; `age` of its data and `wait` for its next request are in seconds.

    `channels` is the number of its channels, None where there are no current figures; `rows`
    are those that are shown, by the channel's name.
    """

    name: str
    skill_id: str
    state: QueryState
    age: float | None
    wait: float | None
    error: tuple[str, str] | None
    channels: int | None
    rows: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One operation; `failing` counts its queries by the kind of their failure."""

    view: OperationView
    queries: Sequence[Query]
    failing: Mapping[str, int]
    counts: Counter[str]


def build_page(
    operations: Sequence[OperationView], statuses: Iterable[QueryStatus], now: float
) -> dict[str, object]:
    """What the template shows at a moment; a query whose operation is gone is left out.

    `zone` is that of every operation, or UTC where they are in several.
    """
    found = defaultdict[str, list[QueryStatus]](list)
    for status in statuses:
        found[status.key.operation].append(status)
    places = iter(range(MOST_ROWS))
    parts = [_part(view, found[view.name], now, places) for view in operations]
    zones = {str(view.zone): view.zone for view in operations}
    return {
        "now": now,
        "iso": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "zone": UTC if len(zones) != 1 else zones.popitem()[1],
        "parts": parts,
        "counts": sum((part.counts for part in parts), Counter[str]()),
    }


def _part(
    view: OperationView, statuses: Iterable[QueryStatus], now: float, places: Iterator[int]
) -> Part:
    # As the configuration lists them, discovered ones by name.
    place = {skill_id: number for number, skill_id in enumerate(view.skills)}
    by_name = sorted(statuses, key=lambda one: (one.skill.casefold(), one.key.skill_id))
    ordered = sorted(by_name, key=lambda one: place.get(one.key.skill_id, len(place)))
    queries = [_query(status, view, now, places) for status in ordered]
    failing = Counter(status.error[0] for status in ordered if status.error is not None)
    if view.status.pause is not None:  # after a restart only the pause is known
        failing.setdefault(view.status.pause[0], 0)
    rows = [cells for query in queries for _, cells in query.rows]
    judged = [cell.missed for cells in rows for cell in cells if cell.missed is not None]
    counts = Counter(
        queries=len(queries),
        trouble=sum(query.state in _TROUBLE for query in queries),
        waiting=sum(query.state == "waiting" for query in queries),
        judged=len(judged),
        missed=sum(judged),
        hidden=sum(query.channels or 0 for query in queries) - len(rows),
    )
    return Part(view, queries, failing, counts)


def _query(
    status: QueryStatus, view: OperationView, now: float, places: Iterator[int]
) -> Query:
    result, at, error = status.memory.today, status.memory.last_success_at, status.error
    live = status.live_until is not None and now < status.live_until
    today, skill_id = datetime.fromtimestamp(now, view.zone).date(), status.key.skill_id
    figures = None
    if live and result is not None and result.day == today:
        figures = status.figures
    return Query(
        name=_line(status.skill),
        skill_id=skill_id,
        state=_state(status, view, live),
        age=None if at is None else now - at,
        wait=_wait(status, view, now),
        error=error and (error[0], _line(error[1])),
        channels=None if figures is None else len(figures),
        rows=[
            (_line(one.channel), tuple(_cells(one, view.targets.of(skill_id, one.channel))))
            for one, _ in zip(figures or (), places, strict=False)
        ],
    )


def _state(status: QueryStatus, view: OperationView, live: bool) -> QueryState:
    """Judge one query; a pause of its operation goes before everything else.

    Outside the poll hours figures grow old by design: that needs no attention.
    """
    failures, operation = status.memory.failures, view.status
    if operation.pause is not None:
        return "paused"
    if live and not failures:
        return "fresh"
    if view.spent:
        return "paused"
    if not operation.hours_open[0] and status.error is None:
        return "closed"
    if live:
        return "late"
    return "expired" if failures or status.memory.last_success_at is not None else "waiting"


def _wait(status: QueryStatus, view: OperationView, now: float) -> float | None:
    """Until the next request: its slot, or later where the operation is held back."""
    moments, operation = [status.next_slot_at], view.status
    if operation.pause is not None:
        moments.append(operation.pause[1])
    elif view.spent:
        moments.append(operation.day_ends_at)
    elif not operation.hours_open[0]:
        moments.append(operation.hours_open[1])
    return max((at - now for at in moments if at is not None), default=None)


def _cells(figures: ChannelFigures, target: SlaEntry | None) -> Iterator[Cell]:
    """The figures in the order of COLUMNS, each judged by its target."""
    targets: dict[str, float | None] = {}
    if target is not None:
        targets = {"abandonment": target.abandonment_max, "asa": target.asa_max}
        if level := target.service_level:
            targets[f"service_level_{level.within}"] = level.target
    for column in COLUMNS:
        value, goal = getattr(figures, column.attribute), targets.get(column.attribute)
        if value is None or goal is None:
            yield Cell(value)
            continue
        # A service level has a least target, the others a most.
        missed = value > goal if column.within is None else value < goal
        digits = 0 if column.kind is Kind.SECONDS else 3
        close = value != goal and round(value, digits) == round(goal, digits)
        yield Cell(value, goal, missed, close)


# Rendering ---------------------------------------------------------------------------------

_TEMPLATES: Final = Path(__file__).parent / "templates"


_STYLE: Final = (_TEMPLATES / "status.css").read_text(encoding="utf-8")
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
STYLE_SOURCE: Final = f"'sha256-{_DIGEST}'"
"""The style sheet as a Content-Security-Policy names it: by its hash."""


@functools.cache
def _template() -> Callable[..., str]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    names = {"columns": COLUMNS, "languages": LANGUAGES, "style": _STYLE}
    return environment.get_template("status.html", globals=names).render


@dataclass(slots=True)
class StatusPage:
    """The page for people, from what `operations`, `statuses` and `exporter` hold."""

    clock: Clock
    statuses: Iterable[QueryStatus]
    operations: Callable[[], Sequence[OperationView]]
    exporter: ExporterTelemetry
    telemetry_path: str
    _kept: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    def html(self, accept_language: str | None) -> bytes:
        """The page as UTF-8, in the language that an Accept-Language header prefers.

        It is kept for a second or ten times what it took to make: however many people look
        and however large it is, each language takes a tenth of the event loop at most.
        """
        language = choose_language(accept_language)
        started = self.clock.monotonic()
        until, html = self._kept.get(language, (started, b""))
        if started >= until:
            now = self.clock.now().timestamp()
            text = _template()(
                **build_page(self.operations(), self.statuses, now),
                exporter=self.exporter,
                telemetry_path=self.telemetry_path,
                w=Words(language, space="\u00a0"),
                t=catalogue(language),
            )
            html = SECRETS.scrub(text).encode("utf-8", "replace")
            ended = self.clock.monotonic()
            self._kept[language] = (ended + max(1.0, 10.0 * (ended - started)), html)
        return html
