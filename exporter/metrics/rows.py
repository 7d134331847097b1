"""The rows of a query's page: which samples each shows, kept as lines that lack their values.

A row has the same series in each poll, and putting names and labels together costs far more
than the values: it is done once a row. Knows no query and no moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import groupby
from operator import itemgetter

from exporter.metrics.families import BY_NAME
from exporter.metrics.render import BUCKET_BOUNDS, encoded, escaped, number, series
from exporter.state.counters import Counters
from exporter.wolkvox.columns import COLUMNS, ChannelFigures

Labels = tuple[str, ...]
Row = tuple[tuple[str, str, int], ...]
"""Of each family its name, its lines with `%s` for the values, and how many they are."""
Figures = tuple[float | None, ...]


class Rows:
    """The rows of one rendering, those of the one before taken up."""

    def __init__(self, before: Mapping[Labels, Row]) -> None:
        self._before = before
        self.used: dict[Labels, Row] = {}

    def of(self, labels: Labels, form: Callable[[Labels], Row]) -> Row:
        """A row of this form with these labels, made where it was not there before.

        Each form has a number of labels of its own, so the labels alone tell rows apart.
        """
        found = self._before.get(labels)
        row = self.used[labels] = _named(form, labels) if found is None else found
        return row


def filled(rows: Iterable[tuple[Row, Figures]]) -> dict[str, bytes]:
    """The lines of rows by family, each row's with its figures; None is left out.

    Raises ValueError where a row has another number of figures.
    """
    texts: dict[str, str] = {}
    for row, figures in rows:
        at = 0
        for family, lines, count in row:
            values = figures[at : at + count]
            at += count
            if None in values:
                lines, values = _known(lines, values)
            texts[family] = texts.get(family, "") + lines % tuple(map(number, values))
        if at != len(figures):
            raise ValueError(f"{len(figures)} figures for a row of {at}")
    return {family: encoded(text) for family, text in texts.items() if text}


def _known(lines: str, values: Figures) -> tuple[str, Figures]:
    """The lines whose values are known, and those values."""
    pairs = zip(lines.split("\n"), values, strict=False)
    known = [(line, value) for line, value in pairs if value is not None]
    return "".join(f"{line}\n" for line, _ in known), tuple(value for _, value in known)


def _row(samples: Iterable[tuple[str, str]]) -> Row:
    """A row of families and series; samples of a family stand together."""
    row = []
    for family, group in groupby(samples, itemgetter(0)):
        lines = [f"{name} %s\n" for _, name in group]
        row.append((family, "".join(lines), len(lines)))
    return tuple(row)


def _named(form: Callable[[Labels], Row], labels: Labels) -> Row:
    """A row of this form; the labels go into lines that are the same for all of them."""
    texts = [escaped(one).replace("%", "%%") for one in labels]
    blank = _blank(form, len(labels))
    return tuple((family, lines.format(*texts), count) for family, lines, count in blank)


@cache
def _blank(form: Callable[[Labels], Row], labels: int) -> Row:
    """A row whose labels are yet to be filled in by `str.format`."""
    marks = tuple(f"@{number}@" for number in range(labels))
    return tuple((family, _open(lines, marks), count) for family, lines, count in form(marks))


def _open(lines: str, marks: Labels) -> str:
    lines = lines.replace("{", "{{").replace("}", "}}")
    for place, mark in enumerate(marks):
        lines = lines.replace(mark, f"{{{place}}}")
    return lines


# Each row's series, and its figures in the same order ---------------------------------------

_STATUS = (
    "wolkvox_up",
    "wolkvox_last_attempt_timestamp_seconds",
    "wolkvox_last_success_timestamp_seconds",
    "wolkvox_query_interval_seconds",
    "wolkvox_consecutive_failures",
)
_DAY: tuple[tuple[str, Labels], ...] = tuple(
    (column.family, () if column.within is None else (str(column.within),))
    for column in COLUMNS
)


def status_row(labels: Labels) -> Row:
    """The row of a query itself: up, last attempt and success, interval, failures in a row."""
    return _row((name, series(BY_NAME[name], labels)) for name in _STATUS)


def day_row(labels: Labels) -> Row:
    """The row of a channel in a window, in the order of `day_figures`."""
    return _row((name, series(BY_NAME[name], (*labels, *more))) for name, more in _DAY)


def day_figures(row: ChannelFigures) -> Figures:
    """What a channel shows of a day: ratios 0-1, times in seconds, None where absent."""
    return tuple(getattr(row, column.attribute) for column in COLUMNS)


def day_gauges(row: ChannelFigures) -> Iterator[tuple[str, Labels, float | None]]:
    """The gauges of a window: family, labels behind the window's, value (None: absent)."""
    for (name, more), value in zip(_DAY, day_figures(row), strict=True):
        yield name, more, value


def counter_row(labels: Labels) -> Row:
    """The row of a pair's counters, in the order of `counter_figures`."""
    offered, wait, abandon = (
        BY_NAME["wolkvox_skill_offered_interactions_total"],
        BY_NAME["wolkvox_skill_answer_wait_seconds"],
        BY_NAME["wolkvox_skill_abandon_wait_seconds"],
    )
    bounds = (*BUCKET_BOUNDS, "+Inf")
    return _row(
        (
            (offered.name, series(offered, labels)),
            *((wait.name, series(wait, labels, "_bucket", le=bound)) for bound in bounds),
            *((wait.name, series(wait, labels, suffix)) for suffix in ("_count", "_sum")),
            *((abandon.name, series(abandon, labels, suffix)) for suffix in ("_count", "_sum")),
        )
    )


def counter_figures(counters: Counters) -> Figures:
    """Offered; the histogram's buckets, count and sum; the summary's count and sum."""
    return (
        counters.offered,
        *(counters.within_10, counters.within_20, counters.within_30),
        *(counters.answered, counters.answered, counters.answer_wait_sum),
        *(counters.abandoned, counters.abandon_wait_sum),
    )
