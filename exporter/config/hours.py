"""Opening hours in OpenStreetMap's notation: read, refused where doubtful, and measured.

Pure: the moment and the test for a public holiday are passed in.

The notation is read here and not by a library: to refuse what would silently mean something
else, all of it has to be read anyway, and the libraries cut a range past midnight where the
next day has a rule of its own, while here a night shift belongs to the day it begins.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from exporter.config.values import Invalid, text
from exporter.wolkvox.windows import clock_change, instant_of

A_DAY, SEARCHED = timedelta(days=1), timedelta(days=400)
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
_DATE = rf"(?:{_YEAR} +)?{_MONTH}(?: +[0-9]{{1,2}})?"
_DATES = rf"(?:{_DATE}(?:-{_DATE}|-[0-9]{{1,2}})?|{_YEAR}(?:-{_YEAR}|\+)?)"
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

    def kinds(self) -> tuple[set[tuple[int, bool]], set[tuple[int, bool]]]:
        """Return the kinds of days it is for: weekdays, each of which may be a holiday or not.

        First those of its weekdays, then those that only `PH` adds.
        """
        weekdays = {(weekday, holiday) for weekday, _ in self.days for holiday in (False, True)}
        holidays = {(weekday, True) for weekday in range(7)} if self.holidays else set()
        return weekdays, holidays - weekdays

    @property
    def spans(self) -> tuple[Span, ...]:
        """Its times; the whole day where it gives none."""
        return self.times or WHOLE_DAY

    @property
    def special(self) -> bool:
        """Whether it is an exception from the week: dates, `Sa[1]`, or holidays."""
        holidays = self.holidays and (self.off or not self.days)
        return bool(self.dates) or holidays or any(which for _, which in self.days)


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
    written = re.sub('"[^"]*"', '""', expression).strip("; ")
    _check_words(written)
    rules = tuple(
        _rule(one.strip(), added=number > 0)
        for part in written.split(";")
        # A comma between times and days begins a rule that adds its times.
        for number, one in enumerate(re.split("(?<=:[0-9]{2}), *(?=[A-Za-z]|[0-9]{4})", part))
    )
    for rule in rules:
        if not rule.times and not rule.off and any(one.times for one in rules if not one.off):
            raise Invalid("hours_untimed", quoted=rule.text)
        if (
            rule.off
            and rule.times
            and any(end > MIDNIGHT for one in rules for _, end in one.spans)
        ):
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
        strange = [
            name
            for name, word in zip(names, pieces[1::2], strict=True)
            if word.casefold() not in _NAMES
        ]
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
    found = _RULE.match(written)
    rest = written[found.end() :] if found else written
    if not found or rest or not written:
        raise Invalid("hours_at", quoted=rest[:20]) if rest else Invalid("hours")
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
    seasons = tuple(map(_dates, dates.split(","))) if dates else ()
    return Rule(written, seasons, weekdays, holidays, spans, off, added)


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
    """Refuse a rule that later ones replace, wholly or where it is the exception."""
    seasons = _seasons(rules)
    for number, rule in enumerate(rules):
        left = {
            (day, part): kinds
            for day in seasons[number]
            for part, kinds in enumerate(filter(None, rule.kinds()))
        }
        for later, season in zip(rules[number + 1 :], seasons[number + 1 :], strict=True):
            kinds = set().union(*later.kinds())
            shared = [
                one for one in left if one[0] in season and not kinds.isdisjoint(left[one])
            ]
            if shared and _replaces(rule, later):
                if not any(which for _, which in later.days):
                    left |= {one: left[one] - kinds for one in shared}
                parts = {part for (_, part), kinds in left.items() if kinds}
                _check_pair(rule, later, gone=parts != {part for _, part in left})


def _check_pair(rule: Rule, later: Rule, *, gone: bool) -> None:
    """Refuse a rule that a later one replaces on some days; `gone`: nothing is left of it."""
    exception = rule.special and not later.special and not later.off
    both_open = not rule.off and not later.off
    same = rule.kinds() == later.kinds() and rule.dates == later.dates
    apart = not later.special and all(
        min(one[1], other[1]) <= max(one[0], other[0])
        for one in rule.spans
        for other in later.spans
    )
    if both_open and not exception and (apart or (gone and same)):
        times = write_spans(join((*rule.spans, *later.spans)), ",")
        raise Invalid("hours_apart", rule=rule.text, later=later.text, times=times)
    if exception or gone:
        raise Invalid("hours_order", rule=rule.text, later=later.text)


def _seasons(rules: Sequence[Rule]) -> list[set[date]]:
    """Return the days of each rule's dates: in a leap year, and in each year that is named."""
    if not any(rule.dates for rule in rules):
        return [{date(2028, 1, 1)}] * len(rules)
    years = {one[0] for rule in rules for dates in rule.dates for one in dates} - {0} | {2028}
    days = [date(year, 1, 1) + n * A_DAY for year in years for n in range(365 + isleap(year))]
    return [{day for day in days if rule.in_season(day)} for rule in rules]


def _replaces(rule: Rule, later: Rule) -> bool:
    """Return whether a later rule leaves nothing of a rule on a day of both."""
    if later.off:
        return not rule.off and not later.times
    return rule.off or not later.added


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
    shown = (
        (begin, end if end - begin >= MIDNIGHT or end <= MIDNIGHT else end - MIDNIGHT)
        for begin, end in spans
    )
    return between.join(
        "{:02}:{:02}-{:02}:{:02}".format(*divmod(begin, 60), *divmod(end, 60))
        for begin, end in shown
    )


# Asking -----------------------------------------------------------------------------------


class OpenHours:
    """When a checked expression is open in a zone; without an expression, always.

    Open is what the clocks show as open: an hour that they show twice counts twice, one
    that they jump over not at all. All moments are aware.
    """

    def __init__(
        self,
        expression: str | None,
        zone: ZoneInfo,
        is_holiday: Callable[[date], bool] = lambda _: False,
    ) -> None:
        self._always = expression is None
        self._rules = read(expression or "24/7")
        self._zone = zone
        self._is_holiday = is_holiday
        self.of = lru_cache(maxsize=512)(self._of)

    def _of(self, day: date) -> tuple[Span, ...]:
        """The spans that begin on a day, in order."""
        found: tuple[Span, ...] = ()
        for rule in self._rules:
            if not rule.applies(day, self._is_holiday):
                continue
            if rule.off:
                cuts = rule.times or ((0, 2 * MIDNIGHT),)
                for first, last in cuts:
                    pieces = [((b, min(e, first)), (max(b, last), e)) for b, e in found]
                    found = tuple(one for both in pieces for one in both if one[0] < one[1])
            else:
                found = join((*(found if rule.added else ()), *rule.spans))
        return found

    def wait(self, now: datetime) -> float:
        """Seconds until it is open: 0 while it is, a day at most."""
        if self._always:
            return 0.0
        now = now.astimezone(UTC)
        spans = self._spans(now, now + A_DAY)
        opens = next((begin for begin, _stop, is_open in spans if is_open), now + A_DAY)
        return (opens - now) / timedelta(seconds=1)

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """How many of the seconds between two moments are open."""
        spans = self._spans(start.astimezone(UTC), end.astimezone(UTC))
        total = sum((stop - begin for begin, stop, is_open in spans if is_open), timedelta())
        return total / timedelta(seconds=1)

    def state(self, now: float) -> tuple[bool, float | None]:
        """Whether it is open at epoch `now`, and until when (None: for 400 days and more)."""
        if self._always:
            return True, None
        moment = datetime.fromtimestamp(now, UTC)
        horizon = moment + A_DAY
        (_begin, _stop, is_open), *later = self._spans(moment, horizon)
        for begin, _stop, other in later:
            if other != is_open:
                return is_open, begin.timestamp()
        last = self._shown(horizon - timedelta.resolution)
        far = self._shown_spans(last, last + SEARCHED)
        change = next((begin for begin, _stop, other in far if other != is_open), None)
        return is_open, instant_of(change, self._zone).timestamp() if change else None

    def _spans(
        self, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime, bool]]:
        """Cut a span of time where it opens or closes, and where the clocks change; in UTC."""
        while start < end:
            steady = clock_change(start, min(start + A_DAY, end), self._zone)
            shown = self._shown(start)
            for begin, stop, is_open in self._shown_spans(shown, shown + (steady - start)):
                yield start + (begin - shown), start + (stop - shown), is_open
            start = steady

    def _shown_spans(
        self, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime, bool]]:
        """Cut a span of naive local time where it opens or closes."""
        day = start.date() - A_DAY  # a span of the day before may reach into this one
        while day <= end.date():
            midnight = datetime.combine(day, time.min)
            for span in self.of(day):
                begin, stop = (midnight + timedelta(minutes=minutes) for minutes in span)
                begin, stop = max(begin, start), min(stop, end)
                if begin < stop:
                    if start < begin:
                        yield start, begin, False
                    yield begin, stop, True
                    start = stop
            day += A_DAY
        if start < end:
            yield start, end, False

    def _shown(self, moment: datetime) -> datetime:
        """What the clocks show at a moment, as a naive local time."""
        return moment.astimezone(self._zone).replace(tzinfo=None)
