"""Plans of a day: how many interactions are expected when, and how many agents sit there.

Pure: from a channel's mean volume to steps of half an hour. Nothing is drawn here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

STEP_SECONDS = 1800.0
# An interaction that began before midnight may end after it, at most so much later.
TAIL_SECONDS = 12 * 3600.0

# Weight of each local hour: mornings and afternoons busy, a dip at lunch, quiet nights.
_HOURS = (
    0.16, 0.12, 0.10, 0.10, 0.12, 0.20, 0.35, 0.60, 0.95, 1.30, 1.45, 1.35,
    1.00, 0.90, 1.20, 1.30, 1.25, 1.00, 0.80, 0.65, 0.50, 0.40, 0.30, 0.22,
)  # fmt: skip
_WEEKDAYS = (1.12, 1.0, 1.0, 1.0, 0.96, 0.6, 0.3)
_OPEN_HOURS = {5: range(8, 13), 6: range(0)}
_WEEKDAY_OPEN_HOURS = range(7, 20)


@dataclass(frozen=True, slots=True)
class ChannelManner:
    """How people and agents behave on a kind of channel; means in seconds.

    `pickup` is from the moment an agent is free for somebody to the first word: a ring, or
    the reading of a message. `cushion` is the staff beyond the mean load, in standard
    deviations of it.
    """

    talk: float
    patience: float
    pickup: float
    cushion: float


_VOICE = ChannelManner(talk=240.0, patience=240.0, pickup=7.5, cushion=1.6)
_CHAT = ChannelManner(talk=420.0, patience=1500.0, pickup=18.0, cushion=1.4)
_MAIL = ChannelManner(talk=400.0, patience=6 * 3600.0, pickup=700.0, cushion=0.8)


def manner_of(channel: str) -> ChannelManner:
    """Return how a channel behaves; channels nobody has heard of behave like chats."""
    if channel in {"inbound", "internalcall_que", "out_pre"}:
        return _VOICE
    if channel.startswith("omni-") or channel == "chat-email":
        return _MAIL
    return _CHAT


@dataclass(frozen=True, slots=True)
class Step:
    """Half an hour: its start (epoch seconds), arrivals per second and agents."""

    start: float
    rate: float
    agents: int


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The steps of a local day and of the tail after it, and the instant it ends."""

    manner: ChannelManner
    steps: tuple[Step, ...]
    end: float

    @property
    def start(self) -> float:
        """The instant at which the local day begins (epoch seconds)."""
        return self.steps[0].start

    @property
    def tail_end(self) -> float:
        """The instant by which everything that began on the day has ended."""
        return self.end + TAIL_SECONDS


def day_bounds(day: date, zone: ZoneInfo) -> tuple[float, float]:
    """Return the instants at which a local day begins and ends (epoch seconds)."""
    first = datetime.combine(day, time.min, zone)
    last = datetime.combine(day + timedelta(days=1), time.min, zone)
    return first.timestamp(), last.timestamp()


def plan_day(
    channel: str, volume: float, day: date, zone: ZoneInfo, *, always_open: bool, staff: float
) -> DayPlan:
    """Plan a channel's day: `volume` is the mean of a normal weekday, `staff` 1 is enough."""
    manner = manner_of(channel)
    start, end = day_bounds(day, zone)
    steps = []
    for number in range(math.ceil((end + TAIL_SECONDS - start) / STEP_SECONDS)):
        moment = start + number * STEP_SECONDS
        middle = datetime.fromtimestamp(moment + STEP_SECONDS / 2, tz=zone)
        rate = volume / 3600 * _share(middle, always_open=always_open)
        steps.append(Step(moment, rate, _agents(rate, manner, staff)))
    return DayPlan(manner, tuple(steps), end)


def _share(moment: datetime, *, always_open: bool) -> float:
    """Return the part of a normal weekday's volume that falls into the hour around."""
    hours: range = range(24) if always_open else _WEEKDAY_OPEN_HOURS
    total = sum(_HOURS[hour] for hour in hours)
    if not always_open:
        hours = _OPEN_HOURS.get(moment.weekday(), hours)
    if moment.hour not in hours:
        return 0.0
    # Linear between the middles of the hours, so that no rate jumps at the full hour.
    position = moment.hour + moment.minute / 60 - 0.5
    before = math.floor(position)
    part = position - before
    weight = _HOURS[before % 24] * (1 - part) + _HOURS[(before + 1) % 24] * part
    return weight / total * _WEEKDAYS[moment.weekday()]


def _agents(rate: float, manner: ChannelManner, staff: float) -> int:
    """Return the staff by the square-root rule; at least one stays for what is left over."""
    load = rate * (manner.talk + manner.pickup)
    return max(1, round(staff * (load + manner.cushion * math.sqrt(load)) + 0.4))
