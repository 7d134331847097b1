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
---
"""
# In the order in which they are created; the operator's own kinds stand in a file of their own.
ORDER = (
    *("serviceaccount", "config", "networkpolicy", "poddisruptionbudget"),
    *("service", "statefulset"),
)
ONLY_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def rendered() -> dict[str, str]:
    """Return the text of each file of deploy/kubernetes that comes from the chart."""
    values = yaml.safe_load((TARGET / "values.yaml").read_text(encoding="utf-8"))
    with helm_python.Chart.load(str(CHART)) as chart:
        made = chart.render(values, name="wolkvox-exporter", namespace="monitoring")
    texts = {Path(path).stem: _plain(text) for path, text in made.items()}
    return {
        "wolkvox-exporter.yaml": HEAD + "---\n".join(texts[name] for name in ORDER),
        "servicemonitor.yaml": HEAD + texts["servicemonitor"],
    }


def _plain(text: str) -> str:
    """Leave out what only Helm needs, and blank lines of templates."""
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    return "".join(f"{line}\n" for line in lines if not any(one in line for one in ONLY_HELM))


def main() -> int:
    """Write the files, or say which of them are out of date."""
    stale = 0
    for path, text in ((TARGET / name, text) for name, text in rendered().items()):
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path.relative_to(ROOT)} is not what the chart renders: make manifests")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
