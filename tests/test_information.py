"""Rows of information.php: the day's calls and the operation's skills."""

from __future__ import annotations

from exporter.wolkvox.information import Skill, TokenInfo, read_skills, read_token_info


def test_the_calls_of_the_day_are_read() -> None:
    """Strings become numbers, with thousands and without."""
    row = {
        "description": "exporter",
        "token_limit": "8,000",
        "token_use_today": "288",
        "all_token_today": 1172,
        "available_consumption_options": "6828",
    }

    assert read_token_info([row, {"token_limit": "1"}]) == TokenInfo(
        8000.0, 288.0, 1172.0, 6828.0
    )


def test_calls_that_are_not_told_are_absent() -> None:
    """Missing and unreadable numbers are None, never 0."""
    answers: list[list[object]] = [[], [None, "x"], [{}], [{"token_limit": "-1"}]]
    answers.append([{"token_limit": []}])
    for rows in answers:
        assert read_token_info(rows) == TokenInfo(None, None, None, None), rows


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
