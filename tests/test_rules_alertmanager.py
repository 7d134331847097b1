"""The Alertmanager examples: who is told what, what silences what, and how it reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests import needs
from tests.e2e_prometheus import serving
from tests.e2e_support import wait_for
from tests.rules_support import ROOT, RULES, alerts, ask

CONFIG = ROOT / "deploy/alertmanager/alertmanager.yml"
COMPOSE = ROOT / "deploy/compose/alertmanager.yml"
each_config = pytest.mark.parametrize(
    "config", [CONFIG, COMPOSE], ids=lambda path: path.parent.name
)
SKILL = {"operation": "acme", "skill_id": "4173", "skill": "Ventas"}
PAIR = {**SKILL, "type_interaction": "inbound"}


def _labels(alert: str, **more: str) -> dict[str, str]:
    rule = alerts()[alert]
    return {"alertname": alert, "job": "wolkvox", **rule.body["labels"], **more}


def test_routes() -> None:
    """Each alert reaches those who can do something about it, and nobody else."""
    for alert, operation, receivers in (
        ("WolkvoxServiceLevelBelowTarget", "acme", "acme-chat"),
        ("WolkvoxServiceLevelBelowTarget", "globex", "globex-chat"),
        ("WolkvoxServiceLevelBelowTarget", "initech", "platform-chat"),
        ("WolkvoxServiceLevelCollapse", "acme", "pager,acme-chat"),
        ("WolkvoxNobodyAnswers", "globex", "pager,globex-chat"),
        ("WolkvoxAbandonmentHigh", "acme", "acme-chat"),
        ("WolkvoxAnswerSlow", "acme", "acme-chat"),
        ("WolkvoxTrafficVanished", "acme", "acme-chat"),
        ("WolkvoxTrafficSpike", "acme", "discard"),
        ("WolkvoxServiceLevelDayBreached", "acme", "discard"),
        ("WolkvoxSkillWithoutTarget", "acme", "discard"),
        ("WolkvoxDataStale", "acme", "pager,platform-chat"),
        ("WolkvoxQuotaLow", "acme", "platform-chat"),
        ("WolkvoxExporterDown", "", "pager,platform-chat"),
        ("WolkvoxWatchdog", "", "dead-mans-switch"),
    ):
        labels = _labels(alert, **({"operation": operation} if operation else {}))
        pairs = [f"{name}={value}" for name, value in labels.items()]
        run = needs.run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *pairs)

        assert run.stdout.strip() == receivers, run.stderr


def _amlint(config: Path) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("amlint")
    tool = str(beside) if beside.exists() else shutil.which("amlint")
    if tool is None:
        pytest.skip("amlint is not installed")
    return subprocess.run(
        [tool, "check", "--strict", f"--rules={RULES}", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )


@each_config
def test_amlint_finds_no_fault(config: Path) -> None:
    """No route is out of reach, no template unknown, no inhibition too wide."""
    run = _amlint(config)

    assert run.returncode == 0, run.stdout + run.stderr


def test_amlint_would_find_one(tmp_path: Path) -> None:
    """An inhibition that asks for nothing equal, which Alertmanager takes, does not pass."""
    config = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    del config["inhibit_rules"][0]["equal"]
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")

    assert _amlint(file).returncode == 1


@each_config
def test_inhibitions_are_bound(config: Path) -> None:
    """Each asks for the same job, and names only alerts and indicators that there are."""
    names = {*alerts(), *(str(rule.body["labels"]["sli"]) for rule in alerts().values())}
    for rule in yaml.safe_load(config.read_text(encoding="utf-8"))["inhibit_rules"]:
        asked = " ".join(rule["source_matchers"] + rule["target_matchers"])
        named = re.findall(r'(?:alertname|sli) =~? "?([\w|]+)', asked)

        assert "job" in rule["equal"]
        assert {one for some in named for one in some.split("|")} <= names


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
    leaves = [
        leaf
        for route in config["route"]["routes"]
        for leaf in route.get("routes", ())
        if leaf["receiver"] != "platform-chat"
    ]

    assert leaves
    assert all(set(leaf["active_time_intervals"]) <= known for leaf in leaves)
    assert all(
        "location" in one for t in config["time_intervals"] for one in t["time_intervals"]
    )


def test_the_template_knows_every_alert() -> None:
    """Each alert has its words, in English and in Spanish."""
    text = (CONFIG.parent / "wolkvox.tmpl").read_text(encoding="utf-8")

    for name in alerts():
        assert text.count(f'if eq . "{name}"') == 2, name


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
    now = time.time()
    begin, end = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 60, now + 600)
    )
    return {"labels": _labels(alert, **more) | {"job": job}, "startsAt": begin, "endsAt": end}


OTHER_SKILL = {**PAIR, "skill_id": "4180", "skill": "Soporte"}
CHAT = {**PAIR, "type_interaction": "chat-web"}
DOWN = {"instance": "a:19655"}
ACME, GLOBEX = {"operation": "acme"}, {**SKILL, "operation": "globex"}
LEVEL, COLLAPSE = "WolkvoxServiceLevelBelowTarget", "WolkvoxServiceLevelCollapse"
STALE, NOBODY = "WolkvoxDataStale", "WolkvoxNobodyAnswers"


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
        (COLLAPSE, PAIR, "WolkvoxAbandonmentHigh", PAIR, False),
        (LEVEL, PAIR, "WolkvoxServiceLevelDayBreached", PAIR, True),
        (NOBODY, PAIR, COLLAPSE, PAIR, True),
        (NOBODY, PAIR, "WolkvoxAbandonmentHigh", PAIR, True),
        (NOBODY, PAIR, COLLAPSE, CHAT, False),
        ("WolkvoxWatchdog", {}, "WolkvoxExporterDown", DOWN, False),
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
