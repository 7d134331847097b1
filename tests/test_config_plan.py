"""The plan of a day: how many calls there are, and how far they are stretched."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Configuration
from exporter.config.plan import Load, calls_of, plan, render_plan, stretch
from exporter.messages import LANGUAGES
from exporter.wolkvox.windows import DAY_SECONDS
from tests.config_support import configuration, written

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN = f"[{', '.join(f'{{id: {number}}}' for number in range(1, 11))}]"


def make(*operations: str) -> Configuration:
    """Load operations, each on a server of its own."""
    apart = [one.replace("0013", f"00{n:02d}", 1) for n, one in enumerate(operations, start=13)]
    return configuration(*(apart or [written()]))


def own(name: str, **keys: object) -> str:
    """Write an operation with a token of its own."""
    return written(name, token_env=None, token=f"7b{name}", **keys)


@given(
    loads=st.lists(
        st.builds(
            Load,
            interval=st.integers(1, 3600).map(float),
            seconds=st.one_of(st.just(0.0), st.floats(1, DAY_SECONDS)),
        ),
        max_size=12,
    ),
    fixed=st.integers(0, 30),
    ceiling=st.integers(0, 5000),
)
def test_what_is_stretched_fits_and_is_no_longer_than_needed(
    loads: list[Load], fixed: int, ceiling: int
) -> None:
    """The calls at the stretched interval fit; at a slightly shorter one they do not."""
    stretched = stretch(loads, fixed, ceiling)
    if stretched is None:
        assert ceiling < fixed or (ceiling == fixed and calls_of(loads) > 0)
        return
    assert calls_of(loads, stretched) + fixed <= ceiling
    if calls_of(loads) + fixed > ceiling:
        shorter = sum(load.seconds / max(load.interval, stretched * 0.99) for load in loads)
        assert shorter + fixed > ceiling


def test_poll_hours_count_the_busiest_day_and_the_closing_call() -> None:
    """Ten hours on the longest day are 120 calls, and one closes the day."""
    hours = "'Mo-Fr 08:00-18:00; Sa 08:00-12:00'"
    [token] = plan(make(written(poll_hours=hours)), NOW)
    assert token.calls == 121
    [always] = plan(make(written(poll_hours="24/7")), NOW)
    assert always.calls == 288
    [never] = plan(make(written(poll_hours="24/7 off", daily_requests=1)), NOW)
    assert (never.calls, never.stretched) == (1, 300)


def test_closing_a_day_costs_a_call_where_no_poll_is_due_at_midnight() -> None:
    """The call that closes the day comes on top where polling is closed at midnight."""
    for hours, calls in (
        ("Mo-Su 00:00-22:00", 264),  # the first poll of a day closes the one before
        ("Mo-Su 00:00-12:00", 144),
        ("Mo-Su 12:00-24:00", 145),
        ("Mo 00:00-12:00; Tu 12:00-24:00", 145),
        ("Sa 00:00-24:00; Mo-Fr 06:00-22:00", 288),
    ):
        [token] = plan(make(written(poll_hours=f"'{hours}'")), NOW)
        assert token.calls == calls, hours


def test_days_of_clock_changes_are_measured_in_real_time() -> None:
    """The busiest day of the coming week may have 25 hours to poll in."""
    for week, zone, calls in (
        ("2026-03-08", "America/New_York", 288),  # the six other days have 24 hours
        ("2026-11-01", "America/New_York", 300),
        ("2026-11-02", "America/New_York", 288),
        ("2027-08-30", "America/Santiago", 288),
        ("2027-04-03", "America/Santiago", 300),
    ):
        now = datetime.fromisoformat(f"{week} 12:00").replace(tzinfo=ZoneInfo(zone))
        [token] = plan(make(written(poll_hours="24/7", timezone=zone)), now)
        assert token.calls == calls, (week, zone)


def test_the_plan_is_a_readable_table() -> None:
    """One line for each operation: what it costs, what it may cost, and what follows."""
    made = make(
        own("acme", daily_requests=1000, skills="[{id: 1}, {id: 2, interval: 1h}]"),
        own("big", skills=TEN, daily_requests=1000),
        own("bigger", skills=TEN),
        own("none", token_info="true", daily_requests=24),
        own("found", skills="discover", daily_requests=1000),
        own("unknown", skills="discover"),
        written("one", skills="[{id: 1, interval: 15m}]", daily_requests=2000),
        written("two", daily_requests=2000),
    )
    table, spanish = (render_plan(plan(made, NOW), language) for language in LANGUAGES)
    assert len({line.find("America/") for line in table.splitlines()[1:-1]}) == 1
    assert [" ".join(line.split()) for line in table.splitlines()] == [
        "operation server zone queries interval requests/day budget",
        "acme wv0013 America/Bogota 2 5m-1h 312 1000 fits",
        "big wv0014 America/Bogota 10 5m 2880 1000 stretched to 14m24s",
        "bigger wv0015 America/Bogota 10 5m 2880 - no ceiling is set",
        "none wv0016 America/Bogota 1 5m 312 24 does not fit: nothing is left for polling",
        "found wv0017 America/Bogota discover 5m 1 + 288/skill 1000 fits, room for 3 skills",
        "unknown wv0018 America/Bogota discover 5m 1 + 288/skill - no ceiling is set",
        "one wv0019 America/Bogota 1 15m 96 2000 one, two share a token: 384 together; fits",
        "two wv0020 America/Bogota 1 5m 288 2000 one, two share a token: 384 together; fits",
        "warning: bigger: 2880 requests a day are planned, and a licence allows 1000:"
        " set daily_requests to what yours allow",
    ]
    assert [" ".join(line.split()) for line in spanish.splitlines()] == [
        "operación servidor zona consultas intervalo solicitudes/día tope",
        "acme wv0013 America/Bogota 2 5m-1h 312 1000 alcanza",
        "big wv0014 America/Bogota 10 5m 2880 1000 intervalo ampliado a 14m24s",
        "bigger wv0015 America/Bogota 10 5m 2880 - sin tope definido",
        "none wv0016 America/Bogota 1 5m 312 24 no alcanza: no queda nada para las consultas",
        "found wv0017 America/Bogota discover 5m 1 + 288/skill 1000"
        " alcanza, hasta para 3 skills",
        "unknown wv0018 America/Bogota discover 5m 1 + 288/skill - sin tope definido",
        "one wv0019 America/Bogota 1 15m 96 2000"
        " one, two comparten un token: 384 en total; alcanza",
        "two wv0020 America/Bogota 1 5m 288 2000"
        " one, two comparten un token: 384 en total; alcanza",
        "warning: bigger: se planean 2880 solicitudes al día, y una licencia permite 1000:"
        " defina daily_requests según las suyas",
    ]
