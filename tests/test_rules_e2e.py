"""The whole chain on loopback: simulator, exporter, Prometheus, Alertmanager, and the chat.

It is the demo's own script, with the shipped files, 150 times as fast: twenty minutes of the
contact centre are eight seconds.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.alert_sinks import hastened
from tests.e2e_support import wait_for
from tests.rules_support import ROOT, RULES, ask, read_rules, shipped

SCRIPT = ROOT / "deploy/demo-stack/demo_stack.py"
SPEED = 150
COLLAPSE = "WolkvoxServiceLevelCollapse"


@dataclass(frozen=True, slots=True)
class Stack:
    """The running chain: where its parts are, and what it has sent."""

    output: Path
    messages: Path

    def url(self, part: str) -> str:
        """The base URL of a part."""
        said = self.output.read_text(encoding="utf-8")
        match = re.search(rf"^{part} +(http://[^/ ]+)", said, re.MULTILINE)
        return match[1] if match else ""

    def query(self, expr: str) -> list[dict[str, Any]]:
        """An instant query of Prometheus."""
        page = ask(f"{self.url('prometheus')}/api/v1/query?{urlencode({'query': expr})}")
        found: list[dict[str, Any]] = json.loads(page)["data"]["result"]
        return found

    def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What Alertmanager holds, by alert and skill."""
        found = json.loads(ask(f"{self.url('alertmanager')}/api/v2/alerts"))
        return {
            (one["labels"]["alertname"], one["labels"].get("skill_id", "")): one
            for one in found
        }

    def sent(self, receiver: str, *words: str) -> bool:
        """Whether a message with these words has reached a receiver."""
        if not self.messages.exists():
            return False
        # What stands behind the last line end is still being written.
        lines = self.messages.read_text(encoding="utf-8").split("\n")[:-1]
        texts = [
            json.dumps(one["message"], ensure_ascii=False)
            for one in map(json.loads, lines)
            if one["to"] == receiver
        ]
        return any(all(word in text for word in words) for text in texts)

    def switch(self, scenario: str, skill: str | None = None) -> None:
        """Make something happen to a skill of the operation acme, or to all of it."""
        order = {"scenario": scenario, "operation": "wv0013", "skill_id": skill}
        ask(f"{self.url('simulator')}/_simulator/scenario", json.dumps(order).encode())


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The script, until the end of the test."""
    made = Stack(tmp_path / "output", tmp_path / "messages")
    argv = [sys.executable, str(SCRIPT), "--free-ports", f"--speed={SPEED}"]
    argv.append(f"--messages={made.messages}")
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    with (
        made.output.open("wb") as output,
        subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, env=environ) as own,
    ):
        try:
            wait_for(lambda: made.url("simulator"), "the addresses")
            yield made
        finally:
            own.send_signal(signal.SIGINT)
            own.wait(30)
    assert own.returncode == 0, made.output.read_text(encoding="utf-8")


def test_nothing_is_left_unhastened(tmp_path: Path) -> None:
    """Every duration of the shipped rules passes faster on the demo's stage, none is lost."""
    text = RULES.read_text(encoding="utf-8")

    made = hastened().hastened_rules(text, 60.0)

    rules = "\n".join(str(rule.body) for rule in read_rules(made))
    assert not re.findall(r"\[\d+[smhdw]\]|offset \d+[smhdw]\b|for': '\d+[mhdw]'", rules)
    assert "[30000ms]" in rules
    assert "offset 10080000ms" in rules
    assert 'vector((4 * 3600) / 60), "name", "quota_horizon_seconds"' in rules
    assert 'wolkvox:query:pace_seconds <= 7.5 > 5, "pace", "450"' in rules
    assert [rule.name for rule in read_rules(made)] == [rule.name for rule in shipped()]


@pytest.mark.e2e
@pytest.mark.slow
def test_a_collapse_reaches_the_chat_and_resolves(stack: Stack) -> None:
    """Two skills collapse and are told; one then has no data, which silences it alone."""

    def known() -> bool:
        try:
            return len(stack.query('wolkvox:pair:gate{operation="acme"}')) >= 3
        except OSError:
            return False

    wait_for(known, "the rules to know the skills", 60)
    # In a minute of an hour "absent for 10m" may fire before the first scrape.
    wait_for(lambda: {name for name, _ in stack.alerts()} == {"WolkvoxWatchdog"}, "peace", 60)

    stack.switch("collapse", "4173")
    stack.switch("collapse", "4180")
    wait_for(lambda: stack.sent("pager", "acme", "Ventas", "se desplomó"), "the page", 60)
    wait_for(lambda: stack.sent("acme-chat", "Ventas", "meta 70 %", "inbound"), "the chat")
    alert = stack.alerts()[COLLAPSE, "4173"]
    wanted = {
        "job": "wolkvox",
        "skill": "Ventas",
        "threshold_seconds": "20",
        "severity": "critical",
    }
    assert wanted.items() <= alert["labels"].items()
    assert stack.sent("dead-mans-switch", "WolkvoxWatchdog")
    assert not stack.sent("globex-chat")

    warned = ("WolkvoxServiceLevelBelowTarget", "4173")
    wait_for(lambda: warned in stack.alerts(), "the warning", 60)

    stack.switch("maintenance", "4173")

    def inhibited() -> bool:
        found = stack.alerts()
        source = found.get(("WolkvoxDataStale", "4173"), {"fingerprint": ""})["fingerprint"]
        return any(
            source in one["status"]["inhibitedBy"]
            for (name, skill), one in found.items()
            if skill == "4173" and name != "WolkvoxDataStale"
        )

    wait_for(inhibited, "the stale data to silence the skill", 60)
    other = stack.alerts()[COLLAPSE, "4180"]
    assert other["status"]["state"] == "active"
    assert not other["status"]["inhibitedBy"]
    wait_for(lambda: stack.sent("pager", "sin datos actuales"), "the page about the data")

    stack.switch("healthy")
    wait_for(lambda: {name for name, _ in stack.alerts()} == {"WolkvoxWatchdog"}, "the end", 90)
    wait_for(lambda: stack.sent("acme-chat", "Resuelto", "Ventas"), "the good news")
