"""Strings of the report's rows become figures, or are left out and told."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.messages import Words
from exporter.wolkvox.columns import (
    COLUMNS,
    FIELDS,
    ChannelFigures,
    Kind,
    without_row,
)
from exporter.wolkvox.report import (
    MAX_ERRORS,
    TOKEN_COUNTS,
    UNREADABLE,
    FieldError,
    Skill,
    SkillReport,
    read_figure,
    read_report,
    read_skills,
    read_token_info,
)
from tests.quirks import cells

GOOD = ChannelFigures("inbound", 67, 66, 1, 0.5075, 0.6567, 0.7164, 0.0149, 18.0, 4.0)
EMPTY: list[object] = [None, "", " ", "\t\n", "\u00a0"]
NEVER: list[object] = [
    "-", "-1", "-0.5", "+5", "nan", "NaN", "inf", "Infinity", "null", "n/a", "1e3", "0x10",
    "1_000", "٣", "½", "5.", ".5", "1.2.3", "1,23", "1,2345", "1234,567", "0,123", ",123",
    "1,234,56", "1.234,5", "%", "%5", "5 5", "1" * 41, "0" * 40 + "5", "1" * 17,
    "9" * 10_000, -1, -0.5, 10**13, 10**5000, 1e400, float("nan"), float("-inf"), True,
    False, [], ["5"], {}, {"a": 1},
]  # fmt: skip


def test_columns_are_those_of_the_documented_report() -> None:
    """The table has every figure of the vendor's page, in its order, and no other."""
    assert FIELDS == (
        "row",  # of the exporter: a row that is no object
        "type_interaction",
        "inbound_calls",
        "answer_calls",
        "abandon_calls",
        "service_level_10seg",
        "service_level_20seg",
        "service_level_30seg",
        "abandon",
        "asa",
        "ata",
    )


def test_columns_say_how_their_rows_are_merged() -> None:
    """Counts are added up and 0 without a row; ratios and times are weighted by a count."""
    for column in COLUMNS:
        counts = [one.field for one in COLUMNS if one.kind is Kind.COUNT]

        assert (column.weight is None) == (column.kind is Kind.COUNT), column
        assert column.weight is None or column.weight in counts, column
        expected = 0 if column.kind is Kind.COUNT else None
        assert getattr(without_row("chat"), column.attribute) == expected, column
        for language in ("es", "en"):
            assert Words(language).text(f"column.{column.attribute}"), column
            assert Words(language).text(f"column.{column.attribute}.short"), column


def test_an_empty_cell_is_absent() -> None:
    """Nothing in a cell is neither 0 nor an error."""
    for value in EMPTY:
        for kind in Kind:
            assert read_figure(value, kind) is None, (value, kind)


def test_a_cell_without_a_figure_is_unreadable() -> None:
    """Negative, endless, not a number or in another notation: never a guess."""
    for value in NEVER:
        for kind in Kind:
            assert read_figure(value, kind) is UNREADABLE, (value, kind)


def test_counts() -> None:
    """Whole numbers, with thousands and with a blank fraction."""
    for value, count in (
        ("0", 0), ("35", 35), (" 35 ", 35), ("007", 7), ("1,172", 1172),
        ("12,345,678", 12345678), ("35.0", 35), ("1,172.00", 1172), (35, 35), (35.0, 35),
        (-0.0, 0), (10**12, 10**12),
    ):  # fmt: skip
        found = read_figure(value, Kind.COUNT)

        assert found == count, value
        assert type(found) is int, value


def test_what_is_no_count() -> None:
    """Half an interaction, a share or a time is no count."""
    for value in ("35.5", 35.5, "35 %", "0:35", "35 s"):
        assert read_figure(value, Kind.COUNT) is UNREADABLE, value


def test_ratios() -> None:
    """Percentages become shares of 1; those above 100 % are kept."""
    for value, ratio in (
        ("65.67 %", 0.6567), ("34.64%", 0.3464), ("0 %", 0.0), ("0.00%", 0.0),
        ("35 %", 0.35), ("100 %", 1.0), ("65.67\u00a0%", 0.6567), ("490.00 %", 4.9),
        ("9,336.00 %", 93.36), ("15,233.33 %", 152.3333), ("65.67", 0.6567), (65.67, 0.6567),
        (0, 0.0), (10**12, 1e10),
    ):  # fmt: skip
        assert read_figure(value, Kind.RATIO) == pytest.approx(ratio, abs=1e-12), value


def test_what_is_no_ratio() -> None:
    """A decimal comma is not taken for thousands nor for a dot."""
    for value in ("65,67 %", "65.67 % %", "0:35", "65 percent"):
        assert read_figure(value, Kind.RATIO) is UNREADABLE, value


def test_times() -> None:
    """Seconds, MM:SS and H:MM:SS, also beyond a day."""
    for value, seconds in (
        ("35", 35.0), ("35.5", 35.5), ("1,234", 1234.0), (35, 35.0), (0.25, 0.25),
        ("0:35", 35.0), ("00:35", 35.0), ("75:30", 4530.0), ("0:01:02", 62.0),
        ("4:38:08", 16688.0), ("26:00:05", 93605.0), ("100:00:00", 360000.0),
    ):  # fmt: skip
        assert read_figure(value, Kind.SECONDS) == seconds, value


def test_what_is_no_time() -> None:
    """A clock needs two digits after each colon, below 60."""
    for value in (
        "35 s", "35 %", "1:5", "00:60", "1:60:00", "1:2:03", "1:00:00:00", ":35", "1:",
        "-1:00", "1" * 30 + ":00", "0" * 60 + ":00",
    ):  # fmt: skip
        assert read_figure(value, Kind.SECONDS) is UNREADABLE, value


def test_a_figure_has_forty_characters_at_most() -> None:
    """No real one is nearly as long; `NEVER` has one with a character more."""
    assert read_figure("5".zfill(40), Kind.COUNT) == 5
    assert read_figure("5 %".zfill(40), Kind.RATIO) == 0.05
    assert read_figure("5".zfill(40), Kind.SECONDS) == 5.0
    assert read_figure(":05".zfill(40), Kind.SECONDS) == 5.0
    assert read_figure(":05".zfill(41), Kind.SECONDS) is UNREADABLE


def test_a_row_becomes_the_figures_of_its_channel() -> None:
    """Each column lands in its field; unknown ones are ignored."""
    assert read_report([cells(services_time="9")]) == SkillReport((GOOD,), (), 0)


def test_an_unreadable_cell_costs_only_itself() -> None:
    """The rest of the row stays; the error names column, channel and a bit of the text."""
    report = read_report([cells(service_level_20seg="65,67 %\n" + "x" * 99, ata="")])

    assert report.channels == (replace(GOOD, service_level_20=None, ata=None),)
    (error,) = report.errors
    assert (error.field, error.channel) == ("service_level_20seg", "inbound")
    assert error.text.startswith("65,67 % xxx")
    assert len(error.text) == 40


def test_an_error_shows_what_stood_there() -> None:
    """Values of any size and depth are shown in a few characters."""
    for value, text in (
        (True, "True"), (-5, "-5"), (-0.5, "-0.5"), (10**299, "1" + "0" * 38 + "…"),
        (-(10**12), "-1000000000000"), ([["x"]], "a list"), ({"a": 1}, "an object"),
    ):  # fmt: skip
        report = read_report([cells(asa=value)])

        assert report.errors == (FieldError("asa", "inbound", text),), value


def test_rows_that_are_none_are_errors_of_the_row() -> None:
    """What is no object has no channel and no column."""
    report = read_report([None, "x", 5, ["a"], cells()])

    assert report.errors == tuple(
        FieldError("row", "", text) for text in ("None", "x", "5", "a list")
    )
    assert report.channels == (GOOD,)


def test_a_channel_that_is_no_text_is_an_error_and_unknown() -> None:
    """Its figures are kept, and the error says what stood in the place of the name."""
    report = read_report([cells(["a"], asa="?")])

    assert report.channels == (replace(GOOD, channel="unknown", asa=None),)
    assert report.errors == (
        FieldError("type_interaction", "unknown", "a list"),
        FieldError("asa", "unknown", "?"),
    )


def test_a_row_without_a_channel_is_unknown() -> None:
    """Figures without a channel are kept under `unknown`."""
    for name in ("", " ", None, "missing"):
        row = cells(name)
        if name == "missing":
            del row["type_interaction"]

        assert read_report([row]).channels == (replace(GOOD, channel="unknown"),), name


def test_a_row_without_a_channel_and_a_figure_is_skipped() -> None:
    """The vendor's sample, all blank, is no channel; its unreadable cells are still told."""
    blank = dict.fromkeys(cells(), " ")

    assert read_report([blank, {}]) == SkillReport((), (), 0)
    assert read_report([blank | {"asa": "?"}]) == SkillReport(
        (), (FieldError("asa", "unknown", "?"),), 0
    )


def test_a_channel_without_figures_is_kept() -> None:
    """A channel that is named but blank is known, with nothing in it."""
    (channel,) = read_report([{"type_interaction": "chat-web"}]).channels

    assert astuple(channel) == ("chat-web", *[None] * 9)


def test_rows_of_one_channel_are_merged() -> None:
    """Counts add; ratios weigh by inbound, asa by answered, ata by abandoned."""
    first = cells(inbound_calls="100", answer_calls="80", abandon_calls="20", abandon="20 %")
    second = cells(
        " inbound", inbound_calls="300", answer_calls="240", abandon_calls="60", abandon="40 %"
    )
    first |= {"service_level_20seg": "80 %", "asa": "10", "ata": "5"}
    second |= {"service_level_20seg": "40 %", "asa": "30", "ata": "9"}

    (merged,) = read_report([first, second]).channels

    assert (merged.inbound, merged.answered, merged.abandoned) == (400, 320, 80)
    assert merged.service_level_20 == pytest.approx(0.5)
    assert merged.abandonment == pytest.approx(0.35)
    assert merged.asa == pytest.approx(25.0)
    assert merged.ata == pytest.approx(8.0)


def test_a_row_without_value_or_weight_is_left_out_of_the_average() -> None:
    """A sum with an unreadable part is unknown; an average does without that row."""
    for second, inbound, level in (
        ({"service_level_20seg": ""}, 134, 0.6567),
        ({"service_level_20seg": "?"}, 134, 0.6567),
        ({"inbound_calls": "", "service_level_20seg": "10 %"}, 67, 0.6567),
        ({"inbound_calls": "?", "service_level_20seg": "10 %"}, None, 0.6567),
        ({"inbound_calls": "0", "service_level_20seg": "10 %"}, 67, 0.6567),
    ):
        (merged,) = read_report([cells(), cells(**second)]).channels

        assert merged.inbound == inbound, second
        assert merged.service_level_20 == pytest.approx(level), second


def test_an_average_without_any_weight_is_absent() -> None:
    """Two rows of nothing have no service level; one keeps what the API says of it."""
    idle = cells(inbound_calls="0", service_level_20seg="0 %")

    assert read_report([idle]).channels[0].service_level_20 == 0.0
    assert read_report([idle, idle]).channels[0].service_level_20 is None
    empty = cells(inbound_calls="")
    assert read_report([empty, empty]).channels[0].inbound is None


def test_channels_beyond_the_cap_are_dropped_and_counted() -> None:
    """64 channels stay, rows of those that stay are still merged, others are counted."""
    rows = [cells(f"chat-{number}") for number in range(70)] + [
        cells("chat-3"),
        cells("x" * 129),
    ]
    assert read_report([cells("x" * 128)]).dropped == 0

    report = read_report(rows)

    assert [channel.channel for channel in report.channels] == [f"chat-{n}" for n in range(64)]
    assert report.channels[3].inbound == 134
    assert report.dropped == 7


def test_errors_are_capped() -> None:
    """A million broken cells cost no more than the first thousand."""
    broken = cells(asa="?", ata="?", abandon="?")

    assert len(read_report([broken] * 2000).errors) == MAX_ERRORS
    assert len(read_report([None] * 5000).errors) == MAX_ERRORS


def test_a_channel_is_safe_to_expose() -> None:
    """Control characters and lone surrogates cannot reach an exposition in UTF-8."""
    names = [
        read_report([cells(name)]).channels[0].channel
        for name in ("a\x00b", "\udfff", "ñandú\u2028x")
    ]

    assert names == ["a\ufffdb", "\ufffd", "ñandú\ufffdx"]


CELL = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.from_regex(r"\A[0-9]{0,4}[,.:]?[0-9]{0,3}[,.:]?[0-9]{0,3} ?%?\Z")
    | st.lists(st.none(), max_size=1)
)
ROW = st.dictionaries(st.sampled_from([*cells(), "other"]), CELL) | CELL


@given(rows=st.lists(ROW, max_size=8))
def test_no_rows_raise_and_no_figure_is_out_of_range(rows: list[object]) -> None:
    """Whatever the cells hold, figures are finite and never negative."""
    report = read_report(rows)

    for channel in report.channels:
        channel.channel.encode()
        for figure in astuple(channel)[1:]:
            assert figure is None or (math.isfinite(figure) and figure >= 0)


# information.php --------------------------------------------------------------------------


def test_the_calls_of_the_day_are_read() -> None:
    """Strings become numbers, with thousands and without."""
    row = {
        "description": "exporter",
        "token_limit": "8,000",
        "token_use_today": "288",
        "all_token_today": 1172,
        "available_consumption_options": "6828",
    }

    assert read_token_info([row, {"token_limit": "1"}]).counts == dict(
        zip(TOKEN_COUNTS, (8000.0, 288.0, 1172.0, 6828.0), strict=True)
    )


def test_calls_that_are_not_told_are_absent() -> None:
    """Missing and unreadable numbers are None, never 0."""
    answers: list[list[object]] = [[], [None, "x"], [{}], [{"token_limit": "-1"}]]
    answers.append([{"token_limit": []}])
    for rows in answers:
        assert read_token_info(rows).counts == dict.fromkeys(TOKEN_COUNTS), rows


def test_skills_keep_their_order_and_ids_come_once() -> None:
    """Ids are strings or numbers; names lose line breaks and double blanks."""
    rows: list[object] = [
        {
            "skill_id": "4190",
            "skill_name": "Cobranza  \n Norte",
            "last_use": "2026-11-22 08:00:00",
        },
        {"skill_id": 4173, "skill_name": "Atención"},
        {"skill_id": "4190", "skill_name": "again"},
        {"skill_id": " 7 ", "skill_name": None},
    ]

    assert read_skills(rows) == (
        Skill("4190", "Cobranza Norte", "2026-11-22 08:00:00"),
        Skill("4173", "Atención", ""),
        Skill("7", "7", ""),
    )


def test_rows_without_a_numeric_id_are_left_out() -> None:
    """An id that cannot be asked for is no skill."""
    ids = ("", "all", True, -1, "٣", 10**30)
    rows: list[object] = [None, [], {}, *({"skill_id": one} for one in ids)]
    for row in rows:
        assert read_skills([row]) == (), row
