"""Grafana's own alerts: the form of the files, and what each expression answers.

Grafana is AGPL and stands in no package index, so it does not run here. The form is that of its
documentation (file provisioning of alerting resources, and the settings of each integration): a
key that Grafana does not know it ignores in silence, which is why unknown ones fail here. Its
queries are PromQL and run in Prometheus (five weeks of the exporter's own pages are asked in
test_dashboards_prometheus.py); its condition fires for whatever they answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.grafana_templates import TARGET, provisioning
from tests.dashboards_support import alert_queries
from tests.rules_scene import PAIR, Part, Scene, counters
from tests.rules_support import ROOT, Rule, alerts, promtool, question

FOLDER = ROOT / "deploy/grafana/alerting"
COMPOSE = ROOT / "deploy/compose/compose.grafana-alerts.yml"
# The documented keys, required ones in upper case.
RULE = "UID TITLE CONDITION DATA FOR noDataState execErrState annotations labels isPaused"
QUERY = "REFID RELATIVETIMERANGE DATASOURCEUID MODEL queryType"
ROUTE = (
    "receiver group_by object_matchers matchers routes continue mute_time_intervals "
    "group_wait group_interval repeat_interval"
)
SETTINGS = {
    "email": "ADDRESSES singleEmail message subject",
    "slack": "URL recipient token username icon_emoji icon_url mentionUsers title text",
    "teams": "URL title sectiontitle message",
    "telegram": "BOTTOKEN CHATID message parse_mode disable_notification",
    "webhook": "URL httpMethod username password title message maxAlerts payload",
}


def read(name: str) -> Any:
    """One of the files."""
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def fits(found: Mapping[str, Any], keys: str, what: str) -> None:
    """Check that a mapping has all required keys and no unknown one."""
    known = {key.lower(): key.isupper() for key in keys.split()}
    here = {key.lower() for key in found}
    assert here <= known.keys(), (what, here - known.keys())
    assert {key for key, needed in known.items() if needed} <= here, (what, here)


def rules() -> list[dict[str, Any]]:
    """The rules."""
    (group,) = read("rules.yml")["groups"]
    fits(group, "orgId NAME FOLDER INTERVAL RULES", "group")
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_the_rules_have_the_documented_form() -> None:
    """Keys, states and references between queries are what Grafana's documentation asks for."""
    assert len({rule["uid"] for rule in rules()}) == len(rules()) == 8
    for rule in rules():
        fits(rule, RULE, rule["title"])
        assert rule["title"] in alerts()
        assert len(rule["uid"]) <= 40
        assert rule["noDataState"] in {"NoData", "Alerting", "OK"}
        assert rule["execErrState"] in {"Error", "Alerting", "OK"}
        queries = {one["refId"]: one for one in rule["data"]}
        assert len(queries) == len(rule["data"])
        for ref, one in queries.items():
            fits(one, QUERY, rule["title"])
            assert one["model"]["refId"] == ref
            if one["datasourceUid"] == "__expr__":
                assert one["model"]["expression"] == "A"
            else:
                assert one["model"]["instant"] is True
        # `$` would be taken for a variable of the environment in some versions.
        texts = rule["annotations"]
        assert not re.search(r"\$(?!\{(RUNBOOK|GRAFANA)_URL\})", str(texts)), rule["title"]
        used = set(re.findall(r"\.Values\.(\w)", str(texts)))
        assert used <= queries.keys(), rule["title"]
        page = rule["title"].lower()
        assert texts["runbook_url"] == f"${{RUNBOOK_URL}}/README.md#{page}"
        severity = alerts()[rule["title"]].body["labels"]["severity"]
        assert rule["labels"]["severity"] == severity


def test_contact_points_and_policies_have_the_documented_form() -> None:
    """Each kind in both languages, with templates that there are; Compose sets every name."""
    defined = set(re.findall(r'define "([\w.]+)"', provisioning()))
    names, text = set(), (FOLDER / "policies.yml").read_text("utf-8")
    for path in sorted(FOLDER.glob("contact-*.yml")):
        text += path.read_text("utf-8")
        for point in read(path.name)["contactPoints"]:
            fits(point, "orgId NAME RECEIVERS", path.name)
            names.add(point["name"])
            (receiver,) = point["receivers"]
            fits(receiver, "UID TYPE SETTINGS disableResolveMessage", path.name)
            fits(receiver["settings"], SETTINGS[receiver["type"]], path.name)
            used = set(re.findall(r'template "([\w.]+)"', str(receiver)))
            assert used
            assert used <= defined, path.name
            language = point["name"][-2:]
            assert all(name.startswith(f"wolkvox.{language}.") for name in used), path.name
    kinds = ("email", "slack", "teams", "telegram", "whatsapp")
    assert names == {f"wolkvox-{kind}-{lang}" for kind in kinds for lang in ("en", "es")}
    (policy,) = read("policies.yml")["policies"]
    todo = [policy]
    for route in todo:
        fits(route, f"{ROUTE} orgId", "policies")
        todo += route.get("routes", ())
    assert read("templates.yml")["templates"][0].keys() == {"orgId", "name", "template"}
    compose = COMPOSE.read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{(\w+)\}", text + (FOLDER / "rules.yml").read_text("utf-8")))
    assert wanted == set(re.findall(r"^      (\w+): \$\{\1:-", compose, re.MULTILINE))
    contact = re.search(r"WOLKVOX_CONTACT:-([\w-]+)", compose)
    assert contact is not None
    assert contact[1] in names


def test_the_templates_are_those_of_alertmanager() -> None:
    """templates.yml is not behind: else `make docs`."""
    assert TARGET.read_text(encoding="utf-8") == provisioning()
    text = read("templates.yml")["templates"][0]["template"]
    for path in (ROOT / "deploy/alertmanager").glob("*.tmpl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line in text


# What the expressions answer ------------------------------------------------------------------


def scene(*parts: Part, **more: Any) -> Scene:
    """One operation with one skill, two hours long, polled every five minutes."""
    made = Scene(120)
    polls = more.get("polls", range(0, 120, 5))
    made.exporter(more.get("up"))
    made.operation(polling=[1.0] * 120)
    attempts = more.get("attempts", polls)
    made.query(polls, attempts)
    made.constant("wolkvox_query_interval_seconds", more.get("interval", 300), **_query())
    made.pair(counters(parts, polls, 120))
    if more.get("targets", True):
        made.targets(opened=more.get("opened"))
    for reason in ("quota", "unauthorized"):
        value = float(more.get("paused") == reason)
        made.constant("wolkvox_paused", value, operation="acme", reason=reason)
    return made


def _query() -> dict[str, str]:
    return {key: text for key, text in PAIR.items() if key != "type_interaction"}


GOOD = Part(60, 4, 0.96, answered=0.98)
LEVEL, COLLAPSE, ABANDONED, NOBODY, STALE, TOKEN, QUOTA, DOWN = (
    "WolkvoxServiceLevelBelowTarget", "WolkvoxServiceLevelCollapse", "WolkvoxAbandonmentHigh",
    "WolkvoxNobodyAnswers", "WolkvoxDataStale", "WolkvoxTokenRejected",
    "WolkvoxQuotaExhausted", "WolkvoxExporterDown",
)  # fmt: skip


def test_each_rule_fires_for_its_trouble_and_for_no_other(tmp_path: Path) -> None:
    """In hand-written scenes, at their end; the target stands beside each bad figure."""
    lost, dead = Part(60, 4, 0.1, answered=0.6), Part(60, 4, 0, answered=0)
    closed = [1.0] * 60 + [0.0] * 60
    early = [*range(0, 60, 5)]
    cases: dict[str, tuple[Scene, set[str]]] = {
        "healthy": (scene(GOOD, GOOD), set()),
        "collapse": (scene(GOOD, lost), {COLLAPSE, LEVEL, ABANDONED}),
        "some points below": (scene(GOOD, Part(60, 4, 0.66, answered=0.97)), {LEVEL}),
        "what chance explains": (scene(GOOD, Part(60, 1, 0.74, answered=0.97)), set()),
        "too few": (scene(GOOD, Part(60, 0.4, 0.1, answered=0.9)), set()),
        "nobody answers": (scene(GOOD, dead), {COLLAPSE, LEVEL, ABANDONED, NOBODY}),
        "closed": (scene(GOOD, dead, opened=closed), set()),
        "without targets": (scene(GOOD, dead, targets=False), {NOBODY}),
        "polled too slowly": (scene(GOOD, lost, interval=900), set()),
        "stale": (scene(GOOD, dead, polls=early, attempts=range(0, 120, 5)), {STALE}),
        "never": (scene(GOOD, polls=(), attempts=range(0, 120, 5)), {STALE}),
        "token": (scene(GOOD, GOOD, polls=early, paused="unauthorized"), {TOKEN}),
        "quota": (scene(GOOD, GOOD, polls=early, paused="quota"), {QUOTA}),
        "down": (scene(GOOD, GOOD, up=[1.0] * 100 + [0.0] * 20), {DOWN}),
        "no exporter at all": (Scene(120), {DOWN}),
    }
    twin = scene(GOOD, lost)
    own, other = f'instance="{twin.instance}"', 'instance="b:19655"'
    twin.series |= {key.replace(own, other): values for key, values in twin.series.items()}
    cases["two exporters"] = (twin, {COLLAPSE, LEVEL, ABANDONED})
    both = scene(GOOD, GOOD)
    whole = {**PAIR, "skill_id": "all", "skill": "Todas"}
    both.pair(counters([GOOD, dead], range(0, 120, 5), 120), **whole)
    both.query(range(0, 120, 5), skill_id="all", skill="Todas")
    both.constant("wolkvox_query_interval_seconds", 300, **_query() | {"skill_id": "all"})
    cases["the whole operation beside a skill"] = (both, set())

    told: list[dict[str, Any]] = []
    for name, (one, expected) in cases.items():
        asked = []
        for title, texts in alert_queries().items():
            samples = [("{}", 1.0)] if title in expected else []
            asked.append(question(f"count({texts['A']}) > 0", 119, *samples))
            if "B" in texts and title in expected:
                asked.append(question(f"count({texts['A']} and {texts['B']})", 119, ("{}", 1)))
        found = one.as_input()
        told.append(
            {"name": name, "interval": "1m", "input_series": found, "promql_expr_test": asked}
        )
    watchdog = Rule("wolkvox-sla", "Any", True, {"alert": "Any", "expr": "vector(1)"})

    assert promtool(tmp_path, [watchdog], told, "7m") is None
