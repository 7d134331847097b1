"""What the tests of the status page share: operations to change, and the page taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

from exporter.config import Operation
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.page import MetricsPage
from exporter.metrics.sla import Targets
from exporter.runtime import Clock
from exporter.state.models import OperationStatus, QueryStatus
from exporter.web.status import OperationView
from exporter.web.status_page import StatusPage
from tests.config_support import operation, sla
from tests.polling_support import Stage
from tests.statuses import NOW
from tests.virtual import Exporter

BOGOTA = ZoneInfo("America/Bogota")
SLA = "{service_level: {within: 20s, target: 80%}, abandonment: {max: 5%}, asa: {max: 30s}}"
VOID = frozenset({"meta", "br", "link", "img", "input"})


def targets(entries: str = "") -> Targets:
    """The targets of an operation with single skills, in YAML."""
    return Targets(Operation.model_construct(sla=sla(entries), timezone=BOGOTA))


OPERATION = OperationView(
    operation(skills="[{id: 4173}, {id: 4190}, {id: all}]"),
    server="wv0013",
    targets=targets(),
    status=OperationStatus(interval=300.0, used=312, limit=1000, day_ends_at=NOW + 12 * 3600),
)


def configured(view: OperationView = OPERATION, **keys: object) -> OperationView:
    """The operation with other keys of its configuration."""
    return replace(view, operation=view.operation.model_copy(update=keys))


def standing(view: OperationView = OPERATION, **more: Any) -> OperationView:
    """The operation with another status of its loop."""
    return replace(view, status=replace(view.status, **more))


def telemetry(revision: str = "abc1234") -> ExporterTelemetry:
    """The exporter about itself, an hour after its start."""
    return ExporterTelemetry(MetricsPage(lambda: NOW), "1.2.3", revision, NOW - 3600)


async def _sleep(delay: float) -> None:
    raise AssertionError


def html(
    *statuses: QueryStatus,
    operations: Iterable[OperationView] = (OPERATION,),
    exporter: ExporterTelemetry | None = None,
    language: str = "en",
    **more: str,
) -> bytes:
    """The page as it is served, at the moment of `tests.statuses`."""
    clock = Clock(lambda: datetime.fromtimestamp(NOW, UTC), lambda: 0.0, _sleep)
    return StatusPage(
        clock, statuses, lambda: tuple(operations), exporter or telemetry(), "/metrics"
    ).html(language, **more)


def served(stage: Stage, running: Exporter, language: str = "en") -> bytes:
    """The page of a running exporter in virtual time."""
    operations = running.operations
    return StatusPage(
        stage.world.clock(),
        operations.statuses.values(),
        operations.overview,
        running.telemetry,
        "/metrics",
    ).html(language)


@dataclass
class Element:
    """One element of a page; `text` is that of everything in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[Element] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of this kind in it, in their order; `klass` stands for class."""
        wanted = {name.replace("klass", "class"): text for name, text in attributes.items()}
        found = []
        for child in self.inside:
            if child.tag == tag and wanted.items() <= child.attributes.items():
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def rows(self) -> list[Element]:
        """The rows of figures in it."""
        return [row for row in self.all("tr") if row.all("th", scope="row")]

    def everything(self) -> list[Element]:
        """Every element in it, in the order of the page."""
        return [found for child in self.inside for found in (child, *child.everything())]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only element of this kind in it."""
        (found,) = self.all(tag, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute stands twice: {tag} {names}"
        element = Element(tag, {name: text or "" for name, text in attrs})
        self._open[-1].inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"{tag} ends inside {self._open[-1].tag}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def whole(self) -> Element:
        assert self._open == [self.root], [one.tag for one in self._open]
        return self.root


def read(html: bytes) -> Element:
    """A page taken apart; fails where a tag is not closed in its place."""
    reader = _Reader()
    reader.feed(html.decode("utf-8"))
    reader.close()
    return reader.whole()


def page(*statuses: QueryStatus, **more: Any) -> Element:
    """The page taken apart; arguments as for `html`."""
    return read(html(*statuses, **more))
