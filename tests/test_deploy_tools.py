"""What is shipped for deployment, as the tools of its users see it.

The tools are large and are no part of the development environment: `make deploy-check` brings
them. Where one is missing its tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "wolkvox-exporter"
COMPOSE = ROOT / "deploy" / "compose"
KUBERNETES = ROOT / "deploy" / "kubernetes"
GITHUB = ROOT / ".github"
TABLE = sorted((CHART / "ci").glob("*-values.yaml"))
ONE: dict[str, Any] = {
    "config": {"operations": [{"name": "acme", "server": "0013", "skills": [{"id": 1}]}]},
    "existingSecret": "tokens",
}


def run(tool: str, *arguments: str | Path, fine: int = 0) -> str:
    """Run a tool that stands beside this Python or on PATH; its output."""
    beside = Path(sys.executable).parent / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed: make deploy-check")
    ended = subprocess.run(
        [found, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=ROOT
    )
    assert ended.returncode == fine, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def render(values: dict[str, Any]) -> list[Any]:
    """The objects that the chart makes of these values."""
    helm = pytest.importorskip("helm_python", reason="make deploy-check")
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        made = chart.render(values, name="demo", namespace="monitoring")
    found: list[Any] = []
    for path, text in made.items():
        if path.endswith(".yaml"):
            found += [one for one in yaml.safe_load_all(text) if one]
    return found


def values_of(path: Path) -> dict[str, Any]:
    """The values of a file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def of_kind(objects: list[Any], kind: str) -> list[Any]:
    """The objects of one kind."""
    return [one for one in objects if one["kind"] == kind]


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile has no known weakness."""
    assert run("hadolint", "Dockerfile") == ""


def test_zizmor_has_nothing_to_say() -> None:
    """Workflows and Dependabot have no known weakness."""
    run("zizmor", "--offline", "--quiet", GITHUB)


def test_files_fulfil_their_published_schema() -> None:
    """check-jsonschema knows the schemas of compose files and of what GitHub reads."""
    for schema, path in (
        ("vendor.compose-spec", "deploy/compose/compose.yml"),
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[ab]*.yml"),
    ):
        for found in sorted(ROOT.glob(path)):
            run("check-jsonschema", "--builtin-schema", schema, found)


def test_compose_reads_both_projects(tmp_path: Path) -> None:
    """The second file takes out the simulator and what belongs to it."""
    for name in ("compose.yml", "compose.token.yml"):
        shutil.copy(COMPOSE / name, tmp_path)
    files = ["--file", str(tmp_path / "compose.yml")]
    run("docker-compose", *files, "config", "--quiet")
    files += ["--file", str(tmp_path / "compose.token.yml")]
    made = json.loads(run("docker-compose", *files, "config", "--format", "json"))
    assert set(made["services"]) == {"exporter", "prometheus", "alertmanager", "grafana"}
    exporter = made["services"]["exporter"]
    assert [secret["source"] for secret in exporter["secrets"]] == ["acme"]
    assert [port["published"] for port in exporter["ports"]] == ["19655"]
    assert not any("demo" in volume["source"] for volume in exporter["volumes"])


def test_compose_lets_grafana_alert_alone() -> None:
    """No Alertmanager and no rules beside it: else all would be told twice."""
    files = [
        f"--file={COMPOSE / name}" for name in ("compose.yml", "compose.grafana-alerts.yml")
    ]
    made = json.loads(run("docker-compose", *files, "config", "--format", "json"))["services"]
    assert "alertmanager" not in made
    assert not any("rules" in one["target"] for one in made["prometheus"]["volumes"])
    mounted = {one["target"]: Path(one["source"]) for one in made["grafana"]["volumes"][:-1]}
    folder = made["grafana"]["volumes"][-1]
    assert Path(folder["source"]) == ROOT / "deploy" / "grafana" / "alerting"
    # A mount into a read-only one needs a directory that is there.
    inside = Path(folder["target"]).relative_to("/etc/grafana/provisioning")
    assert (mounted["/etc/grafana/provisioning"] / inside).is_dir()


def test_manifests_are_what_the_chart_renders() -> None:
    """deploy/kubernetes is not behind the chart: else `make manifests`."""
    pytest.importorskip("helm_python", reason="make deploy-check")
    script = ROOT / "scripts" / "dist-manifests.py"
    ended = subprocess.run([sys.executable, script, "--check"], check=False, timeout=60)
    assert ended.returncode == 0


def test_manifests_fulfil_the_schemas_of_kubernetes() -> None:
    """Strictly: unknown keys count as errors, in the oldest and a recent version."""
    for version in ("1.27", "1.34"):
        run(
            "kubernetes-validate",
            "--strict",
            "-k",
            version,
            KUBERNETES / "wolkvox-exporter.yaml",
        )


@pytest.mark.parametrize("path", TABLE, ids=lambda path: path.stem)
def test_the_chart_renders(path: Path, tmp_path: Path) -> None:
    """Each set of values lints strictly and becomes objects that Kubernetes knows."""
    helm = pytest.importorskip("helm_python", reason="make deploy-check")
    objects = render(values_of(path))
    found = helm.lint(str(CHART), values_of(path), strict=True)
    assert not found["errors"]
    assert [m for m in found["messages"] if m["severity"] > 1] == []
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert len(of_kind(objects, "StatefulSet")) == 1
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    run("kubernetes-validate", "--strict", "-k", "1.34", file)


def test_openshift_gives_the_pod_its_user() -> None:
    """No user is named, DNS may be asked on 5353, a page for people has its way in."""
    objects = render(values_of(CHART / "ci" / "openshift-values.yaml"))
    (workload,) = of_kind(objects, "StatefulSet")
    pod = workload["spec"]["template"]["spec"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    (policy,) = of_kind(objects, "NetworkPolicy")
    assert {one["port"] for one in policy["spec"]["egress"][0]["ports"]} == {53, 5353}
    (ingress,) = of_kind(objects, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (service,) = of_kind(objects, "Service")
    assert service["spec"]["type"] == "ClusterIP"
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": service["metadata"]["name"], "port": {"name": "http"}}


def test_the_kubelet_can_ask_whatever_is_served() -> None:
    """By pages, by the command where users or TLS stand before them, or as it is told."""
    web = {"basic_auth_users": {"a": "b"}}
    for config, probes, expected in (
        ({}, {}, "httpGet"),
        (web, {}, "exec"),
        ({}, {"type": "exec"}, "exec"),
        (web, {"type": "http", "scheme": "HTTPS"}, "httpGet"),
    ):
        values = {"webConfig": config, "probes": probes}
        (workload,) = of_kind(render({**ONE, **values}), "StatefulSet")
        container = workload["spec"]["template"]["spec"]["containers"][0]
        assert expected in container["livenessProbe"], values
        assert expected in container["startupProbe"], values
        assert ("readinessProbe" in container) == (expected == "httpGet"), values
        scheme = container["livenessProbe"].get("httpGet", {}).get("scheme", "")
        wanted = probes.get("scheme", "HTTP")
        assert scheme == (wanted if expected == "httpGet" else ""), values


def test_the_chart_brings_rules_and_dashboards_whole() -> None:
    """What Prometheus and Grafana get is what lies in the repository, templates' braces too."""
    shown = {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
    objects = render({**ONE, **shown})
    rules = {
        one["metadata"]["name"].removeprefix("demo-wolkvox-exporter-"): one["spec"]["groups"]
        for one in of_kind(objects, "PrometheusRule")
    }
    files = {
        path.name.removesuffix(".rules.yml"): yaml.safe_load(path.read_text("utf-8"))["groups"]
        for path in (ROOT / "deploy" / "prometheus").glob("*.rules.yml")
    }
    assert rules == files
    boards = [
        json.loads(text)
        for one in of_kind(objects, "ConfigMap")
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
        for text in one["data"].values()
    ]
    shipped = [
        json.loads(path.read_text("utf-8"))
        for path in (ROOT / "grafana-dashboards").glob("*.json")
    ]
    assert sorted(boards, key=str) == sorted(shipped, key=str)
    assert all(len(json.dumps(board)) < 900_000 for board in boards)


def test_the_chart_puts_the_addresses_into_the_links() -> None:
    """With them no link is left to Prometheus's external labels."""
    urls = {"grafana_url": "https://g.test/", "runbook_url": "https://r.test/wolkvox"}
    objects = render({**ONE, "prometheusRule": {"enabled": True, **urls}})
    text = json.dumps(of_kind(objects, "PrometheusRule"))
    assert '"https://r.test/wolkvox/README.md#wolkvoxdatastale"' in text
    assert '"https://g.test/d/wolkvox-exporter"' in text
    assert "$externalLabels" not in text


def test_every_shard_has_its_number_and_its_volume() -> None:
    """As many replicas as shards, and each takes its number from its name."""
    (found,) = of_kind(render({**ONE, "shards": 3}), "StatefulSet")
    assert found["spec"]["replicas"] == 3
    environment = found["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "WOLKVOX_EXPORTER_SHARD_TOTAL", "value": "3"} in environment
    assert found["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "state"


def test_a_changed_configuration_restarts_the_pod() -> None:
    """The pod carries a hash of it; a token in a Secret changes nothing."""
    found = []
    for interval in ("5m", "10m"):
        config = {**ONE["config"], "defaults": {"interval": interval}}
        (one,) = of_kind(render({**ONE, "config": config}), "StatefulSet")
        found.append(one["spec"]["template"]["metadata"]["annotations"]["checksum/config"])
    assert found[0] != found[1]


def test_tokens_stay_out_of_the_configuration() -> None:
    """Tokens of the chart are in a Secret alone, and operations find them by a path."""
    values = {**ONE, "existingSecret": "", "tokens": {"acme": "7bcanary"}}
    objects = render(values)
    holding = [one["kind"] for one in objects if "7bcanary" in json.dumps(one)]
    assert holding == ["Secret"]
    (config,) = of_kind(objects, "ConfigMap")
    operations = yaml.safe_load(config["data"]["wolkvox.yml"])["operations"]
    assert operations[0]["token_file"] == "/run/secrets/wolkvox/acme"


def test_what_cannot_work_is_refused() -> None:
    """A missing secret shows before anything is applied."""
    for values, reason in (
        ({}, "config.operations is empty"),
        ({**ONE, "existingSecret": ""}, "the token of acme is missing"),
        ({**ONE, "tokens": {"acme": "7b"}}, "both set"),
    ):
        pytest.importorskip("helm_python", reason="make deploy-check")
        with pytest.raises(Exception, match=reason):
            render(values)


def test_the_schema_refuses() -> None:
    """Unknown keys, tokens in plain text and second ways to set what the chart sets."""
    for values in (
        {**ONE, "replicas": 2},
        {**ONE, "shards": 0},
        {**ONE, "extraArgs": ["--shard.total=2"]},
        {**ONE, "extraArgs": ["--storage.path=/tmp"]},
        {**ONE, "config": {"operations": [{"name": "a", "server": 13}]}},
        {**ONE, "config": {"operations": [{"name": "a", "server": "0013", "token": "7b"}]}},
        {**ONE, "image": {"digest": "sha256:1"}},
        {**ONE, "service": {"type": "ExternalName"}},
        {**ONE, "probes": {"type": "tcp"}},
        {**ONE, "ingress": {"enabled": True, "hosts": [{"path": "/"}]}},
    ):
        pytest.importorskip("helm_python", reason="make deploy-check")
        with pytest.raises(Exception, match="- at '"):
            render(values)
