"""The Alertmanager examples: who is told what, what silences what, and how it reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests import needs
from tests.alert_sinks import hastened, sinks
from tests.e2e_prometheus import serving
from tests.e2e_support import wait_for
from tests.rules_support import ROOT, alerts, ask

CONFIG = ROOT / "deploy/alertmanager/alertmanager.yml"
COMPOSE = ROOT / "deploy/compose/alertmanager.yml"
each_config = pytest.mark.parametrize(
    "config", [CONFIG, COMPOSE], ids=lambda path: path.parent.name
)
SKILL = {"operation": "acme", "skill_id": "4173", "skill": "Ventas"}
PAIR = {**SKILL, "type_interaction": "inbound"}


# Labels of alerts as the routes see them, where the rule file does not say it.
OTHERS = {
    "KubeNodeNotReady": {"severity": "critical", "sli": "service_level"},
}


def _labels(alert: str, **more: str) -> dict[str, str]:
    own = alerts()[alert].body["labels"] if alert in alerts() else OTHERS[alert]
    fixed = {name: text for name, text in own.items() if "{{" not in text}
    return {"alertname": alert, "job": "wolkvox", **fixed, **more}


def test_routes() -> None:
    """Each alert reaches those who can do something about it, and nobody else."""
    for alert, labels, receivers in (
        ("WolkvoxServiceLevelBelowTarget", "operation=acme", "acme-chat"),
        ("WolkvoxServiceLevelBelowTarget", "operation=globex", "globex-chat"),
        ("WolkvoxServiceLevelBelowTarget", "operation=initech", "platform-chat"),
        ("WolkvoxServiceLevelCollapse", "operation=acme", "pager,acme-chat"),
        ("WolkvoxNobodyAnswers", "operation=globex", "pager,globex-chat"),
        ("WolkvoxAbandonmentHigh", "operation=acme", "acme-chat"),
        ("WolkvoxAnswerSlow", "operation=acme", "acme-chat"),
        ("WolkvoxTrafficVanished", "operation=acme", "acme-chat"),
        ("WolkvoxTrafficSpike", "operation=acme", "discard"),
        ("WolkvoxServiceLevelDayBreached", "operation=acme", "discard"),
        ("WolkvoxSkillWithoutTarget", "operation=acme", "discard"),
        ("WolkvoxDataStale", "operation=acme", "pager,platform-chat"),
        ("WolkvoxQuotaLow", "operation=acme", "platform-chat"),
        ("WolkvoxExporterDown", "", "pager,platform-chat"),
        ("WolkvoxWatchdog", "", "dead-mans-switch"),
        ("WolkvoxOperationStale", "operation=acme", "pager,platform-chat"),
        ("WolkvoxOperationTrafficVanished", "operation=acme", "acme-chat"),
        ("WolkvoxBudgetBurn", "operation=acme", "ticket"),
        ("WolkvoxMonthAtRisk", "operation=acme", "ticket"),
        ("WolkvoxAnswerSlow", "operation=acme team=voice-noc", "voice-noc-chat"),
        ("WolkvoxServiceLevelCollapse", "operation=x team=voice-noc", "pager,voice-noc-chat"),
        ("WolkvoxDataStale", "operation=acme team=voice-noc", "pager,platform-chat"),
        ("KubeNodeNotReady", "operation=acme", "others"),
    ):
        known = _labels(alert, **dict(pair.split("=") for pair in labels.split()))
        pairs = [f"{name}={value}" for name, value in known.items()]
        run = needs.run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *pairs)

        assert run.stdout.strip() == receivers, (alert, labels, run.stderr)


def _amlint(config: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("amlint")
    tool = str(beside) if beside.exists() else shutil.which("amlint")
    if tool is None:
        pytest.skip("amlint is not installed")
    rules = directory / "rules.yml"
    known = [{"alert": name, "expr": "1", "labels": _labels(name)} for name in OTHERS]
    group = {"name": "all", "rules": [*(dict(one.body) for one in alerts().values()), *known]}
    rules.write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    return subprocess.run(
        [tool, "check", "--strict", f"--rules={rules}", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )


@each_config
def test_amlint_finds_no_fault(config: Path, tmp_path: Path) -> None:
    """No route is out of reach, no template unknown, no inhibition too wide."""
    run = _amlint(config, tmp_path)

    assert run.returncode == 0, run.stdout + run.stderr


def test_amlint_would_find_one(tmp_path: Path) -> None:
    """An inhibition that asks for nothing equal, which Alertmanager takes, does not pass."""
    config = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    del config["inhibit_rules"][0]["equal"]
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")

    assert _amlint(file, tmp_path).returncode == 1


@each_config
def test_inhibitions_are_bound(config: Path) -> None:
    """Each asks for the same job, and names only alerts and indicators that there are.

    Both sides name alerts of this project, so that nobody else's silences or is silenced.
    """
    names = {*alerts(), *OTHERS, *(_labels(name)["sli"] for name in alerts()), "Wolkvox"}
    for rule in yaml.safe_load(config.read_text(encoding="utf-8"))["inhibit_rules"]:
        assert "job" in rule["equal"]
        for side in ("source_matchers", "target_matchers"):
            named = re.findall(r'(?:alertname|sli) =~? "?([\w|]+)', " ".join(rule[side]))
            assert {one for some in named for one in some.split("|")} <= names
            assert re.search(r'^alertname =~? "?Wolkvox', rule[side][0]), rule


def test_both_examples_silence_alike() -> None:
    """What silences what is no matter of where one starts."""
    one, other = (
        yaml.safe_load(config.read_text(encoding="utf-8"))["inhibit_rules"]
        for config in (CONFIG, COMPOSE)
    )

    assert one == other


def test_nothing_is_left_over() -> None:
    """Each receiver and each time interval of the example is used, and no secret is in it."""
    text = CONFIG.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    wanted = {one["name"] for one in config["receivers"] + config["time_intervals"]}
    routes = json.dumps(config["route"])

    assert all(f'"{name}"' in routes for name in wanted)
    assert not re.search(
        r"^\s*(api_url|routing_key|password|bearer_token):", text, re.MULTILINE
    )


def test_children_state_their_own_hours() -> None:
    """Time intervals are not inherited: each chat of an operation names one that exists."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    known = {one["name"] for one in config["time_intervals"]}
    routes = [config["route"]]
    for route in routes:
        routes += route.get("routes", ())
    leaves = [one for one in routes if any("operation =" in m for m in one.get("matchers", ()))]

    assert leaves
    assert all(set(leaf["active_time_intervals"]) <= known for leaf in leaves)
    assert all(
        "location" in one for t in config["time_intervals"] for one in t["time_intervals"]
    )


def test_the_template_knows_every_alert() -> None:
    """Each alert has its words, in English and in Spanish, and what it means in Spanish."""
    text = (CONFIG.parent / "wolkvox.tmpl").read_text(encoding="utf-8")

    for name in alerts():
        assert text.count(f'if eq . "{name}"') == 3, name


# What silences what ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[CONFIG, COMPOSE], ids=lambda path: path.parent.name)
def alertmanager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of one with the inhibitions of an example, and nobody to tell."""
    config = {
        "route": {"receiver": "discard"},
        "receivers": [{"name": "discard"}],
        "inhibit_rules": yaml.safe_load(request.param.read_text("utf-8"))["inhibit_rules"],
    }
    directory = tmp_path_factory.mktemp("alertmanager")
    file = directory / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    flags = (f"--config.file={file}", f"--storage.path={directory / 'data'}")
    program = "prometheus-alertmanager"
    with serving(program, directory, *flags, "--cluster.listen-address=") as address:
        yield address


def _firing(job: str, alert: str, more: Mapping[str, str]) -> dict[str, object]:
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    return {"labels": _labels(alert, **more) | {"job": job}, "endsAt": end}


OTHER_SKILL = {**PAIR, "skill_id": "4180", "skill": "Soporte"}
CHAT = {**PAIR, "type_interaction": "chat-web"}
DOWN = {"instance": "a:19655"}
ACME, GLOBEX = {"operation": "acme"}, {**SKILL, "operation": "globex"}
LEVEL, COLLAPSE = "WolkvoxServiceLevelBelowTarget", "WolkvoxServiceLevelCollapse"
STALE, NOBODY = "WolkvoxDataStale", "WolkvoxNobodyAnswers"
OPERATION = "WolkvoxOperationStale"


@pytest.mark.e2e
def test_inhibition(alertmanager: str) -> None:
    """An alert that says why another one fires silences it, and no more than that."""
    cases: tuple[tuple[str, dict[str, str], str, dict[str, str], bool], ...] = (
        (STALE, SKILL, COLLAPSE, PAIR, True),
        (STALE, SKILL, "WolkvoxTrafficVanished", CHAT, True),
        (STALE, SKILL, COLLAPSE, OTHER_SKILL, False),
        (STALE, SKILL, "WolkvoxApiFailing", ACME, False),
        (STALE, SKILL, "WolkvoxDataInconsistent", PAIR, False),
        (STALE, SKILL, "WolkvoxSkillWithoutTarget", PAIR, False),
        ("WolkvoxExporterDown", DOWN | {"outage": "total"}, COLLAPSE, PAIR, True),
        ("WolkvoxExporterDown", DOWN | {"outage": "total"}, STALE, SKILL, True),
        ("WolkvoxExporterDown", DOWN | {"outage": "partial"}, COLLAPSE, PAIR, False),
        ("WolkvoxTokenRejected", ACME, STALE, SKILL, True),
        ("WolkvoxTokenRejected", ACME, STALE, GLOBEX, False),
        ("WolkvoxQuotaExhausted", ACME, "WolkvoxQuotaLow", ACME, True),
        (COLLAPSE, PAIR, LEVEL, PAIR, True),
        (COLLAPSE, PAIR, LEVEL, CHAT, False),
        (COLLAPSE, PAIR, "WolkvoxAbandonmentHigh", PAIR, True),
        (COLLAPSE, PAIR, "WolkvoxAbandonmentHigh", CHAT, False),
        (LEVEL, PAIR, "WolkvoxServiceLevelDayBreached", PAIR, True),
        (NOBODY, PAIR, COLLAPSE, PAIR, True),
        (NOBODY, PAIR, "WolkvoxAbandonmentHigh", PAIR, True),
        (NOBODY, PAIR, COLLAPSE, CHAT, False),
        ("WolkvoxWatchdog", {}, "WolkvoxExporterDown", DOWN, False),
        ("WolkvoxExporterDown", DOWN, "WolkvoxExporterRestarting", DOWN, True),
        ("WolkvoxExporterDown", DOWN, "WolkvoxExporterRestarting", {"instance": "b"}, False),
        (OPERATION, ACME, STALE, SKILL, True),
        (OPERATION, ACME, COLLAPSE, PAIR, True),
        (OPERATION, ACME, "WolkvoxApiFailing", ACME, True),
        (OPERATION, ACME, STALE, GLOBEX, False),
        ("WolkvoxTokenRejected", ACME, OPERATION, ACME, True),
        ("WolkvoxOperationTrafficVanished", ACME, "WolkvoxTrafficVanished", PAIR, True),
        ("WolkvoxOperationTrafficVanished", ACME, "WolkvoxTrafficLost", PAIR, True),
        (STALE, SKILL, "KubeNodeNotReady", PAIR, False),
        (COLLAPSE, PAIR, "KubeNodeNotReady", PAIR | {"severity": "warning"}, False),
        ("KubeNodeNotReady", PAIR, LEVEL, PAIR, False),
    )
    alerts: list[dict[str, object]] = []
    expected: dict[tuple[str, str], bool] = {}
    for number, (source, its, target, others, silenced) in enumerate(cases):
        job = f"case-{number}"  # each is a job of its own
        alerts += [_firing(job, source, its), _firing(job, target, others)]
        expected |= {(job, source): False, (job, target): silenced}

    ask(f"http://{alertmanager}/api/v2/alerts", json.dumps(alerts).encode())

    def states() -> dict[tuple[str, str], bool]:
        found = json.loads(ask(f"http://{alertmanager}/api/v2/alerts"))
        return {
            (one["labels"]["job"], one["labels"]["alertname"]): bool(
                one["status"]["inhibitedBy"]
            )
            for one in found
            if one["status"]["state"] != "unprocessed"
        }

    wait_for(
        lambda: states() == expected,
        "the states of all cases; those that differ: ",
        evidence=lambda: f"{dict(states().items() ^ expected.items())}",
    )


# How many messages ----------------------------------------------------------------------------


@pytest.mark.e2e
def test_one_cause_is_few_messages(tmp_path: Path) -> None:
    """Sixty skills that collapse are a page and a message; so is an outage of Wolkvox."""
    skills = [
        {**PAIR, "skill_id": str(number), "skill": f"Skill {number:02}"} for number in range(60)
    ]
    three = [{"operation": name} for name in ("acme", "globex", "initech")]
    collapse = [(name, skill) for name in (COLLAPSE, LEVEL) for skill in skills]
    collapse += [("WolkvoxAbandonmentHigh", skill) for skill in skills]
    outage = [(OPERATION, one) for one in three] + [("WolkvoxApiFailing", one) for one in three]
    outage += [(STALE, {**skill, **one}) for one in three for skill in skills]
    with sinks() as sink:
        config = hastened().alertmanager_config(150, sink.url)
        others = next(one for one in config["receivers"] if one["name"] == "others")
        others["webhook_configs"] = [{"url": f"{sink.url}/others"}]
        file = tmp_path / "alertmanager.yml"
        file.write_text(json.dumps(config), encoding="utf-8")
        flags = (f"--config.file={file}", f"--storage.path={tmp_path / 'data'}")
        program = "prometheus-alertmanager"

        def told(*receivers: str) -> bool:
            return {place for place, _ in sink.got} >= set(receivers)

        with serving(program, tmp_path, *flags, "--cluster.listen-address=") as address:
            for number, (chat, what) in enumerate(
                (("acme-chat", collapse), ("platform-chat", outage)), 1
            ):
                sink.got.clear()
                sent = [_firing(f"job-{number}", name, labels) for name, labels in what]
                ask(f"http://{address}/api/v2/alerts", json.dumps(sent).encode())
                wait_for(partial(told, "pager", chat), "pager and chat")
                # Whoever came with them has been told as well, once a later one is.
                late = [_firing(f"late-{number}", "KubeNodeNotReady", ACME)]
                ask(f"http://{address}/api/v2/alerts", json.dumps(late).encode())
                wait_for(partial(told, "others"), "the later one")

                places = [place for place, _ in sink.got if place != "others"]
                assert sorted(places) == sorted(["pager", chat])
                page = dict(sink.got)["pager"]["payload"]["summary"]
                assert f"({60 if number == 1 else 3})" in page
