"""The boards' PromQL, put together from few building blocks; pure, knows no panel.

- A pair (skill, channel) is judged at its own threshold: what is judged joins the targets
  first, which is also what keeps 1,200 pairs cheap.
- A ratio is a sum of counts over a sum of counts, never an average of ratios.
- `skill_id="all"` and single skills are never added up: `CHOSEN` takes `all` where an operation
  polls it and it is selected, else the single skills. `judged` does so among what has a target,
  and the table by hour among what has counted in that hour.
- Two exporters of one operation count once: the larger sum of the two, or the larger figure.
  `max` stands outside `increase()`, since a maximum of raw counters is no counter.
- What costs, and so what comes first: docs/development/dashboards.md.

What is of now reads raw metrics and works without rules; what goes back hours, or on to the
end of the day or month, reads their records.
"""

from __future__ import annotations

JOB = 'job=~"$job"'
OPERATION = f'{JOB}, operation=~"$operation"'
QUERY = f'{OPERATION}, skill=~"$skill"'
CHANNEL = 'type_interaction=~"$channel"'
SELECTED = f"{QUERY}, {CHANNEL}"
RECORDED = f"{OPERATION}, {CHANNEL}"

PERIODS = ', window=~"today|month"'
ON_QUERY = "on (job, operation, skill_id)"
PAIR = "job, operation, skill_id, type_interaction"
OWN = f"{PAIR}, threshold_seconds"
ON_PAIR, TO_PAIR = f"on ({PAIR})", f"on ({PAIR}) group_left ()"
# Two metrics of one exporter differ in these labels only: such a match needs no `max` before.
TO_AIM, TO_COUNT = "ignoring (window)", "ignoring (threshold_seconds)"
TO_TARGET = "ignoring (window, threshold_seconds)"
HOUR, WEEK = "1h", "1w"
TODAY, MONTH, LONG, MIDDLE = (
    f', window="{one}"' for one in ("today", "month", "long", "middle")
)

CHOSEN = (
    f'(wolkvox_up{{{QUERY}, skill_id="all"}} '
    f'or on (job, operation) wolkvox_up{{{QUERY}, skill_id!="all"}})'
)


def raw(name: str, labels: str = JOB) -> str:
    """One of the exporter's metrics as it is."""
    return f"wolkvox_{name}{{{labels}}}"


def once(expression: str, by: str = "") -> str:
    """The sum of what exporters show, each for itself; of two of one operation the larger."""
    more = f", {by}" if by else ""
    own = f"sum by (job, instance, operation{more}) ({expression})"
    return f"sum{_by(by)} (max by (job, operation{more}) ({own}))"


def total(expression: str, by: str = "") -> str:
    """The sum over what may be added up."""
    return once(f"{expression} and {ON_QUERY} {CHOSEN}", by)


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def named(**columns: str) -> str:
    """One answer of several figures, each with its name in the label `column`."""
    # Only the names are compared, which differ: no need to compare all labels of all series.
    return " or on (column) ".join(
        f'label_replace({expression}, "column", "{name}", "", "")'
        for name, expression in columns.items()
    )


def tagged(expression: str, tags: dict[str, str], by: str = "") -> str:
    """The figure with others as labels, for its legend."""
    for tag, value in tags.items():
        counted = f'count_values{_by(by)} ("{tag}", {value})'
        expression = f"{expression} * on ({by}) group_left ({tag}) {counted}"
    return expression


# Figures by pair --------------------------------------------------------------------------


def shown(name: str, window: str = "today", more: str = "") -> str:
    """A figure as each exporter shows it, of a window or of all."""
    match = f', window="{window}"' if window else ""
    return f"wolkvox_skill_{name}{{{SELECTED}{match}{more}}}"


def aim(name: str) -> str:
    """A target or limit as each exporter shows it."""
    return f"wolkvox_sla_{name}{{{SELECTED}}}"


def judged(name: str) -> str:
    """The targets of what may be added up: those of `all` where it has any, else all."""
    found = f"wolkvox_sla_{name}{{{SELECTED}, skill_id"
    return f'({found}="all"}} or on (job, operation) {found}!="all"}})'


_LEVEL, _TARGET = shown("service_level_ratio"), aim("service_level_target_ratio")
TARGET = f"max by ({OWN}) ({_TARGET})"
JUDGED = judged("service_level_target_ratio")
_AIMED = f"on ({OWN}) group_left () max by ({OWN}) {JUDGED}"
INBOUND = shown("inbound_interactions")


def record(name: str, more: str = "") -> str:
    """A record of the rules by pair; it knows no skill's name, and takes it from a target."""
    return f"wolkvox:{name}{{{RECORDED}{more}}}"


# Sums judged by their targets -------------------------------------------------------------
# Each is (part, whole, above, wanted, weight) of the pairs with an aim: what is added up and
# divided, how much of it is above the aim, and the aims times their weights, with these.

Indicator = tuple[str, str, str, str, str]


def level(window: str = "today") -> Indicator:
    """Service level of a window, each pair at its own threshold."""
    inbound = shown("inbound_interactions", window)
    # Those of the targets' thresholds first: three of each pair are too many to go on with.
    ratio = f"({shown('service_level_ratio', window)} and {TO_AIM} {JUDGED})"
    part = f"round({ratio} * {TO_COUNT} group_left () {inbound})"
    wanted = f"({JUDGED} * {TO_TARGET} group_left () {inbound})"
    whole = f"({inbound} and {TO_COUNT} {ratio})"
    weight = f"({inbound} and {TO_TARGET} {JUDGED})"
    return part, whole, f"({part} - {TO_AIM} {wanted})", wanted, weight


def level_open_hours() -> Indicator:
    """Service level of the last two open hours."""
    ratio, came = (record(f"window:{n}", LONG) for n in ("service_level", "offered"))
    whole = f"({came} and on ({OWN}) {JUDGED})"
    wanted, above = f"({came} * {_AIMED})", f"({ratio} - {_AIMED}) * {came}"
    return f"({whole} * {ratio})", whole, above, wanted, whole


def _limited(part: str, whole: str, weight: str, limit: str) -> Indicator:
    """What is over its limit is above it."""
    wanted, limited = f"({weight} * {TO_AIM} {limit})", f"and {TO_AIM} {limit}"
    above = f"({part} - {TO_AIM} {wanted})"
    return f"({part} {limited})", f"({whole} {limited})", above, wanted, f"({weight} {limited})"


def abandonment(window: str = "today") -> Indicator:
    """Abandoned over inbound, of the pairs with a limit."""
    lost, came = (shown(f"{n}_interactions", window) for n in ("abandoned", "inbound"))
    return _limited(lost, came, came, judged("abandonment_limit_ratio"))


def mean_wait(wait: str, count: str, window: str = "today") -> Indicator:
    """An average wait of the pairs with a limit, weighted by what it is an average of."""
    seconds, counts = shown(f"{wait}_seconds", window), shown(f"{count}_interactions", window)
    waited, of = f"{seconds} * {counts}", f"{counts} and {seconds}"
    return _limited(waited, of, counts, judged("asa_limit_seconds"))


def ratio(indicator: Indicator, by: str = "") -> str:
    """Sums over sums; nothing where the whole is 0."""
    part, whole, *_more = indicator
    return f"{once(part, by)} / ({once(whole, by)} > 0)"


def verdict(indicator: Indicator, good: str, written: str) -> str:
    """The figure with its target as a label, and whether it meets it: `met` is 1 or 0."""
    _part, _whole, above, wanted, weight = indicator
    tags = {
        "target": written.format(f"({once(wanted)} / {once(weight)})"),
        "met": f"(round(sum(max by ({PAIR}) ({above})), 0.000001) {good} bool 0)",
    }
    return tagged(f"({ratio(indicator)})", tags)


def within(seconds: str, window: str = "today", by: str = "") -> str:
    """The service level of a window at one threshold, of every channel and not judged."""
    came = shown("inbound_interactions", window)
    at = shown("service_level_ratio", window, f', threshold_seconds="{seconds}"')
    part, whole = f"round({at} * {TO_COUNT} {came})", f"({came} and {TO_COUNT} {at})"
    return f"{total(part, by)} / ({total(whole, by)} > 0)"


def level_without_target() -> str:
    """The day's service level at the threshold of the board, where nothing has a target."""
    return f"{within('$threshold')} unless on () {TARGET}"


# Pairs in trouble -------------------------------------------------------------------------

# Of the last two open hours only what chance does not explain counts: two standard errors.
_RECENT = record("window:service_level", LONG)
_BAD = f"({_RECENT} and {record('window:z', LONG)} > 2)"


def _levels(sign: str, more: str = "") -> str:
    """The targets less (`-`) the levels of today and of the last two open hours, or above."""
    today = f"{_TARGET} {sign} {TO_AIM} group_right () {_LEVEL}{more}"
    return f"({today} or on (window) {_TARGET} {sign} on ({OWN}) group_left () {_BAD}{more})"


def _limit(figure: str, sign: str) -> str:
    """A figure less its limit, or above it, as each exporter shows it."""
    return f"({shown(figure)} {sign} {TO_AIM} {aim(figure.replace('_', '_limit_'))})"


GAP = f"max by ({PAIR}) {_levels('-')}"
"""How far a pair is below its target: today or in the last two open hours, the worse."""
_OVER = _levels("-", " > 0")
LOST_OVER, SLOW_OVER = _limit("abandonment_ratio", "-"), _limit("asa_seconds", "-")
NAME = f"topk by ({PAIR}) (1, {INBOUND}) ^ 0"


def _at_end(expression: str) -> str:
    """The same at the end of the time that is asked for: found once and not at each step."""
    return expression.replace("}", "} @ end()")


WORST = _at_end(f"topk(15, {GAP} * {ON_PAIR} group_left (skill) {NAME})")
"""Over time: the pairs that are furthest below at the end, so that 1,200 are 15 curves."""
_OF_WORST = f" * {ON_PAIR} group_left (skill) {WORST} ^ 0"
ALERT = 'alertstate="firing", alertname=~"Wolkvox.+", alertname!="WolkvoxWatchdog"'
_LABELS = f'{JOB}, operation=~"$operation|", skill=~"$skill|", type_interaction=~"$channel|"'
_SLI = f'{_LABELS}, sli=~"service_level|abandonment|asa|answering"'
# Compared instead: what is within a limit costs no label.
_LOST, _SLOW = _limit("abandonment_ratio", ">"), _limit("asa_seconds", ">")
TROUBLE = f"({_levels('>')} or {_LOST} or {_SLOW} or ALERTS{{{ALERT}, {_SLI}}})"


def since() -> str:
    """Since when a pair is in trouble: its alert holds, or two hours are below."""
    z = record("window:z", LONG)
    bad = f"({z} and on ({OWN}) {_at_end(z)} > 2)"
    # Moments that were good count above 0 and others below: the last good one is the largest,
    # and where there is none the first bad one is.
    moments = f"max_over_time(((({bad} <= bool 2) * 2 - 1) * time())[12h:15m])"
    recent = f"max by ({PAIR}) (abs({moments}))"
    alert = f"min by ({PAIR}) (ALERTS_FOR_STATE{{{_SLI}}})"
    return f"1000 * min by ({PAIR}) ({named(alert=alert, recent=recent)})"


_NAMES = (
    "wolkvox_skill_(inbound_interactions|abandonment_ratio|asa_seconds)"
    "|wolkvox_sla_service_level_target_ratio|wolkvox:window:service_level|wolkvox:period:needed"
)


def trouble() -> str:
    """Every figure of every pair in trouble, and of no other.

    What has a metric or record of its own is called by its name; all is chosen first and
    named then, since a label costs more than a figure. Where there are most comes last, since
    each `or` goes through all that stands before it.
    """
    own = f'{OPERATION}, skill=~"$skill|", {CHANNEL}, window=~"today|long|"'
    figures = " or on (__name__) ".join(
        (
            named(
                since=since(),
                gap=_OVER,
                lost_over=f"{LOST_OVER} > 0",
                asa_over=f"{SLOW_OVER} > 0",
            ),
            f"({_LEVEL} and {TO_AIM} {_TARGET})",
            f'{{__name__=~"{_NAMES}", {own}}}',
        )
    )
    chosen = f"({figures}) and {ON_PAIR} {TROUBLE}"
    columns = f'label_join({chosen}, "column", "", "__name__", "column")'
    return f"max by ({PAIR}, column) ({columns}) * {ON_PAIR} group_left (skill) {NAME}"


def worst() -> str:
    """How many percentage points the furthest are below their targets, with these."""
    target = {"target": f"round(100 * {TARGET}, 0.1)"}
    gap = tagged(f"topk(3, max by ({PAIR}) {_OVER})", target, PAIR)
    return f"sort_desc(100 * {gap} * {ON_PAIR} group_left (skill) {NAME})"


def none_below() -> str:
    """How many pairs have a target, where none is below it."""
    return f"count({TARGET}) unless on () {_levels('>')}"


def strip() -> str:
    """Distance to the target by half hour, of the worst pairs of now.

    Series come in the order of their labels, so a first label that counts from the worst up
    puts these first.
    """
    rank = f'count_values by ({PAIR}, skill) ("distance", round(1 - {WORST}, 0.0001))'
    level = record("window:service_level", MIDDLE)
    ranked = f"({level} * {ON_PAIR} group_left (distance, skill) {rank})"
    return f"{ranked} - {TO_PAIR} max by ({PAIR}) ({_at_end(_TARGET)})"


# By hour, and the rest of the day and month -----------------------------------------------


def hourly(offset: str = "") -> dict[str, str]:
    """Volumes, service level and ASA of the hour that ends at each step."""
    back = offset and f" offset {offset}"

    def grown(name: str, more: str = "") -> str:
        return f"increase(wolkvox{name}{{{SELECTED}{more}}}[{HOUR}]{back})"

    def hour(name: str) -> str:
        # `all` where it has any, else the single skills: so few sums are cheaply compared.
        whole, single = (
            f"sum by (job, instance, operation) ({grown(name, more)})"
            for more in (', skill_id="all"', ', skill_id!="all"')
        )
        return f"sum(max by (job, operation) ({whole} or on (job, operation) {single}))"

    slow = f" and {ON_PAIR} {_at_end(judged('asa_limit_seconds'))}"
    waited, answered = (
        once(grown(f"_skill_answer_wait_seconds_{n}") + slow) for n in ("sum", "count")
    )
    # Counters that rules pick out of raw ones keep the name of the skill, and are of pairs with
    # a target only: what may be added up of them is what `judged` judges.
    within, came = (hour(f":within:{n}") for n in ("total", "offered"))
    return {
        "inbound": f"round({hour('_skill_offered_interactions_total')})",
        "answered": f"round({hour('_skill_answer_wait_seconds_count')})",
        "abandoned": f"round({hour('_skill_abandon_wait_seconds_count')})",
        "level": f"{within} / ({came} > 0)",
        "asa": f"{waited} / ({answered} > 0)",
    }


_WITHIN, _CAME = (
    f"({record(f'shown:{n}', TODAY)} or on (window) {record(f'period:{n}', MONTH)})"
    for n in ("within", "offered")
)
_EXPECTED = record("period:expected")
_JUDGED_QUERY = (
    f'(wolkvox_up{{{QUERY}, skill_id="all"}} and on (job, operation) '
    f'wolkvox_sla_service_level_target_ratio{{{SELECTED}, skill_id="all"}} '
    f'or on (job, operation) wolkvox_up{{{QUERY}, skill_id!="all"}})'
)
"""The queries that `judged` judges: records are of pairs with a target only."""


def _judged_sum(expression: str, by: str = "operation, window") -> str:
    return f"sum by ({by}) ({expression} and {ON_QUERY} {_JUDGED_QUERY})"


def outlook() -> str:
    """The day and the month: so far, late left, what the rest needs, where it is heading."""
    left, end = record("period:late_left", PERIODS), record("period:projected")
    whole, came, within = f"({_CAME} + {_EXPECTED})", _judged_sum(_CAME), _judged_sum(_WITHIN)
    # What is left is what was in time less what had to be.
    so_far = named(level=within, target=f"{within} - {_judged_sum(left)}")
    rest = _judged_sum(f"{_EXPECTED} and {left}")
    more = named(
        left=f"floor({_judged_sum(left)} + 0.0001)",
        needed=f"sum by (operation, window) ({_EXPECTED} * {_AIMED} - {left}) / ({rest} > 0)",
        projected=f"{_judged_sum(f'{end} * {whole}')} / {_judged_sum(f'({whole} and {end})')}",
    )
    shares = f"({so_far}) / on (operation, window) group_left () ({came} > 0)"
    return f"round({shares}, 0.000000001) or on (column) {more}"


def reach() -> tuple[str, str]:
    """Late answers that the day still allows, or that it is lost; both numbers as labels."""
    came, within = record("shown:offered", TODAY), record("shown:within", TODAY)
    expected = record("period:expected", TODAY)
    late = _judged_sum(f"({came} - {within})", "window")
    share = f"(({came} + {expected}) * on ({OWN}) group_left () (1 - max by ({OWN}) {JUDGED}))"
    allowed = f"floor(sum by (window) {share} + 0.0001)"
    tags = {"late": late, "allowed": allowed}
    can = f"({allowed} - {late} >= 0)"
    return tagged(can, tags, "window"), tagged(f"({late} > {allowed}) ^ 0", tags, "window")


def levels() -> tuple[str, str]:
    """The service level over half hours of the worst pairs of now, and their targets."""
    level, aim = record("window:service_level", MIDDLE), record("service_level:target")
    return level + _OF_WORST, aim + _OF_WORST


# The state of the data --------------------------------------------------------------------


def age() -> str:
    """How many of its own polls the oldest query is behind."""
    last = raw("last_success_timestamp_seconds", QUERY)
    success = f"time() - max by (job, operation, skill_id, skill) ({last})"
    pace = f"max by (job, operation, skill_id) ({raw('query_interval_seconds', QUERY)})"
    return f"topk(1, ({success}) / {ON_QUERY} group_left () {pace})"


def reporting() -> str:
    """The part of the queries that show figures of today."""
    seen = f"count by (job, operation, skill_id) ({INBOUND})"
    return f"count({seen}) / count(count by (job, operation, skill_id) ({raw('up', QUERY)}))"


def alerts_since() -> str:
    """Each firing alert with the moment since which its condition holds, in milliseconds."""
    held = f'ALERTS_FOR_STATE{{alertname=~"Wolkvox.+", {_LABELS}}}'
    return f"{held} * 1000 and ignoring (alertstate) ALERTS{{{ALERT}, {_LABELS}}}"


def if_any(expression: str, by: str) -> str:
    """What is above 0; where nothing is, one 0 instead of one for each label."""
    return f"{expression} > 0 or 0 * sum by ({by}) ({expression})"
