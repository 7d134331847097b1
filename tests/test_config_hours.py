"""Opening hours at the door of the configuration, and what --config.check says of them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Operation
from exporter.config.hours import OpenHours, country, holiday_test
from exporter.config.model import sla_hours
from exporter.config.notation import hours, write_spans
from exporter.config.plan import plan, plan_warnings, render_hours
from exporter.config.values import Invalid
from exporter.errors import ConfigError
from tests.config_support import configuration, operation, written
from tests.polling_support import BOGOTA, moment

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)  # a Saturday
TUESDAY = date(2026, 12, 8)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    """Whatever the next day says; holidays are those of 2026-12-08, a Tuesday."""
    for expression, at, is_open in (
        ("Mo-Su 06:00-23:00; Fr-Sa 06:00-03:00", "2026-12-06 00:30", True),
        ("Mo-Su 06:00-23:00; Fr-Sa 06:00-03:00", "2026-12-06 03:00", False),
        ("Mo-Su 06:00-23:00; Fr-Sa 06:00-03:00", "2026-12-07 00:30", False),
        ("Mo-Su 22:00-06:00; PH off", "2026-12-08 05:59", True),
        ("Mo-Su 22:00-06:00; PH off", "2026-12-08 22:00", False),
        ("Mo-Su 22:00-06:00; PH off", "2026-12-09 05:59", False),
        ("Fr 20:00-04:00; Sa 08:00-12:00", "2026-12-05 03:59", True),
        ("Fr 20:00-04:00; Sa 08:00-12:00", "2026-12-05 04:00", False),
        ("Fr 20:00-04:00; Sa 08:00-12:00", "2026-12-05 08:00", True),
        ("Mo-Sa 22:00-06:00; Su off", "2026-12-06 05:59", True),
        ("Mo-Th 08:00-22:00; Fr-Sa 08:00-02:00; Su 10:00-18:00", "2026-12-06 01:59", True),
        ("Mo-Su 20:00-02:00; Dec 24 20:00-22:00", "2026-12-24 01:59", True),
        ("Mo-Su 20:00-02:00; Dec 24 20:00-22:00", "2026-12-24 22:00", False),
        ("Mo 08:00-48:00", "2026-12-08 23:59", True),
        ("Mo 08:00-48:00", "2026-12-09 00:00", False),
    ):
        found = OpenHours(expression, BOGOTA, {TUESDAY}.__contains__)
        assert found.wait(moment(at)) == 0 or not is_open, (expression, at)
        assert found.state(moment(at).timestamp())[0] == is_open, (expression, at)


def test_the_order_of_rules_is_refused_only_where_one_is_lost() -> None:
    """Exceptions behind the week, overlaps that narrow it, and days apart are all right."""
    for expression in (
        "Mo-Fr 08:00-18:00; PH off; Dec 24 08:00-12:00",
        "Mo-Fr 08:00-18:00; PH off; Sa off; Su off",
        "Mo-Fr,PH 08:00-18:00; Sa 09:00-13:00",
        "Mo-Sa 08:00-18:00; Dec 24 08:00-12:00; Su off",
        "Mo-Fr 08:00-18:00; Fr 08:00-16:00",
        "Mo-Fr 08:00-18:00; Jan-Mar Mo-Fr 08:00-16:00; PH off",
        "Mo-Fr 22:00-06:00; PH 08:00-12:00",
        "Sa 08:00-13:00; Sa[1] 09:00-12:00",
        "Mo-Fr 08:00-12:00, Mo-Fr 14:00-18:00",
        "Mo-Fr 08:00-18:00; 2026 Dec 24 off; 2027 Dec 24 08:00-12:00",
    ):
        assert hours(expression) == expression
    for expression, lost in (
        ("Mo-We 08:00-18:00; Mo-Tu 07:00-19:00; We-Th 09:00-18:00", "Mo-We 08:00-18:00"),
        ("Su,PH 10:00-14:00; Mo-Sa 08:00-20:00", "Su,PH 10:00-14:00"),
        ("Sa,PH 10:00-14:00; Mo-Sa 09:00-18:00", "Sa,PH 10:00-14:00"),
        ("Mo-Fr 08:00-18:00; Mo-Su off", "Mo-Fr 08:00-18:00"),
        ("Jan-Mar 08:00-16:00; 08:00-18:00", "Jan-Mar 08:00-16:00"),
        ("Dec 24 off; Dec 20-31 08:00-12:00", "Dec 24 off"),
        ("2026 Dec 24 off; Dec 24 08:00-12:00", "2026 Dec 24 off"),
        ("Sa[1] 08:00-12:00; Sa 08:00-18:00", "Sa[1] 08:00-12:00"),
        ("12:00-13:00 off; Mo-Su 08:00-18:00", "12:00-13:00 off"),
        ("We off; Sa 08:00-12:00, We 14:00-18:00", "We off"),
        ("Mo-Fr 08:00-18:00; 12:00-13:00 off; Fr 08:00-16:00", "12:00-13:00 off"),
    ):
        with pytest.raises(Invalid, match="write") as caught:
            hours(expression)
        assert f'"{lost}"' in str(caught.value), expression


PIECES = (
    *(
        "Mo",
        "Fr",
        "Mo-Fr",
        "Sa[1]",
        "Su[-1]",
        "PH",
        "SH",
        "lunes",
        "mar",
        "week",
        "Dec",
        "-Jan",
    ),
    *(" 24", "24-31", "2026", "2026-2027", "2027+", "9999", "08:00", "08:00-12:00", "24/7"),
    *("22:00-06:00", "23:00-48:00", "off", "open", *'+-,;":[]', " ", ", ", "; "),
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_every_text_is_read_or_refused(expression: str) -> None:
    """Whatever is typed, the answer is a schedule with its next change, or what to write."""
    try:
        found = OpenHours(hours(expression), BOGOTA)
    except Invalid as wrong:
        told = {wrong.text("en"), wrong.text("es")}
    else:
        _, until = found.state(NOW.timestamp())
        told = {str(until)}
        assert until is None or until > NOW.timestamp()
    assert told


def test_an_unknown_country_or_state_names_those_that_may_be_meant() -> None:
    """Codes of ISO 3166 with their states are known; cities and longer codes are not."""
    for code in ("CO", "BR-SP", "CL-RM", "MX", "US-PR"):
        assert country(code) == code
    for code, known in (
        ("Colombia", "CO"),
        ("COL", "CO"),
        ("co", "CO"),
        ("ZZ", "ZA"),
        ("BR-São Paulo Capital", "BR-SP"),
        ("CL-13", "CL-RM"),
    ):
        with pytest.raises(Invalid) as caught:
            country(code)
        assert known in str(caught.value).replace(",", "").replace('"', " ").split(), code


@pytest.mark.no_cover
def test_holidays_are_loaded_where_a_country_is_set_only() -> None:
    """A configuration without one starts as fast and as small as without the library."""
    code = (
        "import sys, exporter.cli; from exporter.config import Operation;"
        "Operation.model_validate({'sla': [{'hours': 'Mo-Fr 08:00-18:00'}]});"
        "print('holidays' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_holidays_are_corrected() -> None:
    """Days are added and taken away; a state has holidays of its own."""
    change = frozenset({date(2026, 12, 24)}), frozenset({TUESDAY})
    is_holiday = holiday_test("CO", change)
    days = (date(2026, 12, 24), TUESDAY, date(2026, 12, 25), date(2026, 12, 9))
    assert [is_holiday(day) for day in days] == [True, False, True, False]
    state = date(2026, 7, 9)
    assert (holiday_test("BR")(state), holiday_test("BR-SP")(state)) == (False, True)


def entries(*sla: str) -> Operation:
    """An operation with two skills and entries of `sla`."""
    listed = ", ".join(f"{{{one}}}" for one in sla)
    return operation(skills="[{id: 1}, {id: 2}, {id: all}]", sla=f"[{listed}]")


def test_hours_country_and_holidays_override_key_by_key() -> None:
    """A later entry may change one of them, for the skills and channels that it names."""
    made = entries(
        "hours: 'Mo-Fr 08:00-18:00; PH off', country: CO",
        "skills: [2], country: PE",
        "channels: [inbound], holidays: {add: [2026-12-24]}",
        "skills: [all], hours: 24/7",
    )
    week, added = "Mo-Fr 08:00-18:00; PH off", frozenset({date(2026, 12, 24)})
    assert {(one, land, change[0]) for one, land, change in sla_hours(made)} == {
        ("24/7", None, frozenset()),
        *((week, land, days) for land in ("CO", "PE") for days in (frozenset(), added)),
    }


def test_holidays_need_a_country_wherever_they_are_named() -> None:
    """A country for other skills is none; one for all of them is."""
    named = "skills: [1], hours: 'Mo-Fr 08:00-18:00; PH off'"
    with pytest.raises(ConfigError, match=r"sla\.0\.hours: PH needs a country"):
        entries(named, "skills: [2], country: CO")
    assert entries(named, "country: CO").sla[1].country == "CO"


def test_config_check_prints_the_days_as_understood() -> None:
    """Each distinct expression with its users, seven days from today on, and five holidays."""
    week = "Mo-Fr 07:00-13:00,14:00-19:00; Sa 22:00-06:00; PH off"
    sla = f"[{{hours: '{week}', country: CO, holidays: {{add: [2026-12-07]}}}}]"
    found = configuration(
        written("acme", sla=sla, poll_hours="24/7"),
        written("globex", server="'0014'", sla=sla),
        written("initech", server="'0015'", timezone="America/Lima", poll_hours="24/7"),
    )
    always, targets, lima = render_hours(found, NOW, "es").strip().split("\n\n")
    assert always.splitlines()[:2] == [
        '"24/7"  acme  America/Bogota',
        "Sa 2026-11-28  00:00-24:00",
    ]
    assert targets.splitlines() == [
        f'"{week}"  acme, globex  America/Bogota  CO',
        "Sa 2026-11-28  22:00-06:00",
        "Su 2026-11-29  closed",
        "Mo 2026-11-30  07:00-13:00, 14:00-19:00",
        "Tu 2026-12-01  07:00-13:00, 14:00-19:00",
        "We 2026-12-02  07:00-13:00, 14:00-19:00",
        "Th 2026-12-03  07:00-13:00, 14:00-19:00",
        "Fr 2026-12-04  07:00-13:00, 14:00-19:00",
        "holidays:",
        "2026-12-07 agregado",
        "2026-12-08 La Inmaculada Concepción",
        "2026-12-25 Navidad",
        "2027-01-01 Año Nuevo",
        "2027-01-11 Día de los Reyes Magos (observado)",
    ]
    assert lima.startswith('"24/7"  initech  America/Lima\n')
    assert "2026-12-08 Immaculate Conception" in render_hours(found, NOW, "en")
    assert render_hours(configuration(written()), NOW, "en") == ""


def test_names_of_holidays_are_those_of_the_country_where_a_language_lacks() -> None:
    """Brazil has no Spanish names: its own are shown, whatever the process's locale is."""
    sla = "[{hours: 'PH off', country: BR}]"
    shown = render_hours(configuration(written(sla=sla)), NOW, "es")
    assert "2026-12-25 Natal" in shown


def test_spans_are_written_as_a_person_would() -> None:
    """Past midnight as the clock shows it; a day and more keeps the hours above 24."""
    assert write_spans([(0, 1440), (480, 1920), (1320, 1800)]) == (
        "00:00-24:00, 08:00-32:00, 22:00-06:00"
    )


def test_poll_hours_that_never_open_are_warned_about() -> None:
    """A year that is over, or `off`: in both languages; hours to come are no reason."""
    for expression, warned in (
        ("2020 Mo-Fr 08:00-18:00", True),
        ("24/7 off", True),
        ("2027 Mo-Fr 08:00-18:00", False),
        ("Dec 24 08:00-18:00", False),
    ):
        planned = plan(configuration(written(poll_hours=f"'{expression}'")), NOW)
        told = [plan_warnings(planned, language) for language in ("en", "es")]
        assert [bool(one) for one in told] == [warned, warned], expression
        assert not warned or "acme: poll_hours do not open" in told[0][0]
