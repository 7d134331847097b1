"""The boards' PromQL, put together from few building blocks; pure, knows no panel.

Three rules are kept here, once:

- A ratio is a sum of counts over a sum of counts, never an average of ratios.
- `skill_id="all"` and single skills are never added up: `chosen` takes the single skills
  of an operation where it polls any that are selected, else its `all`.
- Two exporters of one operation count once: `max without (instance, pod)` stands around
  each selector, and outside `increase()`, since a maximum of raw counters is no counter.

The raw metrics are used, not recording rules: the boards work where no rules are loaded.
"""

from __future__ import annotations

QUERY = 'job=~"$job", operation=~"$operation", skill=~"$skill"'
SELECTED = f'{QUERY}, type_interaction=~"$channel"'
OPERATION = 'job=~"$job", operation=~"$operation"'
JOB = 'job=~"$job"'

ON_QUERY = "on (job, operation, skill_id)"
PAIR = "job, operation, skill_id, type_interaction"
ROW = "operation, skill, skill_id, type_interaction"
HALF_HOUR, HOUR = "30m", "1h"
WEEK = "1w"

CHOSEN = (
    f'(wolkvox_up{{{QUERY}, skill_id!="all"}} '
    f'or on (job, operation) wolkvox_up{{{QUERY}, skill_id="all"}})'
)
TARGET = (
    f"max by ({PAIR}) (wolkvox_sla_service_level_target_ratio"
    f'{{{SELECTED}, threshold_seconds="$threshold"}})'
)
# A pair with any target, whatever it is about, has a minimum volume.
TARGETED = f"max by ({PAIR}) (wolkvox_sla_min_interactions{{{SELECTED}}})"


def once(expression: str, *more: str) -> str:
    """One series where several exporters give the same; drops `more` labels as well."""
    return f"max without ({', '.join(('instance', 'pod', *more))}) ({expression})"


def chosen(expression: str) -> str:
    """What may be added up: single skills, or `all` where none is polled."""
    return f"{expression} and {ON_QUERY} {CHOSEN}"


def total(expression: str, by: str = "") -> str:
    """The sum over what may be added up."""
    return f"sum{_by(by)} ({chosen(expression)})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


# Counts -----------------------------------------------------------------------------------


def day(name: str, window: str = "today", offset: str = "") -> str:
    """A figure of the day, as the gauge tells it."""
    window = f'window="{window}"' if window else 'window=~"today|yesterday"'
    back = f" offset {offset}" if offset else ""
    return once(f"wolkvox_skill_{name}{{{SELECTED}, {window}}}{back}")


def day_within(window: str = "today", threshold: str = "$threshold") -> str:
    """The interactions of the day answered in time: the ratio times its inbound is a count."""
    match = f'window="{window}"' if window else 'window=~"today|yesterday"'
    ratio = once(
        f"wolkvox_skill_service_level_ratio{{{SELECTED}, {match}, "
        f'threshold_seconds="{threshold}"}}',
        "threshold_seconds",
    )
    return f"round({ratio} * {day('inbound_interactions', window)})"


def grown(name: str, span: str, offset: str = "") -> str:
    """What a counter grew in a span."""
    back = f" offset {offset}" if offset else ""
    return once(f"increase(wolkvox_skill_{name}{{{SELECTED}}}[{span}]{back})")


def offered(span: str, offset: str = "") -> str:
    """What came in in a span."""
    return grown("offered_interactions_total", span, offset)


def within(span: str, offset: str = "", bound: str = "${threshold}.0") -> str:
    """What was answered in time in a span."""
    back = f" offset {offset}" if offset else ""
    buckets = f'wolkvox_skill_answer_wait_seconds_bucket{{{SELECTED}, le="{bound}"}}'
    return once(f"increase({buckets}[{span}]{back})", "le")


# Ratios of counts -------------------------------------------------------------------------


def ratio(part: str, whole: str, by: str = "", only: str = "") -> str:
    """Sums over sums; nothing where the whole is 0. `only` limits both to some pairs."""
    limit = f" and on ({PAIR}) {only}" if only else ""
    return f"{total(part + limit, by)} / ({total(whole + limit, by)} > 0)"


def preferring(pairs: str, part: str, whole: str, by: str = "", match: str = "") -> str:
    """The ratio over the pairs that have a target; over all of them where none has one."""
    on = match or by
    return (
        f"{ratio(part, whole, by, pairs)} or "
        f"({ratio(part, whole, by)} unless on ({on}) count{_by(on)} ({pairs}))"
    )


def goal(weight: str, by: str = "") -> str:
    """The target of what is summed up: each pair's own, weighted by its volume."""
    weighted = f"{weight} * on ({PAIR}) group_left () {TARGET}"
    return f"{total(weighted, by)} / {total(f'{weight} and on ({PAIR}) {TARGET}', by)}"


def level_today(by: str = "") -> str:
    """Service level of the day, over the pairs with a target where there are any."""
    return preferring(TARGET, day_within(), _rated(), by)


def _rated() -> str:
    # A row whose service level could not be read is in neither sum.
    return f"({day('inbound_interactions')} and {day_within()})"


def judged(part: str, whole: str) -> tuple[str, str, str]:
    """A service level three times, of which one answers: on target, below it, no target."""
    level = ratio(part, whole, only=TARGET)
    return (
        f"{level} >= {goal(whole)}",
        f"{level} < {goal(whole)}",
        f"{ratio(part, whole)} unless on () {TARGET}",
    )


def judged_today() -> tuple[str, str, str]:
    """The day's service level: on target, below it, without one."""
    return judged(day_within(), _rated())


def judged_window() -> tuple[str, str, str]:
    """The service level of the recent window: on target, below it, without one."""
    return judged(within("$window"), offered("$window"))


def mean_wait(wait: str, count: str, window: str = "today", by: str = "") -> str:
    """An average wait of the day: weighted by the interactions it is an average of."""
    seconds, counts = day(f"{wait}_seconds", window), day(f"{count}_interactions", window)
    part, whole = f"({seconds} * {counts})", f"({counts} and {seconds})"
    return preferring(TARGETED, part, whole, by)


def abandonment(window: str = "today", by: str = "") -> str:
    """Abandoned over inbound of the day."""
    part, whole = (day(f"{name}_interactions", window) for name in ("abandoned", "inbound"))
    return preferring(TARGETED, part, whole, by)


# Rows of a (skill, channel) ---------------------------------------------------------------


def row_level(span: str) -> str:
    """Service level of a span, by skill and channel."""
    return ratio(within(span), offered(span), ROW)


def enough(span: str) -> str:
    """The pairs with the volume below which a ratio says nothing (20 where none is set)."""
    volume = f"sum by ({PAIR}) ({offered(span)})"
    return f"({volume} >= {TARGETED} or ({volume} >= 20 unless on ({PAIR}) {TARGETED}))"


def masked_level(span: str) -> str:
    """`row_level` where the volume is enough."""
    return ratio(within(span), offered(span), ROW, enough(span))


def row_target() -> str:
    """The target by skill and channel, with the skill's name."""
    return f"max by ({ROW}) ({chosen(_named_target())})"


def _named_target() -> str:
    labels = f'{SELECTED}, threshold_seconds="$threshold"'
    return f"wolkvox_sla_service_level_target_ratio{{{labels}}}"


def shortfall(span: str) -> str:
    """How far the service level of a span lies below the target: positive is bad."""
    return f"{row_target()} - on ({ROW}) ({masked_level(span)})"


def answers_to_recover(by: str = "") -> str:
    """Answers in time, in a row, until the day is back on target: 0 where it is.

    x more within of x more inbound: (within + x) / (inbound + x) = target.
    """
    inbound = day("inbound_interactions")
    missing = f"({inbound} * on ({PAIR}) group_left () {TARGET} - {day_within()})"
    needed = f"{missing} / on ({PAIR}) group_left () (1 - {TARGET})"
    # 0.2 is not 1 - 0.8 to the last bit, and `ceil` would make one answer more of it.
    return total(f"ceil(clamp_min(round({needed}, 0.0001), 0))", by)


def budget_used() -> str:
    """The part of the allowed late answers that the day has used up."""
    level = ratio(day_within(), _rated(), only=TARGET)
    return f"(1 - {level}) / (1 - {goal(_rated())})"


def heat(span: str) -> str:
    """Service level of a span by skill, over its pairs with a target where it has any."""
    by = "operation, skill, skill_id"
    return preferring(TARGET, within(span), offered(span), by, "operation, skill_id")


# The state of the data --------------------------------------------------------------------


def age(by: str = "") -> str:
    """Seconds since the last good answer: of the oldest query."""
    success = once(f"wolkvox_last_success_timestamp_seconds{{{QUERY}}}")
    return f"max{_by(by)} (time() - {chosen(success)})"


def reporting() -> str:
    """The part of the queries that show figures of today."""
    seen = f"count by (job, operation, skill_id) ({day('inbound_interactions')})"
    return f"count({chosen(seen)}) / count(count by (job, operation, skill_id) ({CHOSEN}))"


ALERT = 'alertstate="firing", alertname=~"Wolkvox.+", alertname!="WolkvoxWatchdog"'


def alerts_firing() -> str:
    """Alerts on service level and the like; nothing at all where no rules are loaded."""
    about = 'sli=~"service_level|abandonment|asa|answering|traffic"'
    found = f"count(ALERTS{{{ALERT}, {_alert_labels()}, {about}}})"
    return f'{found} or 0 * max(ALERTS{{alertname="WolkvoxWatchdog", job=~"$job|"}})'


def alerts_since() -> str:
    """Each firing alert with the moment since which its condition holds, in milliseconds."""
    since = f'ALERTS_FOR_STATE{{alertname=~"Wolkvox.+", {_alert_labels()}}}'
    return f"{since} * 1000 and ignoring (alertstate) ALERTS{{{ALERT}, {_alert_labels()}}}"


def _alert_labels() -> str:
    return f'{JOB}, operation=~"$operation|", skill=~"$skill|", type_interaction=~"$channel|"'


# The exporter itself ----------------------------------------------------------------------


def raw(name: str, labels: str = JOB) -> str:
    """One of the exporter's metrics as it is."""
    return f"wolkvox_{name}{{{labels}}}"


def if_any(expression: str, by: str) -> str:
    """What is above 0; where nothing is, one 0 instead of one for each label."""
    return f"{expression} > 0 or 0 * sum by ({by}) ({expression})"
