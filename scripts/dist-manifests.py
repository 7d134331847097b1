"""Renders the chart as plain manifests into deploy/kubernetes, for clusters without Helm.

Needs helm-python-sdk (Helm's own library, no binary). With --check it only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "wolkvox-exporter"
TARGET = ROOT / "deploy" / "kubernetes"
HEAD = """\
# Rendered from deploy/helm/wolkvox-exporter: do not edit, but for the configuration in the
# ConfigMap, the image and the size of the volume. What it needs first: README.md beside it.
"""
# In the order in which they are created; the operator's own kinds stand in a file of their own.
ORDER = (
    "serviceaccount",
    "config",
    "networkpolicy",
    "poddisruptionbudget",
    "service",
    "statefulset",
)


def rendered() -> dict[str, str]:
    """Return the text of each file of deploy/kubernetes that comes from the chart."""
    values = yaml.safe_load((TARGET / "values.yaml").read_text(encoding="utf-8"))
    with helm_python.Chart.load(str(CHART)) as chart:
        made = chart.render(values, name="wolkvox-exporter", namespace="monitoring")
    texts = {Path(path).stem: _plain(text) for path, text in made.items()}
    plain = "---\n".join(texts[name] for name in ORDER)
    return {
        "wolkvox-exporter.yaml": HEAD + "---\n" + plain,
        "servicemonitor.yaml": HEAD + "---\n" + texts["servicemonitor"],
    }


def _plain(text: str) -> str:
    """Leave out what only Helm needs, and blank lines of templates."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    kept = [line for line in lines if line and "helm.sh/chart" not in line]
    kept = [line for line in kept if "app.kubernetes.io/managed-by" not in line]
    return "\n".join(kept) + "\n"


def main() -> int:
    """Write the files, or say which of them are out of date."""
    found = rendered()
    old = [name for name, text in found.items() if _committed(name) != text]
    if "--check" in sys.argv[1:]:
        for name in old:
            print(f"deploy/kubernetes/{name} is not what the chart renders: make manifests")
        return 1 if old else 0
    for name, text in found.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    return 0


def _committed(name: str) -> str:
    path = TARGET / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
