"""README.md and README.es.md say the same: sections, commands, pictures, links, tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, SPANISH = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.es.md")
)
# What stands at another place in Spanish.
_PLACES = {
    "-es.png": ".png",
    "faq.es.md#qué-ip-va-en-la-lista-de-ip-permitidas-de-wolkvox": (
        "faq.md#which-address-goes-on-wolkvoxs-allow-list"
    ),
}
_SAME = re.compile("|".join(map(re.escape, _PLACES)))
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """The language of each code block and its lines without their comments."""
    found = []
    for _, language, body in _BLOCK.findall(text):
        lines = [re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in body.splitlines()]
        found.append((language, [line for line in lines if line]))
    return found


def prose(text: str) -> str:
    """The text without its code blocks."""
    return _BLOCK.sub("", text)


def test_both_have_the_same_sections() -> None:
    """As many headings, at the same levels, in the same order."""

    def levels(text: str) -> list[str]:
        return re.findall(r"^#+(?= )", prose(text), re.MULTILINE)

    assert len(levels(ENGLISH)) > 5
    assert levels(SPANISH) == levels(ENGLISH)


def test_both_have_the_same_code() -> None:
    """Every code block, apart from its comments."""
    assert len(blocks(ENGLISH)) > 5
    assert blocks(SPANISH) == blocks(ENGLISH)


def test_both_name_the_same_things() -> None:
    """What stands between backquotes in a sentence, and the first column of each table."""

    def named(text: str) -> list[str]:
        return sorted(re.findall(r"`([^`\n]+)`", prose(text)))

    assert named(SPANISH) == named(ENGLISH)


def test_both_lead_to_the_same_places() -> None:
    """The same links and pictures, besides the link to each other; every file is there."""

    def targets(text: str) -> list[str]:
        found = re.findall(r'\]\(([^)]+)\)|src="([^"]+)"', text)
        return [_SAME.sub(lambda one: _PLACES[one[0]], "".join(pair)) for pair in found]

    english, spanish = targets(ENGLISH), targets(SPANISH)
    assert (english[0], spanish[0]) == ("README.es.md", "README.md")
    assert sorted(spanish[1:]) == sorted(english[1:])
    for target in english + spanish:
        file = ROOT / target.partition("#")[0]
        assert target.startswith("https://") or file.exists(), target
