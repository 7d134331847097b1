"""The languages of the status page: complete, alike, and chosen as the browser asks."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import exporter.web
from exporter.errors import Reason
from exporter.web.status import QueryState
from exporter.web.status_language import choose_language
from exporter.web.status_part import COLUMNS, SYMBOLS
from exporter.web.status_render import NARROW, style, style_sources
from exporter.web.texts import LANGUAGES, catalogue
from tests.status_page_support import page
from tests.statuses import VOICE, status

WEB = Path(exporter.web.__file__).parent
TEMPLATE = (WEB / "templates" / "status.html").read_text(encoding="utf-8")
STYLE = (WEB / "templates" / "status.css").read_text(encoding="utf-8")
# Names and abbreviations that are the same in both languages.
SAME = {"asa", "ata"}
ENGLISH, SPANISH = catalogue("en"), catalogue("es")


def places(text: str) -> list[str]:
    """The names of the places of a text that are filled in."""
    found = (name for _, name, _, _ in string.Formatter().parse(text) if name is not None)
    return sorted(found)


def test_both_languages_have_every_text() -> None:
    """The same keys, nothing empty, and the same places to fill in."""
    assert set(ENGLISH) == set(SPANISH)
    assert LANGUAGES == ("en", "es")
    for key, text in ENGLISH.items():
        assert text.strip()
        assert SPANISH[key].strip()
        assert places(text) == places(SPANISH[key]), key
        assert (text != SPANISH[key]) or key in SAME, key


def test_the_template_knows_its_texts() -> None:
    """Each text it names exists; a key never hides behind a method of a mapping."""
    named = set(re.findall(r"\bt\.(\w+)", TEMPLATE))

    assert named <= set(ENGLISH)
    assert not set(ENGLISH) & set(dir(ENGLISH))
    assert set(COLUMNS) <= set(ENGLISH)


def test_no_text_is_left_over() -> None:
    """Each key is used by the template or by the code."""
    code = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("status*.py"))
    used = set(re.findall(r"\bt\.(\w+)", TEMPLATE)) | set(re.findall(r"[\"'](\w+)[\"']", code))
    used |= set(COLUMNS) | {
        f"{kind}_{reason}" for kind in ("reason", "do") for reason in Reason
    }
    used |= {f"state_{state}" for state in QueryState}
    used |= {f"{key}_{form}" for key in used for form in ("one", "many")}
    used |= {f"poll_{kind}" for kind in ("open", "closed")} | {"open_now", "closed_now"}
    used |= {"pause_quota", "pause_unauthorized"}

    assert set(ENGLISH) - used == set()
    assert set(SYMBOLS) == set(QueryState)


def test_the_spanish_page_is_spanish() -> None:
    """Its language is declared, and no English text is left in it."""
    shown = page(status(VOICE), language="es")

    assert shown.one("html").attributes["lang"] == "es"
    assert "Todas las consultas están al día" in shown.text
    assert "65.7\u00a0%" in shown.text
    for key, text in ENGLISH.items():
        if len(text) > 6 and "{" not in text and key != "language" and text not in SPANISH[key]:
            assert text not in shown.text, key


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("es", "es"),
        ("ES-co", "es"),
        ("es-CO,es;q=0.9,en;q=0.8", "es"),
        ("en-US,en;q=0.9,es;q=0.8", "en"),
        ("en;q=0.5, es;q=0.7", "es"),
        ("fr, es;q=0.3", "es"),
        ("fr", "en"),
        ("*", "en"),
        ("es;q=0.2, *", "en"),
        ("es, *;q=0.1", "es"),
        ("es;q=0", "en"),
        ("en;q=0", "es"),
        ("en;q=0, es;q=0", "en"),
        ("es;q=1.000", "es"),
        ("es;q=2, en", "en"),
        ("es;q=nan, en;q=0.1", "en"),
        ("es;q=-1", "en"),
        ("es;level=1", "en"),
        ("estonian", "en"),
        (";;;,,,===q", "en"),
        ("es" + ",x" * 5000, "en"),
        ("\xff\xfe", "en"),
    ],
)
def test_the_language_is_that_of_the_browser(header: str | None, language: str) -> None:
    """By weight, first named first; whatever cannot be read counts as not said."""
    assert choose_language(header) == language


def test_the_style_sheets_are_known_by_their_hash() -> None:
    """One for each language; they differ in the heads of the columns on a narrow screen."""
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", style_sources())) == 2
    assert '"Entrantes"' in style("es")
    assert '"Inbound"' in style("en")
    assert f"@media {NARROW}" in STYLE
    for language in LANGUAGES:
        assert "</" not in style(language)
        labels = re.findall(r'content: "([^"]*)"', style(language))
        assert labels == [catalogue(language)[column] for column in COLUMNS]


def colours(block: str) -> dict[str, str]:
    """The colours that a block of the style sheet names."""
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    """The relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(
        weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2), 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


PAIRS = [
    *((ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "card")),
    *((f"{kind}", f"{kind}-back") for kind in ("good", "bad", "warn", "hold")),
    ("warn", "card"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_every_text_has_enough_contrast(theme: str, ink: str, ground: str) -> None:
    """At least 4.5 to 1 (WCAG AA), in both themes."""
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    block = light if theme == "light" else dark.partition("* {")[0]

    assert contrast(colours(block)[ink], colours(block)[ground]) >= 4.5


def test_both_themes_name_the_same_colours() -> None:
    """And no rule names a colour of its own."""
    light, rest = STYLE.split("@media (prefers-color-scheme: dark)")
    dark, _, rules = rest.partition("* {")

    assert colours(light).keys() == colours(dark).keys()
    assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", rules)
