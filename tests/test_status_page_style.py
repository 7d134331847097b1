"""The style sheet of the status page: known by its hash, and every text can be read."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

import exporter.web
from tests.status_page_support import html
from tests.web_support import running

FILE = Path(exporter.web.__file__).parent / "templates" / "status.css"
STYLE = FILE.read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_the_style_sheet_is_known_by_its_hash() -> None:
    """The policy knows the hash of what stands in the page, and allows no other."""
    async with running() as server:
        answer = await (await server.connect()).get("/")
    (served,) = re.findall(rb"<style>(.*)</style>", html(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(served).digest()).decode()

    assert served.startswith(STYLE.partition("  /* labels */")[0].encode())
    assert f"style-src 'sha256-{digest}';" in answer.headers["content-security-policy"]


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


def test_every_text_has_enough_contrast() -> None:
    """At least 4.5 to 1 (WCAG AA), in both themes."""
    for theme in STYLE.split("@media (prefers-color-scheme: dark)"):
        known = colours(theme.partition("* {")[0] if "* {" in theme else theme)
        for ink, ground in PAIRS:
            assert contrast(known[ink], known[ground]) >= 4.5, (ink, ground)


def test_both_themes_name_the_same_colours() -> None:
    """And no rule names a colour of its own."""
    light, rest = STYLE.split("@media (prefers-color-scheme: dark)")
    dark, _, rules = rest.partition("* {")

    assert colours(light).keys() == colours(dark).keys()
    assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", rules)
