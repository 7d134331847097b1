"""Written months: what the exporter shows of them in every half-hour, and what is true then.

Days are those of a zone five hours behind UTC, from the first of January 1970 on: day 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.rules_scene import PAIR, QUERY, Scene, Value

STEP = 30  # minutes
SLOTS = 48
ZONE = -5 * 3600
JANUARY = 31
DAYS = JANUARY + 3
TARGET = 0.8
LATE = 18

Day = tuple[int, int]  # what came in, and what of it was answered in time


def after_two(_day: int, slot: int) -> int:
    """How many days the month's window lacks where it is asked for at two in the morning."""
    return int(slot < 4)


def minute(day: int, hour: float) -> int:
    """The minute of a scene at a local hour."""
    return round((day * 24 + hour) * 60 - ZONE / 60)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of one pair in its own operation."""

    name: str
    day: Callable[[int], Day]
    first: int = 0  # the first day on which the exporter runs
    lacking: Callable[[int, int], int] = after_two
    closes: bool = True  # the day before is told after midnight
    opens: int | None = None  # open from this hour for ten hours
    begins: int = 0  # the half-hour of each day's first answer

    def so_far(self, day: int, slot: int) -> Day:
        """What came of a day until a half-hour."""
        inbound, within = self.day(day)
        return inbound * slot // SLOTS, within * slot // SLOTS

    def sums(self, first: int, last: int) -> Day:
        """What came on some days, the last of them left out."""
        days = [self.day(day) for day in range(first, last)]
        return sum(one[0] for one in days), sum(one[1] for one in days)

    def scene(self, days: int) -> Scene:
        """All that the exporter shows; a minute of the scene is a half-hour."""
        steps = days * SLOTS
        scene = Scene(steps)
        named = {"operation": self.name}
        scene.constant("wolkvox_operation_utc_offset_seconds", ZONE, **named)
        scene.constant("wolkvox_operation_info", 1, **named)
        scene.constant("wolkvox_poll_interval_seconds", 60 * STEP, **named)
        who, pair = QUERY | named, PAIR | named
        scene.constant("wolkvox_query_interval_seconds", 60 * STEP, **who)
        scene.constant("wolkvox_up", 1, **who)
        now: list[Value] = [60.0 * STEP * step for step in range(steps)]
        scene.add("wolkvox_last_success_timestamp_seconds", now, **who)
        scene.constant("wolkvox_skill_offered_interactions_total", 0, **pair)
        places = [divmod(step + ZONE // 60 // STEP, SLOTS) for step in range(steps)]
        scene.targets(opened=[self._open(slot) for _day, slot in places], operation=self.name)
        for window in ("today", "yesterday", "month"):
            shown = [self._shown(window, *place) for place in places]
            self._gauges(scene, window, shown)
        unseen = [place[0] < self.first for place in places].count(True) if self.first else 0
        for values in scene.series.values():
            values[:unseen] = [None] * unseen
        return scene

    def _open(self, slot: int) -> float:
        return float(self.opens is None or 0 <= slot / 2 - self.opens < 10)

    def _shown(self, window: str, day: int, slot: int) -> tuple[Day, int] | None:
        """The figures of a window, and the day that ends it."""
        if day < self.first or (window == "today" and slot < self.begins):
            return None
        if window == "today":
            return self.so_far(day, slot), day + 1
        if window == "yesterday":
            known = self.closes and day > self.first
            return (self.day(day - 1), day) if known else None
        first = JANUARY if day >= JANUARY else 0
        end = day - self.lacking(day, slot)
        return (self.sums(first, end), end) if end > first else None

    def _gauges(
        self, scene: Scene, window: str, shown: Sequence[tuple[Day, int] | None]
    ) -> None:
        who = PAIR | {"operation": self.name, "window": window}
        inbound: list[Value] = [one and float(one[0][0]) for one in shown]
        ratios: list[Value] = [
            round(one[0][1] / one[0][0], 4) if one and one[0][0] else None for one in shown
        ]
        ends: list[Value] = [one and one[1] * 86400.0 - ZONE for one in shown]
        scene.add("wolkvox_skill_inbound_interactions", _ended(inbound), **who)
        ratio = "wolkvox_skill_service_level_ratio"
        for within in ("20", "30"):  # no target names the second
            scene.add(ratio, _ended(ratios), **who, threshold_seconds=within)
        if window != "today":
            query = QUERY | {"operation": self.name, "window": window}
            scene.add("wolkvox_skill_window_end_timestamp_seconds", _ended(ends), **query)


def _ended(values: Sequence[Value]) -> list[Value]:
    """The values, with a marker where a series ends."""
    return [
        "stale" if one is None and before not in (None, "stale") else one
        for before, one in zip([None, *values], values, strict=False)
    ]


def always(inbound: int, within: int) -> Callable[[int], Day]:
    """Every day alike."""
    return lambda _day: (inbound, within)


def until(day: int, before: Day, after: Day) -> Callable[[int], Day]:
    """Days of one kind, and from a day on days of another."""
    return lambda one: before if one < day else after


ON_TARGET = Month("on_target", lambda day: (96 + 48 * (day % 7 == 2), 82 + 43 * (day % 7 == 2)))
# These are seen from the 19th on, so that few evaluations are needed.
AT_RISK = Month("at_risk", always(96, 72), LATE)
LOST = Month("lost", until(20, (96, 48), (96, 96)), LATE)
RECOVERED = Month("recovered", until(23, (96, 72), (96, 96)), 14)
YOUNG = Month("young", always(96, 72), 20)
A_DAY_OLD = Month("a_day_old", always(96, 72), LATE, lacking=lambda _day, _slot: 1, opens=8)
TWO_DAYS_OLD = Month("two_days_old", always(96, 72), LATE, lacking=lambda _day, _slot: 2)
NOT_CLOSED = Month(  # on the 27th day its month knows more than it was told of yesterday
    "not_closed", always(96, 72), LATE, lacking=lambda day, _slot: int(day != 26), closes=False
)
FEW = Month("few", always(5, 2), LATE, begins=6)
OPENS = Month("opens", always(96, 72), LATE, opens=9)
# What is sent of the one that is lost, at noon of its 27th day.
TICKET = {
    "labels": PAIR
    | {"job": "wolkvox", "operation": "lost", "threshold_seconds": "20"}
    | {"severity": "warning", "sli": "month", "route": "ticket"},
    "annotations": {
        "summary": "lost, Ventas, inbound: the month is heading for 66.67%",
        "description": "As it goes, 66.67% of the month's interactions of skill Ventas (4173) "
        "on channel inbound at operation lost will have been answered within 20 s: less than "
        "the target. The rest of the month needs 181.8%: it cannot be reached any more.",
        "value": "66.67%",
        "target": "80%",
        "since": "",  # a rule that runs every half-hour does not see the one before
        "runbook_url": "https://runbooks.test/README.md#wolkvoxmonthatrisk",
        "dashboard_url": "https://grafana.test/d/wolkvox-skill?var-job=wolkvox"
        "&var-operation=lost&var-skill=Ventas&var-channel=inbound&var-threshold=20",
    },
}
QUIET = Month("quiet", lambda day: (96, 72) if day % 7 < 5 else (0, 0), LATE)
MONTHS = (
    ON_TARGET, AT_RISK, LOST, RECOVERED, YOUNG, A_DAY_OLD, TWO_DAYS_OLD, NOT_CLOSED, FEW,
    OPENS, QUIET,
)  # fmt: skip
