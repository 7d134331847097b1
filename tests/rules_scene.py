"""What Prometheus scraped, minute by minute, as promtool wants it.

A `Scene` is written by hand (`Scene.query`, `Scene.pair` …), where a few numbers say all, or
taken from the real exporter in virtual time (`Scene.scrape`), where the truth is the
simulator's. Time begins in 1970, as promtool's does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

JOB, INSTANCE = "wolkvox", "exporter:19655"
STALE = "stale"

Value = float | str | None  # a number, the stale marker, or nothing
Names = frozenset[str]

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def labelled(name: str, **labels: str) -> str:
    """A series as promtool reads it."""
    inner = ",".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in labels.items()
    )
    return f"{name}{{{inner}}}"


@dataclass(slots=True)
class Scene:
    """What was scraped: the values of each series, one a minute.

    `instance` stands on what is added from then on: a second exporter is the same scene with
    another instance.
    """

    minutes: int
    instance: str = INSTANCE
    series: dict[str, list[Value]] = field(default_factory=dict)

    def add(self, name: str, values: Sequence[Value], **labels: str) -> None:
        """Add a series, from minute 0 on; a minute after its end has no sample."""
        own = {"job": JOB, "instance": self.instance}
        self.series[labelled(name, **own, **labels)] = list(values)

    def constant(self, name: str, value: float, **labels: str) -> None:
        """Add a series of one value."""
        self.add(name, [value] * self.minutes, **labels)

    def exporter(self, up: Sequence[Value] | None = None) -> None:
        """Add the target: reached all the time, or as `up` says."""
        self.add("up", up or [1.0] * self.minutes)
        self.constant("wolkvox_exporter_storage_writable", 1)

    def operation(
        self,
        operation: str = "acme",
        interval: float = 300,
        polling: Sequence[Value] | None = None,
    ) -> None:
        """Add an operation with its interval in force, and when `polling` is allowed."""
        self.add("wolkvox_poll_open", polling or [1.0] * self.minutes, operation=operation)
        self.constant("wolkvox_poll_interval_seconds", interval, operation=operation)
        self.constant(
            "wolkvox_operation_info", 1, operation=operation, server="wv0013", timezone="UTC"
        )

    def query(
        self,
        polls: Sequence[int],
        attempts: Sequence[int] | None = None,
        pace: float = 300,
        **labels: str,
    ) -> None:
        """Add a query that succeeded in the minutes `polls`, of all its `attempts`."""
        who = QUERY | labels
        self.constant("wolkvox_query_interval_seconds", pace, **who)
        attempts = polls if attempts is None else attempts
        last: Value = None
        asked: Value = None
        up: list[Value] = []
        success: list[Value] = []
        tried: list[Value] = []
        failures: list[Value] = []
        count = 0.0
        for minute in range(self.minutes):
            if minute in attempts:
                count = 0 if minute in polls else count + 1
                asked = minute * 60.0
                last = asked if minute in polls else last
            up.append(float(last is not None and count == 0))
            success.append(last)
            tried.append(asked)
            failures.append(count)
        self.add("wolkvox_up", up, **who)
        self.add("wolkvox_last_success_timestamp_seconds", success, **who)
        self.add("wolkvox_last_attempt_timestamp_seconds", tried, **who)
        self.add("wolkvox_consecutive_failures", failures, **who)

    def pair(self, counts: Mapping[str, Sequence[Value]], **labels: str) -> None:
        """Add the counters of a pair; see `Flow.counters`."""
        who = PAIR | labels
        names = {
            "offered": ("wolkvox_skill_offered_interactions_total", {}),
            "answered": ("wolkvox_skill_answer_wait_seconds_count", {}),
            "abandoned": ("wolkvox_skill_abandon_wait_seconds_count", {}),
            "waited": ("wolkvox_skill_answer_wait_seconds_sum", {}),
            "within": ("wolkvox_skill_answer_wait_seconds_bucket", {"le": "20.0"}),
        }
        for what, (name, more) in names.items():
            if what in counts:
                self.add(name, counts[what], **who, **more)
        if "answered" in counts:
            name = "wolkvox_skill_answer_wait_seconds_bucket"
            self.add(name, counts["answered"], **who, le="+Inf")

    def today(
        self, *, level: float | None = None, asa: float | None = None, **more: Any
    ) -> None:
        """Add gauges of the day for `PAIR`, constant; further keys are counts."""
        who = PAIR | {"window": "today"}
        for threshold, ratio in more.pop("levels", {"20": level}).items():
            if ratio is not None:
                name = "wolkvox_skill_service_level_ratio"
                self.constant(name, ratio, **who, threshold_seconds=threshold)
        if asa is not None:
            self.constant("wolkvox_skill_asa_seconds", asa, **who)
        for what, value in more.items():
            self.constant(f"wolkvox_skill_{what}_interactions", value, **who)

    def targets(
        self, *, opened: Sequence[Value] | None = None, level: float = 0.8, **labels: str
    ) -> None:
        """Add the targets of a pair: 80 % within 20 s, 5 % abandoned, 30 s, 20 interactions."""
        who = PAIR | labels
        name = "wolkvox_sla_service_level_target_ratio"
        self.constant(name, level, **who, threshold_seconds="20")
        self.constant("wolkvox_sla_abandonment_limit_ratio", 0.05, **who)
        self.constant("wolkvox_sla_asa_limit_seconds", 30, **who)
        self.constant("wolkvox_sla_min_interactions", 20, **who)
        self.add("wolkvox_sla_open", opened or [1.0] * self.minutes, **who)

    def silence(self, begin: int, end: int, matching: str = "wolkvox_") -> None:
        """Take the samples of series away, as when a scrape fails or values expire."""
        for name, values in self.series.items():
            if re.match(matching, name) and begin < len(values):
                gap: list[Value] = [STALE, *[None] * (end - begin - 1)]
                values[begin:end] = gap[: len(values) - begin]

    def scrape(self, minute: int, text: str | None, names: Names, origin: float = 0.0) -> None:
        """Take over a page of the exporter; None: the target did not answer.

        `names` are the metrics wanted; moments are counted from `origin`, as time is here.
        """
        found = (
            {"up": 0.0} if text is None else {"up": 1.0, **dict(_samples(text, names, origin))}
        )
        for name, value in found.items():
            key = _with_target(name, self.instance)
            values = self.series.setdefault(key, [])
            values.extend([None] * (minute - len(values)))
            values.append(value)
        for values in self.series.values():
            if len(values) == minute and values and isinstance(values[-1], float):
                values.append(STALE)

    def as_input(self) -> list[dict[str, str]]:
        """The series as promtool wants them."""
        return [
            {"series": name, "values": " ".join(_runs(values))}
            for name, values in self.series.items()
            if values
        ]


QUERY = {"operation": "acme", "skill_id": "4173", "skill": "Ventas"}
PAIR = {**QUERY, "type_interaction": "inbound"}


def _samples(text: str, names: Names, origin: float) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        match = None if line.startswith("#") else _SAMPLE.match(line)
        if match is not None and match[1] in names:
            value = float(match[3])
            moment = match[1].endswith("_timestamp_seconds")
            yield f"{match[1]}{{{match[2] or ''}}}", value - origin if moment else value


def _with_target(series: str, instance: str) -> str:
    name, _, inner = series.removesuffix("}").partition("{")
    target = f'job="{JOB}",instance="{instance}"'
    return f"{name}{{{inner},{target}}}" if inner else f"{name}{{{target}}}"


def _runs(values: Sequence[Value]) -> Iterator[str]:
    """Equal values in a row as one word: `5x9` is ten times 5."""
    for value, run in groupby(values):
        count = sum(1 for _ in run)
        word = "_" if value is None else value if isinstance(value, str) else repr(value)
        if value == STALE:
            yield from [word, *["_"] * (count - 1)]
        elif count == 1:
            yield word
        else:
            yield f"_x{count}" if value is None else f"{word}x{count - 1}"


@dataclass(frozen=True, slots=True)
class Part:
    """So many minutes of traffic: interactions a minute, and the shares of them."""

    minutes: int
    inbound: float
    within: float = 0.9
    answered: float | None = None

    @property
    def served(self) -> float:
        """The share that was answered; by default half of those who were not in time."""
        return (1 + self.within) / 2 if self.answered is None else self.answered


def counters(
    parts: Sequence[Part], polls: Sequence[int], minutes: int, start: float = 1000.0
) -> dict[str, list[Value]]:
    """The counters of a flow as polls in these minutes show them, from the first poll on."""
    truth = {"offered": [start], "answered": [start], "within": [start], "abandoned": [start]}
    for part in parts:
        for _ in range(part.minutes):
            for what, share in (
                ("offered", 1.0),
                ("answered", part.served),
                ("within", part.within),
                ("abandoned", 1 - part.served),
            ):
                truth[what].append(truth[what][-1] + part.inbound * share)
    shown: dict[str, list[Value]] = {}
    for what, totals in truth.items():
        value: Value = None
        shown[what] = []
        for minute in range(minutes):
            if minute in polls:
                value = float(round(totals[min(minute, len(totals) - 1)]))
            shown[what].append(value)
    return shown
