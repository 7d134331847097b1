"""How long one refresh of a board takes at 200 skills x 6 channels, in a real Prometheus.

Written into it are the last minutes of that fleet and of what the shipped rules make of it; the
whole day and the same hours a week before of what the boards look back at. Each target is asked
alone, then all at once over a browser's connections. What counts are seconds of a
processor: those on the wall are of a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import re
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from os import cpu_count
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from scripts.rules_load import page, processor
from tests.dashboards_support import EVERYTHING, NAMES, Json, board, interpolated, seconds
from tests.e2e_prometheus import serving

MINUTE, HOUR, DAY, WEEK = 60, 3600, 18 * 3600, 7 * 86400
SCREEN, CONNECTIONS = 1880, 6  # pixels; how many a browser opens
ROUNDS = 3  # how often a target is asked alone, and a board; of these the quickest counts
GROWING = ("_total", "_bucket", "_count", "_sum", ":total", "within:offered")
# What the boards read of the rules: its windows; how it stands, and where a pair is poor.
RECORDS = {
    "service_level:target": ("", 0.8, 0.8),
    "within:total": ("", 340, 200), "within:offered": ("", 400, 400),
    "window:offered": ("middle long day", 30, 30), "window:z": ("middle long", -0.5, 3),
    "window:service_level": ("middle long day", 0.9, 0.5),
    "shown:offered": ("today yesterday month", 400, 400),
    "shown:within": ("today yesterday month", 340, 200),
    "period:offered": ("month week", 8000, 8000), "period:within": ("month week", 6800, 6000),
    "period:expected": ("today month", 900, 900), "period:late_left": ("today month", 20, -60),
    "period:needed": ("today month", 0.9, 1.1), "period:projected": ("today month", 0.85, 0.7),
}  # fmt: skip
Series = tuple[Mapping[str, str], float]


def fleet() -> Iterator[Series]:
    """Each series of the fleet, and how it stands at the end of the day."""
    for line in page(time.time() - DAY, speed=1):
        text, _, value = line.rpartition(" ")
        name, _, labels = text.partition("{")
        found = {"__name__": name, "job": "wolkvox", "instance": "load:1"}
        found |= dict(re.findall(r'(\w+)="([^"]*)"', labels))
        number = int(found.get("skill_id", 0))
        rated = "le" in found or "service_level_ratio" in name
        last = float(value) * (1 - (number % 10 == 0) / 4 - number % 50 / 1000 if rated else 1)
        yield found, last
        if name.endswith("target_ratio"):
            yield from recorded(found, poor=number % 10 == 0)


def recorded(target: Mapping[str, str], *, poor: bool) -> Iterator[Series]:
    """What the shipped rules record of a pair with a target, of what the boards read."""
    for name, (windows, well, badly) in RECORDS.items():
        found = {**target, "__name__": f"wolkvox:{name}"}
        if not name.startswith("within"):
            del found["instance"], found["skill"]
        for window in windows.split() or [""]:
            yield (found | {"window": window} if window else found), badly if poor else well


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
    body = bytearray()
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
            send(address, bytes(body))
            body.clear()
    if body:
        send(address, bytes(body))


def send(address: str, body: bytes) -> None:
    """Send a part, in Snappy's simplest form: one literal."""
    packed = varint(len(body)) + b"\xfc" + (len(body) - 1).to_bytes(4, "little") + body
    heads = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    urlopen(Request(f"http://{address}/api/v1/write", packed, heads), timeout=300).read()


def targets_of(boards: Iterable[Json]) -> list[Json]:
    """Every target of some boards."""
    return [
        one for made in boards for panel in made["panels"] for one in panel.get("targets", ())
    ]


def looked_back_at(boards: Iterable[Json]) -> set[str]:
    """The metrics and records that boards ask for over time, and not of now alone."""
    found: set[str] = set()
    for one in targets_of(boards):
        # All of a curve but what is found once, at its end; else what stands in a range.
        curve = re.sub(r"\w[\w:]*{[^{}]*} @ end", "", one["expr"])
        span = r"wolkvox[\w:]+" if one["range"] else r"(wolkvox[\w:]+){[^{}]*}[^{}\[]*\["
        found |= set(re.findall(span, curve))
    return found


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """A Prometheus that can be written to and does nothing by itself; its address."""
    file = folder / "prometheus.yml"
    file.write_text("{}", encoding="utf-8")
    data = (f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.min-block-duration=31d")
    door = "--web.enable-remote-write-receiver"
    with serving("prometheus", folder, f"--config.file={file}", *data, door) as address:
        yield address


@contextmanager
def loaded(boards: Iterable[Json], folder: Path) -> Iterator[tuple[str, float]]:
    """A Prometheus with the fleet's day; its address, and the moment to ask for."""
    series, boards = list(fleet()), list(boards)
    text = "\n".join(one["expr"] for one in targets_of(boards))
    read = set(re.findall(r"wolkvox:([\w:]+)", text))
    assert read <= RECORDS.keys(), f"records that the fleet lacks: {read - RECORDS.keys()}"
    names = looked_back_at(boards)
    weekly = set(re.findall(r"(wolkvox[\w:]+){[^{}]*}\[\w+\] offset", text))
    now = time.time() // HOUR * HOUR  # where a curve of hours ends
    with store(folder) as address:
        for end, known in ((now - WEEK, names & weekly), (now, names)):
            over_time = [one for one in series if one[0]["__name__"] in known]
            for at in range(round(end - DAY), round(end), HOUR):
                write(address, over_time, at, at + HOUR)
            write(address, series, end, end + 5 * MINUTE)
        yield address, now + 4 * MINUTE


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

    def asked(path: str) -> bytes:
        return bytes(urlopen(f"http://{address}/api/v1/{path}", timeout=120).read())

    panels = {
        panel["title"]: [request(panel, one, now) for one in panel["targets"]]
        for panel in made["panels"]
        if "targets" in panel
    }
    for title, paths in panels.items():
        for ref, path in zip("ABCDEFGHIJ", paths, strict=False):
            before = processor(address)
            size = sum(len(asked(path)) for _ in range(ROUNDS)) / ROUNDS
            took = (processor(address) - before) / ROUNDS
            print(f"{took:7.3f} s {size / 1000:8.1f} kB  {title}/{ref}")
    found = []
    for _ in range(ROUNDS):
        before, began = processor(address), time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda paths: list(map(asked, paths)), panels.values()))
        found.append((processor(address) - before, time.monotonic() - began))
    total, wall = (min(one) for one in zip(*found, strict=True))
    label = f"{made['title']}, {len(targets_of([made]))} targets"
    print(f"{label}: {total:.2f} s of a processor, {wall:.2f} s on the wall of {cpu_count()}")


def main() -> None:
    """Load the fleet, let the rules run, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", default=NAMES)
    boards = [board(name) for name in parser.parse_args().boards]
    with (
        tempfile.TemporaryDirectory() as folder,
        loaded(boards, Path(folder)) as (address, ran),
    ):
        for made in boards:
            measure(address, made, ran)


if __name__ == "__main__":
    main()
