"""How long one refresh of a board takes at 200 skills x 6 channels, in a real Prometheus.

Hours of that fleet, and the same hours a week before, are written into it; the shipped rules
run over them, and what a board reads of their records is written back over the day. Then each
target is asked alone, and all at once over a browser's connections.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from scripts.rules_load import page
from tests.dashboards_support import EVERYTHING, NAMES, Json, board, interpolated, seconds
from tests.e2e_prometheus import serving
from tests.rules_support import RULES, ask

MINUTE, HOUR, DAY, WEEK = 60, 3600, 18 * 3600, 7 * 86400
SCREEN, CONNECTIONS = 1880, 6  # pixels; how many a browser opens
GROWING = ("_total", "_bucket", "_count", "_sum")
LOOKED_BACK_AT = ("interactions", *GROWING)
Series = tuple[Mapping[str, str], float]


def fleet() -> Iterator[Series]:
    """Each series of the fleet, and how it stands at the end of the day; skills differ."""
    for line in page(time.time() - DAY, speed=1):
        text, _, value = line.rpartition(" ")
        name, _, labels = text.partition("{")
        found = {"__name__": name, "job": "wolkvox", "instance": "load:1"}
        found |= dict(re.findall(r'(\w+)="([^"]*)"', labels))
        rated = "le" in found or "service_level_ratio" in name
        last = float(value) * (1 - int(found.get("skill_id", 0)) % 5 / 20 if rated else 1)
        yield found, last


def varint(number: int) -> bytes:
    """A number as protocol buffers write it."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, data: bytes) -> bytes:
    """A field of bytes as protocol buffers write it."""
    return varint(number << 3 | 2) + varint(len(data)) + data


@cache
def samples(kind: str, last: float, start: int, end: int) -> bytes:
    """A sample a minute, as remote write wants them."""
    found = b""
    for at in range(start, end, MINUTE):
        value = {"grows": round(last * (at % WEEK) / DAY), "is now": at}.get(kind, last)
        found += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at * 1000))
    return found


def write(address: str, series: Iterable[Series], start: float, end: float) -> None:
    """Write each series between two moments by remote write."""
    body = b""
    for labels, last in series:
        name = labels["__name__"]
        kind = "grows" if name.endswith(GROWING) else "is now" if "_last_" in name else ""
        pairs = (
            field(1, key.encode()) + field(2, labels[key].encode()) for key in sorted(labels)
        )
        one = b"".join(field(1, pair) for pair in pairs) + samples(
            kind, last, int(start), int(end)
        )
        body += field(1, one)
        if len(body) > 4e6:
            send(address, body)
            body = b""
    if body:
        send(address, body)


def send(address: str, body: bytes) -> None:
    """Send a part, in Snappy's simplest form: one literal."""
    packed = varint(len(body)) + b"\xfc" + (len(body) - 1).to_bytes(4, "little") + body
    heads = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    urlopen(Request(f"http://{address}/api/v1/write", packed, heads), timeout=300).read()


def evaluate(address: str, series: list[Series], now: float, text: str) -> float:
    """Let the rules run, write back what a text names of their records; when they had run."""
    for _ in range(4):
        ahead = time.time() // MINUTE * MINUTE + 5 * MINUTE
        write(address, series, now, ahead)
        now = ahead
        threading.Event().wait(MINUTE)
    ran = time.time()
    for name in sorted(set(re.findall(r"wolkvox:[\w:]+", text))):
        found = json.loads(ask(f"http://{address}/api/v1/query?{urlencode({'query': name})}"))
        recorded = [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]
        write(address, recorded, ran - DAY, ran - 5 * MINUTE)
    return ran


def request(panel: Json, target: Json, now: float) -> str:
    """What Grafana asks for a target."""
    fits = DAY * 24 / (panel["gridPos"]["w"] * SCREEN) // MINUTE * MINUTE + MINUTE
    step = max(seconds(target.get("interval") or panel.get("interval"), MINUTE), fits)
    expr = interpolated(target["expr"], EVERYTHING, step=step, span=DAY)
    if target.get("instant"):
        return "query?" + urlencode({"query": expr, "time": now})
    span = {"start": (now - DAY) // step * step, "end": now // step * step, "step": step}
    return "query_range?" + urlencode({"query": expr, **span})


def measure(address: str, made: Json, now: float) -> None:
    """Ask for a board, each target alone and as a browser does; print the seconds."""

    def timed(path: str) -> tuple[float, int]:
        began = time.monotonic()
        body = urlopen(f"http://{address}/api/v1/{path}", timeout=120).read()
        return time.monotonic() - began, len(body)

    panels = {
        panel["title"]: [request(panel, one, now) for one in panel["targets"]]
        for panel in made["panels"]
        if "targets" in panel
    }
    for title, paths in panels.items():
        for ref, path in zip("ABCDEFGHIJ", paths, strict=False):
            took, size = min(timed(path) for _ in range(2))
            print(f"{took:7.3f} s {size / 1000:8.1f} kB  {title}/{ref}")
    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda paths: list(map(timed, paths)), panels.values()))
    print(f"{made['title']}: {time.monotonic() - began:.2f} s for one refresh")


def main() -> None:
    """Load the fleet, let the rules run, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", default=NAMES)
    boards = [board(name) for name in parser.parse_args().boards]
    with tempfile.TemporaryDirectory() as folder:
        file, data = Path(folder, "prometheus.yml"), Path(folder, "data")
        config: Json = {"storage": {"tsdb": {"out_of_order_time_window": "2d"}}}
        file.write_text(json.dumps(config), encoding="utf-8")
        store = (f"--config.file={file}", f"--storage.tsdb.path={data}")
        doors = ("--web.enable-lifecycle", "--web.enable-remote-write-receiver")
        with serving("prometheus", Path(folder), *store, *doors) as address:
            series, now = list(fleet()), time.time() // MINUTE * MINUTE
            past = [one for one in series if one[0]["__name__"].endswith(LOOKED_BACK_AT)]
            for part, end in ((past, now - WEEK), (series, now)):
                for at in range(round(end - DAY), round(end), HOUR):
                    write(address, part, at, at + HOUR)
            file.write_text(json.dumps(config | {"rule_files": [str(RULES)]}), encoding="utf-8")
            ask(f"http://{address}/-/reload", b"")
            ran = evaluate(address, series, now, json.dumps(boards))
            for made in boards:
                measure(address, made, ran)


if __name__ == "__main__":
    main()
