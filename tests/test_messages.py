"""The texts for people: complete in both languages; numbers as each language writes them."""

from __future__ import annotations

import re
import string
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import exporter
from exporter.errors import Reason
from exporter.messages import LANGUAGES, Words, catalogue, terminal_language
from tests.statuses import NOW

ROOT = Path(exporter.__file__).parent
ENGLISH, SPANISH = catalogue("en"), catalogue("es")
KEYS = sorted(ENGLISH.keys() | SPANISH.keys())
BOGOTA = ZoneInfo("America/Bogota")


def places(text: str) -> set[str]:
    """The names of the places of a text that are filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_every_text() -> None:
    """Nothing is missing or empty, and both fill in the same values."""
    for key in KEYS:
        assert ENGLISH[key].strip(), key
        assert SPANISH[key].strip(), key
        assert places(ENGLISH[key]) == places(SPANISH[key]), key


def test_every_failure_has_a_text_and_an_advice() -> None:
    """Neither of them fills in a value, so that a page and a log line can show them."""
    for words in map(Words, LANGUAGES):
        for kind in (*Reason, "server", "tls", "proxy", "machine"):
            assert words.text(f"verdict.{kind}"), kind
            assert words.advice(kind), kind


def test_no_text_is_left_over() -> None:
    """The code or the template names each key, or the family that it belongs to."""
    files = [*ROOT.rglob("*.py"), *ROOT.rglob("templates/*.html")]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(r"[\"'](\w+(?:\.\w+)*\.?)", code))
    families = tuple(name for name in named if name.endswith("."))
    single = {key.removesuffix(".one").removesuffix(".many") for key in KEYS}

    assert [key for key in single - named if not key.startswith(families)] == []


def test_the_language_of_the_terminal() -> None:
    """LC_ALL beats LC_MESSAGES beats LANG; whatever is not Spanish is English."""
    for environ, language in (
        ({}, "en"),
        ({"LANG": "es_CO.UTF-8"}, "es"),
        ({"LANG": "es_CO.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "es"}, "es"),
        ({"LC_ALL": "", "LANG": "es"}, "es"),
    ):
        assert terminal_language(environ) == language, environ


def test_spans_of_time() -> None:
    """At most two units. A wait is rounded up: after it the time has come; an age down."""
    for seconds, wait, age in (
        (-5, "0 s", "0 s"), (3.4, "4 s", "3 s"), (119, "119 s", "119 s"),
        (119.5, "2 min", "119 s"), (120, "2 min", "2 min"), (301, "6 min", "5 min"),
        (7140, "119 min", "119 min"), (7141, "2 h", "119 min"), (7259, "2 h 1 min", "2 h"),
        (7500, "2 h 5 min", "2 h 5 min"), (93000, "25 h 50 min", "25 h 50 min"),
        (172799, "2 d", "47 h 59 min"), (180001, "2 d 3 h", "2 d 2 h"),
    ):  # fmt: skip
        assert (Words("en").span(seconds), Words("en").age(seconds)) == (wait, age), seconds


def test_averages_of_seconds() -> None:
    """Seconds while they are few, minutes then."""
    for value, text in (
        (0, "0 s"), (99.4, "99 s"), (100, "1:40 min"), (599, "9:59 min"), (600, "10 min"),
        (906, "15 min"), (80_000, "1\u202f333 min"),
    ):  # fmt: skip
        assert Words("en").seconds(value) == text


def test_numbers_as_each_language_writes_them() -> None:
    """A decimal comma and a space before the sign in Spanish; thousands apart in both."""
    english, spanish = Words("en", space="\u00a0"), Words("es", space="\u00a0")

    assert [english.count(0), spanish.count(1234567)] == ["0", "1\u202f234\u202f567"]
    assert [english.percent(152.3333), spanish.percent(0.6567)] == ["15233.3%", "65,7\u00a0%"]
    assert [english.percent(0.8, "g"), spanish.percent(0.995, "g")] == ["80%", "99,5\u00a0%"]
    assert spanish.seconds(30.4, ".1f") == "30,4\u00a0s"


def test_the_clock_names_the_date_of_another_day() -> None:
    """Seconds stand there only where there are some."""
    words, tomorrow = Words("en"), NOW + timedelta(days=1).total_seconds()

    assert words.clock(NOW, BOGOTA, NOW) == "12:00"
    assert words.clock(NOW + 5, BOGOTA, NOW) == "12:00:05"
    assert words.clock(tomorrow, BOGOTA, NOW) == "2026-11-19 12:00"
