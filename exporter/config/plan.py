"""What `--config.check` prints: the requests of a full day and what opening hours mean; pure.

The poller uses the same arithmetic for what is left of a day as `plan` does for a whole one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from exporter.config.hours import UNCHANGED, Change, OpenHours, holiday_test, holidays_from
from exporter.config.model import UNLICENSED_DAILY_REQUESTS, Configuration, Operation, sla_hours
from exporter.config.notation import DAYS, write_spans
from exporter.config.values import Invalid, format_duration
from exporter.messages import Words, catalogue
from exporter.wolkvox.windows import DAY, DAY_SECONDS, day_start, local_day


@dataclass(frozen=True, slots=True)
class Load:
    """One query: polled every `interval` seconds during `seconds` of the day."""

    interval: float
    seconds: float


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """One operation's share of a full day at the intervals that are configured.

    `fixed` counts the requests that are no poll; `per_skill` is what each skill found adds
    where the skills are not known yet, else 0. `closed`: poll_hours do not open any more.
    """

    operation: Operation
    loads: tuple[Load, ...]
    fixed: int
    per_skill: int
    closed: bool = False

    @property
    def calls(self) -> int:
        """All requests of the day."""
        return calls_of(self.loads) + self.fixed


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """All operations of one token. `stretched`: the shortest interval in force, in seconds.

    None where no interval fits; equal to the shortest configured one where all fits.
    """

    operations: tuple[OperationPlan, ...]
    calls: int
    ceiling: int | None
    stretched: float | None

    @property
    def names(self) -> str:
        """The names of its operations, for people."""
        return ", ".join(one.operation.name for one in self.operations)


def calls_of(loads: Sequence[Load], shortest: float = 0.0) -> int:
    """Count the requests of queries, none of which is polled oftener than every `shortest`."""
    total = sum(load.seconds / max(load.interval, shortest) for load in loads)
    return math.ceil(total - 1e-6)  # what rounding adds is no request


def stretch(loads: Sequence[Load], fixed_calls: int, ceiling: int) -> float | None:
    """Return the shortest interval m with which the requests of a day keep under the ceiling.

    That is the smallest m with sum(seconds / max(interval, m)) + fixed_calls <= ceiling.
    Where all fits, m is the shortest interval (0 without queries); where nothing fits, it is
    None.
    """
    budget = ceiling - fixed_calls
    queue = sorted((load for load in loads if load.seconds > 0), key=lambda one: one.interval)
    if budget < 0:
        return None
    if calls_of(queue) <= budget:
        return min((load.interval for load in loads), default=0.0)
    stretched = 0.0
    slower = sum(load.seconds / load.interval for load in queue)
    for position, load in enumerate(queue, start=1):
        # The `position` quickest queries share m; the slower ones keep their interval.
        stretched += load.seconds
        slower -= load.seconds / load.interval
        left = budget - slower
        following = queue[position].interval if position < len(queue) else math.inf
        if left > 0 and stretched / left <= following:
            return stretched / left
    return None


def other_calls(operation: Operation) -> int:
    """Return the requests of a day that are no query: token_info each hour, skills once."""
    return 24 * operation.token_info + operation.discover


def plan_operation(operation: Operation, now: datetime) -> OperationPlan:
    """Count one operation's requests of a full day: its queries, token_info and skills.

    The request that closes a day takes the place of the first poll of the next one; only where
    poll_hours leave no poll at midnight it comes on top.
    """
    hours = OpenHours(operation.poll_hours, operation.timezone)
    seconds, closing = DAY_SECONDS, False
    if operation.poll_hours is not None:  # the busiest of the coming seven days
        today = local_day(now, operation.timezone)
        days = [day_start(today + ahead * DAY, operation.timezone) for ahead in range(8)]
        found = ((hours.open_seconds(*day), hours.wait(day[0]) > 0) for day in pairwise(days))
        seconds, closing = max(found)
    loads = [Load(skill.interval or operation.interval, seconds) for skill in operation.skills]
    one = calls_of([Load(operation.interval, seconds)]) + closing
    return OperationPlan(
        operation,
        tuple(loads),
        fixed=closing * len(loads) + other_calls(operation),
        per_skill=one if operation.discover else 0,
        closed=hours.state(now.timestamp()) == (False, None),
    )


def plan(configuration: Configuration, now: datetime) -> tuple[TokenPlan, ...]:
    """Plan a full day of every token; `now` (aware) says which week poll_hours are read in."""
    token_of = {name: names[0] for names in configuration.shared_tokens for name in names}
    groups: dict[str, list[OperationPlan]] = {}
    for operation in configuration.operations:
        group = groups.setdefault(token_of.get(operation.name, operation.name), [])
        group.append(plan_operation(operation, now))
    tokens = []
    for group in groups.values():
        ceiling, fixed = group[0].operation.daily_requests, sum(one.fixed for one in group)
        loads = [load for one in group for load in one.loads]
        shortest = min((load.interval for load in loads), default=0.0)
        stretched = shortest if ceiling is None else stretch(loads, fixed, ceiling)
        tokens.append(TokenPlan(tuple(group), calls_of(loads) + fixed, ceiling, stretched))
    return tuple(tokens)


def plan_warnings(tokens: Sequence[TokenPlan], language: str = "en") -> list[str]:
    """Return a sentence for each token that is likely to be too costly, or is never used."""
    found = []
    for token in tokens:
        if token.ceiling is None and token.calls > UNLICENSED_DAILY_REQUESTS:
            found.append(Invalid("plan_costly", name=token.names, requests=token.calls))
    for one in (one for token in tokens for one in token.operations if one.closed):
        found.append(Invalid("poll_hours_never", name=one.operation.name))
    return [one.text(language) for one in found]


def render_plan(tokens: Sequence[TokenPlan], language: str = "en") -> str:
    """Lay the plan out as a table for a terminal, with the warnings below."""
    words = Words(language)
    head = (*words.text("tools.plan.head").split(), "")
    rows = [head, *(_row(token, one, words) for token in tokens for one in token.operations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += (f"warning: {warning}" for warning in plan_warnings(tokens, language))
    return "\n".join(lines) + "\n"


def _row(token: TokenPlan, one: OperationPlan, words: Words) -> tuple[str, ...]:
    operation = one.operation
    polled = [load.interval for load in one.loads] or [operation.interval]
    return (
        operation.name,
        operation.server,
        operation.timezone.key,
        "discover" if one.per_skill else str(len(one.loads)),
        "-".join(dict.fromkeys(map(format_duration, (min(polled), max(polled))))),
        f"{one.calls} + {one.per_skill}/skill" if one.per_skill else str(one.calls),
        "-" if token.ceiling is None else str(token.ceiling),
        _verdict(token, words),
    )


def _verdict(token: TokenPlan, words: Words) -> str:
    """Say in a few words what the day will be like."""
    per_skill = max(one.per_skill for one in token.operations)
    if token.ceiling is None:
        said = words.text("tools.plan.no_ceiling")
    elif token.stretched is None:
        said = words.text("tools.plan.nothing_left")
    elif token.calls > token.ceiling:
        interval = format_duration(math.ceil(token.stretched))
        said = words.text("tools.plan.stretched", interval=interval)
    elif per_skill:
        said = words.text("tools.plan.room", count=(token.ceiling - token.calls) // per_skill)
    else:
        said = words.text("tools.plan.fits")
    if len(token.operations) > 1:
        together = words.text("tools.plan.shared", names=token.names, requests=token.calls)
        return f"{together}; {said}"
    return said


# What the opening hours mean, day by day -----------------------------------------------------

Use = tuple[str, ZoneInfo, str | None, Change]


def render_hours(configuration: Configuration, now: datetime, language: str) -> str:
    """Write a paragraph for each distinct expression; its week begins at `now` (aware)."""
    uses: dict[Use, list[str]] = {}
    for operation in configuration.operations:
        polled = [(operation.poll_hours, None, UNCHANGED)] if operation.poll_hours else []
        in_force = sorted(sla_hours(operation), key=lambda one: (one[0], one[1] or ""))
        for expression, country, change in (*polled, *in_force):
            names = uses.setdefault((expression, operation.timezone, country, change), [])
            if operation.name not in names:
                names.append(operation.name)
    lines = (("", *_paragraph(*one, now, language)) for one in uses.items())
    return "".join(f"{line}\n" for paragraph in lines for line in paragraph)


def _paragraph(use: Use, names: list[str], now: datetime, language: str) -> Iterator[str]:
    expression, zone, country, change = use
    hours = OpenHours(expression, zone, holiday_test(country, change))
    today = local_day(now, zone)
    yield "  ".join((f'"{expression}"', ", ".join(names), zone.key, *filter(None, [country])))
    for day in (today + ahead * DAY for ahead in range(7)):
        spans = write_spans(hours.beginning_on(day)) or "closed"
        yield f"{DAYS[day.weekday()]} {day}  {spans}"
    if country:
        yield "holidays:"
        added = catalogue(language)["config.holiday_added"]
        for day, name in islice(holidays_from(today, country, change, language), 5):
            yield f"{day} {name or added}"
