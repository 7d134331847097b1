"""What is shipped for deployment: that its files agree with the exporter and with each other.

The real builds and runs are tests/image/*.sh; what needs more tools is test_deploy_tools.py.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from click.testing import CliRunner

from exporter import __version__
from exporter.cli import command
from exporter.simulator.centre import demo_operations
from tests import needs

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "wolkvox-exporter"
COMPOSE = DEPLOY / "compose"
UNIT = DEPLOY / "systemd" / "wolkvox-exporter.service"
MANIFESTS = DEPLOY / "kubernetes" / "wolkvox-exporter.yaml"
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> Any:
    """The one document of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def run(program: str, *arguments: str | Path) -> str:
    """Run a tool that must be content; its output."""
    ended = needs.run(program, *arguments, timeout=60, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def check_configuration(text: str, directory: Path) -> str:
    """Run --config.check on a configuration whose token files are put into a directory."""
    for number, name in enumerate(re.findall(r"token_file: (\S+)", text)):
        token = directory / f"token{number}"
        token.touch(mode=0o600)
        token.write_text(f"7b{number:012}", encoding="utf-8")
        text = text.replace(name, str(token))
    file = directory / "wolkvox.yml"
    file.write_text(text, encoding="utf-8")
    ended = CliRunner().invoke(command, ["--config.file", str(file), "--config.check"])
    assert ended.exit_code == 0, ended.output
    return ended.output


# The image ------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not text.startswith("# syntax"), "a frontend image would be pulled"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in found]


def last_stage() -> dict[str, str]:
    """The instructions of the last stage; of several with one name the last."""
    found = instructions()
    start = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[start:])


def test_the_image_runs_as_a_number_and_is_asked_how_it_is() -> None:
    """A numeric user, exec forms throughout, a signal to stop it, a volume for the state."""
    stage = last_stage()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"])
    assert json.loads(stage["ENTRYPOINT"]) == ["wolkvox-exporter"]
    assert json.loads(stage["HEALTHCHECK"].partition("CMD ")[2]) == [
        "wolkvox-exporter",
        "healthcheck",
    ]
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert stage["EXPOSE"] == "19655"
    assert f"WOLKVOX_EXPORTER_STORAGE_PATH={stage['VOLUME']}" in stage["ENV"]
    assert stage["COPY"].startswith("--from=build ")


def test_the_build_takes_what_is_locked() -> None:
    """Base and uv come from arguments with versions, packages from locks with hashes."""
    found = instructions()
    arguments = dict(rest.split("=") for name, rest in found if name == "ARG")
    assert re.fullmatch(r"3\.\d+", arguments["PYTHON"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", arguments["UV"])
    for name, rest in found:
        if name == "FROM" and not rest.startswith("build"):
            assert "${PYTHON}" in rest or "${UV}" in rest
    assert any(name == "ENV" and "UV_REQUIRE_HASHES=1" in rest for name, rest in found)


def test_the_build_sees_only_what_it_needs() -> None:
    """Everything is ignored but what the Dockerfile copies or mounts."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    named = set()
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            named |= {word.removeprefix("./") for word in rest.split()[:-1]}
        named |= set(re.findall(r"type=bind,source=([^,]+)", rest))
    assert named == allowed
    assert all((ROOT / name).exists() for name in named)


def test_the_locks_of_releases_are_hashes_without_hosts() -> None:
    """Each package has one version and its hashes, and no address is in it."""
    for name in ("audit", "build", "check", "tools"):
        text = (ROOT / "scripts" / f"dist-{name}.lock").read_text(encoding="utf-8")
        entries = re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE | re.IGNORECASE)
        assert entries, name
        assert len({entry[0] for entry in entries}) == len(entries), name
        assert text.count("--hash=sha256:") >= len(entries), name
        assert "://" not in text, name


# Compose --------------------------------------------------------------------------------


def services() -> dict[str, Any]:
    """The services of the compose project."""
    found: dict[str, Any] = read(COMPOSE / "compose.yml")["services"]
    return found


def test_compose_opens_nothing_to_the_world() -> None:
    """Every port is on loopback, every service has lost its capabilities, every image a tag."""
    assert set(services()) == {"exporter", "simulator", "prometheus", "alertmanager", "grafana"}
    for name, service in services().items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.search(r":-[^}]+:[\w.]+}$", service["image"]), name
        assert not service["image"].endswith("latest}"), name


def test_compose_mounts_what_is_there() -> None:
    """Mounted files and secrets exist, and the simulator is on the exporter's loopback."""
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
    for secret in read(COMPOSE / "compose.yml")["secrets"].values():
        file = re.sub(r"\$\{\w+:-(.+)}", r"\1", secret["file"])
        assert (COMPOSE / file).is_file()
    assert services()["simulator"]["network_mode"] == "service:exporter"


def test_compose_has_the_simulators_tokens() -> None:
    """The demonstration's tokens are those of the simulator: nothing else opens with them."""
    zone = ZoneInfo("UTC")
    tokens = {operation.token for operation in demo_operations(zone, zone)}
    files = COMPOSE.glob("demo/*.token")
    assert {file.read_text(encoding="utf-8").strip() for file in files} == tokens


# Configurations -------------------------------------------------------------------------


def example_configurations() -> Iterator[tuple[str, str]]:
    """Every configuration of the exporter below deploy/."""
    for name in (
        "compose/demo/wolkvox.yml",
        "compose/token/wolkvox.example.yml",
        "systemd/wolkvox.yml",
    ):
        yield name, (DEPLOY / name).read_text(encoding="utf-8")
    for found in manifests():
        if found["kind"] == "ConfigMap":
            yield "kubernetes", found["data"]["wolkvox.yml"]


def manifests() -> list[Any]:
    """The objects of the plain manifests."""
    return list(yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")))


def test_example_configurations_are_right(tmp_path: Path) -> None:
    """Each passes --config.check without a warning."""
    checked = []
    for name, text in example_configurations():
        assert "warning" not in check_configuration(text, tmp_path), name
        checked.append(name)
    assert len(checked) == 4


def test_prometheus_takes_its_configurations() -> None:
    """`promtool check config` is content, and the job has the name that rules expect."""
    for path in sorted(DEPLOY.glob("*/prometheus*.yml")):
        assert "wolkvox" in {job["job_name"] for job in read(path)["scrape_configs"]}, path
        run("promtool", "check", "config", "--lint=all", "--syntax-only", path)
    # Whole, with the files that it names: the rules lie beside it.
    whole = run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert "wolkvox.rules.yml" in whole


def test_links_lead_where_the_user_says() -> None:
    """Their addresses are external labels, which no alert carries on; no file makes one up."""
    for path in sorted(DEPLOY.glob("*/prometheus*.yml")):
        config = read(path)
        assert set(config["global"]["external_labels"]) == {"grafana_url", "runbook_url"}
        (relabel,) = config["alerting"]["alert_relabel_configs"]
        assert relabel == {"action": "labeldrop", "regex": "grafana_url|runbook_url"}, path
    environment = services()["prometheus"]["environment"]
    labels = read(COMPOSE / "prometheus.yml")["global"]["external_labels"]
    assert {f"${{{name}}}" for name in environment} == set(labels.values())
    for path in sorted(DEPLOY.rglob("*.*")):
        if path.is_file() and path.parent != CHART / "ci" and path.suffix != ".pyc":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"example\.(com|org|net)", text), path


def test_prometheus_takes_the_rules() -> None:
    """`promtool check rules` finds nothing to lint."""
    for path in sorted(DEPLOY.rglob("*.rules.yml")):
        run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)


def test_the_alerts_on_shards_say_what_they_should() -> None:
    """Twice, missing, disagreeing; silence for a roll-out and for exporters by themselves."""
    run("promtool", "test", "rules", ROOT / "tests/data/deploy/wolkvox-shards.test.yml")


def test_each_alert_on_shards_has_its_page() -> None:
    """The runbook has a heading for each alert, which its address names, in both languages."""
    folder = ROOT / "docs" / "runbooks"
    for group in read(DEPLOY / "prometheus" / "wolkvox-shards.rules.yml")["groups"]:
        for rule in (one for one in group["rules"] if "alert" in one):
            for page in ("shards.md", "shards.es.md"):
                text = (folder / page).read_text(encoding="utf-8")
                assert f"\n## {rule['alert']}\n" in text, page
            address = rule["annotations"]["runbook_url"]
            assert address.endswith(f"/shards.md#{rule['alert'].lower()}")


def test_alertmanager_takes_its_configurations() -> None:
    """`amtool check-config` is content with each."""
    for path in sorted(DEPLOY.rglob("alertmanager*.yml")):
        run("amtool", "check-config", path)


# systemd --------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    text = text.replace("/opt/wolkvox-exporter/bin/wolkvox-exporter", sys.executable)
    path = tmp_path / UNIT.name
    path.write_text(text, encoding="utf-8")
    shutil.copy(UNIT.with_suffix(".socket"), tmp_path)
    return path


def test_systemd_knows_every_key(unit: Path) -> None:
    """`systemd-analyze verify` has nothing to say of service and socket, nor of their keys."""
    both = (unit, unit.with_suffix(".socket"))
    assert run("systemd-analyze", "verify", "--recursive-errors=yes", *both) == ""


def test_the_service_has_the_user_that_is_made_for_it() -> None:
    """The unit names the user of the sysusers file, and docs/install.md installs every file."""
    (user,) = re.findall(r"^User=(.+)$", UNIT.read_text("utf-8"), re.MULTILINE)
    made = UNIT.with_suffix(".sysusers").read_text("utf-8")
    assert re.search(rf"^u {user} ", made, re.MULTILINE)
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    for file in sorted(UNIT.parent.iterdir()):
        assert f" deploy/systemd/{file.name} " in page, file.name
    assert f"-m 640 -g {user} /dev/stdin" in page


def test_systemd_calls_the_unit_safe(unit: Path) -> None:
    """Its exposure is 2.0 or less of 10, where Debian's own exporters have 9.2."""
    run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def test_each_way_to_install_has_its_line_for_the_tools() -> None:
    """Container, service, set and paths of docs/tools.md are those of docs/install.md."""
    tools, install = (
        (ROOT / "docs" / name).read_text("utf-8") for name in ("tools.md", "install.md")
    )
    lines = dict(re.findall(r"^\| ([A-Za-z]+)[^|]* \| `(.+) probe` \|$", tools, re.MULTILINE))
    assert set(lines) == {"systemd", "Docker", "Compose", "Kubernetes"}
    (name,) = re.findall(r"docker run .*--name (\S+)", install)
    assert lines["Docker"] == f"docker exec {name} wolkvox-exporter"
    assert lines["Compose"].split()[3] in services()
    (workload,) = (one for one in manifests() if one["kind"] == "StatefulSet")
    named = workload["metadata"]
    place = f"-n {named['namespace']} exec statefulset/{named['name']}"
    assert lines["Kubernetes"] == f"kubectl {place} -- wolkvox-exporter"
    unit = UNIT.read_text("utf-8")
    (flags,) = re.findall(r"^ExecStart=\S+ (\S+)", unit, re.MULTILINE)
    assert flags.replace("=", " ") in lines["systemd"]


# Kubernetes -----------------------------------------------------------------------------


def test_no_two_pods_ever_share_a_token() -> None:
    """A StatefulSet with as many replicas as shards; nothing that starts a pod beforehand."""
    found = {one["kind"]: one for one in manifests()}
    assert "Deployment" not in found
    spec = found["StatefulSet"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    environment = {one["name"]: one for one in container["env"]}
    assert environment["WOLKVOX_EXPORTER_SHARD_TOTAL"]["value"] == str(spec["replicas"])
    pod_name = {"fieldRef": {"fieldPath": "metadata.name"}}
    assert environment["WOLKVOX_EXPORTER_SHARD_INDEX"]["valueFrom"] == pod_name
    claim = spec["volumeClaimTemplates"][0]["spec"]
    assert claim["accessModes"] == ["ReadWriteOncePod"]


def test_pods_fulfil_the_restricted_standard() -> None:
    """What the Pod Security Standard `restricted` asks for, and a read-only root."""
    found = {one["kind"]: one for one in manifests()}
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == last_stage()["USER"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        paths = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert last_stage()["VOLUME"] in paths


def test_the_chart_links_to_the_one_copy_of_rules_and_dashboards() -> None:
    """No second copy that could fall behind: Helm packs what the links name."""
    for name, target in (
        ("prometheus", "deploy/prometheus"),
        ("dashboards", "grafana-dashboards"),
    ):
        assert (CHART / "files" / name).resolve() == (ROOT / target).resolve()
        assert any((CHART / "files" / name).iterdir())


def test_every_value_of_the_chart_is_in_its_schema() -> None:
    """values.yaml and values.schema.json have the same keys, two levels deep."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = read(CHART / "values.yaml")
    assert set(values) | {"global"} == set(schema["properties"])
    for key, value in values.items():
        inner = schema["properties"][key].get("properties")
        if isinstance(value, dict) and inner:
            assert set(value) <= set(inner), key


def test_versions_agree() -> None:
    """Chart, manifests and package are released together."""
    chart = read(CHART / "Chart.yaml")
    assert chart["version"] == chart["appVersion"] == __version__
    assert f"wolkvox-exporter:{__version__}" in MANIFESTS.read_text(encoding="utf-8")


# Workflows ------------------------------------------------------------------------------


def test_workflows_are_pinned_and_may_little() -> None:
    """Each action is a commit with its version beside it; no permission but a job's own."""
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        uses = re.findall(r"uses: (.*)", text)
        assert uses, path
        for action in uses:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
        document = read(path)
        assert document["permissions"] == {}, path
        assert "pull_request_target" not in text, path
        for name, job in document["jobs"].items():
            assert job["permissions"], name
            assert job["timeout-minutes"] <= 45, name
        # What comes from outside (titles, branches) is never pasted into a shell.
        for job in document["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), path


def test_changes_are_looked_at_from_outside() -> None:
    """The code, what a change brings along, the image and our habits; actions stay new."""
    document = read(ROOT / ".github" / "workflows" / "security.yml")
    assert {"pull_request", "schedule"} <= set(document[True])  # YAML 1.1 reads `on` as yes
    used = [
        step["uses"].partition("@")[0]
        for job in document["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    wanted = {
        "github/codeql-action/analyze",
        "actions/dependency-review-action",
        "anchore/scan-action",
        "ossf/scorecard-action",
    }
    assert wanted <= set(used)
    updated = read(ROOT / ".github" / "dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updated} == {"github-actions", "docker"}


def test_issues_ask_for_answers_without_secrets() -> None:
    """Each form warns of tokens; that of an odd answer asks for what `probe --record` keeps."""
    forms = {path.stem: path.read_text("utf-8") for path in sorted(FORMS.glob("*.yml"))}
    assert set(forms) == {"answer", "bug", "config"}
    assert "probe --record" in forms["answer"]
    for name in ("answer", "bug"):
        form = yaml.safe_load(forms[name])
        assert {"name", "description", "body"} <= set(form), name
        assert "token" in form["body"][0]["attributes"]["value"].lower(), name


def test_the_matrix_is_that_of_the_package() -> None:
    """CI tests every version of Python that the package names, and the one to come."""
    jobs = read(WORKFLOWS[0])["jobs"]
    first = jobs["all"]["steps"][1]["with"]["python-version"]
    *others, coming = jobs["core"]["strategy"]["matrix"]["python"]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    assert [first, *others] == named
    assert coming not in named
    assert f"== '{coming}'" in jobs["core"]["continue-on-error"]
