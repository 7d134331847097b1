"""What the shipped rules cost at 200 skills x 6 channels, in a real Prometheus.

Time passes twelve times as fast, so that windows of two hours are full of samples after ten
minutes; each day of the week before is a minute more ago, so that the month's rules find them.
Printed are recorded series beside scraped ones, the time of each group, and what the rules of a
minute take of the processor: what all else takes is known from a minute without.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import urlencode

from tests.e2e_prometheus import serving
from tests.rules_support import ROOT, RULES, ask, shipped

SPEED, SKILLS = 12.0, 200
CHANNELS = ("inbound", "out_pre", "chat-web", "chat-whatsapp", "chat-line", "omni-email")
PER_SECOND = 0.3 / 60
COUNTERS = {
    "offered_interactions_total": 1.0, 'answer_wait_seconds_bucket|le="10.0"': 0.7,
    'answer_wait_seconds_bucket|le="20.0"': 0.85, 'answer_wait_seconds_bucket|le="30.0"': 0.9,
    'answer_wait_seconds_bucket|le="+Inf"': 0.95, "answer_wait_seconds_count": 0.95,
    "answer_wait_seconds_sum": 12, "abandon_wait_seconds_count": 0.05,
    "abandon_wait_seconds_sum": 2,
}  # fmt: skip
GAUGES = {
    "inbound_interactions": 400, "answered_interactions": 380, "abandoned_interactions": 20,
    'service_level_ratio|threshold_seconds="10"': 0.7, "abandonment_ratio": 0.05,
    'service_level_ratio|threshold_seconds="20"': 0.85, "asa_seconds": 12,
    'service_level_ratio|threshold_seconds="30"': 0.9, "ata_seconds": 40,
}  # fmt: skip
TARGETS = {
    'service_level_target_ratio|threshold_seconds="20"': 0.8, "abandonment_limit_ratio": 0.1,
    "asa_limit_seconds": 30, "min_interactions": 20, "open": 1,
}  # fmt: skip
WINDOWS = {"today": 1, "yesterday": 1, "month": 20, "last_month": 30}  # days
FIGURES = {
    (window, name): value * days if name.endswith("interactions") else value
    for window, days in WINDOWS.items()
    for name, value in GAUGES.items()
}


def page(began: float, speed: float = SPEED, skills: int = SKILLS) -> Iterator[str]:
    """What an exporter of that size shows now, polled every five minutes of the fast time."""
    now = time.time()
    pace = 300 / speed
    own = 'operation="acme"'
    yield f'wolkvox_operation_info{{{own},server="wv0013",timezone="UTC",team="noc"}} 1'
    for name, value in (
        ("poll_interval_seconds", pace), ("poll_open", 1), ("operation_utc_offset_seconds", 0),
    ):  # fmt: skip
        yield f"wolkvox_{name}{{{own}}} {value}"
    for number in range(skills):
        who = f'{own},skill_id="{4000 + number}",skill="Skill {number}"'
        polled = now - (now + number * pace / skills) % pace
        for name, value in (
            ("up", 1), ("query_interval_seconds", pace), ("consecutive_failures", 0),
            ("last_attempt_timestamp_seconds", polled),
            ("last_success_timestamp_seconds", polled),
        ):  # fmt: skip
            yield f"wolkvox_{name}{{{who}}} {value}"
        for window in [*WINDOWS][1:]:
            ends = f'{who},window="{window}"'
            yield _line("skill_window_end_timestamp_seconds", ends, now - now % 86400)
        count = round(max(0.0, polled - began) * speed * PER_SECOND)
        for channel in CHANNELS:
            pair = f'{who},type_interaction="{channel}"'
            for name, share in COUNTERS.items():
                yield _line(f"skill_{name}", pair, round(share * count))
            for (window, name), value in FIGURES.items():
                yield _line(f"skill_{name}", f'{pair},window="{window}"', value)
            for name, value in TARGETS.items():
                yield _line(f"sla_{name}", pair, value)


def _line(name: str, labels: str, value: float) -> str:
    metric, _, more = name.partition("|")
    return f"wolkvox_{metric}{{{labels}{',' if more else ''}{more}}} {value}"


def target(skills: int) -> ThreadingHTTPServer:
    """Serve the page on loopback."""
    began = time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = "\n".join([*page(began, skills=skills), ""]).encode()
            with contextlib.suppress(ConnectionError):  # the last scrape may be cut off
                self._send(body)

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def hastened() -> str:
    """The shipped rules, in a hurry."""
    spec = spec_from_file_location("hastened", ROOT / "deploy/demo-stack/hastened.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = RULES.read_text(encoding="utf-8")
    text = re.sub(r"offset (\d)d", lambda day: f"offset {int(day[1]) * SPEED:g}m", text)
    return str(module.hastened_rules(text, SPEED))


def main() -> None:
    """Measure for some minutes, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=11, help="until windows are full")
    parser.add_argument("--skills", type=int, default=SKILLS)
    minutes, skills = (chosen := parser.parse_args()).minutes, chosen.skills
    server = target(skills)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "wolkvox.rules.yml").write_text(hastened(), encoding="utf-8")
        every = f"{60 / SPEED:g}s"
        scraped = {"targets": [f"127.0.0.1:{server.server_port}"]}
        config = {
            "global": dict.fromkeys(
                ("scrape_interval", "scrape_timeout", "evaluation_interval"), every
            ),
            "rule_files": ["wolkvox.rules.yml"],
            "scrape_configs": [{"job_name": "wolkvox", "static_configs": [scraped]}],
        }
        file = directory / "prometheus.yml"
        file.write_text(json.dumps(config | {"rule_files": []}), encoding="utf-8")
        flags = (f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}")
        with serving("prometheus", directory, *flags, "--web.enable-lifecycle") as address:
            idle = spent(address, 60)
            file.write_text(json.dumps(config), encoding="utf-8")
            ask(f"http://{address}/-/reload", b"")
            threading.Event().wait(minutes * 60)
            busy = spent(address, 120)
            report(address)
    print(
        f"{busy - idle:.2f} s of a processor for the rules of a minute, {idle:.2f} s to scrape"
    )


def spent(address: str, seconds: float) -> float:
    """Seconds of the processor for a minute of the fast time."""
    before = processor(address)
    threading.Event().wait(seconds)
    return (processor(address) - before) / seconds * 60 / SPEED


def processor(address: str) -> float:
    """The seconds of the processor that Prometheus has taken."""
    page = ask(f"http://{address}/metrics").decode()
    return float(page.split("\nprocess_cpu_seconds_total ")[1].split()[0])


def report(address: str) -> None:
    """Print what was measured."""

    def number(expr: str) -> float:
        page = ask(f"http://{address}/api/v1/query?{urlencode({'query': expr})}")
        found = json.loads(page)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    scraped = number("max(scrape_samples_scraped)")
    recorded = number('count({__name__=~"wolkvox:.+"})')
    print(f"records {sum(not rule.alert for rule in shipped())}, scraped {scraped:.0f} series, "
          f"recorded {recorded:.0f}: {recorded / scraped:.2f} of them")  # fmt: skip
    groups = json.loads(ask(f"http://{address}/api/v1/rules"))["data"]["groups"]
    for group in groups:
        print(f"{group['name']}: {group['evaluationTime']:.2f} s")
        slowest = sorted(group["rules"], key=lambda rule: -float(rule["evaluationTime"]))[:6]
        for rule in slowest:
            bad = f" {rule['lastError']}" if rule.get("lastError") else ""
            print(f"  {rule['evaluationTime']:.3f} s {rule['name']}{bad}")
    print(f"together {sum(group['evaluationTime'] for group in groups):.2f} s")


if __name__ == "__main__":
    main()
