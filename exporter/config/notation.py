"""Opening hours in OpenStreetMap's notation: read, and refused where they are doubtful; pure.

No library reads them: to refuse what would silently mean something else, all of the notation
that is used has to be known anyway, and the libraries cut a range past midnight where the next
day has a rule of its own, while here a night shift belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import product

from exporter.config.values import Invalid, text

MIDNIGHT = 24 * 60
WHOLE_DAY = ((0, MIDNIGHT),)
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEK = frozenset((weekday, 0) for weekday in range(7))
_NAMES = {name.casefold(): name for name in (*DAYS, *MONTHS, "PH", "off", "closed", "open")}
# What other names mean, in English and Spanish, by their first letters.
_MEANT = {
    **{month.casefold(): month for month in MONTHS},
    **dict(mart="Tu", ene="Jan", abr="Apr", ago="Aug", set="Sep", dic="Dec"),
    **{day.casefold(): day for day in DAYS},
    **dict(lu="Mo", ma="Tu", mi="We", ju="Th", vi="Fr", sá="Sa", do="Su"),
    **dict(fes="PH", fer="PH", hol="PH", cer="off", clo="off", week=""),
}

_MONTH, _DAY = rf"(?:{'|'.join(MONTHS)})\b", rf"(?:{'|'.join(DAYS)})\b"
_YEAR, _TIME = "[1-9][0-9]{3}", "[0-9]{1,2}:[0-9]{2}"
_NUMBER = r"[0-9]{1,2}\b(?!:)"
_DATE = rf"(?:{_YEAR} +)?{_MONTH}(?: +{_NUMBER})?"
_DATES = rf"(?:{_DATE}(?:-{_DATE}|-{_NUMBER})?(?:,{_NUMBER})*|{_YEAR}(?:-{_YEAR}|\+)?)"
_NAMED = rf"(?:PH|{_DAY}(?:-{_DAY}|\[-?[1-5](?:,-?[1-5])*\])?)"
_SPAN = rf"{_TIME} *- *{_TIME}"
_RULE = re.compile(
    rf"(?P<dates>{_DATES}(?:,{_DATES})*)? *(?P<days>{_NAMED}(?:,{_NAMED})*)? *"
    rf'(?P<times>24/7|{_SPAN}(?:, *{_SPAN})*)? *(?P<state>off|closed|open)? *(?P<comment>"")?',
    re.IGNORECASE,
)
_WORD = r"[^\W\d_]+"
_LIST = re.compile(rf"{_WORD}(?:(?: *[-–,] *| (?:a|al|to|thru|y|e|and) ){_WORD})*")

Span = tuple[int, int]
"""Minutes from the midnight that begins a day; the end is 48:00 at most."""
Day = tuple[int, int, int]
"""Year, month, day; the year is 0 for every year."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of an expression.

    `days` are weekdays, each with which one of the month (0: all, -1: the last). `added`:
    behind a comma; its times join those of the rules before it and do not replace them.
    """

    text: str
    dates: tuple[tuple[Day, Day], ...]
    days: frozenset[tuple[int, int]]
    holidays: bool
    times: tuple[Span, ...]
    off: bool
    added: bool

    def in_season(self, day: date) -> bool:
        """Return whether its dates, if it has any, include a day."""
        return not self.dates or any(_within(day, first, last) for first, last in self.dates)

    def applies(self, day: date, is_holiday: Callable[[date], bool]) -> bool:
        """Return whether it is for a day."""
        left = monthrange(day.year, day.month)[1] - day.day
        which = (0, (day.day + 6) // 7, -(left // 7) - 1)
        named = any((day.weekday(), one) in self.days for one in which)
        return self.in_season(day) and (named or (self.holidays and is_holiday(day)))

    def names(self, weekday: int, *, holiday: bool) -> str:
        """Return by what it is for such days: the `weekday`, `PH` alone, or nothing."""
        if any(weekday == one for one, _ in self.days):
            return "weekday"
        return "PH" if self.holidays and holiday else ""

    @property
    def spans(self) -> tuple[Span, ...]:
        """Its times; the whole day where it gives none."""
        return self.times or WHOLE_DAY

    @property
    def special(self) -> bool:
        """Whether it is an exception from the week: dates, `Sa[1]`, holidays, a break."""
        holidays = self.holidays and (self.off or not self.days)
        a_break = self.off and bool(self.times)
        return bool(self.dates) or holidays or a_break or any(one for _, one in self.days)


def _within(day: date, first: Day, last: Day) -> bool:
    at = (day.year if first[0] else 0, day.month, day.day)
    return first <= at <= last if first <= last else at >= first or at <= last


# Reading ----------------------------------------------------------------------------------


def hours(value: object) -> str:
    """Take an expression that means what it seems to mean."""
    expression = text(value)
    read(expression)
    return expression


def poll_hours(value: object) -> str:
    """Take an expression that needs no country."""
    expression = hours(value)
    if names_holidays(expression):
        raise Invalid("poll_hours_holidays")
    return expression


def names_holidays(expression: str) -> bool:
    """Return whether an expression speaks of holidays, which only a country knows."""
    return any(rule.holidays for rule in read(expression))


@lru_cache(maxsize=4096)
def read(expression: str) -> tuple[Rule, ...]:
    """Read the rules of an expression; raise Invalid where it cannot be read or is doubtful."""
    written = re.sub(" +", " ", re.sub('"[^"]*"', '""', expression)).strip("; ")
    _check_words(written)
    rules = tuple(
        _rule(one.strip(), added=number > 0)
        for part in written.split(";")
        # A comma between times and days begins a rule that adds its times.
        for number, one in enumerate(re.split("(?<=:[0-9]{2}), *(?=[A-Za-z]|[0-9]{4})", part))
    )
    timed = any(rule.times for rule in rules if not rule.off)
    nights = any(end > MIDNIGHT for rule in rules for _, end in rule.times)
    for rule in rules:
        if timed and not rule.times and not rule.off:
            raise Invalid("hours_untimed", quoted=rule.text)
        if nights and rule.times and rule.off:
            raise Invalid("hours_off_times", quoted=rule.text)
    _check_order(rules)
    return rules


def _check_words(written: str) -> None:
    """Refuse names that the notation lacks, with those it has in their place."""
    if re.search(r"\bSH\b", written, re.I):
        raise Invalid("hours_school")
    if re.search(r"\b(?:sunrise|sunset|dawn|dusk)\b", written, re.I):
        raise Invalid("hours_sun")
    for found in _LIST.findall(written):
        joined = re.sub(" *[-–] *| (?:a|al|to|thru) ", "-", found)
        joined = re.sub(" *, *| (?:y|e|and) ", ",", joined)
        pieces = re.split(f"({_WORD})", joined)
        names = [_meaning(word) for word in pieces[1::2]]
        both = zip(names, pieces[1::2], strict=True)
        strange = [name for name, word in both if word.casefold() not in _NAMES]
        if not set(DAYS).isdisjoint(strange):
            names = ["Tu" if name == "Mar" else name for name in names]  # martes, not March
        if all(names) and (strange or joined != re.sub(", +", ",", found)):
            pieces[1::2] = names
            raise Invalid("hours_names", quoted=found, written="".join(pieces))


def _meaning(word: str) -> str:
    """Return the name that the notation has for a word, or nothing."""
    folded = word.casefold()
    known = (_MEANT.get(folded[:length]) for length in (4, 3, 2))
    return _NAMES.get(folded) or next((name for name in known if name is not None), "")


def _rule(written: str, *, added: bool) -> Rule:
    tight = re.sub("(?<!:[0-9]{2}), +", ",", written)
    if tight != written and _RULE.fullmatch(tight):
        raise Invalid("hours_comma", quoted=written, written=tight)
    found = _RULE.fullmatch(written)
    if not found or not written:
        begun = _RULE.match(written)
        rest = written[begun.end() if begun else 0 :]
        raise Invalid("hours_at" if rest else "hours_untimed", quoted=rest[:20])
    written = written.removesuffix('""').rstrip()
    dates, days, times = found["dates"], found["days"], found["times"]
    off = (found["state"] or "open").casefold() != "open"
    if times == "24/7" and (dates or days):
        raise Invalid("hours_at", quoted=times)
    if not (times or off) and (found["comment"] or not days):
        raise Invalid("hours_untimed", quoted=written)
    weekdays, holidays = _days(days) if days else (WEEK, False)
    spans = tuple(map(_span, re.findall(_SPAN, times or "")))
    if times == "24/7" and not off:
        spans = WHOLE_DAY
    seasons, month = [], ""
    for one in dates.split(",") if dates else ():
        seasons.append(_dates(f"{month} {one}" if len(one) < 3 else one))  # Dec 24,31
        month = "".join(re.findall(rf"(?:{_YEAR} )?{_MONTH}", one, re.I)[-1:]) or month
    if len({first[0] > 0 for first, _ in seasons}) > 1:
        raise Invalid("hours_dates", quoted=dates)
    return Rule(written, tuple(seasons), weekdays, holidays, spans, off, added)


def _days(written: str) -> tuple[frozenset[tuple[int, int]], bool]:
    """Read `Mo-Fr,Su[1,-1],PH`: the weekdays, and whether holidays are named."""
    found: set[tuple[int, int]] = set()
    items = re.findall(_NAMED, written.title(), re.I)
    for item in items:
        named = [DAYS.index(day) for day in re.findall(_DAY, item)]
        which = [int(one) for one in re.findall("-?[0-9]", item)] or [0]
        for ahead in range((named[-1] - named[0]) % 7 + 1 if named else 0):
            found |= {((named[0] + ahead) % 7, one) for one in which}
    return frozenset(found), "Ph" in items


def _dates(written: str) -> tuple[Day, Day]:
    """Read `Dec 24-Jan 06`, `Dec 24-26`, `Jun-Aug`, `2026 Dec 24` or `2026-2027`."""
    first, _, last = written.partition("-")
    if re.fullmatch(rf"{_YEAR}\+?", first):
        years = int(first[:4]), int(last or ("9999" if "+" in first else first))
        begin, end = (years[0], 1, 1), (years[1], 12, 31)
    else:
        begin = _date(first)
        end = _date(f"{first.rstrip('0123456789')} {last}" if last.isdigit() else last or first)
        end = (end[0] or begin[0], *end[1:])
        if (begin[0] == 0) != (end[0] == 0) or (begin[2] == 0) != (end[2] == 0):
            raise Invalid("hours_dates", quoted=written)
        end = (*end[:2], end[2] or 31)
    if end < begin and (begin[0] or end[1] == begin[1]):
        raise Invalid("hours_dates", quoted=written)
    return begin, end


def _date(written: str) -> Day:
    """Read a day; a month without one is its day 0."""
    parts = written.split()
    year = int(parts.pop(0)) if parts[0].isdigit() else 0
    month = MONTHS.index(parts[0].capitalize()) + 1
    if len(parts) == 1:
        return year, month, 0
    if not 1 <= int(parts[1]) <= monthrange(year or 2028, month)[1]:
        raise Invalid("hours_date", quoted=written)
    return year, month, int(parts[1])


def _span(written: str) -> Span:
    """Read `22:00-06:00` or `22:00-30:00`."""
    first, minute, last, last_minute = map(int, re.findall("[0-9]+", written))
    begin, end = 60 * first + minute, 60 * last + last_minute
    if max(minute, last_minute) > 59 or begin >= MIDNIGHT or end > 2 * MIDNIGHT:
        raise Invalid("hours_time", quoted=written)
    return begin, end if end > begin else end + MIDNIGHT


def _check_order(rules: Sequence[Rule]) -> None:
    """Refuse a rule that later ones replace: wholly, or its weekdays, or its other holidays."""
    meetings = _meetings(rules)
    for number, rule in enumerate(rules):
        left = {one for one in meetings if one[number]}
        parts = {one[number] for one in left}
        for place, later in enumerate(rules[number + 1 :], number + 1):
            shared = {one for one in left if one[place]}
            replaces = rule.off or not later.added
            if later.off:
                replaces = not rule.off and not later.times
            if shared and replaces:
                if not any(which for _, which in later.days):
                    left -= shared
                _check_pair(rule, later, gone={one[number] for one in left} != parts)


def _check_pair(rule: Rule, later: Rule, *, gone: bool) -> None:
    """Refuse a rule that a later one replaces on some days; `gone`: nothing is left of it."""
    exception = rule.special and not later.special and not later.off
    both_open = not rule.off and not later.off
    same = (rule.days, rule.holidays, rule.dates) == (later.days, later.holidays, later.dates)
    pairs = product(rule.spans, later.spans)
    overlap = any(max(one[0], other[0]) < min(one[1], other[1]) for one, other in pairs)
    apart = not later.special and not overlap
    if both_open and not exception and (apart or (gone and same)):
        times = write_spans(join((*rule.spans, *later.spans)), ",")
        raise Invalid("hours_apart", rule=rule.text, later=later.text, times=times)
    if exception or gone:
        raise Invalid("hours_order", rule=rule.text, later=later.text)


def _meetings(rules: Sequence[Rule]) -> set[tuple[str, ...]]:
    """Return which rules are for the same days, and by what: see `Rule.names`."""
    years = {one[0] for rule in rules for dates in rule.dates for one in dates} - {0} | {2028}
    days = [date(one, 1, 1) + timedelta(n) for one in years for n in range(365 + isleap(one))]
    if not any(rule.dates for rule in rules):
        del days[1:]
    return {
        tuple(
            rule.names(weekday, holiday=holiday) if in_season else ""
            for rule, in_season in zip(rules, season, strict=True)
        )
        for season in {tuple(rule.in_season(day) for rule in rules) for day in days}
        for weekday in range(7)
        for holiday in (False, True)
    }


def join(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that touch made one."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            begin, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((begin, end))
    return tuple(joined)


def write_spans(spans: Iterable[Span], between: str = ", ") -> str:
    """Write spans as `22:00-06:00`; only one of a day and more keeps hours above 24."""
    written = []
    for begin, end in spans:
        shown = end if end - begin >= MIDNIGHT or end <= MIDNIGHT else end - MIDNIGHT
        parts = (*divmod(begin, 60), *divmod(shown, 60))
        written.append("{:02}:{:02}-{:02}:{:02}".format(*parts))
    return between.join(written)
