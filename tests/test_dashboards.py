"""The committed boards: their form, their PromQL against the table of metrics, their texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from _jsonnet import evaluate_snippet

from exporter.metrics.exporter import process_metrics
from exporter.metrics.families import TABLE
from scripts.dashboards.__main__ import generated, main
from scripts.dashboards.boards import texts, translated, written
from scripts.dashboards.parts import PANELS
from scripts.dashboards.spanish import SAME, SPANISH
from tests.dashboards_promql import (
    FOREIGN,
    TARGET_LABELS,
    averages,
    family_of,
    grouped_labels,
    is_counter,
    is_known,
    labels_of,
    made_labels,
    selectors,
)
from tests.dashboards_support import (
    CHOICES,
    FOLDER,
    LANGUAGES,
    NAMES,
    Json,
    board,
    interpolated,
    targets,
)

RULES = Path(__file__).parents[1] / "deploy" / "prometheus"
BOARDS = [(name, language) for name in NAMES for language in LANGUAGES]
VARIABLES = ["datasource", "job", "operation", "skill", "channel"]
# Ranges that mean something to people; all others follow the scrape interval.
MEANT = {"1h", "$__range", "12h:15m"}
# Metrics that no board and no rule reads, and why that is right.
UNUSED = {
    "wolkvox_exporter_config_last_reload_success_timestamp_seconds": (
        "the board and the rules ask whether a reload failed, not when the last one was"
    ),
    "wolkvox_exporter_tls_handshake_failures_total": (
        "a scrape that fails is alerted as such; this tells the person who looks why"
    ),
    "wolkvox_exporter_log_lines_dropped_total": (
        "it explains a log with gaps to the person who reads it; the figures are as good"
    ),
    "wolkvox_last_attempt_timestamp_seconds": "what counts is the last success",
    "wolkvox_poll_cycle_seconds": "what counts is the lag",
    "wolkvox_token_used_today": "the board shows what is left",
    "wolkvox_token_used_today_all_tokens": "the board shows what is left",
}


def expressions(name: str) -> list[tuple[str, str]]:
    """Name and PromQL of each target and each annotation of a board."""
    found = [(target.name, target.expr) for target in targets(name)]
    listed = board(name)["annotations"]["list"]
    return found + [(f"{name}/{one['name']}", one["target"]["expr"]) for one in listed]


def panels(name: str, language: str = "en") -> list[Json]:
    """The panels of a board."""
    found: list[Json] = board(name, language)["panels"]
    return found


def test_the_committed_boards_are_what_the_generator_makes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has the bytes that the generator writes, and there is no other file."""
    monkeypatch.setattr("sys.argv", ["dashboards", "--check"])

    assert main() == 0, capsys.readouterr().out
    assert set(FOLDER.rglob("*.json")) == set(generated())


def test_the_generator_writes_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--check` missing boards are written; with it they are only told."""
    monkeypatch.setattr("scripts.dashboards.__main__.FOLDER", tmp_path / "boards")

    monkeypatch.setattr("sys.argv", ["dashboards", "--check"])
    assert main() == 1
    assert not (tmp_path / "boards").exists()
    monkeypatch.setattr("sys.argv", ["dashboards"])
    assert main() == 0

    assert len(capsys.readouterr().out.splitlines()) == 2 * len(NAMES) * len(LANGUAGES)
    assert {path.name for path in tmp_path.rglob("*.json")} == {f"{n}.json" for n in NAMES}


def test_boards_can_be_made_for_a_time_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose midnight a board uses is the viewer's, or that of the zone it is made for."""
    made = ["dashboards", "--output", str(tmp_path), "--timezone"]
    monkeypatch.setattr("sys.argv", [*made, "America/Bogota"])
    assert main() == 0
    monkeypatch.setattr("sys.argv", [*made, "America/Bogotá"])
    with pytest.raises(SystemExit):
        main()

    assert "America/Bogotá is no time zone" in capsys.readouterr().err
    for name in NAMES:
        assert board(name)["timezone"] == "browser"
        for path in (tmp_path / f"{name}.json", tmp_path / "es" / f"{name}.json"):
            assert json.loads(path.read_text("utf-8"))["timezone"] == "America/Bogota"


def test_a_board_is_uneditable_tagged_and_as_fresh_as_its_data() -> None:
    """What all boards share: identity, time, refresh, crosshair, one link to the others."""
    for name, language in BOARDS:
        made = board(name, language)

        assert made["uid"] == f"wolkvox-{name}", name
        assert made["editable"] is False, name
        assert made["tags"] == ["wolkvox"], name
        assert made["time"] == {"from": "now/d", "to": "now"}, name
        assert made["refresh"] == "1m", name
        assert made["graphTooltip"] == 1, name
        [link] = made["links"]
        assert (link["type"], link["tags"], link["asDropdown"]) == (
            "dashboards",
            ["wolkvox"],
            True,
        ), name
        assert (link["keepTime"], link["includeVars"]) == (True, True), name
        assert "id" not in made, name


def test_variables_are_lists_of_everything_and_follow_the_time() -> None:
    """Data source first; the others allow several and all, and are read anew with the time."""
    for name in NAMES:
        variables = {one["name"]: one for one in board(name)["templating"]["list"]}
        more = [] if name == "exporter" else ["threshold"]

        assert list(variables) == VARIABLES + more, name
        assert variables["datasource"]["type"] == "datasource", name
        assert variables["datasource"]["query"] == "prometheus", name
        for one in VARIABLES[1:]:
            variable = variables[one]
            assert variable["multi"] is variable["includeAll"] is True, name
            assert variable["refresh"] == 2, name
            assert variable["allValue"] == (".+" if one == "job" else ".*"), name
            assert variable["current"]["value"] == ["$__all"], name
        for one in more:
            assert variables[one]["type"] == "custom", name
            assert variables[one]["current"]["value"] in variables[one]["query"].split(","), (
                name
            )


def sources(node: object) -> Iterator[object]:
    """Every data source that a part of a board names."""
    if isinstance(node, dict):
        if "datasource" in node:
            yield node["datasource"]
        for value in node.values():
            yield from sources(value)
    elif isinstance(node, list):
        for value in node:
            yield from sources(value)


def test_no_data_source_is_named() -> None:
    """Panels, targets, variables and annotations use the variable and nothing else."""
    for name, language in BOARDS:
        found = list(sources(board(name, language)))
        assert found, name
        assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in found), name
        for panel in panels(name, language):
            assert panel["type"] == "text" or "datasource" in panel, name
            assert all("datasource" in target for target in panel.get("targets", ())), name


def test_each_panel_has_title_description_and_unit() -> None:
    """No panel leaves its reader alone; a text needs no unit, and nothing to ask."""
    for name, language in BOARDS:
        for panel in panels(name, language):
            assert panel["title"], panel["id"]
            assert len(panel["description"]) > 15, panel["title"]
            if panel["type"] != "text":
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
                assert panel["targets"], panel["title"]


def test_ids_and_titles_are_unique_and_refids_within_a_panel() -> None:
    """Grafana finds panels by id and series by refId."""
    for name in NAMES:
        for key in ("id", "title"):
            found = [panel[key] for panel in panels(name)]
            assert len(set(found)) == len(found), name
        for panel in panels(name):
            refs = [target["refId"] for target in panel.get("targets", ())]
            assert len(set(refs)) == len(refs), panel["title"]


def test_panels_lie_within_the_grid_and_do_not_overlap() -> None:
    """Each panel stands where it was put, not where Grafana pushes it."""
    for name in NAMES:
        places = {
            panel["title"]: {
                (at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])
            }
            for panel in panels(name)
            for at in [panel["gridPos"]]
        }

        assert all(x < 24 for cells in places.values() for x, _y in cells), name
        for (one, mine), (other, yours) in combinations(places.items(), 2):
            assert not mine & yours, f"{one} and {other}"
        # No hole either: the last row included, every cell belongs to a panel.
        cells = set.union(*places.values())
        assert len(cells) == 24 * (1 + max(y for _x, y in cells)), name


def test_the_overview_fits_a_screen_of_1080_lines() -> None:
    """A wall board does not scroll: 38 pixels a row."""
    lowest = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels("overview"))

    assert lowest * 38 <= 1080


def test_a_board_asks_no_more_than_twenty_questions() -> None:
    """200 skills of 6 channels must be there in two seconds."""
    for name in ("overview", "skill"):
        assert len(targets(name)) <= 20, name


def test_the_largest_figure_of_the_overview_is_the_trouble() -> None:
    """Top left, red, and larger than the level of the day, which may be green beside it."""
    stats = [panel for panel in panels("overview") if panel["type"] == "stat"]
    sizes = {one["title"]: one["gridPos"]["w"] * one["gridPos"]["h"] for one in stats}
    first, second = sorted(sizes, key=sizes.__getitem__)[:-3:-1]

    assert first == stats[0]["title"] == "Furthest below target"
    assert (stats[0]["gridPos"]["x"], stats[0]["gridPos"]["y"]) == (0, 0)
    assert sizes[first] > 3 * sizes[second]
    [red] = stats[0]["fieldConfig"]["overrides"][0]["properties"]
    assert red["value"]["fixedColor"] == "red"
    [table] = [one for one in panels("overview") if "trouble" in one["title"]]
    assert table["options"]["sortBy"] == [{"desc": True, "displayName": "Below by"}]


def test_values_of_now_are_asked_for_now() -> None:
    """A stat never shows the last value of a range: it would outlive midnight."""
    for name in NAMES:
        for target in targets(name):
            kind = target.panel["type"]
            now = kind in {"stat", "table"} and target.panel["title"] != "By hour"
            assert target.target["instant"] is now, target.name
            assert target.target["range"] is not now, target.name
            if kind == "stat":
                assert target.panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"], (
                    name
                )
            assert target.panel["fieldConfig"]["defaults"]["noValue"] == "-", name


@cache
def parsed(job: str = ".+") -> list[tuple[str, promql.Expr]]:
    """Each expression of the boards, parsed, and where it stands."""
    chosen = {**CHOICES["everything"], "job": (job,)}
    return [
        (where, promql.parse(interpolated(expr, chosen)))
        for name in NAMES
        for where, expr in expressions(name)
    ]


def test_each_expression_parses_with_one_several_and_all() -> None:
    """No choice of a variable breaks one; ranges follow the scrape or mean something."""
    for name in NAMES:
        for where, expr in expressions(name):
            for choice in CHOICES.values():
                text = interpolated(expr, choice)
                assert "$" not in text, where
                promql.parse(text)
            for span in re.findall(r"\[([^\]]+)\]", expr):
                assert span == "$__rate_interval" or span in MEANT, where


def test_each_selector_carries_the_job() -> None:
    """Two exporters of different jobs never mix unless both are chosen."""
    for where, expr in parsed("CHOSEN"):
        for selector in selectors(expr):
            assert selector.matchers.get("job") in {("CHOSEN",), ("CHOSEN|",)}, where


def test_counters_are_read_by_rate_and_increase_only() -> None:
    """And gauges are not."""
    for where, expr in parsed():
        for selector in selectors(expr):
            within = selector.function in {"rate", "increase"}
            assert within == is_counter(selector.metric) or not selector.metric, where


def test_every_metric_and_label_exists() -> None:
    """What a board asks for is in the table of metrics, or comes from Prometheus itself."""
    for where, expr in parsed():
        known = set(TARGET_LABELS) | made_labels(expr)
        for selector in selectors(expr):
            if selector.metric:
                assert is_known(selector.metric), where
                assert set(selector.matchers) <= labels_of(selector.metric), where
                known |= labels_of(selector.metric)
        assert set(grouped_labels(expr)) <= known, where


def test_no_ratio_is_averaged() -> None:
    """The mean of two skills' ratios is neither's: ratios come from sums of counts."""
    for where, expr in parsed():
        for inside in averages(expr):
            for selector in selectors(inside):
                assert not selector.metric.endswith("_ratio"), where


def test_process_metrics_on_the_boards_are_those_of_the_library() -> None:
    """A name that the client library no longer has would be an empty panel."""
    page = process_metrics(False).decode()

    for metric in FOREIGN:
        assert not metric.startswith("process_") or f"\n{metric} " in page


def test_every_metric_is_on_a_board_or_in_a_rule() -> None:
    """Nothing is exported for nobody; the exceptions have reasons, and are exceptions."""
    read = {
        family.name
        for _where, expr in parsed()
        for selector in selectors(expr)
        if (family := family_of(selector.metric))
    }
    rules = "".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.rules.yml"))
    for metric in re.findall(r"\bwolkvox_\w+", rules):
        family = family_of(metric)
        read |= {family.name} if family else set()

    assert {family.name for family in TABLE} - read == set(UNUSED)


# Texts ------------------------------------------------------------------------------------


def test_the_languages_differ_in_texts_only() -> None:
    """The Spanish board is the English one with each text of the catalogue exchanged."""
    for name in NAMES:
        english, spanish = board(name), board(name, "es")

        assert translated(english, SPANISH) == spanish, name
        assert written(translated(spanish, dict.fromkeys(texts(spanish), ""))) == written(
            translated(english, dict.fromkeys(texts(english), ""))
        ), name


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    """The catalogue holds what the boards say; panels.toml has their panels and no other."""
    said = set().union(*(texts(board(name)) for name in NAMES))

    assert said == set(SPANISH)
    assert {text for text, spanish in SPANISH.items() if text == spanish} == SAME
    assert PANELS.keys() == {panel["title"] for name in NAMES for panel in panels(name)}


# Labels of legends and of series, variables of titles, and code.
FILLED_IN = re.compile(r"\{\{\w+\}\}|\$\{[\w.]+\}|\$\w+|`[^`]+`")


def test_a_translation_keeps_what_grafana_fills_in() -> None:
    """Labels of legends and variables of titles are the same in both languages."""
    for english, spanish in SPANISH.items():
        assert sorted(FILLED_IN.findall(english)) == sorted(FILLED_IN.findall(spanish)), english


# English, and what the page and the runbooks call by another name: el skill, solicitudes,
# porcentajes, antigüedad, cumple la meta; decimals have a comma.
ELSEWHERE = re.compile(
    r"\b(the|of|and|with|without|is|are|was|not|none|than|where|since|until|below|above|within"
    r"|today|yesterday|week|hours?|last|level|targets?|skills? in|queues?|polls?|alerts?"
    r"|quer(y|ies)|requests?|answer(s|ed)?|lag|stale|missing|exporters?|failed"
    r"|las? skills?|una skill|petici\w+|raz[oó]n(es)?|edad|en la meta)\b|\d\.\d",
    re.IGNORECASE,
)


def test_spanish_boards_have_one_voice_and_no_english() -> None:
    """Every text but names, labels and code; the alerts' titles as well."""
    assert ELSEWHERE.search("La skill: Service level of the day, 0.5")
    for text in set().union(*(texts(board(name, "es")) for name in NAMES)):
        plain = FILLED_IN.sub("", text)
        assert not ELSEWHERE.search(plain), text


def strings(node: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a board with the key it stands under."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from strings(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value, key)
    elif isinstance(node, str):
        yield key, node


def has_words(text: str) -> bool:
    """Whether it says something beside what Grafana fills in."""
    plain = re.sub(r"\{\{\w+\}\}", "", text)
    return " " in text and any(map(str.isalpha, plain))


def test_no_text_is_left_out_of_the_translation() -> None:
    """Each string of several words is a text of the catalogue, PromQL, or known here."""
    for name in NAMES:
        made = board(name)
        technical = {value for key, value in strings(made) if key in {"expr", "query", "url"}}
        known = texts(made) | technical | {"external link"}

        assert {value for _key, value in strings(made) if has_words(value)} <= known, name


def test_links_of_a_table_lead_to_the_skill_with_its_variables() -> None:
    """A click on a skill in trouble opens it, with time, job and threshold kept."""
    text = json.dumps(board("overview"))

    assert "/d/wolkvox-skill?${__url_time_range}" in text
    for variable in ("operation", "skill", "channel", "threshold", "datasource"):
        assert f"var-{variable}=" in text


# Provisioning -----------------------------------------------------------------------------

DEPLOY = Path(__file__).parents[1] / "deploy"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def read_yaml(path: Path) -> Json:
    """One YAML file."""
    found: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def test_the_data_source_has_the_scrape_interval_of_the_job() -> None:
    """Rates are computed over four scrapes: with another interval they are empty or late."""
    [source] = read_yaml(PROVISIONING / "datasources" / "wolkvox.yml")["datasources"]
    scrape = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")

    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]


def test_provisioned_boards_are_read_only_and_in_a_folder() -> None:
    """A change in the browser would be lost at the next start; a copy is not."""
    [provider] = read_yaml(PROVISIONING / "dashboards" / "wolkvox.yml")["providers"]

    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    assert provider["folder"] == "Wolkvox"
    assert provider["options"]["path"]


sorted_keys = partial(json.dumps, sort_keys=True)


def test_the_mixin_holds_the_rules_and_the_boards_of_one_language() -> None:
    """Every record, every alert and every board, as they are shipped; English unless told."""
    files = [read_yaml(path)["groups"] for path in sorted(RULES.glob("*.rules.yml"))]
    shipped = [rule for groups in files for group in groups for rule in group["rules"]]
    parts = "{a: m.prometheusAlerts, r: m.prometheusRules, b: m.grafanaDashboards}"
    for language, more in (("en", ""), ("es", " + {_config+:: {language: 'es'}}")):
        text = f"local m = (import 'mixin.libsonnet'){more}; {parts}"
        made = json.loads(evaluate_snippet(f"{DEPLOY.parent}/some.jsonnet", text))

        listed = [rule for key in "ar" for one in made[key]["groups"] for rule in one["rules"]]
        assert sorted(map(sorted_keys, listed)) == sorted(map(sorted_keys, shipped))
        assert made["b"] == {f"wolkvox-{one}.json": board(one, language) for one in NAMES}
