"""The Alertmanager examples: who is told what, what silences what, and how it reads."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from tests import needs
from tests.e2e_support import free_port, wait_for
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


@each_config
def test_amtool_accepts_it(config: Path) -> None:
    """The example and its template load."""
    run = needs.run("amtool", "check-config", config)

    assert run.returncode == 0, run.stdout + run.stderr


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


@contextlib.contextmanager
def _alertmanager(example: Path, directory: Path) -> Iterator[str]:
    """A real one with the inhibitions of an example, and nobody to tell."""
    shipped = yaml.safe_load(example.read_text(encoding="utf-8"))
    config = {
        "route": {"receiver": "discard"},
        "receivers": [{"name": "discard"}],
        "inhibit_rules": shipped["inhibit_rules"],
    }
    file = directory / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    argv = [
        needs.needs("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    log = directory / "alertmanager.log"
    with log.open("wb") as output, subprocess.Popen(argv, stdout=output, stderr=output) as own:

        def ready() -> bool:
            assert own.poll() is None, log.read_text(encoding="utf-8")
            with contextlib.suppress(OSError):
                return bool(ask(f"http://{address}/-/ready"))
            return False

        try:
            wait_for(ready, "Alertmanager")
            yield address
        finally:
            own.terminate()
            own.wait(30)


@pytest.fixture(scope="module", params=[CONFIG, COMPOSE], ids=lambda path: path.parent.name)
def alertmanager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of one for all cases: each case is a job of its own."""
    with _alertmanager(request.param, tmp_path_factory.mktemp("alertmanager")) as address:
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


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("source", "its", "target", "others", "silenced"),
    [
        ("WolkvoxDataStale", SKILL, "WolkvoxServiceLevelCollapse", PAIR, True),
        ("WolkvoxDataStale", SKILL, "WolkvoxTrafficVanished", CHAT, True),
        ("WolkvoxDataStale", SKILL, "WolkvoxServiceLevelCollapse", OTHER_SKILL, False),
        ("WolkvoxDataStale", SKILL, "WolkvoxApiFailing", {"operation": "acme"}, False),
        ("WolkvoxDataStale", SKILL, "WolkvoxDataInconsistent", PAIR, False),
        ("WolkvoxDataStale", SKILL, "WolkvoxSkillWithoutTarget", PAIR, False),
        (
            "WolkvoxExporterDown",
            DOWN | {"outage": "total"},
            "WolkvoxServiceLevelCollapse",
            PAIR,
            True,
        ),
        ("WolkvoxExporterDown", DOWN | {"outage": "total"}, "WolkvoxDataStale", SKILL, True),
        (
            "WolkvoxExporterDown",
            DOWN | {"outage": "partial"},
            "WolkvoxServiceLevelCollapse",
            PAIR,
            False,
        ),
        ("WolkvoxTokenRejected", {"operation": "acme"}, "WolkvoxDataStale", SKILL, True),
        (
            "WolkvoxTokenRejected",
            {"operation": "acme"},
            "WolkvoxDataStale",
            SKILL | {"operation": "globex"},
            False,
        ),
        (
            "WolkvoxQuotaExhausted",
            {"operation": "acme"},
            "WolkvoxQuotaLow",
            {"operation": "acme"},
            True,
        ),
        ("WolkvoxServiceLevelCollapse", PAIR, "WolkvoxServiceLevelBelowTarget", PAIR, True),
        ("WolkvoxServiceLevelCollapse", PAIR, "WolkvoxServiceLevelBelowTarget", CHAT, False),
        ("WolkvoxServiceLevelCollapse", PAIR, "WolkvoxAbandonmentHigh", PAIR, False),
        ("WolkvoxServiceLevelBelowTarget", PAIR, "WolkvoxServiceLevelDayBreached", PAIR, True),
        ("WolkvoxNobodyAnswers", PAIR, "WolkvoxServiceLevelCollapse", PAIR, True),
        ("WolkvoxNobodyAnswers", PAIR, "WolkvoxAbandonmentHigh", PAIR, True),
        ("WolkvoxNobodyAnswers", PAIR, "WolkvoxServiceLevelCollapse", CHAT, False),
        ("WolkvoxWatchdog", {}, "WolkvoxExporterDown", DOWN, False),
    ],
)
def test_inhibition(
    alertmanager: str,
    request: pytest.FixtureRequest,
    source: str,
    its: dict[str, str],
    target: str,
    others: dict[str, str],
    silenced: bool,
) -> None:
    """An alert that says why another one fires silences it, and no more than that."""
    job = request.node.name.translate({ord(one): "-" for one in "[]."})
    both = [_firing(job, source, its), _firing(job, target, others)]
    body = json.dumps(both).encode()

    ask(f"http://{alertmanager}/api/v2/alerts", body)

    def states() -> dict[str, bool]:
        query = urlencode({"filter": f'job="{job}"'})
        found = json.loads(ask(f"http://{alertmanager}/api/v2/alerts?{query}"))
        return {
            one["labels"]["alertname"]: bool(one["status"]["inhibitedBy"])
            for one in found
            if one["status"]["state"] != "unprocessed"
        }

    expected = {source: False, target: silenced}
    wait_for(lambda: states() == expected, f"{expected}; now: ", evidence=lambda: f"{states()}")
