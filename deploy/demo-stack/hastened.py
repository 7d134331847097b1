"""The shipped files of Prometheus and Alertmanager, with all their times shortened.

Pure but for reading the files; starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def shorter(duration: str, speed: float) -> str:
    """A Prometheus duration, so many times shorter; whole milliseconds, one at least."""
    parts = re.findall(r"(\d+)([smhdw])", duration)
    seconds = sum(int(number) * SECONDS[unit] for number, unit in parts)
    return f"{max(1, round(1000 * seconds / speed))}ms"


def hastened_rules(text: str, speed: float) -> str:
    """The rules with every window, `for`, offset and fixed number of seconds shortened."""

    def short(found: re.Match[str]) -> str:
        return found[1] + shorter(found[2], speed)

    duration = r"((?:\d+[smhdw])+)"
    text = re.sub(rf"(\[){duration}(?=\])", short, text)
    text = re.sub(rf"(offset |for: |keep_firing_for: |interval: ){duration}\b", short, text)
    # Numbers of seconds: those that are said to be some, what a pace is compared with, an hour.
    text = re.sub(
        r'vector\((.*)\)(, "name", "\w+_seconds")',
        lambda found: f"vector(({found[1]}) / {speed:g}){found[2]}",
        text,
    )
    text = "".join(
        re.sub(r"(?<=[=>,] )\d+(?![\w.])", lambda m: f"{int(m[0]) / speed:g}", line)
        if "pace_seconds" in line
        else line
        for line in text.splitlines(keepends=True)
    )
    return text.replace("(3600 / ", f"({3600 / speed:g} / ")


def prometheus_config(speed: float, exporter: str, alertmanager: str) -> dict[str, Any]:
    """The shipped configuration of Prometheus with other addresses, and shorter intervals."""
    config = _read(DEPLOY / "prometheus/prometheus.yml")
    for key in ("scrape_interval", "evaluation_interval"):
        config["global"][key] = shorter(config["global"][key], speed)
    config["global"]["scrape_timeout"] = config["global"]["scrape_interval"]
    config["rule_files"] = ["wolkvox.rules.yml"]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [exporter]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    return config


def alertmanager_config(speed: float, sink: str) -> dict[str, Any]:
    """The shipped configuration of Alertmanager, always on duty, all messages to a sink.

    A receiver by e-mail becomes a webhook: what is staged is who is told, and when.
    """
    config = _read(DEPLOY / "alertmanager/alertmanager.yml")
    config["global"]["resolve_timeout"] = shorter(config["global"]["resolve_timeout"], speed)
    config["templates"] = [str(DEPLOY / "alertmanager" / name) for name in config["templates"]]
    for route in _routes(config["route"]):
        route.pop("active_time_intervals", None)
        for key in ("group_wait", "group_interval", "repeat_interval"):
            if key in route and route[key] != "0s":
                route[key] = shorter(route[key], speed)
    for receiver in config["receivers"]:
        url = f"{sink}/{receiver['name']}"
        for one in receiver.get("slack_configs", ()):
            one.pop("api_url_file")
            one["api_url"] = url
        for one in receiver.get("pagerduty_configs", ()):
            one.pop("routing_key_file")
            one |= {"routing_key": "demo", "url": url}
        if receiver.pop("email_configs", None):
            receiver["webhook_configs"] = [{}]
        for one in receiver.get("webhook_configs", ()):
            one["url"] = url
    return config


def _routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for child in route.get("routes", ()):
        yield from _routes(child)


def _read(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config
