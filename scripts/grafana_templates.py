"""Writes Alertmanager's message templates as a provisioning file for Grafana.

    python -m scripts.grafana_templates

Both have the same grammar and the same data; all of them in one template, since they use each
other.
"""

from __future__ import annotations

from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
TARGET = DEPLOY / "grafana/alerting/templates.yml"
HEAD = """\
# Generated from ../../alertmanager/*.tmpl: make docs. The messages of the contact points.
apiVersion: 1
templates:
  - orgId: 1
    name: wolkvox
    template: |
"""


def provisioning() -> str:
    """Return the text of the file."""
    sources = sorted((DEPLOY / "alertmanager").glob("*.tmpl"))
    lines = "\n".join(path.read_text(encoding="utf-8") for path in sources).splitlines()
    return HEAD + "".join(f"      {line}".rstrip() + "\n" for line in lines)


if __name__ == "__main__":
    TARGET.write_text(provisioning(), encoding="utf-8")
