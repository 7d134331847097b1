"""A board around its panels: variables, links, annotations, and the JSON in each language."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from scripts.dashboards.parts import DATASOURCE
from scripts.dashboards.queries import ALERT, JOB, OPERATION, QUERY

TAG = "wolkvox"
EVERYTHING = ".*"
"""Prometheus passes over it; for `.+` it reads the postings of every value."""
SCHEMA = 39
"""That of Grafana 10 and 11; later versions bring it up to date when they load it."""
_TEXT_KEYS = re.compile(
    "title|description|legendFormat|label|displayName|noValue|content|titleFormat"
)
_KINDS = {one: (one,) for one in ("mappings", "byName", "displayName")}
"""Overrides by the id of what they set or match: their values hold texts, too."""
_UNIT = re.compile(r"suffix:\w\w")
"""A unit that is a word."""
_TEMPLATE = re.compile(r"\{\{\s*\w+\s*\}\}|\$\{?[\w.]+\}?")


@dataclass(frozen=True, slots=True)
class Board:
    """What one board is besides what every board has."""

    name: str
    title: str
    description: str
    panels: Sequence[Any]
    by_skill: bool = True

    @property
    def uid(self) -> str:
        """Fixed, since links and alerts lead to it."""
        return f"wolkvox-{self.name}"


def board_json(board: Board) -> dict[str, Any]:
    """The board as Grafana's classic JSON, in English."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now/d", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("Wolkvox boards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
            .icon("external link")
        )
    )
    for variable in _variables(by_skill=board.by_skill):
        made.with_variable(variable)
    for annotation in _annotations():
        made.annotation(annotation)
    for panel in board.panels:
        made.with_panel(panel)
    plain: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return _finished(plain)


def written(board: Mapping[str, Any]) -> str:
    """The JSON as it stands in the repository: the same bytes for the same board."""
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def translated(board: Any, catalogue: Mapping[str, str]) -> Any:
    """The same board with every text of the catalogue; KeyError for one that is missing."""
    return _walk(board, (), catalogue.__getitem__)


def texts(board: Any) -> set[str]:
    """Every text that people read and a translation must hold."""
    found: dict[str, str] = {}
    _walk(board, (), lambda text: found.setdefault(text, text))
    return set(found)


def _walk(node: Any, path: tuple[Any, ...], put: Callable[[str], str]) -> Any:
    """The same with what `put` returns for each text."""
    if isinstance(node, dict):
        kind = _KINDS.get(str(node.get("id")), ())
        return {
            key: _walk(value, (*path, *(() if key == "id" else kind), key), put)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_walk(value, path, put) for value in node]
    if isinstance(node, str) and _is_text(path, node) and _has_words(node):
        return put(node)
    return node


def _is_text(path: tuple[Any, ...], node: str) -> bool:
    key = str(path[-1])
    return (
        bool(_TEXT_KEYS.fullmatch(key) or _UNIT.match(node))
        or "renameByName" in path
        or (key == "text" and "mappings" in path)
        or path[-2:] in {("displayName", "value"), ("byName", "options")}
        or path == ("annotations", "list", "name")
    )


def _has_words(text: str) -> bool:
    return any(letter.isalpha() for letter in _TEMPLATE.sub("", text))


def _finished(board: dict[str, Any]) -> dict[str, Any]:
    """What the library leaves out or to its own default."""
    board["panels"] = [_numbered(panel, n) for n, panel in enumerate(board["panels"], 1)]
    board |= {"editable": False, "version": 1, "schemaVersion": SCHEMA}
    for variable in board["templating"]["list"]:
        variable["current"] = _CURRENT.get(
            variable["name"], {"text": "All", "value": ["$__all"]}
        )
        for name in ("auto", "auto_count", "auto_min"):  # of interval variables only
            variable.pop(name, None)
    for link in board["links"]:
        link["targetBlank"] = False
    for shown in (*board["links"], *board["annotations"]["list"]):
        del shown["placement"]  # a new menu of Grafana 12 that would hide them
    return board


def _numbered(panel: dict[str, Any], number: int) -> dict[str, Any]:
    panel["id"] = number
    panel["options"].pop("footer", None)  # Grafana 12 has it no more
    for target in panel.get("targets", ()):
        target["datasource"] = {"type": "prometheus", "uid": "${datasource}"}
        target["editorMode"] = "code"
    return panel


_CURRENT: dict[str, dict[str, Any]] = {
    "datasource": {},
    "threshold": {"text": "20", "value": "20"},
}


def _variables(*, by_skill: bool) -> list[Any]:
    channels = f"wolkvox_skill_offered_interactions_total{{{QUERY}}}"
    found: list[Any] = [
        build.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _from_labels("job", "Job", "label_values(wolkvox_up, job)", ".+"),
        _from_labels("operation", "Operation", f"label_values(wolkvox_up{{{JOB}}}, operation)"),
        _from_labels("skill", "Skill", f"label_values(wolkvox_up{{{OPERATION}}}, skill)"),
        _from_labels("channel", "Channel", f"label_values({channels}, type_interaction)"),
    ]
    if by_skill:
        within = build.CustomVariable("threshold").label("Answered within (s)")
        found.append(within.values("10,20,30"))
    return found


def _from_labels(
    name: str, label: str, query: str, everything: str = EVERYTHING
) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
    )


def _annotations() -> Iterator[Any]:
    alerts = f'ALERTS{{{ALERT}, {JOB}, operation=~"$operation|"}}'
    restarts = f"changes(process_start_time_seconds{{{JOB}}}[$__rate_interval]) > 0"
    for name, color, expr, title, body in (
        ("Firing alerts", "red", alerts, "{{alertname}}", "{{operation}} {{skill}}"),
        ("Exporter restarts", "purple", restarts, "Exporter restarted", "{{instance}}"),
    ):
        yield (
            build.AnnotationQuery()
            .name(name)
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color(color)
            .title_format(title)
            .text_format(body)
            .target(prometheus.Dataquery().ref_id("A").expr(expr).range())
        )
