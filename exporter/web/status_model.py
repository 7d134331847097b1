"""The status page in words, as the template gets it: every text ready, nothing escaped."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.web.status import QueryState
from exporter.web.status_format import Moment


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure; where it has a target, `note` says it and `kind` is the CSS class."""

    value: str
    kind: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One channel."""

    channel: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """The last error of a query: what it is, its text, and where the page says what to do."""

    what: str
    detail: str
    href: str


@dataclass(frozen=True, slots=True)
class Query:
    """One skill: its state in words, and its figures or why there are none."""

    name: str
    skill_id: str
    state: QueryState
    symbol: str
    word: str
    age: str
    due: str
    failure: Failure | None
    rows: tuple[Row, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about one reason, for all queries that fail for it."""

    anchor: str
    what: str
    queries: str
    todo: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about an operation or the exporter; `meter` is used and limit."""

    label: str
    value: str
    note: str = ""
    meter: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class OperationPart:
    """One operation; `whole` is the query `all`, set apart from the single skills."""

    anchor: str
    name: str
    server: str
    zone: str
    clock: Moment
    trouble: int
    missed: int
    facts: tuple[Fact, ...]
    notice: str
    advice: tuple[Advice, ...]
    skills: tuple[Query, ...]
    whole: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """The whole page in one language."""

    language: str
    summary: str
    calm: bool
    as_of: Moment
    as_of_zone: str
    notice: str
    operations: tuple[OperationPart, ...]
    cut: str
    facts: tuple[Fact, ...]
    links: tuple[tuple[str, str], ...]
