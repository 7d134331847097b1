"""Windows of days in zones that move their clocks and in zones that do not."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from exporter.wolkvox.windows import (
    Window,
    clock_change,
    day_so_far,
    day_start,
    instant_of,
    local_day,
    next_day_start,
    whole_day,
)

ZONES = [
    "America/Bogota", "America/Santiago", "America/Mexico_City", "America/Asuncion",
    "America/Havana", "America/Toronto", "Asia/Kolkata", "Pacific/Apia", "Europe/Madrid",
]  # fmt: skip


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_day_so_far_ends_now() -> None:
    """The window runs from 000000 of the local day to the local wall clock."""
    for zone, now, day, end in (
        ("America/Bogota", "2026-11-22 04:59:59", date(2026, 11, 21), "20261121235959"),
        ("America/Bogota", "2026-11-22 05:00:00", date(2026, 11, 22), "20261122000000"),
        ("America/Bogota", "2027-01-01 04:30:00", date(2026, 12, 31), "20261231233000"),
        ("America/Mexico_City", "2026-07-01 05:59:59", date(2026, 6, 30), "20260630235959"),
        ("Asia/Kolkata", "2026-11-22 18:30:00", date(2026, 11, 23), "20261123000000"),
        # The clocks of Chile go from 24:00 to 01:00 (6 September 2026) ...
        ("America/Santiago", "2026-09-06 03:59:59", date(2026, 9, 5), "20260905235959"),
        ("America/Santiago", "2026-09-06 04:00:00", date(2026, 9, 6), "20260906010000"),
        # ... and from 24:00 back to 23:00 (4 April 2026): the hour comes twice.
        ("America/Santiago", "2026-04-05 02:59:59", date(2026, 4, 4), "20260404235959"),
        ("America/Santiago", "2026-04-05 03:00:00", date(2026, 4, 4), "20260404230000"),
        ("America/Santiago", "2026-04-05 04:00:00", date(2026, 4, 5), "20260405000000"),
    ):
        window = day_so_far(_utc(now), ZoneInfo(zone))

        assert window == Window(day, f"{day:%Y%m%d}000000", end, closing=False), zone
        assert local_day(_utc(now), ZoneInfo(zone)) == day, zone


def test_a_whole_day_ends_with_its_last_second() -> None:
    """A finished day is asked for to 235959, which the API includes."""
    expected = Window(date(2024, 2, 29), "20240229000000", "20240229235959", closing=True)

    assert whole_day(date(2024, 2, 29)) == expected


def test_a_day_begins_at_one_instant() -> None:
    """Midnights that are jumped over, repeated or whole days left out have one begin."""
    for zone, day, start in (
        ("America/Bogota", date(2026, 11, 22), "2026-11-22 05:00"),
        ("Asia/Kolkata", date(2026, 11, 22), "2026-11-21 18:30"),
        ("America/Mexico_City", date(2026, 7, 1), "2026-07-01 06:00"),
        ("America/Mexico_City", date(2022, 4, 3), "2022-04-03 06:00"),
        ("America/Mexico_City", date(2022, 4, 4), "2022-04-04 05:00"),
        ("America/Santiago", date(2026, 9, 6), "2026-09-06 04:00"),
        ("America/Santiago", date(2026, 4, 5), "2026-04-05 04:00"),
        ("America/Havana", date(2026, 11, 1), "2026-11-01 04:00"),
        ("America/Toronto", date(1919, 3, 31), "1919-03-31 04:30"),
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30 10:00"),
        ("Pacific/Apia", date(2011, 12, 31), "2011-12-30 10:00"),
    ):
        begin = day_start(day, ZoneInfo(zone))

        assert begin == _utc(start), zone
        assert begin.tzinfo is UTC, zone


def _jumping(clock: str) -> ZoneInfo:
    """A zone whose clocks go an hour forward on the first Saturday of September at `clock`."""
    header = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    block = header + struct.pack(">lbb", -4 * 3600, 0, 0) + b"AAA\0"
    rule = f"\nAAA4BBB3,M9.1.6/{clock},M4.1.6/12\n"
    return ZoneInfo.from_file(BytesIO(block + block + rule.encode()))


def test_a_midnight_inside_the_jump_begins_the_day_at_the_jump() -> None:
    """Whatever the second of the jump is, the day begins with it and not a second later."""
    for clock, start in (
        ("23:00:01", "2026-09-06 03:00:01"),
        ("23:29:59", "2026-09-06 03:29:59"),
        ("23:50:07", "2026-09-06 03:50:07"),
        ("23:59:58", "2026-09-06 03:59:58"),
        ("24:00:00", "2026-09-06 04:00:00"),
        ("23:00:00", "2026-09-06 03:00:00"),
    ):
        begin = day_start(date(2026, 9, 6), _jumping(clock))

        assert begin == _utc(start), clock
        assert begin.tzinfo is UTC, clock


def test_the_next_day_begins_after_now() -> None:
    """A pause until tomorrow ends when tomorrow begins in the operation's zone."""
    for zone, now, start in (
        ("America/Santiago", "2026-09-06 03:59:59", "2026-09-06 04:00"),
        ("America/Santiago", "2026-09-06 04:00:00", "2026-09-07 03:00"),
        ("America/Santiago", "2026-04-05 03:30:00", "2026-04-05 04:00"),
        ("America/Bogota", "2026-12-31 12:00:00", "2027-01-01 05:00"),
    ):
        assert next_day_start(_utc(now), ZoneInfo(zone)) == _utc(start), zone


def test_a_local_time_has_one_first_instant() -> None:
    """A time that is shown twice is meant the first time; one that is left out, at the jump."""
    for zone, local, instant in (
        ("America/Bogota", "2027-09-05 00:30", "2027-09-05 05:30"),
        ("America/Santiago", "2027-09-05 00:30", "2027-09-05 04:00"),  # jumped over
        ("America/Santiago", "2027-09-05 01:00", "2027-09-05 04:00"),
        ("America/Santiago", "2027-04-03 23:30", "2027-04-04 02:30"),  # shown twice
        ("Africa/Cairo", "2027-04-30 00:59:59", "2027-04-29 22:00"),
        ("Pacific/Apia", "2011-12-30 17:00", "2011-12-30 10:00"),
    ):
        first = instant_of(datetime.fromisoformat(local), ZoneInfo(zone))

        assert first == _utc(instant), zone
        assert first.tzinfo is UTC, zone


def test_a_change_of_the_clocks_is_found() -> None:
    """The instant at which the clocks change; the end of the span where they do not."""
    for zone, start, end, change in (
        ("America/Santiago", "2027-09-05 00:00", "2027-09-05 23:00", "2027-09-05 04:00"),
        (
            "America/Santiago",
            "2027-09-05 03:59:59.7",
            "2027-09-05 04:00:01",
            "2027-09-05 04:00",
        ),
        ("Asia/Beirut", "2027-03-27 21:59:59.5", "2027-03-27 22:00:01.2", "2027-03-27 22:00"),
        ("America/Santiago", "2027-04-04 00:00", "2027-04-05 00:00", "2027-04-04 03:00"),
        ("America/Santiago", "2027-09-05 00:00", "2027-09-05 04:00", "2027-09-05 04:00"),
        ("America/Santiago", "2027-09-05 00:00", "2027-09-05 03:59:59", "2027-09-05 03:59:59"),
        ("America/Santiago", "2027-09-05 04:00", "2027-09-05 09:00", "2027-09-05 09:00"),
        ("America/Bogota", "2027-09-05 00:00", "2027-09-06 00:00", "2027-09-06 00:00"),
    ):
        assert clock_change(_utc(start), _utc(end), ZoneInfo(zone)) == _utc(change), zone


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    day=st.dates(min_value=date(2015, 1, 1), max_value=date(2036, 12, 31)),
)
def test_the_start_of_a_day_parts_it_from_the_day_before(zone: ZoneInfo, day: date) -> None:
    """One second before its start it is yesterday, at its start it is the day."""
    start = day_start(day, zone)

    assert local_day(start, zone) == day
    assert local_day(start - timedelta(seconds=1), zone) == day - timedelta(days=1)
